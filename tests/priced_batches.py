"""Small batches, and a simulator with limits that charges for them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
from fake_backends import Watched

from qstore_core.angles import Parameter
from qstore_core.backend import Backend
from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.circuit import QuantumCircuit
from qstore_core.circuit_cache import QuantumCircuitCache
from qstore_core.cost import Cost
from qstore_core.executor import Executor, ExecutorOptions
from qstore_core.observables import PauliSum

CIRCUIT = QuantumCircuit(2).ry(0, Parameter("a")).ry(1, Parameter("b")).cnot(0, 1)


class Priced(Watched):
    """The simulator with limits, and a price for each circuit and each shot."""

    def __init__(self, **limits: Any) -> None:
        super().__init__(**limits)
        self.fingerprint = "watched(mock)"

    def price(self, compiled: Any, batch: CircuitBatch) -> Cost:
        dollars = 0.3 * batch.n_circuits + 0.001 * batch.n_shots
        return Cost(usd_low=dollars / 2, usd_high=dollars, circuits=batch.n_circuits, shots=batch.n_shots, jobs=1)


def batch(
    n_rows: int = 5,
    *,
    circuit: QuantumCircuit = CIRCUIT,
    observables: Sequence[str] | None = ("Z0", "Z0 Z1"),
    shots: int | None = None,
) -> CircuitBatch:
    angles = circuit.angles(parameters=np.random.default_rng(n_rows).normal(size=(n_rows, 2)))
    chosen = None if observables is None else tuple(map(PauliSum.of, observables))
    draws = None if shots is None else np.arange(n_rows, dtype=np.uint64)
    return CircuitBatch(circuit.structure, angles, chosen, shots, draws)


def run(
    backend: Backend, *batches: Any, cache: QuantumCircuitCache | None = None, **options: Any
) -> tuple[BatchResult, ...]:
    return asyncio.run(Executor(backend, options=ExecutorOptions(**options), cache=cache).run(batches))
