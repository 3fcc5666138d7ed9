"""Every gate as rotations about Pauli words, up to a global phase: the form in which the compiler sees a circuit.

A rotation is `exp(-i t W / 2)` for a word W of Pauli letters, with an angle t that is affine in the gate angles of a
row. A controlled rotation about the axis A is one rotation about A and **one** about ZA,

    |0><0| + |1><1| exp(-i t A / 2)  =  exp(-i t A / 4) exp(+i t ZA / 4),

and so is CNOT, a controlled half turn about X, up to a quarter turn about Z of the control. The Toffoli gate takes
five two-qubit rotations (Barenco et al., Phys. Rev. A 52, 3457, lemma 6.1, with the controlled root of X as above),
which is the least that any two-qubit gates do it with (Yu, Duan and Ying, arXiv 1301.3372). SWAP is none: the compiler
relabels the qubits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from qstore_core.arrays import FloatArray

TURN = 2 * np.pi


@dataclass(frozen=True, slots=True)
class Angle:
    """An angle in radians that is affine in the gate angles: `2 pi turns + sum of weight * angles[column]`.

    >>> Angle(0.25, ((3, 1.0),)) + Angle(0.5, ((3, -1.0),))
    Angle(turns=0.75, terms=())
    """

    turns: float = 0.0
    terms: tuple[tuple[int, float], ...] = ()

    def __add__(self, other: Angle) -> Angle:
        weights = dict(self.terms)
        for column, weight in other.terms:
            weights[column] = weights.get(column, 0.0) + weight
        return Angle(self.turns + other.turns, tuple((c, w) for c, w in weights.items() if w))

    def __mul__(self, factor: float) -> Angle:
        return Angle(self.turns * factor, tuple((column, weight * factor) for column, weight in self.terms))

    @property
    def quarters(self) -> int | None:
        """How many quarter turns it is, 0 to 3, for every row; None where it is none or differs from row to row.

        >>> Angle(-0.25).quarters, Angle(0.125).quarters
        (3, None)
        """
        if self.terms or (4 * self.turns) % 1:
            return None
        return int(4 * self.turns) % 4


def evaluate(angles: Sequence[Angle], rows: FloatArray) -> FloatArray:
    """The values `(len(angles), n_rows)` of some angles for rows `(n_rows, n_columns)` of gate angles, radians.

    >>> evaluate([Angle(0.0, ((1, 0.5),)), Angle(0.5)], np.array([[7.0, 3.0]])).round(3)
    array([[1.5  ],
           [3.142]])
    """
    values = np.empty((len(angles), len(rows)))
    for value, angle in zip(values, angles, strict=True):
        value[:] = TURN * angle.turns
        for column, weight in angle.terms:
            value += weight * rows[:, column]
    return values


@dataclass(frozen=True, slots=True)
class Rotation:
    """`exp(-i angle W / 2)` for a word W with one letter on each of some wires.

    >>> Rotation((0, 1), "XX", Angle(0.25)).commutes_with(Rotation((0, 1), "YY", Angle(0.25)))
    True
    """

    wires: tuple[int, ...]
    word: str
    angle: Angle

    def letter(self, wire: int) -> str:
        """The letter on a wire that it acts on."""
        return self.word[self.wires.index(wire)]

    def commutes_with(self, other: Rotation) -> bool:
        """Whether the words commute: they differ on an even number of shared wires."""
        shared = [wire for wire in self.wires if wire in other.wires]
        return sum(self.letter(wire) != other.letter(wire) for wire in shared) % 2 == 0

    def has_word_of(self, other: Rotation) -> bool:
        """Whether both have one word, so that one after the other is one rotation by the sum of the angles."""
        return sorted(zip(self.wires, self.word, strict=True)) == sorted(zip(other.wires, other.word, strict=True))


Part = tuple[str, float, float]
"""A rotation of a gate: its word, with I on the qubits it leaves alone, its weight of the gate's angle, and turns."""


def _controlled(axis: str, weight: float, turns: float) -> tuple[Part, ...]:
    """A rotation about an axis of the second qubit, controlled by the first, as two rotations."""
    return ("I" + axis, weight / 2, turns / 2), ("Z" + axis, -weight / 2, -turns / 2)


def _controlled_power_of_x(turns: float) -> tuple[Part, ...]:
    """X to the power `2 turns`, controlled: the phase that X has beyond its rotation turns the control."""
    return (*_controlled("X", 0, turns), ("ZI", 0, turns / 2))


def _on(parts: tuple[Part, ...], first: int, second: int) -> tuple[Part, ...]:
    """Parts of a two-qubit gate, as parts of a three-qubit gate on two of its qubits."""
    spread = [
        "".join(word[(first, second).index(place)] if place in (first, second) else "I" for place in range(3))
        for word, _, _ in parts
    ]
    return tuple((word, weight, turns) for word, (_, weight, turns) in zip(spread, parts, strict=True))


def _table() -> dict[str, tuple[Part, ...]]:
    cnot, root, inverse = (_controlled_power_of_x(turns) for turns in (0.5, 0.25, -0.25))
    table: dict[str, tuple[Part, ...]] = {
        "x": (("X", 0, 0.5),),
        "y": (("Y", 0, 0.5),),
        "z": (("Z", 0, 0.5),),
        "h": (("Y", 0, 0.25), ("X", 0, 0.5)),
        "s": (("Z", 0, 0.25),),
        "sdg": (("Z", 0, -0.25),),
        "t": (("Z", 0, 0.125),),
        "tdg": (("Z", 0, -0.125),),
        "sx": (("X", 0, 0.25),),
        "p": (("Z", 1, 0),),
        "cnot": cnot,
        "cz": (*_controlled("Z", 0, 0.5), ("ZI", 0, 0.25)),
        "toffoli": _on(root, 1, 2) + _on(cnot, 0, 1) + _on(inverse, 1, 2) + _on(cnot, 0, 1) + _on(root, 0, 2),
    }
    for letter in "XYZ":
        table["r" + letter.lower()] = ((letter, 1, 0),)
        table["r" + 2 * letter.lower()] = ((2 * letter, 1, 0),)
        table["cr" + letter.lower()] = _controlled(letter, 1, 0)
    return table


GATE_ROTATIONS: Mapping[str, tuple[Part, ...]] = MappingProxyType(_table())
"""The rotations of every gate but SWAP, in the order of execution."""
