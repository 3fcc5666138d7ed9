"""PennyLane on lightning.qubit: tapes made anew for each step, one call to run them, gradients by its device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pennylane as qml
from pennylane.devices import ExecutionConfig

from peers.work import SHOTS, Array, Contender, Work


def contenders(work: Work, threads: int) -> list[Contender]:
    """lightning.qubit in double precision."""
    exact = qml.device("lightning.qubit", wires=work.n_qubits)
    sampler = qml.device("lightning.qubit", wires=work.n_qubits, seed=7)
    adjoint = exact.setup_execution_config(
        ExecutionConfig(gradient_method="adjoint", use_device_gradient=True, use_device_jacobian_product=True)
    )
    read = [_mean_z(qubits) for qubits in work.read]
    trained = list(range(work.n_qubits, work.n_qubits + work.n_parameters))

    def tapes(x: Array, theta: Array, shots: int | None = None) -> list[Any]:
        rows = np.broadcast_to(theta, (len(x), work.n_parameters))
        return [_tape(work, read, *row, shots, trained) for row in zip(x.tolist(), rows.tolist(), strict=True)]

    def outputs(x: Array, theta: Array) -> Array:
        return np.array(qml.execute(tapes(x, theta), exact))

    def sampled(x: Array, theta: Array) -> Array:
        return np.array(qml.execute(tapes(x, theta, SHOTS), sampler))

    def shift(repeat: int) -> Array:
        theta = work.theta(repeat)
        prepared = [qml.gradients.param_shift(tape) for tape in tapes(work.x, theta)]
        every = tapes(work.x, theta) + [tape for made, _ in prepared for tape in made]
        results = qml.execute(every, exact)
        found, rest = np.array(results[: work.samples]), list(results[work.samples :])
        gradient = np.zeros(work.n_parameters)
        for cotangent, (made, fold) in zip(work.cotangents(found), prepared, strict=True):
            jacobian = np.array(fold(tuple(rest[: len(made)])))
            del rest[: len(made)]
            gradient += cotangent @ jacobian.reshape(2, -1)
        return gradient

    def by_product(repeat: int) -> Array:
        made = tapes(work.x, work.theta(repeat))
        found = np.array(exact.execute(made, adjoint))
        cotangents = [tuple(row) for row in work.cotangents(found)]
        products = exact.compute_vjp(made, cotangents, adjoint)
        return np.sum(np.array(products).reshape(work.samples, -1), axis=0)

    def by_jacobian(repeat: int) -> Array:
        made = tapes(work.x, work.theta(repeat))
        found, jacobians = exact.execute_and_compute_derivatives(made, adjoint)
        jacobian = np.array(jacobians).reshape(work.samples, 2, -1)
        gradient: Array = np.einsum("bo,bop->p", work.cotangents(np.array(found)), jacobian)
        return gradient

    common = {
        "forward": lambda repeat: outputs(work.x, work.theta(repeat)),
        "spsa": lambda repeat: work.spsa_gradient(outputs(*work.sides(repeat)), repeat),
        "shift": shift,
        "exact": by_product,
        "sampled forward": lambda repeat: sampled(work.x, work.theta(repeat)),
        "sampled spsa": lambda repeat: work.spsa_gradient(sampled(*work.sides(repeat)), repeat),
    }
    return [
        Contender("lightning.qubit", "double", common),
        Contender("lightning.qubit, Jacobian", "double", {"exact": by_jacobian}),
    ]


def outputs_of(work: Work) -> Callable[[Array, Array], Array]:
    """What gives the outputs of rows."""
    device = qml.device("lightning.qubit", wires=work.n_qubits)
    read = [_mean_z(qubits) for qubits in work.read]

    def outputs(x: Array, theta: Array) -> Array:
        rows = zip(x.tolist(), theta.tolist(), strict=True)
        return np.array(qml.execute([_tape(work, read, *row, None, []) for row in rows], device))

    return outputs


def _mean_z(qubits: tuple[int, ...]) -> Any:
    if len(qubits) == 1:
        return qml.Z(qubits[0])
    return qml.Hamiltonian([1 / len(qubits)] * len(qubits), [qml.Z(qubit) for qubit in qubits])


def _tape(
    work: Work, read: list[Any], x: list[float], theta: list[float], shots: int | None, trained: list[int]
) -> Any:
    values = iter(theta)
    gates: list[Any] = [qml.RY(angle, qubit) for qubit, angle in enumerate(x)]
    for _ in range(work.depth):
        for qubit in range(work.n_qubits):
            gates += [qml.RY(next(values), qubit), qml.RZ(next(values), qubit)]
        gates += [qml.CNOT([qubit, qubit + 1]) for qubit in range(work.n_qubits - 1)]
    measured = [qml.expval(observable) for observable in read]
    return qml.tape.QuantumScript(gates, measured, shots=shots, trainable_params=trained)
