"""The gate set: what each gate is called, its matrix, and what differentiating it needs.

Bit order, here and everywhere: **qubit 0 is the most significant bit**. The matrix of a gate on qubits `(a, b)` acts on
the basis |00>, |01>, |10>, |11>, where the left digit belongs to `a`.

A gate with an angle is `U(t) = exp(-i t H)` for a fixed Hermitian generator `H`, so its matrix for any number of
angles is `sum_k exp(-i t lambda_k) P_k` over the eigenvalues and projectors of `H`, and the frequencies of an
expectation value in `t` are the differences of those eigenvalues (Wierichs et al., arXiv 2107.12390).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import numpy as np

from qstore_core.arrays import ComplexArray, FloatArray
from qstore_core.errors import CircuitError, UnknownNameError


@dataclass(frozen=True, eq=False)
class Gate:
    """One kind of gate: a fixed matrix, or the generator of a one-angle family.

    Attributes:
        name: The lower-case name by which circuits know it.
        n_qubits: How many qubits it acts on.
        matrix: `(2**n_qubits, 2**n_qubits)`, the unitary of a fixed gate, or the generator `H` of `exp(-i t H)`.
        has_angle: Whether `matrix` is a generator.

    >>> GATES["rx"].unitaries([0.0, np.pi]).round(3)[1]
    array([[0.+0.j, 0.-1.j],
           [0.-1.j, 0.+0.j]])
    """

    name: str
    n_qubits: int
    matrix: ComplexArray
    has_angle: bool

    @cached_property
    def is_diagonal(self) -> bool:
        """Whether it is diagonal in the computational basis, whatever its angle."""
        return bool(np.all(self.matrix == np.diag(np.diag(self.matrix))))

    @cached_property
    def spectrum(self) -> tuple[FloatArray, ComplexArray]:
        """The distinct eigenvalues `(k,)` of the generator and their projectors `(k, d, d)`."""
        if not self.has_angle:
            raise CircuitError(f"gate {self.name!r} has no angle, so it has no generator")
        values, vectors = np.linalg.eigh(self.matrix)
        levels = np.array(sorted(set(values.round(9).tolist())))
        chosen = [vectors[:, np.isclose(values, level)] for level in levels]
        return levels, np.stack([block @ block.conj().T for block in chosen])

    @cached_property
    def frequencies(self) -> tuple[float, ...]:
        """The positive frequencies of an expectation value in this gate's angle, ascending.

        >>> GATES["rx"].frequencies, GATES["crx"].frequencies
        ((1.0,), (0.5, 1.0))
        """
        levels, _ = self.spectrum
        gaps = (levels[:, None] - levels[None, :]).round(9)
        return tuple(sorted(set(gaps[gaps > 0].tolist())))

    def unitaries(self, angles: FloatArray | list[float]) -> ComplexArray:
        """The unitary for each angle in radians: `(n,)` gives `(n, d, d)`."""
        levels, projectors = self.spectrum
        phases = np.exp(-1j * np.multiply.outer(np.asarray(angles, dtype=np.float64), levels))
        unitaries: ComplexArray = np.einsum("nk,kij->nij", phases, projectors)
        return unitaries


def _pauli_words() -> Mapping[str, ComplexArray]:
    single: dict[str, ComplexArray] = {
        "x": np.array([[0, 1], [1, 0]], dtype=np.complex128),
        "y": np.array([[0, -1j], [1j, 0]], dtype=np.complex128),
        "z": np.array([[1, 0], [0, -1]], dtype=np.complex128),
    }
    return single | {letter * 2: np.kron(matrix, matrix).astype(np.complex128) for letter, matrix in single.items()}


def _controlled(matrix: ComplexArray, *, idle: complex) -> ComplexArray:
    """`matrix` on the lower half of the space, `idle` times the identity on the upper half."""
    size = len(matrix)
    result = np.zeros((2 * size, 2 * size), dtype=np.complex128)
    result[:size, :size] = idle * np.eye(size)
    result[size:, size:] = matrix
    return result


def _gate_set() -> dict[str, Gate]:
    pauli = _pauli_words()
    t_phase = np.exp(0.25j * np.pi)
    swap = np.eye(4, dtype=np.complex128)[[0, 2, 1, 3]]
    fixed = {
        "x": pauli["x"],
        "y": pauli["y"],
        "z": pauli["z"],
        "h": (pauli["x"] + pauli["z"]) / np.sqrt(2),
        "s": np.diag([1, 1j]),
        "sdg": np.diag([1, -1j]),
        "t": np.diag([1, t_phase]),
        "tdg": np.diag([1, t_phase.conjugate()]),
        "sx": np.array([[1 + 1j, 1 - 1j], [1 - 1j, 1 + 1j]]) / 2,
        "cnot": _controlled(pauli["x"], idle=1),
        "cz": _controlled(pauli["z"], idle=1),
        "swap": swap,
        "toffoli": _controlled(_controlled(pauli["x"], idle=1), idle=1),
    }
    generators = {"p": np.diag([0, -1]).astype(np.complex128)}
    for word, matrix in pauli.items():
        generators["r" + word] = matrix / 2
    for letter in "xyz":
        generators["cr" + letter] = _controlled(pauli[letter] / 2, idle=0)
    gates = [Gate(name, _width(matrix), matrix, has_angle=False) for name, matrix in fixed.items()]
    gates += [Gate(name, _width(matrix), matrix, has_angle=True) for name, matrix in generators.items()]
    return {gate.name: gate for gate in gates}


def _width(matrix: ComplexArray) -> int:
    return len(matrix).bit_length() - 1


GATES: Mapping[str, Gate] = MappingProxyType(_gate_set())
"""Every gate by name: x y z h s sdg t tdg sx, rx ry rz p, cnot cz swap, rxx ryy rzz, crx cry crz, toffoli."""

ALIASES: Mapping[str, str] = MappingProxyType({"cx": "cnot", "ccx": "toffoli"})
"""What other libraries call some of them. A circuit has the gate's own name, whichever it was built with."""


def get_gate(name: str) -> Gate:
    """The gate called `name`, or that `name` is an alias of.

    >>> get_gate("cx").name
    'cnot'
    """
    try:
        return GATES[ALIASES.get(name, name)]
    except KeyError:
        raise UnknownNameError.of("gate", name, GATES) from None
