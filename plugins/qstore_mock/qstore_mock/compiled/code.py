"""A planned program as arrays of instructions, which one compiled function runs whatever the circuit is.

Only a register in one block has such a code. Its instructions are those of the plan, up to a global phase:

- layers: the run of each qubit is `D Y D`, a real rotation between two diagonal matrices; the first makes the state;
- moves: amplitudes go elsewhere and may change their sign;
- pairs: `exp(-i t G / 2)`, where G takes each amplitude to one other, or the same, times a power of i, or to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from qstore_core.arrays import FloatArray, IntArray
from qstore_core.measurement import MeasurementPlan
from qstore_mock.parts import Dense, IndexMap, Part, Rotations, Signs
from qstore_mock.program import Program
from qstore_mock.readout import outcomes_of

ZERO, START, LAYER, MOVE, PAIRS = range(5)
"""What an instruction does."""

FULL, ROTATE, PHASE, BOTH = range(4)
"""How a layer's runs look: anything, a turn about y, one about z, or one about y and then one about z."""

_KINDS = {(1,): ROTATE, (2,): PHASE, (1, 2): BOTH}
_KEPT_READINGS = 16


class Code(NamedTuple):
    """The arrays: what each instruction does, and the layers, moves and pairs that instructions point to by number.

    Attributes:
        instructions: `(n_instructions, 4)` int64: what, the place of the state before, that of the state after, which
            may be the same, and the number of the layer, move or pairs.
        ends: `(n_groups,)` int64, the layer that turns each group's basis into the computational one, or -1.
        layers: `(n_layers, 5)` int64: kind, first qubit, qubits, turns of a qubit, and the first turn.
        axes: `(n_turns, 3)`, place after place, qubit after qubit.
        constants: `(n_turns,)`, radians.
        starts: `(n_turns + 1,)` int64, where each turn's gate angles are in `columns`.
        columns: int64, gate angles that are added up.
        sources: `(n_moves, 2**n_qubits)` int64, where each amplitude comes from.
        targets: The same the other way round.
        signs: `(n_moves, 2**n_qubits)` of +-1, by the amplitude's new place.
        angles: `(n_pairs,)` int64, the gate angle of each.
        partners: `(n_pairs, 2**n_qubits)` int64, the other amplitude, the same one, or -1.
        factors: `(n_pairs, 2, 2**n_qubits)`, the entries of G by rows, real and imaginary part.
    """

    instructions: IntArray
    ends: IntArray
    layers: IntArray
    axes: FloatArray
    constants: FloatArray
    starts: IntArray
    columns: IntArray
    sources: IntArray
    targets: IntArray
    signs: FloatArray
    angles: IntArray
    partners: IntArray
    factors: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """The code of a program with how it is read.

    Attributes:
        code: The instructions.
        n_qubits: Width.
        n_places: How many states exist at once: what a gradient goes back along.
        outcomes: `(n_groups, 2**n_qubits)` int64, the outcome that each amplitude of the final state belongs to.
        bits: How many qubits each group reads.
        readings: What each outcome contributes, by measurement plan; filled by `reading`.
    """

    code: Code
    n_qubits: int
    n_places: int
    outcomes: IntArray
    bits: tuple[int, ...]
    readings: dict[MeasurementPlan, FloatArray] = field(default_factory=dict)

    def reading(self, plan: MeasurementPlan) -> FloatArray:
        """What each amplitude contributes to the observables: `(n_groups, n_observables, 2**n_qubits)`."""
        found = self.readings.get(plan)
        if found is None:
            if len(self.readings) >= _KEPT_READINGS:
                self.readings.clear()
            parts = [plan.values(group, row.astype(np.uint64)).T for group, row in enumerate(self.outcomes)]
            found = self.readings[plan] = np.ascontiguousarray(np.stack(parts))
        return found


def encode(program: Program) -> Encoded | None:
    """The code of a program; None where its register is cut, or it has a part that there is no instruction for.

    >>> from qstore_core import QuantumCircuit
    >>> from qstore_mock.program import compile_program
    >>> encoded = encode(compile_program(QuantumCircuit(2).h(0).cnot(0, 1).rx(1, 0.3).structure, ()))
    >>> encoded.code.instructions[:, 0].tolist(), encoded.n_places
    ([1, 3, 2], 2)
    """
    if len(program.blocks) > 1:
        return None
    writer = _Writer(program.n_qubits)
    if not all(writer.add(part) for part in program.blocks[0].parts):
        return None
    if not writer.instructions:
        writer.instructions.append((ZERO, 0, 0, 0))
    ends = [-1 if part is None else writer.layer(part) for (part,) in program.turned]
    outcomes = [outcomes_of(program, group) for group in range(len(program.groups))]
    return Encoded(
        code=writer.code(ends),
        n_qubits=program.n_qubits,
        n_places=writer.instructions[-1][2] + 1,
        outcomes=np.array(outcomes, dtype=np.int64).reshape(len(outcomes), 2**program.n_qubits),
        bits=tuple(len(group.basis) for group in program.groups),
    )


@dataclass(slots=True)
class _Writer:
    """Instructions as they are gathered."""

    n_qubits: int
    instructions: list[tuple[int, int, int, int]] = field(default_factory=list)
    layers: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    axes: list[Sequence[float]] = field(default_factory=list)
    constants: list[float] = field(default_factory=list)
    columns: list[Sequence[int]] = field(default_factory=list)
    moves: dict[Any, int] = field(default_factory=dict)
    pairs: list[tuple[int, IntArray, Any]] = field(default_factory=list)

    def add(self, part: Part) -> bool:
        """Write a part, if there is an instruction for it."""
        if isinstance(part, Rotations):
            self._instruct(LAYER if self.instructions else START, self.layer(part))
        elif isinstance(part, IndexMap | Signs):
            self._instruct(MOVE, self.moves.setdefault(part, len(self.moves)))
        elif isinstance(part, Dense) and part.step.angle is not None:
            found = _pairs(self.n_qubits, part.step.qubits, 2 * part.step.gate.matrix)
            if found is None:
                return False
            self._instruct(PAIRS, len(self.pairs))
            self.pairs.append((part.step.angle, *found))
        else:
            return False
        return True

    def layer(self, part: Rotations) -> int:
        """Write the turns of a layer; returns its number."""
        turns = part.turns
        kind = _KINDS.get(tuple(-1 if axis is None else axis for axis in turns.common), FULL)
        self.layers.append((kind, part.first, len(turns.slots[0]), len(turns.slots), len(self.axes)))
        for row in turns.slots:
            for slot in row:
                self.axes.append(slot.axis)
                self.constants.append(slot.constant)
                self.columns.append(slot.columns)
        return len(self.layers) - 1

    def _instruct(self, what: int, number: int) -> None:
        """Layers after a move are done in place; no derivative is taken of what was there."""
        if not self.instructions and what != START:
            self.instructions.append((ZERO, 0, 0, 0))
        before = self.instructions[-1][2] if self.instructions else 0
        same = not self.instructions or (self.instructions[-1][0] in (MOVE, ZERO) and what != MOVE)
        self.instructions.append((what, before, before + (not same), number))

    def code(self, ends: Sequence[int]) -> Code:
        """All of it as arrays."""
        size = 2**self.n_qubits
        plain, signed = np.arange(size), np.ones(size)
        sources = [part.source if isinstance(part, IndexMap) else plain for part in self.moves]
        targets = [part.target if isinstance(part, IndexMap) else plain for part in self.moves]
        signs = [part.signs if isinstance(part, Signs) else signed for part in self.moves]
        return Code(
            instructions=_whole(self.instructions, 4),
            ends=np.array(ends, dtype=np.int64),
            layers=_whole(self.layers, 5),
            axes=np.array(self.axes, dtype=np.float64).reshape(-1, 3),
            constants=np.array(self.constants, dtype=np.float64),
            starts=np.cumsum([0, *map(len, self.columns)], dtype=np.int64),
            columns=np.array([column for row in self.columns for column in row], dtype=np.int64),
            sources=_whole(sources, size),
            targets=_whole(targets, size),
            signs=np.array(signs, dtype=np.float64).reshape(-1, size),
            angles=np.array([angle for angle, _, _ in self.pairs], dtype=np.int64),
            partners=_whole([partners for _, partners, _ in self.pairs], size),
            factors=np.array([[g.real, g.imag] for _, _, g in self.pairs], dtype=np.float64).reshape(-1, 2, size),
        )


def _whole(rows: Sequence[Any], width: int) -> IntArray:
    return np.array(rows, dtype=np.int64).reshape(-1, width)


def _pairs(n_qubits: int, qubits: Sequence[int], matrix: Any) -> tuple[IntArray, Any] | None:
    """The partner of each amplitude and its factor, if the matrix has at most one entry, of modulus 1, in each row."""
    present = np.abs(matrix) > 1e-12
    if (present.sum(axis=1) > 1).any() or not np.allclose(np.abs(matrix[present]), 1.0, atol=1e-12):
        return None
    register = np.arange(2**n_qubits)
    places = [n_qubits - 1 - qubit for qubit in qubits]
    local = sum((register >> place & 1) << (len(places) - 1 - k) for k, place in enumerate(places))
    other = present.argmax(axis=1)[local]
    cleared = register & ~sum(1 << place for place in places)
    moved = cleared + sum((other >> (len(places) - 1 - k) & 1) << place for k, place in enumerate(places))
    acts = present.any(axis=1)[local]
    return np.where(acts, moved, -1), np.where(acts, matrix[local, other], 0.0)
