"""The plugin `tiny`: the shortest backend there is."""

from qstore_core import hookimpl


@hookimpl
def register_backends(register):
    """Register the simulator; it is imported when it is first asked for."""
    register("tiny", "qstore_tiny.backend:TinyBackend", summary="Eight qubits in NumPy")
