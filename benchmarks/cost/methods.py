"""What is compared: configurations, their steps to be tuned or not, and the prices they meet."""

from __future__ import annotations

from dataclasses import dataclass, replace

from qstore_core import Cost, TrainingConfig
from qstore_core.backend import Prices

OURS = "adaptive"
"""The default configuration, planned with the table per circuit, as on every backend without prices."""

PRICES = {
    "per circuit": Prices(per_circuit=0.30, per_shot=0.00145),
    "per shot": Prices(per_shot=0.00145),
    "per job": Prices(per_job=5.0, per_circuit=0.01, per_shot=0.0001),
}
"""Price tables, US dollars."""

LATENCY = {"job": 5.0, "circuit": 0.05, "shot": 0.0005}
"""Simulated seconds: waiting for a job, loading a circuit, a shot."""


@dataclass(frozen=True, slots=True)
class Method:
    """A configuration.

    Attributes:
        name: What tables call it.
        config: The settings, but for the seed.
        rates: Learning rates to choose from on other seeds; none: the configuration's own.
        declared: The price table that the backend declares; None: none.
        old: Whether Q-Store had it with these settings: its fixed methods are what wide tasks are compared with.
    """

    name: str
    config: TrainingConfig
    rates: tuple[float, ...] = ()
    declared: str | None = None
    old: bool = False

    def at(self, rate: float | None) -> Method:
        """With that learning rate."""
        return self if rate is None else replace(self, config=replace(self.config, learning_rate=rate))


def usd(cost: Cost, table: str) -> float:
    """The price of a run under a table."""
    prices = PRICES[table]
    return cost.jobs * prices.per_job + cost.circuits * prices.per_circuit + cost.shots * prices.per_shot


def seconds(cost: Cost) -> float:
    """The simulated wall time of a run whose jobs follow one another."""
    return cost.jobs * LATENCY["job"] + cost.circuits * LATENCY["circuit"] + cost.shots * LATENCY["shot"]


def _spsa(batch: int, shots: int | None, rate: float = 0.01, **options: object) -> TrainingConfig:
    return TrainingConfig(
        gradient_method="spsa",
        batch_size=batch,
        shots_per_circuit=shots,
        learning_rate=rate,
        gradient_options=dict(options),
    )


_RATES = (0.03, 0.1, 0.2, 0.4)
_OLD = {"batch_size": 10, "shots_per_circuit": 1000, "learning_rate": 0.01}
_OLD_SPSA = {"method": "spsa", "c": 0.1}

METHODS = (
    Method(OURS, TrainingConfig()),
    Method("adaptive, priced per shot", TrainingConfig(), declared="per shot"),
    Method("adaptive, priced per job", TrainingConfig(), declared="per job"),
    Method("Q-Store v3.3", _spsa(10, 1000, c=0.1), old=True),
    Method("Q-Store v3.3.1", _spsa(10, 1000, c=0.1, shared_direction=True), old=True),
    Method(
        "Q-Store adaptive",
        TrainingConfig(
            gradient_method="schedule",
            gradient_options={"first": _OLD_SPSA, "then": "parameter_shift", "every": 10, "stalled": 0.01},
            **_OLD,
        ),
    ),
    Method("Q-Store shift", TrainingConfig(gradient_method="parameter_shift", **_OLD), old=True),
    Method("SPSA, 8 x 100", _spsa(8, 100), rates=_RATES),
    Method("SPSA, 8 x 8", _spsa(8, 8), rates=_RATES),
    Method("SPSA, 32 x 32", _spsa(32, 32), rates=_RATES),
    Method("SPSA, 4 directions", _spsa(8, 100, directions=4), rates=_RATES),
    Method(
        "parameter shift, 8 x 100",
        TrainingConfig(gradient_method="parameter_shift", batch_size=8, shots_per_circuit=100),
        rates=_RATES,
    ),
    Method("rotosolve, 32 x 100", TrainingConfig(optimizer="rotosolve", batch_size=32, shots_per_circuit=100)),
)
"""Every method. "8 x 100" is 8 samples a step at 100 shots."""
