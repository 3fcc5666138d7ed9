"""The default method: the cheapest right one, by the backend's prices and what the steps so far have shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import sqrt
from typing import Any

import numpy as np

from qstore_core.arrays import FloatArray
from qstore_core.errors import ConfigurationError
from qstore_core.estimators.adjoint import Adjoint
from qstore_core.estimators.parameter_shift import ParameterShift
from qstore_core.estimators.planning import FEWEST_SHOTS, Choice, Landscape, Plan, Planner, Reading, Signal
from qstore_core.estimators.spsa import SPSA
from qstore_core.problem import GradientEstimator, GradientResult, Problem, Rounds, State, require_positive
from qstore_core.randomness import StepKey

_MEMORY = 100
"""Samples that the averages of the signal reach back."""

_FIRST = Signal(square=0.1, spread=0.9, one_shot=1.0)
"""What is assumed before anything was measured; only the ratios matter."""

_WEAKEST = 0.005
"""The least share of `mean |h|^2` that the signal is taken to be: it is small, and its estimate noisy."""

_BETTER = 0.9
"""Another plan is taken when it costs at most this share of the present one."""

_EVERY = 10
"""Steps between two looks for a better plan."""

_FIRST_STEP, _LARGEST_STEP = 20.0, 0.3
_HALF_LIFE = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptive:
    """Plans each step of a sampled run to bring the loss down most cheaply; exact runs take the exact gradient.

    Exact (shots None): `adjoint` where the backend offers it, else `parameter_shift`.

    Sampled: method, samples, directions and shots minimise `(G + kappa V) price` over a grid, with G the squared norm
    of the gradient, V the variance of its estimate (`Landscape.variance`), both from the steps so far, and the price
    that the backend says; backends without prices are planned with 0.30 USD a circuit and 0.00145 USD a shot. The
    shots of the configuration are the most that a circuit gets. Everything follows from results and declared prices,
    nothing from measured times, so runs can be repeated. Each step's metadata tells the plan and its reasons.

    The optimiser's steps are scaled by

        15 sqrt(V1/V) / sqrt(1 + N/40),    N = sum of V/(G+V) V1/V over the steps so far,

    with V1 the variance of two samples in one direction each: more precise estimates take longer steps, and steps
    shrink with the square root of the noise that went in, as Robbins and Monro's; where there is no noise they do not.
    No step is longer than 0.3 radians in a parameter.

    Attributes:
        spsa: The estimator of SPSA's steps, for its `c`.
        kappa: Learning rate times curvature: how much worse noise is than the lack of signal.
        reading: "dearer" or "cheaper": which reading of the prices is planned on.
        learning_rate: The optimiser's, which bounds how far a step may be scaled.
    """

    spsa: SPSA = field(default_factory=SPSA)
    kappa: float = 1.0
    reading: Reading = "dearer"
    learning_rate: float = 0.01

    def __post_init__(self) -> None:
        require_positive("kappa", self.kappa)
        require_positive("learning_rate", self.learning_rate)
        if self.reading not in ("dearer", "cheaper"):
            raise ConfigurationError(f"reading is 'dearer' or 'cheaper', not {self.reading!r}")

    def start(self, problem: Problem, parameters: FloatArray) -> State:
        """The first plan, or the state of the exact method."""
        if problem.shots is None:
            return _exact(problem).start(problem, parameters)
        found = self._planner(problem).best(_FIRST)
        plan = Plan("spsa", 2, 1, min(problem.shots, FEWEST_SHOTS)) if found is None else found.plan
        return _Memory.begin(plan, len(parameters)).to_state()

    def wanted_samples(self, state: State) -> int | None:
        """How many samples the next step takes; None leaves it to the loader."""
        return int(state["plan"]["samples"]) if isinstance(state, Mapping) and "plan" in state else None

    def gradient(self, problem: Problem, parameters: FloatArray, state: State, key: StepKey) -> Rounds:
        """One step as planned, on all samples of `problem`."""
        if problem.shots is None:
            return (yield from _exact(problem).gradient(problem, parameters, state, key))
        memory = _Memory.of(state)
        planner = self._planner(problem)
        plan = replace(memory.plan, samples=problem.n_samples, shots=min(memory.plan.shots, problem.shots))
        result, _ = yield from self._method(plan).gradient(replace(problem, shots=plan.shots), parameters, 0, key)
        memory = memory.after(result)
        variance = planner.landscape.variance(plan, memory.signal)
        usual = planner.landscape.variance(replace(plan, method="spsa", samples=2, directions=1), memory.signal)
        factor = self._factor(memory, variance, usual)
        told = {**result.metadata, **plan_words(plan), **memory.words, "predicted_variance": variance, "factor": factor}
        answer = replace(result, learning_rate_factor=factor, metadata=told)
        memory = memory.worked(variance, usual)
        return answer, self._replanned(planner, memory).to_state()

    def _planner(self, problem: Problem) -> Planner:
        assert problem.shots is not None
        most = min(problem.shots, problem.capabilities.max_shots or problem.shots)
        c = self.spsa.step_size(max(1, int(problem.active.sum())), 0)
        return Planner(problem, Landscape.of(problem, c), most, kappa=self.kappa, reading=self.reading)

    def _method(self, plan: Plan) -> GradientEstimator:
        return replace(self.spsa, directions=plan.directions) if plan.method == "spsa" else ParameterShift()

    def _factor(self, memory: _Memory, variance: float, usual: float) -> float:
        precision = usual / variance if variance > 0 else 1.0
        factor = _FIRST_STEP * sqrt(precision / (1 + memory.noise / _HALF_LIFE))
        return min(factor, max(1.0, _LARGEST_STEP / self.learning_rate))

    def _replanned(self, planner: Planner, memory: _Memory) -> _Memory:
        if memory.steps % _EVERY or not memory.informed:
            return memory
        best, present = planner.best(memory.signal), planner.weigh(memory.plan, memory.signal)
        if best is None or (present is not None and best.merit > _BETTER * present.merit):
            return memory
        return replace(memory, plan=best.plan)


def _exact(problem: Problem) -> GradientEstimator:
    return Adjoint() if problem.capabilities.adjoint else ParameterShift()


def plan_words(plan: Plan) -> dict[str, Any]:
    return {"directions": plan.directions, "shots": plan.shots}


@dataclass(frozen=True, slots=True, eq=False)
class _Memory:
    """What is carried from step to step."""

    plan: Plan
    steps: int
    samples: int
    noise: float
    second_moment: float
    one_shot: float
    gradient: FloatArray
    self_product: float
    weight: float
    square_weight: float

    @classmethod
    def begin(cls, plan: Plan, n_parameters: int) -> _Memory:
        return cls(plan, 0, 0, 0.0, 0.0, 0.0, np.zeros(n_parameters), 0.0, 0.0, 0.0)

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> _Memory:
        return cls(**{**state, "plan": Plan(**state["plan"])})

    def to_state(self) -> State:
        values = {name: getattr(self, name) for name in self.__slots__}
        plan = {name: getattr(self.plan, name) for name in Plan.__slots__}
        return {**values, "plan": plan}

    def after(self, result: GradientResult) -> _Memory:
        """With one more step in the averages."""
        new = result.metadata["samples"] / (result.metadata["samples"] + self.samples)
        old = 1 - new
        gradient = result.gradients
        return replace(
            self,
            steps=self.steps + 1,
            samples=min(self.samples + result.metadata['samples'], _MEMORY),
            second_moment=old * self.second_moment + new * result.metadata.get("second_moment", 0.0),
            one_shot=old * self.one_shot + new * result.metadata.get("one_shot_variance", 0.0),
            gradient=old * self.gradient + new * gradient,
            self_product=old**2 * self.self_product + new**2 * float(gradient @ gradient),
            square_weight=old**2 * self.square_weight + new**2,
        )

    def worked(self, variance: float, usual: float) -> _Memory:
        share = variance / (self.signal.square + variance) if variance > 0 else 0.0
        return replace(self, noise=self.noise + share * (usual / variance if variance > 0 else 0.0))

    @property
    def informed(self) -> bool:
        return self.second_moment > 0 and self.one_shot > 0

    @property
    def signal(self) -> Signal:
        total = max(self.second_moment, 1e-12)
        apart = 1 - self.square_weight
        crossed = (float(self.gradient @ self.gradient) - self.self_product) / apart if apart > 1e-9 else 0.1 * total
        square = min(max(crossed, _WEAKEST * total), total)
        return Signal(square, total - square, max(self.one_shot, 1e-12))

    @property
    def words(self) -> dict[str, float]:
        signal = self.signal
        return {"signal": signal.square, "spread": signal.spread}
