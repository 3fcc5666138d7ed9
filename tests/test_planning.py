"""Plans of sampled steps: the variance they predict, and the choices they make under one price list and another."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from estimator_problems import KEY, gradients_of, layered, mock, problem_of

from qstore_core.backend import Prices
from qstore_core.batch import VectorJacobianProduct
from qstore_core.cost import Budget, Cost
from qstore_core.estimators.parameter_shift import ParameterShift
from qstore_core.estimators.planning import REFERENCE, Landscape, Plan, Planner
from qstore_core.estimators.signal import Signal, SignalAverages
from qstore_core.estimators.spsa import SPSA
from qstore_core.executor import Executor
from qstore_core.problem import GradientEstimator, GradientResult, Pricing, Problem

GROUND = Landscape(n_active=20, n_shifts=40, n_bases=1, shift_weight=10.0, c=0.25)
WEAK = Signal(square=0.02, spread=0.98, one_shot=1.2)


@pytest.fixture
def problem(rng: np.random.Generator) -> Problem:
    return problem_of(layered(6), ["Z0 Z1"], rng, n_samples=4, shots=1000)


def priced(problem: Problem, prices: Prices | None, price: Pricing | None = None) -> Problem:
    return replace(problem, capabilities=replace(problem.capabilities, prices=prices), price=price)


def planner(problem: Problem, prices: Prices | None = None, **options: object) -> Planner:
    return Planner(priced(problem, prices), GROUND, 1000, **options)  # type: ignore[arg-type]


def plan_of(problem: Problem, signal: Signal = WEAK, **options: object) -> Plan:
    choice = planner(problem, **options).best(signal)  # type: ignore[arg-type]
    assert choice is not None
    return choice.plan


class TestVariance:
    """Predicted from exact moments, measured over 2,000 steps on random samples: 15% is six standard errors.

    The prediction is for small c: a step of 0.1 attenuates what the six parameters do together by 2%.
    """

    @pytest.mark.parametrize(
        ("plan", "estimator"),
        [
            (Plan("spsa", 4, 1, 64), SPSA(c=0.1)),
            (Plan("spsa", 4, 3, 256), SPSA(c=0.1, directions=3)),
            (Plan("parameter_shift", 4, 1, 16), ParameterShift()),
        ],
        ids=str,
    )
    def test_it_is_that_of_steps_on_random_samples(
        self, plan: Plan, estimator: GradientEstimator, rng: np.random.Generator
    ) -> None:
        whole = problem_of(layered(6), ["Z0 Z1"], rng, n_samples=400, shots=plan.shots)
        parameters = rng.normal(size=len(whole.trained))
        exact = _signal(whole, parameters)
        steps = [rng.choice(400, size=plan.samples, replace=True) for _ in range(2000)]
        found = np.concatenate(
            [gradients_of(_one(estimator, whole.subset(chosen), parameters, step)) for step, chosen in enumerate(steps)]
        )
        measured = float(np.sum(found.var(axis=0, ddof=1)))
        assert Landscape.of(whole, 0.1).variance(plan, exact) == pytest.approx(measured, rel=0.15)

    def test_a_landscape_counts_shifts_and_their_weights(self, problem: Problem) -> None:
        ground = Landscape.of(problem, 0.2)
        assert (ground.n_active, ground.n_bases) == (6, 1)
        assert ground.shift_weight == pytest.approx(ground.n_active / 2)  # two shifts of weight 1/2 for each

    def test_a_single_parameter_has_no_noise_from_directions(self) -> None:
        alone = replace(GROUND, n_active=1)
        assert alone.variance(Plan("spsa", 1, 1, 100), Signal(1.0, 0.0, 0.0)) == 0


def _one(estimator: GradientEstimator, problem: Problem, parameters: np.ndarray, step: int) -> list[GradientResult]:
    async def run() -> GradientResult:
        rounds = estimator.gradient(problem, parameters, estimator.start(problem, parameters), KEY.at(step))
        return (await Executor(mock()).drive(rounds))[0]

    return [asyncio.run(run())]


def _signal(problem: Problem, parameters: np.ndarray) -> Signal:
    """G, D and s2 from exact gradients of every sample."""
    exact = replace(problem, shots=None)
    batch = exact.batch(parameters, np.arange(exact.n_samples), np.zeros(exact.n_samples, dtype=np.uint64))
    (result,) = asyncio.run(Executor(mock()).run((batch,)))
    outputs = exact.outputs(batch, result).values
    slopes = exact.loss_of(outputs).output_gradient * exact.n_samples
    (derivatives,) = asyncio.run(Executor(mock()).run((VectorJacobianProduct(batch, slopes),)))
    assert derivatives.angle_gradients is not None
    gradients = derivatives.angle_gradients @ exact.affine.parameters.matrix.T
    square = float(np.sum(gradients.mean(axis=0) ** 2))
    spread = float(np.mean(np.sum(gradients**2, axis=1))) - square
    return Signal(square, spread, float(np.mean(slopes[:, 0] ** 2 * (1 - outputs[:, 0] ** 2))))


class TestChoice:
    def test_a_price_for_each_circuit_makes_small_steps_whose_shots_are_worth_their_price(
        self, problem: Problem
    ) -> None:
        plan = plan_of(problem)
        # closed form for affine prices: S = sqrt(p_circuit Y / (p_shot X)), from (p_circuit + p_shot S) (X + Y / S)
        x = WEAK.spread + 19 * WEAK.second_moment
        y = 20 * WEAK.one_shot / (2 * GROUND.c**2)
        best = np.sqrt(REFERENCE.per_circuit * y / (REFERENCE.per_shot * x))
        assert plan.method == "spsa"
        assert plan.samples <= 4
        assert best / 1.5 < plan.shots < best * 1.5

    def test_free_circuits_get_the_fewest_shots(self, problem: Problem) -> None:
        assert plan_of(problem, prices=Prices(per_shot=0.001)).shots == 8

    def test_dear_jobs_are_large(self, problem: Problem) -> None:
        plan = plan_of(problem, prices=Prices(per_job=100.0, per_circuit=0.01, per_shot=0.0001))
        assert plan.rows(GROUND.n_shifts) >= 256

    def test_a_minimum_price_is_filled(self, problem: Problem) -> None:
        def price(requests: object) -> Cost:
            (batch,) = requests  # type: ignore[misc]
            usd = max(10.0, 0.001 * batch.n_shots)
            return Cost(usd, usd, batch.n_circuits, batch.n_shots, 1)

        choice = Planner(priced(problem, Prices(per_shot=0.001), price), GROUND, 1000).best(WEAK)
        assert choice is not None
        shots = choice.plan.rows(GROUND.n_shifts) * choice.plan.shots
        assert choice.usd == pytest.approx(max(10.0, 0.001 * shots))
        assert 6_000 < shots < 20_000  # nothing of what is paid anyway is left, and not much more is bought

    def test_the_reading_decides_which_price_is_planned_on(self, problem: Problem) -> None:
        def price(requests: object) -> Cost:
            (batch,) = requests  # type: ignore[misc]
            return Cost(50.0 + 0.001 * batch.n_shots, 0.3 * batch.n_circuits, batch.n_circuits, batch.n_shots, 1)

        both = priced(problem, Prices(per_circuit=0.3), price)
        dearer = Planner(both, GROUND, 1000, reading="dearer").best(WEAK)
        cheaper = Planner(both, GROUND, 1000, reading="cheaper").best(WEAK)
        assert dearer is not None
        assert cheaper is not None
        assert dearer.plan.rows(GROUND.n_shifts) < 20 < 200 < cheaper.plan.rows(GROUND.n_shifts)

    def test_what_does_not_fit_into_the_budget_is_not_planned(self, problem: Problem) -> None:
        poor = replace(problem, remaining=Budget(circuits=5, shots=60))
        choice = Planner(priced(poor, None), GROUND, 1000).best(WEAK)
        assert choice is not None
        assert choice.plan.rows(GROUND.n_shifts) <= 5
        assert choice.plan.rows(GROUND.n_shifts) * choice.plan.shots <= 60
        nothing = replace(problem, remaining=Budget(usd=0.5))
        assert Planner(priced(nothing, None), GROUND, 1000).best(WEAK) is None

    def test_shots_stay_below_the_most(self, problem: Problem) -> None:
        choice = Planner(priced(problem, None), GROUND, 5).best(WEAK)
        assert choice is not None
        assert choice.plan.shots == 5


class TestAverages:
    def test_they_are_unbiased_while_the_gradient_stays(self, rng: np.random.Generator) -> None:
        gradient, found = np.array([0.3, -0.4]), []
        for _ in range(400):
            averages = SignalAverages.empty(2)
            for _ in range(30):
                noisy = gradient + rng.normal(size=2)
                told = {"samples": 2, "second_moment": 5.0 + rng.normal(), "one_shot_variance": 2.0}
                averages = averages.after(GradientResult(noisy, 0.0, metadata=told))
            crossed = float(averages.gradient @ averages.gradient) - averages.self_products
            found.append([crossed / (1 - averages.squared_weights), averages.second_moment])
        errors = np.std(found, axis=0) / np.sqrt(400)
        assert (np.abs(np.mean(found, axis=0) - [0.25, 5.0]) < 5 * errors).all()  # fails once in 10^6 seeds

    def test_a_signal_is_never_nothing_nor_more_than_everything(self) -> None:
        for gradients in ([1.0, -1.0], [3.0, 3.0]):
            averages = SignalAverages.empty(1)
            for each in gradients:
                told = {"samples": 2, "second_moment": 2.0, "one_shot_variance": 1.0}
                averages = averages.after(GradientResult(np.array([each]), 0.0, metadata=told))
            assert 0 < averages.signal.square <= 2.0
            assert averages.signal.spread >= 0

    def test_their_state_is_plain_and_complete(self) -> None:
        told = {"samples": 2, "second_moment": 2.0, "one_shot_variance": 1.0}
        averages = SignalAverages.empty(3).after(GradientResult(np.arange(3.0), 0.0, metadata=told))
        again = SignalAverages.of(averages.to_state())
        assert again.signal == averages.signal
        assert again.to_state().keys() == averages.to_state().keys()
