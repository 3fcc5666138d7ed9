"""A circuit as Pauli rotations alone: its quarter turns are moved to the end, into what is measured there.

Let C be the Clifford gate that the quarter turns so far amount to. A rotation about a word W after C is the same as
one about `C+ W C` before C, so quarter turns of one qubit, H, S, X and the like, never become rotations: each wire only
remembers which signed letter each of its axes has become, and what is measured is turned the same way in the end.

On the way rotations are merged:

- Two about one word are one, where all between them commute with it; a half turn about a word is a Pauli gate.
- Quarter turns e1, e2 about one two-qubit word PQ, and between them a rotation R of one qubit about an axis A that
  anticommutes with PQ, are **one** two-qubit rotation, as in CNOT RZ CNOT = RZZ. With `e1 = exp(-i s pi PQ / 4)`,

      e2 R e1 = (e2 e1) (e1+ R e1)    and    e1+ A e1 = -i s A PQ ,

  a word of two letters again, and `e2 e1` is a Pauli gate or nothing.
- On a wire that nothing has touched, still |0>, Z is 1: a rotation about ZP is one about P, and one about Z is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qstore_core.gates import GATES
from qstore_core.lightcone import reduce_circuit
from qstore_core.observables import MeasurementGroup, PauliString, PauliSum
from qstore_core.operations import CircuitStructure
from qstore_ionq.native.rotations import GATE_ROTATIONS, Angle, Rotation


@dataclass(frozen=True, slots=True)
class Readout:
    """What is measured on a wire after all rotations: plus or minus a letter.

    >>> pauli_form(CircuitStructure(1, (("h", (0,)),)), MeasurementGroup(((0, "X"),))).readout
    (Readout(wire=0, letter='Z', negative=False),)
    """

    wire: int
    letter: str
    negative: bool


@dataclass(frozen=True, slots=True)
class PauliForm:
    """Rotations about Pauli words, in order, from |0...0> on, and what is measured after them.

    Attributes:
        n_wires: The qubits of the device.
        rotations: None of them is a quarter turn about a single letter.
        readout: For each bit of the measurement group where and along which axis it is read.
    """

    n_wires: int
    rotations: tuple[Rotation, ...]
    readout: tuple[Readout, ...]


def seen_by(structure: CircuitStructure, group: MeasurementGroup) -> tuple[CircuitStructure, Sequence[int]]:
    """The gates in the light cone of the bits that a group reads, and which of the gate angles are theirs.

    >>> chain = CircuitStructure(3, (("ry", (0,)), ("ry", (1,)), ("cz", (0, 1)), ("rx", (2,))))
    >>> left, columns = seen_by(chain, MeasurementGroup(((1, "Z"),)))
    >>> left.gates, list(columns)
    ((('ry', (1,)),), [1])
    """
    read = tuple(PauliSum.of(PauliString({qubit: letter})) for qubit, letter in group.basis)
    reduction = reduce_circuit(structure, read, "light_cone")
    return reduction.structure, [int(column) for column in reduction.angles]


def pauli_form(structure: CircuitStructure, group: MeasurementGroup) -> PauliForm:
    """The rotations that the bits of a group depend on, merged.

    >>> ladder = (("ry", (0,)), ("ry", (1,)), ("cnot", (0, 1)), ("rz", (1,)), ("cnot", (0, 1)))
    >>> made = pauli_form(CircuitStructure(2, ladder), MeasurementGroup(((0, "X"), (1, "Y"))))
    >>> made.rotations[2]
    Rotation(wires=(0, 1), word='ZZ', angle=Angle(turns=0.0, terms=((2, 1.0),)))
    """
    seen, columns = seen_by(structure, group)
    builder, column = _Builder(structure.n_qubits), iter(columns)
    for name, qubits in seen.gates:
        angle = Angle(0.0, ((next(column), 1.0),)) if GATES[name].has_angle else Angle()
        builder.add_gate(name, qubits, angle)
    return PauliForm(structure.n_qubits, tuple(builder.rotations), builder.readout(group))


class _Builder:
    """The rotations so far, and what the quarter turns after them have made of the axes of each wire."""

    def __init__(self, n_wires: int) -> None:
        self.rotations: list[Rotation] = []
        self.wire_of = list(range(n_wires))
        self.images = [{letter: (letter, 1) for letter in "XYZ"} for _ in range(n_wires)]

    def readout(self, group: MeasurementGroup) -> tuple[Readout, ...]:
        wires = [self.wire_of[qubit] for qubit, _ in group.basis]
        images = [self.images[wire][letter] for wire, (_, letter) in zip(wires, group.basis, strict=True)]
        return tuple(Readout(wire, letter, sign < 0) for wire, (letter, sign) in zip(wires, images, strict=True))

    def add_gate(self, name: str, qubits: tuple[int, ...], angle: Angle) -> None:
        """A gate of the circuit, with its angle."""
        wires = [self.wire_of[qubit] for qubit in qubits]
        if name == "swap":
            for qubit, wire in zip(qubits, reversed(wires), strict=True):
                self.wire_of[qubit] = wire
            return
        for word, weight, turns in GATE_ROTATIONS[name]:
            letters = {wire: letter for wire, letter in zip(wires, word, strict=True) if letter != "I"}
            self._rotate(letters, angle * weight + Angle(turns))

    def _rotate(self, letters: dict[int, str], angle: Angle) -> None:
        """A rotation about letters as they are now."""
        word, sign = {}, 1
        for wire, letter in letters.items():
            image, factor = self.images[wire][letter]
            sign *= factor
            if image != "Z" or any(wire in rotation.wires for rotation in self.rotations):
                word[wire] = image
        if word:
            self._place(Rotation(tuple(word), "".join(word.values()), angle * sign))

    def _place(self, rotation: Rotation) -> None:
        """A rotation after those there are, merged with one of them where that can be."""
        if _is_clifford(rotation):
            self._absorb(rotation)
            return
        partner, between = self._partner(rotation)
        if partner is None:
            self.rotations.append(rotation)
            return
        merged = Rotation(rotation.wires, rotation.word, self.rotations[partner].angle + rotation.angle)
        for position in between:
            self.rotations[position] = _conjugated(self.rotations[position], self.rotations[partner])
        del self.rotations[partner]
        self._place(merged)

    def _partner(self, rotation: Rotation) -> tuple[int | None, list[int]]:
        """The last rotation about the same word that can be merged with, and which between them would change."""
        between: list[int] = []
        for position in range(len(self.rotations) - 1, -1, -1):
            other = self.rotations[position]
            if other.has_word_of(rotation):
                quarters = not between or (_is_quarter(other) and _is_quarter(rotation))
                return (position, between) if quarters else (None, [])
            if not other.commutes_with(rotation):
                between.append(position)
                if len(between) > 1 or len(other.wires) > 1:
                    break
        return None, []

    def _absorb(self, rotation: Rotation) -> None:
        """A Clifford gate that acts on each wire alone: quarter turns about one letter, or half turns about two."""
        for wire, letter in zip(rotation.wires, rotation.word, strict=True):
            for _ in range(rotation.angle.quarters or 0):
                self.images[wire] = {
                    name: (image, sign) if image == letter else _quarter_turned(letter, image, sign)
                    for name, (image, sign) in self.images[wire].items()
                }


def product_of(first: str, second: str) -> tuple[str, int]:
    """Two different letters multiplied: the third one, and the sign in `first second = i sign third`.

    >>> product_of("X", "Y"), product_of("X", "Z")
    (('Z', 1), ('Y', -1))
    """
    (third,) = set("XYZ") - {first, second}
    return third, 1 if first + second in "XYZX" else -1


def _quarter_turned(axis: str, letter: str, sign: int) -> tuple[str, int]:
    """`R+ letter R` for a quarter turn R about another letter."""
    third, orientation = product_of(axis, letter)
    return third, -orientation * sign


def _is_clifford(rotation: Rotation) -> bool:
    quarters = rotation.angle.quarters
    return quarters is not None and (len(rotation.wires) == 1 or quarters % 2 == 0)


def _is_quarter(rotation: Rotation) -> bool:
    return rotation.angle.quarters in (1, 3)


def _conjugated(rotation: Rotation, quarter: Rotation) -> Rotation:
    """`e+ R e` for a rotation R of one wire and a quarter turn e about a word that anticommutes with it."""
    (wire,) = rotation.wires
    third, sign = product_of(rotation.word, quarter.letter(wire))
    word = "".join(third if each == wire else quarter.letter(each) for each in quarter.wires)
    turned = sign if quarter.angle.quarters == 1 else -sign
    return Rotation(quarter.wires, word, rotation.angle * turned)
