"""The plugin `aer`: the simulators of Qiskit Aer."""

from __future__ import annotations

from qstore_core import hookimpl
from qstore_core.hookspecs import Register


@hookimpl
def register_backends(register: Register) -> None:
    """Register the simulators; what runs them is imported when one is first asked for."""
    path = "qstore_aer.backend:AerBackend"
    register("aer", path, summary="Qiskit Aer, exact and sampled (not built yet)")
    register("aer.noisy", path, summary="Qiskit Aer with the noise of a device (not built yet)")
