"""A warm start: training on an exact simulator on this machine, before the first step that has to be paid for."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from qstore_core.backend import Backend
from qstore_core.checkpoint import Checkpoint
from qstore_core.config import TrainingConfig
from qstore_core.errors import CapabilityError, ConfigurationError, UnknownNameError
from qstore_core.executor import Executor
from qstore_core.methods import make_estimator
from qstore_core.model import QuantumModel
from qstore_core.optimizers import RATED
from qstore_core.registry import get_backend
from qstore_core.run import Run
from qstore_core.surroundings import check_backend
from qstore_core.training import Loader, Recipe, batches_of

SIMULATOR = "mock"
"""The backend that warm starts run on: exact, and with an adjoint gradient."""

_PATIENCE = 3
_FALL = 1e-3
_log = logging.getLogger("qstore")


def simulator_for(model: QuantumModel, config: TrainingConfig) -> Backend | None:
    """The simulator for a run's warm start; None where it has none, because it was not asked for or the run is exact.

    Raises:
        ConfigurationError: There is no simulator; the message says how to install one.
        CapabilityError: The model has too many qubits for it.

    >>> simulator_for(QuantumModel(2, 2, 1), TrainingConfig(warm_start="simulator")).name
    'mock'
    """
    if config.warm_start != "simulator" or config.shots_per_circuit is None:
        return None
    try:
        simulator = get_backend(SIMULATOR)
        check_backend(model, simulator, _exact(config))
    except UnknownNameError as error:
        raise ConfigurationError(f"warm_start='simulator' trains on a simulator on this machine: {error}") from None
    except CapabilityError as error:
        raise CapabilityError(f"warm_start='simulator': {error}, or leave warm_start None") from None
    return simulator


async def warm_start(run: Run, loader: Loader) -> None:
    """Bring a run that has done no step to where training on the simulator ends, if its configuration asks for that.

    The simulator gets the same data in the same order, the same loss and optimiser, and an exact gradient, for at most
    `epochs` epochs, and fewer when the loss has converged. What is kept of it are the parameters, the loss's own too;
    it is not counted, and a checkpoint that has it is not given another.
    """
    config, state = run.recipe.config, run.state
    if config.warm_start != "simulator" or state.step or state.warm_started:
        return
    simulator = simulator_for(run.recipe.model, config)
    if simulator is None:
        _log.info("warm start: left out, because this run is exact itself")
        return
    _log.info("warm start: training on simulator %s first", simulator.name)
    begin = time.perf_counter()
    async with simulator:
        executor, recipe = Executor(simulator), _exact_recipe(run.recipe)
        trained, epochs = await _trained(recipe, state, loader, executor)
        losses = [await _loss(recipe, each, loader, executor) for each in (state, trained)]
    _keep(run, trained, epochs, losses, time.perf_counter() - begin)


def _exact(config: TrainingConfig) -> TrainingConfig:
    method = "adjoint" if config.optimizer in RATED else "adaptive"
    return replace(config, shots_per_circuit=None, gradient_method=method, gradient_options={})


def _exact_recipe(recipe: Recipe) -> Recipe:
    config = _exact(recipe.config)
    return replace(recipe, config=config, estimator=make_estimator(config))


async def _trained(recipe: Recipe, state: Checkpoint, loader: Loader, executor: Executor) -> tuple[Checkpoint, int]:
    """The state after as many epochs as it takes, and how many those were."""
    losses: list[float] = []
    while len(losses) < recipe.config.epochs and not _converged(losses, state):
        values, sizes = [], []
        async for x, y in batches_of(loader, len(losses), state.seed):
            state, result = await recipe.step(state, x, y, executor)
            values.append(result.function_value)
            sizes.append(len(np.atleast_1d(y)))
            await asyncio.sleep(0)  # lets Ctrl-C and other tasks in, between two steps
        losses.append(float(np.average(values, weights=sizes)))
    return state, len(losses)


def _converged(losses: Sequence[float], state: Checkpoint) -> bool:
    """Whether the last epochs, a step for each parameter at least, brought the least loss down by under 0.1%."""
    if not losses:
        return False
    turns = -(-len(state.parameters) * len(losses) // state.step)  # epochs with that many steps, rounded up
    last = max(_PATIENCE, turns)
    if len(losses) <= last:
        return False
    least = min(losses[:-last])
    return min(losses[-last:]) > least - _FALL * abs(least)


async def _loss(recipe: Recipe, state: Checkpoint, loader: Loader, executor: Executor) -> float:
    """The exact loss over the data, at the parameters that a model in this state would hold."""
    values, sizes = [], []
    async for x, y in batches_of(loader, 0, state.seed):
        problem = recipe.problem(x, y, state.averaged_loss_parameters, executor.backend.capabilities)
        samples = np.arange(problem.n_samples)
        batch = problem.batch(state.averaged_parameters, samples, np.zeros(len(samples), dtype=np.uint64))
        (result,) = await executor.run((batch,))
        values.append(problem.loss_of(problem.outputs(batch, result).values).value)
        sizes.append(problem.n_samples)
    return float(np.average(values, weights=sizes))


def _keep(run: Run, trained: Checkpoint, epochs: int, losses: Sequence[float], seconds: float) -> None:
    """Make what was trained the state that the run begins with, and say so."""
    before, after = losses
    _log.info("warm start: %d epochs on the simulator brought the loss from %.6g to %.6g", epochs, before, after)
    run.accept(
        replace(
            run.state,
            parameters=trained.averaged_parameters,
            loss_parameters=trained.averaged_loss_parameters,
            warm_started=True,
        )
    )
    if run.directory is not None:
        record = {"step": 0, "epochs": epochs, "loss_before": before, "loss_after": after, "seconds": seconds}
        run.directory.drop_metrics_after(-1, -1)  # of a warm start that was interrupted before its checkpoint
        run.directory.append_metrics({"kind": "warm_start", **record})
    run.save()
