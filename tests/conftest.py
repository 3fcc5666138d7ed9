"""What tests of several modules start from; above all random circuits and observables, also in Cirq and Qiskit.

Cirq and Qiskit get them gate by gate, with their own gate classes.

Bit order: qstore and Cirq read qubit 0 as the most significant bit. Qiskit reads it as the least significant one, so
its states and matrices come back through `reverse_qargs`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from qstore_core.angles import Angle, Symbol
from qstore_core.backend import LocalBackend
from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.circuit import QuantumCircuit
from qstore_core.gates import GATES
from qstore_core.observables import PauliString, PauliSum
from qstore_core.sqlite_cache import SqliteCache

if TYPE_CHECKING:
    import cirq
    import qiskit
    from faulty_provider import Provider
    from plugins_in_memory import Installed


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


@pytest.fixture(scope="session")
def to_cirq() -> Callable[[QuantumCircuit], cirq.Circuit]:
    """The same circuit on `cirq.LineQubit.range(n_qubits)`; its symbols must be bound."""
    import cirq

    gates: dict[str, cirq.Gate] = {
        "x": cirq.X,
        "y": cirq.Y,
        "z": cirq.Z,
        "h": cirq.H,
        "s": cirq.S,
        "sdg": cirq.S**-1,
        "t": cirq.T,
        "tdg": cirq.T**-1,
        "sx": cirq.X**0.5,
        "cnot": cirq.CNOT,
        "cz": cirq.CZ,
        "swap": cirq.SWAP,
        "toffoli": cirq.TOFFOLI,
    }
    families: dict[str, Callable[[float], cirq.Gate]] = {
        "rx": cirq.rx,
        "ry": cirq.ry,
        "rz": cirq.rz,
        "p": lambda angle: cirq.ZPowGate(exponent=angle / np.pi),
        "rxx": lambda angle: cirq.XXPowGate(exponent=angle / np.pi, global_shift=-0.5),
        "ryy": lambda angle: cirq.YYPowGate(exponent=angle / np.pi, global_shift=-0.5),
        "rzz": lambda angle: cirq.ZZPowGate(exponent=angle / np.pi, global_shift=-0.5),
        "crx": lambda angle: cirq.rx(angle).controlled(),
        "cry": lambda angle: cirq.ry(angle).controlled(),
        "crz": lambda angle: cirq.rz(angle).controlled(),
    }

    def translate(circuit: QuantumCircuit) -> cirq.Circuit:
        line = cirq.LineQubit.range(circuit.n_qubits)
        result = cirq.Circuit(cirq.I.on_each(*line))
        for operation in circuit.operations:
            angle = operation.angle
            gate = gates[operation.name] if angle is None else families[operation.name](angle.offset)
            result.append(gate.on(*(line[qubit] for qubit in operation.qubits)))
        return result

    return translate


@pytest.fixture(scope="session")
def to_qiskit() -> Callable[[QuantumCircuit], qiskit.QuantumCircuit]:
    """The same circuit in Qiskit, qubit i on its qubit i; its symbols must be bound."""
    import qiskit
    from qiskit.circuit import library

    gates: dict[str, Any] = {
        "x": library.XGate,
        "y": library.YGate,
        "z": library.ZGate,
        "h": library.HGate,
        "s": library.SGate,
        "sdg": library.SdgGate,
        "t": library.TGate,
        "tdg": library.TdgGate,
        "sx": library.SXGate,
        "cnot": library.CXGate,
        "cz": library.CZGate,
        "swap": library.SwapGate,
        "toffoli": library.CCXGate,
        "rx": library.RXGate,
        "ry": library.RYGate,
        "rz": library.RZGate,
        "p": library.PhaseGate,
        "rxx": library.RXXGate,
        "ryy": library.RYYGate,
        "rzz": library.RZZGate,
        "crx": library.CRXGate,
        "cry": library.CRYGate,
        "crz": library.CRZGate,
    }

    def translate(circuit: QuantumCircuit) -> qiskit.QuantumCircuit:
        result = qiskit.QuantumCircuit(circuit.n_qubits)
        for operation in circuit.operations:
            angles = () if operation.angle is None else (operation.angle.offset,)
            result.append(gates[operation.name](*angles), operation.qubits)
        return result

    return translate


@pytest.fixture
def provider() -> Provider:
    """What a provider in this process keeps, and the faults it is told to make."""
    from faulty_provider import Provider

    return Provider()


@pytest.fixture(autouse=True)
def _every_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QSTORE_PLUGINS", raising=False)


@pytest.fixture
def make_module(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModuleType]:
    """`make_module(name, **members)`: an importable module that holds these."""

    def make(name: str, **members: object) -> ModuleType:
        made = ModuleType(name)
        vars(made).update(members)
        monkeypatch.setitem(sys.modules, name, made)
        return made

    return make


@pytest.fixture
def healthy_plugin(make_module: Callable[..., ModuleType]) -> Installed:
    """A distribution in memory whose plugin registers two backends."""
    from plugins_in_memory import backends, installed

    make_module("qstore_healthy", register_backends=backends("healthy", "healthy.fast"))
    return installed("healthy")


@pytest.fixture
def cache_path(tmp_path: Path) -> Path:
    return tmp_path / "results.sqlite"


@pytest.fixture
def open_cache(cache_path: Path) -> Iterator[Callable[..., SqliteCache]]:
    """`open_cache(**options)`: a cache at `cache_path`, closed at the end."""
    caches: list[SqliteCache] = []

    def build(**options: Any) -> SqliteCache:
        caches.append(SqliteCache(cache_path, **options))
        return caches[-1]

    yield build
    for cache in caches:
        cache.close()
