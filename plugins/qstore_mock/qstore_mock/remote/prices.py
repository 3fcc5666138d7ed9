"""What jobs cost, on two readings of one price list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qstore_core.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class PriceList:
    """One reading, in US dollars; a job costs its parts together, and at least the minimum.

    >>> PriceList(per_circuit=0.30, per_shot=0.001, minimum=1.0).usd(circuits=2, shots=100)
    1.0
    """

    per_job: float = 0.0
    per_circuit: float = 0.0
    per_shot: float = 0.0
    minimum: float = 0.0

    def usd(self, circuits: int, shots: int) -> float:
        """The price of a job with so many circuits, and so many shots over all of them."""
        return max(self.minimum, self.per_job + circuits * self.per_circuit + shots * self.per_shot)


@dataclass(frozen=True, slots=True)
class PriceTable:
    """The cheaper and the dearer reading: a price list that leaves open which of the two will be charged.

    >>> table = PriceTable.of({"per_job": (0.5, 0.75)})
    >>> table.low.usd(1, 0), table.high.usd(1, 0)
    (0.5, 0.75)
    """

    low: PriceList
    high: PriceList

    @classmethod
    def of(cls, pairs: Mapping[str, tuple[float, float]]) -> PriceTable:
        """From a (low, high) pair for some of the fields of `PriceList`."""
        for name, (low, high) in pairs.items():
            if not 0 <= low <= high:
                raise ConfigurationError(f"the price {name} is (low, high) with 0 <= low <= high, not ({low}, {high})")
        return cls(*(PriceList(**{name: pair[reading] for name, pair in pairs.items()}) for reading in (0, 1)))
