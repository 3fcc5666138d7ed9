"""The signs of poles: which rows have a pole upside down, known from the angles before anything is run.

A row's pole lies on the plus or the minus side of its axis; a pulse may choose, the measurement needs plus. Two things
about two-qubit rotations, whose angles devices take from 0 to a quarter turn only, depend on signs:

- ZZ rotates by its angle times the signs of both poles, which must make it positive.
- What is left of an angle when half turns are taken off is positive or negative; a half turn about PQ is the Pauli
  gate PQ, which turns over every pole that is not on its axis.

MS needs no sign, since half a turn on its phase negates it. So signs obey equations `sign a = sign b * (-1)^bits` with
one bit for each two-qubit rotation: negative or not with ZZ, half a turn or not with MS. They are solved once for a
structure by a union-find with parities: every sign is a parity of bits. Only where equations close a loop, such as
three ZZ around a triangle, may no choice fit; there a gate GPI is kept ready for the rows that need it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from qstore_core.arrays import BoolArray, FloatArray

Parity: TypeAlias = int
"""A set of bits as a mask; a row's value is whether an odd number of them is set. Bit 0 is set in every row."""

ALWAYS: Parity = 1
PLUS = 0
"""The number of the sign that is always plus."""


@dataclass(slots=True)
class Signs:
    """Signs, numbered, and what is known of them.

    >>> signs = Signs()
    >>> first, second = signs.new(), signs.new()
    >>> signs.relate(first, second, 0b100), signs.relate(first, PLUS, 0b010), signs.relate(second, PLUS, 0)
    (0, 0, 6)
    >>> signs.parities()
    (0, 2, 6)
    """

    _parents: list[int] = field(default_factory=lambda: [PLUS])
    _parities: list[Parity] = field(default_factory=lambda: [0])  # relative to the parent

    def new(self) -> int:
        """The number of another sign, of which nothing is known."""
        self._parents.append(len(self._parents))
        self._parities.append(0)
        return len(self._parents) - 1

    def relate(self, first: int, second: int, parity: Parity) -> Parity:
        """Demand that two signs differ by a parity; returns that by which the demand is missed, 0 where it is met."""
        (one, one_parity), (other, other_parity) = self._root(first), self._root(second)
        gap = one_parity ^ other_parity ^ parity
        if one == other:
            return gap
        self._parents[max(one, other)], self._parities[max(one, other)] = min(one, other), gap
        return 0

    def parities(self) -> tuple[Parity, ...]:
        """Every sign; those that are free are plus."""
        return tuple(self._root(number)[1] for number in range(len(self._parents)))

    def _root(self, number: int) -> tuple[int, Parity]:
        parity = 0
        while self._parents[number] != number:
            parity ^= self._parities[number]
            number = self._parents[number]
        return number, parity


def odd(parity: Parity, bits: BoolArray) -> BoolArray:
    """The value of a parity in each row, `(n_rows,)`, from the bits `(n_bits, n_rows)`.

    >>> odd(0b110, np.array([[True, True], [False, True], [True, True]]))
    array([ True, False])
    """
    members = [bit for bit in range(parity.bit_length()) if parity >> bit & 1]
    value: BoolArray = np.logical_xor.reduce(bits[members], axis=0)
    return value


def half_turn_and_rest(turns: FloatArray) -> tuple[BoolArray, FloatArray]:
    """Angles in turns, taken apart: whether half a turn is in them, and what is left, -1/4 to 1/4.

    >>> half_turn_and_rest(np.array([0.375, -0.125, 0.25]))
    (array([ True, False, False]), array([-0.125, -0.125,  0.25 ]))
    """
    halves = np.round(2 * turns)
    return halves % 2 == 1, turns - halves / 2
