"""Checkpoints: everything a run needs to go on, in one .npz file that is written whole or not at all."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qstore_core.arrays import FloatArray
from qstore_core.cost import Cost
from qstore_core.errors import CheckpointError, RunDirectoryError

FORMAT = "qstore-checkpoint-1"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Checkpoint:
    """The state of a run between two steps.

    Attributes:
        model: The fingerprint of the model it belongs to.
        settings: What decided the run, by name: it goes on only with the same.
        parameters: The circuit's parameters.
        loss_parameters: The loss's own.
        optimizer: State of the optimiser of the circuit's parameters.
        loss_optimizer: State of the optimiser of the loss's.
        estimator: State of the gradient estimator.
        seed: The run's seed.
        step: Steps done.
        epoch: Epochs done.
        samples_done: Samples used of the epoch that was begun.
        spent: What the run has cost so far.
        scaler: The arrays of the model's feature scaler, or nothing.
        average: The average of the iterates, where one is kept; see `qstore_core.averaging`.
        warm_started: Whether the parameters come from a warm start, or from steps after it.
    """

    model: str
    settings: Mapping[str, Any]
    parameters: FloatArray
    loss_parameters: FloatArray
    optimizer: Mapping[str, Any]
    loss_optimizer: Mapping[str, Any]
    estimator: Any
    seed: int
    step: int
    epoch: int
    samples_done: int
    spent: Cost
    scaler: Mapping[str, FloatArray] = field(default_factory=dict)
    average: Mapping[str, Any] = field(default_factory=dict)
    warm_started: bool = False

    @property
    def averaged_parameters(self) -> FloatArray:
        """What the model holds: the average of the iterates where one is kept, else the last iterate."""
        averaged: FloatArray = self.average.get("parameters", self.parameters)
        return averaged

    @property
    def averaged_loss_parameters(self) -> FloatArray:
        """The same of the loss's own parameters."""
        averaged: FloatArray = self.average.get("loss_parameters", self.loss_parameters)
        return averaged


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint: to a temporary file, then in one move, so that a crash leaves the old one or the new one.

    Raises:
        RunDirectoryError: The place cannot be written.
        CheckpointError: A state holds something that a checkpoint does not store.
    """
    arrays: dict[str, NDArray[Any]] = {}
    values = {entry.name: getattr(checkpoint, entry.name) for entry in fields(checkpoint)}
    document = _flatten({**values, "spent": asdict(checkpoint.spent)}, arrays)
    buffer = io.BytesIO()
    header = json.dumps({"format": FORMAT, "checkpoint": document}, allow_nan=False)
    np.savez(buffer, header=np.frombuffer(header.encode(), dtype=np.uint8), **arrays)  # type: ignore[arg-type]
    write_atomically(path, buffer.getvalue())


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        CheckpointError: There is none, or it is damaged; nothing is changed.
    """
    import zipfile  # here, because most programs read no checkpoint

    try:
        # from memory: of a file that is no archive, np.load would leave the handle open
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        document = json.loads(arrays.pop("header").tobytes())
        if document["format"] != FORMAT:
            raise CheckpointError(f"{path} is a checkpoint of another version: {document['format']!r}, not {FORMAT!r}")
        values = _unflatten(document["checkpoint"], arrays)
        return Checkpoint(**{**values, "spent": Cost(**values["spent"])})
    except CheckpointError:
        raise
    except FileNotFoundError:
        raise CheckpointError(f"there is no checkpoint at {path}") from None
    except OSError as error:
        raise CheckpointError(f"cannot read the checkpoint {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"the checkpoint {path} is damaged ({type(error).__name__}: {error}); remove it to start afresh"
        ) from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a crash at any instant leaves the old content or the new, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        _sync_directory(path.parent)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if not isinstance(error, OSError):
            raise
        raise RunDirectoryError(f"cannot write {path}: {error.strerror or error}") from error


def _sync_directory(directory: Path) -> None:
    if os.name != "posix":
        return  # elsewhere a directory cannot be opened, and the rename is durable by itself
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _flatten(value: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    """`value` as JSON, its arrays moved into `arrays` and referred to by name."""
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:  # objects would be pickled
        name = f"array_{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {"dict": {key: _flatten(entry, arrays) for key, entry in value.items()}}
    if isinstance(value, list | tuple):
        return {"list": [_flatten(entry, arrays) for entry in value]}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise CheckpointError(
        "a checkpoint stores numbers, strings, arrays of them, lists, and dicts with strings as keys, not "
        f"{type(value).__name__}: {value!r:.80}"
    )


def _unflatten(value: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "array":
        return arrays[content]
    if kind == "float":
        return float(content)
    if kind == "list":
        return [_unflatten(entry, arrays) for entry in content]
    return {key: _unflatten(entry, arrays) for key, entry in content.items()}
