"""One step of training, as a pure function of the state: gradient, clipping, update."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, fields, replace
from math import sqrt
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from qstore_core.array_input import data_array
from qstore_core.arrays import FloatArray
from qstore_core.averaging import next_average
from qstore_core.backend import BackendCapabilities
from qstore_core.checkpoint import Checkpoint
from qstore_core.config import TrainingConfig
from qstore_core.cost import Budget, Cost
from qstore_core.data import ArrayLoader, Batch
from qstore_core.errors import ConfigurationError, DataError
from qstore_core.executor import Executor
from qstore_core.losses import LOSSES, Loss, MeanSquaredError, is_classes, make_loss, make_targets
from qstore_core.methods import make_estimator, make_loss_optimizer, make_parameter_optimizer
from qstore_core.model import QuantumModel
from qstore_core.optimizers import Optimizer, OptimizerState, clip_by_norm
from qstore_core.problem import (
    GradientEstimator,
    GradientResult,
    Pricing,
    Problem,
    Rounds,
    SampleChooser,
    WarmStarter,
    require_whole,
)
from qstore_core.randomness import StepKey
from qstore_core.stream import size_of

Loader: TypeAlias = Iterable[Batch] | AsyncIterable[Batch]
"""What gives the mini-batches: any re-iterable of `(x, y)`, sync or async."""

_LET_THROUGH = 3.0
"""Standard deviations of an estimate's noise, its samples' included, that clipping leaves room for."""


@dataclass(frozen=True, slots=True)
class TrainingMetrics:
    """What one epoch of training gave, and took.

    Attributes:
        epoch: The number of the epoch, from 1.
        loss: The mean loss of its steps, weighted by samples, at the parameters of each step.
        gradient_norm: The mean Euclidean norm of the gradient estimates, before clipping.
        circuits: Circuits run, validation included.
        shots: Their shots.
        jobs: Their jobs.
        usd: Their price in US dollars, on the dearer reading.
        seconds: Wall time.
        val_loss: The loss on the validation data, where there was any.
        val_accuracy: The accuracy on it, for class labels.

    >>> TrainingMetrics(1, 0.5, 0.1, circuits=20, shots=2000, jobs=1, usd=0.0, seconds=0.2).val_loss is None
    True
    """

    epoch: int
    loss: float
    gradient_norm: float
    circuits: int
    shots: int
    jobs: int
    usd: float
    seconds: float
    val_loss: float | None = None
    val_accuracy: float | None = None

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """The metrics that a line of metrics.jsonl holds; null is nan, except for validation that was not done."""
        values = {entry.name: record[entry.name] for entry in fields(cls)}
        for name in ("loss", "gradient_norm"):
            values[name] = float("nan") if values[name] is None else values[name]
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How steps are made: everything that does not change during a run."""

    model: QuantumModel
    config: TrainingConfig
    loss: Loss
    regression: bool
    estimator: GradientEstimator
    optimizer: Optimizer
    loss_optimizer: Optimizer

    @property
    def loss_name(self) -> str:
        """What checkpoints call the loss."""
        return next((name for name, made in LOSSES.items() if isinstance(self.loss, type(made()))), "function")

    @property
    def follows_loader(self) -> bool:
        """Whether every step takes a batch of the loader, so that the steps of a run are known before."""
        return self.config.shots_per_circuit is None or not isinstance(self.estimator, SampleChooser)

    def check(self, x: ArrayLike, y: ArrayLike, capabilities: BackendCapabilities) -> None:
        """Raise what steps would raise about these samples and the backend, without running anything.

        Args:
            x: Inputs in radians, as many as are at hand.
            y: Their labels.
            capabilities: The backend's.
        """
        self.check_kind(y)
        problem = self.problem(x, y, self.loss.initial_parameters, capabilities)
        if not problem.active.any():
            raise ConfigurationError(f"there is nothing to train: {_why_inactive(self.model)}")
        first = problem.subset(np.arange(min(problem.n_samples, self.config.batch_size)))
        self.estimator.start(first, self.model.parameters)
        self.optimizer.init(self.model.parameters)
        if isinstance(self.loss, MeanSquaredError) and self.regression:
            self._check_reach(problem.targets)

    def check_kind(self, y: ArrayLike) -> None:
        """Refuse class labels where the run is trained on values, and values where it is trained on classes."""
        check_kind(y, regression=self.regression)

    def _check_reach(self, targets: FloatArray) -> None:
        """Refuse targets that no state's expectation values come near: the loss would fall, and mean nothing."""
        for column, observable in enumerate(self.model.observables):
            reach = sum(abs(term.coefficient) for term in observable.terms)
            worst = float(np.abs(targets[:, column]).max())
            if worst > 1.5 * reach:
                raise DataError(
                    f"a target of {worst:.6g} is out of reach: output {column} is {observable}, between -{reach:.6g} "
                    f"and {reach:.6g}; scale the targets (qstore_core.TargetScaler) or the readout"
                )

    def problem(
        self,
        x: ArrayLike,
        y: ArrayLike,
        loss_parameters: FloatArray,
        capabilities: BackendCapabilities,
        *,
        price: Pricing | None = None,
        remaining: Budget | None = None,
    ) -> Problem:
        """The mini-batch as an estimator sees it."""
        model = self.model
        features = model.encode(x)
        targets = make_targets(y, model.output_dim)
        if len(targets) != len(features):
            raise DataError(f"a batch has {len(features)} samples and {len(targets)} labels; they must be as many")
        reduction, affine = model.reduced(self.config.reduce)
        return Problem(
            structure=reduction.structure,
            affine=affine,
            observables=reduction.observables,
            features=features,
            targets=targets,
            loss=self.loss,
            loss_parameters=loss_parameters,
            shots=self.config.shots_per_circuit,
            trained=model.trainable,
            capabilities=capabilities,
            price=price,
            remaining=remaining,
        )

    async def step(
        self, state: Checkpoint, x: ArrayLike, y: ArrayLike, executor: Executor
    ) -> tuple[Checkpoint, GradientResult]:
        """The next state, and the gradient that led to it."""
        with executor.tracker.span("plan"):
            rounds = self._rounds(state, x, y, executor)
        result, memory = await executor.drive(rounds, label=step_label(state.step + 1))
        with executor.tracker.span("optimise"):
            return self._updated(state, result, memory, size_of((x, y))), result

    async def run_ahead(
        self, state: Checkpoint, x: ArrayLike, y: ArrayLike, executor: Executor, *, beside: Cost
    ) -> None:
        """Run the first circuits of the step from `state`, so that it finds their results.

        Nothing else changes: the step asks for the same circuits under the same keys, and the journal has them.

        Args:
            state: Where the step begins.
            x: Its inputs.
            y: Its labels.
            executor: Where they run.
            beside: What else is being run, and must fit into the budget too.
        """
        rounds = self._rounds(state, x, y, executor)
        requests = next(rounds)
        rounds.close()
        executor.account.check(executor.price(requests) + beside)
        await executor.run(requests, label=step_label(state.step + 1), reusable=False)

    def _rounds(self, state: Checkpoint, x: ArrayLike, y: ArrayLike, executor: Executor) -> Rounds:
        problem = self._charged(x, y, state, executor)
        memory = self._memory(state, problem)
        return self.estimator.gradient(problem, state.parameters, memory, StepKey(state.seed, "train", state.step))

    def _memory(self, state: Checkpoint, problem: Problem) -> Any:
        """What the estimator carries into the step from `state`."""
        if state.step:
            return state.estimator
        memory = self.estimator.start(problem, state.parameters)
        if state.warm_started and isinstance(self.estimator, WarmStarter):
            return self.estimator.warmed(problem, memory)
        return memory

    def wanted_samples(self, state: Checkpoint, x: ArrayLike, y: ArrayLike, executor: Executor) -> int | None:
        """How many samples the step from `state` takes, given a batch of the loader; None: that batch."""
        choose = getattr(self.estimator, "wanted_samples", None)  # each step asks, and `isinstance` takes long
        if choose is None:
            return None
        memory = state.estimator if state.step else self._memory(state, self._charged(x, y, state, executor))
        wanted = choose(memory)
        return None if wanted is None else require_whole("wanted_samples", wanted)

    def _charged(self, x: ArrayLike, y: ArrayLike, state: Checkpoint, executor: Executor) -> Problem:
        self.check_kind(y)
        capabilities, remaining = executor.backend.capabilities, executor.remaining_for(step_label(state.step + 1))
        return self.problem(x, y, state.loss_parameters, capabilities, price=executor.price, remaining=remaining)

    def _updated(self, state: Checkpoint, result: GradientResult, memory: Any, n_samples: int) -> Checkpoint:
        move, optimizer = self._move(state, result)
        parameters = np.where(self.model.trainable, state.parameters + move, state.parameters)
        loss_parameters, loss_optimizer = state.loss_parameters, state.loss_optimizer
        if len(loss_parameters):
            aim, loss_optimizer = self.loss_optimizer.update(result.loss_gradients, loss_optimizer, loss_parameters)
            # a longer step of theirs has no signal to go with it: their gradient is classical, and as noisy as the loss
            factor = min(result.learning_rate_factor, sqrt(result.learning_rate_factor))
            loss_parameters = loss_parameters + factor * (aim - loss_parameters)
        return replace(
            state,
            parameters=parameters,
            optimizer=optimizer,
            loss_parameters=loss_parameters,
            loss_optimizer=loss_optimizer,
            average=next_average(state.average, self.config.parameter_averaging, parameters, loss_parameters),
            estimator=memory,
            step=state.step + 1,
            samples_done=state.samples_done + n_samples,
        )

    def _move(self, state: Checkpoint, result: GradientResult) -> tuple[FloatArray, OptimizerState]:
        if result.move is not None:
            return result.move, state.optimizer
        gradient = result.gradients
        if self.config.use_gradient_clipping:
            # noise is let through: to cut it would make large gradients, of few samples, count for less than they are
            limit = self.config.gradient_clip_value + _LET_THROUGH * sqrt(result.total_variance or 0.0)
            gradient = clip_by_norm(gradient, limit)
        parameters, optimizer = self.optimizer.update(gradient, state.optimizer, state.parameters)
        return result.learning_rate_factor * (parameters - state.parameters), optimizer


def check_kind(y: ArrayLike, *, regression: bool) -> None:
    """Refuse class labels where a run is trained on values, and values where it is trained on classes.

    >>> check_kind([0, 1], regression=False)
    """
    if is_classes(y) != regression:
        return
    if regression:
        raise DataError(
            "this run was trained on values, and these labels are integers, which are classes: y.astype(float)"
        )
    raise DataError("this run was trained on classes, and these labels are floats, which are values: y.astype(int)")


def _why_inactive(model: QuantumModel) -> str:
    if not model.n_parameters:
        return "the circuit has no parameters; give it gates with a Parameter, or predict with it as it is"
    if not model.trainable.any():
        return "every parameter is frozen; call model.unfreeze_all(), or predict with the model as it is"
    return (
        "no parameter that is not frozen can influence an output; use more layers or another readout, or unfreeze more"
    )


def step_label(step: int) -> str:
    """What the journal calls the jobs of a step, counted from 1.

    >>> step_label(12)
    'train step 12'
    """
    return f"train step {step}"


def make_recipe(
    model: QuantumModel, config: TrainingConfig, *, labels_are_classes: bool, n_steps: int | None = None
) -> Recipe:
    """The recipe that a configuration asks for.

    Args:
        model: What is trained.
        config: The settings.
        labels_are_classes: Whether labels are class numbers, or target values.
        n_steps: The steps of the whole run, where they are known.
    """
    loss = make_loss(config.loss, labels_are_classes=labels_are_classes)
    return Recipe(
        model,
        config,
        loss,
        regression=not labels_are_classes,
        estimator=make_estimator(config),
        optimizer=make_parameter_optimizer(config, n_steps),
        loss_optimizer=make_loss_optimizer(config),
    )


async def batches_of(loader: Loader, epoch: int, seed: int) -> AsyncGenerator[Batch]:
    """The batches of one epoch from any kind of loader.

    Raises:
        DataError: The loader gave none, gave something that is not a pair, or can be iterated only once.
    """
    if not any(hasattr(loader, name) for name in ("__iter__", "__aiter__", "__getitem__")):
        advice = ": give an object of a class whose __iter__ or __aiter__ is that function" if callable(loader) else ""
        raise DataError(f"a loader gives (x, y) batches, and a {type(loader).__name__} cannot be iterated{advice}")
    if isinstance(loader, Iterator | AsyncIterator):
        raise DataError(
            f"a loader is iterated again in every epoch, and a {type(loader).__name__} only once: give a list of (x, "
            "y) batches, an ArrayLoader, or an object whose __iter__ or __aiter__ begins anew each time"
        )
    empty = True
    async with aclosing(_iterate(loader, epoch, seed)) as given:
        async for batch in given:
            empty = False
            if not isinstance(batch, tuple | list) or len(batch) != 2:
                raise DataError(f"a loader gives (x, y) pairs, not {type(batch).__name__}")
            yield data_array("inputs", batch[0]), data_array("labels", batch[1])
    if empty:
        raise DataError("there are no samples in the data: the loader gave no batches")


async def _iterate(loader: Loader, epoch: int, seed: int) -> AsyncGenerator[Batch]:
    if isinstance(loader, AsyncIterable):
        given = aiter(loader)
        try:
            async for batch in given:
                yield batch
        finally:
            if isinstance(given, AsyncGenerator):  # which may hold a file until it is closed
                await given.aclose()
        return
    for batch in loader.epoch(epoch, seed) if isinstance(loader, ArrayLoader) else loader:
        yield batch


async def samples_at_hand(loader: Loader) -> Batch:
    """All samples of an `ArrayLoader`; the first batch of any other loader, which may take long to give the rest."""
    return (loader.x, loader.y) if isinstance(loader, ArrayLoader) else await first_batch(loader)


async def first_batch(loader: Loader) -> Batch:
    """The first batch that a loader gives."""
    async with aclosing(batches_of(loader, 0, 0)) as batches:
        async for batch in batches:
            return batch
    raise AssertionError("batches_of raises when there is none")
