"""The exact reference: matrices of the gate set applied to state vectors, with nothing clever in it."""

from __future__ import annotations

import numpy as np

from qstore_core.arrays import ComplexArray, FloatArray
from qstore_core.backend import BackendCapabilities
from qstore_core.batch import CircuitBatch
from qstore_core.gates import GATES
from qstore_core.observables import PauliSum
from qstore_core.operations import CircuitStructure
from qstore_core.simulator import SimulatorBackend


class ReferenceBackend(SimulatorBackend):
    """A small exact simulator to test other plugins with; slow, and plain enough to be read as the definition.

    >>> from qstore_core import QuantumCircuit
    >>> bell = QuantumCircuit(2).h(0).cnot(0, 1)
    >>> ReferenceBackend().probabilities(bell.structure, bell.angles()[0]).round(12).tolist()
    [0.5, 0.0, 0.0, 0.5]
    """

    capabilities = BackendCapabilities(max_qubits=12)
    fingerprint = "reference"

    def probabilities(self, structure: CircuitStructure, angles: FloatArray) -> FloatArray:
        squares: FloatArray = np.abs(state(structure, angles)) ** 2
        return squares


def state(structure: CircuitStructure, angles: FloatArray) -> ComplexArray:
    """The state that a circuit makes of |0...0>, `(2**n_qubits,)`.

    >>> state(CircuitStructure(1, (("x", (0,)),)), np.empty(0)).real.tolist()
    [0.0, 1.0]
    """
    n_qubits, remaining = structure.n_qubits, iter(angles)
    vector = np.zeros((2,) * n_qubits, dtype=np.complex128)
    vector[(0,) * n_qubits] = 1.0
    for name, qubits in structure.gates:
        gate = GATES[name]
        matrix = gate.unitaries([float(next(remaining))])[0] if gate.has_angle else gate.matrix
        vector = _applied(matrix, vector, qubits)
    return vector.reshape(-1)


def expectations(batch: CircuitBatch) -> FloatArray:
    """The exact expectation values of a batch with observables, `(n_rows, n_observables)`, whatever its shots.

    >>> from qstore_core import PauliString, QuantumCircuit
    >>> circuit = QuantumCircuit(1).x(0)
    >>> expectations(CircuitBatch(circuit.structure, circuit.angles(), (PauliString("Z0"),)))
    array([[-1.]])
    """
    states = [state(batch.structure, angles) for angles in batch.angles]
    return np.array([[_expectation(vector, observable) for observable in batch.observables or ()] for vector in states])


def register(batch: CircuitBatch) -> FloatArray:
    """The exact probabilities of every outcome of the whole register, `(n_rows, 2**n_qubits)`.

    >>> from qstore_core import QuantumCircuit
    >>> circuit = QuantumCircuit(2).x(0)
    >>> register(CircuitBatch(circuit.structure, circuit.angles())).tolist()
    [[0.0, 0.0, 1.0, 0.0]]
    """
    return np.array([np.abs(state(batch.structure, angles)) ** 2 for angles in batch.angles])


def _applied(matrix: ComplexArray, tensor: ComplexArray, qubits: tuple[int, ...]) -> ComplexArray:
    count = len(qubits)
    operator = matrix.reshape((2,) * (2 * count))
    moved = np.tensordot(operator, tensor, axes=(range(count, 2 * count), qubits))
    return np.moveaxis(moved, range(count), qubits)


def _expectation(vector: ComplexArray, observable: PauliSum) -> float:
    n_qubits = len(vector).bit_length() - 1
    total = 0.0
    for term in observable.terms:
        moved = vector.reshape((2,) * n_qubits)
        for qubit, letter in term.letters:
            moved = _applied(GATES[letter.lower()].matrix, moved, (qubit,))
        total += term.coefficient * float(np.vdot(vector, moved.reshape(-1)).real)
    return total
