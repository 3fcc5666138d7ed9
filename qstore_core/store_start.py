"""A warm start from a store: the nearest run that has the same model and loss, and its parameters."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qstore_core.data import ArrayLoader
from qstore_core.errors import DataError, StoreError
from qstore_core.losses import make_targets
from qstore_core.preprocessing import FeatureScaler
from qstore_core.run import Run
from qstore_core.run_directory import RunDirectory
from qstore_core.run_record import NAMESPACE, RunRecord, features_key, fitted, has_namesakes, scaler_digest, task_keys
from qstore_core.store import Store
from qstore_core.store_filter import matches
from qstore_core.task_vector import task_vector
from qstore_core.training import Loader, Recipe, batches_of

LEAST_SIMILARITY = 0.3
"""A run whose task is less like ours than this is no help."""

_CANDIDATES = 100
_ENOUGH = 20_000  # samples that tell what a task is
_log = logging.getLogger("qstore")

Task = NDArray[np.float32]


async def start_from_store(run: Run, task: Task, store: Store, own_id: str = "") -> RunRecord | None:
    """Give a run that has done no step the parameters of the nearest compatible run, if its configuration asks for it.

    Compatible is a run of the same circuit, readout, loss, kind of labels and scaling of inputs, on whatever backend;
    near, one whose data and labels have similar statistics. What is taken, or why nothing is, is logged, and written to
    the run directory. Frozen parameters stay.

    Args:
        run: The run.
        task: The vector of its task.
        store: Where runs are.
        own_id: A run that is not taken, because it is this one.

    Returns:
        The run that it starts from, if any.
    """
    state, recipe = run.state, run.recipe
    if recipe.config.warm_start != "store" or state.step or state.warm_started:
        return None
    where = {**task_keys(recipe), "features": features_key(recipe.model)}
    found = await _nearest(store, where, lambda record: task, task, own_id)
    if isinstance(found, _NoRun):
        _log.log(found.level, "warm start: none, because %s", found.reason)
        _write_down(run.directory, run=None, reason=found.reason)
        return None
    record, similarity = found
    _log.info(
        "warm start: from run %s, whose task has cosine %.3f with this one, after %d steps and %s",
        record.id,
        similarity,
        record.steps,
        record.cost,
    )
    kept = np.where(recipe.model.trainable, record.parameters, state.parameters)
    run.accept(replace(state, parameters=kept, loss_parameters=record.loss_parameters, warm_started=True))
    _write_down(run.directory, run=record.id, similarity=similarity)
    run.save()
    return record


def _write_down(directory: RunDirectory | None, **told: Any) -> None:
    if directory is not None:
        directory.drop_metrics_after(-1, -1)  # of a warm start that was interrupted before its checkpoint
        directory.append_metrics({"kind": "warm_start", "step": 0, **told})


async def stored_scaler(recipe: Recipe, x: ArrayLike, y: ArrayLike, store: Store) -> FeatureScaler | None:
    """The scaler of the run to start from, in whose features the task looks most like that run's own; None: no run.

    Parameters mean something only with the features that they were trained on, so a warm start takes both.

    Args:
        recipe: What is to be trained.
        x: Inputs as they are in the data.
        y: Labels.
        store: Where runs are.
    """
    model = recipe.model
    targets = make_targets(y, model.output_dim)
    own = task_vector(FeatureScaler.fit(x, model.input_dim).transform(x), targets)

    def seen_by(record: RunRecord) -> Task | None:
        if not record.scaler or scaler_digest(record.scaler) != record.features:
            return None
        try:
            return task_vector(FeatureScaler.from_arrays(dict(record.scaler)).transform(x), targets)
        except DataError:  # other columns
            return None

    found = await _nearest(store, task_keys(recipe), seen_by, own, "")
    await close(store)
    return None if isinstance(found, _NoRun) else FeatureScaler.from_arrays(dict(found[0].scaler))


async def close(store: Store) -> None:
    """Close a store, whatever it says to that."""
    try:
        await store.close()
    except Exception as error:
        _log.warning("store: it could not be closed: %s", error)


async def task_of(recipe: Recipe, loader: Loader, seed: int) -> Task:
    """The vector of the task that a loader's data are."""
    if isinstance(loader, ArrayLoader):
        return task_vector(recipe.model.check_inputs(loader.x), make_targets(loader.y, recipe.model.output_dim))
    inputs, targets, count = [], [], 0
    async for x, y in batches_of(loader, 0, seed):
        inputs.append(recipe.model.check_inputs(x))
        targets.append(make_targets(y, recipe.model.output_dim))
        count += len(inputs[-1])
        if count >= _ENOUGH:
            break
    return task_vector(np.concatenate(inputs), np.concatenate(targets))


@dataclass(frozen=True, slots=True)
class _NoRun:
    """Why there is no run to start from."""

    reason: str
    level: int = logging.WARNING


async def _nearest(
    store: Store, where: Mapping[str, Any], seen_by: Callable[[RunRecord], Task | None], task: Task, own_id: str
) -> tuple[RunRecord, float] | _NoRun:
    """The most similar of the runs that a filter lets through; a store that is away has none."""
    if not has_namesakes(where):
        return _NoRun("the loss is a function without a name of its own; define it in a module")
    try:
        dimension = (await store.describe()).dimension
        found = await store.query(fitted(task, dimension), top_k=_CANDIDATES, where=where, namespace=NAMESPACE)
        entries = await store.fetch([match.id for match in found if match.id != own_id], namespace=NAMESPACE)
    except Exception as error:  # a plugin may raise anything, and none of it is worth a paid run
        return _NoRun(f"the store cannot be asked: {error}")
    best: tuple[RunRecord, float] | None = None
    for entry in entries.values():
        record = _compatible(entry, where)
        seen = None if record is None else seen_by(record)
        if record is None or seen is None:
            continue
        similarity = record.similarity(seen)
        if best is None or _rank(record, similarity) > _rank(*best):
            best = record, similarity
    if best is None or best[1] < LEAST_SIMILARITY:
        told = (
            "no run in the store has the same circuit, readout, loss, labels and features"
            if best is None
            else f"the nearest run in the store, {best[0].id}, has cosine {best[1]:.3f}, less than {LEAST_SIMILARITY}"
        )
        return _NoRun(told, logging.INFO)
    return best


def _compatible(entry: Any, where: Mapping[str, Any]) -> RunRecord | None:
    """The run of an entry, if it is whole and of the kind that was asked for, whatever the store thinks."""
    try:
        record = RunRecord.from_entry(entry)
    except StoreError as error:
        _log.warning("warm start: %s; it is left out", error)
        return None
    if not matches(where, {**record.keys, "features": record.features}):
        return None
    return record if len(record.parameters) == where["n_parameters"] else None


def _rank(record: RunRecord, similarity: float) -> tuple[float, bool, float]:
    """What is preferred: the nearer, of equally near ones the finished, of those the one that ended lower."""
    return round(similarity, 4), record.state == "finished", -record.metrics.get("final_loss", np.inf)
