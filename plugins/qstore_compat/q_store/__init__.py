"""The names of Q-Store v3.2 and v3.3 on qstore: circuits really run, and the numbers are those that were measured.

Names are found when they are first asked for, so that `import q_store` stays light. A name that means something else
than it did says so once, as a `QStoreCompatWarning`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from q_store.changes import QStoreCompatWarning, RemovedNameError, missing

__version__ = "0.1.0"
__all__ = ["QStoreCompatWarning", "RemovedNameError", "backends", "ml"]

_PARTS = ("backends", "ml")


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return import_module(f"q_store.{name}")
    for part in _PARTS:
        module = import_module(f"q_store.{part}")
        if name in module.__all__:
            return getattr(module, name)
    raise missing("q_store", name)
