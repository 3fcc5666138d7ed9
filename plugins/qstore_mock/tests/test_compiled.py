"""The accelerator against the NumPy path: values, probabilities, draws, gradients, and what it does not take."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from qstore_mock import compiled
from qstore_mock.backend import MockBackend
from qstore_mock.compiled.accelerator import Accelerator
from qstore_mock.compiled.code import LAYER, MOVE, START, encode
from qstore_mock.program import compile_program

from qstore_core import get_backend
from qstore_core.arrays import FloatArray
from qstore_core.batch import BatchResult, CircuitBatch, Shifts
from qstore_core.circuit import QuantumCircuit
from qstore_core.errors import ConfigurationError
from qstore_core.gates import GATES
from qstore_core.observables import PauliString, PauliSum
from qstore_core.randomness import StepKey
from qstore_core.sampling import sample

Execute = Callable[[MockBackend, CircuitBatch], BatchResult]
Differentiate = Callable[[MockBackend, CircuitBatch, FloatArray], FloatArray]
RandomCircuit = Callable[..., QuantumCircuit]
RandomObservables = Callable[..., tuple[PauliSum, ...]]

with_numba = pytest.mark.skipif(find_spec("numba") is None, reason="numba is not installed")
PRECISIONS = [("double", 1e-12), ("single", 1e-4)]


def every_gate(n_qubits: int, rng: np.random.Generator) -> QuantumCircuit:
    """Each gate of the set once, on random qubits, in random order."""
    circuit = QuantumCircuit(n_qubits)
    for name in map(str, rng.permutation(list(GATES))):
        qubits = tuple(map(int, rng.permutation(n_qubits)[: GATES[name].n_qubits]))
        circuit = circuit.append(name, qubits, 0.1 if GATES[name].has_angle else None)
    return circuit


def layered(n_qubits: int, depth: int, gates: str) -> QuantumCircuit:
    """Layers of the same turns on every qubit, and a chain of CNOTs."""
    circuit = QuantumCircuit(n_qubits)
    for _ in range(depth):
        for name in gates.split():
            for qubit in range(n_qubits):
                circuit = circuit.append(name, (qubit,), 0.1 if GATES[name].has_angle else None)
        for qubit in range(n_qubits - 1):
            circuit = circuit.cnot(qubit, qubit + 1)
    return circuit


def circuits(random_circuit: RandomCircuit, rng: np.random.Generator) -> list[QuantumCircuit]:
    """Of any gates in any order and width, and in layers of every kind that the kernels tell apart."""
    found = [random_circuit(rng, n_qubits, length) for n_qubits in (1, 2, 3, 5, 8) for length in (0, 1, 5, 60)]
    found += [every_gate(n_qubits, rng) for n_qubits in (3, 6)]
    found += [layered(5, 3, gates) for gates in ("ry", "rz", "ry rz", "rx", "rz ry", "h", "rx ry rz", "h p")]
    return [*found, QuantumCircuit(4).cz(0, 1).cnot(1, 2), QuantumCircuit(6).ry(2, 0.1).rxx(1, 4, 0.2).rz(3, 0.3)]


def rows_of(circuit: QuantumCircuit, rng: np.random.Generator, n_rows: int = 4) -> FloatArray:
    """Angles of which some are alike in all rows, some in neighbours, and some are 0."""
    angles = rng.normal(scale=3.0, size=(n_rows, circuit.structure.n_angles))
    angles[:, ::3] = angles[0, ::3]
    angles[1:2] = angles[0]
    angles[:, 1::7] = 0.0
    return angles


class TestCode:
    def test_layers_of_an_ansatz_are_an_instruction_each_and_the_last_map_is_read_through(self) -> None:
        circuit = layered(4, 2, "ry rz")
        batch = CircuitBatch(circuit.structure, circuit.angles(), (PauliSum.of("Z0"),))
        encoded = encode(compile_program(circuit.structure, batch.groups))
        assert encoded is not None
        assert encoded.code.instructions[:, 0].tolist() == [START, MOVE, LAYER]
        assert encoded.n_places == 2

    def test_a_cut_register_has_none(self) -> None:
        assert encode(compile_program(layered(12, 1, "ry").structure, ())) is None


@pytest.mark.slow  # compiling takes 20 s where it was not done before
@with_numba
class TestAgainstNumPy:
    @pytest.mark.parametrize(("precision", "tolerance"), PRECISIONS)
    def test_expectation_values(
        self,
        precision: str,
        tolerance: float,
        random_circuit: RandomCircuit,
        random_observables: RandomObservables,
        execute: Execute,
        rng: np.random.Generator,
    ) -> None:
        backend, reference = MockBackend(accelerator="numba", precision=precision), MockBackend()
        for circuit in circuits(random_circuit, rng):
            observables = random_observables(rng, circuit.n_qubits)
            batch = CircuitBatch(circuit.structure, rows_of(circuit, rng), observables)
            found, wanted = (execute(each, batch).expectations for each in (backend, reference))
            np.testing.assert_allclose(found, wanted, rtol=0, atol=10 * tolerance)  # sums of ten Pauli strings

    @pytest.mark.parametrize(("precision", "tolerance"), PRECISIONS)
    def test_shifted_rows(self, precision: str, tolerance: float, execute: Execute, rng: np.random.Generator) -> None:
        circuit = layered(5, 2, "ry rz")
        base = rng.normal(size=(1, circuit.structure.n_angles))
        columns = np.arange(-1, base.shape[1])
        amounts = np.where(columns < 0, 0.0, np.pi / 2)
        angles = np.repeat(base, len(columns), axis=0)
        angles[columns[1:] + 1, columns[1:]] += np.pi / 2
        shifts = Shifts(np.zeros_like(columns), columns, amounts)
        batch = CircuitBatch(circuit.structure, angles, (PauliSum.of("Z4"), PauliSum.of("X0 Y1")), shifts=shifts)
        backend, reference = MockBackend(accelerator="numba", precision=precision), MockBackend()
        found, wanted = (execute(each, batch).expectations for each in (backend, reference))
        np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance)

    @pytest.mark.parametrize(("precision", "tolerance"), PRECISIONS)
    def test_probabilities_of_the_register_and_of_groups(
        self,
        precision: str,
        tolerance: float,
        random_circuit: RandomCircuit,
        execute: Execute,
        rng: np.random.Generator,
    ) -> None:
        backend, reference = MockBackend(accelerator="numba", precision=precision), MockBackend()
        noisy = MockBackend(accelerator="numba", precision=precision, readout_error=0.1)
        for circuit in circuits(random_circuit, rng):
            batch = CircuitBatch(circuit.structure, rows_of(circuit, rng))
            (found,), (wanted,) = (execute(each, batch).probabilities or () for each in (backend, reference))
            np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance)
            read = replace(batch, observables=(PauliSum.of("X0"), PauliSum.of("Z0") + PauliSum.of("Y0")))
            (found, wanted) = (execute(each, read).expectations for each in (noisy, MockBackend(readout_error=0.1)))
            np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance)

    @pytest.mark.parametrize(("precision", "tolerance"), [("double", 1e-10), ("single", 1e-3)])
    def test_gradients(
        self,
        precision: str,
        tolerance: float,
        random_circuit: RandomCircuit,
        random_observables: RandomObservables,
        execute: Execute,
        differentiate: Differentiate,
        rng: np.random.Generator,
    ) -> None:
        backend, reference = MockBackend(accelerator="numba", precision=precision), MockBackend()
        for circuit in circuits(random_circuit, rng):
            observables = random_observables(rng, circuit.n_qubits)
            batch = CircuitBatch(circuit.structure, rows_of(circuit, rng), observables)
            cotangents = rng.normal(size=(batch.n_rows, len(observables)))
            found, wanted = (differentiate(each, batch, cotangents) for each in (backend, reference))
            np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance)

    @pytest.mark.parametrize("shots", [1, 100, 1000])
    def test_draws_are_the_same(
        self, shots: int, random_circuit: RandomCircuit, execute: Execute, rng: np.random.Generator
    ) -> None:
        for circuit in circuits(random_circuit, rng):
            angles = rows_of(circuit, rng)
            labels = StepKey(3).draws(sample=np.arange(len(angles)))
            batch = CircuitBatch(circuit.structure, angles, (PauliSum.of("Z0"), PauliSum.of("X0")), shots, labels)
            for each in (batch, replace(batch, observables=None)):
                found, wanted = (execute(b, each).counts for b in (MockBackend(accelerator="numba"), MockBackend()))
                assert found is not None
                assert wanted is not None
                assert [each.to_dicts() for each in found] == [each.to_dicts() for each in wanted]

    @pytest.mark.parametrize("n_bits", [1, 4, 10, 12, 13])
    def test_draws_are_those_of_numpy_whatever_the_outcomes(self, n_bits: int, rng: np.random.Generator) -> None:
        probabilities = rng.random((6, 2**n_bits)) ** 5
        probabilities[0, 1:] = 0.0  # a certain outcome
        probabilities[1, ::2] = 0.0
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        labels = rng.integers(2**63, size=6).astype(np.uint64)
        accelerator = Accelerator(np.complex128, 2**30)
        for shots in (1, 8, 100, 5000):
            found, wanted = (draw(probabilities, shots, labels, n_bits) for draw in (accelerator.sample, sample))
            assert found.to_dicts() == wanted.to_dicts()


@pytest.mark.slow  # compiling takes 20 s where it was not done before
@with_numba
class TestRows:
    def test_no_bit_of_a_row_depends_on_the_others_or_on_threads(
        self, execute: Execute, differentiate: Differentiate, rng: np.random.Generator
    ) -> None:
        circuit = layered(9, 6, "rx ry rz")
        angles = rng.normal(size=(700, circuit.structure.n_angles))
        batch = CircuitBatch(circuit.structure, angles, (PauliSum.of("Z8"), PauliSum.of("X0")))
        one, two = (MockBackend(accelerator="numba", threads=threads) for threads in (1, 2))
        found, cotangents = execute(one, batch).expectations, rng.normal(size=(700, 2))
        assert found is not None
        np.testing.assert_array_equal(execute(two, batch).expectations, found)
        np.testing.assert_array_equal(execute(one, batch.rows(5, 6)).expectations, found[5:6])
        gradients = differentiate(one, batch, cotangents)
        np.testing.assert_array_equal(differentiate(two, batch, cotangents), gradients)
        np.testing.assert_array_equal(differentiate(one, batch.rows(3, 6), cotangents[3:6]), gradients[3:6])

    @pytest.mark.parametrize("n_rows", [3, 10_000])
    def test_derivatives_with_their_outputs_are_those_of_numpy(self, n_rows: int, rng: np.random.Generator) -> None:
        circuit, backend = layered(4, 2, "ry rz"), MockBackend(accelerator="numba")
        angles = rng.normal(size=(n_rows, circuit.structure.n_angles))
        batch = CircuitBatch(circuit.structure, angles, (PauliSum.of("Z3"),))
        program = backend.compile(batch.structure, batch.groups)
        found, wanted = (
            asyncio.run(each.value_and_gradient(batch, program, np.sin)) for each in (backend, MockBackend())
        )
        np.testing.assert_allclose(found.expectations, wanted.expectations, atol=1e-12)
        np.testing.assert_allclose(found.angle_gradients, wanted.angle_gradients, atol=1e-12)

    @pytest.mark.parametrize("options", [{"memory_bytes": 2**17}, {"depolarizing": 0.01}])
    def test_what_it_does_not_take_runs_in_numpy(
        self, options: dict[str, float], execute: Execute, rng: np.random.Generator
    ) -> None:
        wide = 10 if "memory_bytes" in options else 3
        circuit = layered(wide, 4, "ry rz")
        batch = CircuitBatch(circuit.structure, rows_of(circuit, rng), (PauliSum.of("Z1"),))
        found, wanted = (execute(MockBackend(accelerator=name, **options), batch) for name in ("numba", None))
        np.testing.assert_array_equal(found.expectations, wanted.expectations)


class TestConstants:
    @pytest.mark.parametrize("accelerator", [None, pytest.param("numba", marks=with_numba)])
    def test_gradients_of_constants_are_zero(self, accelerator: str | None, differentiate: Differentiate) -> None:
        circuit, backend = layered(2, 1, "ry"), MockBackend(accelerator=accelerator)
        batch = CircuitBatch(circuit.structure, np.ones((3, 2)), (PauliSum.of(PauliString("", 2.0)),))
        np.testing.assert_array_equal(differentiate(backend, batch, np.ones((3, 1))), np.zeros((3, 2)))
        program = backend.compile(batch.structure, batch.groups)
        found = asyncio.run(backend.value_and_gradient(batch, program, np.sin))
        np.testing.assert_array_equal(found.expectations, np.full((3, 1), 2.0))
        np.testing.assert_array_equal(found.angle_gradients, np.zeros((3, 2)))


class TestOption:
    def test_an_unknown_accelerator_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="accelerator is 'numba' or None, not 'gpu'"):
            get_backend("mock", accelerator="gpu")

    def test_without_numba_the_error_says_how_to_install_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("kernels", "drawing"):
            monkeypatch.delitem(sys.modules, f"qstore_mock.compiled.{name}", raising=False)
            monkeypatch.delattr(compiled, name, raising=False)
        monkeypatch.setitem(sys.modules, "numba", None)
        with pytest.raises(ConfigurationError, match=r"needs numba: pip install './plugins/qstore_mock\[numba\]'"):
            get_backend("mock", accelerator="numba")

    def test_the_default_backend_imports_no_numba(self) -> None:
        script = "import sys; from qstore_core import get_backend; get_backend('mock'); print('numba' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "False"

    @with_numba
    def test_it_is_part_of_the_fingerprint(self) -> None:
        backend = get_backend("mock", accelerator="numba", precision="single")
        assert backend.fingerprint == "mock(precision='single', accelerator='numba')"
