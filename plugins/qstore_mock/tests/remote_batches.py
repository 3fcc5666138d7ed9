"""Batches for the simulated provider."""

from __future__ import annotations

import numpy as np

from qstore_core.batch import CircuitBatch
from qstore_core.circuit import QuantumCircuit
from qstore_core.observables import PauliSum
from qstore_core.randomness import StepKey

PRICES = {"price_job": "0.5", "price_circuit": "0.01:0.02", "price_shot": "0.001", "minimum": "1:2"}


def batch_of(n_rows: int = 3, *, shots: int | None = None, n_qubits: int = 2, seed: int = 1) -> CircuitBatch:
    circuit = QuantumCircuit(n_qubits)
    for qubit in range(n_qubits):
        circuit = circuit.h(qubit).ry(qubit, 0.0)
    for qubit in range(n_qubits - 1):
        circuit = circuit.cnot(qubit, qubit + 1)
    angles = np.random.default_rng(seed).normal(size=(n_rows, n_qubits))
    draws = None if shots is None else StepKey(seed).draws(sample=np.arange(n_rows))
    return CircuitBatch(circuit.structure, angles, (PauliSum.of("Z0"), PauliSum.of("X0")), shots, draws)
