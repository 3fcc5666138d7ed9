"""Q-Store's trainer: its calls, what it leaves in the history, and that the numbers are those of what ran."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from q_store import QStoreCompatWarning
from q_store.backends import BackendManager, create_bell_state_circuit
from q_store.ml import QuantumModel, QuantumTrainer, TrainingConfig

from qstore_core import ArrayLoader, Budget, BudgetExceededError, ConfigurationError, DataError, RunDirectoryError

X = np.array([[0.0, 0.1], [0.5, 0.4], [0.1, 0.0], [0.4, 0.6]])
Y = np.array([[1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, 1.0]])
LOADER = [(X[:2], Y[:2]), (X[2:], Y[2:])]


def config(**chosen: Any) -> TrainingConfig:
    return TrainingConfig(**{"n_qubits": 2, "gradient_method": "spsa", "shots_per_circuit": 100, "epochs": 2, **chosen})


def model(manager: BackendManager) -> QuantumModel:
    return QuantumModel(2, 2, 2, manager.get_backend(), depth=1)


def test_training_leaves_a_history_of_what_ran(manager: BackendManager, ran: Any) -> None:
    trainer = QuantumTrainer(config(), manager)
    asyncio.run(trainer.train(model=model(manager), train_loader=LOADER, epochs=3))
    history = trainer.get_training_history()
    assert [metrics.epoch for metrics in history] == [0, 1, 2]
    assert [metrics.n_circuit_executions for metrics in history] == [8, 8, 8]
    assert ran.circuits == trainer.performance_tracker.get_statistics()["total_circuits"] == 24
    assert all(0 < metrics.circuit_execution_time_ms <= metrics.epoch_time_ms for metrics in history)
    assert all(metrics.learning_rate == 0.01 and metrics.gradient_norm > 0 for metrics in history)


def test_the_loss_is_the_mean_squared_error_of_the_outputs(manager: BackendManager) -> None:
    trainer = QuantumTrainer(config(shots_per_circuit=None), manager)
    made = model(manager)
    found = asyncio.run(trainer.validate(made, LOADER))
    outputs = asyncio.run(made.forward(X, shots=None))
    assert found == {"loss": pytest.approx(np.mean((outputs - Y) ** 2)), "count": 4}


def test_exact_training_lowers_the_loss(manager: BackendManager) -> None:
    trainer = QuantumTrainer(config(shots_per_circuit=None, gradient_method="adaptive", learning_rate=0.1), manager)
    asyncio.run(trainer.train(model(manager), LOADER, epochs=20))
    assert trainer.training_history[-1].loss < 0.5 * trainer.training_history[0].loss


def test_validation_is_counted_apart(manager: BackendManager, ran: Any) -> None:
    trainer = QuantumTrainer(config(), manager)
    asyncio.run(trainer.train(model(manager), LOADER, LOADER))
    assert [metrics.n_circuit_executions for metrics in trainer.training_history] == [8, 8]
    assert all(metrics.val_loss is not None for metrics in trainer.training_history)
    assert ran.circuits == 2 * (8 + 4)


class OnePass:
    """A loader as Q-Store's programs wrote it: an object with an asynchronous iterator."""

    def __init__(self) -> None:
        self.passes = 0

    async def __aiter__(self) -> AsyncIterator[tuple[np.ndarray, np.ndarray]]:
        self.passes += 1
        for batch in LOADER:
            yield batch


async def generated() -> AsyncIterator[tuple[np.ndarray, np.ndarray]]:
    for batch in LOADER:
        yield batch


@pytest.mark.parametrize(
    "make", [OnePass, generated, lambda: iter(LOADER), lambda: LOADER], ids=["class", "generator", "iterator", "list"]
)
def test_an_epoch_takes_any_kind_of_loader(make: Any, manager: BackendManager) -> None:
    trainer = QuantumTrainer(config(), manager)
    metrics = asyncio.run(trainer.train_epoch(model(manager), make(), 7))
    assert (metrics.epoch, metrics.n_circuit_executions) == (7, 8)
    assert trainer.training_history == [metrics]
    assert trainer.current_epoch == 7


def test_loaders_of_qstore_are_taken_as_they_are(manager: BackendManager) -> None:
    trainer = QuantumTrainer(config(), manager)
    asyncio.run(trainer.train(model(manager), ArrayLoader(X, Y.astype(int), batch_size=4)))
    assert trainer.training_history[0].n_circuit_executions == 8


def test_rows_of_whole_numbers_are_targets_as_they_are(manager: BackendManager) -> None:
    trainer, made = QuantumTrainer(config(shots_per_circuit=None), manager), model(manager)
    hot = (Y > 0).astype(int)
    outputs = asyncio.run(made.forward(X, shots=None))
    assert asyncio.run(trainer.validate(made, [(X, hot)]))["loss"] == pytest.approx(np.mean((outputs - hot) ** 2))


def test_single_whole_numbers_are_classes(manager: BackendManager) -> None:
    trainer, made = QuantumTrainer(config(shots_per_circuit=None), manager), model(manager)
    with pytest.warns(QStoreCompatWarning, match="are classes"):
        found = asyncio.run(trainer.validate(made, [(X, np.array([0, 1, 0, 1]))]))
    assert found["loss"] == asyncio.run(trainer.validate(made, [(X, Y)]))["loss"]
    assert 0 <= found["accuracy"] <= 1


def test_a_batch_trains_alone(manager: BackendManager) -> None:
    trainer, made = QuantumTrainer(config(), manager), model(manager)
    before = made.parameters.copy()
    told = asyncio.run(trainer.train_batch(made, X, Y))
    assert told["n_circuits"] == 8
    assert {"loss", "gradient_norm", "circuit_time_ms"} < set(told)
    assert not np.array_equal(made.parameters, before)
    assert trainer.training_history == []


def test_a_loss_of_yours_is_averaged_over_samples(manager: BackendManager) -> None:
    trainer, made = QuantumTrainer(config(shots_per_circuit=None), manager), model(manager)
    trainer.set_loss_function(lambda output, target: float(abs(output[0] - target[0])))
    outputs = asyncio.run(made.forward(X, shots=None))
    expected = np.mean(np.abs(outputs[:, 0] - Y[:, 0]))
    assert asyncio.run(trainer.validate(made, LOADER))["loss"] == pytest.approx(expected)
    asyncio.run(trainer.train(made, LOADER))


def test_a_setting_may_be_changed_between_two_calls(manager: BackendManager) -> None:
    settings = config(optimizer="natural_gradient", use_gradient_clipping=False, shots_per_circuit=None)
    trainer, made = QuantumTrainer(settings, manager), model(manager)
    asyncio.run(trainer.train(made, LOADER, epochs=1))
    kept = trainer.circuit_cache.core
    made.quantum_layer.freeze_parameters([0, 1, 2])
    settings.learning_rate = 1e-9
    before = made.parameters.copy()
    asyncio.run(trainer.train(made, LOADER, epochs=1))
    assert np.array_equal(made.parameters[:3], before[:3])
    assert 0 < np.abs(made.parameters - before).max() < 1e-7
    assert trainer.circuit_cache.core is kept
    assert [metrics.epoch for metrics in trainer.training_history] == [0, 0]
    assert trainer.performance_tracker.get_statistics()["total_batches"] == 4


def test_the_seed_of_numpy_fixes_a_run(manager: BackendManager) -> None:
    ends = []
    for _ in range(2):
        np.random.seed(3)  # noqa: NPY002
        made = model(manager)
        asyncio.run(QuantumTrainer(config(), manager).train(made, LOADER))
        ends.append(made.parameters)
    assert np.array_equal(*ends)


def test_what_is_turned_off_is_none(manager: BackendManager) -> None:
    off = dict.fromkeys(("enable_circuit_cache", "enable_batch_execution", "enable_performance_tracking"), False)
    trainer = QuantumTrainer(config(**off), manager)
    assert (trainer.circuit_cache, trainer.batch_manager, trainer.performance_tracker) == (None, None, None)


def test_without_batches_each_circuit_is_a_job(manager: BackendManager, ran: Any) -> None:
    trainer = QuantumTrainer(config(enable_batch_execution=False), manager)
    asyncio.run(trainer.train(model(manager), LOADER, epochs=1))
    assert ran.jobs == ran.circuits == 8


def test_the_batch_manager_counts_with_the_trainer(manager: BackendManager) -> None:
    trainer = QuantumTrainer(config(), manager)
    results = asyncio.run(trainer.batch_manager.execute_batch([create_bell_state_circuit()] * 3, shots=10))
    assert [result.total_shots for result in results] == [10] * 3
    assert trainer.performance_tracker.get_statistics()["total_circuits"] == 3


def test_circuits_of_yours_are_charged_to_the_run(manager: BackendManager) -> None:
    trainer = QuantumTrainer(config(budget=Budget(circuits=10)), manager)
    asyncio.run(trainer.train(model(manager), LOADER, epochs=1))
    asyncio.run(trainer.batch_manager.execute_batch([create_bell_state_circuit()] * 2, shots=10))
    with pytest.raises(BudgetExceededError):
        asyncio.run(trainer.batch_manager.execute_batch([create_bell_state_circuit()], shots=10))


def test_a_model_without_a_backend_runs_on_the_managers(manager: BackendManager, ran: Any) -> None:
    trainer = QuantumTrainer(config(), manager)
    asyncio.run(trainer.train(QuantumModel(2, 2, 2, depth=1), LOADER, epochs=1))
    assert ran.circuits == 8
    assert trainer.backend is manager.get_backend()


def test_a_checkpoint_holds_the_model(manager: BackendManager, tmp_path: Path) -> None:
    trainer, made, other = QuantumTrainer(config(), manager), model(manager), model(manager)
    trainer.config.checkpoint_directory = tmp_path / "kept"
    metrics = asyncio.run(trainer.train_epoch(made, LOADER, 4))
    asyncio.run(trainer.save_checkpoint(made, 4, metrics))
    asyncio.run(trainer.load_checkpoint(tmp_path / "kept" / "checkpoint_epoch_4.json", other))
    assert np.array_equal(made.parameters, other.parameters)
    (tmp_path / "other.json").write_text(json.dumps({"epoch": 1}), encoding="utf-8")
    with pytest.raises(DataError, match=r"other\.json is no checkpoint"):
        asyncio.run(trainer.load_checkpoint(tmp_path / "other.json", other))


def test_a_run_in_a_directory_goes_on(manager: BackendManager, tmp_path: Path) -> None:
    settings = config(checkpoint_directory=tmp_path, seed=1)
    made = QuantumModel(2, 2, 2, manager.get_backend(), depth=1, seed=1)
    asyncio.run(QuantumTrainer(settings, manager).train(made, LOADER, epochs=1))
    again = QuantumTrainer(settings, manager)
    other = QuantumModel(2, 2, 2, manager.get_backend(), depth=1, seed=1)
    with pytest.raises(RunDirectoryError, match="resume=True"):
        asyncio.run(again.train(other, LOADER))
    asyncio.run(again.train(other, LOADER, epochs=3, resume=True))
    assert [metrics.n_circuit_executions for metrics in again.training_history] == [8, 8, 8]


def test_nothing_is_written_unless_asked(manager: BackendManager, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    trainer = QuantumTrainer(config(checkpoint_interval=1), manager)
    asyncio.run(trainer.train(model(manager), LOADER))
    assert not list(tmp_path.iterdir())
    assert trainer.get_pinecone_stats()["enabled"] is False


def test_what_is_none_of_q_stores_is_refused(manager: BackendManager) -> None:
    with pytest.raises(ConfigurationError, match=r"TrainingConfig of q_store\.ml"):
        QuantumTrainer({}, manager)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"BackendManager of q_store\.backends"):
        QuantumTrainer(config(), None)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"QuantumModel of q_store\.ml"):
        asyncio.run(QuantumTrainer(config(), manager).train("model", LOADER))  # type: ignore[arg-type]
