"""The plugin `postbox`: jobs, prices and everything else that a remote backend has, at a provider that is a folder."""

from qstore_core import hookimpl


@hookimpl
def register_backends(register):
    """Register the backend; it is imported when it is first asked for."""
    register("postbox", "qstore_postbox.backend:PostboxBackend", summary="A provider of paid jobs that is a folder")
