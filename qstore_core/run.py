"""A run in progress: how it starts, what each step replaces, and how it is kept."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from qstore_core.arrays import FloatArray
from qstore_core.backend import Backend, RemoteBackend
from qstore_core.checkpoint import Checkpoint
from qstore_core.code_digest import described
from qstore_core.config import TrainingConfig
from qstore_core.cost import Cost
from qstore_core.errors import (
    BudgetExceededError,
    CheckpointError,
    ConfigurationError,
    JournalError,
    QStoreError,
    RunDirectoryError,
)
from qstore_core.executor import Executor
from qstore_core.model import QuantumModel
from qstore_core.preprocessing import FeatureScaler
from qstore_core.randomness import fresh_seed
from qstore_core.run_directory import RunDirectory
from qstore_core.surroundings import Surroundings
from qstore_core.training import Recipe, TrainingMetrics

_RECENT = 20
"""Steps whose mean loss an interrupted run tells."""
_log = logging.getLogger("qstore")


class Recorder(Protocol):
    """Who is told what a run does, and must neither fail nor take time."""

    def batch_used(self, x: Any, y: Any, state: Checkpoint) -> None:
        """A step was done on these samples."""
        ...

    def epoch_ended(self, metrics: TrainingMetrics) -> None:
        """An epoch was done."""
        ...

    def saved(self, state: Checkpoint, spent: Cost) -> None:
        """The run was kept, or would have been if it had a directory."""
        ...


if TYPE_CHECKING:
    from qstore_core.journal import Journal


@dataclass(slots=True, eq=False)
class Run:
    """What stays during a run, and the state that each step replaces."""

    recipe: Recipe
    executor: Executor
    state: Checkpoint
    directory: RunDirectory | None
    validation_cost: Cost = field(default_factory=Cost, init=False)
    """What the last validation took; nothing before the first."""
    initial_parameters: FloatArray = field(init=False)
    recorder: Recorder | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.initial_parameters = self.state.parameters
        self.accept(self.state)

    @property
    def spent(self) -> Cost:
        """What the whole run has cost, earlier processes included."""
        return self.executor.spent

    def history(self) -> list[TrainingMetrics]:
        """The epochs that its directory has."""
        records = [] if self.directory is None else self.directory.epochs()
        return [TrainingMetrics.from_record(record) for record in records]

    def accept(self, state: Checkpoint) -> None:
        """Make `state` the present one."""
        self.state = state
        self.recipe.model.parameters = state.averaged_parameters

    def adopt_parameters(self) -> None:
        """Go on from the model's parameters if they were assigned since the last step; an average begins anew there."""
        chosen = self.recipe.model.parameters
        if not np.array_equal(chosen, self.state.averaged_parameters):
            self.state = replace(self.state, parameters=chosen, average={})

    def save(self) -> None:
        """Write a checkpoint, when there is somewhere to write it."""
        if self.directory is not None:
            self.directory.save(replace(self.state, spent=self.spent))
        if self.recorder is not None:
            self.recorder.saved(self.state, self.spent)


def begin_run(
    recipe: Recipe,
    around: Surroundings,
    directory: RunDirectory | None,
    data: str | None,
    *,
    resume: bool,
    before: Cost = Cost(),  # noqa: B008
) -> Run:
    """A new run, or with `resume` the one in the run directory if there is one.

    Args:
        recipe: How steps are made.
        around: Where they run.
        directory: Where the run is kept; None: nowhere.
        data: A digest of the training data, where it is known.
        resume: Whether to go on with what the directory holds.
        before: What its trainer has spent already that is in no journal; it counts against the run's budget.

    Raises:
        RunDirectoryError: The directory cannot be written, or holds a run and `resume` is not set.
        CheckpointError: The checkpoint is damaged or belongs to another run; nothing is changed.
    """
    settings = _settings(recipe, around.backend, data)
    if directory is None or not directory.holds_run:
        state = _fresh(recipe, settings)
    elif resume:
        state = _checked(directory.load(), recipe, settings, directory)
    else:
        raise RunDirectoryError(
            f"{directory.path} already holds a run: go on with it (resume=True, or --resume on the command line), or "
            "choose another run directory"
        )
    journal, spent = None, state.spent + before
    if directory is not None:
        document = {**around.config.to_dict(), "seed": state.seed, "backend": around.backend.fingerprint}
        directory.create({**document, "model": state.model})
        directory.drop_metrics_after(state.step, state.epoch)
        if isinstance(around.backend, RemoteBackend):
            journal = _journal(directory, state)
            spent = journal.total()  # the record of what was paid, also after the last checkpoint
    if isinstance(around.backend, RemoteBackend) and around.config.budget is None:
        _warn_of_prices(around.backend)
    run = Run(recipe, around.executor(spent=spent, journal=journal), state, directory)
    run.save()
    return run


def _warn_of_prices(backend: Backend) -> None:
    if backend.capabilities.prices is not None:
        _log.warning(
            "no budget is set, and jobs on %s cost money: TrainingConfig(budget=Budget(usd=...)) is never passed, and "
            "trainer.estimate_cost(model, n_samples) says what a run takes",
            backend.name,
        )


def _journal(directory: RunDirectory, state: Checkpoint) -> Journal:
    """The journal of the run; refused where jobs were paid for and the record of them is gone."""
    from qstore_core.journal import Journal  # here, because runs on simulators have none

    if state.spent.jobs and not directory.journal_path.exists():
        raise JournalError(
            f"{directory.journal_path} is missing, and the checkpoint knows of {state.spent.jobs} job(s) for "
            f"{state.spent.usd_high:.2f} USD: put it back, or start another run; without it they would be paid again"
        )
    return Journal(directory.journal_path)


@contextmanager
def only_one(training: list[str]) -> Iterator[None]:
    """Refuse a second run of a trainer while its first, which is in the list, goes on."""
    training.append("run")
    try:
        if len(training) > 1:
            raise ConfigurationError("this trainer is training already; wait for it, or make another QuantumTrainer")
        yield
    finally:
        training.pop()


def saved_scaler(config: TrainingConfig, model: QuantumModel) -> FeatureScaler | None:
    """The scaler of the run in the configuration's run directory, if there is one and it is of this model.

    >>> saved_scaler(TrainingConfig(), QuantumModel(2, 2, 1)) is None
    True
    """
    if config.directory is None or not RunDirectory(config.directory).holds_run:
        return None
    state = RunDirectory(config.directory).load()
    return FeatureScaler.from_arrays(dict(state.scaler)) if state.scaler and state.model == model.fingerprint else None


_DECIDING = (
    "optimizer",
    "optimizer_options",
    "parameter_averaging",
    "gradient_method",
    "gradient_options",
    "learning_rate",
    "learning_rate_decay",
    "momentum",
    "weight_decay",
    "shots_per_circuit",
    "use_gradient_clipping",
    "gradient_clip_value",
    "spsa_c_initial",
    "spsa_a_initial",
    "gradient_subsample_size",
    "warm_start",
    "reduce",
)


_LOSS = "loss_function"


def _settings(recipe: Recipe, backend: Backend, data: str | None) -> dict[str, Any]:
    """What decides where a run goes: resuming with anything else would not be the same run."""
    chosen = recipe.config.to_dict()
    settings = {name: chosen[name] for name in _DECIDING}
    settings |= {"frozen": np.flatnonzero(~recipe.model.trainable).tolist(), "loss": recipe.loss_name}
    if callable(recipe.config.loss):
        settings[_LOSS] = described(recipe.config.loss)
    return {**settings, "backend": backend.fingerprint, "data": data}


def _fresh(recipe: Recipe, settings: Mapping[str, Any]) -> Checkpoint:
    model, config = recipe.model, recipe.config
    seed = fresh_seed() if config.seed is None else int(config.seed)
    model.initialize_unless_chosen(seed)
    loss_parameters = recipe.loss.initial_parameters.copy()
    return Checkpoint(
        model=model.fingerprint,
        settings=settings,
        parameters=model.parameters,
        loss_parameters=loss_parameters,
        optimizer=recipe.optimizer.init(model.parameters),
        loss_optimizer=recipe.loss_optimizer.init(loss_parameters),
        estimator=None,
        seed=seed,
        step=0,
        epoch=0,
        samples_done=0,
        spent=Cost(),
        scaler={} if model.scaler is None else model.scaler.to_arrays(),
    )


def _checked(state: Checkpoint, recipe: Recipe, settings: Mapping[str, Any], directory: RunDirectory) -> Checkpoint:
    """`state`, if this recipe can go on from it."""
    config, model = recipe.config, recipe.model
    if state.model != model.fingerprint:
        raise CheckpointError(
            f"the checkpoint in {directory.path} belongs to another model: its circuit or readout differs; build the "
            "same model, or choose another run directory"
        )
    for name, stored in state.settings.items():
        if name == _LOSS and name in settings:
            _check_loss(stored, settings[name], directory)
            continue
        if name == "data" and None not in (stored, settings["data"]) and stored != settings["data"]:
            raise CheckpointError(
                f"the run in {directory.path} was started with other data, or other batches of it; give the same, or "
                "choose another run directory"
            )
        if name != "data" and settings.get(name) != stored:
            raise CheckpointError(
                f"the checkpoint in {directory.path} was made with {name}={stored!r}, not {settings.get(name)!r}; use "
                "the same, or choose another run directory"
            )
    if config.seed not in (None, state.seed):
        raise CheckpointError(
            f"the run in {directory.path} was started with seed={state.seed}, not {config.seed}; use that seed"
        )
    if state.scaler:
        model.scaler = FeatureScaler.from_arrays(dict(state.scaler))
    return state


def _check_loss(stored: Mapping[str, str], chosen: Mapping[str, str], directory: RunDirectory) -> None:
    if stored["digest"] == chosen["digest"]:
        return
    if stored["python"] != chosen["python"]:
        _log.warning(
            "the run in %s was started with the loss function %s under %s, and this is %s under %s: whether it is "
            "the same cannot be told; the run goes on with it",
            directory.path,
            stored["name"],
            stored["python"],
            chosen["name"],
            chosen["python"],
        )
        return
    names = [f"{each['name']} ({each['digest'][:8]})" for each in (stored, chosen)]
    raise CheckpointError(
        f"the run in {directory.path} was started with the loss function {names[0]}, not {names[1]}: its code, or a "
        "number, text or array that it holds, is another; use the same, or choose another run directory"
    )


def with_advice(error: QStoreError, run: Run) -> QStoreError:
    """The same error, with what was paid, how far the loss came, and how to go on."""
    spent = run.spent
    told = f"{error}. Spent so far: {spent.circuits:,} circuits in {spent.jobs:,} jobs, {spent.usd_high:.2f} USD"
    recent = [step.loss for step in run.executor.tracker.steps[-_RECENT:]]
    if recent:
        told += f"; mean loss of the last {len(recent)} steps {np.mean(recent):.3f}"
    if run.directory is not None:
        remedy = "raise the budget and resume" if isinstance(error, BudgetExceededError) else "resume to go on"
        told += f"; the checkpoint is in {run.directory.path}: {remedy}"
    return type(error)(told)
