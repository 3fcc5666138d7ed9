"""The plugin `aer`: the simulators of Qiskit Aer, and circuits from and to Qiskit."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from qstore_core import hookimpl
from qstore_core.hookspecs import Register

if TYPE_CHECKING:
    from qstore_aer.ansatz import QiskitAnsatz
    from qstore_aer.interop import from_qasm3, from_qiskit, to_qiskit

__all__ = ["QiskitAnsatz", "from_qasm3", "from_qiskit", "to_qiskit"]


@hookimpl
def register_backends(register: Register) -> None:
    """Register the simulators; what runs them is imported when one is first asked for."""
    register("aer", "qstore_aer.backend:AerBackend", summary="Qiskit Aer: exact and sampled, CPU or GPU")
    register("aer.noisy", "qstore_aer.noisy:NoisyAerBackend", summary="Qiskit Aer with the noise of a device")


@hookimpl
def register_ansatze(register: Register) -> None:
    """Register what takes Qiskit's circuits: models look for a name that ends in the package of what they are given."""
    register("aer.qiskit", "qstore_aer.ansatz:QiskitAnsatz", summary="A qiskit.QuantumCircuit, given as ansatz=circuit")


def __getattr__(name: str) -> Any:
    """The functions for circuits, imported when first used: listing backends imports no Qiskit."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("qstore_aer.ansatz" if name == "QiskitAnsatz" else "qstore_aer.interop"), name)
