"""The frames of all wires in all rows: where the logical axes are, seen from the device.

A frame is three vectors, the directions on the device of the logical X, Y and Z. A logical rotation that no gate is
sent for turns two of them back; a pulse turns all three about its own axis; the phase of a gate about a logical axis is
the azimuth of its vector. So everything is arithmetic on arrays over rows, with global phases gone from the start.
"""

from __future__ import annotations

import numpy as np

from qstore_core.arrays import BoolArray, FloatArray
from qstore_ionq.native.rotations import TURN

_PLACES = {"X": 0, "Y": 1, "Z": 2}
_NOWHERE = 1e-13  # the length under which a vector's direction is rounding alone


class Frame:
    """The frame of one wire in every row: `vectors`, `(3, 3, n_rows)`, components on the device by logical axis."""

    def __init__(self, n_rows: int) -> None:
        self.vectors = np.zeros((3, 3, n_rows))
        self.vectors[range(3), range(3)] = 1.0

    def turn(self, letter: str, cosine: FloatArray, sine: FloatArray) -> None:
        """A logical rotation R about an axis: each vector B becomes that of `R+ B R`."""
        second, third = (_PLACES[letter] + 1) % 3, (_PLACES[letter] + 2) % 3
        one, other = self.vectors[:, second].copy(), self.vectors[:, third].copy()
        self.vectors[:, second] = cosine * one - sine * other
        self.vectors[:, third] = sine * one + cosine * other

    def half_turn(self, letter: str, rows: BoolArray) -> None:
        """The logical Pauli gate of a letter, in some rows."""
        factors = np.where(rows, -1.0, 1.0)
        for place in range(3):
            if place != _PLACES[letter]:
                self.vectors[:, place] *= factors

    def azimuth(self, letter: str) -> FloatArray:
        """Where an axis points in the plane at right angles to the device's Z, in turns."""
        x, y, _ = self.vectors[:, _PLACES[letter]]
        turns: FloatArray = np.arctan2(y, np.where(np.hypot(x, y) < _NOWHERE, 1.0, x)) / TURN
        return turns

    def quarter_pulse(self, phase: FloatArray) -> None:
        """GPI2: a quarter turn about n = (cos, sin, 0), `v -> n (n.v) + n x v`."""
        cosine, sine = np.cos(TURN * phase), np.sin(TURN * phase)
        x, y, z = self.vectors
        along = cosine * x + sine * y
        across = cosine * y - sine * x
        self.vectors = np.stack([cosine * along + sine * z, sine * along - cosine * z, across])

    def half_pulse(self, rows: BoolArray) -> None:
        """GPI at phase 0, in some rows: half a turn about X."""
        self.vectors[1:] *= np.where(rows, -1.0, 1.0)
