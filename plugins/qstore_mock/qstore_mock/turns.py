"""One-qubit gates as rotations of a sphere: runs of them fused into one, many qubits and rows at a time.

Up to a global phase, which no expectation value sees, a one-qubit gate is a turn by an angle `t` about an axis `n`:

    U = exp(-i t n.sigma / 2) = [[a, -b*], [b, a*]],   a = cos(t/2) - i n_z sin(t/2),   b = (n_y - i n_x) sin(t/2)

so a run of gates on a qubit is a pair `(a, b)` as well, and `(a, b)` is what it makes of |0>.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import pi, sqrt
from typing import Any

import numpy as np

from qstore_core.arrays import FloatArray, IntArray

X, Y, Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
_PLUS = (1 / sqrt(2), 0.0, 1 / sqrt(2))

Axis = tuple[float, float, float]
Pair = tuple[Any, Any]
"""`(a, b)`: arrays `(n_rows, n_qubits)`, real where that is enough."""

FIXED: Mapping[str, tuple[Axis, float]] = {
    "x": (X, pi),
    "y": (Y, pi),
    "z": (Z, pi),
    "h": (_PLUS, pi),
    "s": (Z, pi / 2),
    "sdg": (Z, -pi / 2),
    "t": (Z, pi / 4),
    "tdg": (Z, -pi / 4),
    "sx": (X, pi / 2),
}
"""The axis and the angle of each one-qubit gate without an angle of its own."""

FREE: Mapping[str, Axis] = {"rx": X, "ry": Y, "rz": Z, "p": Z}
"""The axis of each one-qubit gate with an angle."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One turn of a qubit: neighbours about one axis are one slot, by the sum of their angles.

    Attributes:
        axis: Its axis, of length 1.
        columns: The gate angles that are added up.
        constant: What is added to them, radians.
    """

    axis: Axis
    columns: tuple[int, ...] = ()
    constant: float = 0.0

    @classmethod
    def of(cls, name: str, column: int | None) -> Slot:
        """The turn that a gate is.

        >>> Slot.of("ry", 3).columns
        (3,)
        """
        if column is not None:
            return cls(FREE[name], (column,))
        axis, angle = FIXED[name]
        return cls(axis, (), angle)

    def then(self, later: Slot) -> tuple[Slot, ...]:
        """Both as few slots as it takes."""
        if self.axis != later.axis:
            return self, later
        return (Slot(self.axis, self.columns + later.columns, self.constant + later.constant),)


@dataclass(frozen=True, eq=False)
class Turns:
    """The runs of several qubits side by side: at each place one slot of every qubit.

    Attributes:
        slots: `n_places` tuples of `n_qubits` slots; shorter runs end with turns by 0.
    """

    slots: tuple[tuple[Slot, ...], ...]

    @classmethod
    def of(cls, runs: Sequence[Sequence[Slot]]) -> Turns:
        """From each qubit's run."""
        length = max(map(len, runs))
        places = []
        for place in range(length):
            present = {run[place].axis for run in runs if place < len(run)}
            idle = Slot(min(present))
            places.append(tuple(run[place] if place < len(run) else idle for run in runs))
        return cls(tuple(places))

    @cached_property
    def axes(self) -> FloatArray:
        """`(n_places, 3, n_qubits)`."""
        axes: FloatArray = np.array([[slot.axis for slot in row] for row in self.slots]).swapaxes(1, 2).copy()
        return axes

    @cached_property
    def common(self) -> tuple[int | None, ...]:
        """For each place 0, 1 or 2 when every qubit turns about x, y or z there."""
        known: dict[Axis, int] = {X: 0, Y: 1, Z: 2}
        found = [{slot.axis for slot in row} for row in self.slots]
        return tuple(known.get(min(axes)) if len(axes) == 1 else None for axes in found)

    @cached_property
    def constants(self) -> FloatArray:
        """`(n_places, n_qubits)`, radians."""
        return np.array([[slot.constant for slot in row] for row in self.slots])

    @cached_property
    def entries(self) -> tuple[tuple[IntArray, IntArray], ...]:
        """Where the gate angles go, each slot at most once in a pair of arrays: slots and columns."""
        flat = [slot.columns for row in self.slots for slot in row]
        pairs = []
        for depth in range(max(map(len, flat))):
            places = [index for index, columns in enumerate(flat) if depth < len(columns)]
            pairs.append((np.array(places), np.array([flat[index][depth] for index in places])))
        return tuple(pairs)

    @cached_property
    def columns(self) -> IntArray:
        """Every gate angle that enters."""
        return np.concatenate([columns for _, columns in self.entries] or [np.empty(0, dtype=np.int64)])

    def angles(self, angles: FloatArray) -> FloatArray:
        """How far each slot turns, `(n_rows, n_places, n_qubits)`, from the gate angles `(n_rows, n_angles)`."""
        turned = angles @ self._choice(angles.shape[1])
        if self.constants.any():
            turned += self.constants.ravel()
        return turned.reshape(len(angles), *self.constants.shape)

    def _choice(self, n_angles: int) -> FloatArray:
        """`(n_angles, n_slots)`, 1 where a gate angle enters a slot."""
        kept: FloatArray | None = self.__dict__.get("_chosen")
        if kept is None or len(kept) != n_angles:
            kept = np.zeros((n_angles, self.constants.size))
            for slots, columns in self.entries:
                kept[columns, slots] = 1.0
            self.__dict__["_chosen"] = kept
        return kept

    def pairs(self, turned: FloatArray) -> Pair:
        """The run of each qubit as one pair, from `angles`."""
        half = 0.5 * turned
        cos, sin = np.cos(half), np.sin(half)
        a, b = self._pair(0, cos[:, 0], sin[:, 0])
        for place in range(1, len(self.slots)):
            c, s = cos[:, place], sin[:, place]
            if self.common[place] == 2:
                phase = c - 1j * s
                a, b = phase * a, phase.conj() * b
            elif self.common[place] == 1:
                a, b = c * a - s * b, s * a + c * b
            else:
                later_a, later_b = self._pair(place, c, s)
                a, b = later_a * a - np.conj(later_b) * b, later_b * a + np.conj(later_a) * b
        return a, b

    def _pair(self, place: int, cos: FloatArray, sin: FloatArray) -> Pair:
        if self.common[place] == 1:
            return cos, sin
        x, y, z = self.axes[place]
        return cos - 1j * z * sin, (y - 1j * x) * sin


def matrices(pair: Pair, dtype: Any) -> Any:
    """The 2 x 2 matrices of pairs, `(n_rows, n_qubits, 2, 2)`."""
    a, b = pair
    made = np.empty((*a.shape, 2, 2), dtype=dtype)
    made[..., 0, 0] = a
    made[..., 1, 0] = b
    np.conjugate(a, out=made[..., 1, 1])
    np.negative(np.conjugate(b), out=made[..., 0, 1], casting="same_kind")
    return made


def turn_back(turns: Turns, place: int, turned: FloatArray, vector: Sequence[FloatArray]) -> list[FloatArray]:
    """What vectors were before the turns of one place: three arrays `(n_rows, n_qubits)` each."""
    return turn(turns, place, -turned, vector)


def turn(turns: Turns, place: int, turned: FloatArray, vector: Sequence[FloatArray]) -> list[FloatArray]:
    """Vectors after the turns of one place (Rodrigues' formula): three arrays `(n_rows, n_qubits)` each.

    `turned` is `(n_rows, n_qubits)`, that place's part of `Turns.angles`.
    """
    cos, sin = np.cos(turned), np.sin(turned)
    axis = turns.common[place]
    if axis is not None:
        made = list(vector)
        first, second = (axis + 1) % 3, (axis + 2) % 3
        made[first] = cos * vector[first] - sin * vector[second]
        made[second] = sin * vector[first] + cos * vector[second]
        return made
    n = turns.axes[place]
    along = (1 - cos) * sum(n[k] * vector[k] for k in range(3))
    return [
        cos * vector[k]
        + sin * (n[(k + 1) % 3] * vector[(k + 2) % 3] - n[(k + 2) % 3] * vector[(k + 1) % 3])
        + along * n[k]
        for k in range(3)
    ]
