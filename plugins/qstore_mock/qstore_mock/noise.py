"""Noise: exact density matrices under depolarising gates, and misread bits.

A density matrix of n qubits is kept as the amplitudes of 2n: qubits 0 to n-1 are its row index, n to 2n-1 its column
index, so that `U rho U+` is `U` on the first copy and its conjugate on the second.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite

import numpy as np

from qstore_core.arrays import ComplexArray, FloatArray
from qstore_core.errors import ConfigurationError
from qstore_mock.kernels import Blocks, apply_matrix, marginal, zero_state
from qstore_mock.program import Program
from qstore_mock.step import Step

COPIES = 4


@dataclass(frozen=True, slots=True)
class Noise:
    """How results differ from those of a perfect device.

    Attributes:
        one_qubit: Depolarising strength after each one-qubit gate: with strength r the gate's qubits are replaced by
            the maximally mixed state with probability r, so that r = 1 forgets everything.
        many_qubits: The same after each gate on two qubits or more.
        read_0_as_1: The probability that a 0 is read as 1.
        read_1_as_0: The probability that a 1 is read as 0.

    The rotations into a measurement basis are free of noise.
    """

    one_qubit: float = 0.0
    many_qubits: float = 0.0
    read_0_as_1: float = 0.0
    read_1_as_0: float = 0.0

    @classmethod
    def of(cls, depolarizing: float | tuple[float, float], readout_error: float | tuple[float, float]) -> Noise:
        """From one number for both, or a pair: (one-qubit, many-qubit) strengths, (0 read as 1, 1 read as 0)."""
        return cls(*_pair("depolarizing", depolarizing), *_pair("readout_error", readout_error))

    @property
    def on_gates(self) -> bool:
        """Whether gates are noisy, so that states are mixed."""
        return self.one_qubit > 0 or self.many_qubits > 0

    @property
    def on_readout(self) -> bool:
        """Whether bits are misread."""
        return self.read_0_as_1 > 0 or self.read_1_as_0 > 0

    def misread(self, probabilities: FloatArray, n_bits: int) -> FloatArray:
        """What is read when `probabilities`, `(n_rows, 2**n_bits)`, is what is there."""
        keep_0, keep_1 = 1 - self.read_0_as_1, 1 - self.read_1_as_0
        confusion = np.array([[keep_0, self.read_1_as_0], [self.read_0_as_1, keep_1]])
        tensor = probabilities.reshape(len(probabilities), *(2,) * n_bits)
        for axis in range(1, n_bits + 1):
            tensor = np.moveaxis(np.tensordot(confusion, tensor, axes=(1, axis)), 0, axis)
        return np.ascontiguousarray(tensor).reshape(probabilities.shape)


def run(program: Program, angles: FloatArray, noise: Noise) -> ComplexArray:
    """The final density matrices of the rows of `angles`: `(n_rows, 4**n_qubits)`."""
    density = zero_state(len(angles), 2 * program.n_qubits)
    for step in program.steps:
        _apply(density, program.n_qubits, step, angles)
        strength = noise.one_qubit if len(step.qubits) == 1 else noise.many_qubits
        if strength:
            _depolarize(density, program.n_qubits, step.qubits, strength)
    return density


def group_probabilities(program: Program, density: ComplexArray, noise: Noise) -> Iterator[FloatArray]:
    """The outcome probabilities of each measurement group, one after the other, `(n_rows, 2**n_bits)`."""
    for group, rotations in zip(program.groups, program.rotations, strict=True):
        read = marginal(_diagonal(program.n_qubits, density, rotations), program.n_qubits, group.qubits)
        yield noise.misread(read, len(group.qubits))


def _diagonal(n_qubits: int, density: ComplexArray, rotations: tuple[Step, ...]) -> FloatArray:
    """The diagonals of density matrices after some rotations."""
    rotated = density.copy() if rotations else density
    for step in rotations:
        _apply(rotated, n_qubits, step, np.empty((len(density), 0)))
    diagonal: FloatArray = rotated.reshape(len(density), 2**n_qubits, -1).diagonal(axis1=1, axis2=2).real.copy()
    return diagonal


def _apply(density: ComplexArray, n_qubits: int, step: Step, angles: FloatArray) -> None:
    matrix = step.matrix(angles)
    columns = [qubit + n_qubits for qubit in step.qubits]
    apply_matrix(density, Blocks.of(2 * n_qubits, step.qubits), matrix, step.pattern)
    apply_matrix(density, Blocks.of(2 * n_qubits, columns), matrix.conj(), step.pattern)


def _depolarize(density: ComplexArray, n_qubits: int, qubits: tuple[int, ...], strength: float) -> None:
    """`rho -> (1 - r) rho + r (I / d) (x) Tr_qubits(rho)`, in place."""
    blocks = Blocks.of(2 * n_qubits, [*qubits, *(qubit + n_qubits for qubit in qubits)])
    parts = blocks.parts(density)
    dimension = 2 ** len(qubits)
    on_diagonal = [parts[setting * (dimension + 1)] for setting in range(dimension)]
    mixed = sum(on_diagonal) * (strength / dimension)
    density *= 1 - strength
    for part in on_diagonal:
        part += mixed


def _pair(name: str, value: float | tuple[float, float]) -> tuple[float, float]:
    pair = value if isinstance(value, tuple | list) else (value, value)
    numbers = [isinstance(number, int | float) and isfinite(number) and 0 <= number <= 1 for number in pair]
    if len(pair) != 2 or not all(numbers):
        raise ConfigurationError(f"{name} is a probability from 0 to 1, or a pair of them, not {value!r}")
    return float(pair[0]), float(pair[1])
