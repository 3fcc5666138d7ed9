"""The default method: the cheapest right one, by the backend's prices and by what the steps so far have shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from math import inf, sqrt
from numbers import Real
from typing import Any, Self

from qstore_core.arrays import FloatArray
from qstore_core.errors import ConfigurationError
from qstore_core.estimators.adjoint import Adjoint
from qstore_core.estimators.parameter_shift import ParameterShift
from qstore_core.estimators.planning import FEWEST_SHOTS, Landscape, Plan, Planner, Reading
from qstore_core.estimators.signal import Signal, SignalAverages
from qstore_core.estimators.spsa import SPSA
from qstore_core.problem import (
    GradientEstimator,
    GradientResult,
    Problem,
    Rounds,
    State,
    require_positive,
)
from qstore_core.randomness import StepKey

_GUESS = Signal(square=0.1, spread=0.9, one_shot=1.0)
"""What is assumed before anything was measured; only the ratios matter."""

_EVERY = 10
"""Steps between two looks for a better plan."""

_BETTER = 0.9
"""A plan is changed for one that costs at most this share of it: shot counts that wander cost compilations."""

_FIRST, _LONGEST, _FACTOR = 0.2, 0.3, 20.0
_NOISY, _DECAY = 50.0, 0.75

_WARM = 300.0
"""The noise that is taken to have gone in before a warm start: long steps would lose what it brought."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptive:
    """Plans each step of a sampled run to bring the loss down most cheaply; exact runs take the exact gradient.

    Exact (shots None): `adjoint` where the backend offers it, else `parameter_shift`.

    Sampled: method, samples, directions and shots minimise `(G + kappa V) price` over a grid. G is the squared norm of
    the gradient and V the variance of its estimate (`Landscape.variance`), both from the steps so far; the price is the
    backend's own. Backends without prices are planned with 0.30 USD a circuit and 0.00145 USD a shot, as if on
    hardware. A step takes the samples that the plan says, whatever the loader's batches are; the configured shots are
    the most that a circuit gets; towards the end of a budget plans become smaller. All of it follows from results and
    declared prices, never from measured times, so a run can be repeated. The metadata of a step has its plan, the
    variance that was predicted and that observed, and the reason.

    The optimiser's step is multiplied with

        min(20, 0.2/learning_rate) sqrt(V1/V) / (1 + N/50)^0.75,    N = sum of V/(G+V) V1/V over the steps so far,

    where V1 is the variance of two samples with one direction each. A precise estimate makes a long step, and steps
    shrink with the noise that went in, as Robbins and Monro's do; without noise they do not. No step is longer than
    0.3 radians for Adam's parameters, or the learning rate if that is more. The constants were chosen on other seeds
    and fewer tasks than `benchmarks/cost_to_target.py` compares.

    Attributes:
        spsa: The estimator of SPSA's steps, for its `c`.
        kappa: Learning rate times curvature: how much noise costs beside the lack of signal.
        reading: "dearer" or "cheaper": which reading of the prices is planned on.
        learning_rate: The optimiser's, which bounds how far a step may be scaled.
        job_value: What it is worth to you to wait for one job less, US dollars. It is planned with beside the prices
            and charged to nobody: the more, the larger the steps and the fewer the jobs.
    """

    spsa: SPSA = field(default_factory=SPSA)
    kappa: float = 0.1
    reading: Reading = "dearer"
    learning_rate: float = 0.01
    job_value: float = 0.0

    def __post_init__(self) -> None:
        require_positive("kappa", self.kappa)
        require_positive("learning_rate", self.learning_rate)
        if self.reading not in ("dearer", "cheaper"):
            raise ConfigurationError(f"reading is 'dearer' or 'cheaper', not {self.reading!r}")
        if not isinstance(self.job_value, Real) or isinstance(self.job_value, bool) or not 0 <= self.job_value < inf:
            raise ConfigurationError(f"job_value is a number of US dollars of at least 0, not {self.job_value!r}")

    def start(self, problem: Problem, parameters: FloatArray) -> State:
        """The first plan; for exact runs the state of the exact method."""
        if problem.shots is None:
            return _exact(problem).start(problem, parameters)
        found = self._planner(problem, problem.shots).best(_GUESS)
        plan = Plan("spsa", 2, 1, min(problem.shots, FEWEST_SHOTS)) if found is None else found.plan
        return _Course(
            plan,
            f"first plan, for {_EVERY} steps: by prices alone, before anything was measured",
            0,
            0.0,
            SignalAverages.empty(len(parameters)),
        ).to_state()

    def warmed(self, problem: Problem, state: State) -> State:
        """With steps a quarter as long, for parameters that are good already."""
        return state if problem.shots is None else replace(_Course.of(state), noise=_WARM).to_state()

    def wanted_samples(self, state: State) -> int | None:
        """How many samples the next step takes; None, for exact runs: a batch of the loader."""
        return _Course.of(state).plan.samples if state is not None else None

    def gradient(self, problem: Problem, parameters: FloatArray, state: State, key: StepKey) -> Rounds:
        """One step as planned, on all samples of `problem`."""
        if problem.shots is None:
            return (yield from _exact(problem).gradient(problem, parameters, state, key))
        course, planner = _Course.of(state), self._planner(problem, problem.shots)
        plan = replace(course.plan, samples=problem.n_samples)
        result, _ = yield from self._method(plan).gradient(replace(problem, shots=plan.shots), parameters, 0, key)
        course = replace(course, averages=course.averages.after(result))
        variance = planner.landscape.variance(plan, course.averages.signal)
        precision = _precision(planner.landscape, plan, course.averages.signal)
        factor = self._factor(course, precision)
        told = _told(result, planner, plan, course, factor)
        answer = replace(result, total_variance=variance, learning_rate_factor=factor, metadata=told)
        return answer, self._after(planner.after(plan), course.after(variance, precision)).to_state()

    def _planner(self, problem: Problem, shots: int) -> Planner:
        most = min(shots, problem.capabilities.max_shots or shots)
        c = self.spsa.step_size(max(1, int(problem.active.sum())), 0)
        ground = Landscape.of(problem, c)
        return Planner(problem, ground, most, kappa=self.kappa, reading=self.reading, job_value=self.job_value)

    def _method(self, plan: Plan) -> GradientEstimator:
        return replace(self.spsa, directions=plan.directions) if plan.method == "spsa" else ParameterShift()

    def _factor(self, course: _Course, precision: float) -> float:
        first = max(1.0, min(_FACTOR, _FIRST / self.learning_rate))
        most = max(1.0, _LONGEST / self.learning_rate)
        return min(most, first * sqrt(precision) * float((1 + course.noise / _NOISY) ** -_DECAY))

    def _after(self, planner: Planner, course: _Course) -> _Course:
        """With another plan, if it is time to look for one and there is a better one."""
        signal = course.averages.signal
        present = planner.weigh(course.plan, signal)
        due = course.steps % _EVERY == 0 and course.averages.informed
        if present is not None and not due and not course.squeezed:
            return course
        best = planner.best(signal)
        if best is None or best.plan == course.plan:
            return replace(course, reason="kept: no plan makes progress cheaper")
        if present is None:
            reason = f"the budget has no room for {course.plan}"
            return replace(course, plan=best.plan, reason=reason, squeezed=True)
        saved = 100 * (1 - best.merit / present.merit)
        if best.merit > _BETTER * present.merit:
            words = f"would save {saved:.0f}%, under 10%" if saved >= 1 else "is no cheaper, with fewer steps"
            return replace(course, reason=f"kept: the best plan, {best.plan}, {words}", squeezed=False)
        reason = f"progress {saved:.0f}% cheaper than with {course.plan}"
        return replace(course, plan=best.plan, reason=reason, squeezed=False)


@dataclass(frozen=True, slots=True, eq=False)
class _Course:
    """What is carried from step to step.

    Attributes:
        plan: How the next step is made.
        reason: Why.
        steps: Steps done.
        noise: The noise that went in, in steps of two samples with one direction each.
        averages: What the steps have shown.
        squeezed: Whether the plan is smaller than it should be, for want of budget: looked at again at each step.
    """

    plan: Plan
    reason: str
    steps: int
    noise: float
    averages: SignalAverages
    squeezed: bool = False

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Self:
        """What `to_state` gave."""
        return cls(**{**state, "plan": Plan(**state["plan"]), "averages": SignalAverages.of(state["averages"])})

    def to_state(self) -> State:
        """Plain values, for a checkpoint."""
        plain = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {**plain, "plan": asdict(self.plan), "averages": self.averages.to_state()}

    def after(self, variance: float, precision: float) -> Self:
        """One step of that variance later."""
        share = variance / (self.averages.signal.square + variance)
        return replace(self, steps=self.steps + 1, noise=self.noise + share * precision)


def _exact(problem: Problem) -> GradientEstimator:
    return Adjoint() if problem.capabilities.adjoint else ParameterShift()


def _precision(landscape: Landscape, plan: Plan, signal: Signal) -> float:
    """How much less variance a plan has than two samples with one direction each."""
    usual = landscape.variance(Plan("spsa", 2, 1, plan.shots), signal)
    variance = landscape.variance(plan, signal)
    return usual / variance if variance > 0 else 1.0


def _told(result: GradientResult, planner: Planner, plan: Plan, course: _Course, factor: float) -> dict[str, Any]:
    """The step's decision, for its metadata."""
    signal = course.averages.signal
    choice = planner.weigh(plan, signal)
    return {
        **result.metadata,
        "directions": plan.directions,
        "shots_per_circuit": plan.shots,
        "signal": signal.square,
        "spread": signal.spread,
        "predicted_variance": planner.landscape.variance(plan, signal),
        "observed_variance": _observed(result, planner.landscape, plan),
        "planned_usd": None if choice is None else choice.usd,
        "planned_with": "the backend's prices" if planner.declared else "reference prices: the backend declares none",
        "learning_rate_factor": factor,
        "reason": course.reason,
    }


def _observed(result: GradientResult, landscape: Landscape, plan: Plan) -> float | None:
    """The variance between the step's samples, of all sources, as the variance of their mean; one sample has none.

    `(mean |c|^2 - |mean c|^2) / (B - 1)` with c what a sample contributes to the gradient.
    """
    if plan.samples < 2:
        return None
    told = result.metadata
    own = Signal(0.0, told["second_moment"], told["one_shot_variance"])
    square = landscape.variance(replace(plan, samples=1), own)
    return (square - float(result.gradients @ result.gradients)) / (plan.samples - 1)
