"""What the tests of the core and of every simulator share: random circuits and observables, and how to run them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from importlib.util import find_spec

import numpy as np
import pytest

from qstore_core.angles import Angle, Symbol
from qstore_core.backend import LocalBackend
from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.circuit import QuantumCircuit
from qstore_core.gates import GATES
from qstore_core.observables import PauliString, PauliSum

# Doctests are looked for in every module, and these cannot be imported without numba.
collect_ignore = (
    []
    if find_spec("numba")
    else [f"plugins/qstore_mock/qstore_mock/compiled/{name}.py" for name in ("amplitudes", "drawing", "kernels")]
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(2026)


@pytest.fixture(scope="session")
def random_circuit() -> Callable[..., QuantumCircuit]:
    """`random_circuit(rng, n_qubits, length=30, symbols=())`: any gates of the set that fit, anywhere."""

    def random_angle(rng: np.random.Generator, symbols: Sequence[Symbol]) -> Angle:
        angle = Angle.of(rng.normal(scale=2.0))
        for index in rng.permutation(len(symbols))[: rng.integers(3)]:
            angle = angle + float(rng.normal()) * symbols[index]
        return angle

    def build(
        rng: np.random.Generator, n_qubits: int, length: int = 30, symbols: Sequence[Symbol] = ()
    ) -> QuantumCircuit:
        circuit = QuantumCircuit(n_qubits)
        names = [name for name, gate in GATES.items() if gate.n_qubits <= n_qubits]
        for name in map(str, rng.choice(names, size=length)):
            qubits = rng.permutation(n_qubits)[: GATES[name].n_qubits]
            circuit = circuit.append(name, qubits, random_angle(rng, symbols) if GATES[name].has_angle else None)
        return circuit

    return build


@pytest.fixture(scope="session")
def random_observables() -> Callable[..., tuple[PauliSum, ...]]:
    """`random_observables(rng, n_qubits, size=4)`: Pauli sums in several bases, each with an identity term."""

    def random_string(rng: np.random.Generator, n_qubits: int) -> PauliString:
        qubits = rng.permutation(n_qubits)[: rng.integers(1, n_qubits + 1)]
        return PauliString({int(qubit): "XYZ"[rng.integers(3)] for qubit in qubits}, rng.normal())

    def build(rng: np.random.Generator, n_qubits: int, size: int = 4) -> tuple[PauliSum, ...]:
        constants = [PauliString("I", rng.normal()) for _ in range(size)]
        return tuple(PauliSum([constant, *(random_string(rng, n_qubits) for _ in range(3))]) for constant in constants)

    return build


@pytest.fixture(scope="session")
def execute() -> Callable[..., BatchResult]:
    """`execute(backend, batch)`: compile and run."""

    def run(backend: LocalBackend, batch: CircuitBatch) -> BatchResult:
        return asyncio.run(backend.execute(batch, backend.compile(batch.structure, batch.groups)))

    return run
