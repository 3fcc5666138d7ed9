"""The classes of Q-Store v3.3 that differentiate expectation values: parameter shifts, and the adaptive choice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from estimator_problems import Array
from facade_problems import NUMERIC, THETA, Called, build, differences, gradient, loss, spsa
from fake_backends import Yielding, mock

from qstore_core import (
    AdaptiveGradientEstimator,
    CircuitBatch,
    CircuitError,
    ConfigurationError,
    Executor,
    GradientResult,
    Parameter,
    ParameterShiftGradientEstimator,
    PauliString,
    PauliSum,
    Problem,
    QStoreError,
    QuantumCircuit,
    StepKey,
    UnknownNameError,
    estimates,
)
from qstore_core.facades.expectations import ExpectationFacade
from qstore_core.problem import Rounds


class TestParameterShift:
    @pytest.mark.parametrize("seed", range(4))
    def test_it_is_the_gradient_of_the_exact_loss(
        self,
        seed: int,
        random_circuit: Callable[..., QuantumCircuit],
        random_observables: Callable[..., tuple[PauliSum, ...]],
    ) -> None:
        rng = np.random.default_rng(seed)
        symbols = Parameter.vector("w", 5)
        circuit, observables = random_circuit(rng, 3, length=30, symbols=symbols), random_observables(rng, 3, size=3)
        theta = rng.normal(size=5)

        def builder(p: Any) -> QuantumCircuit:
            """The random circuit, gate by gate, with its angles computed from what it is given."""
            built = QuantumCircuit(3)
            for gate in circuit.operations:
                angle: Any = None
                if gate.angle is not None:
                    angle = gate.angle.offset
                    for symbol, weight in gate.angle.terms:
                        angle = angle + weight * p[symbols.index(symbol)]
                built = built.append(gate.name, gate.qubits, angle)
            return built

        def output_loss(outputs: Array) -> float:
            return float(np.cosh(outputs[0]) + outputs[1] * outputs[2] ** 2)

        def exact_loss(point: Array) -> float:
            batch = CircuitBatch(circuit.structure, builder(point).angles(), observables)
            (result,) = asyncio.run(Executor(mock()).run((batch,)))
            return output_loss(estimates(batch, result).values[0])

        for mode in ("auto", "light_cone", "none"):
            estimator = ParameterShiftGradientEstimator(mock(), observables, reduce=mode)
            result = gradient(estimator, builder, output_loss, theta, shots=None)
            np.testing.assert_allclose(result.gradients, differences(exact_loss, theta), rtol=0, atol=1e-6)
            assert result.function_value == pytest.approx(exact_loss(theta), abs=1e-12)
            assert np.abs(result.gradients).max() > 0.05

    def test_a_shared_and_scaled_parameter_is_summed_over_its_gates(self) -> None:
        def shared(p: Any) -> QuantumCircuit:
            return QuantumCircuit(1).ry(0, p[0]).ry(0, 2 * p[0] + 0.1)

        result = gradient(ParameterShiftGradientEstimator(mock(), "Z0"), shared, None, [0.4], None)
        assert result.gradients[0] == pytest.approx(-3 * np.sin(3 * 0.4 + 0.1), abs=1e-12)

    def test_without_a_loss_it_is_that_of_the_first_output(self) -> None:
        result = gradient(ParameterShiftGradientEstimator(mock(), ["Z0", "Z1"]), build, None, THETA, shots=None)
        np.testing.assert_allclose(result.gradients, [-np.sin(THETA[0]), 0.0, 0.0], rtol=0, atol=1e-12)
        assert result.function_value == pytest.approx(np.cos(THETA[0]), abs=1e-12)

    def test_observables_may_come_with_the_call(self) -> None:
        estimator = ParameterShiftGradientEstimator(mock(), "Z0")
        for own in ("Z1", PauliString("Z1"), PauliSum.of("Z1"), ["Z1"]):
            found = gradient(estimator, build, None, THETA, shots=None, observables=own).gradients
            second = 2 * THETA[1] + THETA[2] - 0.3
            by_second = -np.cos(THETA[0]) * np.sin(second)
            expected = [-np.sin(THETA[0]) * np.cos(second), 2 * by_second, by_second]
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)

    def test_a_loss_of_results_is_refused_with_the_reason(self) -> None:
        backend = Yielding()
        with pytest.raises(ConfigurationError, match="needs observables") as caught:
            gradient(ParameterShiftGradientEstimator(backend), build, loss, THETA)
        assert "is not its gradient unless the loss is linear" in str(caught.value)
        assert "use SPSAGradientEstimator" in str(caught.value)
        assert not backend.jobs

    @pytest.mark.parametrize("builder", NUMERIC)
    def test_a_builder_of_numbers_is_refused_with_the_reason(self, builder: Any) -> None:
        backend = Yielding()
        with pytest.raises(CircuitError, match=r"the circuit builder .*must be sums of parameters with weights"):
            gradient(ParameterShiftGradientEstimator(backend, "Z0"), builder, None, THETA)
        assert not backend.jobs

    def test_one_that_only_looks_affine_at_the_point_is_seen_through(self) -> None:
        def kinked(p: Any) -> QuantumCircuit:
            return build([np.sin(p[0]) if isinstance(p[0], float) else p[0], p[1], p[2]])

        with pytest.raises(CircuitError, match="makes another circuit of numbers than of symbols"):
            gradient(ParameterShiftGradientEstimator(mock(), "Z0"), kinked, None, np.zeros(3))

    def test_only_what_can_change_an_output_is_shifted(self) -> None:
        backend = Yielding()
        estimator = ParameterShiftGradientEstimator(backend, "Z0")
        result = gradient(estimator, build, None, THETA, shots=10)
        assert result.n_circuit_executions == backend.circuits == 3  # ry(1) is outside the light cone of Z0
        assert result.n_shots == backend.shots == 30
        both = gradient(estimator, build, None, THETA, shots=10, observables="Z1")
        assert both.n_circuit_executions == 5
        frozen = gradient(estimator, build, None, THETA, shots=10, observables="Z1", frozen_indices=[0])
        assert frozen.n_circuit_executions == 3
        assert frozen.gradients[0] == 0.0

    def test_an_output_that_no_gate_can_change_has_gradient_0(self) -> None:
        result = gradient(
            ParameterShiftGradientEstimator(mock(), "Z1"), lambda p: QuantumCircuit(2).ry(0, p[0]), None, [1]
        )
        assert (result.gradients.tolist(), result.function_value, result.n_circuit_executions) == ([0.0], 1.0, 1)

    def test_the_builder_is_called_once_with_symbols(self) -> None:
        called = Called(build)
        gradient(ParameterShiftGradientEstimator(mock(), "Z1"), called, None, THETA)
        assert called.symbolic == 1
        assert len(called.points) == 2
        np.testing.assert_array_equal(called.points[0], THETA)

    def test_with_shots_it_is_unbiased_and_tells_its_variance(self) -> None:
        estimator = ParameterShiftGradientEstimator(mock(), "Z1", seed=5)

        async def many() -> list[GradientResult]:
            return [await estimator.estimate_gradient(build, None, THETA, 40) for _ in range(400)]

        results = asyncio.run(many())
        found = np.array([result.gradients for result in results])
        expected = gradient(estimator, build, None, THETA, shots=None).gradients
        error = found.std(axis=0, ddof=1) / np.sqrt(len(found))
        assert (np.abs(found.mean(axis=0) - expected) < 5 * error).all()  # fails by chance once in 500,000 seeds
        told = np.mean([result.variance for result in results])
        assert told == pytest.approx(found.var(axis=0, ddof=1).sum(), rel=0.3)  # over 20 seeds the ratio varied by 0.06

    def test_some_coordinates_are_enough_in_the_mean(self) -> None:
        estimator = ParameterShiftGradientEstimator(mock(), "Z1", coordinates=1, seed=5)
        expected = gradient(ParameterShiftGradientEstimator(mock(), "Z1"), build, None, THETA, shots=None).gradients
        for _ in range(5):
            found = gradient(estimator, build, None, THETA, shots=None).gradients
            place = int(np.flatnonzero(found)[0])
            assert np.count_nonzero(found) == 1
            assert found[place] == pytest.approx(3 * expected[place], abs=1e-12)

    @pytest.mark.parametrize(
        ("observables", "error", "message"),
        [
            ([], ConfigurationError, "observables is empty; give one for each output"),
            (5, ConfigurationError, r"observables is a list with one for each output, such as \['Z0'\], not 5"),
            (["Z0", 5], CircuitError, "an observable is a PauliString"),
            ("ZZ", CircuitError, "cannot read 'ZZ' as a Pauli string"),
            ("Z7", CircuitError, "acts on qubit 7 of a 2-qubit circuit"),
        ],
    )
    def test_observables_that_cannot_be(self, observables: Any, error: type[QStoreError], message: str) -> None:
        with pytest.raises(error, match=message):
            gradient(ParameterShiftGradientEstimator(mock(), observables), build, None, THETA)

    def test_a_reduction_that_is_not_known(self) -> None:
        with pytest.raises(UnknownNameError, match="unknown reduce 'all'"):
            ParameterShiftGradientEstimator(mock(), "Z0", reduce="all")


class Counter:
    """An estimator that counts its steps, and runs nothing."""

    def __init__(self) -> None:
        self.started = 0
        self.states: list[int] = []

    def start(self, problem: Problem, parameters: Array) -> int:
        self.started += 1
        return 0

    def gradient(self, problem: Problem, parameters: Array, state: int, key: StepKey) -> Rounds:
        self.states.append(state)
        assert problem.price is not None
        yield ()
        return GradientResult(np.zeros(len(parameters)), 0.0, learning_rate_factor=0.5), state + 1


class Remembering(ExpectationFacade):
    """A facade over any estimator."""

    async def estimate(
        self, shots: int | None = 10, frozen: Sequence[int] = (), observable: str = "Z0"
    ) -> GradientResult:
        return await self._differentiate(build, None, THETA, shots, (PauliSum.of(observable),), frozen)


class TestAdaptive:
    def test_exact_values_give_the_exact_gradient(self) -> None:
        estimator = AdaptiveGradientEstimator(mock(), ["Z1"])
        result = gradient(estimator, build, lambda outputs: outputs[0] ** 2, THETA, shots=None)

        def formula(theta: Array) -> float:
            return float((np.cos(theta[0]) * np.cos(2 * theta[1] + theta[2] - 0.3)) ** 2)

        np.testing.assert_allclose(result.gradients, differences(formula, THETA), rtol=0, atol=1e-7)
        assert result.method == "adjoint"

    def test_with_shots_it_estimates_within_its_means(self) -> None:
        backend = Yielding()
        estimator = AdaptiveGradientEstimator(backend, "Z1", seed=2)
        for _ in range(3):
            before = backend.circuits, backend.shots, len(backend.jobs)
            result = gradient(estimator, build, None, THETA, shots=50)
            assert np.isfinite(result.gradients).all()
            after = backend.circuits, backend.shots, len(backend.jobs)
            used = tuple(np.subtract(after, before))
            assert (result.n_circuit_executions, result.n_shots, result.n_jobs) == used

    def test_a_loss_of_results_leaves_spsa_and_it_says_so(self) -> None:
        result = gradient(AdaptiveGradientEstimator(mock(), seed=7), build, loss, THETA, shots=30)
        assert result.method == "spsa"
        assert "the loss is a function of results" in result.metadata["chosen_because"]
        np.testing.assert_array_equal(result.gradients, gradient(spsa(), build, loss, THETA, shots=30).gradients)

    def test_what_the_estimator_learned_is_kept_between_calls(self) -> None:
        counter = Counter()
        facade = Remembering(mock(), counter, None, reduce="auto", seed=1)
        results = [asyncio.run(facade.estimate()) for _ in range(3)]
        assert (counter.started, counter.states) == (1, [0, 1, 2])
        assert [result.learning_rate_factor for result in results] == [0.5] * 3

    @pytest.mark.parametrize("change", [{"shots": None}, {"frozen": [1]}, {"observable": "Z1"}])
    def test_another_kind_of_problem_starts_anew(self, change: dict[str, Any]) -> None:
        counter = Counter()
        facade = Remembering(mock(), counter, None, reduce="auto", seed=1)
        asyncio.run(facade.estimate())
        asyncio.run(facade.estimate(**change))
        asyncio.run(facade.estimate(**change))
        assert (counter.started, counter.states) == (2, [0, 0, 1])

    def test_a_reset_forgets_it(self) -> None:
        counter = Counter()
        facade = Remembering(mock(), counter, None, reduce="auto", seed=1)
        asyncio.run(facade.estimate())
        facade.reset()
        asyncio.run(facade.estimate())
        assert counter.states == [0, 0]
        opaque = AdaptiveGradientEstimator(mock(), seed=3)
        one = gradient(opaque, build, loss, THETA)
        opaque.reset()
        np.testing.assert_array_equal(one.gradients, gradient(opaque, build, loss, THETA).gradients)

    def test_options_are_checked(self) -> None:
        with pytest.raises(ConfigurationError, match="gradient estimator 'adaptive' got an unexpected"):
            AdaptiveGradientEstimator(mock(), "Z0", gradient_options={"no_such_option": 1})

    def test_a_loss_of_results_has_no_default(self) -> None:
        with pytest.raises(ConfigurationError, match="only observables= have a default loss"):
            gradient(AdaptiveGradientEstimator(mock()), build, None, THETA)
