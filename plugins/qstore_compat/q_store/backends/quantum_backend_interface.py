"""Where Q-Store kept its circuits and the interface of backends: the same names as in `q_store.backends`."""

from __future__ import annotations

from q_store.backends.circuit_builder import (
    CircuitBuilder,
    amplitude_encode_to_circuit,
    create_bell_state_circuit,
    create_ghz_state_circuit,
)
from q_store.backends.circuits import GateType, QuantumCircuit, QuantumGate
from q_store.backends.interface import BackendCapabilities, BackendType, ExecutionResult, QuantumBackend

__all__ = [
    "BackendCapabilities",
    "BackendType",
    "CircuitBuilder",
    "ExecutionResult",
    "GateType",
    "QuantumBackend",
    "QuantumCircuit",
    "QuantumGate",
    "amplitude_encode_to_circuit",
    "create_bell_state_circuit",
    "create_ghz_state_circuit",
]
