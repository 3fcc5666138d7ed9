"""Q-Store's trainer over qstore's: the same calls, real circuits, and a history of what was measured."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from q_store.backends.backend_manager import BackendManager
from q_store.backends.bridge import core_backend
from q_store.backends.interface import QuantumBackend
from q_store.ml.batches import Batches, adapted, mean_of, one_pass
from q_store.ml.circuit_batch_manager import CircuitBatchManager
from q_store.ml.circuit_cache import QuantumCircuitCache
from q_store.ml.performance_tracker import PerformanceTracker
from q_store.ml.quantum_model import QuantumModel
from q_store.ml.training_config import TrainingConfig
from q_store.randomness import program_seed
from qstore_core import CircuitBatchManager as CoreManager
from qstore_core import PerformanceTracker as CoreTracker
from qstore_core import QuantumCircuitCache as CoreCache
from qstore_core import QuantumTrainer as CoreTrainer
from qstore_core import TrainingMetrics as CoreMetrics
from qstore_core.errors import ConfigurationError, DataError
from qstore_core.tracker import StepRecord
from qstore_core.training import Loader

__all__ = ["QuantumModel", "QuantumTrainer", "TrainingConfig", "TrainingMetrics"]


@dataclass(frozen=True, slots=True)
class TrainingMetrics:
    """What one epoch of training gave, and took.

    Attributes:
        epoch: The number of the epoch, from 0.
        loss: The mean loss of its steps, weighted by samples, at the parameters of each step.
        accuracy: On the validation data, where there is any with classes as labels.
        gradient_norm: The mean Euclidean norm of the gradient estimates, before clipping.
        learning_rate: That of the settings.
        circuit_execution_time_ms: The mean wall time of a step, milliseconds.
        epoch_time_ms: The wall time of the epoch, validation included, milliseconds.
        n_circuit_executions: Circuits of its steps, without validation; with it for epochs of an earlier process.
        val_loss: The loss on the validation data, where there is any.
    """

    epoch: int
    loss: float
    accuracy: float | None = None
    gradient_norm: float = 0.0
    learning_rate: float = 0.0
    circuit_execution_time_ms: float = 0.0
    epoch_time_ms: float = 0.0
    n_circuit_executions: int = 0
    val_loss: float | None = None

    @classmethod
    def of(cls, epoch: int, found: CoreMetrics, steps: Sequence[StepRecord], learning_rate: float) -> TrainingMetrics:
        """The metrics of an epoch that qstore trained in these steps."""
        return cls(
            epoch,
            found.loss,
            found.val_accuracy,
            found.gradient_norm,
            learning_rate,
            1000 * float(np.mean([step.seconds for step in steps])) if steps else 0.0,
            1000 * found.seconds,
            sum(step.circuits for step in steps) if steps else found.circuits,
            found.val_loss,
        )


class QuantumTrainer:
    """Trains models as a configuration says; a setting that is changed later holds from the next call on.

    Args:
        config: The settings.
        backend_manager: Its default backend runs what models without a backend of their own need.

    Attributes:
        training_history: `TrainingMetrics` of every epoch so far.
        current_epoch: The number of the last one.

    >>> import asyncio
    >>> from q_store.backends import create_default_backend_manager
    >>> manager = create_default_backend_manager()
    >>> config = TrainingConfig(n_qubits=2, gradient_method="spsa", shots_per_circuit=100, epochs=2)
    >>> model = QuantumModel(2, 2, 2, backend=manager.get_backend(), depth=1)
    >>> trainer = QuantumTrainer(config, manager)
    >>> asyncio.run(trainer.train(model, [(np.array([[0.0, 0.5], [0.5, 0.0]]), np.eye(2))]))
    >>> [metrics.n_circuit_executions for metrics in trainer.training_history]
    [4, 4]
    """

    def __init__(self, config: TrainingConfig, backend_manager: BackendManager) -> None:
        if not isinstance(config, TrainingConfig):
            raise ConfigurationError(f"config is a TrainingConfig of q_store.ml, not {type(config).__name__}")
        if not isinstance(backend_manager, BackendManager):
            raise ConfigurationError(
                f"backend_manager is a BackendManager of q_store.backends, not {type(backend_manager).__name__}"
            )
        self.config = config
        self.backend_manager = backend_manager
        self.training_history: list[TrainingMetrics] = []
        self.current_epoch = 0
        self._seed = program_seed()
        self._loss: Callable[..., float] | None = None
        self._tracker = CoreTracker()
        self._cache: QuantumCircuitCache | None = None
        self._early: CoreManager | None = None
        self._manager: CircuitBatchManager | None = None
        self._core = self._made(None)
        self._measured = PerformanceTracker.of(self._tracker, self._hit_rate)

    @property
    def core(self) -> CoreTrainer:
        """The trainer of qstore that the present settings mean."""
        if self.config.to_core(loss=self._loss, seed=self._seed) != self._core.config:
            self._core = self._made(self._core.circuit_cache)
        return self._core

    @property
    def backend(self) -> QuantumBackend:
        """The manager's default backend."""
        return self.backend_manager.get_backend()

    @property
    def performance_tracker(self) -> PerformanceTracker | None:
        """Counts and times of everything that this trainer ran; None where the settings turn it off."""
        return self._measured if self.config.enable_performance_tracking else None

    @property
    def circuit_cache(self) -> QuantumCircuitCache | None:
        """Compiled structures and results, which training reads; None where the settings turn it off."""
        core = self.core.circuit_cache
        if core is None:
            return None
        if self._cache is None or self._cache.core is not core:
            self._cache = QuantumCircuitCache.of(core, self.config.cache_size)
        return self._cache

    @property
    def batch_manager(self) -> CircuitBatchManager | None:
        """Runs circuits of yours, counted with the training's and under its budget; None where it is turned off."""
        if not self.core.config.enable_batch_execution:
            return None
        try:
            core = self.core.batch_manager
        except ConfigurationError:  # there is no run yet
            core = self._before_training()
        if self._manager is None or self._manager.core is not core:
            self._manager = CircuitBatchManager.of(core)
        return self._manager

    def set_loss_function(self, loss_fn: Callable[[Any, Any], float]) -> None:
        """Minimise the mean over the samples of a function of one sample's outputs and targets."""
        self._loss = mean_of(loss_fn)

    async def train(
        self,
        model: QuantumModel,
        train_loader: Loader,
        val_loader: Loader | None = None,
        epochs: int | None = None,
        *,
        resume: bool = False,
    ) -> None:
        """Train a model in place; `training_history` has an entry for each epoch afterwards.

        Args:
            model: Its parameters are replaced after every step.
            train_loader: Any re-iterable, sync or async, of `(x, y)` batches; x in half turns.
            val_loader: The same, for validation after each epoch.
            epochs: How many; None: the configuration's.
            resume: Go on with the run in the checkpoint directory if there is one; then `epochs` counts all of it.
        """
        held_out = None if val_loader is None else adapted(val_loader)
        wanted = self.config.epochs if epochs is None else epochs
        await self._trained(model, adapted(train_loader), held_out, wanted, first=0, resume=resume)

    async def train_epoch(self, model: QuantumModel, data_loader: Loader, epoch: int) -> TrainingMetrics:
        """Train for one epoch, which the metrics call number `epoch`; the loader need not be iterable again."""
        (metrics,) = await self._trained(model, await one_pass(data_loader), None, 1, first=epoch)
        return metrics

    async def train_batch(self, model: QuantumModel, batch_x: ArrayLike, batch_y: ArrayLike) -> dict[str, float]:
        """Train on one mini-batch: its loss, gradient norm, circuits, and wall time in milliseconds."""
        loader = adapted([(np.asarray(batch_x), np.asarray(batch_y))])
        (metrics,) = await self._trained(model, loader, None, 1, first=self.current_epoch, keep=False)
        return {
            "loss": metrics.loss,
            "gradient_norm": metrics.gradient_norm,
            "n_circuits": metrics.n_circuit_executions,
            "circuit_time_ms": metrics.circuit_execution_time_ms,
        }

    async def validate(self, model: QuantumModel, val_loader: Loader) -> dict[str, float]:
        """The loss on a loader's data, how many samples it has as `count`, and for classes the accuracy."""
        self._place(model)
        batches = Batches(val_loader)
        result = await self.core.validate(model, batches)
        return {**result, "count": batches.n_samples}

    async def save_checkpoint(self, model: QuantumModel, epoch: int, metrics: TrainingMetrics) -> None:
        """Write the model as `checkpoint_epoch_N.json` in the checkpoint directory, or in ./checkpoints.

        A run that is to go on after an interruption needs more than its model: see `checkpoint_directory` in
        `qstore_core.TrainingConfig`, under which qstore keeps that by itself.
        """
        folder = Path(self.config.checkpoint_directory or "checkpoints")
        folder.mkdir(parents=True, exist_ok=True)
        kept = {name: getattr(metrics, name) for name in ("loss", "gradient_norm", "learning_rate")}
        document = {"epoch": epoch, "model_state": model.save_state(), "metrics": kept}
        (folder / f"checkpoint_epoch_{epoch}.json").write_text(json.dumps(document, indent=1), encoding="utf-8")

    async def load_checkpoint(self, checkpoint_path: str | Path, model: QuantumModel) -> None:
        """Take a model's parameters from a file of `save_checkpoint`.

        Raises:
            DataError: It is no such file.
        """
        try:
            document = json.loads(Path(checkpoint_path).read_text(encoding="utf-8"))
            model.load_state(document["model_state"])
            self.current_epoch = int(document["epoch"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{checkpoint_path} is no checkpoint of a model: {type(error).__name__}: {error}"
            ) from error

    def get_training_history(self) -> list[TrainingMetrics]:
        """The metrics of every epoch so far."""
        return self.training_history

    def get_pinecone_stats(self) -> dict[str, Any]:
        """Whether training keeps its vectors in Pinecone, and how many were written so far."""
        config, stored = self.core.config, self._tracker.vectors_stored
        enabled = config.store_name == "pinecone"
        name = config.pinecone_index_name if enabled else None
        return {"enabled": enabled, "initialized": stored > 0, "vectors_stored": stored, "index_name": name}

    async def _trained(
        self,
        model: QuantumModel,
        loader: Loader,
        val_loader: Loader | None,
        epochs: int,
        *,
        first: int,
        keep: bool = True,
        resume: bool = False,
    ) -> list[TrainingMetrics]:
        self._place(model)
        done = len(self._tracker.steps)
        found = await self.core.train(model, loader, val_loader, epochs, resume)
        steps = self._tracker.steps[done:]
        history = [
            TrainingMetrics.of(
                first + index, epoch, [step for step in steps if step.epoch == epoch.epoch], self.config.learning_rate
            )
            for index, epoch in enumerate(found)
        ]
        if keep and history:
            self.training_history += history
            self.current_epoch = history[-1].epoch
        return history

    def _before_training(self) -> CoreManager:
        if self._early is None:
            self._early = CoreManager(
                core_backend(self.backend),
                cache=self.core.circuit_cache,
                budget=self.config.budget,
                seed=self._seed,
                tracker=self._tracker,
            )
        return self._early

    def _place(self, model: QuantumModel) -> None:
        if not isinstance(model, QuantumModel):
            raise ConfigurationError(f"model is a QuantumModel of q_store.ml, not {type(model).__name__}")
        if model.backend is None:
            model.backend = core_backend(self.backend)

    def _made(self, cache: CoreCache | None) -> CoreTrainer:
        trainer = CoreTrainer(self.config.to_core(loss=self._loss, seed=self._seed))
        trainer.performance_tracker = self._tracker
        if cache is not None and trainer.circuit_cache is not None:
            trainer.circuit_cache = cache
        return trainer

    def _hit_rate(self) -> float | None:
        cache = self._core.circuit_cache
        return None if cache is None else cache.stats().hit_rate
