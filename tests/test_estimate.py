"""The price of a run before it is run is the price of the run."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from qstore_core import ArrayLoader, Cost, QuantumModel, QuantumTrainer, TrainingConfig, get_backend
from qstore_core.batch import CircuitBatch

X = np.random.default_rng(1).normal(size=(11, 2))
Y = np.arange(11) % 2


@pytest.mark.parametrize("shots", [None, 7])
@pytest.mark.parametrize("method", ["spsa", "spsa_subsampled", "parameter_shift", "finite_difference", "adaptive"])
def test_it_is_what_the_run_takes(method: str, shots: int | None) -> None:
    config = TrainingConfig(
        epochs=2, batch_size=4, gradient_method=method, gradient_subsample_size=2, shots_per_circuit=shots, seed=1
    )
    model = QuantumModel(2, 2, 2, get_backend("mock"), readout=["Z0", "X1 Z0"])
    trainer = QuantumTrainer(config, progress=False)
    expected = trainer.estimate_cost(model, 11, n_validation=11)
    loaders = ArrayLoader(X, Y, 4), ArrayLoader(X, Y, 4, shuffle=False)
    asyncio.run(trainer.train(model, *loaders))
    spent = trainer.spent
    # two epochs validate different parameters, so that no result is known before
    assert (expected.total.circuits, expected.total.shots, expected.total.jobs) == (
        spent.circuits,
        spent.shots,
        spent.jobs,
    )
    assert expected.n_steps == 6


class Priced(type(get_backend("mock"))):  # type: ignore[misc]
    """A simulator that charges, with a price list that can be read in two ways."""

    def price(self, compiled: Any, batch: CircuitBatch) -> Cost:
        return Cost(0.1, 0.1 * batch.n_circuits, batch.n_circuits, batch.n_shots, 1)


def test_both_readings_of_a_price_list_are_given() -> None:
    config = TrainingConfig(epochs=3, batch_size=4, gradient_method="spsa", shots_per_circuit=5, seed=1)
    found = QuantumTrainer(config).estimate_cost(QuantumModel(2, 2, 2, Priced()), 8)
    assert found.step == Cost(0.1, pytest.approx(0.8), 8, 40, 1)
    assert found.total == Cost(pytest.approx(0.6), pytest.approx(4.8), 48, 240, 6)


def test_nothing_is_run() -> None:
    trainer = QuantumTrainer(TrainingConfig())
    trainer.estimate_cost(QuantumModel(2, 2, 2), 100)
    assert trainer.spent == Cost()
