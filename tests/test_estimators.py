"""What holds for every gradient estimator, and which one `adaptive` picks.

Each has tests of its own: `test_exact_gradients.py`, `test_parameter_shift.py` and `test_spsa.py`; what all of them
count, and their statistics, are in `test_estimator_counts.py`, `test_estimator_statistics.py` and `test_noise.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from estimator_problems import Array, drive, every_gate, mock, problem_of

from qstore_core.estimators.adaptive import Adaptive
from qstore_core.estimators.adjoint import Adjoint
from qstore_core.estimators.finite_difference import FiniteDifference
from qstore_core.estimators.parameter_shift import ParameterShift
from qstore_core.estimators.spsa import SPSA
from qstore_core.observables import PauliSum
from qstore_core.problem import Problem, SampleChooser


@pytest.fixture
def problem(rng: np.random.Generator, random_observables: Callable[..., tuple[PauliSum, ...]]) -> Problem:
    return problem_of(every_gate(rng), random_observables(rng, 3, size=3), rng)


@pytest.fixture
def theta(rng: np.random.Generator) -> Array:
    return rng.normal(size=6)


class TestAdaptive:
    @pytest.mark.parametrize(
        ("options", "shots", "method"),
        [
            ({}, None, "adjoint"),
            ({"readout_error": 0.01}, None, "parameter_shift"),
            ({}, 100, "spsa"),
            ({"depolarizing": 0.01}, 100, "spsa"),
        ],
        ids=["exact", "noisy", "sampled", "sampled and noisy"],
    )
    def test_it_picks_the_cheapest_right_method(
        self, options: dict[str, float], shots: int | None, method: str, problem: Problem, theta: Array
    ) -> None:
        backend = mock(**options)
        problem = replace(problem, shots=shots, capabilities=backend.capabilities)
        assert drive(Adaptive(), problem, theta, backend=backend).method == method

    def test_it_is_the_method_it_picks(self, problem: Problem, theta: Array) -> None:
        sampled = replace(problem, shots=30)
        mine = Adaptive(spsa=SPSA(c=0.2))
        plan = mine.start(sampled, theta)["plan"]
        found = drive(mine, sampled, theta)
        assert plan["method"] == found.method == "spsa"
        same = drive(SPSA(c=0.2, directions=plan["directions"]), replace(problem, shots=plan["shots"]), theta)
        np.testing.assert_array_equal(found.gradients, same.gradients)
        assert (found.n_circuit_executions, found.n_shots) == (same.n_circuit_executions, same.n_shots)
        assert found.variance == same.variance

    def test_exact_it_keeps_what_the_method_it_picks_keeps(self, problem: Problem, theta: Array) -> None:
        assert Adaptive().start(problem, theta) == Adjoint().start(problem, theta)
        np.testing.assert_array_equal(
            drive(Adaptive(), problem, theta).gradients, drive(Adjoint(), problem, theta).gradients
        )

    @pytest.mark.parametrize("shots", [1, 7, 30, 100_000])
    def test_the_shots_of_the_configuration_are_the_most(self, shots: int, problem: Problem, theta: Array) -> None:
        found = drive(Adaptive(), replace(problem, shots=shots), theta)
        assert 0 < found.n_shots <= shots * found.n_circuit_executions
        plan = Adaptive().start(replace(problem, shots=shots), theta)["plan"]
        assert found.n_shots == plan["shots"] * found.n_circuit_executions

    def test_it_says_how_many_samples_a_step_takes_when_it_samples(self, problem: Problem, theta: Array) -> None:
        estimator = Adaptive()
        assert isinstance(estimator, SampleChooser)
        assert estimator.wanted_samples(estimator.start(problem, theta)) is None
        state = estimator.start(replace(problem, shots=30), theta)
        assert estimator.wanted_samples(state) == state["plan"]["samples"]
        assert estimator.start(replace(problem.subset(np.array([0])), shots=30), theta)["plan"] == state["plan"]


def test_a_gradient_comes_with_its_method_and_time(problem: Problem, theta: Array) -> None:
    for estimator, name in (
        (SPSA(), "spsa"),
        (ParameterShift(), "parameter_shift"),
        (Adjoint(), "adjoint"),
        (FiniteDifference(), "finite_difference"),
    ):
        result = drive(estimator, problem, theta)
        assert result.method == name
        assert result.computation_time_ms > 0
