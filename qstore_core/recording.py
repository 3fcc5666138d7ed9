"""Keeping a run in a store while it runs: in the background, and never to its harm."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from qstore_core.checkpoint import Checkpoint
from qstore_core.cost import Cost
from qstore_core.errors import StoreError
from qstore_core.run import Run
from qstore_core.run_record import NAMESPACE, RunRecord, features_key, task_keys
from qstore_core.store import Store, StoreEntry
from qstore_core.store_start import Task, close, start_from_store, task_of
from qstore_core.task_vector import DIMENSION
from qstore_core.training import Loader, TrainingMetrics

TRAINING = "training"
"""The namespace of training vectors."""

_MOST_WAITING = 256  # steps whose samples wait to be written
_PATIENCE = 60.0  # seconds for what is left at the end
_RECENT = 20  # steps whose mean loss is the final one
_log = logging.getLogger("qstore")


@asynccontextmanager
async def recorded(run: Run, loader: Loader, store: Store, last: int) -> AsyncIterator[None]:
    """Record a run in a store while the block runs, after a warm start from it where the configuration wants one.

    Args:
        run: The run.
        loader: Its data.
        store: Where it is recorded.
        last: The epoch with which it is finished.
    """
    task = await task_of(run.recipe, loader, run.state.seed)
    recorder = StoreRecorder(run, task, store, last)
    if run.state.epoch < last:
        await start_from_store(run, task, store, recorder.id)
    run.recorder = recorder
    recorder.start()
    try:
        yield
    finally:
        run.recorder = None
        await recorder.finish()
        await close(store)


class StoreRecorder:
    """Writes a run and its training vectors to a store from a task of its own.

    Args:
        run: The run.
        task: The vector of its task.
        store: Where to.
        last: The epoch with which the run is finished.

    Attributes:
        id: The run's name in the store: the same for the same settings, data and seed.
    """

    def __init__(self, run: Run, task: Task, store: Store, last: int) -> None:
        self.id = run_id(run, task)
        self._run, self._task, self._store, self._last = run, task, store, last
        self._saved: tuple[Checkpoint, Cost, dict[str, float]] | None = None  # the latest that is not written yet
        self._batches: deque[tuple[Any, Any, int, int]] = deque()
        self._metrics: dict[str, float] = {}
        self._dimension: int | None = None
        self._keeps_vectors = run.recipe.config.keeps_training_vectors
        self._wake = asyncio.Event()
        self._finished = False
        self._written = 0
        self._worker: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write."""
        self._worker = asyncio.create_task(self._work())

    async def finish(self) -> None:
        """Wait until all is written, for a minute at the most."""
        self._finished = True
        self._wake.set()
        if self._worker is None:
            return
        done, _ = await asyncio.wait({self._worker}, timeout=_PATIENCE)
        if not done:
            self._worker.cancel()
            _log.warning("store: it did not answer for %g s; the last of run %s is not in it", _PATIENCE, self.id)
        elif self._written:
            _log.info("store: run %s is recorded, %d entries in all", self.id, self._written)

    def batch_used(self, x: Any, y: Any, state: Checkpoint) -> None:
        """Keep a step's samples for the store, where the configuration says so."""
        if not self._keeps_vectors:
            return
        if len(self._batches) >= _MOST_WAITING:
            self._drop_vectors("it is slower than the training")
            return
        self._batches.append((np.array(x, dtype=np.float64), np.array(y), state.epoch + 1, state.step))
        self._wake.set()

    def epoch_ended(self, metrics: TrainingMetrics) -> None:
        """Note what an epoch gave."""
        found = {
            "gradient_norm": metrics.gradient_norm,
            "val_loss": metrics.val_loss,
            "val_accuracy": metrics.val_accuracy,
        }
        self._metrics |= {name: float(value) for name, value in found.items() if value is not None}

    def saved(self, state: Checkpoint, spent: Cost) -> None:
        """Record a checkpoint, in place of an earlier one that was not written yet."""
        if not state.step:
            return
        recent = [step.loss for step in self._run.executor.tracker.steps[-_RECENT:]]
        final = {"final_loss": float(np.mean(recent))} if recent else {}
        self._saved = state, spent, {**self._metrics, **final}
        self._wake.set()

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._saved is not None or self._batches:
                await self._write_next()
            if self._finished:
                return

    async def _write_next(self) -> None:
        saved, self._saved = self._saved, None
        if saved is not None:
            await self._write(lambda: [self._record(*saved).to_entry(self._dimension)], NAMESPACE)
            return
        batch = self._batches.popleft()
        if not await self._write(lambda: list(self._vectors(*batch)), TRAINING):
            self._drop_vectors("it failed")

    async def _write(self, make: Callable[[], list[StoreEntry]], namespace: str) -> bool:
        try:
            if self._dimension is None:
                self._dimension = (await self._store.describe()).dimension or DIMENSION
            entries = make()
            await self._store.upsert(entries, namespace=namespace)
        except Exception as error:  # a plugin may raise anything, and none of it is worth a paid run
            kind = "run" if namespace == NAMESPACE else "training vectors"
            _log.warning("store: the %s could not be kept, and training goes on without: %s", kind, error)
            return False
        self._written += len(entries)
        if namespace == TRAINING:
            self._run.executor.tracker.vectors_stored += len(entries)
        return True

    def _drop_vectors(self, reason: str) -> None:
        self._keeps_vectors = False
        self._batches.clear()
        _log.warning("store: no more training vectors are kept, because %s", reason)

    def _vectors(self, x: Any, y: Any, epoch: int, step: int) -> Iterator[StoreEntry]:
        """The samples of a step, with the names and metadata of Q-Store v3.2 and the run's own before them."""
        dimension = self._dimension or DIMENSION
        for index, (row, label) in enumerate(zip(np.atleast_2d(x), np.atleast_1d(y), strict=True)):
            values = np.ravel(row)[:dimension]
            metadata = {
                "type": "training_data",
                "run": self.id,
                "epoch": epoch,
                "batch": step,
                "sample_idx": index,
                "label": str(label.tolist()),
            }
            name = f"{self.id}_train_e{epoch}_b{step}_s{index}"
            yield StoreEntry(name, np.pad(values, (0, dimension - len(values))), metadata)

    def _record(self, state: Checkpoint, spent: Cost, metrics: Mapping[str, float]) -> RunRecord:
        """What the store keeps of the run.

        Raises:
            StoreError: It went astray, and is not worth keeping.
        """
        parameters, loss_parameters = state.averaged_parameters, state.averaged_loss_parameters
        if not (np.isfinite(parameters).all() and np.isfinite(loss_parameters).all()):
            raise StoreError("its parameters are not finite")
        recipe = self._run.recipe
        return RunRecord(
            id=self.id,
            task=self._task,
            keys=task_keys(recipe),
            features=features_key(recipe.model),
            state="finished" if state.epoch >= self._last else "checkpoint",
            parameters=parameters,
            loss_parameters=loss_parameters,
            config=recipe.config.to_dict(),
            metrics=metrics,
            cost=spent,
            backend=self._run.executor.backend.fingerprint,
            seed=str(state.seed),
            epochs=state.epoch,
            steps=state.step,
            created=time.time(),
            scaler={} if recipe.model.scaler is None else recipe.model.scaler.to_arrays(),
        )


def run_id(run: Run, task: Task) -> str:
    """The name of a run in a store, made of what decides where it goes."""
    state = run.state
    decided = json.dumps([state.model, dict(state.settings), str(state.seed)], sort_keys=True, default=str)
    return f"run-{hashlib.sha256(decided.encode() + task.tobytes()).hexdigest()[:16]}"
