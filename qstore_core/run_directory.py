"""What a run leaves on disk: config.json, metrics.jsonl and checkpoint.npz in one directory."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qstore_core.archive import write_atomically
from qstore_core.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from qstore_core.errors import RunDirectoryError

if TYPE_CHECKING:
    from filelock import FileLock


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """One run's files.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     RunDirectory(Path(place)).holds_run
    False
    """

    path: Path

    @property
    def checkpoint_path(self) -> Path:
        """Where the checkpoint lies."""
        return self.path / "checkpoint.npz"

    @property
    def metrics_path(self) -> Path:
        """Where the metrics lie, a JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def holds_run(self) -> bool:
        """Whether there is a checkpoint to go on from."""
        return self.checkpoint_path.exists()

    @property
    def journal_path(self) -> Path:
        """Where the journal of remote jobs lies."""
        return self.path / "journal.sqlite"

    def lock(self) -> FileLock:
        """A lock on the directory, which whoever has it may take several times, from any thread."""
        from filelock import FileLock  # here, because a run that is not kept needs no lock

        return FileLock(self.path / "run.lock", timeout=0, thread_local=False)

    @contextmanager
    def locked(self, lock: FileLock | None = None) -> Iterator[None]:
        """Keep other processes, and other trainers of this one, from writing here at the same time.

        Args:
            lock: What `lock` gave, for several who may; None: another one.

        Raises:
            RunDirectoryError: Another one is writing here, or the directory cannot be written.
        """
        from filelock import Timeout

        lock = self.lock() if lock is None else lock
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise RunDirectoryError(f"another process is writing to the run in {self.path}; wait for it") from None
        except OSError as error:
            raise RunDirectoryError(f"cannot write to {self.path}: {error.strerror or error}") from error
        try:  # apart from the above: an OSError of the caller's own is the caller's
            yield
        finally:
            lock.release()

    def epochs(self) -> list[dict[str, Any]]:
        """The records of the epochs that metrics.jsonl holds."""
        return [record for record in self._records() if record["kind"] == "epoch"]

    def steps(self, epoch: int | None = None) -> list[dict[str, Any]]:
        """The records of the steps that metrics.jsonl holds, of one epoch or of all."""
        steps = [record for record in self._records() if record["kind"] == "step"]
        return [record for record in steps if epoch in (None, record["epoch"])]

    def warm_start(self) -> dict[str, Any] | None:
        """The record of where the run began, if it was to begin elsewhere than at the initial parameters."""
        return next((record for record in self._records() if record["kind"] == "warm_start"), None)

    def tests(self) -> list[dict[str, Any]]:
        """The records of the tests of the trained model that metrics.jsonl holds."""
        return [record for record in self._records() if record["kind"] == "test"]

    def record_test(self, record: Mapping[str, Any]) -> bool:
        """Add the record of a test, unless that model was tested before; says whether it did."""
        is_new = record["step"] not in [test["step"] for test in self.tests()]
        if is_new:
            self.append_metrics({"kind": "test", **record})
        return is_new

    def create(self, config: Mapping[str, Any]) -> None:
        """Make the directory and write config.json.

        Raises:
            RunDirectoryError: It cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunDirectoryError(f"cannot make the run directory {self.path}: {error.strerror or error}") from error
        write_atomically(self.path / "config.json", json.dumps(config, indent=1, default=str).encode())

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint."""
        save_checkpoint(checkpoint, self.checkpoint_path)

    def load(self) -> Checkpoint:
        """The checkpoint."""
        return load_checkpoint(self.checkpoint_path)

    def append_metrics(self, record: Mapping[str, Any]) -> None:
        """Add a line to metrics.jsonl; a number that is not finite becomes null."""
        clean = {
            key: None if isinstance(value, float) and not isfinite(value) else value for key, value in record.items()
        }
        try:
            with self.metrics_path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(clean, allow_nan=False) + "\n")
        except OSError as error:
            raise RunDirectoryError(f"cannot write {self.metrics_path}: {error.strerror or error}") from error

    def drop_metrics_after(self, step: int, epoch: int) -> None:
        """Remove the lines of later steps and epochs than a checkpoint's: they will be done again."""
        if not self.metrics_path.exists():
            return
        kept = [
            json.dumps(record) + "\n"
            for record in self._records()
            if record["step"] <= step and (record["kind"] != "epoch" or record["epoch"] <= epoch)
        ]
        write_atomically(self.metrics_path, "".join(kept).encode())

    def _records(self) -> Iterator[dict[str, Any]]:
        """What metrics.jsonl holds, but for a line that was being written when the process died."""
        if not self.metrics_path.exists():
            return
        for line in self.metrics_path.read_text(encoding="utf-8").splitlines():
            with suppress(json.JSONDecodeError):
                yield json.loads(line)


def fresh_directory(base: Path) -> Path:
    """A directory that nobody else has: named by the time, made by the one who asks first."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for number in range(1000):
        directory = base.with_name(f"{base.name}-{stamp}{f'-{number}' if number else ''}")
        try:
            directory.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise RunDirectoryError(f"cannot make the run directory {directory}: {error.strerror or error}") from error
        return directory
    raise RunDirectoryError(f"cannot find a free name for a run directory like {base}-{stamp}")
