"""Runs on a backend that is paid: one cap on all that a trainer runs, and costs that are those of whoever paid."""

from __future__ import annotations

import asyncio
import copy
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_backends import Remote, Watched
from training_runs import X, Y, new_model, settings

from qstore_core import ArrayLoader, Budget, BudgetExceededError, ConfigurationError, Prices, QuantumTrainer
from qstore_core.checkpoint import load_checkpoint
from qstore_core.errors import CheckpointError
from qstore_core.journal import Journal
from qstore_core.preprocessing import FeatureScaler
from qstore_core.run import Run
from qstore_core.training import TrainingMetrics

PAID = {"shots_per_circuit": 20, "gradient_method": "spsa", "epochs": 2}
EPOCH, VALIDATION = 24, 6  # circuits


class Killed(BaseException):
    """The process dies: nothing is written any more."""


class Dying(Remote):
    """A provider whose customer dies when it sends its n-th job."""

    def __init__(self, jobs: dict[str, Any], dies_at: int | None, **capabilities: Any) -> None:
        super().__init__(**capabilities)
        self.jobs, self.dies_at = jobs, dies_at

    async def submit(self, batches: Any, compiled: Any, token: str) -> str:
        if self.dies_at is not None and len(self.jobs) + 1 >= self.dies_at:
            raise Killed
        return await super().submit(batches, compiled, token)


def train(backend: Remote, path: Path | None, *, resume: bool = False, **changes: Any) -> list[TrainingMetrics]:
    trainer = QuantumTrainer(settings(**PAID | {"run_directory": path} | changes), progress=False)
    held_out = ArrayLoader(X[:6], Y[:6], 2, shuffle=False)
    return asyncio.run(trainer.train(new_model(backend), ArrayLoader(X, Y, 4), held_out, resume=resume))


class TestOneCap:
    def test_gradients_before_a_run_are_on_one_account(self) -> None:
        trainer, model = QuantumTrainer(settings(**PAID, budget=Budget(circuits=60))), new_model()
        trainer.gradient(model, X, Y)
        trainer.gradient(model, X, Y)
        assert trainer.spent.circuits == 48
        with pytest.raises(BudgetExceededError, match="60 circuits: 48 spent or reserved, and the next batch needs 24"):
            trainer.gradient(model, X, Y)

    def test_what_was_evaluated_before_counts_for_the_run(self) -> None:
        trainer, model = QuantumTrainer(settings(**PAID, budget=Budget(circuits=30)), progress=False), new_model()
        trainer.evaluate(model, X, Y)
        with pytest.raises(BudgetExceededError):
            trainer.fit(model, X, Y)
        assert trainer.spent.circuits <= 30

    @pytest.mark.parametrize("chosen", [True, False])
    def test_it_is_in_the_journal_of_the_run(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: bool
    ) -> None:
        monkeypatch.chdir(tmp_path)
        backend = Remote()
        path = tmp_path / "run" if chosen else None
        trainer, model = QuantumTrainer(settings(**PAID, run_directory=path), progress=False), new_model(backend)
        trainer.evaluate(model, X, Y)
        trainer.fit(model, X, Y)
        place = path or next((tmp_path / "runs").iterdir())
        paid = Journal(place / "journal.sqlite").total()
        assert paid.circuits == backend.circuits_paid == trainer.spent.circuits == 12 + 2 * EPOCH
        assert paid.usd_high == pytest.approx(0.6)

    def test_another_trainer_has_what_the_first_left(self, tmp_path: Path) -> None:
        backend, budget = Remote(), Budget(circuits=2 * (EPOCH + VALIDATION) + 5)
        train(backend, tmp_path, budget=budget)
        paid = backend.circuits_paid
        other = QuantumTrainer(settings(**PAID, run_directory=tmp_path, budget=budget))
        with pytest.raises(BudgetExceededError):
            other.evaluate(new_model(backend), X, Y)
        assert backend.circuits_paid == paid + 5

    def test_evaluations_between_runs_of_one_directory_are_counted_once(self, tmp_path: Path) -> None:
        backend, spent = Watched(), []
        for epochs in (1, 2, 3):
            config = settings(**PAID | {"epochs": epochs}, run_directory=tmp_path, budget=Budget(circuits=10**6))
            trainer, model = QuantumTrainer(config, progress=False), new_model(backend)
            model.scaler = FeatureScaler.fit(X, 2)
            trainer.predict(model, X[:1])
            trainer.fit(model, X, Y, resume=True)
            spent.append(trainer.spent.circuits)
        assert spent == [25, 50, 75]

    def test_a_run_that_is_refused_takes_nothing_over(self, tmp_path: Path) -> None:
        QuantumTrainer(settings(**PAID, run_directory=tmp_path), progress=False).fit(new_model(), X, Y)  # 48 circuits
        config = settings(**PAID | {"learning_rate": 0.3}, run_directory=tmp_path, budget=Budget(circuits=75))
        trainer, model = QuantumTrainer(config, progress=False), new_model()
        model.scaler = FeatureScaler.fit(X, 2)
        for spent in (60, 72):
            trainer.evaluate(model, X + spent / 1000, Y)
            with pytest.raises(CheckpointError):
                trainer.fit(model, X, Y, resume=True)
            assert trainer.spent.circuits == spent
        with pytest.raises(BudgetExceededError):
            trainer.evaluate(model, X, Y)

    @pytest.mark.parametrize("trained", [False, True])
    def test_evaluations_may_overlap_and_trainers_take_turns(self, tmp_path: Path, trained: bool) -> None:
        backend, budget = Remote(), Budget(circuits=2 * EPOCH + 40)
        config = settings(**PAID, run_directory=tmp_path, budget=budget)
        one, other = QuantumTrainer(config, progress=False), QuantumTrainer(config, progress=False)
        model = new_model(backend)
        if trained:
            one.fit(model, X, Y)

        async def both() -> None:
            await asyncio.gather(
                one.validate(model, ArrayLoader(X, Y, 12)), one.validate(new_model(backend), ArrayLoader(X, Y, 12))
            )

        asyncio.run(both())
        before = backend.circuits_paid
        other.evaluate(new_model(backend), X[:6], Y[:6])
        one.evaluate(model, X[:5], Y[:5])
        assert one.spent.circuits == backend.circuits_paid == before + 11

    def test_evaluations_may_come_from_several_threads(self, tmp_path: Path) -> None:
        backend = Remote()
        trainer, model = QuantumTrainer(settings(**PAID, run_directory=tmp_path), progress=False), new_model(backend)
        with ThreadPoolExecutor(4) as pool:
            shapes = [found.shape for found in pool.map(lambda each: trainer.outputs(model, X + each / 10), range(8))]
        assert shapes == [(12, 2)] * 8
        assert trainer.spent.circuits == backend.circuits_paid == 96

    def test_no_run_begins_while_jobs_are_sent_beside_it(self, tmp_path: Path) -> None:
        backend = Remote()
        trainer = QuantumTrainer(settings(**PAID, run_directory=tmp_path), progress=False)

        async def both() -> list[Any]:
            first = trainer.validate(new_model(backend), ArrayLoader(X, Y, 4))
            second = trainer.train(new_model(backend), ArrayLoader(X, Y, 4))
            return await asyncio.gather(first, second, return_exceptions=True)

        found, refused = asyncio.run(both())
        assert "loss" in found
        assert "an evaluation of this trainer is going on" in str(refused)

    def test_the_next_step_is_not_run_ahead_with_what_the_validation_needs(self, tmp_path: Path) -> None:
        with pytest.raises(BudgetExceededError, match="30 spent or reserved"):
            train(Remote(), tmp_path, budget=Budget(circuits=EPOCH + VALIDATION + 5))


class TestWhatAnEpochCost:
    @pytest.mark.parametrize("dies_at", range(2, 13, 2))
    def test_it_is_the_same_whoever_paid(self, dies_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = train(Remote(), tmp_path / "whole")
        jobs: dict[str, Any] = {}
        with monkeypatch.context() as dead:
            dead.setattr(Run, "save", lambda self: None)
            with pytest.raises(Killed):
                train(Dying(jobs, dies_at), tmp_path / "killed")
        again = train(Dying(jobs, None), tmp_path / "killed", resume=True)
        assert [_counts(epoch) for epoch in again] == [_counts(epoch) for epoch in whole]
        assert [_counts(epoch)[:2] for epoch in whole] == [(EPOCH + VALIDATION, 20 * (EPOCH + VALIDATION))] * 2

    def test_the_loss_of_an_interrupted_epoch_is_that_of_all_its_samples(self, tmp_path: Path) -> None:
        changes = {"gradient_method": "spsa_subsampled", "gradient_subsample_size": 2, "epochs": 1}
        whole = train(Remote(), tmp_path / "whole", **changes)
        jobs: dict[str, Any] = {}
        with pytest.raises(Killed):
            train(Dying(jobs, 3), tmp_path / "stopped", **changes)
        (again,) = train(Dying(jobs, None), tmp_path / "stopped", resume=True, **changes)
        assert again.loss == whole[0].loss


@pytest.mark.parametrize("usd", [12, 22])
def test_a_run_with_a_budget_that_died_pays_no_step_twice(
    usd: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def provider(jobs: dict[str, Any], dies_at: int | None) -> Dying:
        backend = Dying(jobs, dies_at, prices=Prices(per_job=2.0, per_circuit=0.05, per_shot=0.002))
        backend.price = lambda compiled, batch: super(Remote, backend).price(compiled, batch)  # type: ignore[method-assign]
        return backend

    changes: dict[str, Any] = {"gradient_method": "adaptive", "shots_per_circuit": 50, "budget": Budget(usd=usd)}
    whole: dict[str, Any] = {}
    with pytest.raises(BudgetExceededError):
        train(provider(whole, None), tmp_path / "whole", **changes)
    jobs: dict[str, Any] = {}
    with monkeypatch.context() as dead:
        dead.setattr(Run, "save", lambda self: None)
        with pytest.raises(Killed):
            train(provider(jobs, len(whole)), tmp_path / "killed", **changes)
    with pytest.raises(BudgetExceededError):
        train(provider(jobs, None), tmp_path / "killed", resume=True, **changes)
    assert len(jobs) == len(whole)
    ends = [load_checkpoint(tmp_path / name / "checkpoint.npz") for name in ("whole", "killed")]
    np.testing.assert_array_equal(ends[0].parameters, ends[1].parameters)


def test_a_trainer_trains_one_model_at_a_time() -> None:
    trainer, model = QuantumTrainer(settings(**PAID), progress=False), new_model()

    async def both() -> list[Any]:
        runs = [trainer.train(model, ArrayLoader(X, Y, 4)) for _ in range(2)]
        return await asyncio.gather(*runs, return_exceptions=True)

    first, second = asyncio.run(both())
    assert [epoch.epoch for epoch in first] == [1, 2]
    assert isinstance(second, ConfigurationError)
    assert "this trainer is training already" in str(second)
    assert [epoch.epoch for epoch in asyncio.run(trainer.train(model, ArrayLoader(X, Y, 4)))] == [3, 4]


def test_a_trainer_can_be_copied(tmp_path: Path) -> None:
    trainer, model = QuantumTrainer(settings(run_directory=tmp_path, enable_circuit_cache=False)), new_model()
    trainer.fit(model, X, Y)
    assert copy.deepcopy(trainer).spent == trainer.spent


def test_parameters_that_were_chosen_by_hand_are_saved(tmp_path: Path) -> None:
    config = settings(run_directory=tmp_path)
    model, trainer = new_model(), QuantumTrainer(config, progress=False)
    trainer.fit(model, X, Y)
    best = model.parameters = model.parameters + 0.5
    trainer.save()
    other = new_model()
    QuantumTrainer(config, progress=False).fit(other, X, Y, epochs=0, resume=True)
    np.testing.assert_array_equal(other.parameters, best)


def _counts(epoch: TrainingMetrics) -> tuple[int, int, int, float]:
    return epoch.circuits, epoch.shots, epoch.jobs, round(epoch.usd, 9)
