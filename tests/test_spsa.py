"""SPSA: its expectation over every direction, its directions, steps and subsamples."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from estimator_problems import (
    KEY,
    LOSSES,
    Array,
    all_signs,
    draw,
    drive,
    exact_outputs,
    gradients_of,
    layered,
    mock,
    problem_of,
    with_loss,
    z_scores,
)
from fake_backends import Watched

from qstore_core.angles import Feature, Parameter
from qstore_core.circuit import QuantumCircuit
from qstore_core.errors import ConfigurationError
from qstore_core.estimators.adjoint import Adjoint
from qstore_core.estimators.spsa import SPSA
from qstore_core.executor import Executor
from qstore_core.observables import PauliString
from qstore_core.problem import Problem
from qstore_core.randomness import StepKey


class EveryDirection(SPSA):
    """SPSA along every direction there is, each once, for every sample."""

    def _directions(self, n_samples: int, count: int, n_active: int, key: StepKey) -> Array:
        signs = all_signs(n_active)
        return np.broadcast_to(signs[:, None], (len(signs), n_samples, n_active))


def output_gradient(loss: str, outputs: Array, targets: Array) -> Array:
    """The derivatives of the losses written down once more, for outputs `(n_rows, n_samples, n_outputs)`."""
    n_samples, n_outputs = targets.shape
    if loss == "mse":
        return 2 * (outputs - targets) / (n_samples * n_outputs)
    if loss == "callable":  # cosh^2
        return np.sinh(2 * (outputs - targets)) / (n_samples * n_outputs)
    right = np.where(targets == targets.max(axis=1, keepdims=True), 1.0, 0.0)
    odds = np.exp(4.0 * outputs)
    return 4.0 * (odds / odds.sum(axis=-1, keepdims=True) - right) / n_samples


def enumerated(problem: Problem, loss: str, parameters: Array, c: float) -> Array:
    """The expectation of SPSA over its directions, of exact outputs at every corner of the cube."""
    signs = all_signs(len(parameters))
    above, below = (exact_outputs(problem, parameters + side * c * signs) for side in (1, -1))
    slopes = np.sum(output_gradient(loss, (above + below) / 2, problem.targets) * (above - below), axis=2) / (2 * c)
    return slopes.sum(axis=1) @ signs / len(signs)


@pytest.fixture
def small(rng: np.random.Generator) -> Problem:
    """Five parameters, two samples, two outputs whose targets are those of two classes."""
    w, x = Parameter.vector("w", 5), Feature("x")
    circuit = QuantumCircuit(2).ry(0, w[0] + x).ry(1, w[1]).crx(0, 1, w[2]).rzz(0, 1, w[3]).rx(0, w[4]).ry(1, x)
    problem = problem_of(circuit, [PauliString("Z0") + 0.5 * PauliString("X1"), "Y0 Z1"], rng, n_samples=2)
    return replace(problem, targets=np.array([[1.0, -1.0], [-1.0, 1.0]]))


class TestExpectation:
    @pytest.mark.parametrize("loss", list(LOSSES))
    @pytest.mark.parametrize("n_parameters", [1, 4, 10])
    def test_the_mean_over_all_directions_is_the_enumerated_one(
        self, n_parameters: int, loss: str, rng: np.random.Generator
    ) -> None:
        problem = problem_of(layered(n_parameters), ["Z0", "Z0 Z1"], rng, n_samples=2, loss=LOSSES[loss])
        problem = replace(problem, targets=np.array([[1.0, -1.0], [-1.0, 1.0]]))
        parameters, tolerance = rng.normal(size=n_parameters), 1e-10
        if loss == "callable":
            tolerance = 1e-9  # it is differentiated by differences that are no better
        found = drive(EveryDirection(c=0.3), problem, parameters)
        assert found.metadata["directions"] == 2**n_parameters
        np.testing.assert_allclose(found.gradients, enumerated(problem, loss, parameters, 0.3), rtol=0, atol=tolerance)

    def test_for_a_mean_squared_error_it_is_that_of_spalls_differences_of_the_loss(
        self, small: Problem, rng: np.random.Generator
    ) -> None:
        parameters, c, signs = rng.normal(size=5), 0.3, all_signs(5)
        above, below = (
            np.array([small.loss_of(row).value for row in exact_outputs(small, parameters + side * c * signs)])
            for side in (1, -1)
        )
        spall = (above - below) @ signs / (2 * c) / len(signs)
        np.testing.assert_allclose(drive(EveryDirection(c=c), small, parameters).gradients, spall, rtol=0, atol=1e-10)

    @pytest.mark.parametrize("loss", list(LOSSES))
    def test_it_tends_to_the_gradient_with_the_square_of_c(
        self, loss: str, small: Problem, rng: np.random.Generator
    ) -> None:
        problem, parameters = with_loss(small, LOSSES[loss]), rng.normal(size=5)
        gradient = drive(Adjoint(), problem, parameters).gradients
        errors = [
            float(np.linalg.norm(drive(EveryDirection(c=c), problem, parameters).gradients - gradient))
            for c in (0.1, 0.05, 0.025)
        ]
        assert errors[0] < 0.05 * max(1.0, float(np.linalg.norm(gradient)))
        assert errors[0] / errors[1] == pytest.approx(4.0, abs=0.2)
        assert errors[1] / errors[2] == pytest.approx(4.0, abs=0.1)

    @pytest.mark.parametrize("options", [{}, {"directions": 3}, {"shared_direction": True}, {"subsample": 1}], ids=repr)
    def test_random_directions_have_that_mean(
        self, options: dict[str, Any], small: Problem, rng: np.random.Generator
    ) -> None:
        """Five means over 1,000 steps each within five standard errors: passed by chance once in 350,000 seeds."""
        parameters = rng.normal(size=5)
        draws = gradients_of(draw(SPSA(c=0.3, **options), small, parameters, 1000))
        assert np.abs(z_scores(draws, enumerated(small, "mse", parameters, 0.3))).max() < 5


class TestDirections:
    def test_each_sample_has_its_own_of_plus_and_minus_c_on_active_parameters(self, rng: np.random.Generator) -> None:
        circuit = QuantumCircuit(1)
        for each in Parameter.vector("w", 8):
            circuit = circuit.ry(0, each)  # an angle is a parameter
        backend = Watched()
        problem = problem_of(circuit, ["Z0"], rng, n_samples=200, frozen=[3])
        drive(SPSA(c=0.25), problem, np.ones(8), backend=backend)
        above, below = np.split((backend.jobs[0].angles - 1.0) / 0.25, 2)
        np.testing.assert_allclose(above, -below, rtol=0, atol=1e-12)
        np.testing.assert_allclose(np.delete(np.abs(above), 3, axis=1), 1.0)
        assert (above[:, 3] == 0).all()
        # column sums of 200 signs stay within 5.3 standard deviations in all 7 but once in 10^6 seeds
        assert np.abs(above.sum(axis=0)).max() < 5.3 * np.sqrt(200)

    def test_a_shared_one_is_that_of_all_samples_and_several_differ(self, rng: np.random.Generator) -> None:
        backend = Watched()
        problem = problem_of(layered(12), ["Z0 Z1"], rng, n_samples=3)
        problem = replace(problem, features=np.zeros((3, 1)))
        drive(SPSA(directions=2, shared_direction=True), problem, np.zeros(12), backend=backend)
        angles = backend.jobs[0].angles.reshape(2, 2, 3, -1)
        assert (angles == angles[:, :, :1]).all()
        assert (angles[0, 0] != angles[1, 0]).any()

    def test_they_change_with_the_step_and_repeat_with_the_key(self, small: Problem) -> None:
        estimator, parameters = SPSA(), np.zeros(5)
        one, same = (drive(estimator, small, parameters, key=KEY).gradients for _ in range(2))
        np.testing.assert_array_equal(one, same)
        assert (drive(estimator, small, parameters, key=KEY.at(4)).gradients != one).any()
        assert (drive(estimator, small, parameters, key=replace(KEY, seed=8)).gradients != one).any()

    def test_the_first_step_may_take_others(self, small: Problem) -> None:
        estimator, executor = SPSA(directions=2, first_directions=7), Executor(mock())
        for state, expected in ((0, 7), (1, 2)):
            result, _ = asyncio.run(executor.drive(estimator.gradient(small, np.zeros(5), state, KEY)))
            assert result.metadata["directions"] == expected
            assert result.n_circuit_executions == 2 * expected * small.n_samples


def test_the_state_counts_steps_and_shrinks_c(small: Problem) -> None:
    estimator, parameters = SPSA(c=0.4, decay=0.5), np.zeros(5)
    assert estimator.start(small, parameters) == 0
    result, state = asyncio.run(Executor(mock()).drive(estimator.gradient(small, parameters, 3, KEY)))
    assert state == 4
    assert result.metadata["c"] == pytest.approx(0.4 / 4**0.5)


def test_c_follows_the_active_parameters_alone(rng: np.random.Generator) -> None:
    problem = problem_of(layered(30), ["Z0 Z1"], rng, frozen=range(5))
    assert drive(SPSA(), problem, np.zeros(30)).metadata["c"] == pytest.approx(0.2)


class TestSubsample:
    @pytest.fixture
    def circuit(self) -> QuantumCircuit:
        return QuantumCircuit(1).rx(0, Feature("x")).ry(0, Parameter("w"))

    def test_it_is_some_of_the_samples_each_once(self, circuit: QuantumCircuit, rng: np.random.Generator) -> None:
        backend = Watched()
        problem = problem_of(circuit, ["Z0"], rng, n_samples=9)
        result = drive(SPSA(subsample=4), problem, np.zeros(1), backend=backend)
        assert result.n_circuit_executions == backend.circuits == 2 * 4
        used = backend.jobs[0].angles[:4, 0]
        assert len(set(used)) == 4
        assert set(used) <= set(problem.features[:, 0])
        assert result.metadata["samples"] == 4

    def test_other_steps_take_others(self, circuit: QuantumCircuit, rng: np.random.Generator) -> None:
        backend = Watched()
        problem = problem_of(circuit, ["Z0"], rng, n_samples=6)
        for step in range(30):
            drive(SPSA(subsample=2), problem, np.zeros(1), key=KEY.at(step), backend=backend)
        # each of six samples is left out of thirty thirds with probability (2/3)^30, 5e-6
        assert {angle for batch in backend.jobs for angle in batch.angles[:, 0]} == set(problem.features[:, 0])

    def test_one_as_large_as_the_batch_is_the_batch(self, small: Problem) -> None:
        whole = drive(SPSA(), small, np.zeros(5)).gradients
        np.testing.assert_array_equal(drive(SPSA(subsample=2), small, np.zeros(5)).gradients, whole)
        np.testing.assert_array_equal(drive(SPSA(subsample=50), small, np.zeros(5)).gradients, whole)


class TestSettings:
    @pytest.mark.parametrize("c", [0, -0.1, float("nan"), float("inf"), "0.1", True], ids=repr)
    def test_c_is_a_number_above_zero(self, c: Any) -> None:
        with pytest.raises(ConfigurationError, match="c is a number above 0, not"):
            SPSA(c=c)

    @pytest.mark.parametrize("name", ["directions", "first_directions", "subsample"])
    @pytest.mark.parametrize("value", [0, -3, 1.5], ids=repr)
    def test_counts_are_at_least_one(self, name: str, value: Any) -> None:
        with pytest.raises(ConfigurationError, match=f"{name} is a whole number of at least 1, not {value}"):
            SPSA(**{name: value})

    def test_decay_is_not_negative(self) -> None:
        with pytest.raises(ConfigurationError, match=r"decay is at least 0, not -0\.1"):
            SPSA(decay=-0.1)
