"""Qulacs as a backend: its gates for ours, and its bit order turned round."""

import numpy as np
import qulacs
from qulacs import gate as gates

from qstore_core import BackendCapabilities, SimulatorBackend
from qstore_core.gates import GATES

_FIXED = {
    "x": gates.X,
    "y": gates.Y,
    "z": gates.Z,
    "h": gates.H,
    "s": gates.S,
    "sdg": gates.Sdag,
    "t": gates.T,
    "tdg": gates.Tdag,
    "cnot": gates.CNOT,
    "cz": gates.CZ,
    "swap": gates.SWAP,
}
# Qulacs has exp(+i t P / 2) where we have exp(-i t P / 2), except in those with "Rot" in their names
_TURNING = {"rx": gates.RotX, "ry": gates.RotY, "rz": gates.RotZ}


class QulacsBackend(SimulatorBackend):
    """An exact simulator in C++.

    >>> QulacsBackend(max_qubits=20).capabilities.max_qubits
    20
    """

    def __init__(self, *, max_qubits: int = 24) -> None:
        self.capabilities = BackendCapabilities(max_qubits=max_qubits)
        self.fingerprint = f"qulacs({qulacs.__version__})"

    def probabilities(self, structure, angles):
        """The probability of each outcome, qubit 0 the most significant bit."""
        state, remaining = qulacs.QuantumState(structure.n_qubits), iter(angles)
        for name, qubits in structure.gates:
            _gate(name, qubits, remaining).update_quantum_state(state)
        squares = np.abs(state.get_vector()) ** 2
        # Qulacs counts qubit 0 as the least significant bit: reverse the axes
        return squares.reshape((2,) * structure.n_qubits).T.ravel()


def _gate(name, qubits, angles):
    if name in _FIXED:
        return _FIXED[name](*qubits)
    if name in _TURNING:
        return _TURNING[name](*qubits, next(angles))
    gate = GATES[name]
    matrix = gate.unitaries([next(angles)])[0] if gate.has_angle else gate.matrix
    return gates.DenseMatrix(list(reversed(qubits)), matrix)  # its first index is the least significant one
