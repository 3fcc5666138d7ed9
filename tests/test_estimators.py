"""Gradient estimators: against differences of the exact loss, in their counts, and in their statistics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qstore_core.angles import Feature, Parameter
from qstore_core.backend import LocalBackend
from qstore_core.batch import BatchResult, CircuitBatch, estimates
from qstore_core.circuit import QuantumCircuit
from qstore_core.circuit_cache import QuantumCircuitCache
from qstore_core.errors import CapabilityError, ConfigurationError
from qstore_core.estimators.adaptive import Adaptive
from qstore_core.estimators.adjoint import Adjoint
from qstore_core.estimators.finite_difference import FiniteDifference
from qstore_core.estimators.parameter_shift import ParameterShift, ShiftTable, shift_rule
from qstore_core.estimators.spsa import SPSA
from qstore_core.executor import Executor
from qstore_core.gates import GATES
from qstore_core.losses import CallableLoss, CrossEntropy, Loss, MeanSquaredError
from qstore_core.observables import PauliString, PauliSum
from qstore_core.problem import GradientEstimator, GradientResult, Problem
from qstore_core.randomness import StepKey
from qstore_core.registry import get_backend

Array = NDArray[np.float64]
KEY = StepKey(seed=7, stage="train", step=3)
EXACT_METHODS = [Adjoint(), ParameterShift(), FiniteDifference()]
LOSSES: list[Loss] = [
    MeanSquaredError(),
    CrossEntropy(),
    CallableLoss(lambda outputs, targets: float(np.mean(np.cosh(outputs - targets) ** 2))),
]


class Counting(LocalBackend):
    """The simulator, with a note of every batch it saw."""

    def __init__(self) -> None:
        self.inner = mock()
        self.capabilities = self.inner.capabilities
        self.fingerprint = self.inner.fingerprint
        self.batches: list[CircuitBatch] = []

    def compile(self, *arguments: Any) -> Any:
        return self.inner.compile(*arguments)

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        self.batches.append(batch)
        return await self.inner.execute(batch, compiled)

    async def gradient(self, batch: CircuitBatch, compiled: Any, cotangents: Array) -> Array:
        self.batches.append(batch)
        return await self.inner.gradient(batch, compiled, cotangents)

    @property
    def circuits(self) -> int:
        return sum(batch.n_circuits for batch in self.batches)

    @property
    def shots(self) -> int:
        return sum(batch.n_shots for batch in self.batches)


def mock(**options: Any) -> LocalBackend:
    backend = get_backend("mock", **options)
    assert isinstance(backend, LocalBackend)
    return backend


# Every simulator there is, exact and noisy: what holds for one must hold for all.
SIMULATORS: dict[str, tuple[str, dict[str, Any]]] = {
    "mock": ("mock", {}),
    "mock with noise": ("mock", {"depolarizing": 0.02, "readout_error": 0.05}),
    "aer": ("aer", {}),
    "aer with noise": ("aer.noisy", {"depolarizing": 0.02, "readout_error": 0.05}),
    "aer as a device": ("aer.noisy", {"target": "line-3"}),
}


@pytest.fixture(params=SIMULATORS.values(), ids=SIMULATORS)
def simulator(request: pytest.FixtureRequest) -> LocalBackend:
    name, options = request.param
    backend = get_backend(name, **options)
    assert isinstance(backend, LocalBackend)
    return backend


def every_gate(rng: np.random.Generator) -> QuantumCircuit:
    """Each gate with an angle twice, on random qubits, its angle a random sum of a parameter, a feature or both."""
    parameters, features = Parameter.vector("w", 6), Feature.vector("x", 2)
    circuit = QuantumCircuit(3).h(0).h(1).h(2)
    for name in rng.permutation([name for name, gate in GATES.items() if gate.has_angle] * 2):
        first, second = rng.choice(6, size=2, replace=False)
        angle = float(rng.normal()) * parameters[first] + float(rng.normal()) * parameters[second] + float(rng.normal())
        if rng.random() < 0.4:
            angle = angle + float(rng.normal()) * features[rng.integers(2)]
        qubits = rng.permutation(3)[: GATES[name].n_qubits]
        circuit = circuit.append(str(name), qubits, angle).cnot(*map(int, rng.permutation(3)[:2]))
    return circuit


def problem_of(
    circuit: QuantumCircuit,
    observables: Sequence[PauliSum | PauliString | str],
    rng: np.random.Generator,
    *,
    loss: Loss | None = None,
    n_samples: int = 3,
    shots: int | None = None,
    frozen: Sequence[int] = (),
    backend: LocalBackend | None = None,
) -> Problem:
    loss = loss or MeanSquaredError()
    trained = np.ones(len(circuit.parameters), dtype=bool)
    trained[list(frozen)] = False
    return Problem.of(
        circuit,
        tuple(map(PauliSum.of, observables)),
        features=rng.normal(size=(n_samples, len(circuit.features))),
        targets=rng.choice([-1.0, 1.0], size=(n_samples, len(observables))),
        loss=loss,
        loss_parameters=loss.initial_parameters,
        shots=shots,
        trained=trained,
        capabilities=(backend or mock()).capabilities,
    )


@pytest.fixture
def problem(rng: np.random.Generator, random_observables: Callable[..., tuple[PauliSum, ...]]) -> Problem:
    """Every gate, repeated and scaled parameters, features between them, three Pauli sums in several bases."""
    return problem_of(every_gate(rng), random_observables(rng, 3, size=3), rng)


@pytest.fixture
def theta(rng: np.random.Generator) -> Array:
    return rng.normal(size=6)


def drive(
    estimator: GradientEstimator,
    problem: Problem,
    parameters: Array,
    *,
    key: StepKey = KEY,
    backend: LocalBackend | None = None,
) -> GradientResult:
    executor = Executor(backend or mock())
    rounds = estimator.gradient(problem, parameters, estimator.start(problem, parameters), key)
    result, _ = asyncio.run(executor.drive(rounds))
    return result


def repeat(
    estimator: GradientEstimator,
    problem: Problem,
    parameters: Array,
    times: int,
    backend: LocalBackend | None = None,
) -> Array:
    """The estimates of many steps, `(times, n_parameters)`."""

    async def all_of_them() -> list[Array]:
        executor = Executor(backend or mock(), cache=QuantumCircuitCache())  # which keeps what was compiled
        state = estimator.start(problem, parameters)
        keys = [KEY.at(step) for step in range(times)]
        return [
            (await executor.drive(estimator.gradient(problem, parameters, state, key)))[0].gradients for key in keys
        ]

    return np.array(asyncio.run(all_of_them()))


def exact_outputs(problem: Problem, parameters: Array, backend: LocalBackend | None = None) -> Array:
    samples = np.arange(problem.n_samples)
    batch = replace(problem, shots=None).batch(parameters, samples, KEY.draws(sample=samples))
    (result,) = asyncio.run(Executor(backend or mock()).run((batch,)))
    return estimates(batch, result).values


def differences(problem: Problem, parameters: Array, backend: LocalBackend | None = None) -> Array:
    """The gradient of the exact loss by central differences, good to about 1e-9."""
    gradient = np.zeros_like(parameters)
    for index in range(len(parameters)):
        step = np.zeros_like(parameters)
        step[index] = 1e-5
        sides = [problem.loss_of(exact_outputs(problem, parameters + s, backend)).value for s in (step, -step)]
        gradient[index] = (sides[0] - sides[1]) / 2e-5
    return gradient


class TestExactMethods:
    @pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
    @pytest.mark.parametrize("estimator", EXACT_METHODS, ids=lambda estimator: type(estimator).__name__)
    def test_they_are_the_gradient_of_the_exact_loss(
        self, estimator: GradientEstimator, loss: Loss, problem: Problem, theta: Array
    ) -> None:
        problem = replace(problem, loss=loss, loss_parameters=loss.initial_parameters)
        result = drive(estimator, problem, theta)
        assert np.abs(result.gradients).max() > 0.05
        np.testing.assert_allclose(result.gradients, differences(problem, theta), rtol=0, atol=1e-6)
        assert result.function_value == pytest.approx(problem.loss_of(exact_outputs(problem, theta)).value, abs=1e-12)
        np.testing.assert_allclose(
            result.loss_gradients, problem.loss_of(exact_outputs(problem, theta)).parameter_gradient, atol=1e-12
        )

    @pytest.mark.parametrize("seed", range(6))
    def test_random_circuits_of_any_gates_too(
        self,
        seed: int,
        random_circuit: Callable[..., QuantumCircuit],
        random_observables: Callable[..., tuple[PauliSum, ...]],
    ) -> None:
        rng = np.random.default_rng(seed)
        symbols = (*Parameter.vector("w", 4), *Feature.vector("x", 2))
        circuit = random_circuit(rng, 4, length=40, symbols=symbols)
        problem = problem_of(circuit, random_observables(rng, 4, size=2), rng)
        parameters = rng.normal(size=len(circuit.parameters))
        expected = differences(problem, parameters)
        for estimator in EXACT_METHODS:
            np.testing.assert_allclose(drive(estimator, problem, parameters).gradients, expected, rtol=0, atol=1e-6)

    def test_parameter_shift_holds_on_every_simulator(
        self, simulator: LocalBackend, problem: Problem, theta: Array
    ) -> None:
        found = drive(ParameterShift(), problem, theta, backend=simulator).gradients
        np.testing.assert_allclose(found, differences(problem, theta, simulator), rtol=0, atol=1e-6)
        assert (np.abs(found - differences(problem, theta)).max() > 1e-3) == simulator.capabilities.noisy

    @pytest.mark.parametrize("estimator", [*EXACT_METHODS, SPSA()], ids=lambda estimator: type(estimator).__name__)
    def test_nothing_to_train_is_no_error(self, estimator: GradientEstimator, rng: np.random.Generator) -> None:
        bare = problem_of(QuantumCircuit(1).ry(0, 0.3), ["Z0"], rng)
        assert drive(estimator, bare, np.empty(0)).gradients.shape == (0,)
        frozen = problem_of(QuantumCircuit(1).ry(0, Parameter("w")), ["Z0"], rng, frozen=[0])
        assert drive(estimator, frozen, np.array([0.4])).gradients.tolist() == [0.0]


class TestShiftRule:
    @pytest.mark.parametrize("frequencies", [(1.0,), (0.5, 1.0), (1.0, 2.0, 3.0)])
    def test_it_differentiates_every_sum_of_its_frequencies(
        self, frequencies: tuple[float, ...], rng: np.random.Generator
    ) -> None:
        amplitudes, phases = rng.normal(size=(2, len(frequencies)))

        def f(t: float) -> float:
            return float(sum(a * np.cos(w * t + p) for w, a, p in zip(frequencies, amplitudes, phases, strict=True)))

        shifts, weights = shift_rule(frequencies)
        found = sum(y * (f(0.7 + x) - f(0.7 - x)) for x, y in zip(shifts, weights, strict=True))
        slope = sum(-w * a * np.sin(w * 0.7 + p) for w, a, p in zip(frequencies, amplitudes, phases, strict=True))
        assert found == pytest.approx(slope, abs=1e-12)

    def test_a_controlled_rotation_takes_the_four_term_rule_of_the_literature(self) -> None:
        # Anselmetti et al., arXiv 2104.05695: shifts of pi/2 and 3 pi/2, weights (sqrt 2 +- 1) / (4 sqrt 2)
        shifts, weights = shift_rule(GATES["crx"].frequencies)
        np.testing.assert_allclose(shifts, [np.pi / 2, 3 * np.pi / 2])
        np.testing.assert_allclose(weights, [(np.sqrt(2) + 1) / (4 * np.sqrt(2)), -(np.sqrt(2) - 1) / (4 * np.sqrt(2))])

    def test_only_angles_that_depend_on_a_trained_parameter_are_shifted(self, rng: np.random.Generator) -> None:
        a, b, x = Parameter("a"), Parameter("b"), Feature("x")
        circuit = QuantumCircuit(2).rx(0, 0.3).ry(0, a).rz(0, x).crz(0, 1, a + b).ry(1, b)
        problem = problem_of(circuit, ["Z0"], rng, frozen=[1])
        active = (problem.affine.parameters.matrix[problem.active] != 0).any(axis=0)
        assert active.tolist() == [False, True, False, True, False]
        table = ShiftTable.of(circuit.structure, active)
        assert table.angles.tolist() == [1, 1, 3, 3, 3, 3]
        backend = Counting()
        drive(ParameterShift(), problem, np.ones(2), backend=backend)
        assert backend.circuits == problem.n_samples * (1 + len(table.angles))


class TestCounts:
    @pytest.fixture
    def circuit(self) -> QuantumCircuit:
        """Three trained angles of two terms, two controlled rotations of four; `b` is in four gates."""
        a, b, c, x = Parameter("a"), Parameter("b"), Parameter("c"), Feature("x")
        return QuantumCircuit(2).rx(0, x).ry(0, a).rz(0, b).crx(0, 1, b).rxx(0, 1, b).cry(1, 0, b - c).rx(1, 0.2)

    @pytest.mark.parametrize(
        ("estimator", "per_sample"),
        [
            (SPSA(), 2),
            (ParameterShift(), 1 + 3 * 2 + 2 * 4),
            (FiniteDifference(), 1 + 2 * 3),
            (Adjoint(), 2),
        ],
        ids=lambda value: type(value).__name__,
    )
    @pytest.mark.parametrize("n_samples", [1, 5])
    def test_exact_circuits_are_as_documented_and_as_the_backend_saw(
        self,
        estimator: GradientEstimator,
        per_sample: int,
        n_samples: int,
        circuit: QuantumCircuit,
        rng: np.random.Generator,
    ) -> None:
        backend = Counting()
        result = drive(
            estimator, problem_of(circuit, ["Z0", "X1"], rng, n_samples=n_samples), np.ones(3), backend=backend
        )
        assert result.n_circuit_executions == backend.circuits == n_samples * per_sample
        assert result.n_shots == backend.shots == 0
        assert result.n_jobs == len(backend.batches)

    @pytest.mark.parametrize(
        ("estimator", "per_sample"),
        [(SPSA(), 2), (ParameterShift(), 15), (FiniteDifference(), 7)],
        ids=lambda value: type(value).__name__,
    )
    def test_sampled_circuits_come_once_for_each_basis_in_one_job(
        self, estimator: GradientEstimator, per_sample: int, circuit: QuantumCircuit, rng: np.random.Generator
    ) -> None:
        backend = Counting()
        problem = problem_of(circuit, ["Z0 Z1", "X1", "Z1"], rng, n_samples=4, shots=50)
        result = drive(estimator, problem, np.ones(3), backend=backend)
        assert result.n_circuit_executions == backend.circuits == 4 * per_sample * 2
        assert result.n_shots == backend.shots == 4 * per_sample * 2 * 50
        assert result.n_jobs == len(backend.batches) == 1

    @pytest.mark.parametrize(
        "estimator", [SPSA(), ParameterShift(), FiniteDifference()], ids=lambda e: type(e).__name__
    )
    def test_every_sampled_circuit_has_a_draw_label_of_its_own(
        self, estimator: GradientEstimator, circuit: QuantumCircuit, rng: np.random.Generator
    ) -> None:
        backend = Counting()
        problem = problem_of(circuit, ["Z0"], rng, n_samples=4, shots=5)
        for step in range(3):
            drive(estimator, problem, np.ones(3), key=KEY.at(step), backend=backend)
        labels = np.concatenate([batch.draws for batch in backend.batches if batch.draws is not None])
        assert len(set(labels.tolist())) == len(labels) == sum(batch.n_rows for batch in backend.batches)

    @pytest.mark.parametrize(
        ("frozen", "shifted"), [([0], 2 * 2 + 2 * 4), ([1], 2 + 4), ([1, 2], 2), ([0, 1, 2], 0)], ids=repr
    )
    def test_frozen_parameters_cost_no_shifts_and_have_gradient_zero(
        self, frozen: list[int], shifted: int, circuit: QuantumCircuit, rng: np.random.Generator
    ) -> None:
        backend, parameters = Counting(), rng.normal(size=3)
        whole = problem_of(circuit, ["Z0", "Z1"], rng)
        problem = replace(whole, trained=~np.isin(np.arange(3), frozen))
        result = drive(ParameterShift(), problem, parameters, backend=backend)
        assert backend.circuits == problem.n_samples * (1 + shifted)
        expected = np.where(problem.trained, drive(ParameterShift(), whole, parameters).gradients, 0.0)
        for estimator in EXACT_METHODS:
            found = drive(estimator, problem, parameters).gradients
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
            assert (found[frozen] == 0).all()
        assert (drive(SPSA(), problem, parameters).gradients[frozen] == 0).all()
        assert result.method == "parameter_shift"


class Fixed(SPSA):
    """SPSA along one given direction for every sample."""

    def __init__(self, c: float, direction: Sequence[float]) -> None:
        super().__init__(c=c)
        object.__setattr__(self, "direction", np.array(direction))

    def _directions(self, n_samples: int, count: int, n_active: int, key: StepKey) -> Array:
        return np.broadcast_to(self.direction, (count, n_samples, n_active))  # type: ignore[attr-defined]


def all_directions(n: int) -> list[Array]:
    return [np.array(signs) for signs in product((1.0, -1.0), repeat=n)]


def mean_over_directions(problem: Problem, parameters: Array, c: float) -> Array:
    found = [drive(Fixed(c, signs), problem, parameters).gradients for signs in all_directions(len(parameters))]
    return np.mean(found, axis=0)


class TestSPSA:
    @pytest.fixture
    def small(self, rng: np.random.Generator) -> Problem:
        """Five parameters, two samples."""
        w, x = Parameter.vector("w", 5), Feature("x")
        circuit = QuantumCircuit(2).ry(0, w[0] + x).ry(1, w[1]).crx(0, 1, w[2]).rzz(0, 1, w[3]).rx(0, w[4]).ry(1, x)
        return problem_of(circuit, [PauliString("Z0") + 0.5 * PauliString("X1"), "Y0 Z1"], rng, n_samples=2)

    def test_the_mean_over_all_directions_is_spalls_for_a_mean_squared_error(
        self, small: Problem, rng: np.random.Generator
    ) -> None:
        parameters, c = rng.normal(size=5), 0.3

        def loss(at: Array) -> float:
            return small.loss_of(exact_outputs(small, at)).value

        spall = [
            signs * (loss(parameters + c * signs) - loss(parameters - c * signs)) / (2 * c)
            for signs in all_directions(5)
        ]
        np.testing.assert_allclose(
            mean_over_directions(small, parameters, c), np.mean(spall, axis=0), rtol=0, atol=1e-12
        )

    @pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
    def test_the_mean_over_all_directions_tends_to_the_gradient_with_the_square_of_c(
        self, loss: Loss, small: Problem, rng: np.random.Generator
    ) -> None:
        problem = replace(small, loss=loss, loss_parameters=loss.initial_parameters)
        parameters = rng.normal(size=5)
        gradient = drive(Adjoint(), problem, parameters).gradients
        coarse, fine = (np.linalg.norm(mean_over_directions(problem, parameters, c) - gradient) for c in (0.1, 0.05))
        assert coarse < 0.05 * max(1.0, float(np.linalg.norm(gradient)))
        assert coarse / fine == pytest.approx(4.0, abs=0.2)

    def test_each_sample_has_a_direction_of_plus_and_minus_c_on_trained_parameters(
        self, rng: np.random.Generator
    ) -> None:
        w = Parameter.vector("w", 8)
        circuit = QuantumCircuit(1)
        for each in w:
            circuit = circuit.ry(0, each)  # an angle is a parameter
        backend = Counting()
        problem = problem_of(circuit, ["Z0"], rng, n_samples=200, frozen=[3])
        drive(SPSA(c=0.25), problem, np.ones(8), backend=backend)
        above, below = np.split((backend.batches[0].angles - 1.0) / 0.25, 2)
        np.testing.assert_allclose(above, -below, rtol=0, atol=1e-12)
        np.testing.assert_allclose(np.delete(np.abs(above), 3, axis=1), 1.0)
        assert (above[:, 3] == 0).all()
        # column sums of 200 signs stay within 5.3 standard deviations in all 7 but once in 10^6 seeds
        assert np.abs(above.sum(axis=0)).max() < 5.3 * np.sqrt(200)

    def test_directions_change_with_the_step_and_repeat_with_the_key(self, small: Problem) -> None:
        estimator, parameters = SPSA(), np.zeros(5)
        one, same = (drive(estimator, small, parameters, key=KEY).gradients for _ in range(2))
        np.testing.assert_array_equal(one, same)
        assert (drive(estimator, small, parameters, key=KEY.at(4)).gradients != one).any()
        assert (drive(estimator, small, parameters, key=replace(KEY, seed=8)).gradients != one).any()

    def test_the_state_counts_steps_and_shrinks_c(self, small: Problem) -> None:
        estimator, parameters = SPSA(c=0.4, decay=0.5), np.zeros(5)
        assert estimator.start(small, parameters) == 0
        result, state = asyncio.run(Executor(mock()).drive(estimator.gradient(small, parameters, 3, KEY)))
        assert state == 4
        assert result.metadata["c"] == pytest.approx(0.4 / 4**0.5)

    def test_a_subsample_is_some_of_the_samples_each_once(self, rng: np.random.Generator) -> None:
        circuit = QuantumCircuit(1).rx(0, Feature("x")).ry(0, Parameter("w"))
        backend = Counting()
        problem = problem_of(circuit, ["Z0"], rng, n_samples=9)
        result = drive(SPSA(subsample=4), problem, np.zeros(1), backend=backend)
        assert result.n_circuit_executions == backend.circuits == 2 * 4
        used = backend.batches[0].angles[:4, 0]
        assert len(set(used)) == 4
        assert set(used) <= set(problem.features[:, 0])
        assert result.metadata["samples"] == 4

    def test_other_steps_take_other_subsamples(self, rng: np.random.Generator) -> None:
        circuit = QuantumCircuit(1).rx(0, Feature("x")).ry(0, Parameter("w"))
        backend = Counting()
        problem = problem_of(circuit, ["Z0"], rng, n_samples=6)
        for step in range(30):
            drive(SPSA(subsample=2), problem, np.zeros(1), key=KEY.at(step), backend=backend)
        # each of six samples is left out of thirty thirds with probability (2/3)^30, 5e-6
        assert {angle for batch in backend.batches for angle in batch.angles[:, 0]} == set(problem.features[:, 0])

    def test_a_subsample_as_large_as_the_batch_is_the_batch(self, small: Problem) -> None:
        whole = drive(SPSA(), small, np.zeros(5)).gradients
        np.testing.assert_array_equal(drive(SPSA(subsample=2), small, np.zeros(5)).gradients, whole)
        np.testing.assert_array_equal(drive(SPSA(subsample=50), small, np.zeros(5)).gradients, whole)

    @pytest.mark.parametrize("c", [0, -0.1, float("nan"), float("inf"), "0.1", True], ids=repr)
    def test_c_is_a_number_above_zero(self, c: Any) -> None:
        with pytest.raises(ConfigurationError, match="c is a number above 0, not"):
            SPSA(c=c)

    @pytest.mark.parametrize("subsample", [0, -3])
    def test_a_subsample_is_at_least_one(self, subsample: int) -> None:
        with pytest.raises(ConfigurationError, match=f"subsample is a whole number of at least 1, not {subsample}"):
            SPSA(subsample=subsample)


def z_scores(estimates: Array, expected: Array) -> Array:
    errors = estimates.std(axis=0, ddof=1) / np.sqrt(len(estimates))
    return (estimates.mean(axis=0) - expected) / errors


class TestStatistics:
    """A z-score of 5 is passed by chance once in 1.7 million comparisons; each test makes three."""

    @pytest.fixture
    def sampled(self, rng: np.random.Generator) -> Problem:
        w, x = Parameter.vector("w", 3), Feature("x")
        circuit = QuantumCircuit(2).ry(0, w[0] + x).ry(1, 2 * w[1]).crx(0, 1, w[2]).rx(1, w[0])
        return problem_of(circuit, ["Z1", "Z0 Z1"], rng, n_samples=2, shots=20)

    def test_sampled_parameter_shift_is_unbiased_for_a_mean_squared_error(
        self, simulator: LocalBackend, sampled: Problem, rng: np.random.Generator
    ) -> None:
        parameters = rng.normal(size=3)
        gradient = drive(ParameterShift(), replace(sampled, shots=None), parameters, backend=simulator).gradients
        assert np.abs(z_scores(repeat(ParameterShift(), sampled, parameters, 400, simulator), gradient)).max() < 5

    def test_sampled_spsa_has_the_expectation_of_exact_spsa_but_for_the_variance_of_the_squares(
        self, simulator: LocalBackend, sampled: Problem, rng: np.random.Generator
    ) -> None:
        # the mean of the square of an estimated f is f^2 + (1 - f^2) / shots, which the difference keeps
        parameters, c, shots = rng.normal(size=3), 0.4, 20

        def expected_loss(at: Array) -> float:
            f = exact_outputs(sampled, at, simulator)
            return sampled.loss_of(f).value + float(np.mean(1 - f**2)) / shots

        expected = np.mean(
            [
                signs * (expected_loss(parameters + c * signs) - expected_loss(parameters - c * signs)) / (2 * c)
                for signs in all_directions(3)
            ],
            axis=0,
        )
        assert np.abs(z_scores(repeat(SPSA(c=c), sampled, parameters, 600, simulator), expected)).max() < 5

    def test_exact_spsa_is_unbiased_over_its_directions(self, sampled: Problem, rng: np.random.Generator) -> None:
        exact, parameters = replace(sampled, shots=None), rng.normal(size=3)
        expected = mean_over_directions(exact, parameters, 0.4)
        assert np.abs(z_scores(repeat(SPSA(c=0.4), exact, parameters, 600), expected)).max() < 5

    def test_a_subsample_is_unbiased(self, rng: np.random.Generator) -> None:
        w, x = Parameter.vector("w", 3), Feature("x")
        circuit = QuantumCircuit(1).ry(0, w[0] + x).rx(0, w[1]).ry(0, w[2] + x)
        problem, parameters = problem_of(circuit, ["Z0"], rng, n_samples=5), rng.normal(size=3)
        expected = mean_over_directions(problem, parameters, 0.2)
        assert np.abs(z_scores(repeat(SPSA(c=0.2, subsample=2), problem, parameters, 600), expected)).max() < 5

    def test_steps_and_seeds_have_draws_of_their_own(self, sampled: Problem) -> None:
        parameters = np.zeros(3)
        one, same, next_step, other_seed = (
            drive(ParameterShift(), sampled, parameters, key=key).gradients.tolist()
            for key in (KEY, KEY, KEY.at(4), replace(KEY, seed=8))
        )
        assert one == same
        assert one != next_step != other_seed != one


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
        np.testing.assert_array_equal(
            drive(mine, sampled, theta).gradients, drive(SPSA(c=0.2), sampled, theta).gradients
        )
        assert mine.start(sampled, theta) == SPSA().start(sampled, theta)


class TestAdjoint:
    def test_shots_are_refused(self, problem: Problem, theta: Array) -> None:
        with pytest.raises(CapabilityError, match=r"'adjoint' is exact: set shots_per_circuit=None \(it is 100\)"):
            Adjoint().start(replace(problem, shots=100), theta)

    def test_a_noisy_backend_is_refused(self, problem: Problem, theta: Array) -> None:
        noisy = replace(problem, capabilities=mock(depolarizing=0.01).capabilities)
        with pytest.raises(CapabilityError, match="'adjoint' needs a noiseless simulator that offers it; use 'param"):
            Adjoint().start(noisy, theta)


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
