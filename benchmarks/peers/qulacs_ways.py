"""Qulacs: one parametric circuit, its parameters set for each row, gradients by its backpropagation."""

from __future__ import annotations

import numpy as np
import qulacs

from peers.work import SHOTS, Array, Contender, Work


class Simulation:
    """A circuit and a state that are used again for each row; qubit 0 of ours is the highest of Qulacs."""

    def __init__(self, work: Work) -> None:
        self.work, n = work, work.n_qubits
        self.circuit, self.state = qulacs.ParametricQuantumCircuit(n), qulacs.QuantumState(n)
        for qubit in range(n):
            self.circuit.add_parametric_RY_gate(n - 1 - qubit, 0.0)
        for _ in range(work.depth):
            for qubit in range(n):
                self.circuit.add_parametric_RY_gate(n - 1 - qubit, 0.0)
                self.circuit.add_parametric_RZ_gate(n - 1 - qubit, 0.0)
            for qubit in range(n - 1):
                self.circuit.add_CNOT_gate(n - 1 - qubit, n - 2 - qubit)
        self.read = [self._observable([(1 / len(qubits), qubits)]) for qubits in work.read]
        self.rules = work.rules

    def _observable(self, parts: list[tuple[float, tuple[int, ...]]]) -> qulacs.Observable:
        made = qulacs.Observable(self.work.n_qubits)
        for weight, qubits in parts:
            for qubit in qubits:
                made.add_operator(weight, f"Z {self.work.n_qubits - 1 - qubit}")
        return made

    def _set(self, row: Array) -> None:
        for index, angle in enumerate((-row).tolist()):
            self.circuit.set_parameter(index, angle)

    def run(self, row: Array) -> None:
        """Leave the final state of one row of angles; its rotations turn the other way."""
        self._set(row)
        self.state.set_zero_state()
        self.circuit.update_quantum_state(self.state)

    def outputs(self, x: Array, theta: Array) -> Array:
        """`(n_rows, 2)`."""
        found = []
        for row in np.concatenate([x, np.broadcast_to(theta, (len(x), self.work.n_parameters))], axis=1):
            self.run(row)
            found.append([observable.get_expectation_value(self.state) for observable in self.read])
        return np.array(found)

    def sampled(self, x: Array, theta: Array) -> Array:
        """`(n_rows, 2)` from shots."""
        found = []
        for row in np.concatenate([x, np.broadcast_to(theta, (len(x), self.work.n_parameters))], axis=1):
            self.run(row)
            found.append(self.rules[self.state.sampling(SHOTS)].mean(axis=0))
        return np.array(found)

    def exact(self, repeat: int) -> Array:
        """The gradient: each sample's outputs, then one backward pass for their weighted sum."""
        work, theta = self.work, self.work.theta(repeat)
        cotangents = work.cotangents(self.outputs(work.x, theta))
        gradient = np.zeros(work.n_parameters)
        for x, weights in zip(work.x, cotangents, strict=True):
            self._set(np.concatenate([x, theta]))
            parts = [(weight / len(qubits), qubits) for weight, qubits in zip(weights, work.read, strict=True)]
            gradient -= self.circuit.backprop(self._observable(parts))[work.n_qubits :]
        return gradient


def contenders(work: Work, threads: int) -> list[Contender]:
    """Qulacs in double precision."""
    made = Simulation(work)
    ways = {
        "forward": lambda repeat: made.outputs(work.x, work.theta(repeat)),
        "spsa": lambda repeat: work.spsa_gradient(made.outputs(*work.sides(repeat)), repeat),
        "shift": lambda repeat: work.shift_gradient(made.outputs(*work.shifted(repeat))),
        "exact": made.exact,
        "sampled forward": lambda repeat: made.sampled(work.x, work.theta(repeat)),
        "sampled spsa": lambda repeat: work.spsa_gradient(made.sampled(*work.sides(repeat)), repeat),
    }
    return [Contender("qulacs", "double", ways)]
