"""From rotations to instructions: the pulses of each wire laid between the two-qubit gates, with the signs of poles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qstore_ionq.native.instructions import Couple, Flip, Instruction, Merge, Pulse, Turn
from qstore_ionq.native.pauli_form import PauliForm
from qstore_ionq.native.poles import Family, Step, Token, fewest_steps
from qstore_ionq.native.rotations import Angle, Rotation
from qstore_ionq.native.signs import ALWAYS, PLUS, Parity, Signs, half_turn_and_rest


@dataclass(frozen=True, slots=True)
class Schedule:
    """A circuit of native gates with its angles left open.

    Attributes:
        n_wires: The qubits of the device.
        family: Its two-qubit gate.
        instructions: In order.
        angles: The angles that instructions name by their numbers.
        parities: The signs that instructions name by their numbers, as parities of bits. Bit `1 + k` belongs to angle
            k: with ZZ whether what it has beyond half turns is negative, with MS whether half a turn is in it.
    """

    n_wires: int
    family: Family
    instructions: tuple[Instruction, ...]
    angles: tuple[Angle, ...]
    parities: tuple[Parity, ...]


def schedule(form: PauliForm, family: Family) -> Schedule:
    """The instructions for a circuit's rotations.

    >>> from qstore_core.operations import CircuitStructure
    >>> from qstore_core.measurement import register_group
    >>> from qstore_ionq.native.pauli_form import pauli_form
    >>> pair = CircuitStructure(2, (("rxx", (0, 1)), ("ry", (1,))))
    >>> for instruction in schedule(pauli_form(pair, register_group(2)), "ms").instructions:
    ...     print(instruction)
    Pulse(wire=1, letter='Y', onto=True, sign=1)
    Couple(wires=(0, 1), word='XX', angle=0, signs=(0, 1))
    Turn(wire=1, letter='Y', angle=1)
    Pulse(wire=1, letter='Z', onto=True, sign=4)
    Flip(wire=0, signs=(2, 5))
    """
    scheduler = _Scheduler(form, family)
    for number, rotation in enumerate(form.rotations):
        scheduler.add(number, rotation)
    scheduler.measure()
    angles = tuple(rotation.angle for rotation in form.rotations)
    return Schedule(form.n_wires, family, tuple(scheduler.instructions), angles, scheduler.signs.parities())


def _plan(form: PauliForm, wire: int, family: Family) -> list[tuple[Step, ...]]:
    """The steps of a wire before each of its rotations, and at its end."""
    rotations = [rotation for rotation in form.rotations if wire in rotation.wires]
    tokens = [Token(rotation.letter(wire), shared=len(rotation.wires) > 1) for rotation in rotations]
    end = next((read.letter for read in form.readout if read.wire == wire), None)
    return list(fewest_steps(tokens, end, family))


class _Scheduler:
    """The instructions so far, and which sign the pole of each wire has now."""

    def __init__(self, form: PauliForm, family: Family) -> None:
        self.form = form
        self.family = family
        self.plans = [_plan(form, wire, family) for wire in range(form.n_wires)]
        self.instructions: list[Instruction] = []
        self.signs = Signs()
        self.sign_of = [PLUS] * form.n_wires
        self.pulsed: set[int] = set()  # wires with one pulse since their last other gate

    def add(self, number: int, rotation: Rotation) -> None:
        """A rotation, after the pulses that it needs."""
        for wire in rotation.wires:
            self._pulse(wire)
        if len(rotation.wires) == 1:
            self.instructions.append(Turn(rotation.wires[0], rotation.word, number))
            return
        first, second = rotation.wires
        self.pulsed -= {first, second}
        if rotation.angle.quarters is None and self.family == "zz":
            self._make_positive(first, second, _bit(number, rotation.angle, self.family))
        signs = (self.sign_of[first], self.sign_of[second])
        self.instructions.append(Couple((first, second), rotation.word, number, signs))
        if rotation.angle.quarters is None and self.family == "ms":
            self._turn_over(first, second, _bit(number, rotation.angle, self.family))

    def measure(self) -> None:
        """The last pulses, and poles on the side that is measured."""
        for wire in range(self.form.n_wires):
            self._pulse(wire)
        for read in self.form.readout:
            side = ALWAYS if read.negative else 0
            if self.signs.relate(self.sign_of[read.wire], PLUS, side):
                self._flip(read.wire)
                self.signs.relate(self.sign_of[read.wire], PLUS, side)

    def _pulse(self, wire: int) -> None:
        for step in self.plans[wire].pop(0):
            self.sign_of[wire] = self.signs.new()
            self.instructions.append(Pulse(wire, step.letter, step.onto, self.sign_of[wire]))
            if wire in self.pulsed:
                self.instructions.append(Merge(wire))
            self.pulsed ^= {wire}

    def _flip(self, wire: int) -> None:
        self.pulsed.discard(wire)
        before, self.sign_of[wire] = self.sign_of[wire], self.signs.new()
        self.instructions.append(Flip(wire, (before, self.sign_of[wire])))

    def _make_positive(self, first: int, second: int, negative: Parity) -> None:
        """Signs of two poles that make the angle of a ZZ positive; which of them is flipped makes no difference."""
        if self.signs.relate(self.sign_of[first], self.sign_of[second], negative):
            self._flip(first)
            self.signs.relate(self.sign_of[first], self.sign_of[second], negative)

    def _turn_over(self, first: int, second: int, half_turn: Parity) -> None:
        """What is left when the half turn of an MS is a Pauli gate."""
        for wire in (first, second):
            before, self.sign_of[wire] = self.sign_of[wire], self.signs.new()
            self.signs.relate(before, self.sign_of[wire], half_turn)


def _bit(number: int, angle: Angle, family: Family) -> Parity:
    """Whether a ZZ's angle is negative or an MS has a half turn: a bit of its own, or known where the angle is."""
    if angle.terms:
        return 1 << number + 1
    half_turn, rest = half_turn_and_rest(np.array(angle.turns))
    return ALWAYS if (rest < 0 if family == "zz" else half_turn) else 0
