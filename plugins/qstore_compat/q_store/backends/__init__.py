"""Backends and circuits by their names in Q-Store v3.2 and v3.3."""

from __future__ import annotations

from typing import Any

from q_store.backends.backend_manager import (
    BackendManager,
    MockQuantumBackend,
    create_default_backend_manager,
    setup_ionq_backends,
)
from q_store.backends.bridge import CoreBackend, core_backend
from q_store.backends.quantum_backend_interface import (
    BackendCapabilities,
    BackendType,
    CircuitBuilder,
    ExecutionResult,
    GateType,
    QuantumBackend,
    QuantumCircuit,
    QuantumGate,
    amplitude_encode_to_circuit,
    create_bell_state_circuit,
    create_ghz_state_circuit,
)
from q_store.changes import missing

__all__ = [
    "BackendCapabilities",
    "BackendManager",
    "BackendType",
    "CircuitBuilder",
    "CoreBackend",
    "ExecutionResult",
    "GateType",
    "MockQuantumBackend",
    "QuantumBackend",
    "QuantumCircuit",
    "QuantumGate",
    "amplitude_encode_to_circuit",
    "core_backend",
    "create_bell_state_circuit",
    "create_default_backend_manager",
    "create_ghz_state_circuit",
    "setup_ionq_backends",
]


def __getattr__(name: str) -> Any:
    raise missing("q_store.backends", name)
