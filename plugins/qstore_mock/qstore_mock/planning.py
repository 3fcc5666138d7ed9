"""How a circuit is going to be run: its gates gathered into parts, and its register cut in two where that saves work.

**Gathering.** Each gate goes into the earliest part of its kind that comes after everything on its qubits: runs of
one-qubit gates into layers of rotations, CNOTs and the like into index maps, CZs into signs.

**Cutting.** A gate across a cut is a sum of products, `CNOT = |0><0| (x) I + |1><1| (x) X`, so with r of them the state
is a sum of `2**r` products of states of the two sides, its branches: `2**r (2**m + 2**(n - m))` amplitudes instead of
`2**n`. For few layers and many qubits that is far less, and it is exact (a Schroedinger-Feynman simulation, Aaronson
and Chen, arXiv 1612.05903). What is read needs no more than products of the sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qstore_core.arrays import ComplexArray, IntArray
from qstore_core.gates import GATES
from qstore_core.operations import CircuitStructure
from qstore_mock.parts import Dense, IndexMap, Part, Rotations, Signs, Split
from qstore_mock.step import make_step
from qstore_mock.turns import FIXED, FREE, Slot, Turns
from qstore_mock.windows import windows

_MAPPED = ("cnot", "swap", "toffoli")
_UP, _DOWN = np.diag([1.0, 0.0]), np.diag([0.0, 1.0])
_SPLITS = {
    "cnot": (np.array([_UP, _DOWN]), np.array([np.eye(2), [[0.0, 1.0], [1.0, 0.0]]])),
    "cz": (np.array([_UP, _DOWN]), np.array([np.eye(2), np.diag([1.0, -1.0])])),
}
"""The gates that may cross a cut, as sums of products: operators on the first and on the second qubit."""

GAIN = 8  # a cut must save that much of the amplitudes: two registers are twice the calls

_Gate = tuple[str, tuple[int, ...], int | None]


@dataclass(frozen=True, eq=False)
class Block:
    """One side of the register, or all of it.

    Attributes:
        first: Its first qubit.
        n_qubits: How many it has.
        parts: What acts on it, in order, with qubits numbered from its first one.
        n_branches: How many branches it ends with.
        phase: The global phase that its parts leave out: a constant, radians, and gate angles of which half is added.
    """

    first: int
    n_qubits: int
    parts: tuple[Part, ...]
    n_branches: int
    phase: tuple[float, tuple[int, ...]]


def plan(structure: CircuitStructure, *, whole: bool = False) -> tuple[Block, ...]:
    """The register as one block, or as the two sides of the best cut if that is so much less to compute.

    Args:
        structure: The gates.
        whole: Not to cut it.

    >>> chain = tuple(("ry", (q,)) for q in range(12)) + tuple(("cnot", (q, q + 1)) for q in range(11))
    >>> [(block.first, block.n_qubits, block.n_branches) for block in plan(CircuitStructure(12, chain))]
    [(0, 6, 2), (6, 6, 2)]
    """
    gates = _numbered(structure)
    n_qubits = structure.n_qubits
    cut = 0 if whole else smallest(structure)[1]
    if not cut:
        return (_block(0, n_qubits, gates),)
    return _block(0, cut, gates), _block(cut, n_qubits - cut, gates)


def smallest(structure: CircuitStructure) -> tuple[int, int]:
    """How many amplitudes a row of a structure will have, and before which qubit its register is cut; 0: it is not."""
    n_qubits = structure.n_qubits
    cuts = [(_amplitudes(structure, cut), abs(n_qubits - 2 * cut), cut) for cut in range(1, n_qubits)]
    size, _, cut = min(cuts, default=(2**n_qubits, 0, 0))
    return (size, cut) if size * GAIN <= 2**n_qubits else (2**n_qubits, 0)


def rotations(n_qubits: int, runs: dict[int, Sequence[Slot]]) -> Rotations:
    """Runs of one-qubit gates on some qubits of a register as a part."""
    first, last = min(runs), max(runs)
    turns = Turns.of([runs.get(qubit, ()) for qubit in range(first, last + 1)])
    return Rotations(n_qubits, first, turns, windows(n_qubits, first, last))


def _numbered(structure: CircuitStructure) -> list[_Gate]:
    """Each gate with the number of its angle."""
    gates: list[_Gate] = []
    column = 0
    for name, qubits in structure.gates:
        has_angle = GATES[name].has_angle
        gates.append((name, qubits, column if has_angle else None))
        column += has_angle
    return gates


def _amplitudes(structure: CircuitStructure, cut: int) -> int:
    """How many amplitudes the two sides of a cut have at the end, over all branches."""
    branches = 1
    for name, qubits in structure.gates:
        if len(qubits) > 1 and min(qubits) < cut <= max(qubits):
            if name not in _SPLITS:
                return int(2 ** (2 * structure.n_qubits))
            branches *= len(_SPLITS[name][0])
    return int(branches * (2**cut + 2 ** (structure.n_qubits - cut)))


def _block(first: int, n_qubits: int, gates: Sequence[_Gate]) -> Block:
    gathered = _Gathered(n_qubits)
    branches = 1
    for name, qubits, column in gates:
        inside = [first <= qubit < first + n_qubits for qubit in qubits]
        if all(inside):
            gathered.add(name, tuple(qubit - first for qubit in qubits), column)
        elif any(inside):
            side = inside.index(True)
            operators = _SPLITS[name][side]
            gathered.split(qubits[side] - first, operators.astype(np.complex128))
            branches *= len(operators)
    return Block(first, n_qubits, tuple(gathered.parts()), branches, (gathered.phase, tuple(gathered.halves)))


@dataclass(slots=True)
class _Draft:
    """A part that gates are still being added to."""

    kind: str
    gates: list[Any] = field(default_factory=list)


@dataclass(slots=True)
class _Gathered:
    """Gates put into parts; the first part is always one of rotations, which makes the initial product state."""

    n_qubits: int
    drafts: list[_Draft] = field(default_factory=lambda: [_Draft("rotations")])
    last: dict[int, int] = field(default_factory=dict)
    phase: float = 0.0
    halves: list[int] = field(default_factory=list)

    def add(self, name: str, qubits: tuple[int, ...], column: int | None) -> None:
        """Put a gate into the earliest part where it may be."""
        after = max((self.last.get(qubit, -1) for qubit in qubits), default=-1)
        gate: Any = (name, qubits, column)
        kind = "dense"
        if name in _MAPPED or (name == "x" and after >= 0 and self.drafts[after].kind == "map"):
            kind, gate = "map", (name, qubits)
        elif name in FREE or name in FIXED:
            kind, gate = "rotations", self._turn(name, qubits[0], column)
        elif name == "cz":
            kind, gate = "signs", qubits
        self._put(kind, gate, qubits, after)

    def _turn(self, name: str, qubit: int, column: int | None) -> tuple[int, Slot]:
        slot = Slot.of(name, column)
        self.phase += slot.constant / 2
        if name == "p":
            self.halves += slot.columns
        return qubit, slot

    def split(self, qubit: int, operators: ComplexArray) -> None:
        """A side of a gate across the cut; these stay in order, which is the order of the branches."""
        self.drafts.append(_Draft("split", [(qubit, operators)]))
        self.last[qubit] = len(self.drafts) - 1

    def _put(self, kind: str, gate: Any, qubits: tuple[int, ...], after: int) -> None:
        place = next((p for p in range(max(after, 0), len(self.drafts)) if self.drafts[p].kind == kind), None)
        if place is None or kind == "dense":
            self.drafts.append(_Draft(kind))
            place = len(self.drafts) - 1
        self.drafts[place].gates.append(gate)
        self.last.update(dict.fromkeys(qubits, place))

    def parts(self) -> Iterator[Part]:
        """The parts that have gates."""
        maps: dict[tuple[Any, ...], IndexMap] = {}  # layers are alike, and a map is half as large as a state
        for draft in self.drafts:
            if draft.kind == "map":
                gates = tuple(draft.gates)
                yield maps.setdefault(gates, maps.get(gates) or IndexMap(_source(self.n_qubits, gates)))
            elif draft.gates:
                yield self._part(draft)

    def _part(self, draft: _Draft) -> Part:
        if draft.kind == "rotations":
            return rotations(self.n_qubits, _runs(draft.gates))
        if draft.kind == "signs":
            return Signs(_signs(self.n_qubits, draft.gates))
        (gate,) = draft.gates
        return Split(*gate) if draft.kind == "split" else Dense(make_step(self.n_qubits, *gate))


def _runs(gates: Sequence[tuple[int, Slot]]) -> dict[int, Sequence[Slot]]:
    runs: dict[int, tuple[Slot, ...]] = {}
    for qubit, slot in gates:
        run = runs.get(qubit, ())
        runs[qubit] = (*run[:-1], *run[-1].then(slot)) if run else (slot,)
    return {**runs}


def _bit(n_qubits: int, qubit: int, outcomes: IntArray) -> IntArray:
    bits: IntArray = outcomes >> (n_qubits - 1 - qubit) & 1
    return bits


def _source(n_qubits: int, gates: Sequence[tuple[str, tuple[int, ...]]]) -> IntArray:
    """Where each amplitude comes from: the gates, which are their own inverses, from the last to the first."""
    outcomes = np.arange(2**n_qubits)
    for name, qubits in reversed(gates):
        *controls, target = qubits
        place = n_qubits - 1 - target
        if name == "swap":
            differ = _bit(n_qubits, qubits[0], outcomes) ^ _bit(n_qubits, qubits[1], outcomes)
            outcomes ^= differ << place | differ << (n_qubits - 1 - qubits[0])
            continue
        flip = np.ones_like(outcomes)
        for control in controls:
            flip &= _bit(n_qubits, control, outcomes)
        outcomes ^= flip << place
    return outcomes


def _signs(n_qubits: int, pairs: Sequence[tuple[int, ...]]) -> Any:
    outcomes = np.arange(2**n_qubits)
    odd = np.zeros_like(outcomes)
    for first, second in pairs:
        odd ^= _bit(n_qubits, first, outcomes) & _bit(n_qubits, second, outcomes)
    return 1.0 - 2.0 * odd
