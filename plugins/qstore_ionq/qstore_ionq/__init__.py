"""The plugin `ionq`: trapped-ion hardware and the simulators of IonQ."""

from __future__ import annotations

from qstore_core import hookimpl
from qstore_core.hookspecs import Register


@hookimpl
def register_backends(register: Register) -> None:
    """Register the targets; what talks to IonQ is imported when one is first asked for."""
    simulator = "qstore_ionq.simulator:IonQSimulator"
    register("ionq", simulator, summary="The same as ionq.simulator")
    register("ionq.simulator", simulator, summary="IonQ's cloud simulator: exact, or with the noise of a machine")
    register("ionq.qpu", "qstore_ionq.qpu:IonQQPU", summary="IonQ's trapped-ion hardware, which costs money")
