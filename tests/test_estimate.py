"""The price of a run before it is run is the price of the run."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qstore_core import ArrayLoader, Cost, QuantumModel, QuantumTrainer, TrainingConfig, get_backend
from qstore_core.batch import CircuitBatch
from qstore_core.errors import ConfigurationError

X = np.random.default_rng(1).normal(size=(11, 2))
Y = np.arange(11) % 2


METHODS = ["spsa", "spsa_subsampled", "parameter_shift", "finite_difference"]
WAYS = [*((method, shots) for method in METHODS for shots in (None, 7)), ("adaptive", None)]


@pytest.mark.parametrize(("method", "shots"), WAYS)
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


@pytest.mark.parametrize("shots", [7, 1000])
def test_with_the_default_method_it_is_what_the_first_plan_takes(shots: int, tmp_path: Path) -> None:
    """Steps of the plan's samples, not of the loader's batches, with its shots, which are at most the configured."""
    config = TrainingConfig(epochs=1, batch_size=4, shots_per_circuit=shots, seed=1, run_directory=tmp_path)
    model = QuantumModel(2, 2, 2, get_backend("mock"), readout=["Z0", "X1 Z0"])
    trainer = QuantumTrainer(config, progress=False)
    expected = trainer.estimate_cost(model, 11)
    asyncio.run(trainer.train(model, ArrayLoader(X, Y, 4)))
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    steps = [record for record in records if record["kind"] == "step"]
    samples = steps[0]["samples"]
    assert len(steps) <= 10  # so that there is one plan
    assert [step["samples"] for step in steps] == [*[samples] * (11 // samples), *[11 % samples] * bool(11 % samples)]
    assert expected.n_steps == len(steps)
    found = expected.total.circuits, expected.total.shots, expected.total.jobs
    assert found == (trainer.spent.circuits, trainer.spent.shots, trainer.spent.jobs)
    assert expected.step.circuits == steps[0]["circuits"]
    assert expected.step.shots == steps[0]["shots"] <= shots * steps[0]["circuits"]


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


@pytest.mark.parametrize("counts", [{"epochs": -3}, {"epochs": 1.5}, {"n_validation": -1}])
def test_counts_below_zero_are_refused(counts: dict[str, Any]) -> None:
    (name,) = counts
    with pytest.raises(ConfigurationError, match=f"{name} is a whole number of at least 0, not {counts[name]}"):
        QuantumTrainer().estimate_cost(QuantumModel(2, 2, 2), 10, **counts)
