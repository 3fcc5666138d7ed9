"""Lists of circuits for a batch manager, and how to run them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np

from qstore_core import Backend, CircuitBatchManager, ExecutionResult, QuantumCircuit

BELL = QuantumCircuit(2).h(0).cnot(0, 1)
GHZ = QuantumCircuit(3).h(0).cnot(0, 1).cnot(1, 2)


def run(backend: Backend | CircuitBatchManager, circuits: Any, shots: int | None = 1000) -> list[ExecutionResult]:
    manager = backend if isinstance(backend, CircuitBatchManager) else CircuitBatchManager(backend, seed=1)
    return asyncio.run(manager.execute_batch(circuits, shots))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


def rotations(n: int, n_qubits: int = 2) -> list[QuantumCircuit]:
    """Circuits of one structure with different angles."""
    return [QuantumCircuit(n_qubits).ry(0, 0.1 + index).cnot(0, 1) for index in range(n)]


def mixed(n: int = 60) -> list[QuantumCircuit]:
    """Circuits of many structures and widths, in no order: circuit i has the basis state i as its outcome."""
    rng = np.random.default_rng(5)
    circuits = []
    for number in range(n):
        width = int(rng.integers(6, 9))
        circuit = QuantumCircuit(width)
        for qubit in range(width):
            if number >> (width - 1 - qubit) & 1:
                circuit = circuit.x(qubit) if rng.random() < 0.5 else circuit.rx(qubit, np.pi)
        circuits.append(circuit)
    return circuits
