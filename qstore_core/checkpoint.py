"""Checkpoints: everything a run needs to go on, in one .npz file that is written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from qstore_core.archive import Archive
from qstore_core.arrays import FloatArray
from qstore_core.cost import Cost
from qstore_core.errors import CheckpointError

_FILES = Archive("checkpoint", "qstore-checkpoint-1", CheckpointError, "remove it to start afresh")


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
    values = {entry.name: getattr(checkpoint, entry.name) for entry in fields(checkpoint)}
    _FILES.write(path, {**values, "spent": asdict(checkpoint.spent)})


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        CheckpointError: There is none, or it is damaged; nothing is changed.
    """
    return _FILES.read(path, lambda values: Checkpoint(**{**values, "spent": Cost(**values["spent"])}))
