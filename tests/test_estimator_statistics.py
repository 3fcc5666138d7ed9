"""Sampled gradients over 2,000 steps: what their mean is, and whether the variance and the moments they report are so.

All seeds are fixed. A mean within five standard errors is passed by chance once in 1.7 million comparisons. Of 2,000
draws as heavy-tailed as these a variance is known to 4%, so a right one leaves a band of 20% once in a million.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar

import numpy as np
import pytest
from estimator_problems import (
    LOSSES,
    Array,
    all_signs,
    differences,
    draw,
    drive,
    exact_outputs,
    gradients_of,
    layered,
    problem_of,
    z_scores,
)

from qstore_core.estimators.adjoint import Adjoint
from qstore_core.estimators.finite_difference import FiniteDifference
from qstore_core.estimators.parameter_shift import ParameterShift
from qstore_core.estimators.spsa import SPSA
from qstore_core.observables import PauliSum
from qstore_core.problem import GradientEstimator, GradientResult, Problem

DRAWS, TARGET = 2000, 0.3
C = 0.3  # SPSA's own choice for so few parameters
MOMENTS = ("second_moment", "one_shot_variance")


@dataclass(frozen=True)
class Case:
    """A regression for `mse` and `callable`, all targets 0.3 and outputs about 0.6; two classes for `cross_entropy`.

    The outputs read Paulis, so that each shot gives each of them +1 or -1.
    """

    loss: str
    shots: int
    n_parameters: int = 2
    n_samples: int = 3
    observables: tuple[str, ...] = ("Z0",)

    def __str__(self) -> str:
        return f"{self.loss}-{self.shots}-{self.n_parameters}x{self.n_samples}-{' and '.join(self.observables)}"

    @property
    def problem(self) -> Problem:
        return problem_of(
            layered(self.n_parameters),
            self.observables,
            np.random.default_rng(5),
            loss=LOSSES[self.loss],
            n_samples=self.n_samples,
            targets=None if self.loss == "cross_entropy" else TARGET,
            shots=self.shots,
        )

    @property
    def parameters(self) -> Array:
        return np.linspace(0.9, 1.1, self.n_parameters)

    def sides(self, c: float = C) -> Array:
        """The exact outputs on both sides of every direction, `(2, n_directions, n_samples, n_outputs)`."""
        moves = c * all_signs(self.n_parameters)
        return np.stack([exact_outputs(self.problem, self.parameters + side * moves) for side in (1, -1)])

    def slopes(self, c: float = C, *, uncorrected: bool = False) -> Array:
        """Exact differences of each sample's squared error along every direction, `(n_directions, n_samples)`.

        Uncorrected they are of what the square of a sampled output is in the mean, `f^2 + (1 - f^2) / shots`.
        """
        f = self.sides(c)
        above, below = np.mean((f - TARGET) ** 2 + uncorrected * (1 - f**2) / self.shots, axis=3)
        return (above - below) / (2 * c)


@cache
def drawn(estimator: GradientEstimator, case: Case) -> list[GradientResult]:
    return draw(estimator, case.problem, case.parameters, DRAWS)


def name(value: object) -> str:
    if isinstance(value, SPSA):
        return f"spsa{value.directions}{'-shared' if value.shared_direction else ''}"
    return f"shift{value.coordinates or ''}" if isinstance(value, ParameterShift) else str(value).partition("(")[0]


class TestMeans:
    @pytest.mark.parametrize(
        ("estimator", "case"),
        [
            (SPSA(), Case("mse", 2)),
            (SPSA(), Case("mse", 8)),
            (SPSA(), Case("mse", 8, observables=("Z0", "Z0 Z1"))),
            (SPSA(directions=4), Case("mse", 8)),
            (SPSA(shared_direction=True), Case("mse", 8)),
        ],
        ids=name,
    )
    def test_of_a_mean_squared_error_spsa_has_the_mean_of_exact_outputs(self, estimator: SPSA, case: Case) -> None:
        """Left uncorrected it would be told apart: the mean is more than seven standard errors from that."""
        draws, signs = gradients_of(drawn(estimator, case)), all_signs(case.n_parameters)
        right, wrong = (
            z_scores(draws, case.slopes(uncorrected=uncorrected).mean(axis=1) @ signs / len(signs))
            for uncorrected in (False, True)
        )
        assert np.abs(right).max() < 5
        assert np.abs(wrong).max() > 7

    @pytest.mark.parametrize("loss", ["cross_entropy", "callable"])
    def test_of_other_losses_it_has_it_but_for_what_falls_as_one_over_shots(self, loss: str) -> None:
        """At 400 shots the rest is within the errors; at 8 it is not, and the gradient points the right way still."""
        case = Case(loss, 400)
        signs, (above, below) = all_signs(case.n_parameters), case.sides()
        gradient = np.stack([case.problem.loss_of(row).output_gradient for row in (above + below) / 2])
        expected = np.sum(gradient * (above - below), axis=(1, 2)) @ signs / (2 * C * len(signs))
        assert np.abs(z_scores(gradients_of(drawn(SPSA(), case)), expected)).max() < 5
        few = gradients_of(drawn(SPSA(), Case(loss, 8))).mean(axis=0)
        assert few @ expected > 0.95 * np.linalg.norm(few) * np.linalg.norm(expected)
        assert np.linalg.norm(few - expected) < 0.3 * np.linalg.norm(expected)

    @pytest.mark.parametrize(
        ("estimator", "case"),
        [
            (ParameterShift(), Case("mse", 1)),
            (ParameterShift(), Case("mse", 2)),
            (ParameterShift(), Case("mse", 8)),
            (ParameterShift(coordinates=1), Case("mse", 8)),
        ],
        ids=name,
    )
    def test_of_a_mean_squared_error_parameter_shift_has_the_gradient_at_any_shots(
        self, estimator: ParameterShift, case: Case
    ) -> None:
        expected = differences(case.problem, case.parameters)
        assert np.abs(z_scores(gradients_of(drawn(estimator, case)), expected)).max() < 5


class TestVariances:
    @pytest.mark.parametrize(
        ("estimator", "case"),
        [
            (SPSA(), Case("mse", 8)),
            (SPSA(), Case("mse", 8, observables=("Z0", "Z0 Z1"))),
            (SPSA(), Case("mse", 8, n_parameters=1)),
            (SPSA(), Case("mse", 16, n_parameters=1, n_samples=1)),
            (SPSA(), Case("cross_entropy", 8)),
            (SPSA(), Case("cross_entropy", 400)),
            (SPSA(), Case("callable", 8)),
            (SPSA(directions=4), Case("mse", 8)),
            (SPSA(directions=4), Case("cross_entropy", 64, observables=("Z0", "Z1"))),
            (SPSA(shared_direction=True), Case("mse", 8)),
            (SPSA(shared_direction=True), Case("cross_entropy", 64)),
            (ParameterShift(), Case("mse", 2)),
            (ParameterShift(), Case("mse", 8)),
            (ParameterShift(), Case("mse", 64, observables=("Z0", "X0"))),
            (ParameterShift(), Case("mse", 8, n_parameters=1, n_samples=1)),
            (ParameterShift(), Case("cross_entropy", 8, n_parameters=4)),
            (ParameterShift(), Case("cross_entropy", 64, observables=("Z0", "Z1"))),
            (ParameterShift(), Case("callable", 8)),
            (ParameterShift(coordinates=1), Case("mse", 8)),
            (ParameterShift(coordinates=1), Case("cross_entropy", 8)),
            (FiniteDifference(), Case("mse", 8)),
            (FiniteDifference(), Case("cross_entropy", 64, observables=("Z0", "X0"))),
        ],
        ids=name,
    )
    def test_the_reported_one_is_the_measured_one(self, estimator: GradientEstimator, case: Case) -> None:
        results = drawn(estimator, case)
        measured = gradients_of(results).var(axis=0, ddof=1).sum()
        reported = np.mean([result.variance for result in results])
        assert reported / measured == pytest.approx(1.0, abs=0.2)


class TestMoments:
    """Unbiased for a mean squared error at any shots from four."""

    JOINT: ClassVar[dict[tuple[str, ...], list[list[str]]]] = {
        ("Z0",): [["I"]],
        ("Z0", "Z0 Z1"): [["I", "Z1"], ["Z1", "I"]],
        ("Z0", "Z1"): [["I", "Z0 Z1"], ["Z0 Z1", "I"]],
    }

    def spread(self, case: Case, parameters: Array) -> Array:
        """The covariance of one shot of the outputs, `(n_rows, n_samples, n_outputs, n_outputs)`."""
        f = exact_outputs(case.problem, parameters)
        if case.observables == ("Z0", "X0"):  # read from different shots
            return (1 - f**2)[..., None] * np.eye(2)
        products = [PauliSum.of(word) for row in self.JOINT[case.observables] for word in row]
        joint = exact_outputs(replace(case.problem, observables=tuple(products)), parameters)
        size = len(case.observables)
        return joint.reshape(*f.shape, size) - f[..., :, None] * f[..., None, :]

    def one_shot(self, case: Case, parameters: Array) -> float:
        """The mean over rows and samples of `v S v`, v the slope of a sample's squared error."""
        slope = 2 * (exact_outputs(case.problem, parameters) - TARGET) / len(case.observables)
        return float(np.mean(np.einsum("rsa,rsab,rsb->rs", slope, self.spread(case, parameters), slope)))

    @staticmethod
    def squares(case: Case) -> float:
        """The mean of |h|^2 over samples, each by itself differentiated exactly."""
        problem = replace(case.problem, shots=None)
        each = [problem.subset(np.array([sample])) for sample in range(case.n_samples)]
        return float(np.mean([np.sum(drive(Adjoint(), one, case.parameters).gradients ** 2) for one in each]))

    @staticmethod
    def reported(estimator: GradientEstimator, case: Case, which: str) -> Array:
        return np.array([result.metadata[which] for result in drawn(estimator, case)])

    @pytest.mark.parametrize(
        ("estimator", "case"),
        [
            (ParameterShift(), Case("mse", 8)),
            (ParameterShift(), Case("mse", 64, observables=("Z0", "X0"))),
            (ParameterShift(coordinates=1), Case("mse", 8)),
            (FiniteDifference(step=0.05), Case("mse", 400, observables=("Z0", "Z0 Z1"))),
        ],
        ids=name,
    )
    def test_of_differences_they_are_those_at_the_parameters(self, estimator: GradientEstimator, case: Case) -> None:
        second, one_shot = (self.reported(estimator, case, which) for which in MOMENTS)
        assert abs(z_scores(second, self.squares(case))) < 5
        assert abs(z_scores(one_shot, self.one_shot(case, case.parameters))) < 5

    @pytest.mark.parametrize(
        ("estimator", "case"),
        [
            (SPSA(), Case("mse", 8)),
            (SPSA(), Case("mse", 8, observables=("Z0", "Z0 Z1"))),
            (SPSA(), Case("mse", 8, observables=("Z0", "X0"))),
            (SPSA(directions=4), Case("mse", 8)),
            (SPSA(shared_direction=True), Case("mse", 8)),
        ],
        ids=name,
    )
    def test_of_spsa_they_are_those_of_both_sides(self, estimator: SPSA, case: Case) -> None:
        """The slopes over +-c, squared, and the variances at +-c, in the mean over directions."""
        second, one_shot = (self.reported(estimator, case, which) for which in MOMENTS)
        moves = C * all_signs(case.n_parameters)
        expected = self.one_shot(case, np.concatenate([case.parameters + moves, case.parameters - moves]))
        assert abs(z_scores(second, float(np.mean(case.slopes() ** 2)))) < 5
        assert abs(z_scores(one_shot, expected)) < 5

    def test_which_tend_to_those_at_the_parameters_as_c_falls(self) -> None:
        case = Case("mse", 8)
        moves = 0.02 * all_signs(case.n_parameters)
        assert np.mean(case.slopes(c=0.02) ** 2) == pytest.approx(self.squares(case), rel=0.01)
        near = self.one_shot(case, case.parameters + moves)
        assert near == pytest.approx(self.one_shot(case, case.parameters), rel=0.01)

    def test_of_a_cross_entropy_they_are_so_within_a_tenth_at_64_shots(self) -> None:
        """Standard errors are about 1%: by chance that would take ten of them."""
        case = Case("cross_entropy", 64, observables=("Z0", "Z1"))
        slope = case.n_samples * case.problem.loss_of(exact_outputs(case.problem, case.parameters)[0]).output_gradient
        spread = self.spread(case, case.parameters)[0]
        second, one_shot = (self.reported(ParameterShift(), case, which).mean() for which in MOMENTS)
        assert second == pytest.approx(self.squares(case), rel=0.1)
        assert one_shot == pytest.approx(np.mean(np.einsum("sa,sab,sb->s", slope, spread, slope)), rel=0.1)
