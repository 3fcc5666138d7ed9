"""A backend whose author runs one circuit; the rest is `SimulatorBackend`'s."""

import numpy as np

from qstore_core import BackendCapabilities, SimulatorBackend
from qstore_core.gates import GATES


class TinyBackend(SimulatorBackend):
    """An exact simulator, gate after gate."""

    capabilities = BackendCapabilities(max_qubits=8)
    fingerprint = "tiny"

    def probabilities(self, structure, angles):
        """The probability of each outcome, qubit 0 the most significant bit."""
        angle, state = iter(angles), np.zeros((2,) * structure.n_qubits, dtype=complex)
        state[(0,) * structure.n_qubits] = 1
        for name, qubits in structure.gates:
            gate, k = GATES[name], len(qubits)
            matrix = gate.unitaries([next(angle)])[0] if gate.has_angle else gate.matrix
            state = np.tensordot(matrix.reshape((2,) * 2 * k), state, axes=(range(k, 2 * k), qubits))
            state = np.moveaxis(state, range(k), qubits)
        return np.abs(state.ravel()) ** 2
