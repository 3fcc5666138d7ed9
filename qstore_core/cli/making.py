"""Backends for commands: one that fails to be made is an error in one line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qstore_core.backend import Backend
from qstore_core.errors import PluginLoadError, QStoreError
from qstore_core.loading import located
from qstore_core.registry import get_backend


def make_backend(name: str, options: Iterable[tuple[str, Any]] = ()) -> Backend:
    """`get_backend` with the options of a command line, where an error inside the backend's class names its place.

    >>> make_backend("mock", [("memory_bytes", 2**20)]).capabilities.exact
    True
    """
    try:
        return get_backend(name, **dict(options))
    except QStoreError:
        raise
    except Exception as error:
        raise PluginLoadError(f"backend {name!r} cannot be made: {located(error)}") from error
