"""Gates on arrays of amplitudes, many rows at once.

Amplitudes have shape `(n_rows, 2**n_qubits)`; qubit 0 is the most significant bit of the second index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np

from qstore_core.arrays import BoolArray, ComplexArray, FloatArray


@dataclass(frozen=True, slots=True)
class Blocks:
    """How to cut a row of amplitudes into the parts that belong to each setting of a few qubits.

    Attributes:
        shape: Lengths of the axes after the first, with an axis of length 2 for each of the qubits.
        indices: For each setting of the qubits, first qubit most significant, the index that selects its part.
    """

    shape: tuple[int, ...]
    indices: tuple[tuple[slice | int, ...], ...]

    @classmethod
    def of(cls, n_qubits: int, qubits: Sequence[int]) -> Blocks:
        """The cut for `qubits`, in that order, of a register."""
        places = sorted(qubits)
        edges = [-1, *places, n_qubits]
        gaps = [2 ** (right - left - 1) for left, right in pairwise(edges)]
        shape = (*(length for gap in gaps[:-1] for length in (gap, 2)), gaps[-1])
        indices = []
        for bits in product((0, 1), repeat=len(places)):
            setting = dict(zip(qubits, bits, strict=True))
            picks = [pick for qubit in places for pick in (slice(None), setting[qubit])]
            indices.append((slice(None), *picks, slice(None)))
        return cls(shape, tuple(indices))

    def parts(self, amplitudes: ComplexArray) -> list[ComplexArray]:
        """Views of the parts, one for each setting of the qubits."""
        view = amplitudes.reshape(len(amplitudes), *self.shape)
        return [view[index] for index in self.indices]


def apply_matrix(amplitudes: ComplexArray, blocks: Blocks, matrix: ComplexArray, pattern: BoolArray) -> None:
    """Multiply the qubits of `blocks` by a matrix, in place.

    Args:
        amplitudes: `(n_rows, 2**n_qubits)`.
        blocks: The cut for the qubits that the matrix acts on.
        matrix: `(d, d)` for every row, or `(n_rows, d, d)` for each its own.
        pattern: `(d, d)`, which entries can differ from 0; the others are skipped, so that a CNOT costs two copies.
    """
    parts = blocks.parts(amplitudes)
    spread = (...,) + (None,) * (parts[0].ndim - 1)
    results = {}
    for i, row in enumerate(pattern):
        columns = np.flatnonzero(row)
        if not len(columns):
            results[i] = np.zeros_like(parts[i])
            continue
        if matrix.ndim == 2 and list(columns) == [i] and matrix[i, i] == 1:
            continue
        if matrix.ndim == 2 and len(columns) == 1 and matrix[i, columns[0]] == 1:
            results[i] = parts[columns[0]].copy()
            continue
        total = matrix[..., i, columns[0]][spread] * parts[columns[0]]
        for j in columns[1:]:
            total += matrix[..., i, j][spread] * parts[j]
        results[i] = total
    for i, result in results.items():
        parts[i][...] = result


def marginal(probabilities: FloatArray, n_qubits: int, kept: Sequence[int]) -> FloatArray:
    """Probabilities of the `kept` qubits, ascending, from those of the register: `(n_rows, 2**len(kept))`."""
    summed = tuple(qubit + 1 for qubit in range(n_qubits) if qubit not in set(kept))
    if not summed:
        return probabilities
    tensor = probabilities.reshape(len(probabilities), *(2,) * n_qubits)
    total: FloatArray = tensor.sum(axis=summed).reshape(len(probabilities), -1)
    return total


def zero_state(n_rows: int, n_qubits: int) -> ComplexArray:
    """|0...0> in every row."""
    state = np.zeros((n_rows, 2**n_qubits), dtype=np.complex128)
    state[:, 0] = 1
    return state


def probabilities(state: ComplexArray) -> FloatArray:
    """The squared moduli of amplitudes."""
    return state.real**2 + state.imag**2
