"""What a trainer runs beside its runs: evaluations and gradients of models that it has not trained."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from qstore_core.backend import RemoteBackend
from qstore_core.config import TrainingConfig
from qstore_core.cost import Cost
from qstore_core.errors import ConfigurationError
from qstore_core.executor import Executor
from qstore_core.run import Run
from qstore_core.run_directory import RunDirectory, fresh_directory
from qstore_core.surroundings import Surroundings

if TYPE_CHECKING:
    from filelock import FileLock

_log = logging.getLogger("qstore")


class Beside:
    """One account for all of it, and where jobs may cost money the journal of the run directory.

    Attributes:
        training: The run that goes on, if one does.

    A run that begins takes over what was spent: by the journal where there is one, else as `unrecorded` says.
    """

    def __init__(self) -> None:
        self.training: list[str] = []
        self._made: RunDirectory | None = None
        self._executor: Executor | None = None
        self._loaded = Cost()
        self._locks: dict[Path, FileLock] = {}

    @property
    def spent(self) -> Cost:
        """What is on the account: in a run directory that of earlier processes too."""
        return Cost() if self._executor is None else self._executor.spent

    @property
    def unrecorded(self) -> Cost:
        """What was spent and is in no journal and no checkpoint: the next run's, once it has begun."""
        executor = self._executor
        return Cost() if executor is None or executor.is_remote else executor.spent - self._loaded

    def directory(self, around: Surroundings) -> RunDirectory | None:
        """Where a run is kept: where the configuration says, else nowhere, unless jobs may cost money."""
        if around.config.directory is not None:
            return RunDirectory(around.config.directory)
        if not isinstance(around.backend, RemoteBackend):
            return None
        if self._made is None or self._made.holds_run:
            self._made = RunDirectory(fresh_directory(Path("runs") / "run"))
            _log.warning("no run_directory was set; jobs may cost money, so the run is kept in %s", self._made.path)
        return self._made

    @contextmanager
    def locked(self, directory: RunDirectory | None) -> Iterator[bool]:
        """Keep others from writing there, while several things of this trainer may; says whether this is the first."""
        if directory is None:
            yield False
            return
        lock = self._locks.setdefault(directory.path.resolve(), directory.lock())
        first = not lock.is_locked
        with directory.locked(lock):
            yield first

    @contextmanager
    def locked_alone(self, directory: RunDirectory | None) -> Iterator[None]:
        """`locked` for a run, which would take jobs that are sent beside it for those of a process that died.

        Raises:
            ConfigurationError: An evaluation of this trainer is going on.
        """
        if any(lock.is_locked for lock in self._locks.values()):
            raise ConfigurationError("an evaluation of this trainer is going on; await it before training")
        with self.locked(directory):
            yield

    @contextmanager
    def executor(self, around: Surroundings) -> Iterator[Executor]:
        """The executor, while nobody else writes to the run directory."""
        if not isinstance(around.backend, RemoteBackend):
            yield self._local(around)
            return
        directory = self.directory(around)
        assert directory is not None
        with self.locked(directory) as first:
            yield _caught_up(self._remote(around, directory)) if first else self._remote(around, directory)

    @contextmanager
    def executor_of(self, run: Run) -> Iterator[Executor]:
        """The executor of a run, while nobody else writes to its directory."""
        with self.locked(run.directory if run.executor.is_remote else None) as first:
            yield _caught_up(run.executor) if first else run.executor

    def begun(self) -> None:
        """A run has taken over what was spent."""
        self._executor, self._loaded = None, Cost()

    def _local(self, around: Surroundings) -> Executor:
        if self._executor is None:
            self._loaded = _spent_before(around.config)
        if self._executor is None or self._executor.backend is not around.backend:
            self._executor = around.executor(spent=self.spent if self._executor else self._loaded)
        return self._executor

    def _remote(self, around: Surroundings, directory: RunDirectory) -> Executor:
        from qstore_core.journal import Journal  # here, because runs on simulators have none

        journal = None if self._executor is None else self._executor.journal
        if journal is None or journal.path != directory.journal_path:
            journal = Journal(directory.journal_path)
            self._executor = None
        if self._executor is None or self._executor.backend is not around.backend:
            self._executor = around.executor(spent=journal.total(), journal=journal)
        return self._executor


def _caught_up(executor: Executor) -> Executor:
    """The executor, with all that its journal has on its account, whoever paid it."""
    if executor.journal is not None:
        executor.account.spent = executor.journal.total()
    return executor


def _spent_before(config: TrainingConfig) -> Cost:
    if config.budget is None or config.directory is None:
        return Cost()
    directory = RunDirectory(config.directory)
    return directory.load().spent if directory.holds_run else Cost()
