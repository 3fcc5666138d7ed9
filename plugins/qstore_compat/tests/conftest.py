"""What the tests compare with: a count of what really runs, and statevectors by Kronecker products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from q_store.backends import BackendManager, GateType, MockQuantumBackend, QuantumCircuit, QuantumGate
from qstore_mock.backend import MockBackend

X, Y, Z = np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1])
FIXED = {
    GateType.HADAMARD: (X + Z) / np.sqrt(2),
    GateType.PAULI_X: X,
    GateType.PAULI_Y: Y,
    GateType.PAULI_Z: Z,
    GateType.S: np.diag([1, 1j]),
    GateType.T: np.diag([1, np.exp(0.25j * np.pi)]),
}
PAULIS = {GateType.RX: X, GateType.RY: Y, GateType.RZ: Z}
CONTROLLED = {GateType.CNOT: X, GateType.CZ: Z, GateType.TOFFOLI: X}


def _small(gate: QuantumGate) -> np.ndarray:
    """The matrix of a gate on its target."""
    if gate.gate_type in PAULIS:
        half = gate.parameters["angle"] / 2
        return np.cos(half) * np.eye(2) - 1j * np.sin(half) * PAULIS[gate.gate_type]
    if gate.gate_type is GateType.PHASE:
        return np.diag([1, np.exp(1j * gate.parameters["angle"])])
    return CONTROLLED.get(gate.gate_type, FIXED.get(gate.gate_type))


def _on(n_qubits: int, matrices: dict[int, np.ndarray]) -> np.ndarray:
    """The product of matrices on single qubits, qubit 0 leftmost."""
    whole = np.eye(1)
    for qubit in range(n_qubits):
        whole = np.kron(whole, matrices.get(qubit, np.eye(2)))
    return whole


def _state(circuit: QuantumCircuit) -> np.ndarray:
    """The amplitudes of a circuit without SWAP."""
    n, psi = circuit.n_qubits, np.eye(2**circuit.n_qubits)[0].astype(complex)
    for gate in circuit.gates:
        if gate.gate_type is GateType.MEASURE:
            continue
        *controls, target = gate.qubits
        held = _on(n, dict.fromkeys(controls, np.diag([0, 1])))
        psi = (np.eye(2**n) - held) @ psi + held @ _on(n, {target: _small(gate)}) @ psi
    return psi


@pytest.fixture(scope="session")
def state_of() -> Callable[[QuantumCircuit], np.ndarray]:
    """`state_of(circuit)`: its amplitudes, slowly and without qstore's simulator."""
    return _state


@pytest.fixture(scope="session")
def probabilities_of() -> Callable[[QuantumCircuit], dict[str, float]]:
    """`probabilities_of(circuit)`: of every outcome of the whole register that has any."""

    def read(circuit: QuantumCircuit) -> dict[str, float]:
        values = np.abs(_state(circuit)) ** 2
        return {format(index, f"0{circuit.n_qubits}b"): float(p) for index, p in enumerate(values) if p > 1e-12}

    return read


@dataclass
class Ran:
    """What the simulator was asked to do."""

    circuits: int = 0
    shots: int = 0
    jobs: int = 0
    compiled: list[str] = field(default_factory=list)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Ran:
    """Counts every row that the simulator executes and every structure that it compiles."""
    seen, execute, compile_ = Ran(), MockBackend.execute, MockBackend.compile

    async def counted(self: MockBackend, batch: Any, compiled: Any) -> Any:
        seen.circuits += batch.n_circuits
        seen.shots += batch.n_shots
        seen.jobs += 1
        return await execute(self, batch, compiled)

    def noted(self: MockBackend, structure: Any, groups: Any) -> Any:
        seen.compiled.append(structure.digest)
        return compile_(self, structure, groups)

    monkeypatch.setattr(MockBackend, "execute", counted)
    monkeypatch.setattr(MockBackend, "compile", noted)
    return seen


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(2026)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    np.random.seed(2026)  # noqa: NPY002  what Q-Store's programs do


@pytest.fixture
def manager() -> BackendManager:
    """A manager with a noiseless simulator."""
    made = BackendManager()
    made.register_backend("mock", MockQuantumBackend(max_qubits=12))
    return made
