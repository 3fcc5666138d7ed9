"""What each estimator says it ran is what the backend saw, and what its documentation promises."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from estimator_problems import KEY, LOSSES, differences, drive, problem_of
from fake_backends import Watched

from qstore_core.angles import Feature, Parameter
from qstore_core.circuit import QuantumCircuit
from qstore_core.estimators.adjoint import Adjoint
from qstore_core.estimators.finite_difference import FiniteDifference
from qstore_core.estimators.parameter_shift import ParameterShift
from qstore_core.estimators.spsa import SPSA
from qstore_core.executor import Executor, ExecutorOptions
from qstore_core.gates import GATES
from qstore_core.model import QuantumModel
from qstore_core.problem import GradientEstimator, GradientResult, Problem

Count = Callable[[int], int]

METHODS = [
    pytest.param(SPSA(), lambda n: 2 * n, id="spsa"),
    pytest.param(SPSA(directions=3), lambda n: 6 * n, id="spsa of three directions"),
    pytest.param(SPSA(first_directions=5), lambda n: 10 * n, id="spsa that begins with five"),
    pytest.param(SPSA(directions=2, shared_direction=True), lambda n: 4 * n, id="spsa of shared directions"),
    pytest.param(SPSA(directions=2, subsample=3), lambda n: 4 * min(3, n), id="spsa of a subsample"),
    pytest.param(ParameterShift(), lambda n: n * (1 + 3 * 2 + 2 * 4), id="parameter shift"),
    pytest.param(FiniteDifference(), lambda n: n * (1 + 2 * 3), id="finite difference"),
]
ADJOINT = pytest.param(Adjoint(), lambda n: 2 * n, id="adjoint")


@pytest.fixture
def circuit() -> QuantumCircuit:
    """Three trained angles of two terms, two controlled rotations of four; `b` is in four gates."""
    a, b, c, x = Parameter("a"), Parameter("b"), Parameter("c"), Feature("x")
    return QuantumCircuit(2).rx(0, x).ry(0, a).rz(0, b).crx(0, 1, b).rxx(0, 1, b).cry(1, 0, b - c).rx(1, 0.2)


def counted(estimator: GradientEstimator, problem: Problem, backend: Watched | None = None) -> GradientResult:
    """A step whose counts are those of the backend."""
    backend = backend or Watched()
    result = drive(estimator, problem, np.linspace(0.3, 1.2, len(problem.trained)), backend=backend)
    assert result.n_circuit_executions == backend.circuits
    assert result.n_shots == backend.shots
    assert result.n_jobs == len(backend.jobs)
    return result


class TestCircuits:
    @pytest.mark.parametrize(("estimator", "circuits"), [*METHODS, ADJOINT])
    @pytest.mark.parametrize("n_samples", [1, 5])
    def test_exact_ones_are_as_documented_and_have_no_shots(
        self,
        estimator: GradientEstimator,
        circuits: Count,
        n_samples: int,
        circuit: QuantumCircuit,
        rng: np.random.Generator,
    ) -> None:
        result = counted(estimator, problem_of(circuit, ["Z0", "X1"], rng, n_samples=n_samples))
        assert result.n_circuit_executions == circuits(n_samples)
        assert result.n_shots == 0
        assert result.n_jobs == (2 if isinstance(estimator, Adjoint) else 1)

    @pytest.mark.parametrize(("estimator", "circuits"), METHODS)
    @pytest.mark.parametrize("loss", list(LOSSES))
    def test_sampled_ones_come_once_for_each_basis_in_one_job(
        self,
        estimator: GradientEstimator,
        circuits: Count,
        loss: str,
        circuit: QuantumCircuit,
        rng: np.random.Generator,
    ) -> None:
        problem = problem_of(circuit, ["Z0 Z1", "X1", "Z1"], rng, n_samples=4, shots=50, loss=LOSSES[loss])
        result = counted(estimator, problem)
        assert result.n_circuit_executions == 2 * circuits(4)
        assert result.n_shots == 2 * circuits(4) * 50
        assert result.n_jobs == 1

    @pytest.mark.parametrize(("estimator", "circuits"), METHODS)
    def test_a_job_for_each_circuit_is_as_many_jobs(
        self, estimator: GradientEstimator, circuits: Count, circuit: QuantumCircuit, rng: np.random.Generator
    ) -> None:
        problem, backend = problem_of(circuit, ["Z0"], rng, n_samples=2, shots=5), Watched()
        executor = Executor(backend, options=ExecutorOptions(one_circuit_per_job=True))
        rounds = estimator.gradient(problem, np.ones(3), estimator.start(problem, np.ones(3)), KEY)
        result, _ = asyncio.run(executor.drive(rounds))
        assert result.n_jobs == len(backend.jobs) == result.n_circuit_executions == circuits(2)

    @pytest.mark.parametrize(
        ("coordinates", "circuits"), [((0,), 1 + 2), ((1,), 1 + 4 + 2 * 4), ((2,), 1 + 4)], ids=["a", "b", "c"]
    )
    def test_parameter_shift_of_some_coordinates_runs_the_angles_of_those_alone(
        self, coordinates: tuple[int, ...], circuits: int, circuit: QuantumCircuit, rng: np.random.Generator
    ) -> None:
        problem, found = problem_of(circuit, ["Z0", "Z1"], rng, shots=10), {}
        for step in range(40):  # one of three parameters is not drawn in 40 steps once in 10^7
            backend = Watched()
            result = drive(ParameterShift(coordinates=1), problem, np.ones(3), key=KEY.at(step), backend=backend)
            assert result.n_circuit_executions == backend.circuits
            assert result.n_shots == backend.shots == 10 * backend.circuits
            found[tuple(np.flatnonzero(result.gradients))] = backend.circuits
        assert found[coordinates] == problem.n_samples * circuits

    @pytest.mark.parametrize("estimator", [param.values[0] for param in METHODS], ids=[param.id for param in METHODS])
    def test_every_sampled_one_has_a_draw_label_of_its_own(
        self, estimator: GradientEstimator, circuit: QuantumCircuit, rng: np.random.Generator
    ) -> None:
        backend = Watched()
        problem = problem_of(circuit, ["Z0"], rng, n_samples=4, shots=5)
        for step in range(3):
            drive(estimator, problem, np.ones(3), key=KEY.at(step), backend=backend)
        labels = np.concatenate([batch.draws for batch in backend.jobs if batch.draws is not None])
        assert len(set(labels.tolist())) == len(labels) == sum(batch.n_rows for batch in backend.jobs)


class TestFrozenParameters:
    @pytest.mark.parametrize(
        ("frozen", "shifted"), [([0], 2 * 2 + 2 * 4), ([1], 2 + 4), ([1, 2], 2), ([0, 1, 2], 0)], ids=repr
    )
    def test_they_cost_no_shifts_and_have_gradient_zero(
        self, frozen: Sequence[int], shifted: int, circuit: QuantumCircuit, rng: np.random.Generator
    ) -> None:
        whole = problem_of(circuit, ["Z0", "Z1"], rng)
        problem = replace(whole, trained=~np.isin(np.arange(3), frozen))
        expected = np.where(problem.trained, differences(whole, np.linspace(0.3, 1.2, 3)), 0.0)
        for estimator in (Adjoint(), ParameterShift(), FiniteDifference()):
            found = counted(estimator, problem)
            np.testing.assert_allclose(found.gradients, expected, rtol=0, atol=1e-6)
            assert (found.gradients[frozen] == 0).all()
            if found.method == "parameter_shift":
                assert found.n_circuit_executions == problem.n_samples * (1 + shifted)
            if found.method == "finite_difference":
                assert found.n_circuit_executions == problem.n_samples * (1 + 2 * (3 - len(frozen)))
        assert (counted(SPSA(), problem).gradients[frozen] == 0).all()


class TestModels:
    """The counts that Q-Store v3.3 was known by, of the circuits as they are written."""

    @pytest.mark.parametrize(("n_qubits", "depth", "ours", "theirs"), [(8, 2, 32, 48), (16, 3, 96, 144)])
    def test_hardware_efficient_ansatze_have_a_third_fewer_parameters(
        self, n_qubits: int, depth: int, ours: int, theirs: int
    ) -> None:
        for hardware_efficient, expected, names in ((True, ours, {"ry", "rz"}), (False, theirs, {"rx", "ry", "rz"})):
            model = QuantumModel(n_qubits, n_qubits, 1, depth=depth, hardware_efficient=hardware_efficient)
            assert model.n_parameters == len(model.parameters) == expected
            rotations = [name for name, _ in model.circuit.structure.gates if GATES[name].has_angle]
            trained = (model.circuit.affine.parameters.matrix != 0).any(axis=0)
            assert {name for name, is_trained in zip(rotations, trained, strict=True) if is_trained} == names
            assert trained.sum() == expected

    @pytest.mark.parametrize("hardware_efficient", [True, False])
    def test_a_step_of_a_model_runs_the_circuits_of_its_active_parameters(self, hardware_efficient: bool) -> None:
        """SPSA two for each sample; parameter shift two more for each angle that can move the output."""
        model = QuantumModel(8, 8, 1, depth=2, hardware_efficient=hardware_efficient, seed=3)
        reduction, affine = model.reduced()
        n_active, n_samples = int(model.active_parameters.sum()), 3
        assert 0 < n_active < model.n_parameters
        inputs = np.random.default_rng(0).uniform(-1, 1, size=(n_samples, 8))
        problem = problem_of(QuantumCircuit(8), ["Z0"], np.random.default_rng(0), shots=10)
        problem = replace(
            problem,
            structure=reduction.structure,
            affine=affine,
            observables=reduction.observables,
            features=model.encode(inputs),
            trained=model.trainable,
        )
        assert counted(SPSA(), problem).n_circuit_executions == 2 * n_samples
        assert counted(ParameterShift(), problem).n_circuit_executions == n_samples * (1 + 2 * n_active)
        assert counted(ParameterShift(coordinates=4), problem).n_circuit_executions == n_samples * (1 + 2 * 4)
