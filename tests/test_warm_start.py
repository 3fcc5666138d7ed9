"""Warm starts: where they end, that they cost nothing, and that an interrupted run does not have them twice."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_files import lines, state_of

from qstore_core import registry
from qstore_core.backend import LocalBackend
from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.checkpoint import Checkpoint, load_checkpoint
from qstore_core.config import TrainingConfig
from qstore_core.data import ArrayLoader
from qstore_core.errors import CapabilityError, CheckpointError, ConfigurationError
from qstore_core.model import QuantumModel
from qstore_core.registry import Registry, get_backend
from qstore_core.trainer import QuantumTrainer

X = np.random.default_rng(1).normal(size=(12, 2))
Y = (X[:, 0] + 0.3 * X[:, 1] > 0).astype(np.int64)
LOADER = ArrayLoader(X, Y, batch_size=5)


class Hardware(LocalBackend):
    """A backend that only samples, with a note of what it saw; it may stop at its n-th job, once."""

    def __init__(self, stop_at: int = 0, **changes: Any) -> None:
        inner = get_backend("mock")
        assert isinstance(inner, LocalBackend)
        self.inner, self.stop_at = inner, stop_at
        self.capabilities = replace(inner.capabilities, **({"exact": False, "adjoint": False} | changes))
        self.fingerprint = "hardware"
        self.jobs: list[CircuitBatch] = []

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        if len(self.jobs) + 1 == self.stop_at:
            self.stop_at = 0
            raise KeyboardInterrupt
        self.jobs.append(batch)
        return await self.inner.execute(batch, self.inner.compile(batch.structure, batch.groups))


def settings(**changes: Any) -> TrainingConfig:
    defaults = {"epochs": 3, "learning_rate": 0.1, "shots_per_circuit": 20, "seed": 5, "warm_start": "simulator"}
    return TrainingConfig(**(defaults | changes))


def run(config: TrainingConfig, backend: LocalBackend | None = None, data: Any = LOADER, **more: Any) -> QuantumTrainer:
    trainer = QuantumTrainer(config, progress=False)
    asyncio.run(trainer.train(QuantumModel(2, 2, 2, backend or Hardware(), depth=1), data, **more))
    return trainer


def begun(place: Path, **changes: Any) -> Checkpoint:
    """The state in which the first paid step begins."""
    with pytest.raises(KeyboardInterrupt):
        run(settings(run_directory=place, **changes), Hardware(stop_at=1))
    return load_checkpoint(place / "checkpoint.npz")


class TestWhereItEnds:
    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"optimizer": "momentum", "learning_rate_decay": 0.1},
            {"loss": "mse"},
            {"optimizer": "rotosolve"},
            {"gradient_method": "parameter_shift"},
        ],
        ids=str,
    )
    def test_it_is_where_an_exact_run_ends(self, tmp_path: Path, changes: dict[str, Any]) -> None:
        state = begun(tmp_path / "warm", **changes)
        exact = changes | ({} if changes.get("optimizer") == "rotosolve" else {"gradient_method": "adjoint"})
        config = settings(**exact, warm_start=None, shots_per_circuit=None, run_directory=tmp_path / "exact")
        run(config, get_backend("mock"))  # type: ignore[arg-type]
        ended = load_checkpoint(tmp_path / "exact" / "checkpoint.npz")
        np.testing.assert_array_equal(state.parameters, ended.parameters)
        np.testing.assert_array_equal(state.loss_parameters, ended.loss_parameters)
        assert (ended.step, state.step, state.epoch, state.samples_done, state.warm_started) == (9, 0, 0, 0, True)

    def test_optimiser_and_average_begin_anew(self, tmp_path: Path) -> None:
        state = begun(tmp_path, parameter_averaging=0.5)
        assert (state.optimizer["steps"], state.loss_optimizer["steps"], dict(state.average)) == (0, 0, {})
        assert not state.optimizer["mean"].any()

    def test_spall_is_calibrated_again_by_real_circuits(self, tmp_path: Path) -> None:
        assert begun(tmp_path / "begun", optimizer="spall").optimizer["gain"] is None
        backend = Hardware()
        run(settings(optimizer="spall"), backend)
        assert [job.n_rows for job in backend.jobs][:2] == [10 * 2 * 5, 2 * 5]

    def test_it_helps(self) -> None:
        losses = [run(settings(epochs=8, warm_start=warm)) for warm in ("simulator", None)]
        first = [trainer.performance_tracker.get_convergence_data()["loss"][0] for trainer in losses]
        assert first[0] < first[1] - 0.1

    def test_it_stops_when_the_loss_has_converged(self, tmp_path: Path) -> None:
        run(settings(epochs=300, learning_rate=0.3, run_directory=tmp_path, loss="mse"), data=[(X, Y)], resume=True)
        (line,) = lines(tmp_path, "warm_start")
        assert 5 < line["epochs"] < 150


class TestCounts:
    def test_it_is_not_charged(self, tmp_path: Path) -> None:
        backend, config = Hardware(), settings(gradient_method="spsa", run_directory=tmp_path)
        trainer = run(config, backend)
        cold = run(replace(config, run_directory=None, warm_start=None))
        assert trainer.spent == cold.spent
        assert trainer.spent.circuits == sum(job.n_circuits for job in backend.jobs) == 3 * 2 * 12
        assert {job.shots for job in backend.jobs} == {20}
        assert trainer.performance_tracker.get_statistics()["total_circuits"] == trainer.spent.circuits
        assert sum(line["circuits"] for line in lines(tmp_path, "epoch")) == trainer.spent.circuits
        assert trainer.estimate_cost(QuantumModel(2, 2, 2, Hardware(), depth=1), 12).total.circuits == 3 * 2 * 12

    def test_it_says_what_it_did(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO, logger="qstore"):
            run(settings(run_directory=tmp_path))
        (line,) = lines(tmp_path, "warm_start")
        assert (line["step"], line["epochs"]) == (0, 3)
        assert line["loss_after"] < line["loss_before"]
        said = [record.getMessage() for record in caplog.records if "warm start" in record.getMessage()]
        assert said == [
            "warm start: training on simulator mock first",
            f"warm start: 3 epochs on the simulator brought the loss from {line['loss_before']:.6g} to "
            f"{line['loss_after']:.6g}",
        ]

    def test_the_losses_are_those_of_the_whole_data(self, tmp_path: Path) -> None:
        state = begun(tmp_path)
        (line,) = lines(tmp_path, "warm_start")
        model = QuantumModel(2, 2, 2, get_backend("mock"), depth=1)
        model.parameters = state.parameters
        logits = state.loss_parameters[0] * asyncio.run(model.forward(X))
        wanted = np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(12), Y])
        assert line["loss_after"] == pytest.approx(wanted, abs=1e-12)


class Failing:
    """Gives the batches until it has given so many, then raises, once."""

    def __init__(self, given: int) -> None:
        self.left = given

    def __iter__(self) -> Iterator[Any]:
        for batch in LOADER.epoch(0, 5):
            if self.left == 0:
                self.left = -1
                raise KeyboardInterrupt
            self.left -= 1
            yield batch

    def __len__(self) -> int:
        return len(LOADER)


class TestResuming:
    def test_it_repeats_with_the_seed(self, tmp_path: Path) -> None:
        for name in ("one", "same"):
            run(settings(run_directory=tmp_path / name))
        assert state_of(tmp_path / "one") == state_of(tmp_path / "same")

    @pytest.mark.parametrize("done", [0, 1, 4])
    def test_a_run_that_goes_on_has_no_second_one(self, tmp_path: Path, done: int) -> None:
        whole, parts = (settings(gradient_method="spsa", run_directory=tmp_path / name) for name in ("whole", "parts"))
        run(whole)
        with pytest.raises(KeyboardInterrupt):
            run(parts, Hardware(stop_at=done + 1))
        run(parts, resume=True)
        assert state_of(tmp_path / "parts") == state_of(tmp_path / "whole")
        assert len(lines(tmp_path / "parts", "warm_start")) == 1
        assert [line["step"] for line in lines(tmp_path / "parts", "step")] == list(range(1, 10))

    @pytest.mark.parametrize("given", [1, 5, 9])
    def test_one_that_was_interrupted_is_done_again_from_its_beginning(self, tmp_path: Path, given: int) -> None:
        run(settings(run_directory=tmp_path / "whole"), data=Failing(10_000))
        with pytest.raises(KeyboardInterrupt):
            run(settings(run_directory=tmp_path / "parts"), data=Failing(1 + given))
        assert not load_checkpoint(tmp_path / "parts" / "checkpoint.npz").warm_started
        run(settings(run_directory=tmp_path / "parts"), data=Failing(10_000), resume=True)
        assert state_of(tmp_path / "parts") == state_of(tmp_path / "whole")
        assert len(lines(tmp_path / "parts", "warm_start")) == 1

    def test_a_second_call_has_none(self, tmp_path: Path) -> None:
        trainer, model = QuantumTrainer(settings(run_directory=tmp_path)), QuantumModel(2, 2, 2, Hardware(), depth=1)
        asyncio.run(trainer.train(model, LOADER, epochs=0))
        assert not (tmp_path / "metrics.jsonl").exists()
        for _ in range(2):
            asyncio.run(trainer.train(model, LOADER, epochs=1))
        assert len(lines(tmp_path, "warm_start")) == 1

    def test_a_cold_run_does_not_go_on_as_a_warm_one(self, tmp_path: Path) -> None:
        run(settings(warm_start=None, run_directory=tmp_path))
        with pytest.raises(CheckpointError, match="was made with warm_start=None, not 'simulator'"):
            run(settings(run_directory=tmp_path), resume=True)


class TestRefusals:
    def test_an_exact_run_needs_none(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO, logger="qstore"):
            warm, cold = (
                run(settings(shots_per_circuit=None, warm_start=way), get_backend("mock"))  # type: ignore[arg-type]
                for way in ("simulator", None)
            )
        assert warm.spent == cold.spent
        assert [r.getMessage() for r in caplog.records if "warm" in r.getMessage()] == [
            "warm start: left out, because this run is exact itself"
        ]

    @pytest.mark.parametrize("call", [lambda t, m: t.fit(m, X, Y), lambda t, m: t.check(m, X, Y)], ids=["fit", "check"])
    def test_too_many_qubits_are_refused_before_anything_runs(
        self, tmp_path: Path, call: Callable[[QuantumTrainer, QuantumModel], Any]
    ) -> None:
        backend = Hardware(max_qubits=100)
        model = QuantumModel(2, 40, 2, backend, depth=1)
        message = r"warm_start='simulator': the circuit has 40 qubits and backend 'mock' at most \d+ .*; use .* or "
        with pytest.raises(CapabilityError, match=message):
            call(QuantumTrainer(settings(run_directory=tmp_path / "run")), model)
        assert not (tmp_path / "run").exists()
        assert backend.jobs == []

    def test_without_a_simulator_it_says_how_to_get_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        backend = Hardware()
        monkeypatch.setattr(registry, "_default", Registry(lambda: ()))
        message = (
            r"warm_start='simulator' trains on a simulator on this machine: unknown backend 'mock'.*"
            r"To install 'mock': pip install ./plugins/qstore_mock"
        )
        with pytest.raises(ConfigurationError, match=message):
            run(settings(), backend)
        assert backend.jobs == []
