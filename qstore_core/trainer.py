"""The trainer: epochs, validation, checkpoints and resuming around the step."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sized
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from qstore_core.array_input import data_array
from qstore_core.arrays import FloatArray
from qstore_core.beside import Beside
from qstore_core.config import TrainingConfig
from qstore_core.cost import Cost
from qstore_core.data import ArrayLoader
from qstore_core.data_check import angles_of, check_arrays, check_labelled, kept_back, require_model
from qstore_core.epochs import train_epochs
from qstore_core.errors import BackendError, BudgetExceededError, ConfigurationError
from qstore_core.evaluation import evaluate, outputs_of
from qstore_core.executor import Executor
from qstore_core.keywords import known_keywords
from qstore_core.losses import is_classes
from qstore_core.manager import BackendManager
from qstore_core.model import QuantumModel
from qstore_core.preprocessing import FeatureScaler
from qstore_core.problem import GradientResult, require_count
from qstore_core.randomness import StepKey, fresh_seed
from qstore_core.run import Run, begin_run, only_one, saved_scaler, with_advice
from qstore_core.run_directory import RunDirectory
from qstore_core.surroundings import Surroundings, backend_for, check_backend, make_cache, make_store
from qstore_core.synchronous import run_sync
from qstore_core.tracker import PerformanceTracker
from qstore_core.training import Loader, Recipe, TrainingMetrics, make_recipe, samples_at_hand
from qstore_core.warm_start import simulator_for, warm_start

if TYPE_CHECKING:  # what few runs need is imported where they do
    from qstore_core.batch_manager import CircuitBatchManager
    from qstore_core.estimate import RunEstimate


class QuantumTrainer:
    """Trains models as a configuration says.

    Args:
        config: The settings; None: the defaults.
        manager: Where backends come from when the model brings none.
        progress: Whether to show a progress bar; None: when standard error is a terminal.
        keep: What training leaves of the budget for what comes after it, such as a test; None: nothing.

    Attributes:
        performance_tracker: Measured times and counts.
        circuit_cache: Compiled structures and results; None when the configuration disables it.
        store: Where runs are recorded; None when the configuration has none.

    >>> config = TrainingConfig(epochs=2, shots_per_circuit=None, seed=1)
    >>> model = QuantumModel(input_dim=2, n_qubits=2, output_dim=2)
    >>> history = QuantumTrainer(config).fit(model, [[0.0, 1.0], [1.0, 0.0], [0.1, 0.9], [0.9, 0.2]], [0, 1, 0, 1])
    >>> [metrics.epoch for metrics in history]
    [1, 2]
    """

    @known_keywords
    def __init__(
        self,
        config: TrainingConfig | None = None,
        manager: BackendManager | None = None,
        *,
        progress: bool | None = None,
        keep: Cost | None = None,
    ) -> None:
        self.config = TrainingConfig() if config is None else config
        if not isinstance(self.config, TrainingConfig):
            raise ConfigurationError(f"config is a TrainingConfig, not {type(config).__name__}")
        if not (manager is None or isinstance(manager, BackendManager)):
            raise ConfigurationError(
                f"manager is a BackendManager, not {type(manager).__name__}; a single backend goes into QuantumModel"
            )
        self.manager = manager
        self.performance_tracker = PerformanceTracker()
        self.circuit_cache = make_cache(self.config)
        self.store = make_store(self.config)
        self._progress = progress
        self._keep = kept_back(keep)
        self._run: Run | None = None
        self._batch_manager: CircuitBatchManager | None = None
        self._beside = Beside()

    @known_keywords
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
            One entry for each epoch of this call; with `resume` for each epoch of the run.

        Raises:
            DataError: Data that does not fit the model; the message says which and why.
            CapabilityError: The backend cannot run the model so; nothing ran.
            RunDirectoryError: The run directory cannot be written, or holds a run and `resume` is not set.
            CheckpointError: The checkpoint is damaged or belongs to another run.
            BudgetExceededError: The next batch could pass the cap; it was not sent, and a checkpoint was kept.
            BackendError: A batch could not be run; a checkpoint was kept, and the message says what was spent.
            ConfigurationError: This trainer is training already, in another task or thread.
        """
        wanted = require_count("epochs", self.config.epochs if epochs is None else epochs)
        recipe, around = await self._prepare(model, data_loader, val_loader)
        run = self._run_of(model)
        directory = self._beside.directory(around) if run is None else run.directory
        with only_one(self._beside.training), self._beside.locked_alone(directory):
            run = self._begin(recipe, around, directory, data_loader, resume=resume)
            last = wanted + (0 if resume else run.state.epoch)
            run.executor.account.kept = self._keep
            history = run.history() if resume else []
            async with self._recorded(run, data_loader, last):
                try:
                    return history + await self._epochs(run, data_loader, val_loader, last)
                except (BudgetExceededError, BackendError) as error:
                    raise with_advice(error, run) from error
                finally:  # also after Ctrl-C, cancellation and errors: what was paid for is kept
                    run.executor.account.kept = Cost()
                    run.save()
                    around.save_performance()

    @known_keywords
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

        The scaler is fitted to `x` the first time, kept as `model.scaler` and used by `model.predict` and `evaluate`; a
        run that is resumed brings its own.

        Args:
            model: What to train.
            x: `(n_samples, n_columns)`; more columns than `model.input_dim` are reduced by PCA.
            y: `(n_samples,)` integer class labels, or float targets.
            validation: The same pair for validation.
            epochs: As for `train`.
            resume: As for `train`.
        """
        check_arrays(model, x, y, validation)
        before = model.scaler
        saved = saved_scaler(self.config, model) if resume else None
        model.scaler = saved or before or self.scaler_for(model, x, y)
        try:
            loader = self._loader(model, x, y)
            held_out = None if validation is None else self._loader(model, *validation, shuffle=False)
            return run_sync(self.train(model, loader, held_out, epochs, resume))
        finally:
            if self._run is None or self._run.recipe.model is not model:  # refused: the next call may bring other data
                model.scaler = before

    def scaler_for(
        self, model: QuantumModel, x: ArrayLike, y: ArrayLike, *, radians_per_deviation: float = 1.0
    ) -> FeatureScaler:
        """The scaler that `fit` gives a model without one: fitted to `x`, or for a warm start from a run that run's.

        >>> QuantumTrainer().scaler_for(QuantumModel(1, 1, 1), [[0.0], [2.0]], [0, 1]).mean
        array([1.])
        """
        own = FeatureScaler.fit(x, model.input_dim, radians_per_deviation=radians_per_deviation)
        if self.store is None or self.config.warm_start != "store":
            return own
        from qstore_core.store_start import stored_scaler

        recipe = make_recipe(model, self.config, labels_are_classes=is_classes(y))
        return run_sync(stored_scaler(recipe, x, y, self.store)) or own

    def check(self, model: QuantumModel, x: ArrayLike, y: ArrayLike) -> None:
        """Raise what `fit` would raise about data, model and backend, without running or writing anything."""
        check_arrays(model, x, y)
        scaler = model.scaler or FeatureScaler.fit(x, model.input_dim)
        run_sync(self._prepare(model, ArrayLoader(scaler.transform(x), y, self.config.batch_size)))

    def evaluate(self, model: QuantumModel, x: ArrayLike, y: ArrayLike) -> dict[str, float]:
        """`validate` for arrays as they were given to `fit`, without `await`; its loss is the trainer's own too."""
        return run_sync(self.validate(model, self._loader(model, x, y, shuffle=False)))

    async def validate(self, model: QuantumModel, loader: Loader) -> dict[str, float]:
        """The loss on a loader's data, and for class labels the accuracy.

        The scale of the cross entropy is trained and kept with this trainer's run: another trainer's loss has another.

        >>> import asyncio
        >>> config = TrainingConfig(shots_per_circuit=None, seed=1)
        >>> model = QuantumModel(input_dim=2, n_qubits=2, output_dim=2, seed=1)
        >>> result = asyncio.run(QuantumTrainer(config).validate(model, [([[0.0, 1.0]], [0])]))
        >>> sorted(result)
        ['accuracy', 'loss']
        """
        run = self._run_of(model)
        key = self._key(run, "validate")
        parameters = None if run is None else run.state.averaged_loss_parameters
        async with self._executing(model) as executor:
            return await evaluate(model, executor, loader, self.config, key, parameters)

    def outputs(self, model: QuantumModel, x: ArrayLike) -> FloatArray:
        """The outputs `(n_samples, output_dim)` for inputs as they were given to `fit`, with the configured shots."""
        return run_sync(self._outputs(model, x))

    def predict(self, model: QuantumModel, x: ArrayLike) -> Any:
        """What `outputs` mean: class labels `(n_samples,)`, or for a model trained on target values those values."""
        outputs = self.outputs(model, x)  # refuses what is no model
        return model.meaning_of(outputs)

    def gradient(self, model: QuantumModel, x: ArrayLike, y: ArrayLike) -> GradientResult:
        """One estimate of the gradient of the loss, by the configured method; nothing is trained.

        Args:
            model: The model, at its present parameters.
            x: Inputs as they were given to `fit`; angles in radians when the model has no scaler.
            y: Labels or targets.

        >>> trainer = QuantumTrainer(TrainingConfig(shots_per_circuit=None, seed=1))
        >>> trainer.gradient(QuantumModel(2, 2, 1, seed=1), [[0.1, 0.2]], [1]).gradients.shape
        (8,)
        """
        return run_sync(self._gradient(model, x, y))

    def estimate_cost(
        self, model: QuantumModel, n_samples: int, *, n_validation: int = 0, epochs: int | None = None
    ) -> RunEstimate:
        """What training would take, asked before anything runs.

        Args:
            model: What would be trained.
            n_samples: Samples of the training data; the configuration's `batch_size` divides them.
            n_validation: Samples validated after each epoch.
            epochs: How many; None: the configuration's.

        >>> trainer = QuantumTrainer(TrainingConfig(epochs=5, batch_size=10, gradient_method="spsa"))
        >>> trainer.estimate_cost(QuantumModel(2, 2, 2), n_samples=100).total.circuits
        1000
        """
        return run_sync(
            self._estimate(model, n_samples, n_validation, self.config.epochs if epochs is None else epochs)
        )

    @property
    def batch_manager(self) -> CircuitBatchManager:
        """Runs circuits of yours on the run's backend, charged to its budget.

        Raises:
            ConfigurationError: Nothing was trained yet, so there is no run.
        """
        if self._run is None:
            raise ConfigurationError(
                "batch_manager belongs to a run: train first, or make a CircuitBatchManager(backend)"
            )
        from qstore_core.batch_manager import CircuitBatchManager

        if self._batch_manager is None or self._batch_manager.executor is not self._run.executor:
            self._batch_manager = CircuitBatchManager.of(self._run.executor, seed=self._run.state.seed)
        return self._batch_manager

    @property
    def spent(self) -> Cost:
        """What the run has cost so far, validation and earlier processes included."""
        return self._beside.spent if self._run is None else self._run.spent

    def save(self) -> None:
        """Write the run's checkpoint again, where it has a directory: with what tests have taken since training ended.

        >>> QuantumTrainer().save()  # no run yet: nothing to write
        """
        if (run := self._run) is not None:
            with self._beside.locked(run.directory):
                run.adopt_parameters()
                run.save()

    def reset(self) -> None:
        """Forget the run: its model gets its initial parameters back, and the next `train` starts afresh."""
        if self._run is not None:
            self._run.recipe.model.parameters = self._run.initial_parameters
        self._run, self._beside = None, Beside()
        self.performance_tracker = PerformanceTracker()

    async def _prepare(
        self, model: QuantumModel, loader: Loader, val_loader: Loader | None = None
    ) -> tuple[Recipe, Surroundings]:
        """Everything that a run needs, checked without running or writing anything."""
        around = await self._around(model)
        x, y = await samples_at_hand(loader)
        run = self._run_of(model)
        n_steps = self.config.epochs * len(loader) if isinstance(loader, Sized) else None
        made = make_recipe(model, self.config, labels_are_classes=is_classes(y), n_steps=n_steps)
        recipe = made if run is None else run.recipe
        recipe.check(x, y, around.backend.capabilities)
        if isinstance(val_loader, ArrayLoader | list | tuple):  # others may not like to be begun and left
            check_labelled(model, *await samples_at_hand(val_loader), regression=recipe.regression)
        simulator_for(model, self.config)
        return recipe, around

    def _begin(
        self, recipe: Recipe, around: Surroundings, directory: RunDirectory | None, loader: Loader, *, resume: bool
    ) -> Run:
        run = self._run_of(recipe.model)
        recipe.model.regression = recipe.regression
        if run is None:
            data = loader.digest if isinstance(loader, ArrayLoader) else None
            run = begin_run(recipe, around, directory, data, resume=resume, before=self._beside.unrecorded)
            self._beside.begun()
        else:
            run.adopt_parameters()
        self._run = run
        return run

    def _recorded(self, run: Run, loader: Loader, last: int) -> AbstractAsyncContextManager[None]:
        if self.store is None:
            return nullcontext()
        from qstore_core.recording import recorded

        return recorded(run, loader, self.store, last)

    async def _epochs(self, run: Run, loader: Loader, val_loader: Loader | None, last: int) -> list[TrainingMetrics]:
        if run.state.epoch < last:
            await warm_start(run, loader)
        validate = None if val_loader is None else partial(self.validate, run.recipe.model, val_loader)
        return await train_epochs(run, loader, validate, last, show=self._progress)

    async def _outputs(self, model: QuantumModel, x: ArrayLike) -> FloatArray:
        angles = angles_of(model, np.atleast_2d(data_array("inputs", x)))
        async with self._executing(model) as executor:
            return await outputs_of(model, executor, angles, self.config, self._key(self._run_of(model), "predict"))

    async def _gradient(self, model: QuantumModel, x: ArrayLike, y: ArrayLike) -> GradientResult:
        run = self._run_of(model)
        made = make_recipe(model, self.config, labels_are_classes=is_classes(y))
        recipe = made if run is None else run.recipe
        recipe.check_kind(y)
        angles = angles_of(model, x)
        scale = recipe.loss.initial_parameters if run is None else run.state.averaged_loss_parameters
        async with self._executing(model) as executor:
            problem = recipe.problem(angles, y, scale, executor.backend.capabilities)
            state = recipe.estimator.start(problem, model.parameters)
            rounds = recipe.estimator.gradient(problem, model.parameters, state, self._key(run, "gradient"))
            return (await executor.drive(rounds))[0]

    async def _estimate(self, model: QuantumModel, n_samples: int, n_validation: int, epochs: int) -> RunEstimate:
        from qstore_core.estimate import estimate_run

        executor, size = (await self._around(model)).executor(), self.config.batch_size
        recipe = make_recipe(model, self.config, labels_are_classes=True)
        return estimate_run(
            recipe, executor, n_samples=n_samples, n_validation=n_validation, batch_size=size, epochs=epochs
        )

    def _run_of(self, model: QuantumModel) -> Run | None:
        return self._run if self._run is not None and self._run.recipe.model is model else None

    def _key(self, run: Run | None, stage: str) -> StepKey:
        if run is not None:
            return StepKey(run.state.seed, stage, run.state.step)
        return StepKey(fresh_seed() if self.config.seed is None else int(self.config.seed), stage)

    @asynccontextmanager
    async def _executing(self, model: QuantumModel) -> AsyncIterator[Executor]:
        """Where circuits of a model run that are no steps: on the run's account, or on the one beside it."""
        run = self._run_of(model)
        if run is None:
            around = await self._around(model)
            if self._run is None or self._run.executor.backend is not around.backend:
                with self._beside.executor(around) as executor:
                    yield executor
                return
            run = self._run  # of another model, on the same account
        with self._beside.executor_of(run) as executor:
            yield executor

    async def _around(self, model: QuantumModel) -> Surroundings:
        require_model(model)
        backend = await backend_for(model, self.manager, self.config)
        check_backend(model, backend, self.config)
        return Surroundings(self.config, backend, self.performance_tracker, self.circuit_cache)

    def _loader(self, model: QuantumModel, x: ArrayLike, y: ArrayLike, *, shuffle: bool = True) -> ArrayLoader:
        return ArrayLoader(angles_of(model, x), y, self.config.batch_size, shuffle=shuffle)
