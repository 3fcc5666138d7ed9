"""What the classes of Q-Store v3.3 take for a builder and a loss, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from facade_problems import AFFINE, NUMERIC, THETA, Called, build, build_from_numbers, gradient, loss, spsa
from fake_backends import Remote, Yielding, mock

from qstore_core import (
    CapabilityError,
    CircuitError,
    ConfigurationError,
    Feature,
    Parameter,
    ParameterShiftGradientEstimator,
    QuantumCircuit,
    SPSAGradientEstimator,
)


class TestBuilders:
    @pytest.mark.parametrize("builder", AFFINE)
    def test_one_that_takes_symbols_is_called_with_them_once_and_with_numbers_once(self, builder: Any) -> None:
        called = Called(builder)
        result = gradient(spsa(directions=6), called, loss, THETA, shots=None)
        assert (called.symbolic, len(called.points)) == (1, 1)
        assert result.metadata["numeric_because"] is None
        expected = gradient(spsa(directions=6), build_from_numbers, loss, THETA, shots=None)
        np.testing.assert_allclose(result.gradients, expected.gradients, rtol=0, atol=1e-12)

    @pytest.mark.parametrize("builder", NUMERIC)
    def test_any_other_is_called_for_each_point(self, builder: Any) -> None:
        backend, called = Yielding(), Called(builder)
        result = gradient(spsa(backend, directions=6), called, loss, THETA, shots=10)
        assert (called.symbolic, len(called.points)) == (1, 12)
        assert "the circuit builder" in result.metadata["numeric_because"]
        assert result.n_circuit_executions == backend.circuits == 12
        assert len(backend.jobs) == result.n_jobs == 1
        expected = gradient(spsa(directions=6), build, loss, THETA, shots=10)
        np.testing.assert_allclose(result.gradients, expected.gradients, rtol=0, atol=1e-12)

    def test_the_reason_names_the_error(self) -> None:
        reason = gradient(spsa(), build_from_numbers, loss, THETA).metadata["numeric_because"]
        assert reason.startswith("the circuit builder takes numbers only; with symbols it raised TypeError: float()")

    def test_a_builder_may_change_what_it_is_given(self) -> None:
        def changing(p: Any) -> QuantumCircuit:
            p[2] = p[2] - 0.3
            return QuantumCircuit(2).ry(0, p[0]).ry(1, 2 * p[1] + p[2]).cnot(0, 1)

        theta = THETA.copy()
        result = gradient(spsa(), changing, loss, theta, shots=None)
        np.testing.assert_array_equal(theta, THETA)
        np.testing.assert_allclose(result.gradients, gradient(spsa(), build, loss, THETA, shots=None).gradients)

    def test_other_structures_at_other_points_are_batches_of_one_job(self) -> None:
        def uneven(p: Any) -> QuantumCircuit:
            circuit = build_from_numbers(p)
            return circuit.x(0).x(0) if p[0] > THETA[0] else circuit

        expected = gradient(spsa(directions=3), build, loss, THETA, shots=None).gradients
        backend = Yielding()
        result = gradient(spsa(backend, directions=3), uneven, loss, THETA, shots=None)
        assert {len(batch.structure.gates) for batch in backend.jobs} == {3, 5}
        assert len(backend.jobs) == 2
        np.testing.assert_allclose(result.gradients, expected, rtol=0, atol=1e-12)
        remote = Remote()
        assert gradient(spsa(remote, directions=3), uneven, loss, THETA, shots=10).n_jobs == 1
        assert [len(batches) for _, batches in remote.jobs.values()] == [2]

    def test_its_own_error_on_numbers_comes_through(self) -> None:
        def broken(p: Any) -> QuantumCircuit:
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine") as caught:
            gradient(spsa(), broken, loss, THETA)
        assert caught.value.__context__ is None

    @pytest.mark.parametrize(
        ("builder", "message"),
        [
            (lambda p: None, "the circuit builder returned a NoneType; it must return a QuantumCircuit"),
            (lambda p: [build(p)], "returned a list"),
            (lambda p: build(p).rx(0, Feature("x")), "the circuit that the builder returned has open symbols: x"),
            (lambda p: build(p).rx(0, Parameter("w")), "has open symbols: w; give them values with bind"),
            (lambda p: build(p).rx(5, 0.1), "qubit 5: this circuit has qubits 0 to 1"),
        ],
    )
    @pytest.mark.parametrize("kind", [SPSAGradientEstimator, ParameterShiftGradientEstimator])
    def test_what_is_no_circuit_is_refused(self, kind: Any, builder: Any, message: str) -> None:
        backend = Yielding()
        options = {} if kind is SPSAGradientEstimator else {"observables": "Z0"}
        with pytest.raises(CircuitError, match=message):
            gradient(kind(backend), builder, lambda _: 0.0, THETA, **options)
        assert not backend.jobs


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ([[0.1, 0.2]], r"an array of shape \(n_parameters,\), not float64 of shape \(1, 2\)"),
            (0.5, r"of shape \(\)"),
            ([], r"of shape \(0,\)"),
            ([0.1, float("nan")], "parameters must be finite; parameter 1 is nan"),
            ([float("inf")], "parameter 0 is inf"),
            ([0.1j], "not complex128"),
            (["a"], "are real numbers"),
            ([True], "not bool"),
            ([Parameter("a")], "not object"),
            ([[1.0], [1.0, 2.0]], "inhomogeneous"),
        ],
    )
    def test_parameters(self, parameters: Any, message: str) -> None:
        for estimator, chosen in [(spsa(), loss), (ParameterShiftGradientEstimator(mock(), "Z0"), None)]:
            with pytest.raises(ConfigurationError, match=message):
                gradient(estimator, build, chosen, parameters)

    @pytest.mark.parametrize("frozen", [[3], [-4], [0.5], [True], ["a"]])
    def test_indices_that_are_none(self, frozen: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"frozen_indices: .* is not one of parameters 0 to 2"):
            gradient(spsa(), build, loss, THETA, frozen_indices=frozen)

    def test_freezing_everything(self) -> None:
        with pytest.raises(ConfigurationError, match="holds every parameter: there is no gradient"):
            gradient(spsa(), build, loss, THETA, frozen_indices=np.arange(3))

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (float("nan"), "the loss function returned nan; it must be finite"),
            (np.float64("inf"), "returned inf"),
            (np.zeros(2), r"returned an array of shape \(2,\); it must return one number"),
            ([0.1], r"returned an array of shape \(1,\)"),
            (None, "returned None; it must return one real number"),
            (0.5 + 0j, "must return one real number"),
            ("0.5", "must return one real number"),
        ],
    )
    def test_losses_that_are_no_number(self, value: Any, message: str) -> None:
        for estimator in (spsa(), ParameterShiftGradientEstimator(mock(), "Z0")):
            with pytest.raises(ConfigurationError, match=message):
                gradient(estimator, build, lambda _: value, THETA)

    @pytest.mark.parametrize("error", [KeyError("11"), TypeError("mine"), ZeroDivisionError()])
    def test_errors_of_the_loss_come_through(self, error: Exception) -> None:
        def broken(_: Any) -> float:
            raise error

        for estimator in (spsa(), ParameterShiftGradientEstimator(mock(), "Z0")):
            with pytest.raises(type(error)) as caught:
                gradient(estimator, build, broken, THETA)
            assert caught.value is error

    @pytest.mark.parametrize("shots", [0, -1, 1.5, True, "many"])
    def test_shots(self, shots: Any) -> None:
        backend = Yielding()
        for estimator in (spsa(backend), ParameterShiftGradientEstimator(backend, "Z0")):
            with pytest.raises(CircuitError, match="shots is a whole number of at least 1"):
                gradient(estimator, build, loss if estimator.seed == 7 else None, THETA, shots)
        assert not backend.jobs

    def test_exact_values_where_there_are_none(self) -> None:
        with pytest.raises(CapabilityError, match="only samples"):
            gradient(spsa(Yielding(exact=False)), build, loss, THETA, shots=None)

    def test_things_that_cannot_be_called(self) -> None:
        with pytest.raises(ConfigurationError, match=r"circuit_builder is a function .*, not a QuantumCircuit"):
            gradient(spsa(), build(THETA), loss, THETA)
        with pytest.raises(ConfigurationError, match=r"loss_function is a function \(result\) -> float, not a str"):
            gradient(spsa(), build, "mse", THETA)
        with pytest.raises(ConfigurationError, match=r"loss_function is a function \(outputs\) -> float"):
            gradient(ParameterShiftGradientEstimator(mock(), "Z0"), build, 0.5, THETA)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"c": 0.0}, "c is a number above 0, not 0.0"),
            ({"c": "0.1"}, "c is a number above 0"),
            ({"a": -1}, "a is a number above 0"),
            ({"gamma": -0.1}, "gamma is a number of at least 0, not -0.1"),
            ({"gamma": float("nan")}, "gamma is a number of at least 0"),
            ({"a": 0.1, "alpha": float("inf")}, "alpha is a number of at least 0"),
            ({"alpha": 0.6}, "alpha=0.6 is the decay of the step size a, which was not given"),
            ({"directions": 0}, "directions is a whole number of at least 1"),
            ({"seed": 1.5}, "seed is a whole number or None, not 1.5"),
            ({"max_concurrent_jobs": 0}, "max_concurrent_jobs is a whole number of at least 1"),
        ],
    )
    def test_options(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigurationError, match=message):
            spsa(**options)

    def test_things_that_are_no_backend(self) -> None:
        with pytest.raises(ConfigurationError, match="a backend is a LocalBackend or RemoteBackend, not str"):
            SPSAGradientEstimator("mock")  # type: ignore[arg-type]
