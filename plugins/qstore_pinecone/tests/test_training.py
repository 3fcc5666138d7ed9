"""Training with Pinecone as the store: configurations of v3.2, warm starts, and what happens when it is away."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from qstore_pinecone.emulator.process import RunningEmulator, emulator
from qstore_pinecone.store import PineconeStore

from qstore_core import ArrayLoader, BackendManager, QuantumModel, QuantumTrainer, TrainingConfig
from qstore_core.cli import main
from qstore_core.errors import ConfigurationError

X = np.random.default_rng(1).normal(size=(12, 2))
Y = (X[:, 0] + 0.3 * X[:, 1] > 0).astype(np.int64)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningEmulator]:
    """An emulator of its own that Pinecone's client takes for the service."""
    with emulator(key="hush-key") as running:
        monkeypatch.setenv("PINECONE_CONTROLLER_HOST", running.url)
        monkeypatch.delenv("PINECONE_API_KEY", raising=False)
        yield running


def fit(**settings: Any) -> QuantumTrainer:
    given = {"epochs": 2, "batch_size": 4, "shots_per_circuit": 20, "seed": 5, "gradient_method": "spsa", **settings}
    trainer = QuantumTrainer(TrainingConfig(**given), progress=False)
    trainer.fit(QuantumModel(2, 2, 2, depth=1), X, Y)
    return trainer


def test_a_configuration_of_v3_2_stores_runs_and_training_vectors(service: RunningEmulator) -> None:
    async def train() -> None:
        config = TrainingConfig(
            pinecone_api_key=service.key,
            pinecone_environment="us-east-1",
            pinecone_index_name="quantum-ml-training",
            learning_rate=0.01,
            batch_size=4,
            epochs=2,
            n_qubits=2,
            circuit_depth=1,
            gradient_method="spsa",
        )
        manager = BackendManager()
        await manager.initialize(sdk="mock")
        model = QuantumModel.from_config(config, input_dim=2, output_dim=2)
        await QuantumTrainer(config, manager, progress=False).train(model, ArrayLoader(X, Y, 4))

    asyncio.run(train())
    store = PineconeStore(api_key=service.key)
    info = asyncio.run(store.describe())
    assert (info.dimension, info.metric) == (64, "cosine")
    assert info.counts == {"runs": 1, "training": 24}
    (run,) = asyncio.run(store.list_ids(namespace="runs"))
    name = f"{run}_train_e1_b1_s0"
    entry = asyncio.run(store.fetch([name], namespace="training"))[name]
    assert (entry.metadata["type"], entry.metadata["epoch"], entry.metadata["batch"]) == ("training_data", 1, 1)
    asyncio.run(store.close())


def test_an_index_of_v3_2_is_used_as_it_is(service: RunningEmulator) -> None:
    store = PineconeStore(api_key=service.key, dimension=768)
    asyncio.run(store.upsert([*_old_vectors()]))
    fit(pinecone_api_key=service.key)
    assert asyncio.run(store.describe()).counts == {"": 1, "runs": 1, "training": 24}
    asyncio.run(store.close())


def _old_vectors() -> Iterator[Any]:
    from qstore_core import StoreEntry

    yield StoreEntry("train_e0_b1_s0", [1.0] + [0.0] * 767, {"type": "training_data"})


def test_the_placeholder_of_v3_2_means_no_store(service: RunningEmulator) -> None:
    fit(pinecone_api_key="mock-key", pinecone_index_name="runs")
    assert service.requests()["requests"] == {}


def test_without_a_key_the_trainer_says_so_at_once(service: RunningEmulator) -> None:
    with pytest.raises(ConfigurationError, match="needs a key: set PINECONE_API_KEY, or pinecone_api_key"):
        fit(store="pinecone")


def test_a_run_starts_from_one_in_the_index_and_the_command_line_sees_both(
    service: RunningEmulator, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("PINECONE_API_KEY", service.key)
    fit(pinecone_index_name="runs")
    fit(pinecone_index_name="runs", warm_start="store", seed=6)
    assert "warm start: from run run-" in caplog.text
    arguments = ["store", "export", "--store", "pinecone", "--store-option", "index_name=runs"]
    exported = CliRunner().invoke(main, arguments)
    assert sorted(json.loads(line)["seed"] for line in exported.stdout.splitlines()) == ["5", "6"]
    missing = CliRunner().invoke(main, ["store", "list", "--store", "pinecone"])
    assert missing.exit_code == 2
    assert "Pinecone has no index 'quantum-ml-training' for this key; check the name" in missing.stderr


@pytest.mark.parametrize("away", ["down", "wrong key", "fails", "other vectors"])
def test_training_goes_on_without_it_and_says_so(
    service: RunningEmulator, away: str, caplog: Any, tmp_path: Path
) -> None:
    key = service.key
    if away == "down":
        service.stop()
    if away == "wrong key":
        key = "another-hush-key"
    if away == "fails":
        service.fail("upsert", 503, times=1000)
    if away == "other vectors":
        store = PineconeStore(api_key=key, dimension=8)
        asyncio.run(store.upsert([type(next(_old_vectors()))("a", [1.0] * 8)]))
        asyncio.run(store.close())
    trainer = fit(pinecone_api_key=key, warm_start="store", run_directory=tmp_path / "run")
    assert trainer._run is not None
    assert trainer._run.state.epoch == 2
    expected = {
        "down": "Pinecone cannot be reached to find the index",
        "wrong key": "Pinecone refuses the key",
        "fails": "Pinecone cannot be reached to keep entries",
        "other vectors": "the store's vectors have 8 dimensions and a run's 64",
    }[away]
    assert "store: the run could not be kept, and training goes on without" in caplog.text
    assert expected in caplog.text
    assert "hush" not in caplog.text
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and b"hush" in file.read_bytes()]


def test_one_that_goes_away_half_way_and_comes_back_has_the_run_in_the_end(service: RunningEmulator) -> None:
    store = PineconeStore(api_key=service.key)
    asyncio.run(store.upsert([*_old_vectors()]))
    service.fail("upsert", "drop", times=4)  # the first request, and its repetitions
    fit(pinecone_api_key=service.key, checkpoint_interval=1, store_training_vectors=False)
    assert asyncio.run(store.describe()).counts == {"": 1, "runs": 1}
    asyncio.run(store.close())
