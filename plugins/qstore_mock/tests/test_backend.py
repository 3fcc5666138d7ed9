"""The backend's options, chunks, memory bound and errors."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from qstore_mock.backend import MockBackend

from qstore_core.arrays import FloatArray
from qstore_core.batch import BatchResult, CircuitBatch, estimates
from qstore_core.circuit import QuantumCircuit
from qstore_core.errors import CapabilityError, ConfigurationError
from qstore_core.observables import PauliString, PauliSum
from qstore_core.randomness import StepKey

MIB = 2**20

Execute = Callable[[MockBackend, CircuitBatch], BatchResult]
Differentiate = Callable[[MockBackend, CircuitBatch, FloatArray], FloatArray]
RandomCircuit = Callable[..., QuantumCircuit]
RandomObservables = Callable[..., tuple[PauliSum, ...]]


def layered(n_qubits: int) -> QuantumCircuit:
    """Rotations of one and two qubits, which need the most room, and controlled ones."""
    circuit = QuantumCircuit(n_qubits)
    for qubit in range(n_qubits):
        circuit = circuit.ry(qubit, 0.0)
    for qubit in range(n_qubits - 1):
        circuit = circuit.rxx(qubit, qubit + 1, 0.0).crx(qubit + 1, qubit, 0.0)
    return circuit


def full_width_observables(n_qubits: int, size: int) -> tuple[PauliSum, ...]:
    """Observables on every qubit, each in a basis of its own."""
    words = [{qubit: "XYZ"[number // 3 ** (qubit % 2) % 3] for qubit in range(n_qubits)} for number in range(size)]
    return tuple(PauliSum.of(PauliString(word)) for word in words)


class TestChunks:
    @pytest.mark.parametrize(
        "options", [{}, {"readout_error": 0.1}, {"depolarizing": 0.05}], ids=["pure", "misread", "mixed"]
    )
    def test_they_change_results_by_rounding_at_the_most(
        self,
        options: dict[str, Any],
        random_circuit: RandomCircuit,
        random_observables: RandomObservables,
        execute: Execute,
        rng: np.random.Generator,
    ) -> None:
        circuit, observables = random_circuit(rng, 4), random_observables(rng, 4)
        angles = rng.normal(size=(23, circuit.structure.n_angles))
        for measured in (observables, None):
            batch = CircuitBatch(circuit.structure, angles, measured)
            whole = execute(MockBackend(**options), batch)
            for memory_bytes in (17_000, 50_000, 150_000):
                chunked = execute(MockBackend(memory_bytes=memory_bytes, **options), batch)
                if measured is None:
                    assert whole.probabilities is not None
                    assert chunked.probabilities is not None
                    np.testing.assert_allclose(chunked.probabilities[0], whole.probabilities[0], atol=1e-12, rtol=0)
                else:
                    np.testing.assert_allclose(chunked.expectations, whole.expectations, atol=1e-12, rtol=0)

    def test_they_change_gradients_by_rounding_at_the_most(
        self,
        random_circuit: RandomCircuit,
        random_observables: RandomObservables,
        differentiate: Differentiate,
        rng: np.random.Generator,
    ) -> None:
        circuit, observables = random_circuit(rng, 4), random_observables(rng, 4, size=3)
        angles = rng.normal(size=(23, circuit.structure.n_angles))
        batch, cotangents = CircuitBatch(circuit.structure, angles, observables), rng.normal(size=(23, 3))
        whole = differentiate(MockBackend(), batch, cotangents)
        for memory_bytes in (2_000, 10_000, 30_000):
            chunked = differentiate(MockBackend(memory_bytes=memory_bytes), batch, cotangents)
            np.testing.assert_allclose(chunked, whole, atol=1e-12, rtol=0)


class TestMemory:
    """Peaks of what Python and NumPy allocate while a batch runs, from the first chunk to the result."""

    def peak(self, run: Callable[[], object]) -> int:
        tracemalloc.start()
        try:
            run()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    @pytest.mark.parametrize(
        ("n_qubits", "n_rows", "memory_bytes"),
        [(14, 40, 8 * MIB), (15, 20, 16 * MIB), (16, 6, 7 * MIB), (2, 20_000, 4 * MIB)],
    )
    @pytest.mark.parametrize("size", [1, 4])
    def test_exact_values_and_gradients_stay_under_the_bound(
        self,
        n_qubits: int,
        n_rows: int,
        memory_bytes: int,
        size: int,
        execute: Execute,
        differentiate: Differentiate,
        rng: np.random.Generator,
    ) -> None:
        structure = layered(n_qubits).structure
        angles = rng.normal(size=(n_rows, structure.n_angles))
        batch = CircuitBatch(structure, angles, full_width_observables(n_qubits, size))
        backend, cotangents = MockBackend(memory_bytes=memory_bytes), np.ones((n_rows, size))
        assert self.peak(lambda: execute(backend, batch)) < memory_bytes
        assert self.peak(lambda: differentiate(backend, batch, cotangents)) < memory_bytes

    @pytest.mark.parametrize(
        "options", [{}, {"readout_error": 0.1}, {"depolarizing": 0.1}], ids=["pure", "misread", "mixed"]
    )
    def test_shots_stay_under_the_bound(
        self, options: dict[str, Any], execute: Execute, rng: np.random.Generator
    ) -> None:
        structure = layered(5).structure
        angles = rng.normal(size=(200, structure.n_angles))
        labels = StepKey(1).draws(sample=np.arange(200))
        batch = CircuitBatch(structure, angles, full_width_observables(5, 3), 1000, labels)
        assert self.peak(lambda: execute(MockBackend(memory_bytes=4 * MIB, **options), batch)) < 4 * MIB

    def test_density_matrices_stay_under_the_bound(self, execute: Execute, rng: np.random.Generator) -> None:
        structure = layered(7).structure
        batch = CircuitBatch(structure, rng.normal(size=(20, structure.n_angles)), full_width_observables(7, 3))
        assert self.peak(lambda: execute(MockBackend(memory_bytes=4 * MIB, depolarizing=0.1), batch)) < 4 * MIB

    def test_20_qubits_run_within_the_default_bound(self, execute: Execute, rng: np.random.Generator) -> None:
        angles = rng.normal(size=20)
        circuit = QuantumCircuit(20)
        for qubit in range(20):
            circuit = circuit.ry(qubit, angles[qubit])
        for qubit in range(19):
            circuit = circuit.cnot(qubit, qubit + 1)
        observables = tuple(PauliSum.of(PauliString({qubit: "Z"})) for qubit in (0, 7, 19))
        batch = CircuitBatch(circuit.structure, circuit.angles(), observables)
        parities = np.cumprod(np.cos(angles))  # each CNOT adds the parity of the qubits before
        np.testing.assert_allclose(execute(MockBackend(), batch).expectations, [parities[[0, 7, 19]]], atol=1e-12)


class TestCapabilities:
    def test_the_memory_bound_sets_the_widest_circuit(self) -> None:
        assert MockBackend().capabilities.max_qubits == 23
        assert MockBackend(memory_bytes=2**20).capabilities.max_qubits == 13
        assert MockBackend(depolarizing=0.1).capabilities.max_qubits == 12

    def test_a_circuit_that_is_too_wide_is_refused(self, execute: Execute) -> None:
        circuit = QuantumCircuit(14)
        batch = CircuitBatch(circuit.structure, circuit.angles())
        with pytest.raises(CapabilityError, match="the circuit has 14 qubits and backend 'mock' at most 13"):
            execute(MockBackend(memory_bytes=2**20), batch)

    def test_gradients_are_offered_without_noise_only(self, differentiate: Differentiate) -> None:
        circuit = QuantumCircuit(1).ry(0, 0.3)
        batch = CircuitBatch(circuit.structure, circuit.angles(), (PauliSum.of("Z0"),))
        assert MockBackend().capabilities.adjoint
        assert not MockBackend().capabilities.noisy
        for backend in (MockBackend(depolarizing=0.1), MockBackend(readout_error=0.1)):
            assert backend.capabilities.noisy
            assert not backend.capabilities.adjoint
            with pytest.raises(CapabilityError, match="backend 'mock' has no adjoint gradient"):
                differentiate(backend, batch, np.ones((1, 1)))

    def test_a_gradient_needs_observables(self, differentiate: Differentiate) -> None:
        circuit = QuantumCircuit(1).ry(0, 0.3)
        with pytest.raises(ConfigurationError, match="give the batch observables"):
            differentiate(MockBackend(), CircuitBatch(circuit.structure, circuit.angles()), np.ones((1, 1)))

    @pytest.mark.parametrize("memory_bytes", [1e9, "1GB", None, True], ids=repr)
    def test_a_bound_is_a_whole_number(self, memory_bytes: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"memory_bytes is a whole number of bytes, such as 2\*\*30, not "):
            MockBackend(memory_bytes=memory_bytes)

    def test_too_wide_a_circuit_is_told_what_sets_the_width(self) -> None:
        circuit = QuantumCircuit(6).h(0)
        batch = CircuitBatch(circuit.structure, circuit.angles(), (PauliSum.of("Z0"),))
        backend = MockBackend(memory_bytes=2**12)
        told = r"at most 5 \(set by memory_bytes=4096; precision='single' needs half\)"
        with pytest.raises(CapabilityError, match=told):
            backend.capabilities.check(batch, backend="mock")

    @pytest.mark.parametrize("memory_bytes", [0, 100, -1], ids=repr)
    def test_a_bound_that_holds_no_qubit_is_refused(self, memory_bytes: int) -> None:
        with pytest.raises(ConfigurationError, match=f"memory_bytes={memory_bytes!r} is too little to simulate even"):
            MockBackend(memory_bytes=memory_bytes)


class TestFingerprint:
    def test_it_is_the_name_when_results_are_exact(self) -> None:
        assert MockBackend().fingerprint == MockBackend(depolarizing=0, readout_error=(0, 0)).fingerprint == "mock"

    def test_it_changes_with_every_noise_parameter(self) -> None:
        options: list[dict[str, Any]] = [
            {},
            {"depolarizing": 0.1},
            {"depolarizing": 0.2},
            {"depolarizing": (0.1, 0.2)},
            {"readout_error": 0.1},
            {"readout_error": (0.1, 0.2)},
            {"depolarizing": 0.1, "readout_error": 0.1},
        ]
        backends = [MockBackend(**each) for each in options]
        assert len({backend.fingerprint for backend in backends}) == len(options)
        assert {backend.name for backend in backends} == {"mock"}

    def test_it_does_not_hold_what_leaves_results_as_they_are(self) -> None:
        assert MockBackend(memory_bytes=2**20).fingerprint == MockBackend().fingerprint
        noisy = MockBackend(memory_bytes=2**20, depolarizing=0.1)
        assert noisy.fingerprint == MockBackend(depolarizing=(0.1, 0.1)).fingerprint
        assert "memory" not in noisy.fingerprint


@pytest.mark.parametrize("shots", [None, 10])
def test_identities_are_known_without_running_anything(shots: int | None, execute: Execute) -> None:
    structure = QuantumCircuit(2).h(0).structure
    labels = None if shots is None else StepKey(1).draws(sample=np.arange(3))
    batch = CircuitBatch(structure, np.zeros((3, 0)), (PauliSum.of(PauliString("I", 2.5)),), shots, labels)
    result = execute(MockBackend(), batch)
    assert result.n_rows == 3
    np.testing.assert_array_equal(estimates(batch, result).values, [[2.5]] * 3)


def test_one_compiled_program_serves_any_number_of_rows(rng: np.random.Generator) -> None:
    circuit, backend = layered(3), MockBackend()
    observables = full_width_observables(3, 2)
    angles = rng.normal(size=(5, circuit.structure.n_angles))
    batch = CircuitBatch(circuit.structure, angles, observables)
    program = backend.compile(batch.structure, batch.groups)
    together = asyncio.run(backend.execute(batch, program)).expectations
    alone = [asyncio.run(backend.execute(batch.rows(row, row + 1), program)).expectations for row in range(5)]
    np.testing.assert_allclose(np.concatenate([rows for rows in alone if rows is not None]), together, atol=1e-13)


@pytest.mark.parametrize(
    ("shots", "cotangents", "message"),
    [
        (10, np.ones((2, 1)), "gradients are of exact expectation values"),
        (None, np.ones((2, 2)), r"cotangents need shape \(2, 1\), not \(2, 2\)"),
    ],
)
def test_a_gradient_that_cannot_be_is_refused(shots: int | None, cotangents: FloatArray, message: str) -> None:
    circuit = QuantumCircuit(1).ry(0, 0.1)
    draws = np.zeros(2, dtype=np.uint64)
    batch = CircuitBatch(circuit.structure, np.zeros((2, 1)), (PauliSum.of("Z0"),), shots, draws)
    backend = MockBackend()
    compiled = backend.compile(batch.structure, batch.groups)
    with pytest.raises(ConfigurationError, match=message):
        asyncio.run(backend.gradient(batch, compiled, cotangents))
