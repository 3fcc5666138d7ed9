"""The plugin `aer`: the simulators of Qiskit Aer, and circuits from and to Qiskit."""

from __future__ import annotations

from qstore_core import hookimpl
from qstore_core.hookspecs import Register


@hookimpl
def register_backends(register: Register) -> None:
    """Register the simulators; what runs them is imported when one is first asked for."""
    register("aer", "qstore_aer.backend:AerBackend", summary="Qiskit Aer: exact and sampled, CPU or GPU")
    register("aer.noisy", "qstore_aer.noisy:NoisyAerBackend", summary="Qiskit Aer with the noise of a device")
