"""What a run leaves in its directory, as values that tests compare."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from qstore_core.checkpoint import Checkpoint, load_checkpoint


def state_of(directory: Path) -> dict[str, Any]:
    """A checkpoint as values that `==` compares to the last bit."""
    checkpoint = load_checkpoint(directory / "checkpoint.npz")
    return {each.name: _plain(getattr(checkpoint, each.name)) for each in fields(Checkpoint)}


def state_without_cost(directory: Path) -> dict[str, Any]:
    """The same without what it cost, which a run that was cut short pays in part twice."""
    return {name: value for name, value in state_of(directory).items() if name != "spent"}


def lines(directory: Path, kind: str) -> list[dict[str, Any]]:
    """The lines of a kind in its metrics."""
    records = map(json.loads, (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [record for record in records if record["kind"] == kind]


def steps_of(directory: Path) -> list[dict[str, Any]]:
    return lines(directory, "step")


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    return {key: _plain(entry) for key, entry in value.items()} if isinstance(value, dict) else value
