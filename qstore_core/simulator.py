"""The shortest way to a backend: an author runs one circuit, and everything else is here."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Any

import numpy as np

from qstore_core.arrays import FloatArray
from qstore_core.backend import LocalBackend
from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.errors import BackendError
from qstore_core.observables import MeasurementGroup
from qstore_core.operations import CircuitStructure
from qstore_core.randomness import combine
from qstore_core.sampling import sample


class SimulatorBackend(LocalBackend):
    """A simulator whose author writes `probabilities` of one circuit; bases, batches, shots and seeds are done here.

    The gates that turn a measurement basis into the computational one, H and S†, are appended to the structure. A
    simulator that is faster for many rows at once, or for observables, derives from `LocalBackend` instead.

    >>> import asyncio
    >>> from qstore_core import BackendCapabilities, PauliString, QuantumCircuit
    >>> class Coin(SimulatorBackend):
    ...     capabilities = BackendCapabilities(max_qubits=1, gates=frozenset({"h"}))
    ...     fingerprint = "coin"
    ...
    ...     def probabilities(self, structure, angles):
    ...         return np.array([0.5, 0.5] if len(structure.gates) % 2 else [1.0, 0.0])
    >>> circuit, backend = QuantumCircuit(1).h(0), Coin()
    >>> batch = CircuitBatch(circuit.structure, circuit.angles(), (PauliString("Z0"), PauliString("X0")))
    >>> result = asyncio.run(backend.execute(batch, backend.compile(batch.structure, batch.groups)))
    >>> result.expectations
    array([[0., 1.]])
    """

    @abstractmethod
    def probabilities(self, structure: CircuitStructure, angles: FloatArray) -> FloatArray:
        """The probability of each outcome of the whole register, `(2**n_qubits,)`, qubit 0 the most significant bit.

        Args:
            structure: The gates, in order.
            angles: `(n_angles,)`, radians, in the order of the gates that have one.

        What is not that many real numbers, at least 0 and with the sum 1, is refused with a `BackendError`.
        """

    def compile(self, structure: CircuitStructure, groups: tuple[MeasurementGroup, ...]) -> Any:
        """For each measurement basis the structure with the gates that turn it into the computational one."""
        return tuple(replace(structure, gates=structure.gates + group.rotations) for group in groups)

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        """Run every row in every basis."""
        self.capabilities.check(batch, backend=self.name)
        if not batch.groups:  # every observable is a multiple of the identity
            assert batch.plan is not None
            return BatchResult(expectations=np.tile(batch.plan.constants, (batch.n_rows, 1)))
        tables = self.tables(batch, compiled)
        if batch.shots is not None and batch.draws is not None:
            return BatchResult(
                counts=tuple(
                    sample(table, batch.shots, combine(batch.draws, number), len(group.basis))
                    for number, (table, group) in enumerate(zip(tables, batch.groups, strict=True))
                )
            )
        if batch.plan is None:
            return BatchResult(probabilities=tables)
        return BatchResult(expectations=batch.plan.from_probabilities(tables))

    def tables(self, batch: CircuitBatch, compiled: Any) -> tuple[FloatArray, ...]:
        """For each measurement basis the probability of each outcome, `(n_rows, 2**n_bits)`."""
        return tuple(
            np.array([self._read(structure, angles, group) for angles in batch.angles])
            for structure, group in zip(compiled, batch.groups, strict=True)
        )

    def _read(self, structure: CircuitStructure, angles: FloatArray, group: MeasurementGroup) -> FloatArray:
        """The probabilities of the measured qubits' outcomes, `(2**n_bits,)`."""
        table = self._checked(self.probabilities(structure, angles), structure.n_qubits)
        unread = tuple(qubit for qubit in range(structure.n_qubits) if qubit not in group.qubits)
        read: FloatArray = table.sum(axis=unread).reshape(-1)
        return read

    def _checked(self, given: object, n_qubits: int) -> FloatArray:
        """What `probabilities` gave, as `(2,) * n_qubits`, if it can be probabilities.

        Shots drawn from anything else would look like results.
        """
        table = np.asarray(given)
        if table.size != 2**n_qubits or table.dtype.kind not in "fiu":
            raise BackendError(
                f"probabilities of backend {self.name!r} gave {_kind_of(table)}; it gives real numbers, "
                f"({2**n_qubits},) for {n_qubits} qubits"
            )
        total, least = table.sum(), table.min()
        if not (abs(total - 1) <= _ROUNDING and least >= -_ROUNDING):
            raise BackendError(
                f"probabilities of backend {self.name!r} gave numbers from {least:.6g} up, with the sum {total:.6g}; "
                "probabilities are at least 0 and sum to 1"
            )
        return table.reshape((2,) * n_qubits)


_ROUNDING = 1e-4
"""What single precision may leave over."""


def _kind_of(table: np.ndarray[Any, Any]) -> str:
    return f"{table.dtype} of shape {table.shape}"
