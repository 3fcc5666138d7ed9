"""Circuits by chained calls, and two that every introduction has."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from q_store.backends.circuits import GateType, QuantumCircuit, QuantumGate
from qstore_core.errors import ConfigurationError


class CircuitBuilder:
    """Adds gates to a circuit; every method but `build` returns the builder.

    Attributes:
        circuit: The circuit so far.

    >>> CircuitBuilder(2).h(0).cnot(0, 1).build().gates
    [h(0), cnot(0,1)]
    """

    def __init__(self, n_qubits: int) -> None:
        self.circuit = QuantumCircuit(n_qubits)

    def h(self, qubit: int) -> Self:
        """Hadamard."""
        return self._add(GateType.HADAMARD, qubit)

    def x(self, qubit: int) -> Self:
        """Pauli X."""
        return self._add(GateType.PAULI_X, qubit)

    def y(self, qubit: int) -> Self:
        """Pauli Y."""
        return self._add(GateType.PAULI_Y, qubit)

    def z(self, qubit: int) -> Self:
        """Pauli Z."""
        return self._add(GateType.PAULI_Z, qubit)

    def rx(self, qubit: int, angle: Any) -> Self:
        """A rotation about X by an angle in radians."""
        return self._add(GateType.RX, qubit, angle=angle)

    def ry(self, qubit: int, angle: Any) -> Self:
        """A rotation about Y by an angle in radians."""
        return self._add(GateType.RY, qubit, angle=angle)

    def rz(self, qubit: int, angle: Any) -> Self:
        """A rotation about Z by an angle in radians."""
        return self._add(GateType.RZ, qubit, angle=angle)

    def cnot(self, control: int, target: int) -> Self:
        """Controlled X."""
        return self._add(GateType.CNOT, control, target)

    def cz(self, control: int, target: int) -> Self:
        """Controlled Z."""
        return self._add(GateType.CZ, control, target)

    def swap(self, qubit1: int, qubit2: int) -> Self:
        """Exchange two qubits."""
        return self._add(GateType.SWAP, qubit1, qubit2)

    def measure_all(self) -> Self:
        """Read every qubit."""
        return self.measure(*range(self.circuit.n_qubits))

    def measure(self, *qubits: int) -> Self:
        """Read these qubits."""
        for qubit in qubits:
            self._add(GateType.MEASURE, qubit)
        return self

    def build(self) -> QuantumCircuit:
        """The circuit."""
        return self.circuit

    def _add(self, kind: GateType, *qubits: int, angle: Any = None) -> Self:
        self.circuit.add_gate(QuantumGate(kind, list(qubits), None if angle is None else {"angle": angle}))
        return self


def create_bell_state_circuit() -> QuantumCircuit:
    """The pair (|00> + |11>) / sqrt(2), measured.

    >>> create_bell_state_circuit().gates
    [h(0), cnot(0,1), measure(0), measure(1)]
    """
    return create_ghz_state_circuit(2)


def create_ghz_state_circuit(n_qubits: int) -> QuantumCircuit:
    """The state (|0...0> + |1...1>) / sqrt(2), measured.

    >>> create_ghz_state_circuit(3).gate_count()[GateType.CNOT]
    2
    """
    builder = CircuitBuilder(n_qubits).h(0)
    for qubit in range(n_qubits - 1):
        builder.cnot(qubit, qubit + 1)
    return builder.measure_all().build()


def amplitude_encode_to_circuit(vector: ArrayLike) -> QuantumCircuit:
    """A circuit whose amplitudes are the entries of a real vector, normalised and filled up with zeros.

    By multiplexed RY rotations (Mottonen et al., arXiv quant-ph/0407010): qubit k turns by an angle that depends on the
    qubits before it, in `2**k` rotations between CNOTs.

    Raises:
        ConfigurationError: Entries that are not finite real numbers, or all of them 0.

    >>> amplitude_encode_to_circuit([0.0, 1.0]).gates
    [ry(0, params={'angle': 3.141592653589793})]
    """
    amplitudes = _amplitudes(vector)
    builder = CircuitBuilder(len(amplitudes).bit_length() - 1)
    for qubit in range(builder.circuit.n_qubits):
        blocks = amplitudes.reshape(2**qubit, 2, -1)
        if blocks.shape[2] == 1:  # the last qubit also brings the signs
            upper, lower = blocks[:, 0, 0], blocks[:, 1, 0]
        else:
            upper, lower = np.linalg.norm(blocks, axis=2).T
        _turn(builder, 2 * np.arctan2(lower, upper), list(range(qubit)), qubit)
    return builder.build()


def _amplitudes(vector: ArrayLike) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    given = np.asarray(vector)
    if given.ndim != 1 or not len(given) or given.dtype.kind not in "iufb" or not np.isfinite(given).all():
        raise ConfigurationError(f"amplitudes are finite real numbers, one row of them, not {given!r:.60}")
    norm = float(np.linalg.norm(given.astype(np.float64)))
    if norm == 0:
        raise ConfigurationError("all amplitudes are 0: there is no such state")
    n_qubits = max(1, (len(given) - 1).bit_length())
    filled = np.zeros(2**n_qubits)
    filled[: len(given)] = given / norm
    return filled


def _turn(
    builder: CircuitBuilder, angles: np.ndarray[tuple[int], np.dtype[np.float64]], controls: list[int], target: int
) -> None:
    """RY on `target` by the angle that the controls choose, the first of them as the most significant bit."""
    if not np.any(angles):
        return
    if not controls:
        builder.ry(target, float(angles[0]))
        return
    off, on = np.split(angles, 2)
    _turn(builder, (off + on) / 2, controls[1:], target)
    builder.cnot(controls[0], target)
    _turn(builder, (off - on) / 2, controls[1:], target)
    builder.cnot(controls[0], target)
