"""The compiled form of a circuit structure: a list of steps that run for all rows of a batch together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from qstore_core.arrays import BoolArray, ComplexArray, FloatArray
from qstore_core.gates import GATES, Gate
from qstore_core.observables import MeasurementGroup
from qstore_core.operations import CircuitStructure
from qstore_mock.kernels import Blocks, apply_matrix

_TO_Z = {"X": ("h",), "Y": ("sdg", "h"), "Z": ()}


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


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """What `MockBackend.compile` returns.

    Attributes:
        n_qubits: The width of the register.
        steps: The gates in order.
        groups: The measurement bases.
        rotations: For each group the fixed gates that turn its basis into the computational one.
    """

    n_qubits: int
    steps: tuple[Step, ...]
    groups: tuple[MeasurementGroup, ...]
    rotations: tuple[tuple[Step, ...], ...]


def compile_program(structure: CircuitStructure, groups: tuple[MeasurementGroup, ...]) -> Program:
    """The program of a structure and the bases to measure it in."""
    n_qubits = structure.n_qubits
    columns = iter(range(structure.n_angles))
    steps = tuple(_step(n_qubits, name, qubits, columns) for name, qubits in structure.gates)
    rotations = tuple(
        tuple(_step(n_qubits, name, (qubit,), columns) for qubit, letter in group.basis for name in _TO_Z[letter])
        for group in groups
    )
    return Program(n_qubits, steps, groups, rotations)


def _step(n_qubits: int, name: str, qubits: tuple[int, ...], columns: Iterator[int]) -> Step:
    gate = GATES[name]
    nonzero = np.abs(gate.spectrum[1]).sum(axis=0) if gate.has_angle else np.abs(gate.matrix)
    angle = next(columns) if gate.has_angle else None
    return Step(gate, qubits, Blocks.of(n_qubits, qubits), nonzero > 1e-12, angle)
