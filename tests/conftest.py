"""What several test modules start from, and circuits in Cirq and Qiskit, gate by gate with their own gate classes.

Bit order: qstore and Cirq read qubit 0 as the most significant bit. Qiskit reads it as the least significant one, so
its states and matrices come back through `reverse_qargs`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import fake_backends
import numpy as np
import pytest

from qstore_core.backend import LocalBackend
from qstore_core.circuit import QuantumCircuit
from qstore_core.observables import PauliString, PauliSum
from qstore_core.sqlite_cache import SqliteCache

if TYPE_CHECKING:
    import cirq
    import qiskit
    from faulty_provider import Provider
    from plugins_in_memory import Installed


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


@pytest.fixture
def mock() -> LocalBackend:
    """The exact simulator."""
    return fake_backends.mock()


@pytest.fixture(scope="session")
def reducible(
    random_circuit: Callable[..., QuantumCircuit], random_observables: Callable[..., tuple[PauliSum, ...]]
) -> list[tuple[QuantumCircuit, tuple[PauliSum, ...]]]:
    """300 circuits of all gates on 1 to 6 qubits; a third reads one short Pauli string, so much drops out."""
    rng = np.random.default_rng(41)
    made = []
    for index in range(300):
        n_qubits = int(rng.integers(1, 7))
        circuit = random_circuit(rng, n_qubits, length=int(rng.integers(1, 40)))
        if index % 3:
            observables = random_observables(rng, n_qubits, size=int(rng.integers(1, 4)))
        else:
            word = {int(qubit): "XYZ"[rng.integers(3)] for qubit in rng.permutation(n_qubits)[:2]}
            observables = (PauliSum.of(PauliString(word, rng.normal())),)
        made.append((circuit, observables))
    return made
