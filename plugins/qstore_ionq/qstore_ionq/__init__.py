"""The plugin `ionq`: trapped-ion hardware and the simulators of IonQ."""

from __future__ import annotations

from qstore_core import hookimpl
from qstore_core.hookspecs import Register


@hookimpl
def register_backends(register: Register) -> None:
    """Register the targets; what talks to IonQ is imported when one is first asked for."""
    path = "qstore_ionq.backend:IonQBackend"
    register("ionq", path, summary="IonQ, the target given as an option (not built yet)")
    register("ionq.simulator", path, summary="IonQ's cloud simulator (not built yet)")
    register("ionq.qpu", path, summary="IonQ's trapped-ion hardware (not built yet)")
