"""The average of the iterates: its formula, who holds it, and that training goes on from the iterates themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qstore_core.averaging import next_average
from qstore_core.checkpoint import load_checkpoint
from qstore_core.config import TrainingConfig
from qstore_core.data import ArrayLoader
from qstore_core.model import QuantumModel
from qstore_core.registry import get_backend
from qstore_core.trainer import QuantumTrainer

X = np.random.default_rng(1).normal(size=(12, 2))
Y = (X[:, 0] > 0).astype(np.int64)
LOADER = ArrayLoader(X, Y, 5)


def test_it_is_the_bias_corrected_exponential_average(rng: np.random.Generator) -> None:
    way, scales = rng.normal(size=(20, 3)), rng.normal(size=(20, 1))
    average: Mapping[str, Any] = {}
    sums = np.zeros(3), np.zeros(1)
    for k, (parameters, scale) in enumerate(zip(way, scales, strict=True), start=1):
        average = next_average(average, 0.8, parameters, scale)
        sums = 0.8 * sums[0] + 0.2 * parameters, 0.8 * sums[1] + 0.2 * scale
        np.testing.assert_allclose(average["parameters"], sums[0] / (1 - 0.8**k), rtol=0, atol=1e-14)
        np.testing.assert_allclose(average["loss_parameters"], sums[1] / (1 - 0.8**k), rtol=0, atol=1e-14)


def test_what_never_moves_stays_to_the_last_bit(rng: np.random.Generator) -> None:
    still, average = rng.normal(size=50), {}
    for _ in range(30):
        average = dict(next_average(average, 0.9, still, still[:1]))
    np.testing.assert_array_equal(average["parameters"], still)


def test_without_a_weight_there_is_none() -> None:
    assert next_average({}, 0.0, np.ones(2), np.ones(1)) == {}


def config(**changes: Any) -> TrainingConfig:
    defaults = {
        "epochs": 3,
        "gradient_method": "spsa",
        "learning_rate": 0.1,
        "shots_per_circuit": 20,
        "seed": 5,
        "parameter_averaging": 0.7,
    }
    return TrainingConfig(**(defaults | changes))


def new_model() -> QuantumModel:
    return QuantumModel(2, 2, 2, get_backend("mock"), depth=1)


def trained(settings: TrainingConfig) -> QuantumModel:
    model = new_model()
    asyncio.run(QuantumTrainer(settings).train(model, LOADER))
    return model


def iterates(place: Path) -> list[NDArray[np.float64]]:
    """The parameters after each of the nine steps, one checkpoint after another."""
    batches = list(LOADER.epoch(0, 5)) + list(LOADER.epoch(1, 5)) + list(LOADER.epoch(2, 5))
    found = []
    for number in range(1, 10):
        plain = config(parameter_averaging=0.0, epochs=1, run_directory=place / str(number))
        asyncio.run(QuantumTrainer(plain).train(new_model(), batches[:number]))
        found.append(load_checkpoint(place / str(number) / "checkpoint.npz").parameters)
    return found


def test_the_model_holds_the_average_and_the_checkpoint_both(tmp_path: Path) -> None:
    model = trained(config(run_directory=tmp_path / "run"))
    state = load_checkpoint(tmp_path / "run" / "checkpoint.npz")
    way = iterates(tmp_path)
    np.testing.assert_array_equal(state.parameters, way[-1])  # training went on from the iterates
    weights = 0.7 ** np.arange(8, -1, -1)
    np.testing.assert_allclose(model.parameters, weights @ way / weights.sum(), rtol=0, atol=1e-13)
    np.testing.assert_array_equal(state.averaged_parameters, model.parameters)
    assert state.averaged_loss_parameters != state.loss_parameters


def test_validation_is_that_of_the_average(tmp_path: Path) -> None:
    model, trainer = new_model(), QuantumTrainer(config(shots_per_circuit=None, run_directory=tmp_path))
    history = asyncio.run(trainer.train(model, LOADER, [(X, Y)]))
    state = load_checkpoint(tmp_path / "checkpoint.npz")
    outputs = asyncio.run(model.forward(X))
    logits = state.averaged_loss_parameters[0] * outputs
    wanted = np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(12), Y])
    assert history[-1].val_loss == pytest.approx(wanted, abs=1e-12)
    assert trainer.evaluate(model, X, Y)["loss"] == pytest.approx(wanted, abs=1e-12)


def test_a_second_call_goes_on_from_the_iterate_not_from_the_average() -> None:
    trainer, model = QuantumTrainer(config()), new_model()
    for _ in range(3):
        asyncio.run(trainer.train(model, LOADER, epochs=1))
    np.testing.assert_array_equal(model.parameters, trained(config()).parameters)


def test_parameters_that_were_assigned_in_between_are_where_it_goes_on_and_where_the_average_begins() -> None:
    trainer = QuantumTrainer(config(optimizer="sgd", learning_rate=1e-6, parameter_averaging=0.99))
    model = new_model()
    asyncio.run(trainer.train(model, LOADER, epochs=1))
    model.parameters = [3.0, 2.0, 1.0, 0.0]
    asyncio.run(trainer.train(model, LOADER, epochs=1))
    np.testing.assert_allclose(model.parameters, [3.0, 2.0, 1.0, 0.0], rtol=0, atol=1e-4)


def test_frozen_parameters_stay_to_the_last_bit() -> None:
    model = new_model()
    before = model.parameters = np.array([0.1, 0.7, -0.3, 1e-3])
    model.freeze_parameters([0])
    asyncio.run(QuantumTrainer(config()).train(model, LOADER))
    assert (model.parameters == before).tolist() == [True, True, False, True]  # 1 and 3 cannot influence the outputs


def test_averaging_takes_nothing_from_what_training_costs() -> None:
    trainer, plain = QuantumTrainer(config()), QuantumTrainer(config(parameter_averaging=0.0))
    for each in (trainer, plain):
        asyncio.run(each.train(new_model(), LOADER))
    assert trainer.spent == plain.spent
