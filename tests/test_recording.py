"""Runs in a store: what is recorded, that it is off the critical path, and that a store that fails harms no run."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qstore_core.backend import LocalBackend
from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.checkpoint import Checkpoint, load_checkpoint
from qstore_core.config import TrainingConfig
from qstore_core.data import ArrayLoader
from qstore_core.errors import BudgetExceededError, StoreError, StoreUnavailableError
from qstore_core.model import QuantumModel
from qstore_core.recording import TRAINING, StoreRecorder
from qstore_core.registry import get_backend
from qstore_core.run_record import NAMESPACE, RunRecord
from qstore_core.sqlite_store import SqliteStore
from qstore_core.store import StoreEntry, StoreInfo
from qstore_core.task_vector import DIMENSION
from qstore_core.trainer import QuantumTrainer

X = np.random.default_rng(1).normal(size=(12, 2))
Y = (X[:, 0] + 0.3 * X[:, 1] > 0).astype(np.int64)


def settings(path: Path | None, **changes: Any) -> TrainingConfig:
    where = {} if path is None else {"store": "sqlite", "store_path": path}
    defaults = {"epochs": 2, "batch_size": 4, "learning_rate": 0.1, "shots_per_circuit": 20, "seed": 5}
    return TrainingConfig(**{**defaults, **where, **changes})


def train(config: TrainingConfig, store: Any = None, **more: Any) -> QuantumTrainer:
    trainer = QuantumTrainer(config, progress=False)
    if store is not None:
        trainer.store = store
    asyncio.run(trainer.train(model(), ArrayLoader(X, Y, 4), **more))
    return trainer


def model() -> QuantumModel:
    return QuantumModel(2, 2, 2, depth=1)


def records(path: Path) -> list[RunRecord]:
    store = SqliteStore(path)
    ids = asyncio.run(store.list_ids(namespace=NAMESPACE))
    found = asyncio.run(store.fetch(ids, namespace=NAMESPACE))
    return [RunRecord.from_entry(entry) for entry in found.values()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


class Failing:
    """A store that fails at some calls, and takes its time."""

    def __init__(self, error: Exception | None = None, seconds: float = 0.0) -> None:
        self.error, self.seconds = error, seconds
        self.upserts: list[tuple[str, Sequence[StoreEntry]]] = []

    async def describe(self) -> StoreInfo:
        return StoreInfo(None, "cosine", {})

    async def upsert(self, entries: Sequence[StoreEntry], *, namespace: str = "") -> None:
        await asyncio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        self.upserts.append((namespace, entries))

    async def close(self) -> None:
        if isinstance(self.error, ZeroDivisionError):
            raise self.error


def test_a_finished_run_is_recorded_with_what_it_was_and_cost(path: Path) -> None:
    trainer = train(settings(path))
    (record,) = records(path)
    run = trainer._run
    assert run is not None
    assert (record.state, record.epochs, record.seed) == ("finished", 2, "5")
    assert np.array_equal(record.parameters, run.recipe.model.parameters)
    assert np.array_equal(record.loss_parameters, run.state.averaged_loss_parameters)
    assert record.cost == run.spent
    assert record.config == json.loads(json.dumps(trainer.config.to_dict()))
    assert record.keys["model"] == run.recipe.model.fingerprint
    assert record.metrics["final_loss"] == pytest.approx(np.mean([s.loss for s in trainer.performance_tracker.steps]))
    assert record.task.shape == (DIMENSION,)


def test_recording_changes_nothing_of_the_run(path: Path, tmp_path: Path) -> None:
    train(settings(None, run_directory=tmp_path / "bare"))
    train(settings(path, run_directory=tmp_path / "kept", store_training_vectors=True))
    one, other = (load_checkpoint(tmp_path / name / "checkpoint.npz") for name in ("bare", "kept"))
    for each in fields(Checkpoint):
        assert repr(getattr(one, each.name)) == repr(getattr(other, each.name))


def test_the_same_run_again_is_the_same_record_and_another_is_another(path: Path) -> None:
    for changes in ({}, {}, {"epochs": 3}, {"seed": 6}, {"learning_rate": 0.2}):
        train(settings(path, **changes))
    found = records(path)
    assert sorted(record.epochs for record in found) == [2, 2, 3]


def test_a_run_that_goes_on_keeps_its_record(path: Path, tmp_path: Path) -> None:
    config = settings(path, run_directory=tmp_path / "run")
    train(config)
    train(config, epochs=4, resume=True)
    (record,) = records(path)
    assert (record.epochs, record.state) == (4, "finished")


class Stopping(LocalBackend):
    """The simulator, until its n-th batch."""

    def __init__(self, at: int, error: type[BaseException]) -> None:
        inner = get_backend("mock")
        assert isinstance(inner, LocalBackend)
        self.inner, self.at, self.error = inner, at, error
        self.capabilities, self.fingerprint, self.seen = inner.capabilities, inner.fingerprint, 0

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        self.seen += 1
        if self.seen == self.at:
            raise self.error
        return await self.inner.execute(batch, self.inner.compile(batch.structure, batch.groups))


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_run_that_was_interrupted_is_recorded_as_a_checkpoint(path: Path, error: type[BaseException]) -> None:
    stopped = QuantumModel(2, 2, 2, Stopping(8, error), depth=1)
    with pytest.raises(error):
        asyncio.run(QuantumTrainer(settings(path), progress=False).train(stopped, ArrayLoader(X, Y, 4)))
    (record,) = records(path)
    assert record.state == "checkpoint"
    assert record.steps >= 1


def test_so_is_one_that_ran_out_of_its_budget(path: Path) -> None:
    from qstore_core.cost import Budget

    with pytest.raises(BudgetExceededError):
        train(settings(path, gradient_method="spsa", budget=Budget(circuits=20)))
    assert [record.state for record in records(path)] == ["checkpoint"]


def test_nothing_is_recorded_before_the_first_step(path: Path) -> None:
    train(settings(path, epochs=0))
    assert records(path) == []


def test_a_run_that_went_astray_is_not_recorded(path: Path, caplog: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = StoreRecorder.saved
    astray = np.full(4, np.nan)
    monkeypatch.setattr(
        StoreRecorder, "saved", lambda self, state, spent: saved(self, replace(state, parameters=astray), spent)
    )
    train(settings(path))
    assert records(path) == []
    assert "its parameters are not finite" in caplog.text


def test_validation_is_in_the_metrics(path: Path) -> None:
    trainer = QuantumTrainer(settings(path), progress=False)
    trainer.fit(model(), X, Y, validation=(X, Y))
    (record,) = records(path)
    assert set(record.metrics) == {"final_loss", "gradient_norm", "val_loss", "val_accuracy"}
    assert record.scaler.keys() == {"mean", "deviation", "components", "scale"}


class TestTrainingVectors:
    def test_each_sample_of_each_step_is_stored_as_in_v3_2(self, path: Path) -> None:
        trainer = train(settings(path, store_training_vectors=True, gradient_method="spsa"))
        assert trainer.performance_tracker.vectors_stored == 24
        store, (record,) = SqliteStore(path), records(path)
        ids = asyncio.run(store.list_ids(namespace=TRAINING))
        assert len(ids) == 2 * 12
        name = f"{record.id}_train_e2_b4_s1"
        entry = asyncio.run(store.fetch([name], namespace=TRAINING))[name]
        assert entry.metadata == {
            "type": "training_data",
            "run": record.id,
            "epoch": 2,
            "batch": 4,
            "sample_idx": 1,
            "label": entry.metadata["label"],
        }
        row = np.flatnonzero((np.abs(X - entry.values[:2]) < 1e-6).all(axis=1))
        assert str(Y[row[0]]) == entry.metadata["label"]
        assert not entry.values[2:].any()

    def test_they_are_not_stored_unless_asked_for(self, path: Path) -> None:
        train(settings(path))
        assert asyncio.run(SqliteStore(path).describe()).counts == {NAMESPACE: 1}


class TestAFailingStore:
    @pytest.mark.parametrize("error", [StoreUnavailableError("away"), StoreError("no"), ZeroDivisionError("bug")])
    def test_a_run_goes_on_and_says_so(self, error: Exception, caplog: Any, tmp_path: Path) -> None:
        config = settings(None, run_directory=tmp_path / "run")
        trainer = train(config, Failing(error))
        assert trainer._run is not None
        assert trainer._run.state.epoch == 2
        assert load_checkpoint(tmp_path / "run" / "checkpoint.npz").epoch == 2
        warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert f"store: the run could not be kept, and training goes on without: {error}" in warnings

    def test_training_vectors_are_given_up_at_once_and_the_run_is_tried_again(self, path: Path, caplog: Any) -> None:
        class Once(Failing):
            async def upsert(self, entries: Sequence[StoreEntry], *, namespace: str = "") -> None:
                if namespace == TRAINING:
                    raise StoreUnavailableError("away")
                await super().upsert(entries, namespace=namespace)

        store = Once()
        train(settings(path, store_training_vectors=True), store)
        assert [namespace for namespace, _ in store.upserts] == [NAMESPACE]
        told = [record.getMessage() for record in caplog.records]
        assert sum("training vectors could not be kept" in line for line in told) == 1
        assert any("no more training vectors are kept, because it failed" in line for line in told)

    def test_a_file_that_is_no_store_ends_no_run(self, path: Path, caplog: Any) -> None:
        path.write_text("something else")
        trainer = train(settings(path))
        assert trainer._run is not None
        assert trainer._run.state.epoch == 2
        assert "no store of qstore" in caplog.text
        assert path.read_text() == "something else"

    def test_a_store_that_answers_after_the_last_step_holds_up_none(self, path: Path, monkeypatch: Any) -> None:
        released, finish = asyncio.Event(), StoreRecorder.finish

        class Late(Failing):
            async def upsert(self, entries: Sequence[StoreEntry], *, namespace: str = "") -> None:
                await released.wait()  # for ever, if a step waited for this
                await super().upsert(entries, namespace=namespace)

        async def release_and_finish(self: StoreRecorder) -> None:
            released.set()  # the steps are done
            await finish(self)

        monkeypatch.setattr(StoreRecorder, "finish", release_and_finish)
        config = settings(path, checkpoint_interval=1, store_training_vectors=True, gradient_method="spsa")
        store, trainer = Late(), QuantumTrainer(config, progress=False)
        trainer.store = store  # type: ignore[assignment]
        asyncio.run(asyncio.wait_for(trainer.train(model(), ArrayLoader(X, Y, 4)), 60))
        assert [namespace for namespace, _ in store.upserts].count(TRAINING) == 6
        assert NAMESPACE in [namespace for namespace, _ in store.upserts]

    def test_one_that_does_not_answer_is_left_behind(self, path: Path, monkeypatch: Any, caplog: Any) -> None:
        monkeypatch.setattr("qstore_core.recording._PATIENCE", 0.2)
        train(settings(path), Failing(seconds=60))
        assert "it did not answer for 0.2 s; the last of run run-" in caplog.text

    def test_one_that_cannot_keep_up_loses_training_vectors_and_not_the_run(
        self, path: Path, monkeypatch: Any, caplog: Any
    ) -> None:
        monkeypatch.setattr("qstore_core.recording._MOST_WAITING", 2)
        store = Failing(seconds=0.3)
        train(settings(path, store_training_vectors=True, epochs=4, gradient_method="spsa"), store)
        assert "no more training vectors are kept, because it is slower than the training" in caplog.text
        assert store.upserts[-1][0] == NAMESPACE


class TestSecrets:
    def test_no_key_is_in_a_record_a_log_or_the_run_directory(
        self, path: Path, tmp_path: Path, caplog: Any, monkeypatch: Any
    ) -> None:
        caplog.set_level(logging.DEBUG)
        monkeypatch.setenv("PINECONE_API_KEY", "hush-from-environment")
        keys = {"pinecone_api_key": "hush-pinecone", "quantum_api_key": "hush-quantum"}
        config = settings(path, run_directory=tmp_path / "run", store_training_vectors=True, **keys)
        paid = QuantumModel(2, 2, 2, get_backend("mock"), depth=1)
        asyncio.run(QuantumTrainer(config, progress=False).train(paid, ArrayLoader(X, Y, 4)))
        written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
        assert b"run-" in written
        assert b"hush" not in written
        assert "hush" not in caplog.text


class TestRecords:
    def test_what_is_no_run_is_refused(self) -> None:
        with pytest.raises(StoreError, match="entry 'a' is no run of qstore, or a damaged one"):
            RunRecord.from_entry(StoreEntry("a", [1.0] * DIMENSION, {"parameters": "[1"}))

    def test_a_store_of_longer_vectors_takes_them_and_one_of_shorter_ones_says_so(self, path: Path) -> None:
        train(settings(path, store_options={"dimension": 768}))
        (record,) = records(path)
        assert record.task.shape == (DIMENSION,)
        assert asyncio.run(SqliteStore(path).describe()).dimension == 768
        with pytest.raises(StoreError, match="vectors have 8 dimensions and a run's 64; use another store"):
            record.to_entry(8)

    def test_nothing_in_the_file_is_a_pickle(self, path: Path) -> None:
        train(settings(path))
        with sqlite3.connect(path) as connection:
            texts = [text for (text,) in connection.execute("SELECT metadata FROM entries")]
        connection.close()
        assert all(isinstance(json.loads(text), dict) for text in texts)
        assert json.loads(json.loads(texts[0])["parameters"])
