"""The price of progress: which method, and how many samples, directions and shots, bring a loss down most cheaply."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Literal

import numpy as np

from qstore_core.backend import Prices
from qstore_core.batch import CircuitBatch
from qstore_core.cost import Budget, Cost
from qstore_core.estimators.parameter_shift import ShiftTable
from qstore_core.measurement import measurement_plan
from qstore_core.problem import Problem

REFERENCE = Prices(per_circuit=0.30, per_shot=0.00145)
"""What backends without prices are planned with, US dollars: as if the run were on hardware."""

FEWEST_SHOTS = 8
"""Below this the bias of O(1/shots), and the noise of what is estimated from them, are no longer small."""

_SAMPLES = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
_DIRECTIONS = (1, 2, 4, 8, 16, 32)
_SHOTS = tuple(int(8 * 2 ** (power / 2)) for power in range(32))

Method = Literal["spsa", "parameter_shift"]
Reading = Literal["dearer", "cheaper"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a step is made.

    Attributes:
        method: "spsa" or "parameter_shift".
        samples: Of the data.
        directions: For each sample, with "spsa"; else 1.
        shots: Of each circuit.

    >>> Plan("spsa", samples=2, directions=1, shots=45).rows(0)
    4
    """

    method: Method
    samples: int
    directions: int
    shots: int

    def rows(self, n_shifts: int) -> int:
        """The rows of the step's batch, for a circuit with so many shifts."""
        return self.samples * (2 * self.directions if self.method == "spsa" else 1 + n_shifts)


@dataclass(frozen=True, slots=True)
class Signal:
    """What is known of the gradients h of single samples.

    Attributes:
        square: `|mean h|^2`, what the steps go down by.
        spread: `mean |h - mean h|^2` over samples.
        one_shot: The mean over samples of the variance that one shot gives the loss of a sample.

    >>> Signal(square=1.0, spread=20.0, one_shot=20.0).second_moment
    21.0
    """

    square: float
    spread: float
    one_shot: float

    @property
    def second_moment(self) -> float:
        """`mean |h|^2`."""
        return self.square + self.spread


@dataclass(frozen=True, slots=True)
class Landscape:
    """What the variance of a gradient depends on besides the signal and the plan.

    Attributes:
        n_active: Parameters that are moved.
        n_shifts: Shifted circuits of one sample.
        n_bases: Measurement bases, one circuit each.
        shift_weight: The sum of the squared weights of the shifted circuits in the gradient.
        c: SPSA's step, radians.
    """

    n_active: int
    n_shifts: int
    n_bases: int
    shift_weight: float
    c: float

    @classmethod
    def of(cls, problem: Problem, c: float) -> Landscape:
        """That of a problem."""
        matrix = problem.affine.parameters.matrix * problem.active[:, None]
        table = ShiftTable.of(problem.structure, (matrix != 0).any(axis=0))
        weight = float(np.sum((matrix[:, table.angles] * table.weights) ** 2))
        bases = len(measurement_plan(problem.observables).groups)
        return cls(int(problem.active.sum()), len(table.angles), bases, weight, c)

    def variance(self, plan: Plan, signal: Signal) -> float:
        """The total variance of the gradient that a plan estimates, over samples, directions and shots.

        With B samples, k directions, S shots, P parameters, G, D and s2 the attributes of the signal:

            parameter_shift:  D/B + s2 sum(w^2) / (S B)                       sum(w^2) = P/2 for Pauli rotations
            spsa:             D/B + (P-1)(G+D) / (k B) + P s2 / (2 c^2 S k B)

        >>> ground = Landscape(n_active=20, n_shifts=40, n_bases=1, shift_weight=10.0, c=0.25)
        >>> ground.variance(Plan("spsa", 2, 1, 40), Signal(0.0, 1.0, 1.0))
        12.0
        """
        samples, shots = plan.samples, plan.shots
        if plan.method == "parameter_shift":
            return (signal.spread + signal.one_shot * self.shift_weight / shots) / samples
        directions = (self.n_active - 1) * signal.second_moment
        noise = self.n_active * signal.one_shot / (2 * self.c**2 * shots)
        return (signal.spread + (directions + noise) / plan.directions) / samples


@dataclass(frozen=True, slots=True)
class Choice:
    """A plan with what speaks for it.

    Attributes:
        plan: The plan.
        variance: The variance it is expected to have.
        usd: Its price, on the reading that is planned on.
        merit: `(G + kappa V) usd`: what a fixed amount of progress costs, up to a factor.
    """

    plan: Plan
    variance: float
    usd: float
    merit: float


@dataclass(frozen=True, slots=True, eq=False)
class Planner:
    """Weighs every plan of a grid with the backend's own prices, which have minimums and steps.

    The steps that a given progress needs grow as `1 + kappa V / G`, so the cheapest plan minimises `(G + kappa V) usd`
    (compare Ito, arXiv 2302.04422, and gCANS, arXiv 2108.10434, which weigh shots alone).

    Attributes:
        problem: What is to be run, for its structure, prices and limits.
        landscape: Its circuit.
        most_shots: The most shots of a circuit.
        kappa: Learning rate times curvature: how much worse noise is than the lack of signal.
        reading: Which reading of the prices is planned on.
        most_samples: The most samples of a step.
    """

    problem: Problem
    landscape: Landscape
    most_shots: int
    kappa: float = 1.0
    reading: Reading = "dearer"
    most_samples: int = _SAMPLES[-1]

    def best(self, signal: Signal) -> Choice | None:
        """The cheapest plan within what is left of the budget; None where nothing fits."""
        return min(self._choices(_grid(self.most_samples, self.most_shots), signal), key=_merit, default=None)

    def weigh(self, plan: Plan, signal: Signal) -> Choice | None:
        """A plan with its merit; None where the budget does not allow it."""
        return next(self._choices((plan,), signal), None)

    def _choices(self, plans: Iterable[Plan], signal: Signal) -> Iterator[Choice]:
        price = cache(self._price)
        for plan in plans:
            cost = price(plan.rows(self.landscape.n_shifts), plan.shots)
            if _fits(cost, self.problem.remaining):
                usd = cost.usd_high if self.reading == "dearer" else cost.usd_low
                variance = self.landscape.variance(plan, signal)
                yield Choice(plan, variance, usd, (signal.square + self.kappa * variance) * usd)

    def _price(self, n_rows: int, shots: int) -> Cost:
        declared = self.problem.capabilities.prices
        if declared is not None and self.problem.price is not None:
            return self.problem.price((_like(self.problem, n_rows, shots),))
        prices, circuits = declared or REFERENCE, n_rows * self.landscape.n_bases
        usd = prices.per_job + circuits * (prices.per_circuit + prices.per_shot * shots)
        return Cost(usd, usd, circuits, circuits * shots, jobs=1)


@lru_cache(maxsize=64)
def _grid(most_samples: int, most_shots: int) -> tuple[Plan, ...]:
    methods: list[tuple[Method, int]] = [*(("spsa", count) for count in _DIRECTIONS), ("parameter_shift", 1)]
    return tuple(
        Plan(method, samples, directions, shots)
        for samples in _SAMPLES
        if samples <= most_samples
        for shots in (*(each for each in _SHOTS if each < most_shots), most_shots)
        for method, directions in methods
    )


def _merit(choice: Choice) -> float:
    return choice.merit


def _like(problem: Problem, n_rows: int, shots: int) -> CircuitBatch:
    """A batch of that size, to be priced and not run."""
    angles, draws = np.zeros((n_rows, problem.structure.n_angles)), np.zeros(n_rows, dtype=np.uint64)
    return replace(problem, shots=shots).angle_batch(angles, draws)


def _fits(cost: Cost, remaining: Budget | None) -> bool:
    if remaining is None:
        return True
    pairs = (
        (remaining.usd, cost.usd_high),
        (remaining.circuits, cost.circuits),
        (remaining.shots, cost.shots),
        (remaining.jobs, cost.jobs),
        (remaining.seconds, cost.seconds),
    )
    return all(limit is None or needed <= limit for limit, needed in pairs)
