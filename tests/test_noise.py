"""What shots do to a loss: curvature over their spread, and variances, against sums over every possible outcome."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import comb, factorial

import numpy as np
import pytest
from estimator_problems import LOSSES, Array, problem_of

from qstore_core.batch import Estimates
from qstore_core.circuit import QuantumCircuit
from qstore_core.counts import Counts
from qstore_core.estimators.noise import curvature_of, loss_noise
from qstore_core.losses import CallableLoss
from qstore_core.measurement import measurement_plan
from qstore_core.observables import PauliString, PauliSum
from qstore_core.problem import Problem


def problem_with(loss: str, targets: Array) -> Problem:
    made = problem_of(QuantumCircuit(1), ["Z0"] * targets.shape[1], np.random.default_rng(0), loss=LOSSES[loss])
    return replace(made, features=np.zeros((len(targets), 0)), targets=targets)


def compositions(shots: int, n_outcomes: int) -> list[tuple[int, ...]]:
    """Every way to share out the shots among the outcomes."""
    return [row for row in product(range(shots + 1), repeat=n_outcomes) if sum(row) == shots]


def chance(row: tuple[int, ...], probabilities: Array) -> float:
    ways = factorial(sum(row))
    for count in row:
        ways //= factorial(count)
    return ways * float(np.prod(probabilities ** np.array(row)))


class TestLossNoise:
    """Two outputs in two bases: each possible table of counts is a row, weighted with its probability."""

    OBSERVABLES = (PauliString("Z0") + 0.5 * PauliString("X0 X1"), PauliString("Z1") + PauliSum.of("Z0"))
    PROBABILITIES = (np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.1, 0.25, 0.05, 0.6]))

    @pytest.mark.parametrize("shots", [4, 5])
    def test_both_variances_are_unbiased_for_a_quadratic_loss_at_four_shots_and_more(self, shots: int) -> None:
        plan = measurement_plan(tuple(map(PauliSum.of, self.OBSERVABLES)))
        assert len(plan.groups) == 2
        tables = list(product(compositions(shots, 4), repeat=2))
        weights = np.array([np.prod([chance(*p) for p in zip(t, self.PROBABILITIES, strict=True)]) for t in tables])
        assert weights.sum() == pytest.approx(1.0)
        counts = tuple(Counts.from_table(np.array([table[group] for table in tables])) for group in range(2))
        found = Estimates.from_counts(plan, counts)
        assert found.covariance is not None
        hessian, target = np.array([[2.0, -0.6], [-0.6, 0.8]]), np.array([0.3, -0.4])
        apart = found.values - target
        # the loss without bias, l(f) - tr(H C) / 2
        loss = (
            np.einsum("ra,ab,rb->r", apart, hessian, apart) / 2 - np.einsum("ab,rab->r", hessian, found.covariance) / 2
        )
        variance, one_shot = loss_noise(found, apart @ hessian, np.tile(hessian, (len(tables), 1, 1)))
        values = [plan.values(group, np.arange(4, dtype=np.uint64)) for group in range(2)]
        means = [p @ v for p, v in zip(self.PROBABILITIES, values, strict=True)]
        spread = sum(
            v.T @ (p[:, None] * v) - np.outer(m, m) for p, v, m in zip(self.PROBABILITIES, values, means, strict=True)
        )
        slope = hessian @ (sum(means) - target)
        assert weights @ loss == pytest.approx((sum(means) - target) @ slope / 2, abs=1e-12)
        assert weights @ variance == pytest.approx(weights @ loss**2 - (weights @ loss) ** 2, abs=1e-12)
        assert weights @ one_shot == pytest.approx(slope @ spread @ slope, abs=1e-12)

    def test_the_first_rows_can_be_taken_of_many(self) -> None:
        rng = np.random.default_rng(3)
        plan = measurement_plan(tuple(map(PauliSum.of, self.OBSERVABLES)))
        counts = tuple(Counts.from_table(rng.multinomial(9, p, size=6)) for p in self.PROBABILITIES)
        found = Estimates.from_counts(plan, counts)
        gradient, curvature = rng.normal(size=(6, 2)), np.tile(np.eye(2), (6, 1, 1))
        whole, part = loss_noise(found, gradient, curvature), loss_noise(found, gradient[:4], curvature[:4])
        np.testing.assert_allclose(part, np.array(whole)[:, :4], rtol=1e-12)

    @pytest.mark.parametrize("shots", [1, 3])
    def test_three_shots_say_nothing(self, shots: int) -> None:
        plan = measurement_plan((PauliSum.of("Z0"),))
        counts = (Counts.from_table(np.array([[shots, 0], [1, shots - 1]])[: min(2, shots)]),)
        found = Estimates.from_counts(plan, counts)
        rows = found.values.shape[0]
        assert np.all(np.array(loss_noise(found, np.ones((rows, 1)), np.ones((rows, 1, 1)))) == 0)


class TestCurvature:
    OUTPUTS = np.array([[0.3, -0.2], [0.1, 0.7], [-0.5, 0.4]])
    TARGETS = np.array([[1.0, -1.0], [-1.0, 1.0], [1.0, -1.0]])
    SPREAD = np.array([[0.04, 0.01], [0.01, 0.02]])

    def hessian(self, problem: Problem) -> Array:
        """By central differences of the gradient."""
        columns = []
        for output in range(2):
            step = 1e-5 * np.eye(2)[output]
            sides = [problem.loss_of(self.OUTPUTS + sign * step).output_gradient for sign in (1, -1)]
            columns.append((sides[0] - sides[1]) / 2e-5)
        return np.stack(columns, axis=2)

    @pytest.mark.parametrize("loss", list(LOSSES))
    def test_it_is_the_hessian_where_there_is_little_noise(self, loss: str) -> None:
        problem = problem_with(loss, self.TARGETS)
        found = curvature_of(problem, self.OUTPUTS, np.tile(1e-6 * self.SPREAD, (3, 1, 1)))
        np.testing.assert_allclose(found, self.hessian(problem), rtol=1e-4, atol=1e-5)
        told = problem.loss_of(self.OUTPUTS).curvature
        if told is not None:
            np.testing.assert_allclose(told, self.hessian(problem), rtol=1e-5, atol=1e-8)

    @pytest.mark.parametrize("scale", [0.0, 1e-18, 1.0, 10.0])
    def test_of_a_mean_squared_error_it_is_the_hessian_at_any_noise(self, scale: float) -> None:
        found = curvature_of(problem_with("mse", self.TARGETS), self.OUTPUTS, np.tile(scale * self.SPREAD, (3, 1, 1)))
        np.testing.assert_allclose(found, np.tile(np.eye(2) / 3, (3, 1, 1)), rtol=0, atol=1e-9)

    def test_it_stays_finite_at_a_kink(self) -> None:
        problem = replace(
            problem_with("mse", np.zeros((1, 1))), loss=CallableLoss(lambda f, y: float(np.mean(np.abs(f - y))))
        )
        found = curvature_of(problem, np.zeros((1, 1)), np.full((1, 1, 1), 0.09))
        assert found.item() == pytest.approx(1 / 0.3)

    @pytest.mark.parametrize("shots", [4, 8, 16, 32, 100])
    def test_it_tells_how_far_shots_move_the_gradient_of_a_cross_entropy(self, shots: int) -> None:
        """Over outputs from -0.95 to 0.95, each with every possible count: within 5% in the sum, the Hessian is not."""
        counts = np.arange(shots + 1)
        outputs = 2 * counts / shots - 1
        problem = problem_with("cross_entropy", np.ones((shots + 1, 1)))
        covariance = ((1 - outputs**2) / (shots - 1))[:, None, None]
        gradient = problem.loss_of(outputs[:, None]).output_gradient[:, 0]
        told, plugged = (
            (curvature_of(problem, outputs[:, None], spread) ** 2 * covariance).ravel()
            for spread in (covariance, np.zeros_like(covariance))
        )
        true = by_curvature = by_hessian = 0.0
        for mean in np.linspace(-0.95, 0.95, 39):
            up = (1 + mean) / 2
            weights = np.array([comb(shots, int(k)) for k in counts]) * up**counts * (1 - up) ** (shots - counts)
            true += weights @ gradient**2 - (weights @ gradient) ** 2
            by_curvature += weights @ told
            by_hessian += weights @ plugged
        assert by_curvature / true == pytest.approx(1.0, abs=0.05)
        assert by_hessian / true > by_curvature / true + 0.03

    def test_its_points_are_values_that_shots_can_have(self) -> None:
        """A loss may be undefined beyond, such as the logarithm of a probability (1 + f) / 2."""
        seen: list[Array] = []

        def watching(outputs: Array, targets: Array) -> float:
            seen.append(outputs.copy())
            return float(np.sum(outputs))

        rng = np.random.default_rng(1)
        plan = measurement_plan((0.25 * PauliString("Z0") + 0.75 * PauliString("Z1"), PauliSum.of("Z0 Z1")))
        counts = (Counts.from_table(rng.multinomial(6, [0.85, 0.05, 0.06, 0.04], size=300)),)
        values, covariance = plan.from_counts(counts)
        problem = replace(problem_with("mse", np.zeros((300, 2))), loss=CallableLoss(watching))
        curvature_of(problem, values, covariance)
        assert np.max(np.abs(seen)) == pytest.approx(1.0, abs=1e-4)  # the loss itself is differentiated over 1e-5
