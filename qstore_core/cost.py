"""What runs cost: circuits, shots, jobs, seconds and US dollars."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import isfinite

from qstore_core.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Cost:
    """What something costs, or cost.

    Attributes:
        usd_low: US dollars on the cheaper reading of the provider's price list.
        usd_high: US dollars on the dearer reading; a budget counts this one until the real cost is known.
        circuits: Circuits run.
        shots: Shots over all circuits; 0 for exact simulation.
        jobs: Jobs submitted; a call to a simulator counts as one.
        seconds: Time the backend spent, where it says.

    >>> Cost(circuits=2, shots=200, jobs=1) + Cost(circuits=1)
    Cost(usd_low=0.0, usd_high=0.0, circuits=3, shots=200, jobs=1, seconds=0.0)
    """

    usd_low: float = 0.0
    usd_high: float = 0.0
    circuits: int = 0
    shots: int = 0
    jobs: int = 0
    seconds: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.usd_low + other.usd_low,
            self.usd_high + other.usd_high,
            self.circuits + other.circuits,
            self.shots + other.shots,
            self.jobs + other.jobs,
            self.seconds + other.seconds,
        )

    def __mul__(self, times: int) -> Cost:
        return Cost(
            self.usd_low * times,
            self.usd_high * times,
            self.circuits * times,
            self.shots * times,
            self.jobs * times,
            self.seconds * times,
        )

    __rmul__ = __mul__

    def __sub__(self, other: Cost) -> Cost:
        return Cost(
            self.usd_low - other.usd_low,
            self.usd_high - other.usd_high,
            self.circuits - other.circuits,
            self.shots - other.shots,
            self.jobs - other.jobs,
            self.seconds - other.seconds,
        )


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits for the life of a run directory; None means no limit.

    Args:
        usd: US dollars, on the dearer reading of the price list.
        circuits: Circuits run.
        shots: Shots over all circuits.
        jobs: Jobs submitted.
        seconds: Time on the backend.

    >>> Budget(usd=5.0).usd
    5.0
    """

    usd: float | None = None
    circuits: int | None = None
    shots: int | None = None
    jobs: int | None = None
    seconds: float | None = None

    def after(self, cost: Cost) -> Budget:
        """What is left of these limits when `cost` was spent, on the dearer reading.

        >>> Budget(usd=5.0, jobs=2).after(Cost(usd_high=1.5, jobs=3))
        Budget(usd=3.5, circuits=None, shots=None, jobs=0, seconds=None)
        """
        left = {}
        for entry in fields(self):
            limit = getattr(self, entry.name)
            spent = getattr(cost, "usd_high" if entry.name == "usd" else entry.name)
            left[entry.name] = None if limit is None else max(0, limit - spent)
        return Budget(**left)

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (number and isfinite(value) and value >= 0):
                raise ConfigurationError(f"Budget({field.name}=...) is a number of at least 0 or None, not {value!r}")
