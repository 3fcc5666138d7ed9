"""One gate, ready to run on many rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qstore_core.arrays import BoolArray, ComplexArray, FloatArray
from qstore_core.gates import GATES, Gate
from qstore_mock.kernels import Blocks, apply_matrix


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One gate, ready to run.

    Attributes:
        gate: Which gate.
        qubits: What it acts on.
        blocks: How amplitudes are cut for it.
        pattern: Which entries of its matrix can differ from 0.
        angle: The column of its angle; None for a fixed gate.
    """

    gate: Gate
    qubits: tuple[int, ...]
    blocks: Blocks
    pattern: BoolArray
    angle: int | None

    def matrix(self, angles: FloatArray, *, adjoint: bool = False) -> ComplexArray:
        """Its matrix: `(d, d)`, or `(n_rows, d, d)` from the angles `(n_rows, n_angles)`."""
        if self.angle is None:
            return self.gate.matrix.conj().T if adjoint else self.gate.matrix
        column = angles[:, self.angle]
        return self.gate.unitaries(-column if adjoint else column)

    def apply(self, state: ComplexArray, angles: FloatArray, *, adjoint: bool = False) -> None:
        """Run it, or undo it, on every row of `state`, in place."""
        pattern = self.pattern.T if adjoint else self.pattern
        apply_matrix(state, self.blocks, self.matrix(angles, adjoint=adjoint), pattern)


def make_step(n_qubits: int, name: str, qubits: tuple[int, ...], angle: int | None) -> Step:
    """The step of a gate on some qubits of a register, its angle in the given column.

    >>> make_step(2, "cnot", (0, 1), None).pattern.sum()
    np.int64(4)
    """
    gate = GATES[name]
    nonzero = np.abs(gate.spectrum[1]).sum(axis=0) if gate.has_angle else np.abs(gate.matrix)
    return Step(gate, qubits, Blocks.of(n_qubits, qubits), nonzero > 1e-12, angle)
