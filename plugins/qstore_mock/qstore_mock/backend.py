"""The backend itself: options, chunks that fit the memory bound, and results in qstore's forms."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qstore_core.arrays import FloatArray
from qstore_core.backend import BackendCapabilities, LocalBackend
from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.errors import ConfigurationError
from qstore_core.observables import MeasurementGroup
from qstore_core.operations import CircuitStructure
from qstore_core.randomness import combine
from qstore_core.sampling import sample
from qstore_mock import noise as mixed
from qstore_mock import statevector as pure
from qstore_mock.noise import Noise
from qstore_mock.program import Program, compile_program

_AMPLITUDE_BYTES = 16
_ROW_BYTES = 1024  # a row's angles, labels and gate matrices, which outweigh the states of very few qubits
_SHOT_BYTES = 48  # a shot's random number and outcome, and the steps from one to the other


class MockBackend(LocalBackend):
    """An exact simulator in NumPy: statevectors, or density matrices when gates are noisy.

    Args:
        memory_bytes: The bound on the memory for running; rows are run in chunks that stay under it. It also sets the
            widest circuit. Results come on top, and so do the shots of a single row.
        depolarizing: Depolarising strength after each gate, one number or (one-qubit, many-qubit); see `Noise`.
        readout_error: The probability that a bit is misread, one number or (0 read as 1, 1 read as 0).

    Raises:
        ConfigurationError: A probability outside 0 to 1, or a bound too small for a single qubit.

    >>> import asyncio, numpy as np
    >>> from qstore_core import CircuitBatch, PauliString, QuantumCircuit
    >>> circuit = QuantumCircuit(2).h(0).cnot(0, 1)
    >>> batch = CircuitBatch(circuit.structure, circuit.angles(), (PauliString("Z0 Z1"),))
    >>> backend = MockBackend()
    >>> result = asyncio.run(backend.execute(batch, backend.compile(batch.structure, batch.groups)))
    >>> result.expectations.round(12)
    array([[1.]])
    """

    def __init__(
        self,
        *,
        memory_bytes: int = 2**30,
        depolarizing: float | tuple[float, float] = 0.0,
        readout_error: float | tuple[float, float] = 0.0,
    ) -> None:
        self.noise = Noise.of(depolarizing, readout_error)
        self.memory_bytes = memory_bytes
        max_qubits = _widest(memory_bytes, mixed_states=self.noise.on_gates)
        noisy = self.noise.on_gates or self.noise.on_readout
        self.capabilities = BackendCapabilities(max_qubits=max_qubits, noisy=noisy, adjoint=not noisy)
        self.fingerprint = f"mock({self.noise})" if noisy else "mock"

    def compile(self, structure: CircuitStructure, groups: tuple[MeasurementGroup, ...]) -> Program:
        """The steps that run this structure for all rows of a batch."""
        return compile_program(structure, groups)

    async def execute(self, batch: CircuitBatch, compiled: Program) -> BatchResult:
        """Run every row: expectation values or probabilities when exact, else counts drawn by the rows' labels."""
        self.capabilities.check(batch, backend=self.name)
        plan = batch.plan
        if plan is not None and not plan.groups:
            return BatchResult(expectations=np.tile(plan.constants, (batch.n_rows, 1)))
        chunks = self._chunks(batch, copies=mixed.COPIES if self.noise.on_gates else pure.COPIES)
        return BatchResult.concatenate([self._execute_chunk(chunk, compiled) for chunk in chunks])

    async def gradient(self, batch: CircuitBatch, compiled: Program, cotangents: FloatArray) -> FloatArray:
        """Exact derivatives by the adjoint method; only without noise."""
        if not self.capabilities.adjoint:
            return await super().gradient(batch, compiled, cotangents)
        self.capabilities.check(batch, backend=self.name)
        plan = batch.plan
        if plan is None or batch.shots is not None:
            raise ConfigurationError("gradients are of exact expectation values: give the batch observables, no shots")
        if cotangents.shape != (batch.n_rows, len(plan.constants)):
            shape = (batch.n_rows, len(plan.constants))
            raise ConfigurationError(f"cotangents need shape {shape}, not {cotangents.shape}")
        parts = []
        done = 0
        for chunk in self._chunks(batch, copies=pure.GRADIENT_COPIES):
            weights = cotangents[done : done + chunk.n_rows]
            parts.append(pure.angle_gradients(compiled, plan, chunk.angles, weights))
            done += chunk.n_rows
        return np.concatenate(parts)

    def _chunks(self, batch: CircuitBatch, *, copies: int) -> Iterator[CircuitBatch]:
        states = copies * _state_bytes(batch.structure.n_qubits, mixed_states=self.noise.on_gates)
        row_bytes = states + _ROW_BYTES + _SHOT_BYTES * (batch.shots or 0)
        size = max(1, self.memory_bytes // row_bytes)
        for first in range(0, batch.n_rows, size):
            yield batch.rows(first, min(first + size, batch.n_rows))

    def _execute_chunk(self, batch: CircuitBatch, program: Program) -> BatchResult:
        probabilities = self._probabilities(batch, program)
        if batch.shots is not None and batch.draws is not None:
            return BatchResult(
                counts=tuple(
                    sample(rows, batch.shots, combine(batch.draws, group), len(program.groups[group].basis))
                    for group, rows in enumerate(probabilities)
                )
            )
        if batch.plan is None:
            return BatchResult(probabilities=tuple(probabilities))
        return BatchResult(expectations=batch.plan.from_probabilities(probabilities))

    def _probabilities(self, batch: CircuitBatch, program: Program) -> Iterator[FloatArray]:
        if self.noise.on_gates:
            return mixed.group_probabilities(program, mixed.run(program, batch.angles, self.noise), self.noise)
        read = pure.group_probabilities(program, pure.run(program, batch.angles))
        if not self.noise.on_readout:
            return read
        return (self.noise.misread(rows, len(group.basis)) for rows, group in zip(read, program.groups, strict=True))


def _state_bytes(n_qubits: int, *, mixed_states: bool) -> int:
    return int(_AMPLITUDE_BYTES * 2 ** (2 * n_qubits if mixed_states else n_qubits))


def _widest(memory_bytes: int, *, mixed_states: bool) -> int:
    copies = mixed.COPIES if mixed_states else max(pure.COPIES, pure.GRADIENT_COPIES)
    if not isinstance(memory_bytes, int) or memory_bytes < copies * _state_bytes(1, mixed_states=mixed_states):
        raise ConfigurationError(f"memory_bytes={memory_bytes!r} is too little to simulate even one qubit")
    width = 1
    while copies * _state_bytes(width + 1, mixed_states=mixed_states) <= memory_bytes:
        width += 1
    return width
