"""Batches for the backends on an emulator, and what the fixtures that run them are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np
from qstore_ionq.backend import IonQBackend
from qstore_ionq.emulator.process import RunningEmulator

from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.circuit import QuantumCircuit
from qstore_core.executor import Executor
from qstore_core.observables import PauliString, PauliSum
from qstore_core.randomness import StepKey
from qstore_core.testing import ReferenceBackend

Emulate = Callable[..., AbstractContextManager[RunningEmulator]]
Connect = Callable[..., IonQBackend]
RunJob = Callable[..., tuple[BatchResult, ...]]
RandomCircuit = Callable[..., QuantumCircuit]
Http = Callable[..., Any]
KEY = "sk-1234567890-not-to-be-seen"
OBSERVABLES = (PauliSum.of("Z0 Z1"), PauliSum.of("X2 Y0"), PauliString("Z2") + 0.5 * PauliString("X1"))


def batch_of(
    circuit: QuantumCircuit, n_rows: int = 3, *, shots: int | None = None, observables: Any = OBSERVABLES
) -> CircuitBatch:
    angles = np.random.default_rng(7).normal(scale=2.0, size=(n_rows, circuit.structure.n_angles))
    draws = None if shots is None else StepKey(1).draws(sample=np.arange(n_rows))
    return CircuitBatch(circuit.structure, angles, observables, shots, draws)


def simple(n_rows: int = 3, *, shots: int | None = None, n_qubits: int = 2) -> CircuitBatch:
    circuit = QuantumCircuit(n_qubits)
    for qubit in range(n_qubits):
        circuit = circuit.ry(qubit, 0.0)
    for qubit in range(n_qubits - 1):
        circuit = circuit.cnot(qubit, qubit + 1)
    return batch_of(circuit, n_rows, shots=shots, observables=("Z0", "Z1"))


def compiled(backend: IonQBackend, *batches: CircuitBatch) -> list[Any]:
    return [backend.compile(batch.structure, batch.groups) for batch in batches]


def submit(backend: IonQBackend, *batches: CircuitBatch, token: str = "t") -> str:
    return asyncio.run(backend.submit(batches, compiled(backend, *batches), token))


def exact(batch: CircuitBatch) -> BatchResult:
    unsampled = replace(batch, shots=None, draws=None)
    return asyncio.run(Executor(ReferenceBackend()).run((unsampled,)))[0]
