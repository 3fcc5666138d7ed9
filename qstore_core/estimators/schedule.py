"""Several methods in one run, each at the steps that a schedule gives it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, TypeAlias

from qstore_core.arrays import FloatArray
from qstore_core.errors import ConfigurationError
from qstore_core.estimators.parameter_shift import ParameterShift
from qstore_core.estimators.spsa import SPSA
from qstore_core.problem import (
    GradientEstimator,
    Problem,
    Rounds,
    SampleChooser,
    State,
    require_positive,
    require_whole,
)
from qstore_core.randomness import StepKey

Maker: TypeAlias = Callable[[str, Mapping[str, Any]], GradientEstimator]
"""What makes an estimator of a name and options."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One method after another, or one in between the other; each has a state of its own.

    Either `steps`, or `every` and `stalled` or one of them. Steps are counted from 0 in `steps`; "every tenth step" is
    the tenth, the twentieth and so on. Metadata has the reason for each choice.

    Attributes:
        steps: From which step on which method is used; the first from step 0.
        first: The method where `then` has no turn.
        then: The method of the steps that `every` and `stalled` say.
        every: Each so-many-th step.
        stalled: Also the step after one whose loss was not lower by this share than the loss of the step before it.

    >>> schedule = Schedule(every=3)
    >>> [type(schedule.methods[schedule.choice(step, [])[0]]).__name__ for step in range(4)]
    ['SPSA', 'SPSA', 'ParameterShift', 'SPSA']
    """

    steps: tuple[tuple[int, GradientEstimator], ...] = ()
    first: GradientEstimator = field(default_factory=SPSA)
    then: GradientEstimator = field(default_factory=ParameterShift)
    every: int | None = None
    stalled: float | None = None

    def __post_init__(self) -> None:
        if bool(self.steps) == (self.every is not None or self.stalled is not None):
            raise ConfigurationError(
                "a schedule has either steps, such as [[0, 'spsa'], [200, 'parameter_shift']], or every=10 or "
                "stalled=0.01 or both, with the methods first and then"
            )
        if self.every is not None:
            require_whole("every", self.every)
        if self.stalled is not None:
            require_positive("stalled", self.stalled)
        starts = [step for step, _ in self.steps]
        if starts and (starts[0] != 0 or any(later <= earlier for earlier, later in pairwise(starts))):
            raise ConfigurationError(f"the steps of a schedule begin with 0 and rise, unlike {starts}")

    @property
    def methods(self) -> tuple[GradientEstimator, ...]:
        """The methods, in the order of the schedule."""
        return tuple(method for _, method in self.steps) or (self.first, self.then)

    def start(self, problem: Problem, parameters: FloatArray) -> State:
        """The states of all methods, so that one that cannot be is refused before the first step."""
        return {"step": 0, "losses": [], "methods": [method.start(problem, parameters) for method in self.methods]}

    def wanted_samples(self, state: State) -> int | None:
        """How many samples the method whose turn it is takes."""
        index, _ = self.choice(state["step"], state["losses"])
        method = self.methods[index]
        return method.wanted_samples(state["methods"][index]) if isinstance(method, SampleChooser) else None

    def gradient(self, problem: Problem, parameters: FloatArray, state: State, key: StepKey) -> Rounds:
        """One step of the method whose turn it is."""
        index, reason = self.choice(state["step"], state["losses"])
        states = list(state["methods"])
        result, states[index] = yield from self.methods[index].gradient(problem, parameters, states[index], key)
        losses = [*state["losses"][-1:], result.function_value]
        after = {"step": state["step"] + 1, "losses": losses, "methods": states}
        return replace(result, metadata={**result.metadata, "reason": reason}), after

    def choice(self, step: int, losses: Sequence[float]) -> tuple[int, str]:
        """Which of the methods makes a step, and why.

        Args:
            step: The step, from 0.
            losses: The losses of the two steps before it, or of those that there were.
        """
        if self.steps:
            index = sum(start <= step for start, _ in self.steps) - 1
            return index, f"from step {self.steps[index][0]}"
        if self.every is not None and (step + 1) % self.every == 0:
            return 1, f"every {self.every} steps"
        if self.stalled is not None and len(losses) == 2 and not _fell(*losses, share=self.stalled):
            return 1, f"the loss fell by less than {100 * self.stalled:g}%"
        return 0, "first"


def _fell(before: float, after: float, *, share: float) -> bool:
    return before - after >= share * abs(before)


def with_estimators(options: Mapping[str, Any], make: Maker) -> dict[str, Any]:
    """The options of a schedule, an estimator in place of each name, or of each `{"method": name, ...}` with options.

    Raises:
        ConfigurationError: Something else than those.

    >>> made = with_estimators({"then": {"method": "spsa", "c": 0.2}}, lambda name, options: SPSA(**options))
    >>> made["then"].c
    0.2
    """
    made: dict[str, Any] = {name: _made(options[name], make) for name in ("first", "then") if name in options}
    if "steps" in options:
        made["steps"] = tuple((step, _made(method, make)) for step, method in _pairs(options["steps"]))
    return {**options, **made}


def _pairs(steps: Any) -> Sequence[tuple[int, Any]]:
    if not isinstance(steps, list | tuple) or not all(
        isinstance(pair, list | tuple) and len(pair) == 2 for pair in steps
    ):
        raise ConfigurationError(
            f"steps is a list of steps and methods such as [[0, 'spsa'], [200, 'parameter_shift']], not {steps!r}"
        )
    for step, _ in steps:
        if not isinstance(step, int) or isinstance(step, bool):
            raise ConfigurationError(f"a step of a schedule is a whole number, not {step!r}")
    return steps


def _made(method: Any, make: Maker) -> GradientEstimator:
    described = {"method": method} if isinstance(method, str) else method
    if not isinstance(described, Mapping) or not isinstance(described.get("method"), str):
        raise ConfigurationError(
            "a method of a schedule is a name, or a dict with its options such as {'method': 'spsa', 'directions': 4}, "
            f"not {method!r}"
        )
    return make(described["method"], {name: value for name, value in described.items() if name != "method"})
