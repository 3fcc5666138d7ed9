"""The default method in training: what it decides, what it tells of it, and how it keeps to prices and budgets."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from estimator_problems import KEY, drive, layered, mock, problem_of
from qstore_mock.backend import MockBackend
from run_files import steps_of

from qstore_core import Budget, QuantumModel, QuantumTrainer, TrainingConfig
from qstore_core.backend import Prices
from qstore_core.circuit import QuantumCircuit
from qstore_core.errors import BudgetExceededError, ConfigurationError
from qstore_core.estimators.adaptive import Adaptive
from qstore_core.executor import Executor
from qstore_core.problem import Problem

X = np.random.default_rng(3).normal(size=(40, 3))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)


class Priced(MockBackend):
    """The simulator with a price list."""

    def __init__(self, **prices: float) -> None:
        super().__init__()
        self.capabilities = replace(self.capabilities, prices=Prices(**prices))


def trained(backend: MockBackend | None = None, **settings: Any) -> QuantumTrainer:
    config = TrainingConfig(**{"epochs": 4, "seed": 1, **settings})
    trainer = QuantumTrainer(config, progress=False)
    trainer.fit(QuantumModel(3, 3, 2, backend or MockBackend()), X, Y)
    return trainer


@pytest.fixture
def problem(rng: np.random.Generator) -> Problem:
    return problem_of(layered(6), ["Z0 Z1"], rng, n_samples=3, shots=1000)


class TestDecisions:
    def test_every_step_tells_its_plan_its_reason_and_what_came_of_it(self, tmp_path: Path) -> None:
        trained(run_directory=tmp_path / "run")
        steps = steps_of(tmp_path / "run")
        assert steps[0]["reason"].startswith("first plan")
        assert any(step["reason"].startswith(("kept", "progress")) for step in steps)
        for step in steps:
            assert step["method"] in ("spsa", "parameter_shift")
            assert step["circuits"] == 2 * step["directions"] * step["samples"]
            assert step["shots"] == step["circuits"] * step["shots_per_circuit"]
            assert step["planned_usd"] == pytest.approx(step["circuits"] * 0.30 + step["shots"] * 0.00145)
            assert step["predicted_variance"] > 0
            assert step["signal"] > 0
            assert step["spread"] >= 0
            assert 0 < step["learning_rate_factor"] <= 30

    def test_what_it_predicts_is_within_a_factor_of_two_of_what_it_observes_in_the_mean(self, tmp_path: Path) -> None:
        trained(run_directory=tmp_path / "run", epochs=30)
        steps = [step for step in steps_of(tmp_path / "run") if step["observed_variance"] is not None][50:]
        predicted, observed = (
            np.mean([step[f"{name}_variance"] for step in steps]) for name in ("predicted", "observed")
        )
        assert 0.5 < predicted / observed < 2  # averages lag behind a signal that falls

    def test_a_run_can_be_repeated(self) -> None:
        one, same = trained(), trained()
        assert one.spent == same.spent

    def test_an_epoch_is_one_pass_over_the_data(self) -> None:
        assert trained(epochs=3, shots_per_circuit=20).spent.circuits == 3 * 2 * len(X)

    def test_learning_rates_fall_with_the_noise_that_went_in(self, tmp_path: Path) -> None:
        trained(run_directory=tmp_path / "run", epochs=20)
        factors = [step["learning_rate_factor"] for step in steps_of(tmp_path / "run")]
        assert factors[0] > 10 > factors[-1]

    def test_no_step_is_longer_than_three_tenths_of_a_radian_or_the_learning_rate(self, problem: Problem) -> None:
        for rate, most in ((0.1, 3.0), (0.5, 1.0)):
            assert drive(Adaptive(learning_rate=rate), problem, np.zeros(6)).learning_rate_factor <= most


class TestPrices:
    def test_dear_jobs_are_few(self) -> None:
        cheap = trained(Priced(per_circuit=0.3, per_shot=0.00145), epochs=2).spent
        dear = trained(Priced(per_job=50.0, per_circuit=0.01, per_shot=0.0001), epochs=2).spent
        assert dear.jobs <= 4
        assert cheap.jobs >= 20

    def test_the_wait_for_a_job_can_be_worth_something_and_is_charged_to_nobody(self) -> None:
        patient, hurried = (
            trained(Priced(per_circuit=0.30), gradient_options={"job_value": value}) for value in (0.0, 5.0)
        )
        assert hurried.spent.jobs < patient.spent.jobs / 3
        assert hurried.spent.usd_high == pytest.approx(0.30 * hurried.spent.circuits)

    def test_free_circuits_get_few_shots(self) -> None:
        spent = trained(Priced(per_shot=0.01), epochs=2).spent
        assert spent.shots == 8 * spent.circuits

    def test_prices_are_those_of_the_backend(self, tmp_path: Path) -> None:
        trainer = trained(Priced(per_circuit=0.7, per_shot=0.01), run_directory=tmp_path / "run")
        assert sum(step["planned_usd"] for step in steps_of(tmp_path / "run")) == pytest.approx(trainer.spent.usd_high)

    @pytest.mark.parametrize("prices", [None, Prices()], ids=["none", "zero"])
    def test_what_is_free_is_planned_as_on_hardware_and_said_to_be(self, tmp_path: Path, prices: Prices | None) -> None:
        backend = MockBackend()
        backend.capabilities = replace(backend.capabilities, prices=prices)
        assert trained(backend, epochs=1, run_directory=tmp_path).spent.usd_high == 0
        step = steps_of(tmp_path)[0]
        assert (step["samples"], step["planned_with"]) == (2, "reference prices: the backend declares none")
        assert step["planned_usd"] == pytest.approx(4 * (0.30 + 0.00145 * step["shots_per_circuit"]))

    def test_a_plan_that_a_budget_had_made_small_grows_again_with_it(self, tmp_path: Path) -> None:
        x, y = np.tile(X, (10, 1)), np.tile(Y, 10)

        def train(budget: Budget | None, *, resume: bool) -> None:
            backend = Priced(per_job=5.0, per_circuit=0.01)
            config = TrainingConfig(epochs=2, seed=1, budget=budget, run_directory=tmp_path)
            QuantumTrainer(config, progress=False).fit(QuantumModel(3, 3, 2, backend), x, y, resume=resume)

        with pytest.raises(BudgetExceededError):
            train(Budget(circuits=1000), resume=False)
        last = len(steps_of(tmp_path))
        train(None, resume=True)
        sizes = [step["samples"] for step in steps_of(tmp_path)]
        usual = sizes[0]
        assert min(sizes[:last]) < usual
        assert sizes[last + 1] >= usual  # after one more step, not at the next look

    def test_a_budget_is_used_up_and_not_passed(self) -> None:
        config = TrainingConfig(epochs=50, seed=1, budget=Budget(circuits=101, shots=3000))
        trainer = QuantumTrainer(config, progress=False)
        with pytest.raises(BudgetExceededError, match="the budget is"):
            trainer.fit(QuantumModel(3, 3, 2, MockBackend()), X, Y)
        assert trainer.spent.circuits <= 101
        assert 2900 <= trainer.spent.shots <= 3000


class TestDegenerate:
    def test_nothing_to_move_takes_one_forward_batch(self, rng: np.random.Generator) -> None:
        frozen = problem_of(layered(4), ["Z0"], rng, n_samples=2, shots=100, frozen=range(4))
        bare = problem_of(QuantumCircuit(1).ry(0, 0.3), ["Z0"], rng, n_samples=2, shots=100)
        for each, size in ((frozen, 4), (bare, 0)):
            result = drive(Adaptive(), each, np.zeros(size))
            assert (result.gradients == 0).all()
            assert result.n_circuit_executions == 2
            assert np.isfinite(result.learning_rate_factor)

    def test_a_stationary_point_stays_finite(self, rng: np.random.Generator) -> None:
        problem = problem_of(QuantumCircuit(1).ry(0, layered(1).parameters[0]), ["Z0"], rng, n_samples=2, shots=50)
        problem = replace(problem, targets=np.ones((2, 1)))
        result = drive(Adaptive(), problem, np.zeros(1))
        assert np.isfinite(result.gradients).all()
        assert np.isfinite(result.learning_rate_factor)

    def test_a_single_sample_has_no_observed_variance(self, problem: Problem) -> None:
        assert drive(Adaptive(), problem.subset(np.array([0])), np.zeros(6)).metadata["observed_variance"] is None

    def test_one_shot_is_enough_to_go_on(self) -> None:
        assert trained(shots_per_circuit=1, epochs=1).spent.shots > 0


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"kappa": 0}, "kappa is a number above 0, not 0"),
            ({"reading": "mean"}, "reading is 'dearer' or 'cheaper', not 'mean'"),
            ({"learning_rate": -1.0}, "learning_rate is a number above 0"),
            ({"job_value": -1}, "job_value is a number of US dollars of at least 0, not -1"),
        ],
        ids=repr,
    )
    def test_wrong_ones_are_refused(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigurationError, match=message):
            Adaptive(**options)

    def test_the_state_is_plain_values(self, problem: Problem) -> None:
        state = Adaptive().start(problem, np.zeros(6))
        assert state["plan"]["method"] == "spsa"
        rounds = Adaptive().gradient(problem, np.zeros(6), state, KEY)
        assert next(rounds)[0].n_rows == 2 * problem.n_samples
        assert mock().capabilities.prices is None


def test_after_a_warm_start_the_first_steps_are_a_quarter_as_long(problem: Problem) -> None:
    cold = Adaptive().start(problem, np.zeros(6))
    factors = []
    for state in (cold, Adaptive().warmed(problem, cold)):
        result, _ = asyncio.run(Executor(mock()).drive(Adaptive().gradient(problem, np.zeros(6), state, KEY)))
        factors.append(result.learning_rate_factor)
    assert factors[1] == pytest.approx(factors[0] * 7**-0.75)
    exact = replace(problem, shots=None)
    assert Adaptive().warmed(exact, None) is None
