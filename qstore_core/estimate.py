"""The price of a run before it is run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qstore_core.batch import BatchResult, CircuitBatch, VectorJacobianProduct
from qstore_core.cost import Cost
from qstore_core.executor import Executor
from qstore_core.problem import Request
from qstore_core.randomness import StepKey
from qstore_core.training import Recipe


@dataclass(frozen=True, slots=True)
class RunEstimate:
    """What a run will take if no job has to be sent again.

    Attributes:
        step: One full step of training.
        n_steps: Steps of the run; the last batch of an epoch may be smaller than the others.
        validation: One pass over the validation data.
        total: The whole run. `usd_low` and `usd_high` are the two readings of the provider's price list.

    >>> RunEstimate(Cost(circuits=20, jobs=1), 5, Cost(), Cost(circuits=100, jobs=5)).n_steps
    5
    """

    step: Cost
    n_steps: int
    validation: Cost
    total: Cost


def estimate_run(
    recipe: Recipe, executor: Executor, *, n_samples: int, n_validation: int, batch_size: int, epochs: int
) -> RunEstimate:
    """Ask the estimator for the circuits of a step, answer with zeros, and price what it asked for."""
    full, rest = divmod(n_samples, batch_size)
    step = _step_cost(recipe, executor, min(batch_size, n_samples))
    epoch = _times(step, full)
    if rest:
        epoch += _step_cost(recipe, executor, rest)
    validation = Cost()
    if n_validation:
        full_batches, rest_samples = divmod(n_validation, batch_size)
        validation = _times(_forward_cost(recipe, executor, batch_size), full_batches)
        if rest_samples:
            validation += _forward_cost(recipe, executor, rest_samples)
    n_steps = epochs * (full + bool(rest))
    return RunEstimate(step, n_steps, validation, _times(epoch + validation, epochs))


def _step_cost(recipe: Recipe, executor: Executor, n_samples: int) -> Cost:
    model = recipe.model
    features = np.zeros((n_samples, model.input_dim))
    targets = np.zeros((n_samples, model.output_dim))
    problem = recipe.problem(features, targets, recipe.loss.initial_parameters, executor.backend.capabilities)
    state = recipe.estimator.start(problem, model.parameters)
    rounds = recipe.estimator.gradient(problem, model.parameters, state, StepKey(0, "estimate"))
    total = Cost()
    try:
        requests = next(rounds)
        while True:
            total += executor.price(requests)
            requests = rounds.send(tuple(_zeros(request) for request in requests))
    except StopIteration:
        return total


def _forward_cost(recipe: Recipe, executor: Executor, n_samples: int) -> Cost:
    reduction, _ = recipe.model.reduced(recipe.config.reduce)
    angles, draws = np.zeros((n_samples, len(reduction.angles))), np.zeros(n_samples, dtype=np.uint64)
    shots = recipe.config.shots_per_circuit
    return executor.price((CircuitBatch(reduction.structure, angles, reduction.observables, shots, draws),))


def _zeros(request: Request) -> BatchResult:
    if isinstance(request, VectorJacobianProduct):
        return BatchResult(angle_gradients=np.zeros_like(request.batch.angles))
    return BatchResult(expectations=np.zeros((request.n_rows, len(request.observables or ()))))


def _times(cost: Cost, count: int) -> Cost:
    return Cost(
        cost.usd_low * count,
        cost.usd_high * count,
        cost.circuits * count,
        cost.shots * count,
        cost.jobs * count,
        cost.seconds * count,
    )
