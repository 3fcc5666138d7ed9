"""The compiled form of a circuit structure: a plan for pure states, and single steps for density matrices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

from qstore_core.gates import GATES
from qstore_core.measurement import MeasurementPlan
from qstore_core.observables import MeasurementGroup
from qstore_core.operations import CircuitStructure
from qstore_mock.parts import Dense, IndexMap, Rotations
from qstore_mock.planning import Block, plan, rotations, smallest
from qstore_mock.step import Step, make_step
from qstore_mock.turns import Slot

_MOST_KEPT = 2**14  # amplitudes
_TO_Z = {"X": ("h",), "Y": ("sdg", "h"), "Z": ()}


@dataclass(frozen=True, eq=False)
class Program:
    """What `MockBackend.compile` returns.

    Attributes:
        structure: The gates, on a register of the qubits that matter.
        groups: The measurement bases, on the same register.
        is_whole: Whether the register is not to be cut.
    """

    structure: CircuitStructure
    groups: tuple[MeasurementGroup, ...]
    is_whole: bool = False

    @property
    def n_qubits(self) -> int:
        """The width of the register."""
        return self.structure.n_qubits

    @property
    def blocks(self) -> tuple[Block, ...]:
        """How pure states are run, up to `tail`."""
        return self._planned[0]

    @property
    def tail(self) -> IndexMap | None:
        """Index maps at the end are not run but read through, where every group is read in the computational basis."""
        return self._planned[1]

    @cached_property
    def _planned(self) -> tuple[tuple[Block, ...], IndexMap | None]:
        blocks = plan(self.structure, whole=self.is_whole)
        last = blocks[0].parts[-1] if blocks[0].parts else None
        bases = {letter for group in self.groups for _, letter in group.basis}
        if len(blocks) > 1 or not isinstance(last, IndexMap) or not bases <= {"Z"}:
            return blocks, None
        return (replace(blocks[0], parts=blocks[0].parts[:-1]),), last

    @cached_property
    def whole(self) -> Program:
        """The same without a cut, which takes fewer calls where there is little to compute."""
        return self if len(self.blocks) == 1 else replace(self, is_whole=True)

    @cached_property
    def row_amplitudes(self) -> int:
        """How many amplitudes a row has at the end, over all blocks and branches."""
        return sum(block.n_branches * 2**block.n_qubits for block in self.blocks)

    @cached_property
    def row_history(self) -> int:
        """How many amplitudes a row has before the first part and after each of them."""
        return sum(block.n_branches * 2**block.n_qubits * (len(block.parts) + 1) for block in self.blocks)

    @cached_property
    def row_entries(self) -> int:
        """How many numbers the matrices of a row have, when its angles are its own."""
        parts = [part for block in self.blocks for part in block.parts]
        windows = [window for part in parts if isinstance(part, Rotations) for window in part.windows]
        dense = [part.step.gate.n_qubits for part in parts if isinstance(part, Dense)]
        return int(sum(2 * 4**window.width for window in windows) + sum(4**width for width in dense))

    @cached_property
    def readouts(self) -> dict[tuple[MeasurementPlan, int], Any]:
        """What `readout` keeps of this program, by measurement plan and group."""
        return {}

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
            tuple(make_step(self.n_qubits, name, (q,), None) for q, letter in group.basis for name in _TO_Z[letter])
            for group in self.groups
        )


def compile_program(structure: CircuitStructure, groups: tuple[MeasurementGroup, ...]) -> Program:
    """The program of a structure and the bases to measure it in, planned when that is first needed.

    Qubits that no gate touches and no basis reads are left out: light cones leave many of them. Programs whose states
    have no more than 2**14 amplitudes are kept, so that asking again is cheap; others hold arrays as large as states.
    """
    return _kept(structure, groups) or Program(*_without_idle(structure, groups))


@lru_cache(maxsize=64)
def _kept(structure: CircuitStructure, groups: tuple[MeasurementGroup, ...]) -> Program | None:
    program = Program(*_without_idle(structure, groups))
    return program if smallest(program.structure)[0] <= _MOST_KEPT else None


def _without_idle(
    structure: CircuitStructure, groups: tuple[MeasurementGroup, ...]
) -> tuple[CircuitStructure, tuple[MeasurementGroup, ...]]:
    """The same on the qubits that are acted on or read, in their order."""
    busy = {qubit for _, qubits in structure.gates for qubit in qubits}
    busy |= {qubit for group in groups for qubit in group.qubits}
    if len(busy) in (0, structure.n_qubits):
        return structure, groups
    place = {qubit: number for number, qubit in enumerate(sorted(busy))}
    gates = tuple((name, tuple(place[qubit] for qubit in qubits)) for name, qubits in structure.gates)
    bases = (tuple((place[qubit], letter) for qubit, letter in group.basis) for group in groups)
    return CircuitStructure(len(busy), gates), tuple(map(MeasurementGroup, bases))


def _turned(group: MeasurementGroup, block: Block) -> Rotations | None:
    runs = {
        qubit - block.first: tuple(Slot.of(name, None) for name in _TO_Z[letter])
        for qubit, letter in group.basis
        if letter != "Z" and block.first <= qubit < block.first + block.n_qubits
    }
    return rotations(block.n_qubits, dict(runs)) if runs else None
