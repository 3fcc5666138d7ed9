"""A run in progress: how it starts, what each step replaces, and how it is kept."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from qstore_core.arrays import FloatArray
from qstore_core.checkpoint import Checkpoint
from qstore_core.cost import Cost
from qstore_core.errors import CheckpointError, RunDirectoryError
from qstore_core.executor import Executor
from qstore_core.preprocessing import FeatureScaler
from qstore_core.randomness import fresh_seed
from qstore_core.run_directory import RunDirectory
from qstore_core.training import Recipe


@dataclass(slots=True, eq=False)
class Run:
    """What stays during a run, and the state that each step replaces."""

    recipe: Recipe
    executor: Executor
    state: Checkpoint
    directory: RunDirectory | None
    initial_parameters: FloatArray = field(init=False)
    _spent_elsewhere: Cost = field(init=False)

    def __post_init__(self) -> None:
        self.initial_parameters = self.state.parameters
        self._spent_elsewhere = self.state.spent - self.executor.spent
        self.accept(self.state)

    @property
    def spent(self) -> Cost:
        """What the whole run has cost, earlier processes included."""
        return self._spent_elsewhere + self.executor.spent

    def accept(self, state: Checkpoint) -> None:
        """Make `state` the present one."""
        self.state = state
        self.recipe.model.parameters = state.parameters

    def adopt_parameters(self) -> None:
        """Go on from the model's parameters, which may have been assigned since the last step."""
        self.state = replace(self.state, parameters=self.recipe.model.parameters)

    def save(self) -> None:
        """Write a checkpoint, when there is somewhere to write it."""
        if self.directory is not None:
            self.directory.save(replace(self.state, spent=self.spent))


def begin_run(recipe: Recipe, executor: Executor, *, resume: bool) -> Run:
    """A new run, or with `resume` the one in the configuration's run directory if there is one.

    Raises:
        RunDirectoryError: The directory cannot be written, or holds a run and `resume` is not set.
        CheckpointError: The checkpoint is damaged or belongs to another run; nothing is changed.
    """
    config = recipe.config
    directory = None if config.directory is None else RunDirectory(config.directory)
    if directory is None or not directory.holds_run:
        run = Run(recipe, executor, _fresh(recipe), directory)
    elif resume:
        run = Run(recipe, executor, _checked(directory.load(), recipe), directory)
        directory.drop_metrics_after(run.state.step)
    else:
        raise RunDirectoryError(
            f"{directory.path} already holds a run: go on with it by resume=True, or choose another run directory"
        )
    if directory is not None:
        seed, backend = run.state.seed, executor.backend.fingerprint
        directory.create({**config.to_dict(), "seed": seed, "backend": backend, "model": run.state.model})
        run.save()
    return run


def _fresh(recipe: Recipe) -> Checkpoint:
    model, config = recipe.model, recipe.config
    seed = fresh_seed() if config.seed is None else config.seed
    model.initialize_unless_chosen(seed)
    loss_parameters = recipe.loss.initial_parameters.copy()
    return Checkpoint(
        model=model.fingerprint,
        parameters=model.parameters,
        loss_parameters=loss_parameters,
        loss=recipe.loss_name,
        optimizer=recipe.optimizer.init(model.parameters),
        optimizer_name=config.optimizer,
        loss_optimizer=recipe.loss_optimizer.init(loss_parameters),
        estimator=None,
        gradient_method=config.gradient_method,
        seed=seed,
        step=0,
        epoch=0,
        batches_done=0,
        spent=Cost(),
        scaler={} if model.scaler is None else model.scaler.to_arrays(),
    )


def _checked(state: Checkpoint, recipe: Recipe) -> Checkpoint:
    """`state`, if this recipe can go on from it."""
    config, model = recipe.config, recipe.model
    if state.model != model.fingerprint:
        raise CheckpointError(
            f"the checkpoint in {config.directory} belongs to another model: its circuit or readout differs; build the "
            "same model, or choose another run directory"
        )
    stored = {"optimizer": state.optimizer_name, "gradient_method": state.gradient_method, "loss": state.loss}
    asked = {"optimizer": config.optimizer, "gradient_method": config.gradient_method, "loss": recipe.loss_name}
    for name, value in stored.items():
        if asked[name] != value:
            raise CheckpointError(
                f"the checkpoint in {config.directory} was made with {name}={value!r}, not {asked[name]!r}; use the "
                "same, or choose another run directory"
            )
    if config.seed not in (None, state.seed):
        raise CheckpointError(
            f"the run in {config.directory} was started with seed={state.seed}, not {config.seed}; leave the seed None"
        )
    if state.scaler:
        model.scaler = FeatureScaler.from_arrays(dict(state.scaler))
    return state
