"""From angles to phases: the instructions of a schedule carried out for all rows at once."""

from __future__ import annotations

import numpy as np

from qstore_core.arrays import BoolArray, FloatArray
from qstore_ionq.native.bound import BoundCircuits
from qstore_ionq.native.documents import Slot
from qstore_ionq.native.frames import Frame
from qstore_ionq.native.instructions import Couple, Flip, Instruction, Merge, Pulse, Turn
from qstore_ionq.native.rotations import TURN, evaluate
from qstore_ionq.native.schedule import Schedule
from qstore_ionq.native.signs import half_turn_and_rest, odd

_DECIMALS = 15  # of a turn; what comes after is rounding, and would make the text of every phase longer
_SAME = 1e-13  # turns under which two phases are one


def slots_of(schedule: Schedule) -> tuple[Slot, ...]:
    """The gates that the instructions may become, in order.

    >>> pulses = (Pulse(0, "Y", True, 0), Turn(0, "Y", 0), Pulse(0, "Z", True, 0), Merge(0))
    >>> [slot.gate for slot in slots_of(Schedule(1, "zz", pulses, (), (0,)))]
    ['gpi2', 'gpi2', 'gpi']
    """
    made = (_slot(instruction, schedule) for instruction in schedule.instructions)
    return tuple(slot for slot in made if slot)


def _slot(instruction: Instruction, schedule: Schedule) -> Slot | None:
    match instruction:
        case Turn():
            return None
        case Pulse(wire):
            return Slot("gpi2", (wire,), native=True)
        case Merge(wire):
            return Slot("gpi", (wire,), native=True, spare=True)
        case Flip(wire):
            return Slot("gpi", (wire,), native=True)
        case Couple(wires):
            return Slot(schedule.family, wires, native=True)


def bind(schedule: Schedule, slots: tuple[Slot, ...], angles: FloatArray) -> BoundCircuits:
    """The circuits for rows `(n_rows, n_angles)` of gate angles."""
    binding = _Binding(schedule, angles)
    for instruction in schedule.instructions:
        binding.carry_out(instruction)
    numbers = np.array([column for columns in binding.numbers for column in columns], dtype=np.float64)
    present = np.array(binding.present, dtype=np.bool_)
    shape = (-1, len(angles))
    by_row = (np.ascontiguousarray(numbers.reshape(shape).T), np.ascontiguousarray(present.reshape(shape).T))
    return BoundCircuits(slots, *by_row)


class _Binding:
    """Frames on their way through a circuit, and the gates so far: their numbers, and the rows that have them."""

    def __init__(self, schedule: Schedule, rows: FloatArray) -> None:
        self.schedule = schedule
        self.everywhere = np.ones(len(rows), dtype=bool)
        self.frames = [Frame(len(rows)) for _ in range(schedule.n_wires)]
        angles = evaluate(schedule.angles, rows)
        self.cosines, self.sines = np.cos(angles), np.sin(angles)
        self.half_turns, self.rests = half_turn_and_rest(np.arctan2(self.sines, self.cosines) / TURN)
        bits = self.rests < 0 if schedule.family == "zz" else self.half_turns
        self.bits = np.concatenate([self.everywhere[None], bits])
        self.numbers: list[tuple[FloatArray, ...]] = []
        self.present: list[BoolArray] = []
        self.pulses: dict[int, list[int]] = {}

    def carry_out(self, instruction: Instruction) -> None:
        match instruction:
            case Turn(wire, letter, angle):
                self.frames[wire].turn(letter, self.cosines[angle], self.sines[angle])
            case Pulse():
                self._pulse(instruction)
            case Merge(wire):
                self._merge(*self.pulses[wire][-2:])
            case Flip(wire, (before, after)):
                rows = self._is_minus(before) ^ self._is_minus(after)
                self._add(rows, np.zeros(len(rows)))
                self.frames[wire].half_pulse(rows)
            case Couple():
                self._couple(instruction)

    def _is_minus(self, sign: int) -> BoolArray:
        return odd(self.schedule.parities[sign], self.bits)

    def _add(self, rows: BoolArray, *numbers: FloatArray) -> None:
        self.present.append(rows)
        self.numbers.append(numbers)

    def _pulse(self, pulse: Pulse) -> None:
        """GPI2 about the letter's azimuth takes the pole beside it; a quarter turn before, onto it."""
        frame = self.frames[pulse.wire]
        ahead = np.where(self._is_minus(pulse.sign), -0.25, 0.25) if pulse.onto else 0.0
        phase = _phase(frame.azimuth(pulse.letter) - ahead)
        frame.quarter_pulse(phase)
        self.pulses.setdefault(pulse.wire, []).append(len(self.numbers))
        self._add(self.everywhere.copy(), phase)

    def _merge(self, first: int, second: int) -> None:
        (before,), (after,) = self.numbers[first], self.numbers[second]
        apart = np.abs(after - before)
        same, opposite = np.minimum(apart, 1 - apart) < _SAME, np.abs(apart - 0.5) < _SAME
        self.present[first] &= ~(same | opposite)
        self.present[second] &= ~(same | opposite)
        self._add(same, before)

    def _couple(self, couple: Couple) -> None:
        """ZZ or MS by what its angle has beyond half turns, which are Pauli gates and turn the frames."""
        half_turns, rests = self._taken_apart(couple)
        size = np.abs(rests).round(_DECIMALS)
        frames = [self.frames[wire] for wire in couple.wires]
        phases: list[FloatArray] = []
        if self.schedule.family == "ms":
            first, second = (frame.azimuth(letter) for frame, letter in zip(frames, couple.word, strict=True))
            phases = [_phase(first + np.where(rests < 0, 0.5, 0.0)), _phase(second)]
        self._add(size > 0, *phases, size)
        for frame, letter in zip(frames, couple.word, strict=True):
            frame.half_turn(letter, half_turns)

    def _taken_apart(self, couple: Couple) -> tuple[BoolArray, FloatArray]:
        """Whether a half turn is in an angle, and the rest in turns; a quarter turn needs no sign to be positive.

        ZZ(-1/4) is ZZ(1/4) after a half turn, so the signs of the poles decide whether there is one.
        """
        quarters = self.schedule.angles[couple.angle].quarters
        if quarters is None:
            return self.half_turns[couple.angle], self.rests[couple.angle]
        negative = np.full(len(self.everywhere), quarters == 3)
        if self.schedule.family == "ms":
            return ~self.everywhere, np.where(negative, -0.25, 0.25)
        first, second = couple.signs
        return self._is_minus(first) ^ self._is_minus(second) ^ negative, np.full(len(self.everywhere), 0.25)


def _phase(turns: FloatArray) -> FloatArray:
    """A phase in [0, 1)."""
    rounded = (turns % 1.0).round(_DECIMALS)
    return np.where(rounded < 1.0, rounded, 0.0)
