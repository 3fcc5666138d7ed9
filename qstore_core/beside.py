"""What a trainer runs beside its runs: evaluations and gradients of models that it has not trained."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qstore_core.backend import RemoteBackend
from qstore_core.config import TrainingConfig
from qstore_core.cost import Cost
from qstore_core.executor import Executor
from qstore_core.run_directory import RunDirectory, fresh_directory
from qstore_core.surroundings import Surroundings

_log = logging.getLogger("qstore")


class Beside:
    """One account for all of it, and where jobs may cost money the journal of the run directory.

    A run that begins takes over what was spent: by the journal where there is one, else by `hand_over`.
    """

    def __init__(self) -> None:
        self._made: RunDirectory | None = None
        self._executor: Executor | None = None

    @property
    def spent(self) -> Cost:
        """What is on the account: in a run directory that of earlier processes too."""
        return Cost() if self._executor is None else self._executor.spent

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
    def executor(self, around: Surroundings) -> Iterator[Executor]:
        """The executor, while nobody else writes to the run directory."""
        if not isinstance(around.backend, RemoteBackend):
            yield self._local(around)
            return
        directory = self.directory(around)
        assert directory is not None
        with directory.locked():
            yield self._remote(around, directory)

    def hand_over(self) -> Cost:
        """What was spent and is in no journal; it is the run's from now on."""
        executor, self._executor = self._executor, None
        return Cost() if executor is None or executor.is_remote else executor.spent

    def _local(self, around: Surroundings) -> Executor:
        if self._executor is None or self._executor.backend is not around.backend:
            self._executor = around.executor(spent=self._spent_before(around.config))
        return self._executor

    def _spent_before(self, config: TrainingConfig) -> Cost:
        if self._executor is not None:
            return self._executor.spent
        if config.budget is None or config.directory is None:
            return Cost()
        directory = RunDirectory(config.directory)
        return directory.load().spent if directory.holds_run else Cost()

    def _remote(self, around: Surroundings, directory: RunDirectory) -> Executor:
        from qstore_core.journal import Journal  # here, because runs on simulators have none

        journal = None if self._executor is None else self._executor.journal
        if journal is None or journal.path != directory.journal_path:
            journal = Journal(directory.journal_path)
            self._executor = None
        if self._executor is None or self._executor.backend is not around.backend:
            self._executor = around.executor(spent=journal.total(), journal=journal)
        return self._executor
