"""A run as an entry of a store: its parameters, its settings, what it reached and cost, and where its task lies."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qstore_core.arrays import FloatArray
from qstore_core.cost import Cost
from qstore_core.errors import StoreError
from qstore_core.model import QuantumModel
from qstore_core.store import MOST_METADATA, StoreEntry
from qstore_core.task_vector import DIMENSION, FORMAT
from qstore_core.training import Recipe

NAMESPACE = "runs"
"""Where a store keeps runs."""

_NUMBERS = ("final_loss", "val_loss", "val_accuracy", "gradient_norm", "accuracy")
_SPARE = 1000  # bytes for whatever else a store adds


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RunRecord:
    """What a store keeps of a run.

    Attributes:
        id: Its name in the store; a run that is repeated or goes on keeps it.
        task: Where its task lies, `(64,)` float32; see `qstore_core.task_vector`.
        keys: What a run must share with it to start from its parameters.
        features: A digest of the scaler that made its features, or "given".
        state: "finished", or "checkpoint" when it may go on.
        parameters: The circuit's parameters.
        loss_parameters: The loss's own.
        config: Its settings, without secrets.
        metrics: What it reached, by name.
        cost: What it cost.
        backend: The fingerprint of what it ran on.
        seed: Its seed.
        epochs: Epochs done.
        steps: Steps done.
        created: When it was recorded, seconds since 1970.
        scaler: The arrays of the scaler, or nothing.
    """

    id: str
    task: NDArray[np.float32]
    keys: Mapping[str, Any]
    features: str
    state: str
    parameters: FloatArray
    loss_parameters: FloatArray
    config: Mapping[str, Any]
    metrics: Mapping[str, float]
    cost: Cost
    backend: str
    seed: str
    epochs: int
    steps: int
    created: float
    scaler: Mapping[str, FloatArray] = field(default_factory=dict)

    def to_entry(self, dimension: int | None = None) -> StoreEntry:
        """The entry, for a store whose vectors have this dimension.

        Raises:
            StoreError: The dimension is too small, or the parameters are too many for an entry's metadata.
        """
        metadata = {
            **self.keys,
            **{name: value for name, value in self.metrics.items() if np.isfinite(value)},
            **asdict(self.cost),
            "features": self.features,
            "state": self.state,
            "backend": self.backend[:500],
            "seed": self.seed,
            "epochs": self.epochs,
            "steps": self.steps,
            "created": self.created,
            "parameters": json.dumps(self.parameters.tolist()),
            "loss_parameters": json.dumps(self.loss_parameters.tolist()),
            "config": json.dumps(self.config),
        }
        scaler = _packed(self.scaler) if self.scaler else ""
        if scaler and len(json.dumps(metadata)) + len(scaler) + _SPARE < MOST_METADATA:
            metadata["scaler"] = scaler  # a larger one is left out: the run then serves those with the same scaler
        return StoreEntry(self.id, fitted(self.task, dimension), metadata)

    @classmethod
    def from_entry(cls, entry: StoreEntry) -> Self:
        """The run that an entry holds.

        Raises:
            StoreError: It is no run, or a damaged one.
        """
        known = entry.metadata
        try:
            return cls(
                id=entry.id,
                task=entry.values[:DIMENSION],
                keys={name: known[name] for name in _KEYS},
                features=known["features"],
                state=known["state"],
                parameters=_finite(json.loads(known["parameters"])),
                loss_parameters=_finite(json.loads(known["loss_parameters"])),
                config=json.loads(known["config"]),
                metrics={name: known[name] for name in _NUMBERS if name in known},
                cost=Cost(**{each.name: known[each.name] for each in fields(Cost)}),
                backend=known["backend"],
                seed=known["seed"],
                epochs=int(known["epochs"]),
                steps=int(known["steps"]),
                created=float(known["created"]),
                scaler=_unpacked(known["scaler"]) if "scaler" in known else {},
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f"entry {entry.id!r} is no run of qstore, or a damaged one: {error!r:.80}") from error

    def similarity(self, task: NDArray[np.float32]) -> float:
        """How near its task is to another: the cosine, 1 for the same."""
        return float(self.task @ task)


def task_keys(recipe: Recipe) -> dict[str, Any]:
    """What two runs must have in common so that one can start from the parameters of the other."""
    model = recipe.model
    return {
        "kind": "run",
        "format": FORMAT,
        "model": model.fingerprint,
        "n_qubits": model.n_qubits,
        "depth": model.depth,
        "n_parameters": model.n_parameters,
        "input_dim": model.input_dim,
        "n_outputs": model.output_dim,
        "loss": loss_key(recipe),
        "targets": "values" if recipe.regression else "classes",
    }


_KEYS = "kind format model n_qubits depth n_parameters input_dim n_outputs loss targets".split()


def loss_key(recipe: Recipe) -> str:
    """The loss by name; a function by where it is defined, which a lambda and an inner function do not tell."""
    loss = recipe.config.loss
    if not callable(loss):
        return recipe.loss_name
    name = f"{getattr(loss, '__module__', '?')}.{getattr(loss, '__qualname__', '?')}"
    return f"function {'<unnamed>' if '<' in name or '?' in name else name}"


def has_namesakes(keys: Mapping[str, Any]) -> bool:
    """Whether runs with the same keys are surely alike: not where the loss is a function without a name."""
    return not str(keys["loss"]).endswith("<unnamed>")


def features_key(model: QuantumModel) -> str:
    """A digest of how inputs become features before the model sees them.

    >>> features_key(QuantumModel(2, 2, 1))
    'given'
    """
    return "given" if model.scaler is None else scaler_digest(model.scaler.to_arrays())


def scaler_digest(arrays: Mapping[str, FloatArray]) -> str:
    """SHA-256 of a scaler's arrays.

    >>> scaler_digest({"mean": np.zeros(1)})[:8]
    '05825692'
    """
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name], dtype=np.float64)
        digest.update(f"{name}{array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def fitted(vector: ArrayLike, dimension: int | None) -> NDArray[np.float32]:
    """A vector with as many zeros behind it as a store's dimension asks for, which changes no distance between two.

    >>> fitted([1.0, 2.0], 3)
    array([1., 2., 0.], dtype=float32)
    """
    values = np.asarray(vector, dtype=np.float32)
    if dimension is not None and dimension < len(values):
        raise StoreError(
            f"the store's vectors have {dimension} dimensions and a run's {len(values)}; use another store, or "
            "another index"
        )
    return np.pad(values, (0, (dimension or len(values)) - len(values)))


def _finite(values: Any) -> FloatArray:
    array = np.array(values, dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ValueError("parameters that are not finite numbers")
    return array


def _packed(arrays: Mapping[str, FloatArray]) -> str:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return base64.b64encode(buffer.getvalue()).decode()


def _unpacked(text: str) -> dict[str, FloatArray]:
    with np.load(io.BytesIO(base64.b64decode(text)), allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}
