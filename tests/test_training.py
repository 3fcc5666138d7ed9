"""Every way to make steps goes on after an interruption as if there had been none, and not with other settings."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_files import state_without_cost

from qstore_core.arrays import FloatArray
from qstore_core.backend import LocalBackend
from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.checkpoint import load_checkpoint
from qstore_core.config import TrainingConfig
from qstore_core.data import ArrayLoader
from qstore_core.errors import CheckpointError
from qstore_core.executor import Executor
from qstore_core.model import QuantumModel
from qstore_core.problem import GradientResult, Problem, Rounds, State
from qstore_core.randomness import StepKey
from qstore_core.registry import get_backend
from qstore_core.run import begin_run
from qstore_core.run_directory import RunDirectory
from qstore_core.surroundings import Surroundings
from qstore_core.tracker import PerformanceTracker
from qstore_core.trainer import QuantumTrainer
from qstore_core.training import make_recipe

X = np.random.default_rng(1).normal(size=(12, 2))
Y = (X[:, 0] + 0.3 * X[:, 1] > 0).astype(np.int64)
SPSA = {"gradient_method": "spsa"}
WAYS: dict[str, dict[str, Any]] = {
    "amsgrad": {**SPSA, "optimizer_options": {"amsgrad": True}},
    "decaying adam": {**SPSA, "learning_rate_decay": 0.3},
    "decaying momentum": {**SPSA, "optimizer": "momentum", "learning_rate_decay": 0.3},
    "decaying sgd": {**SPSA, "optimizer": "sgd", "learning_rate_decay": 0.3},
    "averaged": {**SPSA, "parameter_averaging": 0.7},
    "averaged and decaying": {**SPSA, "parameter_averaging": 0.7, "learning_rate_decay": 0.3},
    "spall": {"optimizer": "spall"},
    "steps": {
        "gradient_method": "schedule",
        "gradient_options": {"steps": ((0, "spsa"), (2, {"method": "parameter_shift", "coordinates": 1}), (6, "spsa"))},
    },
    "alternating": {
        "gradient_method": "schedule",
        "gradient_options": {"first": {"method": "spsa", "decay": 0.5}, "every": 3, "stalled": 0.01},
    },
    "rotosolve": {"optimizer": "rotosolve"},
    "averaged rotosolve": {"optimizer": "rotosolve", "parameter_averaging": 0.7},
    "averaged spall": {"optimizer": "spall", "parameter_averaging": 0.7, "weight_decay": 0.1},
}


class Stopping(LocalBackend):
    """The simulator, which is interrupted at its n-th job, once."""

    def __init__(self, stop_at: int = 0) -> None:
        inner = get_backend("mock")
        assert isinstance(inner, LocalBackend)
        self.inner, self.stop_at, self.jobs = inner, stop_at, 0
        self.capabilities, self.fingerprint = inner.capabilities, inner.fingerprint

    def compile(self, *arguments: Any) -> Any:
        return self.inner.compile(*arguments)

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        self.jobs += 1
        if self.jobs == self.stop_at:
            raise KeyboardInterrupt
        return await self.inner.execute(batch, compiled)


def run(place: Path, way: dict[str, Any], *, stop_at: int = 0, **more: Any) -> QuantumModel:
    defaults = {"epochs": 3, "learning_rate": 0.1, "shots_per_circuit": 20, "seed": 5, "run_directory": place}
    model = QuantumModel(2, 2, 2, Stopping(stop_at), depth=1)
    trainer = QuantumTrainer(TrainingConfig(**(defaults | way)), progress=False)
    asyncio.run(trainer.train(model, ArrayLoader(X, Y, 5), **more))
    return model


def steps(directory: Path) -> list[int]:
    records = map(json.loads, (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [record["step"] for record in records if record["kind"] == "step"]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
class TestResuming:
    @pytest.mark.parametrize("done", [0, 1, 5])
    def test_after_an_interruption_a_run_ends_the_same_to_the_last_bit(
        self, tmp_path: Path, way: dict[str, Any], done: int
    ) -> None:
        model = run(tmp_path / "whole", way)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "parts", way, stop_at=done + 1)
        assert load_checkpoint(tmp_path / "parts" / "checkpoint.npz").step == done
        again = run(tmp_path / "parts", way, resume=True)
        np.testing.assert_array_equal(again.parameters, model.parameters)
        assert state_without_cost(tmp_path / "parts") == state_without_cost(tmp_path / "whole")
        assert steps(tmp_path / "parts") == list(range(1, 10))

    def test_after_some_epochs_too(self, tmp_path: Path, way: dict[str, Any]) -> None:
        run(tmp_path / "whole", way)
        run(tmp_path / "parts", way, epochs=1)
        run(tmp_path / "parts", way, resume=True)
        assert state_without_cost(tmp_path / "parts") == state_without_cost(tmp_path / "whole")


def test_the_metrics_of_an_epoch_cover_the_steps_before_an_interruption(tmp_path: Path) -> None:
    run(tmp_path / "whole", SPSA)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", SPSA, stop_at=5)  # the second of the three steps of the second epoch
    run(tmp_path / "parts", SPSA, resume=True)
    whole, parts = (RunDirectory(tmp_path / name).epochs() for name in ("whole", "parts"))
    assert [epoch["circuits"] for epoch in parts] == [24, 24, 24]
    for one, other in zip(whole, parts, strict=True):
        assert one.pop("seconds") > 0 < other.pop("seconds")
        assert other == pytest.approx(one)


def test_spall_keeps_its_sequence_when_a_run_is_made_longer(tmp_path: Path) -> None:
    run(tmp_path, WAYS["spall"])
    before = load_checkpoint(tmp_path / "checkpoint.npz").optimizer
    run(tmp_path, {**WAYS["spall"], "epochs": 30}, resume=True, epochs=4)
    after = load_checkpoint(tmp_path / "checkpoint.npz").optimizer
    assert (after["steps"], after["stability"], after["gain"]) == (12, before["stability"], before["gain"])


@pytest.mark.parametrize(
    ("first", "then", "message"),
    [
        ({}, {"optimizer_options": {"amsgrad": True}}, r"optimizer_options=\{\}, not \{'amsgrad': True\}"),
        ({}, {"learning_rate_decay": 0.1}, "learning_rate_decay=0.0, not 0.1"),
        ({"parameter_averaging": 0.5}, {}, "parameter_averaging=0.5, not 0.0"),
        ({"optimizer": "spall"}, {"optimizer": "spall", "spsa_a_initial": 0.1}, "spsa_a_initial=0.01, not 0.1"),
        ({"optimizer": "spall"}, {"gradient_method": "spsa"}, "optimizer='spall', not 'adam'"),
    ],
)
def test_a_run_does_not_go_on_with_other_settings(
    tmp_path: Path, first: dict[str, Any], then: dict[str, Any], message: str
) -> None:
    run(tmp_path, first, epochs=1)
    with pytest.raises(CheckpointError, match=message):
        run(tmp_path, then, resume=True)


@dataclass(frozen=True)
class Told:
    """An estimator whose answer is given."""

    answer: GradientResult

    def start(self, problem: Problem, parameters: FloatArray) -> State:
        return None

    def gradient(self, problem: Problem, parameters: FloatArray, state: State, key: StepKey) -> Rounds:
        yield ()
        return self.answer, state


@pytest.mark.parametrize(
    ("known", "norm"),
    [
        ({}, 1.0),
        ({"variance": 4.0}, 1.0),
        ({"total_variance": 0.0}, 1.0),
        ({"variance": 4.0, "total_variance": 9.0}, 1.0 + 3 * 3.0),
        ({"total_variance": 400.0}, 40.0),
    ],
)
def test_clipping_lets_three_deviations_of_the_noise_through(known: dict[str, float], norm: float) -> None:
    model = QuantumModel(2, 2, 2, get_backend("mock"), depth=1, seed=1)
    config = TrainingConfig(optimizer="sgd", learning_rate=1.0, momentum=0.0, seed=1)
    gradients = np.zeros(model.n_parameters)
    gradients[0] = 40.0
    recipe = make_recipe(model, config, labels_are_classes=True)
    recipe = replace(recipe, estimator=Told(GradientResult(gradients, 0.5, **known)))
    executor = Executor(get_backend("mock"))
    run = begin_run(
        recipe, Surroundings(config, get_backend("mock"), PerformanceTracker(), None), None, None, resume=False
    )
    before = run.state.parameters
    after, _ = asyncio.run(recipe.step(run.state, X[:2], Y[:2], executor))
    assert np.linalg.norm(after.parameters - before) == pytest.approx(norm)
