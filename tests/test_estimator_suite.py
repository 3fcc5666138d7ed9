"""The suite of gradient estimators passes the built-in ones, and names what is wrong with others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pytest

from qstore_core import get_backend
from qstore_core.arrays import FloatArray
from qstore_core.estimators.adaptive import Adaptive
from qstore_core.estimators.adjoint import Adjoint
from qstore_core.estimators.finite_difference import FiniteDifference
from qstore_core.estimators.parameter_shift import ParameterShift
from qstore_core.estimators.spsa import SPSA
from qstore_core.problem import GradientEstimator, Problem, Rounds, State
from qstore_core.randomness import StepKey
from qstore_core.testing import GradientEstimatorSuite
from qstore_core.testing.expect import CheckFailedError


class TestBuiltIn(GradientEstimatorSuite):
    steps: ClassVar[int] = 100

    @pytest.fixture(params=[SPSA, ParameterShift, FiniteDifference, Adaptive], ids=lambda kind: kind.__name__)
    def make_estimator(self, request: pytest.FixtureRequest) -> Callable[[], GradientEstimator]:
        return request.param  # type: ignore[no-any-return]


class TestAdjoint(GradientEstimatorSuite):
    backend: ClassVar[Any] = partial(get_backend, "mock")
    steps: ClassVar[int] = 3

    @pytest.fixture
    def make_estimator(self) -> type[Adjoint]:
        return Adjoint


class Mutant:
    """Parameter shift with a fault."""

    caught_by: ClassVar[str]

    def __init__(self) -> None:
        self.inner = ParameterShift()
        self.steps = 0

    def start(self, problem: Problem, parameters: FloatArray) -> State:
        return None

    def gradient(self, problem: Problem, parameters: FloatArray, state: State, key: StepKey) -> Rounds:
        return self.inner.gradient(problem, parameters, state, key)


class WrongSign(Mutant):
    caught_by = "test_the_mean_of_exact_steps_is_the_derivative"

    def gradient(self, *arguments: Any) -> Rounds:
        result, state = yield from self.inner.gradient(*arguments)
        return replace(result, gradients=-result.gradients), state


class ForgetsItsShots(Mutant):
    caught_by = "test_it_asks_for_what_the_problem_allows"

    def gradient(self, problem: Problem, *arguments: Any) -> Rounds:
        return self.inner.gradient(replace(problem, shots=None), *arguments)


class OneLabelForEveryStep(Mutant):
    caught_by = "test_another_key_gives_other_draw_labels"

    def gradient(self, problem: Problem, parameters: FloatArray, state: State, key: StepKey) -> Rounds:
        return self.inner.gradient(problem, parameters, state, key.at(0))


class OneLabelForEveryCircuit(Mutant):
    caught_by = "test_different_circuits_of_a_step_have_different_labels"

    def gradient(self, *arguments: Any) -> Rounds:
        rounds = self.inner.gradient(*arguments)
        (batch,) = next(rounds)
        draws = None if batch.draws is None else np.full_like(batch.draws, batch.draws[0])
        results = yield (replace(batch, draws=draws),)
        try:
            rounds.send(results)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        raise AssertionError


class MovesWhatIsFrozen(Mutant):
    caught_by = "test_parameters_that_are_not_trained_have_gradient_0"

    def gradient(self, problem: Problem, *arguments: Any) -> Rounds:
        return self.inner.gradient(replace(problem, trained=np.ones_like(problem.trained)), *arguments)


class CountsOnItself(Mutant):
    caught_by = "test_it_keeps_nothing_outside_its_state"

    def gradient(self, *arguments: Any) -> Rounds:
        self.steps += 1
        result, state = yield from self.inner.gradient(*arguments)
        return replace(result, gradients=result.gradients / self.steps), state


class DrawsFromTheClock(Mutant):
    caught_by = "test_the_same_key_gives_the_same_circuits"

    def gradient(self, problem: Problem, parameters: FloatArray, state: State, key: StepKey) -> Rounds:
        return self.inner.gradient(problem, parameters + np.random.default_rng().normal(), state, key)


class StateOfObjects(Mutant):
    caught_by = "test_its_state_survives_a_checkpoint"

    def start(self, problem: Problem, parameters: FloatArray) -> State:
        return np.random.default_rng(1)


class WritesIntoTheParameters(Mutant):
    caught_by = "test_it_leaves_its_arguments_as_they_are"

    def gradient(self, problem: Problem, parameters: FloatArray, state: State, key: StepKey) -> Rounds:
        parameters += 0.1
        return self.inner.gradient(problem, parameters, state, key)


class BoastsOfItsPrecision(Mutant):
    caught_by = "test_the_variance_it_reports_is_that_of_its_steps"

    def gradient(self, *arguments: Any) -> Rounds:
        result, state = yield from self.inner.gradient(*arguments)
        return replace(result, variance=(result.variance or 0.0) / 100), state


class Short(GradientEstimatorSuite):
    steps = 60


@pytest.mark.parametrize("mutant", Mutant.__subclasses__(), ids=lambda mutant: mutant.__name__)
def test_a_wrong_estimator_is_caught_by_the_check_of_its_fault(mutant: type[Mutant]) -> None:
    with pytest.raises(CheckFailedError, match=r"\w"):
        getattr(Short(), mutant.caught_by)(mutant)
