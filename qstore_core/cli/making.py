"""Backends for commands: one that fails to be made is an error in one line."""

from __future__ import annotations

from collections.abc import Iterable
from inspect import signature
from typing import Any

from qstore_core.backend import Backend
from qstore_core.errors import PluginLoadError, QStoreError
from qstore_core.loading import located
from qstore_core.registry import default_registry, get_backend


def make_backend(name: str, options: Iterable[tuple[str, Any]] = (), *, keyless: bool = False) -> Backend:
    """`get_backend` with the options of a command line, where an error inside the backend's class names its place.

    With `keyless`, a backend that has an option of this name is made without credentials: for prices alone.

    >>> make_backend("mock", [("memory_bytes", 2**20)]).capabilities.exact
    True
    """
    chosen = dict(options)
    try:
        if keyless and "keyless" in signature(default_registry().resolve("backend", name)).parameters:
            chosen = {"keyless": True, **chosen}
        return get_backend(name, **chosen)
    except QStoreError:
        raise
    except Exception as error:
        raise PluginLoadError(f"backend {name!r} cannot be made: {located(error)}") from error
