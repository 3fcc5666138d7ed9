"""Neighbouring qubits taken together: their gates as one matrix, applied to all rows at once.

States have shape `(..., n_rows, 2**n_qubits)`, qubit 0 the most significant bit. Matrices have shape `(m, d, d)` where
m is `n_rows`, or 1 when all rows have the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from qstore_core.arrays import FloatArray

WIDEST = 4  # qubits: a matrix product of this size runs at full speed, and a larger one has more to do


@dataclass(frozen=True)
class Window:
    """Neighbouring qubits of a register.

    Attributes:
        n_qubits: The width of the register.
        first: The first qubit.
        width: How many.
    """

    n_qubits: int
    first: int
    width: int

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Settings of the qubits before, in, and after the window."""
        return 2**self.first, 2**self.width, 2 ** (self.n_qubits - self.first - self.width)

    def apply(self, state: Any, matrix: Any) -> Any:
        """The states after the matrix."""
        left, size, right = self.shape
        if right == 1:
            if len(matrix) == 1:
                return (state.reshape(-1, size) @ matrix[0].T).reshape(state.shape)
            cut = state.reshape(*state.shape[:-1], left, size)
            return (cut @ matrix.swapaxes(1, 2)).reshape(state.shape)
        if left == 1:
            return (matrix @ state.reshape(*state.shape[:-1], size, right)).reshape(state.shape)
        cut = state.reshape(*state.shape[:-1], left, size, right)
        return (matrix[:, None] @ cut).reshape(state.shape)

    def overlaps(self, state: Any, conjugate: Any) -> Any:
        """`T[a, b] = sum state[a, rest] conjugate[b, rest]`, over the rest and all leading axes: `(n_rows, d, d)`."""
        left, size, right = self.shape
        if right == 1:
            shape = (*state.shape[:-1], left, size)
            found = state.reshape(shape).swapaxes(-1, -2) @ conjugate.reshape(shape)
        else:
            shape = (*state.shape[:-1], left, size, right)
            found = state.reshape(shape) @ conjugate.reshape(shape).swapaxes(-1, -2)
            found = found[..., 0, :, :] if left == 1 else found.sum(axis=-3)
        flat = found.reshape(-1, *found.shape[-3:])
        return flat[0] if len(flat) == 1 else flat.sum(axis=0)

    @cached_property
    def pauli_rules(self) -> FloatArray:
        """`(2 * d * d, 3 * width)`: parts of `overlaps`, real and imaginary, times this are `Im <costate| P_q |state>`.

        Columns are X of every qubit, then Y, then Z.
        """
        letters = (np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.array([[1, 0], [0, -1]]))
        columns = []
        for letter in letters:
            for qubit in range(self.width):
                whole = np.kron(np.kron(np.eye(2**qubit), letter), np.eye(2 ** (self.width - 1 - qubit)))
                columns.append(whole.T.ravel())
        rules = np.stack(columns, axis=1)
        return np.stack([rules.imag, rules.real], axis=1).reshape(-1, 3 * self.width)

    def pauli_values(self, state: Any, conjugate: Any) -> FloatArray:
        """`Im <costate| P_q |state>` for P = X, Y, Z and each qubit q of the window, `(3, n_rows, width)`."""
        found = np.ascontiguousarray(self.overlaps(state, conjugate))
        parts = found.reshape(len(found), -1).view(found.real.dtype)
        values = parts @ self.pauli_rules.astype(parts.dtype, copy=False)
        letters: FloatArray = values.reshape(len(found), 3, self.width).swapaxes(0, 1)
        return letters.astype(np.float64, copy=False)


def windows(n_qubits: int, first: int, last: int) -> tuple[Window, ...]:
    """Windows over the qubits `first` to `last`, the last one included, as equal as can be, the wider ones first.

    >>> [window.width for window in windows(10, 0, 9)]
    [4, 3, 3]
    """
    length = last - first + 1
    count = -(-length // WIDEST)
    widths = [length // count + (index < length % count) for index in range(count)]
    return tuple(Window(n_qubits, first + sum(widths[:index]), width) for index, width in enumerate(widths))


def kron(factors: Any) -> Any:
    """Kronecker products of matrices side by side: `(m, count, width, p, q)` gives `(m, count, p**width, q**width)`."""
    width = factors.shape[2]
    if width == 1:
        return factors[:, :, 0]
    if width % 2:
        return _outer(kron(factors[:, :, :-1]), factors[:, :, -1])
    return kron(_outer(factors[:, :, 0::2], factors[:, :, 1::2]))


def _outer(left: Any, right: Any) -> Any:
    product = left[..., :, None, :, None] * right[..., None, :, None, :]
    shape = left.shape[-2] * right.shape[-2], left.shape[-1] * right.shape[-1]
    return product.reshape(*left.shape[:-2], *shape)
