"""What differs from Q-Store, told once: changed meanings as warnings, names that are gone as errors."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from types import MappingProxyType

from qstore_core import QStoreError

_told: set[str] = set()


class QStoreCompatWarning(UserWarning):
    """A name of Q-Store means something else here than it did; the message says what and why."""


class RemovedNameError(QStoreError, ImportError):
    """A name of Q-Store that is not here; the message says why and what to use."""


def changed(name: str, message: str, *, stacklevel: int = 3) -> None:
    """Warn, the first time in this process, that `name` no longer means what it did.

    Args:
        name: What changed.
        message: What it means now, and why.
        stacklevel: Whose line the warning points at; 3 is the caller of the function that calls this.

    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     for _ in range(2):
    ...         changed("an example", "is told once")
    >>> [str(warning.message) for warning in caught]
    ['an example: is told once']
    """
    if name in _told:
        return
    _told.add(name)
    warnings.warn(f"{name}: {message}", QStoreCompatWarning, stacklevel=stacklevel)


def forget() -> None:
    """Let every change be told again."""
    _told.clear()


_DATABASE = "it belonged to the database, which is not here: q_store has backends and training"
_IONQ = "use BackendManager().initialize(sdk='ionq', api_key=...) with the plugin qstore-ionq"
REMOVED: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                "ConnectionPool",
                "DatabaseConfig",
                "EntanglementRegistry",
                "Metrics",
                "MockPineconeIndex",
                "QuantumDatabase",
                "QuantumState",
                "QueryMode",
                "QueryResult",
                "StateManager",
                "StateStatus",
                "TunnelingEngine",
            ),
            _DATABASE,
        ),
        **dict.fromkeys(("CirqIonQBackend", "IonQQuantumBackend", "QiskitIonQBackend"), _IONQ),
        "HardwareEfficientLayerConfig": "HardwareEfficientQuantumLayer.get_config() gives a LayerConfig",
    }
)
"""The names of Q-Store v3.2 and v3.3 that are not here, and what to do without them."""


def missing(module: str, name: str) -> ImportError | AttributeError:
    """What to raise for a name that a module does not have.

    >>> print(missing("q_store", "QuantumDatabase"))
    q_store has no QuantumDatabase: it belonged to the database, which is not here: q_store has backends and training
    """
    if name in REMOVED:
        return RemovedNameError(f"{module} has no {name}: {REMOVED[name]}")
    return AttributeError(f"module {module!r} has no attribute {name!r}")
