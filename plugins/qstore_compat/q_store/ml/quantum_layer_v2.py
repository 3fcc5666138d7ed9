"""Where Q-Store v3.3 kept its hardware-efficient layer."""

from __future__ import annotations

from q_store.ml.quantum_layer import HardwareEfficientQuantumLayer

__all__ = ["HardwareEfficientQuantumLayer"]
