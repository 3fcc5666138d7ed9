"""One run: the package's own training loop, watched by a judge who sees exact losses and charges nothing for them."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from qstore_mock.backend import MockBackend

from qstore_core import ArrayLoader, BatchResult, CircuitBatch, Cost, PerformanceTracker, TrainingConfig
from qstore_core.arrays import FloatArray
from qstore_core.backend import Prices
from qstore_core.epochs import train_epoch
from qstore_core.losses import make_targets
from qstore_core.run import Run, begin_run
from qstore_core.surroundings import Surroundings
from qstore_core.synchronous import run_sync
from qstore_core.training import make_recipe

from cost.methods import PRICES, Method
from cost.tasks import Task

REFERENCE_SEEDS = (9001, 9002, 9003, 9004)
"""Targets are taken from these seeds; nothing is compared on them."""

TUNING_SEEDS = (8001, 8002, 8003)
"""Learning rates are chosen on these."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended, and what the backend saw until then."""

    task: str
    method: str
    seed: int
    reached: bool
    cost: Cost

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


class Counting(MockBackend):
    """The simulator, which counts for itself and may declare prices."""

    def __init__(self, prices: Prices | None) -> None:
        super().__init__()
        self.capabilities = replace(self.capabilities, prices=prices)
        self.seen = Cost()

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        """Run and count."""
        self.seen += Cost(circuits=batch.n_circuits, shots=batch.n_shots, jobs=1)
        return await super().execute(batch, compiled)


class _EnoughError(Exception):
    """The judge has seen enough."""


class _Judge:
    """Looks at the run after its steps, in place of a progress bar."""

    def __init__(self, enough: Callable[[Run], bool]) -> None:
        self._enough = enough
        self.run: Run | None = None

    def step(self, loss: float, spent: Cost) -> None:
        """End the run when it is enough."""
        assert self.run is not None
        if self._enough(self.run):
            raise _EnoughError


def race(task: Task, method: Method, seed: int, target: float) -> Outcome:
    """Train until the target is reached, or the circuits are used up.

    Raises:
        AssertionError: The run counted other circuits, shots or jobs than the backend saw.
    """
    backend = Counting(None if method.declared is None else PRICES[method.declared])
    looked, reached = 0, False

    def enough(run: Run) -> bool:
        nonlocal looked, reached
        circuits = run.spent.circuits
        if circuits - looked < task.look_every:
            return False
        looked = circuits
        reached = exact_loss(task, run) <= target
        return reached or circuits >= task.most_circuits

    spent = _trained(task, method.config, seed, backend, enough).spent
    seen = backend.seen
    counted = (spent.circuits, spent.shots, spent.jobs)
    assert counted == (seen.circuits, seen.shots, seen.jobs), f"the run counted {counted}, the backend saw {seen}"
    return Outcome(task.name, method.name, seed, reached, seen)


def target_of(task: Task) -> float:
    """The loss that exact gradients reach in the task's steps (Adam 0.05, batches of 32), mean over reference seeds."""
    config = TrainingConfig(gradient_method="adjoint", shots_per_circuit=None, learning_rate=0.05)

    def enough(run: Run) -> bool:
        return run.state.step >= task.reference_steps

    runs = [_trained(task, config, seed, MockBackend(), enough) for seed in REFERENCE_SEEDS]
    return statistics.mean(exact_loss(task, run) for run in runs)


def tuned(task: Task, method: Method, target: float) -> Method:
    """The method with the rate whose median run on the tuning seeds takes the fewest circuits."""
    if not method.rates:
        return method

    def circuits(rate: float) -> float:
        outcomes = [race(task, method.at(rate), seed, target) for seed in TUNING_SEEDS]
        return statistics.median(each.cost.circuits if each.reached else np.inf for each in outcomes)

    return method.at(min(method.rates, key=circuits))


def exact_loss(task: Task, run: Run) -> float:
    """The loss over all training data, without shot noise."""
    return exact_loss_on(run, *task.data)


def exact_loss_on(run: Run, x: FloatArray, y: FloatArray) -> float:
    """The same for other data, inputs in radians."""
    model, state = run.recipe.model, run.state
    reduction, affine = model.reduced(run.recipe.config.reduce)
    simulator = MockBackend()
    angles = affine.angles(model.encode(x), state.parameters, len(x))
    batch = CircuitBatch(reduction.structure, angles, reduction.observables)
    outputs = run_sync(simulator.execute(batch, simulator.compile(batch.structure, batch.groups))).expectations
    assert outputs is not None
    return run.recipe.loss(outputs, make_targets(y, model.output_dim), state.loss_parameters).value


def _trained(
    task: Task,
    config: TrainingConfig,
    seed: int,
    backend: MockBackend,
    enough: Callable[[Run], bool],
) -> Run:
    """A run that went on until it was enough."""
    recipe = make_recipe(task.model(), replace(config, seed=seed), labels_are_classes=True)
    around = Surroundings(recipe.config, backend, PerformanceTracker(), None)
    run = begin_run(recipe, around, None, None, resume=False)
    loader, judge = ArrayLoader(*task.data, config.batch_size), _Judge(enough)
    judge.run = run

    async def train() -> None:
        while True:
            await train_epoch(run, loader, None, judge, more=True)

    try:
        asyncio.run(train())
    except _EnoughError:
        return run
    raise AssertionError("only the judge ends a run")
