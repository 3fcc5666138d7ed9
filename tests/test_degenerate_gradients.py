"""Problems with little or nothing to find: stationary points, one parameter, none that moves, outputs that cannot."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from estimator_problems import (
    LOSSES,
    Array,
    draw,
    drive,
    exact_outputs,
    gradients_of,
    layered,
    problem_of,
    reduced,
    z_scores,
)
from fake_backends import Watched

from qstore_core.angles import Feature, Parameter
from qstore_core.circuit import QuantumCircuit
from qstore_core.estimators.adjoint import Adjoint
from qstore_core.estimators.finite_difference import FiniteDifference
from qstore_core.estimators.parameter_shift import ParameterShift
from qstore_core.estimators.spsa import SPSA
from qstore_core.observables import PauliString
from qstore_core.problem import GradientEstimator, GradientResult, Problem

SAMPLED = [
    SPSA(),
    SPSA(directions=3, shared_direction=True),
    SPSA(subsample=1),
    ParameterShift(),
    ParameterShift(coordinates=1),
    FiniteDifference(),
]
CASES = [
    pytest.param(estimator, shots, id=f"{type(estimator).__name__}{index}-{shots}")
    for shots in (None, 1, 3, 8)
    for index, estimator in enumerate([*SAMPLED, Adjoint()] if shots is None else SAMPLED)
]
every_case = pytest.mark.parametrize(("estimator", "shots"), CASES)


def sensible(result: GradientResult, shots: int | None) -> GradientResult:
    """Finite numbers, and a variance that is not negative; of the noise of one shot nothing is known."""
    assert np.isfinite(result.gradients).all()
    assert np.isfinite(result.function_value)
    assert np.isfinite(result.loss_gradients).all()
    if shots != 1 or result.method == "spsa":
        assert result.variance is not None
    assert result.variance is None or 0 <= result.variance < np.inf
    json.dumps(dict(result.metadata), allow_nan=False)
    return result


@every_case
class TestNothingMoves:
    @pytest.mark.parametrize(
        "kind", ["no parameters", "all frozen", "dead parameters", "half frozen, half dead", "no angles left"]
    )
    def test_the_gradient_is_zero_for_the_price_of_one_forward_batch(
        self, kind: str, estimator: GradientEstimator, shots: int | None, rng: np.random.Generator
    ) -> None:
        a, b, x = Parameter("a"), Parameter("b"), Feature("x")
        circuit, frozen = {
            "no parameters": (QuantumCircuit(2).ry(0, x).cnot(0, 1), []),
            "all frozen": (QuantumCircuit(2).ry(0, x + a).crx(0, 1, b), [0, 1]),
            "dead parameters": (QuantumCircuit(2).rz(0, a).ry(0, x).rzz(0, 1, b), []),
            "half frozen, half dead": (QuantumCircuit(2).ry(0, x + a).rz(1, b), [0]),
            "no angles left": (QuantumCircuit(3).ry(2, x + a).h(0).h(1), []),
        }[kind]
        for loss in LOSSES.values():
            problem = reduced(problem_of(circuit, ["Z0", "Z0 Z1"], rng, loss=loss, shots=shots, frozen=frozen))
            assert not problem.active.any()
            backend = Watched()
            result = sensible(drive(estimator, problem, np.ones(len(problem.trained)), backend=backend), shots)
            assert result.gradients.tolist() == [0.0] * len(problem.trained)
            assert not result.variance
            assert result.n_jobs == len(backend.jobs) == 1
            assert result.n_circuit_executions == backend.circuits == result.metadata["samples"]

    def test_nor_does_an_output_that_is_a_number(
        self, estimator: GradientEstimator, shots: int | None, rng: np.random.Generator
    ) -> None:
        for loss in LOSSES.values():
            problem = problem_of(layered(3), [PauliString("I", 0.4)], rng, loss=loss, shots=shots)
            result = sensible(drive(estimator, problem, np.ones(3)), shots)
            assert result.gradients.tolist() == [0.0] * 3
            assert not result.variance
            assert result.n_shots == 0


@every_case
class TestLittleMoves:
    def test_one_parameter_and_one_sample_are_no_special_case(
        self, estimator: GradientEstimator, shots: int | None, rng: np.random.Generator
    ) -> None:
        for loss in LOSSES.values():
            problem = problem_of(layered(1), ["Z0"], rng, loss=loss, n_samples=1, shots=shots)
            for angle in (0.0, 0.8, np.pi / 2):
                result = sensible(drive(estimator, problem, np.array([angle])), shots)
                if shots is None:
                    exact = drive(Adjoint(), problem, np.array([angle])).gradients
                    np.testing.assert_allclose(result.gradients, exact, rtol=0.1, atol=0.1)  # SPSA's c is 0.3
                    assert result.variance == 0.0

    def test_at_an_extreme_of_every_output_the_gradient_is_zero(
        self, estimator: GradientEstimator, shots: int | None, rng: np.random.Generator
    ) -> None:
        """A rotation from |0> does not change <Z> to first order, and its two sides are mirror images."""
        circuit = QuantumCircuit(2).ry(0, Parameter("a")).rx(1, Parameter("b"))
        for loss in LOSSES.values():
            problem = problem_of(circuit, ["Z0", "Z1"], rng, loss=loss, shots=shots)
            result = sensible(drive(estimator, problem, np.zeros(2)), shots)
            if shots is None:
                np.testing.assert_allclose(result.gradients, 0.0, rtol=0, atol=1e-9)
                assert result.variance is not None
                assert result.variance < 1e-18


class TestReachedTargets:
    @pytest.fixture
    def problem(self, rng: np.random.Generator) -> Problem:
        problem = problem_of(layered(3), ["Z0", "Z1"], rng)
        return replace(problem, targets=exact_outputs(problem, self.theta())[0])

    @staticmethod
    def theta() -> Array:
        return np.array([0.4, -0.7, 1.1])

    @pytest.mark.parametrize(
        "estimator", [Adjoint(), ParameterShift(), FiniteDifference()], ids=lambda e: type(e).__name__
    )
    def test_the_exact_gradient_is_zero(self, estimator: GradientEstimator, problem: Problem) -> None:
        result = sensible(drive(estimator, problem, self.theta()), None)
        np.testing.assert_allclose(result.gradients, 0.0, rtol=0, atol=1e-14)
        assert result.function_value == pytest.approx(0.0, abs=1e-28)

    @pytest.mark.parametrize("estimator", [ParameterShift(), ParameterShift(coordinates=1)], ids=["all", "one"])
    @pytest.mark.parametrize("shots", [1, 8])
    def test_so_is_the_mean_of_sampled_ones_with_all_of_their_variance_from_shots(
        self, estimator: GradientEstimator, shots: int, problem: Problem
    ) -> None:
        """Three means within five standard errors: passed by chance once in 580,000 seeds."""
        results = draw(estimator, replace(problem, shots=shots), self.theta(), 2000)
        draws = gradients_of(results)
        assert np.abs(z_scores(draws, 0.0)).max() < 5
        if shots > 1:
            told = np.mean([sensible(result, shots).variance for result in results])
            assert told / draws.var(axis=0, ddof=1).sum() == pytest.approx(1.0, abs=0.2)

    def test_a_target_that_shots_cannot_miss_gives_zero_without_variance(self, rng: np.random.Generator) -> None:
        circuit = QuantumCircuit(1).ry(0, Parameter("a"))
        problem = replace(problem_of(circuit, ["Z0"], rng, shots=8), targets=np.ones((3, 1)))
        for estimator in (ParameterShift(), FiniteDifference()):
            result = sensible(drive(estimator, problem, np.zeros(1)), 8)
            assert result.gradients.tolist() == [0.0]
            assert result.variance == 0.0
