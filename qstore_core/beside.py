"""What a trainer runs beside its runs: evaluations and gradients of models that it has not trained."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

_ONE_THREAD = threading.Lock()  # evaluations may come from several threads, and share one executor
_log = logging.getLogger("qstore")


class Beside:
    """One account for all of it, and where jobs may cost money the journal of the run directory.

    A run that begins takes over what was spent: by the journal where there is one, else as `unrecorded` says.

    Attributes:
        training: The run that goes on, if one does.
    """

    def __init__(self) -> None:
        self.training: list[str] = []
        self._made: RunDirectory | None = None
        self._executor: Executor | None = None
        self._loaded = Cost()
        self._locks: dict[Path, FileLock] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_locks": {}}  # a copy of a trainer has locks of its own

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
    def locked(self, directory: RunDirectory | None, begin: Callable[[bool], object] = bool) -> Iterator[None]:
        """Keep others from writing there, while several things of this trainer may.

        Args:
            directory: Where; None: nowhere.
            begin: Called with whether this is the first of them, before the next may follow.
        """
        if directory is None:
            yield
            return
        lock = self._locks.setdefault(directory.path.resolve(), directory.lock())
        with ExitStack() as held:
            with _ONE_THREAD:
                first = not lock.is_locked
                held.enter_context(directory.locked(lock))
                begin(first)
            try:
                yield
            finally:
                with _ONE_THREAD:
                    held.close()

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
            with _ONE_THREAD:
                executor = self._local(around)
            yield executor
            return
        directory = self.directory(around)
        assert directory is not None
        used: list[Executor] = []

        def begin(first: bool) -> None:
            used.append(self._remote(around, directory))
            _catch_up(used[0], first)

        with self.locked(directory, begin):
            yield used[0]

    @contextmanager
    def executor_of(self, run: Run) -> Iterator[Executor]:
        """The executor of a run, while nobody else writes to its directory."""
        directory = run.directory if run.executor.is_remote else None
        with self.locked(directory, partial(_catch_up, run.executor)):
            yield run.executor

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


def _catch_up(executor: Executor, first: bool) -> None:
    """Where nothing else of this trainer is at work, take over what the journal has, whoever paid it."""
    if first and executor.journal is not None:
        executor.account.spent = executor.journal.total()


def _spent_before(config: TrainingConfig) -> Cost:
    if config.budget is None or config.directory is None:
        return Cost()
    directory = RunDirectory(config.directory)
    return directory.load().spent if directory.holds_run else Cost()
