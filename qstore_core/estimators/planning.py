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
from qstore_core.estimators.signal import Signal
from qstore_core.measurement import measurement_plan
from qstore_core.problem import Problem

REFERENCE = Prices(per_circuit=0.30, per_shot=0.00145)
"""What backends without prices are planned with, US dollars: as if the run were on hardware."""

FEWEST_SHOTS = 8
"""Below this the bias of O(1/shots), and the noise of what is estimated from them, are no longer small."""

_SLACK = 0.03
"""How much dearer than the cheapest plan one may be that needs fewer steps."""

_SAMPLES = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
_DIRECTIONS = (2, 4, 8, 16, 32)
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

    def __str__(self) -> str:
        directions = f", {self.directions} directions" if self.directions > 1 else ""
        return f"{self.method}, {self.samples} sample(s){directions}, {self.shots} shots"

    def rows(self, n_shifts: int) -> int:
        """The rows of the step's batch, for a circuit with so many shifts."""
        return self.samples * (2 * self.directions if self.method == "spsa" else 1 + n_shifts)


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
        directions = max(0, self.n_active - 1) * signal.second_moment
        noise = self.n_active * signal.one_shot / (2 * self.c**2 * shots)
        return (signal.spread + (directions + noise) / plan.directions) / samples


@dataclass(frozen=True, slots=True)
class Choice:
    """A plan with what speaks for it.

    Attributes:
        plan: The plan.
        variance: The variance it is expected to have.
        usd: Its price, on the reading that is planned on.
        steps: `G + kappa V`: the steps that a fixed amount of progress takes, up to a factor.
        merit: `(G + kappa V) usd`: what it costs, up to the same factor; jobs waited for count as dollars too.
    """

    plan: Plan
    variance: float
    usd: float
    steps: float
    merit: float

    def is_close_to(self, cheapest: Choice) -> bool:
        """Whether it is hardly dearer than another, with no more shots a circuit."""
        return self.merit <= (1 + _SLACK) * cheapest.merit and self.plan.shots <= cheapest.plan.shots


@dataclass(frozen=True, slots=True, eq=False)
class Planner:
    """Weighs every plan of a grid with the backend's own prices, which have minimums and steps.

    The steps that a given progress needs grow as `1 + kappa V / G`, so the cheapest plan minimises `(G + kappa V) usd`
    (compare Ito, arXiv 2302.04422, and gCANS, arXiv 2108.10434, which weigh shots alone). Of the plans that are dearer
    than that by up to 3% it takes the one with the fewest steps: jobs wait in queues.

    Attributes:
        problem: What is to be run, for its structure, prices and limits.
        landscape: Its circuit.
        most_shots: The most shots of a circuit.
        kappa: Learning rate times curvature: how much worse noise is than the lack of signal.
        reading: Which reading of the prices is planned on.
        most_samples: The most samples of a step.
        job_value: What it is worth to wait for one job less, US dollars; planned with, and never charged.
    """

    problem: Problem
    landscape: Landscape
    most_shots: int
    kappa: float = 0.1
    reading: Reading = "dearer"
    most_samples: int = _SAMPLES[-1]
    job_value: float = 0.0

    @property
    def declared(self) -> bool:
        """Whether it plans with prices of the backend; else, where all is free, with `REFERENCE`."""
        return self.problem.capabilities.prices not in (None, Prices())

    def best(self, signal: Signal) -> Choice | None:
        """The cheapest plan within what is left of the budget; None where nothing fits."""
        choices = list(self._choices(_grid(self.most_samples, self.most_shots), signal))
        if not choices:
            return None
        cheapest = min(choices, key=lambda choice: choice.merit)
        return min((each for each in choices if each.is_close_to(cheapest)), key=lambda choice: choice.steps)

    def weigh(self, plan: Plan, signal: Signal) -> Choice | None:
        """A plan with its merit; None where the budget does not allow it."""
        return next(self._choices((plan,), signal), None)

    def after(self, plan: Plan) -> Planner:
        """The planner when a step of that plan was paid for."""
        remaining = self.problem.remaining
        if remaining is None:
            return self
        cost = self._price(plan.rows(self.landscape.n_shifts), plan.shots)
        return replace(self, problem=replace(self.problem, remaining=remaining.after(cost)))

    def _choices(self, plans: Iterable[Plan], signal: Signal) -> Iterator[Choice]:
        price = cache(self._price)
        for plan in plans:
            cost = price(plan.rows(self.landscape.n_shifts), plan.shots)
            if _fits(cost, self.problem.remaining):
                usd = cost.usd_high if self.reading == "dearer" else cost.usd_low
                variance = self.landscape.variance(plan, signal)
                steps = signal.square + self.kappa * variance
                yield Choice(plan, variance, usd, steps, steps * (usd + self.job_value * cost.jobs))

    def _price(self, n_rows: int, shots: int) -> Cost:
        if self.declared and self.problem.price is not None:
            return self.problem.price((_like(self.problem, n_rows, shots),))
        prices = self.problem.capabilities.prices if self.declared else None
        prices, circuits = prices or REFERENCE, n_rows * self.landscape.n_bases
        usd = prices.per_job + circuits * (prices.per_circuit + prices.per_shot * shots)
        return Cost(usd, usd, circuits, circuits * shots, jobs=1)


@lru_cache(maxsize=64)
def _grid(most_samples: int, most_shots: int) -> tuple[Plan, ...]:
    """Every plan worth weighing: a further direction of a sample helps no more than a further sample."""
    samples = [each for each in _SAMPLES if each < most_samples] + [most_samples]
    shots = [each for each in _SHOTS if each < most_shots] + [most_shots]
    return (
        *(Plan("spsa", count, 1, each) for count in samples for each in shots),
        *(Plan("spsa", most_samples, directions, each) for directions in _DIRECTIONS for each in shots),
        *(Plan("parameter_shift", count, 1, each) for count in samples for each in shots),
    )


def _like(problem: Problem, n_rows: int, shots: int) -> CircuitBatch:
    """A batch of that size, to be priced and not run."""
    angles = np.ones((n_rows, problem.structure.n_angles))  # not 0: a gate that does nothing may be free
    draws = np.zeros(n_rows, dtype=np.uint64)
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
