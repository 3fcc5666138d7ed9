"""The backend `aer` without noise: its values against the mock's, its shots, chunks, methods and errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from qstore_aer.backend import AerBackend
from scipy import stats

from qstore_core.backend import LocalBackend
from qstore_core.batch import BatchResult, CircuitBatch, estimates
from qstore_core.circuit import QuantumCircuit
from qstore_core.counts import Counts
from qstore_core.errors import CapabilityError, ConfigurationError, UnknownNameError
from qstore_core.executor import Executor
from qstore_core.gates import GATES
from qstore_core.observables import PauliString, PauliSum
from qstore_core.randomness import StepKey
from qstore_core.registry import get_backend
from qstore_core.testing import ReferenceBackend

Execute = Callable[[LocalBackend, CircuitBatch], BatchResult]
RandomCircuit = Callable[..., QuantumCircuit]
RandomObservables = Callable[..., tuple[PauliSum, ...]]

OBSERVABLES = (PauliSum.of("Z0"), PauliSum.of("X1"), PauliSum.of("Y0 Z2"))
CLIFFORD = ("h", "s", "sdg", "x", "y", "z", "sx", "cnot", "cz", "swap")


def counts_of(result: BatchResult) -> tuple[Counts, ...]:
    assert result.counts is not None
    return result.counts


def clifford_circuit(rng: np.random.Generator, n_qubits: int, length: int = 30) -> QuantumCircuit:
    circuit = QuantumCircuit(n_qubits)
    for name in map(str, rng.choice(CLIFFORD, size=length)):
        circuit = circuit.append(name, rng.permutation(n_qubits)[: GATES[name].n_qubits])
    return circuit


def chain(n_qubits: int) -> QuantumCircuit:
    """RY on each qubit, then a chain of CNOTs: Z of qubit q is the product of the cosines up to q."""
    circuit = QuantumCircuit(n_qubits)
    for qubit in range(n_qubits):
        circuit = circuit.ry(qubit, 0.0)
    for qubit in range(n_qubits - 1):
        circuit = circuit.cnot(qubit, qubit + 1)
    return circuit


class TestExact:
    def test_expectations_of_200_random_circuits_are_those_of_the_reference(
        self,
        random_circuit: RandomCircuit,
        random_observables: RandomObservables,
        execute: Execute,
        rng: np.random.Generator,
    ) -> None:
        backend, seen = AerBackend(), set()
        for number in range(200):
            n_qubits = 2 + number % 6
            circuit, observables = random_circuit(rng, n_qubits), random_observables(rng, n_qubits)
            angles = rng.normal(scale=2.0, size=(2, circuit.structure.n_angles))
            batch = CircuitBatch(circuit.structure, angles, observables)
            found, expected = execute(backend, batch).expectations, execute(ReferenceBackend(), batch).expectations
            np.testing.assert_allclose(found, expected, atol=1e-10, rtol=0)
            seen |= set(circuit.count_gates())
        assert seen == set(GATES)

    @pytest.mark.parametrize("method", ["density_matrix", "matrix_product_state"])
    def test_the_other_methods_agree(
        self,
        method: str,
        random_circuit: RandomCircuit,
        random_observables: RandomObservables,
        execute: Execute,
        rng: np.random.Generator,
    ) -> None:
        for _ in range(8):
            circuit, observables = random_circuit(rng, 4), random_observables(rng, 4)
            batch = CircuitBatch(circuit.structure, rng.normal(size=(3, circuit.structure.n_angles)), observables)
            found = execute(AerBackend(method=method), batch).expectations
            np.testing.assert_allclose(found, execute(ReferenceBackend(), batch).expectations, atol=1e-8, rtol=0)

    def test_a_stabilizer_runs_clifford_circuits(
        self, random_observables: RandomObservables, execute: Execute, rng: np.random.Generator
    ) -> None:
        for _ in range(8):
            circuit = clifford_circuit(rng, 4)
            batch = CircuitBatch(circuit.structure, circuit.angles(), random_observables(rng, 4))
            found = execute(AerBackend(method="stabilizer"), batch).expectations
            np.testing.assert_allclose(found, execute(ReferenceBackend(), batch).expectations, atol=1e-10, rtol=0)

    def test_single_precision_is_exact_to_its_digits(
        self, random_circuit: RandomCircuit, execute: Execute, rng: np.random.Generator
    ) -> None:
        batch = CircuitBatch((circuit := random_circuit(rng, 3)).structure, circuit.angles(), OBSERVABLES)
        backend = AerBackend(precision="single")
        np.testing.assert_allclose(
            execute(backend, batch).expectations, execute(ReferenceBackend(), batch).expectations, atol=1e-5, rtol=0
        )
        assert backend.fingerprint == "aer(precision=single)"

    def test_probabilities_of_the_register_have_qubit_0_leftmost(
        self, random_circuit: RandomCircuit, execute: Execute, rng: np.random.Generator
    ) -> None:
        circuit = random_circuit(rng, 3)
        batch = CircuitBatch(circuit.structure, rng.normal(size=(4, circuit.structure.n_angles)))
        (found,), (expected,) = (
            execute(each, batch).probabilities or () for each in (AerBackend(), ReferenceBackend())
        )
        np.testing.assert_allclose(found, expected, atol=1e-12, rtol=0)

    def test_several_observables_take_one_circuit_a_row(self, random_circuit: RandomCircuit) -> None:
        circuit = random_circuit(np.random.default_rng(1), 3)
        batch = CircuitBatch(circuit.structure, circuit.angles(), OBSERVABLES)
        program = AerBackend().compile(batch.structure, batch.groups)
        assert len(batch.groups) == 2
        assert len(program.probabilities) == 1

    @pytest.mark.parametrize("method", ["matrix_product_state", "stabilizer"])
    def test_wide_registers_are_read_observable_by_observable(
        self, method: str, execute: Execute, rng: np.random.Generator
    ) -> None:
        n_qubits, observables = 30, tuple(PauliSum.of(PauliString({q: "Z"}) + PauliString("I", 0.5)) for q in range(30))
        if method == "stabilizer":
            circuit, angles = QuantumCircuit(n_qubits).x(3).cnot(3, 29), np.zeros((2, 0))
            expected = np.array([[-0.5 if q in (3, 29) else 1.5 for q in range(n_qubits)]] * 2)
        else:
            circuit, angles = chain(n_qubits), rng.normal(scale=0.3, size=(2, n_qubits))
            expected = np.cumprod(np.cos(angles), axis=1) + 0.5
        batch = CircuitBatch(circuit.structure, angles, observables)
        np.testing.assert_allclose(execute(AerBackend(method=method), batch).expectations, expected, atol=1e-8, rtol=0)

    @pytest.mark.parametrize("shots", [None, 10])
    def test_identities_are_known_without_running_anything(self, shots: int | None, execute: Execute) -> None:
        labels = None if shots is None else StepKey(1).draws(sample=np.arange(3))
        identity = (PauliSum.of(PauliString("I", 2.5)),)
        batch = CircuitBatch(QuantumCircuit(2).h(0).structure, np.zeros((3, 0)), identity, shots, labels)
        result = execute(AerBackend(), batch)
        np.testing.assert_array_equal(estimates(batch, result).values, [[2.5]] * 3)


class TestShots:
    @pytest.fixture(params=["tables", "runs"])
    def backend(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AerBackend:
        """Shots drawn from a table of probabilities, and drawn by Aer."""
        if request.param == "runs":
            monkeypatch.setattr("qstore_aer.settings.Settings.reads_table", lambda self, n_bits, *, exact: False)
        return AerBackend()

    def test_a_row_depends_on_its_label_alone(
        self, backend: AerBackend, random_circuit: RandomCircuit, execute: Execute, rng: np.random.Generator
    ) -> None:
        circuit = random_circuit(rng, 3)
        angles, labels = rng.normal(size=(6, circuit.structure.n_angles)), StepKey(1).draws(sample=np.arange(6))
        whole = CircuitBatch(circuit.structure, angles, OBSERVABLES, 200, labels)
        together = counts_of(execute(backend, whole))
        again = counts_of(execute(backend, whole))
        backwards = counts_of(execute(backend, whole.take(np.arange(6)[::-1])))
        for group in range(len(whole.groups)):
            expected = together[group].to_dicts()
            assert again[group].to_dicts() == expected
            assert backwards[group].to_dicts() == expected[::-1]
            for row in range(6):
                alone = counts_of(execute(backend, whole.rows(row, row + 1)))
                assert alone[group].to_dicts() == expected[row : row + 1]

    def test_frequencies_follow_the_exact_probabilities(
        self, backend: AerBackend, random_circuit: RandomCircuit, execute: Execute, rng: np.random.Generator
    ) -> None:
        """Chi-square tests of 5 circuits, each with a false-alarm rate of 1e-7, at a fixed seed."""
        shots = 10**5
        for number in range(5):
            circuit = random_circuit(rng, 3)
            (exact,) = (
                execute(ReferenceBackend(), CircuitBatch(circuit.structure, circuit.angles())).probabilities or ()
            )
            label = StepKey(11).draws(sample=[number])
            sampled = CircuitBatch(circuit.structure, circuit.angles(), None, shots, label)
            (row,) = counts_of(execute(backend, sampled))[0].to_dicts()
            observed = np.array([row.get(format(outcome, "03b"), 0) for outcome in range(8)])
            kept = exact[0] > 1e-12
            assert observed[~kept].sum() == 0
            expected = exact[0][kept] * shots / exact[0][kept].sum()
            assert stats.chisquare(observed[kept], expected).pvalue > 1e-7

    def test_sampled_expectations_are_unbiased_with_the_stated_variance(
        self, backend: AerBackend, random_circuit: RandomCircuit, execute: Execute, rng: np.random.Generator
    ) -> None:
        """z-tests over 300 labels; 6 tests with a false-alarm rate of 6e-7 each, at a fixed seed."""
        shots, n_labels, circuit = 40, 300, random_circuit(rng, 3)
        angles, labels = np.repeat(circuit.angles(), n_labels, axis=0), StepKey(13).draws(sample=np.arange(n_labels))
        batch = CircuitBatch(circuit.structure, angles, OBSERVABLES, shots, labels)
        found = estimates(batch, execute(backend, batch))
        exact = execute(ReferenceBackend(), CircuitBatch(circuit.structure, circuit.angles(), OBSERVABLES)).expectations
        assert exact is not None
        assert found.covariance is not None
        variance = (1 - exact[0] ** 2) / shots
        estimated = np.diagonal(found.covariance, axis1=1, axis2=2)
        assert (np.abs(found.values.mean(axis=0) - exact[0]) < 5 * np.sqrt(variance / n_labels)).all()
        assert (np.abs(estimated.mean(axis=0) - variance) < 5 * estimated.std(axis=0) / np.sqrt(n_labels)).all()

    def test_wide_registers_are_sampled(self, execute: Execute) -> None:
        circuit = QuantumCircuit(40).x(0).x(38)
        labels = StepKey(1).draws(sample=np.arange(2))
        batch = CircuitBatch(circuit.structure, np.zeros((2, 0)), None, 20, labels)
        expected = [{"1" + "0" * 37 + "10": 20}] * 2
        for method in ("matrix_product_state", "stabilizer"):
            assert counts_of(execute(AerBackend(method=method), batch))[0].to_dicts() == expected


class TestRows:
    def test_one_program_serves_any_number_of_rows(
        self, random_circuit: RandomCircuit, rng: np.random.Generator
    ) -> None:
        circuit, backend = random_circuit(rng, 3), AerBackend()
        batch = CircuitBatch(circuit.structure, rng.normal(size=(5, circuit.structure.n_angles)), OBSERVABLES)
        program = backend.compile(batch.structure, batch.groups)
        together = asyncio.run(backend.execute(batch, program)).expectations
        for row in range(5):
            alone = asyncio.run(backend.execute(batch.rows(row, row + 1), program)).expectations
            np.testing.assert_allclose(alone, together[row : row + 1], atol=1e-13)

    def test_chunks_that_fit_the_memory_change_nothing(
        self, random_circuit: RandomCircuit, execute: Execute, rng: np.random.Generator
    ) -> None:
        circuit = random_circuit(rng, 3)
        angles, labels = rng.normal(size=(20, circuit.structure.n_angles)), StepKey(1).draws(sample=np.arange(20))
        for shots in (None, 50):
            batch = CircuitBatch(circuit.structure, angles, OBSERVABLES, shots, labels)
            whole, chunked = (estimates(batch, execute(AerBackend(memory_bytes=b), batch)) for b in (10**8, 30_000))
            np.testing.assert_allclose(chunked.values, whole.values, atol=1e-12, rtol=0)

    def test_rows_run_in_one_aer_job(
        self, random_circuit: RandomCircuit, execute: Execute, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        circuit, backend = random_circuit(np.random.default_rng(2), 3), AerBackend()
        run, calls = backend._runner.simulator.run, []
        monkeypatch.setattr(
            backend._runner.simulator, "run", lambda *args, **kw: calls.append(args) or run(*args, **kw)
        )
        execute(backend, CircuitBatch(circuit.structure, np.tile(circuit.angles(), (50, 1)), OBSERVABLES))
        assert len(calls) == 1

    def test_the_executor_runs_it(self, random_circuit: RandomCircuit) -> None:
        circuit = random_circuit(np.random.default_rng(3), 3)
        batch = CircuitBatch(circuit.structure, circuit.angles(), OBSERVABLES)
        values = [
            asyncio.run(Executor(each).run((batch,)))[0].expectations for each in (AerBackend(), ReferenceBackend())
        ]
        np.testing.assert_allclose(*values, atol=1e-10)


class TestOptions:
    def test_the_memory_sets_the_widest_circuit(self, execute: Execute) -> None:
        backend = AerBackend(memory_bytes=2**20)
        assert backend.capabilities.max_qubits == 15
        assert AerBackend(memory_bytes=2**20, method="density_matrix").capabilities.max_qubits == 7
        assert AerBackend(memory_bytes=2**20, precision="single").capabilities.max_qubits == 16
        wide = QuantumCircuit(16)
        message = r"has 16 qubits and backend 'aer' at most 15 \(memory_bytes=1048576 and method 'statevector'\); use a"
        with pytest.raises(CapabilityError, match=message):
            execute(backend, CircuitBatch(wide.structure, wide.angles()))

    def test_a_table_too_large_for_the_memory_is_refused(self, execute: Execute) -> None:
        wide = QuantumCircuit(50)
        with pytest.raises(
            CapabilityError, match=r"the probabilities of 50 qubits take .* ask for observables on fewer"
        ):
            execute(AerBackend(method="matrix_product_state"), CircuitBatch(wide.structure, wide.angles()))

    def test_a_stabilizer_refuses_rotations(self, execute: Execute) -> None:
        circuit = QuantumCircuit(1).ry(0, 0.3).t(0)
        with pytest.raises(CapabilityError, match=r"'aer' has no gate ry, t; it takes cnot, cz, h"):
            execute(AerBackend(method="stabilizer"), CircuitBatch(circuit.structure, circuit.angles()))

    def test_a_gpu_that_is_absent_is_one_line(self) -> None:
        with pytest.raises(CapabilityError, match="device='GPU', and this qiskit-aer finds no GPU: install") as caught:
            AerBackend(device="GPU")
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"method": "statevec"}, UnknownNameError, "unknown method 'statevec'; did you mean 'statevector'"),
            ({"precision": "half"}, UnknownNameError, "unknown precision 'half'"),
            ({"device": "TPU"}, UnknownNameError, "unknown device 'TPU'"),
            ({"threads": 0}, ConfigurationError, "threads=0: a whole number of at least 1"),
            ({"memory_bytes": -1}, ConfigurationError, "memory_bytes=-1: a whole number of at least"),
        ],
    )
    def test_values_that_cannot_be_are_refused(
        self, options: dict[str, Any], error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            AerBackend(**options)

    def test_the_fingerprint_holds_what_changes_results(self) -> None:
        assert AerBackend(threads=1, memory_bytes=10**6).fingerprint == AerBackend(method="statevector").fingerprint
        assert AerBackend(method="density_matrix").fingerprint == "aer(method=density_matrix)"
        assert get_backend("aer").name == "aer"
