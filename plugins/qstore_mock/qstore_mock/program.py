"""The compiled form of a circuit structure: a plan for pure states, and single steps for density matrices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from qstore_core.gates import GATES
from qstore_core.observables import MeasurementGroup
from qstore_core.operations import CircuitStructure
from qstore_mock.parts import Rotations
from qstore_mock.planning import Block, plan, rotations
from qstore_mock.step import Step, make_step
from qstore_mock.turns import Slot

_TO_Z = {"X": ("h",), "Y": ("sdg", "h"), "Z": ()}


@dataclass(frozen=True, eq=False)
class Program:
    """What `MockBackend.compile` returns.

    Attributes:
        structure: The gates.
        groups: The measurement bases.
    """

    structure: CircuitStructure
    groups: tuple[MeasurementGroup, ...]

    @property
    def n_qubits(self) -> int:
        """The width of the register."""
        return self.structure.n_qubits

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """How pure states are run."""
        return plan(self.structure)

    @cached_property
    def turned(self) -> tuple[tuple[Rotations | None, ...], ...]:
        """For each group what turns its basis into the computational one, in each block; None where nothing does."""
        return tuple(tuple(_turned(group, block) for block in self.blocks) for group in self.groups)

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The gates in order, one by one."""
        columns = iter(range(self.structure.n_angles))
        return tuple(
            make_step(self.n_qubits, name, qubits, next(columns) if GATES[name].has_angle else None)
            for name, qubits in self.structure.gates
        )

    @cached_property
    def rotations(self) -> tuple[tuple[Step, ...], ...]:
        """For each group the fixed gates that turn its basis into the computational one."""
        return tuple(
            tuple(
                make_step(self.n_qubits, name, (qubit,), None) for qubit, letter in group.basis for name in _TO_Z[letter]
            )
            for group in self.groups
        )


def compile_program(structure: CircuitStructure, groups: tuple[MeasurementGroup, ...]) -> Program:
    """The program of a structure and the bases to measure it in, planned for pure states when that is first needed."""
    return Program(structure, groups)


def _turned(group: MeasurementGroup, block: Block) -> Rotations | None:
    runs = {
        qubit - block.first: tuple(Slot.of(name, None) for name in _TO_Z[letter])
        for qubit, letter in group.basis
        if letter != "Z" and block.first <= qubit < block.first + block.n_qubits
    }
    return rotations(block.n_qubits, dict(runs)) if runs else None
