"""The plugin `mock`: an exact simulator in NumPy, and the plugin to read before writing one."""

from __future__ import annotations

from qstore_core import hookimpl
from qstore_core.hookspecs import Register


@hookimpl
def register_backends(register: Register) -> None:
    """Register the simulator and the simulated provider; each is imported when it is first asked for."""
    register("mock", "qstore_mock.backend:MockBackend", summary="NumPy simulator: exact, sampled and noisy")
    register(
        "mock.remote",
        "qstore_mock.remote.backend:RemoteMockBackend",
        summary="Jobs on a simulated provider of paid hardware, with faults",
    )
