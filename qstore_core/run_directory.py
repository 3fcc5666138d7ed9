"""What a run leaves on disk: config.json, metrics.jsonl and checkpoint.npz in one directory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from qstore_core.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, write_atomically
from qstore_core.errors import RunDirectoryError


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

    def drop_metrics_after(self, step: int) -> None:
        """Remove what was written after a checkpoint's step: those steps will be done again."""
        if not self.metrics_path.exists():
            return
        kept = []
        for line in self.metrics_path.read_text(encoding="utf-8").splitlines():
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                continue  # the line that was being written when the process died
            if record["step"] <= step:
                kept.append(line + "\n")
        write_atomically(self.metrics_path, "".join(kept).encode())
