"""Every error that qstore raises on purpose, in one tree.

Catch `QStoreError` to catch them all; where an error is also one of Python's own kinds it inherits from that too, so
`except ValueError` keeps working.

    QStoreError
    ├── ConfigurationError (ValueError)     a setting or argument is not permitted
    │   └── UnknownNameError (LookupError)  a name that nothing answers to; lists what does
    │       └── UnknownArgumentError (TypeError)  a keyword argument that is not taken
    ├── CircuitError (ValueError)           a circuit, angle or observable that cannot be
    ├── DataError (ValueError)              training data that cannot be used
    ├── PluginError (RuntimeError)          a plugin that cannot be used
    │   ├── PluginLoadError                 it failed to import, or misuses a hook
    │   ├── PluginCollisionError            two owners for one name
    │   └── PluginVersionError              it asks for another version of the core
    ├── BackendError (RuntimeError)         a backend failed to run a batch
    │   ├── CapabilityError                 it was asked for what it cannot do; nothing ran
    │   ├── TransientError                  a request was not carried out; sending it again is safe
    │   ├── AmbiguousError                  a request had no answer: it may have been carried out or not
    │   ├── JobRejectedError                the provider refused a job; nothing was accepted or charged
    │   └── JobFailedError                  a job ended without results
    ├── BudgetExceededError (RuntimeError)  the next batch could pass the cap; it was not sent
    ├── CacheError (RuntimeError)           a cache file that is not ours, damaged, or of another version
    ├── StoreError (RuntimeError)           a store that refuses, or cannot be used
    │   └── StoreUnavailableError           it cannot be reached now; a run goes on without it
    ├── ModelFileError (RuntimeError)       a model that cannot be stored, or a file of one that cannot be read
    └── RunDirectoryError (RuntimeError)    a run directory that cannot be written or read
        ├── CheckpointError                 a checkpoint that is damaged or belongs to another model
        └── JournalError                    a journal that is damaged or belongs to another run
"""

from __future__ import annotations

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
        import difflib  # here, because few programs meet this error

        near = (difflib.get_close_matches(text, names, n=1) for text in (str(name), str(name).lower()))
        nearest = next(filter(None, near), [])
        guess = f" did you mean {nearest[0]!r}?" if nearest else ""
        listing = f" Known: {', '.join(names)}" if names else " None are installed"
        hint = f". {advice}" if advice else ""
        return cls(f"unknown {kind} {name!r};{guess}{listing}{hint}")


class UnknownArgumentError(UnknownNameError, TypeError):
    """A keyword argument that a function or class does not take."""


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


class TransientError(BackendError):
    """A request was surely not carried out, so sending it again is safe: too many requests, or the service is busy.

    Attributes:
        retry_after: Seconds that the service asks to wait, where it says.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class AmbiguousError(BackendError):
    """A request had no usable answer: it may have been carried out or not. A read may be sent again, a submit not."""


class JobRejectedError(BackendError):
    """The provider refused a job; nothing was accepted or charged, and sending the same again would be refused too."""


class JobFailedError(BackendError):
    """A job ended without results."""


class BudgetExceededError(QStoreError, RuntimeError):
    """The next batch could pass the cap, so it was not sent."""


class CacheError(QStoreError, RuntimeError):
    """A cache file is not ours, is damaged, or is of another version; it was left as it is."""


class StoreError(QStoreError, RuntimeError):
    """A store refused what was asked of it, or cannot be used; what it held is as it was."""


class StoreUnavailableError(StoreError):
    """A store cannot be reached now. What was sent may be sent again: the same entries under the same ids."""


class ModelFileError(QStoreError, RuntimeError):
    """A model cannot be stored, or its file is missing, damaged or of another version."""


class RunDirectoryError(QStoreError, RuntimeError):
    """A run directory cannot be written or read."""


class CheckpointError(RunDirectoryError):
    """A checkpoint is damaged, or belongs to another model or configuration."""


class JournalError(RunDirectoryError):
    """A journal is damaged, or belongs to another run."""
