"""The classes of Q-Store v3.3: against formulas and finite differences, in their counts, and in what they refuse.

The circuit of most tests is small enough for a formula: two rotations and a CNOT.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qstore_core import (
    AdaptiveGradientEstimator,
    Backend,
    BackendCapabilities,
    BatchResult,
    Budget,
    BudgetExceededError,
    CapabilityError,
    CircuitBatch,
    CircuitError,
    ConfigurationError,
    Cost,
    ExecutionResult,
    Executor,
    Feature,
    GradientResult,
    JobState,
    JobStatus,
    LocalBackend,
    Pacing,
    Parameter,
    ParameterShiftGradientEstimator,
    PauliString,
    PauliSum,
    PerformanceTracker,
    Problem,
    QStoreError,
    QuantumCircuit,
    QuantumCircuitCache,
    RemoteBackend,
    SPSAGradientEstimator,
    StepKey,
    UnknownNameError,
    estimates,
    get_backend,
)
from qstore_core.facades.calls import Resources
from qstore_core.facades.expectations import ExpectationFacade
from qstore_core.problem import Rounds

Array = NDArray[np.float64]
Facade = SPSAGradientEstimator | ParameterShiftGradientEstimator | AdaptiveGradientEstimator
THETA = np.array([0.7, -0.4, 0.6])


def build(p: Any) -> QuantumCircuit:
    return QuantumCircuit(2).ry(0, p[0]).ry(1, 2 * p[1] + p[2] - 0.3).cnot(0, 1)


def build_from_numbers(p: Any) -> QuantumCircuit:
    return build([float(value) for value in p])


def loss(result: ExecutionResult) -> float:
    """Not linear in the probabilities."""
    found = result.probabilities
    return (found.get("11", 0.0) - 0.2) ** 2 + found.get("01", 0.0)


def loss_by_formula(theta: Array) -> float:
    first, second = np.sin(theta[0] / 2) ** 2, np.sin((2 * theta[1] + theta[2] - 0.3) / 2) ** 2
    return float((first * (1 - second) - 0.2) ** 2 + (1 - first) * second)


def all_signs(n: int) -> list[Array]:
    return [np.array(signs) for signs in product([1.0, -1.0], repeat=n)]


def spsa_by_formula(theta: Array, signs: Array, c: float) -> Array:
    return (loss_by_formula(theta + c * signs) - loss_by_formula(theta - c * signs)) / (2 * c) * signs


def differences(function: Callable[[Array], float], theta: Array, step: float = 1e-5) -> Array:
    sides = np.stack([theta + step * np.eye(len(theta)), theta - step * np.eye(len(theta))])
    above, below = [[function(point) for point in side] for side in sides]
    return (np.array(above) - np.array(below)) / (2 * step)


def mock(**options: Any) -> LocalBackend:
    backend = get_backend("mock", **options)
    assert isinstance(backend, LocalBackend)
    return backend


class Watched(LocalBackend):
    """The mock simulator, and the batches that it was given."""

    def __init__(self, **capabilities: Any) -> None:
        self.simulator = mock()
        self.capabilities = BackendCapabilities(max_qubits=8, **capabilities)
        self.fingerprint = "watched"
        self.seen: list[CircuitBatch] = []
        self.compiled = 0

    @property
    def circuits(self) -> int:
        return sum(batch.n_circuits for batch in self.seen)

    @property
    def shots(self) -> int:
        return sum(batch.n_shots for batch in self.seen)

    def compile(self, *arguments: Any) -> Any:
        self.compiled += 1
        return self.simulator.compile(*arguments)

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        self.seen.append(batch)
        await asyncio.sleep(0.001)  # lets other calls in between
        return await self.simulator.execute(batch, compiled)


class Remote(RemoteBackend):
    """A provider in this process that charges a cent a circuit."""

    pacing = Pacing(first_poll=0.001, longest_poll=0.01, find_grace=0.02, request_patience=5.0, first_retry=0.001)

    def __init__(self) -> None:
        self.simulator = mock()
        self.capabilities = BackendCapabilities(max_qubits=8)
        self.fingerprint = "fake"
        self.jobs: list[tuple[CircuitBatch, ...]] = []

    @property
    def circuits_paid(self) -> int:
        return sum(batch.n_circuits for job in self.jobs for batch in job)

    def price(self, compiled: Any, batch: CircuitBatch) -> Cost:
        usd = 0.01 * batch.n_circuits
        return Cost(usd_low=usd, usd_high=usd, circuits=batch.n_circuits, shots=batch.n_shots, jobs=1)

    async def submit(self, batches: Sequence[CircuitBatch], compiled: Sequence[Any], token: str) -> str:
        self.jobs.append(tuple(batches))
        return str(len(self.jobs))

    async def status(self, job_id: str) -> JobStatus:
        return JobStatus(JobState.DONE)

    async def fetch(
        self, job_id: str, batches: Sequence[CircuitBatch], compiled: Sequence[Any]
    ) -> tuple[BatchResult, ...]:
        simulator = self.simulator
        return tuple(
            [await simulator.execute(batch, simulator.compile(batch.structure, batch.groups)) for batch in batches]
        )

    async def find(self, token: str) -> str | None:
        return None

    async def cancel(self, job_id: str) -> None:
        raise NotImplementedError

    async def cost(self, job_id: str) -> Cost | None:
        return None


class Called:
    """A builder that notes what it was called with."""

    def __init__(self, builder: Callable[[Any], QuantumCircuit]) -> None:
        self.builder = builder
        self.symbolic = 0
        self.points: list[Array] = []

    def __call__(self, p: Any) -> QuantumCircuit:
        if p.dtype == object:
            self.symbolic += 1
        else:
            self.points.append(p.copy())
        return self.builder(p)


def gradient(estimator: Facade, *arguments: Any, **options: Any) -> GradientResult:
    return asyncio.run(estimator.estimate_gradient(*arguments, **options))


def spsa(backend: Backend | None = None, **options: Any) -> SPSAGradientEstimator:
    return SPSAGradientEstimator(backend or mock(), **{"seed": 7, **options})


def repeated(estimator: SPSAGradientEstimator, times: int, shots: int | None) -> list[GradientResult]:
    async def all_of_them() -> list[GradientResult]:
        return [await estimator.estimate_gradient(build, loss, THETA, shots) for _ in range(times)]

    return asyncio.run(all_of_them())


class TestSPSA:
    @pytest.mark.parametrize("builder", [build, build_from_numbers])
    def test_every_estimate_is_spalls_difference_for_one_of_the_sign_vectors(
        self, builder: Callable[[Any], QuantumCircuit]
    ) -> None:
        estimator = spsa(c=0.2, gamma=0.0)
        possible = np.array([spsa_by_formula(THETA, signs, 0.2) for signs in all_signs(3)])
        for _ in range(20):
            found = gradient(estimator, builder, loss, THETA, shots=None).gradients
            assert np.abs(possible - found).max(axis=1).min() < 1e-12

    def test_its_mean_is_that_over_all_sign_vectors(self) -> None:
        found = np.array([result.gradients for result in repeated(spsa(c=0.3, gamma=0.0), 800, None)])
        expected = np.mean([spsa_by_formula(THETA, signs, 0.3) for signs in all_signs(3)], axis=0)
        error = found.std(axis=0, ddof=1) / np.sqrt(len(found))
        assert (np.abs(found.mean(axis=0) - expected) < 5 * error).all()  # fails by chance once in 500,000 seeds

    def test_with_a_small_step_that_is_the_gradient(self) -> None:
        mean = np.mean([spsa_by_formula(THETA, signs, 1e-4) for signs in all_signs(3)], axis=0)
        np.testing.assert_allclose(mean, differences(loss_by_formula, THETA), rtol=0, atol=1e-6)

    def test_directions_are_averaged(self) -> None:
        backend = Watched()
        result = gradient(spsa(backend, c=0.2, directions=4), build, loss, THETA, shots=50)
        assert result.n_circuit_executions == backend.circuits == 8
        assert result.n_shots == backend.shots == 400
        assert result.n_jobs == len(backend.seen) == 1
        # a rotation's angle tells the sign of its parameter
        signs = np.sign(backend.seen[0].angles.reshape(4, 2, 2)[:, 0, 0] - THETA[0])
        losses = np.array(result.metadata["losses"])
        assert result.gradients[0] == pytest.approx(np.mean(signs * (losses[:, 0] - losses[:, 1]) / 0.4), abs=1e-12)

    def test_the_function_value_is_the_mean_of_the_losses(self) -> None:
        result = gradient(spsa(c=0.2), build, loss, THETA, shots=None)
        losses = result.metadata["losses"][0]
        assert result.function_value == pytest.approx(np.mean(losses), abs=1e-15)
        expected = {
            tuple(sorted(round(loss_by_formula(THETA + sign * 0.2 * signs), 12) for sign in (1, -1)))
            for signs in all_signs(3)
        }
        assert tuple(sorted(round(value, 12) for value in losses)) in expected

    def test_one_direction_tells_no_variance(self) -> None:
        assert gradient(spsa(), build, loss, THETA).variance is None

    @pytest.mark.parametrize("shots", [None, 50])
    def test_the_variance_is_that_of_directions_and_shots(self, shots: int | None) -> None:
        results = repeated(spsa(c=0.3, gamma=0.0, directions=3), 600, shots)
        true = np.array([result.gradients for result in results]).var(axis=0, ddof=1).sum()
        told = np.array([result.variance for result in results])
        # over 20 seeds the ratio was 1 with a standard deviation of 0.04
        assert told.mean() == pytest.approx(true, rel=0.2)

    def test_the_step_decays_over_the_calls(self) -> None:
        backend = Watched()
        estimator = spsa(backend, c=0.4, gamma=0.5)
        for call in range(3):
            result = gradient(estimator, build, loss, THETA, shots=None)
            c = 0.4 / (call + 1) ** 0.5
            assert result.metadata["c"] == pytest.approx(c)
            np.testing.assert_allclose(np.abs(backend.seen[-1].angles[:, 0] - THETA[0]), c)

    @pytest.mark.parametrize(("n", "c"), [(1, 0.3), (4, 0.3), (25, 0.2)])
    def test_without_a_choice_it_follows_the_number_of_parameters(self, n: int, c: float) -> None:
        def wide(p: Any) -> QuantumCircuit:
            return QuantumCircuit(1).ry(0, np.sum(p))

        assert gradient(spsa(), wide, loss_of_one, np.zeros(n)).metadata["c"] == pytest.approx(c)

    def test_spalls_step_comes_with_its_size(self) -> None:
        estimator = spsa(a=0.5, alpha=0.8)
        for call in range(2):
            result = gradient(estimator, build, loss, THETA)
            np.testing.assert_allclose(result.move, -0.5 / (call + 1) ** 0.8 * result.gradients, rtol=1e-15)
        default = gradient(spsa(a=0.5), build, loss, THETA)
        np.testing.assert_allclose(default.move, -0.5 * default.gradients)
        assert gradient(spsa(), build, loss, THETA).move is None

    def test_following_it_finds_the_minimum(self) -> None:
        estimator, theta = spsa(a=0.8, c=0.2, directions=2), np.array([0.3, 0.2, 0.1])

        def not_11(result: ExecutionResult) -> float:
            return 1 - result.probabilities.get("11", 0.0)

        async def train() -> Array:
            moved = theta
            for _ in range(150):
                result = await estimator.estimate_gradient(build, not_11, moved, shots=100)
                assert result.move is not None
                moved = moved + result.move
            return moved

        end = asyncio.run(train())
        first, second = np.sin(end[0] / 2) ** 2, np.sin((2 * end[1] + end[2] - 0.3) / 2) ** 2
        assert first * (1 - second) > 0.95

    def test_frozen_parameters_do_not_move(self) -> None:
        backend = Watched()
        result = gradient(spsa(backend), build, loss, THETA, shots=None, frozen_indices={0, -1})
        assert result.gradients[[0, 2]].tolist() == [0.0, 0.0]
        assert not np.signbit(result.gradients[[0, 2]]).any()
        assert (backend.seen[0].angles[:, 0] == THETA[0]).all()
        # with one parameter left the difference is that of the loss along it
        c = result.metadata["c"]
        along = np.array([0.0, 1.0, 0.0])
        assert result.gradients[1] == pytest.approx(spsa_by_formula(THETA, along, c)[1], abs=1e-12)

    def test_a_parameter_that_enters_no_angle_has_gradient_0(self) -> None:
        result = gradient(spsa(directions=2), build, loss, [*THETA, 5.0], shots=20)
        assert result.gradients[3] == 0.0
        assert (result.gradients[:3] != 0).all()

    def test_equal_exact_circuits_run_once(self) -> None:
        backend = Watched()
        result = gradient(
            spsa(backend, directions=5), lambda p: QuantumCircuit(1).ry(0, p[0]), loss_of_one, [0.3], None
        )
        assert result.n_circuit_executions == backend.circuits == 2
        assert result.variance == pytest.approx(0.0, abs=1e-30)

    def test_the_loss_sees_counts_and_both_sides_of_each_direction(self) -> None:
        seen: list[ExecutionResult] = []

        def watching(result: ExecutionResult) -> float:
            seen.append(result)
            return loss(result)

        result = gradient(spsa(directions=2), build, watching, THETA, shots=30)
        assert [each.total_shots for each in seen] == [30] * 4
        assert [loss(each) for each in seen] == np.ravel(result.metadata["losses"]).tolist()


def loss_of_one(result: ExecutionResult) -> float:
    return result.probabilities.get("1", 0.0)


class TestRandomness:
    def test_a_seed_repeats_every_call(self) -> None:
        first, second = (repeated(spsa(seed=3), 3, 40) for _ in range(2))
        for one, same in zip(first, second, strict=True):
            np.testing.assert_array_equal(one.gradients, same.gradients)
            assert one.function_value == same.function_value
        assert (first[0].gradients != first[1].gradients).any()
        assert (repeated(spsa(seed=4), 1, 40)[0].gradients != first[0].gradients).any()

    def test_without_a_seed_it_is_fresh(self) -> None:
        assert SPSAGradientEstimator(mock()).seed != SPSAGradientEstimator(mock()).seed

    def test_a_reset_begins_anew(self) -> None:
        estimator = spsa()
        before = [gradient(estimator, build, loss, THETA).gradients for _ in range(2)]
        estimator.reset()
        after = [gradient(estimator, build, loss, THETA).gradients for _ in range(2)]
        np.testing.assert_array_equal(before, after)

    def test_it_does_not_matter_how_the_builder_is_called(self) -> None:
        results = [gradient(spsa(directions=3), each, loss, THETA, shots=60) for each in (build, build_from_numbers)]
        assert [result.metadata["numeric_because"] is None for result in results] == [True, False]
        np.testing.assert_array_equal(results[0].gradients, results[1].gradients)


def with_matrix(p: Any) -> QuantumCircuit:
    first, second = np.array([[1.0, 0.0, 0.0], [0.0, 2.0, 1.0]]) @ p - np.array([0.0, 0.3])
    return QuantumCircuit(2).ry(0, first).ry(1, second).cnot(0, 1)


def with_array_arithmetic(p: Any) -> QuantumCircuit:
    angles = (p * [1.0, 4.0, 2.0] / [1, 2, 2]).reshape(3, 1)
    return QuantumCircuit(2).ry(0, angles[0, 0]).ry(1, sum(angles[1:, 0]) - 0.3).cnot(0, 1)


def with_a_sine(p: Any) -> QuantumCircuit:
    return QuantumCircuit(2).ry(0, np.arcsin(np.sin(p[0]))).ry(1, 2 * p[1] + p[2] - 0.3).cnot(0, 1)


def with_a_branch(p: Any) -> QuantumCircuit:
    return build(p if p[0] > 0 else np.abs(p))


def with_a_product(p: Any) -> QuantumCircuit:
    return build([p[0] * p[0] / p[0], p[1], p[2]])


def with_a_quiet_branch(p: Any) -> QuantumCircuit:
    return build([value if isinstance(value, float) else 0.0 for value in p])


def with_other_gates_for_symbols(p: Any) -> QuantumCircuit:
    return build(p) if isinstance(p[0], float) else build(p).x(0)


def with_features_for_symbols(p: Any) -> QuantumCircuit:
    return build(p) if isinstance(p[0], float) else build([Feature("x"), *p[1:]])


def with_nothing_for_symbols(p: Any) -> Any:
    return build(p) if isinstance(p[0], float) else None


def with_a_list(p: Any) -> QuantumCircuit:
    return build(p.tolist())


def with_a_float_array(p: Any) -> QuantumCircuit:
    return build(np.asarray(p, dtype=float))


def with_a_clipped_array(p: Any) -> QuantumCircuit:
    return build(np.clip(p, -9, 9))


AFFINE = [build, with_matrix, with_array_arithmetic, with_a_list]
NUMERIC = [
    build_from_numbers,
    with_a_sine,
    with_a_branch,
    with_a_product,
    with_a_quiet_branch,
    with_other_gates_for_symbols,
    with_features_for_symbols,
    with_nothing_for_symbols,
    with_a_float_array,
    with_a_clipped_array,
]


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
        backend, called = Watched(), Called(builder)
        result = gradient(spsa(backend, directions=6), called, loss, THETA, shots=10)
        assert (called.symbolic, len(called.points)) == (1, 12)
        assert "the circuit builder" in result.metadata["numeric_because"]
        assert result.n_circuit_executions == backend.circuits == 12
        assert len(backend.seen) == result.n_jobs == 1
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
        backend = Watched()
        result = gradient(spsa(backend, directions=3), uneven, loss, THETA, shots=None)
        assert {len(batch.structure.gates) for batch in backend.seen} == {3, 5}
        assert len(backend.seen) == 2
        np.testing.assert_allclose(result.gradients, expected, rtol=0, atol=1e-12)
        remote = Remote()
        assert gradient(spsa(remote, directions=3), uneven, loss, THETA, shots=10).n_jobs == 1
        assert [len(job) for job in remote.jobs] == [2]

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
        backend = Watched()
        options = {} if kind is SPSAGradientEstimator else {"observables": "Z0"}
        with pytest.raises(CircuitError, match=message):
            gradient(kind(backend), builder, lambda _: 0.0, THETA, **options)
        assert not backend.seen


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
        backend = Watched()
        for estimator in (spsa(backend), ParameterShiftGradientEstimator(backend, "Z0")):
            with pytest.raises(CircuitError, match="shots is a whole number of at least 1"):
                gradient(estimator, build, loss if estimator.seed == 7 else None, THETA, shots)
        assert not backend.seen

    def test_exact_values_where_there_are_none(self) -> None:
        with pytest.raises(CapabilityError, match="only samples"):
            gradient(spsa(Watched(exact=False)), build, loss, THETA, shots=None)

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
        backend = Watched()
        with pytest.raises(ConfigurationError, match="needs observables") as caught:
            gradient(ParameterShiftGradientEstimator(backend), build, loss, THETA)
        assert "is not its gradient unless the loss is linear" in str(caught.value)
        assert "use SPSAGradientEstimator" in str(caught.value)
        assert not backend.seen

    @pytest.mark.parametrize("builder", NUMERIC)
    def test_a_builder_of_numbers_is_refused_with_the_reason(self, builder: Any) -> None:
        backend = Watched()
        with pytest.raises(CircuitError, match=r"the circuit builder .*must be sums of parameters with weights"):
            gradient(ParameterShiftGradientEstimator(backend, "Z0"), builder, None, THETA)
        assert not backend.seen

    def test_one_that_only_looks_affine_at_the_point_is_seen_through(self) -> None:
        def kinked(p: Any) -> QuantumCircuit:
            return build([np.sin(p[0]) if isinstance(p[0], float) else p[0], p[1], p[2]])

        with pytest.raises(CircuitError, match="makes another circuit of numbers than of symbols"):
            gradient(ParameterShiftGradientEstimator(mock(), "Z0"), kinked, None, np.zeros(3))

    def test_only_what_can_change_an_output_is_shifted(self) -> None:
        backend = Watched()
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
        backend = Watched()
        estimator = AdaptiveGradientEstimator(backend, "Z1", seed=2)
        for _ in range(3):
            before = backend.circuits, backend.shots, len(backend.seen)
            result = gradient(estimator, build, None, THETA, shots=50)
            assert np.isfinite(result.gradients).all()
            after = backend.circuits, backend.shots, len(backend.seen)
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


class TestResources:
    def test_every_facade_outlives_its_event_loop(self) -> None:
        for backend in (mock(), Remote()):
            for estimator in (
                SPSAGradientEstimator(backend, seed=1),
                ParameterShiftGradientEstimator(backend, "Z0", seed=1),
                AdaptiveGradientEstimator(backend, "Z0", seed=1),
            ):
                chosen = loss if isinstance(estimator, SPSAGradientEstimator) else None
                results = [gradient(estimator, build, chosen, THETA, shots=10) for _ in range(3)]
                assert all(result.n_circuit_executions for result in results)

    @pytest.mark.parametrize("backend", [Watched, Remote])
    def test_calls_that_overlap_are_counted_each_by_itself(self, backend: Callable[[], Any]) -> None:
        estimator = SPSAGradientEstimator(backend(), directions=2, seed=1)

        async def together() -> list[GradientResult]:
            calls = [estimator.estimate_gradient(build, loss, THETA, shots) for shots in (10, 20, 30)]
            return await asyncio.gather(*calls)

        results = asyncio.run(together())
        counts = [(each.n_circuit_executions, each.n_shots, each.n_jobs) for each in results]
        assert counts == [(4, 40, 1), (4, 80, 1), (4, 120, 1)]
        assert [each.metadata["call"] for each in results] == [1, 2, 3]
        assert estimator.executor.tracker.total.circuits == 12

    def test_what_a_journal_has_is_not_paid_twice(self, tmp_path: Path) -> None:
        remote, path = Remote(), tmp_path / "journal.sqlite"
        first, second = (
            [gradient(estimator, build, loss, THETA, shots=20) for _ in range(2)]
            for estimator in (spsa(remote, journal_path=path), spsa(remote, journal_path=path))
        )
        assert remote.circuits_paid == 4
        assert [result.n_circuit_executions for result in first + second] == [2, 2, 0, 0]
        for one, same in zip(first, second, strict=True):
            np.testing.assert_array_equal(one.gradients, same.gradients)

    def test_a_loss_that_fails_costs_nothing_more(self) -> None:
        remote, failing = Remote(), True

        def sometimes(result: ExecutionResult) -> float:
            if failing:
                raise KeyError("a mistake")
            return loss(result)

        estimator = spsa(remote)
        with pytest.raises(KeyError):
            gradient(estimator, build, sometimes, THETA, shots=20)
        failing = False
        result = gradient(estimator, build, sometimes, THETA, shots=20)
        assert remote.circuits_paid == 2
        np.testing.assert_array_equal(result.gradients, gradient(spsa(), build, loss, THETA, shots=20).gradients)

    def test_a_budget_holds(self) -> None:
        remote = Remote()
        estimator = spsa(remote, budget=Budget(usd=0.05))
        gradient(estimator, build, loss, THETA)
        gradient(estimator, build, loss, THETA)
        with pytest.raises(BudgetExceededError, match=r"the budget is 0\.05 USD: 0\.04 spent or reserved"):
            gradient(estimator, build, loss, THETA)
        assert remote.circuits_paid == 4

    def test_a_structure_is_compiled_once(self) -> None:
        backend = Watched()
        estimator = spsa(backend)
        for _ in range(3):
            gradient(estimator, build, loss, THETA)
        assert backend.compiled == 1
        anew = spsa(backend, cache=None)
        for _ in range(3):
            gradient(anew, build, loss, THETA)
        assert backend.compiled == 4

    def test_an_executor_is_shared(self) -> None:
        executor = Executor(Watched(), cache=QuantumCircuitCache())
        one = SPSAGradientEstimator(executor, seed=7)
        assert one.executor is executor
        shared, alone = (gradient(each, build, loss, THETA).gradients for each in (one, spsa()))
        np.testing.assert_array_equal(shared, alone)
        assert executor.tracker.total.circuits == 2
        with pytest.raises(ConfigurationError, match="budget: an executor was given, which has its own"):
            SPSAGradientEstimator(executor, budget=Budget(usd=1))

    def test_a_tracker_is_added_to(self) -> None:
        tracker = PerformanceTracker()
        gradient(spsa(tracker=tracker), build, loss, THETA, shots=10)
        assert tracker.total.circuits == 2
        assert tracker.spans["plan"] > 0

    def test_the_resources_are_those_of_an_executor(self) -> None:
        accepted = set(inspect.signature(Executor.on).parameters) - {"backend"}
        assert set(Resources.__annotations__) == accepted


PROGRAMS = re.findall(
    r"```python\n(.*?)```",
    (Path(__file__).parents[1] / "docs" / "facades.md").read_text(encoding="utf-8"),
    flags=re.DOTALL,
)


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_each_program_of_the_documentation_runs(program: str, tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout
