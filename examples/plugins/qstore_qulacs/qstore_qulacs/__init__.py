"""The plugin `qulacs`: the simulator of that name."""

from qstore_core import hookimpl


@hookimpl
def register_backends(register):
    """Register the simulator; Qulacs is imported when it is first asked for."""
    register("qulacs", "qstore_qulacs.backend:QulacsBackend", summary="Qulacs: exact and sampled, on the CPU")
