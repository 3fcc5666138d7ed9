"""Every error that qstore raises on purpose, in one tree.

Catch `QStoreError` to catch them all; where an error is also one of Python's own kinds it inherits from that too, so
`except ValueError` keeps working.

    QStoreError
    ├── ConfigurationError (ValueError)     a setting or argument is not permitted
    │   └── UnknownNameError (LookupError)  a name that nothing answers to; lists what does
    ├── CircuitError (ValueError)           a circuit, angle or observable that cannot be
    ├── DataError (ValueError)              training data that cannot be used
    ├── PluginError (RuntimeError)          a plugin that cannot be used
    │   ├── PluginLoadError                 it failed to import, or misuses a hook
    │   ├── PluginCollisionError            two owners for one name
    │   └── PluginVersionError              it asks for another version of the core
    ├── BackendError (RuntimeError)         a backend failed to run a batch
    │   └── CapabilityError                 it was asked for what it cannot do; nothing ran
    └── RunDirectoryError (RuntimeError)    a run directory that cannot be written or read
        └── CheckpointError                 a checkpoint that is damaged or belongs to another model
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class QStoreError(Exception):
    """The root of every error that qstore raises on purpose."""


class ConfigurationError(QStoreError, ValueError):
    """A setting or argument has a value that is not permitted."""


class UnknownNameError(ConfigurationError, LookupError):
    """A name was asked for that nothing answers to."""

    @classmethod
    def of(cls, kind: str, name: object, known: Iterable[str], *, advice: str = "") -> UnknownNameError:
        """The error for an unknown `name`, with the nearest known one suggested and all of them listed.

        >>> print(UnknownNameError.of("optimizer", "adm", ["adam", "sgd"]))
        unknown optimizer 'adm'; did you mean 'adam'? Known: adam, sgd
        """
        names = sorted(known)
        nearest = difflib.get_close_matches(str(name), names, n=1)
        guess = f" did you mean {nearest[0]!r}?" if nearest else ""
        listing = f" Known: {', '.join(names)}" if names else " None are installed"
        return cls(f"unknown {kind} {name!r};{guess}{listing}{'. ' + advice if advice else ''}")


class CircuitError(QStoreError, ValueError):
    """A circuit, angle, batch or observable that cannot be."""


class DataError(QStoreError, ValueError):
    """Training data that cannot be used as it is."""


class PluginError(QStoreError, RuntimeError):
    """A plugin that cannot be used."""


class PluginLoadError(PluginError):
    """A plugin failed to import, or misuses a hook."""


class PluginCollisionError(PluginError):
    """Two plugins claim one name; neither gets it."""


class PluginVersionError(PluginError):
    """A plugin asks for a version of the core that is not the one installed."""


class BackendError(QStoreError, RuntimeError):
    """A backend failed to run a batch."""


class CapabilityError(BackendError):
    """A backend was asked for something it cannot do; nothing ran."""


class RunDirectoryError(QStoreError, RuntimeError):
    """A run directory cannot be written or read."""


class CheckpointError(RunDirectoryError):
    """A checkpoint is damaged, or belongs to another model or configuration."""
