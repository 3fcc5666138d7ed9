"""The trainer: epochs, validation, checkpoints and resuming around the step."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sized
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from qstore_core.backend import Backend
from qstore_core.batch import CircuitBatch
from qstore_core.config import TrainingConfig
from qstore_core.cost import Cost
from qstore_core.data import ArrayLoader
from qstore_core.errors import ConfigurationError, RunDirectoryError
from qstore_core.executor import Executor, ExecutorOptions
from qstore_core.losses import is_classes, make_loss, make_targets
from qstore_core.manager import BackendManager
from qstore_core.model import QuantumModel
from qstore_core.preprocessing import FeatureScaler
from qstore_core.problem import GradientResult
from qstore_core.progress import Progress, progress_bar
from qstore_core.randomness import StepKey, fresh_seed
from qstore_core.registry import get_backend
from qstore_core.run import Run, begin_run
from qstore_core.synchronous import run_sync
from qstore_core.tracker import PerformanceTracker, StepRecord
from qstore_core.training import Loader, TrainingMetrics, batches_of, make_recipe

_log = logging.getLogger("qstore")


class QuantumTrainer:
    """Trains models as a configuration says.

    Args:
        config: The settings; None: the defaults.
        manager: Where backends come from when the model brings none.
        progress: Whether to show a progress bar; None: when standard error is a terminal.

    Attributes:
        performance_tracker: Measured times and counts.

    >>> config = TrainingConfig(epochs=2, shots_per_circuit=None, seed=1)
    >>> model = QuantumModel(input_dim=2, n_qubits=2, output_dim=2)
    >>> history = QuantumTrainer(config).fit(model, [[0.0, 1.0], [1.0, 0.0], [0.1, 0.9], [0.9, 0.2]], [0, 1, 0, 1])
    >>> [metrics.epoch for metrics in history]
    [1, 2]
    """

    def __init__(
        self,
        config: TrainingConfig | None = None,
        manager: BackendManager | None = None,
        *,
        progress: bool | None = None,
    ) -> None:
        self.config = config or TrainingConfig()
        self.manager = manager
        self.performance_tracker = PerformanceTracker()
        self._progress = progress
        self._run: Run | None = None

    async def train(
        self,
        model: QuantumModel,
        data_loader: Loader,
        val_loader: Loader | None = None,
        epochs: int | None = None,
        resume: bool = False,
    ) -> list[TrainingMetrics]:
        """Train `model` in place.

        Args:
            model: Its parameters are replaced after every step.
            data_loader: Any re-iterable, sync or async, of `(x, y)` batches; x in radians, as `model.forward` takes it.
            val_loader: The same, for validation after each epoch; its circuits are counted.
            epochs: How many; None: the configuration's. A second call goes on where the first stopped.
            resume: Go on with the run in the run directory if there is one; then `epochs` counts the whole run.

        Returns:
            One entry for each epoch of this call.

        Raises:
            DataError: Data that does not fit the model; the message says which and why.
            CapabilityError: The backend cannot run the model so; nothing ran.
            RunDirectoryError: The run directory cannot be written, or holds a run and `resume` is not set.
            CheckpointError: The checkpoint is damaged or belongs to another run.
        """
        run = await self._begin(model, data_loader, resume=resume)
        last = self._last_epoch(run, epochs, resume=resume)
        history = []
        length = len(data_loader) if isinstance(data_loader, Sized) else None
        total = None if length is None else length * last
        try:
            with progress_bar(total, run.state.step, show=self._progress) as bar:
                while run.state.epoch < last:
                    history.append(await self._epoch(run, data_loader, val_loader, bar))
                    if run.state.epoch % self.config.checkpoint_interval == 0 and run.state.epoch < last:
                        run.save()
        finally:  # also after Ctrl-C, cancellation and errors: what was paid for is kept
            run.save()
            self._save_performance(run)
        return history

    def fit(
        self,
        model: QuantumModel,
        x: ArrayLike,
        y: ArrayLike,
        *,
        validation: tuple[ArrayLike, ArrayLike] | None = None,
        epochs: int | None = None,
        resume: bool = False,
    ) -> list[TrainingMetrics]:
        """Scale inputs to angles and train, without `await`; works in a notebook too.

        The scaler is fitted to `x` the first time, kept as `model.scaler` and used by `model.predict` and `evaluate`.

        Args:
            model: What to train.
            x: `(n_samples, n_columns)`; more columns than `model.input_dim` are reduced by PCA.
            y: `(n_samples,)` integer class labels, or float targets.
            validation: The same pair for validation.
            epochs: As for `train`.
            resume: As for `train`.
        """
        if model.scaler is None:
            model.scaler = FeatureScaler.fit(x, model.input_dim)
        loader = self._loader(model, x, y)
        held_out = None if validation is None else self._loader(model, *validation, shuffle=False)
        return run_sync(self.train(model, loader, held_out, epochs, resume))

    def evaluate(self, model: QuantumModel, x: ArrayLike, y: ArrayLike) -> dict[str, float]:
        """`validate` for arrays as they were given to `fit`, without `await`."""
        return run_sync(self.validate(model, self._loader(model, x, y, shuffle=False)))

    async def validate(self, model: QuantumModel, loader: Loader) -> dict[str, float]:
        """The loss on a loader's data, and for class labels the accuracy.

        >>> config = TrainingConfig(shots_per_circuit=None, seed=1)
        >>> model = QuantumModel(input_dim=2, n_qubits=2, output_dim=2, seed=1)
        >>> result = asyncio.run(QuantumTrainer(config).validate(model, [([[0.0, 1.0]], [0])]))
        >>> sorted(result)
        ['accuracy', 'loss']
        """
        run = self._run
        same = run is not None and run.recipe.model is model
        executor = run.executor if run is not None and same else self._executor(await self._backend_for(model))
        _check_backend(model, executor.backend, self.config)
        seed = fresh_seed() if self.config.seed is None else self.config.seed
        key = StepKey(seed, "validate") if run is None else StepKey(run.state.seed, "validate", run.state.step)
        outputs, targets, classes = [], [], True
        index = 0
        async for x, y in batches_of(loader, 0, key.seed):
            goal = make_targets(y, model.output_dim)
            part = StepKey(key.seed, f"validate {index}", key.step)
            outputs.append(await model.run(executor, x, shots=self.config.shots_per_circuit, key=part))
            targets.append(goal)
            classes = classes and is_classes(y)
            index += 1
        found, wanted = np.concatenate(outputs), np.concatenate(targets)
        loss = make_loss(self.config.loss, labels_are_classes=classes)
        scale = run.state.loss_parameters if run is not None and same else loss.initial_parameters
        result = {"loss": loss(found, wanted, scale).value}
        if classes:
            result["accuracy"] = float(np.mean(model.classes_of(found) == model.classes_of(wanted)))
        return result

    @property
    def spent(self) -> Cost:
        """What the run has cost so far, validation and earlier processes included."""
        return self.performance_tracker.total if self._run is None else self._run.spent

    def reset(self) -> None:
        """Forget the run: its model gets its initial parameters back, and the next `train` starts afresh."""
        if self._run is not None:
            self._run.recipe.model.parameters = self._run.initial_parameters
        self._run = None
        self.performance_tracker = PerformanceTracker()

    async def _begin(self, model: QuantumModel, loader: Loader, *, resume: bool) -> Run:
        if self._run is not None and self._run.recipe.model is model:
            self._run.adopt_parameters()
            return self._run
        executor = self._executor(await self._backend_for(model))
        _check_backend(model, executor.backend, self.config)
        x, y = await _first_batch(loader)
        recipe = make_recipe(model, self.config, labels_are_classes=is_classes(y))
        recipe.check(x, y, executor)
        self._run = begin_run(recipe, executor, resume=resume)
        return self._run

    def _last_epoch(self, run: Run, epochs: int | None, *, resume: bool) -> int:
        wanted = self.config.epochs if epochs is None else epochs
        if not isinstance(wanted, int) or wanted < 0:
            raise ConfigurationError(f"epochs is a whole number of at least 0, not {wanted!r}")
        return wanted if resume else run.state.epoch + wanted

    async def _epoch(self, run: Run, loader: Loader, val_loader: Loader | None, bar: Progress) -> TrainingMetrics:
        begin, before = time.perf_counter(), run.spent
        losses, norms, sizes = [], [], []
        skipped, index = run.state.batches_done, 0
        async for x, y in batches_of(loader, run.state.epoch, run.state.seed):
            index += 1
            if index <= skipped:
                continue
            result = await self._step(run, x, y)
            losses.append(result.function_value)
            norms.append(float(np.linalg.norm(result.gradients)))
            sizes.append(len(np.atleast_1d(y)))
            bar.step(result.function_value, run.spent)
            await asyncio.sleep(0)  # lets Ctrl-C and other tasks in, between two steps
        run.accept(replace(run.state, epoch=run.state.epoch + 1, batches_done=0))
        validation = {} if val_loader is None else await self.validate(run.recipe.model, val_loader)
        spent = run.spent
        metrics = TrainingMetrics(
            epoch=run.state.epoch,
            loss=float(np.average(losses, weights=sizes)) if losses else float("nan"),
            gradient_norm=float(np.mean(norms)) if norms else float("nan"),
            circuits=spent.circuits - before.circuits,
            shots=spent.shots - before.shots,
            jobs=spent.jobs - before.jobs,
            usd=spent.usd_high - before.usd_high,
            seconds=time.perf_counter() - begin,
            val_loss=validation.get("loss"),
            val_accuracy=validation.get("accuracy"),
        )
        if run.directory is not None:
            run.directory.append_metrics({"kind": "epoch", "step": run.state.step, **asdict(metrics)})
        return metrics

    async def _step(self, run: Run, x: Any, y: Any) -> GradientResult:
        begin, before = time.perf_counter(), run.executor.spent
        state, result = await run.recipe.step(run.state, x, y, run.executor)
        run.accept(state)
        spent = run.executor.spent
        record = StepRecord(
            step=state.step,
            epoch=state.epoch + 1,
            loss=result.function_value,
            gradient_norm=float(np.linalg.norm(result.gradients)),
            seconds=time.perf_counter() - begin,
            circuits=result.n_circuit_executions,
            shots=result.n_shots,
            jobs=result.n_jobs,
            usd=spent.usd_high - before.usd_high,
        )
        self.performance_tracker.stepped(record)
        if run.directory is not None:
            run.directory.append_metrics({"kind": "step", **asdict(record), "method": result.method, **result.metadata})
        if state.step % self.config.log_interval == 0:
            _log.info("step %d: loss %.6g, %s, %s", state.step, record.loss, result.method, run.spent)
        return result

    async def _backend_for(self, model: QuantumModel) -> Backend:
        if model.backend is None:
            if self.manager is not None and self.manager.has_backend:
                model.backend = self.manager.get_backend()
            else:
                options = {} if self.config.quantum_api_key is None else {"api_key": self.config.quantum_api_key}
                if self.config.quantum_sdk == "ionq" and self.config.quantum_target != "simulator":
                    options["target"] = self.config.quantum_target
                model.backend = get_backend(self.config.backend_name, **options)
                await model.backend.open()
        return model.backend

    def _executor(self, backend: Backend) -> Executor:
        config = self.config
        options = ExecutorOptions(
            max_compiled=config.cache_size if config.enable_circuit_cache else 0,
            one_circuit_per_job=not config.enable_batch_execution,
        )
        return Executor(backend, tracker=self.performance_tracker, options=options)

    def _loader(self, model: QuantumModel, x: ArrayLike, y: ArrayLike, *, shuffle: bool = True) -> ArrayLoader:
        angles = x if model.scaler is None else model.scaler.transform(x)
        return ArrayLoader(angles, y, self.config.batch_size, shuffle=shuffle)

    def _save_performance(self, run: Run) -> None:
        place = self.config.performance_log_dir
        if place is None or not self.config.enable_performance_tracking:
            return
        try:
            Path(place).mkdir(parents=True, exist_ok=True)
            self.performance_tracker.save(Path(place) / "performance.json")
        except OSError as error:
            raise RunDirectoryError(f"cannot write performance_log_dir {place}: {error.strerror or error}") from error


def _check_backend(model: QuantumModel, backend: Backend, config: TrainingConfig) -> None:
    """Raise `CapabilityError` before anything runs or is written when the backend cannot do what is asked."""
    structure = model.circuit.structure
    shots = config.shots_per_circuit
    probe = CircuitBatch(
        structure, np.zeros((1, structure.n_angles)), model.observables, shots, np.zeros(1, dtype=np.uint64)
    )
    backend.capabilities.check(probe, backend=backend.name)


async def _first_batch(loader: Loader) -> tuple[Any, Any]:
    async for batch in batches_of(loader, 0, 0):
        return batch
    raise AssertionError("batches_of raises when there is none")
