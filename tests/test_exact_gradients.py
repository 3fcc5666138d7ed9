"""Exact gradients against sixth-order central differences of the exact loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from estimator_problems import (
    LOSSES,
    Array,
    differences,
    drive,
    every_gate,
    exact_outputs,
    mock,
    problem_of,
    reduced,
    with_loss,
)

from qstore_core.angles import Feature, Parameter
from qstore_core.circuit import QuantumCircuit
from qstore_core.errors import CapabilityError, ConfigurationError
from qstore_core.estimators.adjoint import Adjoint
from qstore_core.estimators.finite_difference import FiniteDifference
from qstore_core.estimators.parameter_shift import ParameterShift
from qstore_core.observables import PauliSum
from qstore_core.problem import GradientEstimator, Problem

EXACT = [Adjoint(), ParameterShift()]


@pytest.fixture
def problem(rng: np.random.Generator, random_observables: Callable[..., tuple[PauliSum, ...]]) -> Problem:
    """Every gate, repeated and scaled parameters, features between them, three Pauli sums in several bases."""
    return problem_of(every_gate(rng), random_observables(rng, 3, size=3), rng)


@pytest.fixture
def theta(rng: np.random.Generator) -> Array:
    return rng.normal(size=6)


class TestAgainstDifferences:
    @pytest.mark.parametrize("seed", range(100))
    def test_adjoint_and_parameter_shift_are_the_gradient_on_random_circuits_of_every_gate(
        self, seed: int, random_observables: Callable[..., tuple[PauliSum, ...]]
    ) -> None:
        """As the circuit is written, and as models run it: smaller, with its Clifford tail in the observables."""
        rng = np.random.default_rng(seed)
        n_qubits, loss = 3 + seed % 3, list(LOSSES.values())[seed // 3 % 3]
        circuit, observables = every_gate(rng, n_qubits).y(0), random_observables(rng, n_qubits, size=1 + seed % 2)
        problem, parameters = problem_of(circuit, observables, rng, loss=loss, n_samples=2), rng.normal(size=6)
        small = reduced(problem)
        assert len(small.structure.gates) < len(problem.structure.gates)
        expected = differences(problem, parameters)
        assert np.abs(expected).max() > 1e-4  # of a confident cross-entropy it is small
        for estimator in EXACT:
            for each in (problem, small):
                found = drive(estimator, each, parameters)
                np.testing.assert_allclose(found.gradients, expected, rtol=0, atol=1e-7)
                assert found.variance == 0.0

    @pytest.mark.parametrize("seed", range(6))
    def test_and_on_circuits_of_which_a_part_is_dead(
        self,
        seed: int,
        random_circuit: Callable[..., QuantumCircuit],
        random_observables: Callable[..., tuple[PauliSum, ...]],
    ) -> None:
        rng = np.random.default_rng(seed)
        symbols = (*Parameter.vector("w", 4), *Feature.vector("x", 2))
        circuit = random_circuit(rng, 4, length=40, symbols=symbols)
        problem = problem_of(circuit, random_observables(rng, 2, size=2), rng)
        parameters = rng.normal(size=len(circuit.parameters))
        expected, small = differences(problem, parameters), reduced(problem)
        for estimator in (*EXACT, FiniteDifference()):
            for each in (problem, small):
                found = drive(estimator, each, parameters).gradients
                np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)

    @pytest.mark.parametrize("loss", list(LOSSES))
    @pytest.mark.parametrize("estimator", [*EXACT, FiniteDifference()], ids=lambda estimator: type(estimator).__name__)
    def test_the_loss_and_the_gradient_by_its_own_parameters_come_along(
        self, estimator: GradientEstimator, loss: str, problem: Problem, theta: Array
    ) -> None:
        problem = with_loss(problem, LOSSES[loss])
        result, exact = drive(estimator, problem, theta), problem.loss_of(exact_outputs(problem, theta)[0])
        np.testing.assert_allclose(result.gradients, differences(problem, theta), rtol=0, atol=1e-6)
        assert result.function_value == pytest.approx(exact.value, abs=1e-12)
        np.testing.assert_allclose(result.loss_gradients, exact.parameter_gradient, rtol=0, atol=1e-12)

    def test_parameter_shift_holds_on_a_noisy_backend(self, problem: Problem, theta: Array) -> None:
        noisy = mock(depolarizing=0.02, readout_error=0.05)
        found = drive(ParameterShift(), problem, theta, backend=noisy).gradients
        np.testing.assert_allclose(found, differences(problem, theta, noisy), rtol=0, atol=1e-7)
        assert np.abs(found - differences(problem, theta)).max() > 1e-3


class TestAdjoint:
    def test_shots_are_refused(self, problem: Problem, theta: Array) -> None:
        with pytest.raises(CapabilityError, match=r"'adjoint' is exact: set shots_per_circuit=None \(it is 100\)"):
            Adjoint().start(replace(problem, shots=100), theta)

    def test_a_noisy_backend_is_refused(self, problem: Problem, theta: Array) -> None:
        noisy = replace(problem, capabilities=mock(depolarizing=0.01).capabilities)
        with pytest.raises(CapabilityError, match="'adjoint' needs a noiseless simulator that offers it; use 'param"):
            Adjoint().start(noisy, theta)


class TestFiniteDifference:
    def test_the_step_follows_the_shots(self, problem: Problem, theta: Array) -> None:
        assert drive(FiniteDifference(), problem, theta).metadata["difference"] == 1e-5
        sampled = drive(FiniteDifference(), replace(problem, shots=64), theta)
        assert sampled.metadata["difference"] == pytest.approx(0.5)
        assert drive(FiniteDifference(step=0.1), problem, theta).metadata["difference"] == 0.1

    @pytest.mark.parametrize("step", [0.0, -1e-3, float("nan"), "x"], ids=repr)
    def test_the_step_is_a_number_above_zero(self, step: Any) -> None:
        with pytest.raises(ConfigurationError, match="step is a number above 0, not"):
            FiniteDifference(step=step)
