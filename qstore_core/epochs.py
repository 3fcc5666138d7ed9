"""Epochs of training: their steps, their validation, and what is written of them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sized
from dataclasses import asdict, replace
from typing import Any, TypeVar, cast

import numpy as np

from qstore_core.cost import Cost
from qstore_core.data import ArrayLoader, Batch
from qstore_core.errors import BackendError, BudgetExceededError
from qstore_core.progress import Progress, progress_bar
from qstore_core.run import Run
from qstore_core.stream import mini_batches, size_of
from qstore_core.tracker import StepRecord, cost_of_step
from qstore_core.training import Loader, TrainingMetrics, batches_of, step_label

_log = logging.getLogger("qstore")
T = TypeVar("T")

Validation = Callable[[], Awaitable[Mapping[str, float]]]


async def train_epochs(
    run: Run, loader: Loader, validate: Validation | None, last: int, *, show: bool | None
) -> list[TrainingMetrics]:
    """Do the run's epochs up to the number `last`, with a checkpoint as often as the configuration says.

    Args:
        run: The run.
        loader: Its data.
        validate: Evaluates the model as it is, or None.
        last: How many epochs the run has in the end.
        show: Whether to show a progress bar; None: when standard error is a terminal.
    """
    total = len(loader) * last if isinstance(loader, Sized) and run.recipe.follows_loader else None
    history = []
    with progress_bar(total, run.state.step, show=show) as bar:
        while run.state.epoch < last:
            history.append(await train_epoch(run, loader, validate, bar, more=run.state.epoch + 1 < last))
            if run.state.epoch % run.recipe.config.checkpoint_interval == 0 and run.state.epoch < last:
                run.save()
    return history


async def train_epoch(
    run: Run, loader: Loader, validate: Validation | None, bar: Progress, *, more: bool
) -> TrainingMetrics:
    """Do what is left of the run's present epoch, and validate.

    Args:
        run: The run.
        loader: Its data.
        validate: Evaluates the model as it is, or None.
        bar: What is told of each step.
        more: Whether another epoch follows, so that its first step may be run while the validation is waited for.
    """
    begin = time.perf_counter()
    done = _done_before(run)
    steps = list(done)
    async for x, y in _mini_batches(run, batches_of(loader, run.state.epoch, run.state.seed), run.state.samples_done):
        record = await _step(run, x, y)
        steps.append({**asdict(record), "batch_samples": size_of((x, y))})
        bar.step(record.loss, run.spent)
        await asyncio.sleep(0)  # lets Ctrl-C and other tasks in, between two steps
    validation: Mapping[str, float] = {}
    taken = sum(map(cost_of_step, steps), Cost())
    if validate is not None:
        ahead = _run_ahead(run, loader) if more else asyncio.sleep(0)
        validation, run.validation_cost = await _together(_validated(run, validate), ahead)
        taken += run.validation_cost
    losses, sizes = [step["loss"] for step in steps], [step["batch_samples"] for step in steps]
    metrics = TrainingMetrics(
        epoch=run.state.epoch + 1,
        loss=float(np.average(losses, weights=sizes)) if losses else float("nan"),
        gradient_norm=float(np.mean([step["gradient_norm"] for step in steps])) if steps else float("nan"),
        circuits=taken.circuits,
        shots=taken.shots,
        jobs=taken.jobs,
        usd=taken.usd_high,
        seconds=time.perf_counter() - begin + sum(step["seconds"] for step in done),
        val_loss=validation.get("loss"),
        val_accuracy=validation.get("accuracy"),
    )
    if run.directory is not None:
        run.directory.append_metrics({"kind": "epoch", "step": run.state.step, **asdict(metrics)})
    if run.recorder is not None:
        run.recorder.epoch_ended(metrics)
    run.accept(replace(run.state, epoch=metrics.epoch, samples_done=0))  # last: what was interrupted is done again
    return metrics


def _done_before(run: Run) -> list[dict[str, Any]]:
    """The records of the steps of the present epoch that an earlier process did, or this one before it was stopped."""
    if run.directory is None or not run.state.samples_done:
        return []
    records = run.directory.steps(run.state.epoch + 1)
    done = [record for record in records if record["step"] <= run.state.step and record["loss"] is not None]
    return [{"batch_samples": record["samples"], **record} for record in done]


async def _validated(run: Run, validate: Validation) -> tuple[Mapping[str, float], Cost]:
    """What the validation says, and what it cost: with a journal whichever process paid for it."""
    with run.executor.tracker.metered() as meter:
        found = await validate()
    journal = run.executor.journal
    return found, meter.total if journal is None else journal.charged(f"validate *, after step {run.state.step}")


def _mini_batches(run: Run, batches: AsyncIterator[Batch], skip: int = 0) -> AsyncIterator[Batch]:
    """The samples of each of the run's steps."""

    def wanted(x: Any, y: Any) -> int | None:
        return run.recipe.wanted_samples(run.state, x, y, run.executor)

    return mini_batches(batches, wanted, skip=skip)


async def _together(wanted: Awaitable[T], beside: Awaitable[None]) -> T:
    """What `wanted` gives, when both have ended: neither is left behind when the other fails."""
    result, other = await asyncio.gather(wanted, beside, return_exceptions=True)
    for outcome in (result, other):
        if isinstance(outcome, BaseException):
            raise outcome
    return cast(T, result)


async def _run_ahead(run: Run, loader: Loader) -> None:
    """Have a remote backend run the first step of the next epoch along with the validation, which changes no parameter.

    Only for data whose next batch can be looked at without changing what comes after it, and where a budget has enough
    for the validation too: as much as the one before took.
    """
    if not run.executor.is_remote or not isinstance(loader, ArrayLoader):
        return
    if run.executor.account.budget is not None and not run.validation_cost.circuits:
        return
    following = batches_of(loader, run.state.epoch + 1, run.state.seed)
    x, y = await anext(_mini_batches(run, following))
    try:
        await run.recipe.run_ahead(run.state, x, y, run.executor, beside=run.validation_cost)
    except (BudgetExceededError, BackendError) as error:
        _log.info("the next step was not run ahead: %s", error)  # if it matters, the step itself will say so


async def _step(run: Run, x: Any, y: Any) -> StepRecord:
    begin, before = time.perf_counter(), run.spent
    state, result = await run.recipe.step(run.state, x, y, run.executor)
    run.accept(state)
    journal = run.executor.journal
    if journal is None:
        usd = (run.spent - before).usd_high
        taken = Cost(usd, usd, result.n_circuit_executions, result.n_shots, result.n_jobs)
    else:
        taken = journal.charged(step_label(state.step))  # also by an earlier process, or ahead of the step
    record = StepRecord(
        step=state.step,
        epoch=state.epoch + 1,
        loss=result.function_value,
        gradient_norm=float(np.linalg.norm(result.gradients)),
        seconds=time.perf_counter() - begin,
        circuits=taken.circuits,
        shots=taken.shots,
        jobs=taken.jobs,
        usd=taken.usd_high,
    )
    run.executor.tracker.stepped(record)
    if run.recorder is not None:
        run.recorder.batch_used(x, y, run.state)
    if run.directory is not None:
        samples = size_of((x, y))
        told = {"samples": samples, **result.metadata, "batch_samples": samples}
        run.directory.append_metrics({**told, "kind": "step", **asdict(record), "method": result.method})
    if state.step % run.recipe.config.log_interval == 0:
        _log.info("step %d: loss %.6g, %s, %s", state.step, record.loss, result.method, run.spent)
    return record
