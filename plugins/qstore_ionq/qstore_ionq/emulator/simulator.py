"""Exact simulation of circuits, without noise or with depolarising noise after each gate.

A register of n qubits is an array with one axis for each qubit, of size 2 for a state and of size 4 for a density
matrix, whose entries |i><j| of one qubit are numbered 2 i + j. So a gate is a matrix on one axis or two in both cases:
its unitary U for states, and for density matrices `(1 - r) U x conj(U) + r (replace by the maximally mixed state)`,
which is the channel with Kraus operators sqrt(1 - 3 r / 4) and equal Paulis on one qubit, sqrt(1 - 15 r / 16) on two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from qstore_core.arrays import ComplexArray, FloatArray
from qstore_ionq.emulator.gates import Gate, matrices

_CHUNK_BYTES = 2**27
_COPIES = 3

Circuit = tuple[Gate, ...]


@dataclass(frozen=True, slots=True)
class Depolarizing:
    """The strength of the noise after gates on one and on two qubits."""

    one_qubit: float = 0.0
    two_qubit: float = 0.0

    def after(self, gate: Gate) -> float:
        """The probability that a gate leaves its qubits in the maximally mixed state."""
        return self.one_qubit if len(gate.qubits) == 1 else self.two_qubit


def probabilities(circuits: Sequence[Circuit], n_qubits: int, noise: Depolarizing | None = None) -> list[FloatArray]:
    """Each circuit's probabilities, `(2**n_qubits,)`, qubit 0 the **lowest** bit, as the service counts.

    >>> probabilities([(Gate("qis.x", (0,)),)], 2)[0]
    array([0., 1., 0., 0.])
    """
    noisy = noise is not None and noise != Depolarizing()
    size = max(1, _CHUNK_BYTES // (16 * _COPIES * (4 if noisy else 2) ** n_qubits))
    found: list[FloatArray | None] = [None] * len(circuits)
    for alike in _alike(circuits):
        for first in range(0, len(alike), size):
            chunk = alike[first : first + size]
            rows = _run([circuits[index] for index in chunk], n_qubits, noise if noisy else None)
            for index, row in zip(chunk, rows, strict=True):
                found[index] = row
    return [row for row in found if row is not None]


def _alike(circuits: Sequence[Circuit]) -> Iterator[list[int]]:
    """The numbers of circuits that differ in the values of their gates only: they are run together."""
    groups: dict[object, list[int]] = {}
    for index, circuit in enumerate(circuits):
        groups.setdefault(tuple((gate.name, gate.qubits) for gate in circuit), []).append(index)
    yield from groups.values()


def _run(circuits: Sequence[Circuit], n_qubits: int, noise: Depolarizing | None) -> FloatArray:
    base = 2 if noise is None else 4
    state = np.zeros((len(circuits), base**n_qubits), dtype=np.complex128)
    state[:, 0] = 1.0
    state = state.reshape(-1, *[base] * n_qubits)
    for step in zip(*circuits, strict=True):
        gate = step[0]
        unitaries = matrices(gate.name, np.array([each.values for each in step], dtype=np.float64))
        made = unitaries if noise is None else _channels(unitaries, noise.after(gate))
        state = _apply(state, made, [1 + qubit for qubit in gate.qubits])
    return _read(state, base)


def _apply(state: ComplexArray, made: ComplexArray, axes: Sequence[int]) -> ComplexArray:
    places = list(range(1, 1 + len(axes)))
    moved = np.moveaxis(state, axes, places)
    ran = made @ moved.reshape(len(state), made.shape[-1], -1)
    return np.moveaxis(ran.reshape(moved.shape), places, axes)


def _channels(unitaries: ComplexArray, strength: float) -> ComplexArray:
    """Matrices on the entries of density matrices, `(n, d**2, d**2)`, from unitaries `(n, d, d)`."""
    count, size, _ = unitaries.shape
    turned = np.einsum("nij,nkl->nikjl", unitaries, unitaries.conj()).reshape(count, size**2, size**2)
    trace = np.eye(size).ravel()
    mixed: ComplexArray = (1 - strength) * turned + strength * np.outer(trace, trace) / size
    if size == 2:
        return mixed
    # from (rows of both qubits, columns of both) to (row and column of the first, row and column of the second)
    split = mixed.reshape(count, *[2] * 8).transpose(0, 1, 3, 2, 4, 5, 7, 6, 8)
    return np.ascontiguousarray(split).reshape(count, size**2, size**2)


def _read(state: ComplexArray, base: int) -> FloatArray:
    n_qubits = state.ndim - 1
    if base == 4:
        for axis in range(1, 1 + n_qubits):
            state = np.take(state, [0, 3], axis=axis)  # |0><0| and |1><1|
    values = state.real if base == 4 else np.abs(state) ** 2
    lowest_first = values.transpose(0, *range(n_qubits, 0, -1))
    rows: FloatArray = np.clip(lowest_first.reshape(len(state), -1), 0.0, None)
    return rows
