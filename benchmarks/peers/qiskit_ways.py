"""Qiskit Aer driven by hand, and EstimatorQNN of qiskit-machine-learning over Aer's estimator."""

from __future__ import annotations

import numpy as np
import qiskit
import qiskit_aer
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp

from peers.work import Array, Contender, Work


def contenders(work: Work, threads: int) -> list[Contender]:
    """Both, in double precision."""
    hand, network = ByHand(work, threads), Network(work, threads)
    by_hand = {
        "forward": lambda repeat: hand.outputs(work.x, work.theta(repeat)),
        "spsa": lambda repeat: work.spsa_gradient(hand.outputs(*work.sides(repeat)), repeat),
        "shift": lambda repeat: work.shift_gradient(hand.outputs(*work.shifted(repeat))),
    }
    by_network = {
        "forward": lambda repeat: network.outputs(work.x, work.theta(repeat)),
        "shift": network.shift,
    }
    return [Contender("Aer by hand", "double", by_hand), Contender("EstimatorQNN", "double", by_network)]


def layered(work: Work, x: ParameterVector, theta: ParameterVector) -> qiskit.QuantumCircuit:
    """The circuit; qubit 0 is qubit 0."""
    circuit, values = qiskit.QuantumCircuit(work.n_qubits), iter(theta)
    for qubit, value in enumerate(x):
        circuit.ry(value, qubit)
    for _ in range(work.depth):
        for qubit in range(work.n_qubits):
            circuit.ry(next(values), qubit)
            circuit.rz(next(values), qubit)
        for qubit in range(work.n_qubits - 1):
            circuit.cx(qubit, qubit + 1)
    return circuit


def _mean_z(work: Work, qubits: tuple[int, ...]) -> SparsePauliOp:
    return SparsePauliOp.from_sparse_list([("Z", [qubit], 1 / len(qubits)) for qubit in qubits], work.n_qubits)


class ByHand:
    """One transpiled circuit whose parameters are bound at run time."""

    def __init__(self, work: Work, threads: int) -> None:
        self.work, self.threads = work, threads
        x, theta = ParameterVector("x", work.n_qubits), ParameterVector("t", work.n_parameters)
        self.symbols = [*x, *theta]
        self.simulator = qiskit_aer.AerSimulator(method="statevector")
        circuit = layered(work, x, theta)
        for index, qubits in enumerate(work.read):
            circuit.save_expectation_value(_mean_z(work, qubits), range(work.n_qubits), label=f"f{index}")
        self.circuit = qiskit.transpile(circuit, self.simulator, optimization_level=0)

    def outputs(self, x: Array, theta: Array) -> Array:
        """`(n_rows, 2)`."""
        angles = np.concatenate([x, np.broadcast_to(theta, (len(x), self.work.n_parameters))], axis=1)
        binds = dict(zip(self.symbols, angles.T.tolist(), strict=True))
        options = {"runtime_parameter_bind_enable": True, "max_parallel_threads": self.threads, "shots": 1}
        result = self.simulator.run(self.circuit, parameter_binds=[binds], **options).result()
        saved = [each.data.to_dict() for each in result.results]
        return np.array([[row["f0"], row["f1"]] for row in saved])


class Network:
    """EstimatorQNN with its parameter-shift gradient."""

    def __init__(self, work: Work, threads: int) -> None:
        from qiskit_aer.primitives import EstimatorV2
        from qiskit_machine_learning.gradients import ParamShiftEstimatorGradient
        from qiskit_machine_learning.neural_networks import EstimatorQNN

        self.work = work
        x, theta = ParameterVector("x", work.n_qubits), ParameterVector("t", work.n_parameters)
        settings = {"method": "statevector", "max_parallel_threads": threads}
        estimator = EstimatorV2(options={"default_precision": 0.0, "backend_options": settings})
        self.network = EstimatorQNN(
            circuit=layered(work, x, theta),
            observables=[_mean_z(work, qubits) for qubits in work.read],
            input_params=list(x),
            weight_params=list(theta),
            estimator=estimator,
            gradient=ParamShiftEstimatorGradient(estimator),
            default_precision=0.0,
        )

    def outputs(self, x: Array, theta: Array) -> Array:
        """`(n_rows, 2)`."""
        return np.array(self.network.forward(x, theta))

    def shift(self, repeat: int) -> Array:
        """The gradient of the loss by the chain rule, as its own trainers take it."""
        outputs = self.outputs(self.work.x, self.work.theta(repeat))
        _, jacobian = self.network.backward(self.work.x, self.work.theta(repeat))
        gradient: Array = np.einsum("bo,bop->p", self.work.cotangents(outputs), jacobian)
        return gradient
