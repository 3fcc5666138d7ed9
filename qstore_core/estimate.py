"""The price of a run before it is run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np

from qstore_core.arrays import FloatArray
from qstore_core.batch import BatchResult, CircuitBatch, VectorJacobianProduct
from qstore_core.cost import Cost
from qstore_core.executor import Executor
from qstore_core.problem import Problem, Request, Rounds, SampleChooser, State, require_count, require_whole
from qstore_core.randomness import StepKey
from qstore_core.training import Recipe

_MOST_STEPS = 5000
"""How many steps are gone through one by one; later epochs are taken to cost what the last of these does."""


@dataclass(frozen=True, slots=True)
class RunEstimate:
    """What a run will take if no job has to be sent again.

    Attributes:
        step: One full step of training; where they differ, the middle one by price.
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
    """Ask the estimator for the circuits of every step, answer with zeros, and price what it asked for."""
    require_whole("n_samples", n_samples)
    require_count("n_validation", n_validation)
    require_count("epochs", epochs)
    passes = list(_passes(recipe, executor, n_samples, batch_size, epochs))
    rest = epochs - len(passes)
    n_steps = sum(map(len, passes)) + rest * len(passes[-1])
    training = sum((cost for steps in passes for cost, _ in steps), Cost())
    training += rest * sum((cost for cost, _ in passes[-1]), Cost())
    full = [cost for steps in passes for cost, size in steps if size == steps[0][1]]
    full.sort(key=lambda cost: (cost.usd_high, cost.circuits))
    batches = Counter(_sizes(n_validation, batch_size)).items()
    validation = sum((count * _forward_cost(recipe, executor, size) for size, count in batches), Cost())
    return RunEstimate(full[len(full) // 2], n_steps, validation, training + epochs * validation)


def _sizes(n_samples: int, batch_size: int) -> list[int]:
    """The sizes of the batches of one pass over the data."""
    full, rest = divmod(n_samples, batch_size)
    return [batch_size] * full + [rest] * bool(rest)


def _passes(
    recipe: Recipe, executor: Executor, n_samples: int, batch_size: int, epochs: int
) -> Iterator[list[tuple[Cost, int]]]:
    """For one epoch after the other what each of its steps takes, and its samples; one epoch at least."""
    estimator, parameters = recipe.estimator, recipe.model.parameters
    problem = cache(partial(_problem, recipe, executor))
    state = estimator.start(problem(min(batch_size, n_samples)), parameters)
    step = 0
    for _ in range(max(1, epochs)):
        if step >= _MOST_STEPS:
            return
        taken: list[tuple[Cost, int]] = []
        left = n_samples
        while left:
            wanted = estimator.wanted_samples(state) if isinstance(estimator, SampleChooser) else None
            size = min(left, wanted or batch_size)
            rounds = estimator.gradient(problem(size), parameters, state, StepKey(0, "estimate", step))
            cost, state = _priced(rounds, executor)
            taken.append((cost, size))
            left, step = left - size, step + 1
        yield taken


def _problem(recipe: Recipe, executor: Executor, n_samples: int) -> Problem:
    features = np.zeros((n_samples, recipe.model.input_dim))
    targets = np.zeros((n_samples, recipe.model.output_dim))
    problem = recipe.problem(features, targets, recipe.loss.initial_parameters, executor.backend.capabilities)
    return replace(problem, price=executor.price)


def _priced(rounds: Rounds, executor: Executor) -> tuple[Cost, State]:
    """The price of a step, and the estimator's next state."""
    total = Cost()
    try:
        requests = next(rounds)
        while True:
            total += executor.price(requests)
            requests = rounds.send(tuple(_zeros(request) for request in requests))
    except StopIteration as finished:
        return total, finished.value[1]


def _forward_cost(recipe: Recipe, executor: Executor, n_samples: int) -> Cost:
    reduction, _ = recipe.model.reduced(recipe.config.reduce)
    angles, draws = np.zeros((n_samples, len(reduction.angles))), np.zeros(n_samples, dtype=np.uint64)
    shots = recipe.config.shots_per_circuit
    return executor.price((CircuitBatch(reduction.structure, angles, reduction.observables, shots, draws),))


def _zeros(request: Request) -> BatchResult:
    if isinstance(request, VectorJacobianProduct):
        values = _values(request.batch)
        if callable(request.cotangents):
            request.cotangents(values)
        return BatchResult(expectations=values, angle_gradients=np.zeros_like(request.batch.angles))
    return BatchResult(expectations=_values(request))


def _values(batch: CircuitBatch) -> FloatArray:
    return np.zeros((batch.n_rows, len(batch.observables or ())))
