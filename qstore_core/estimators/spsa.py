"""Simultaneous perturbation (Spall 1992): two circuits for each sample, however many parameters."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from math import sqrt

import numpy as np

from qstore_core.arrays import FloatArray, IntArray
from qstore_core.batch import BatchResult, CircuitBatch, Estimates
from qstore_core.errors import ConfigurationError
from qstore_core.estimators.differences import unmoved
from qstore_core.estimators.moments import SampleMoments
from qstore_core.estimators.noise import curvature_of, loss_noise
from qstore_core.losses import LossValue
from qstore_core.problem import GradientResult, Problem, Rounds, State, require_positive, require_whole
from qstore_core.randomness import StepKey


@dataclass(frozen=True, slots=True, kw_only=True)
class SPSA:
    """SPSA with its own directions for each sample, on the outputs rather than on the loss.

    For sample i, a random direction `D` of +-1 on the active parameters, and outputs `f(+)`, `f(-)` at `theta +- c D`,

        s = [ (dl/df at (f(+) + f(-)) / 2) . (f(+) - f(-)) - tr(H (C(+) - C(-))) / 2 ] / (2 c),     g = sum_i s_i D_i

    Here `H` is the curvature of the loss by the outputs (`curvature_of`) and `C(+-)` the covariance of the sampled
    outputs, estimated from their joint counts: without that term a mean squared error would aim past its targets, at
    `y shots / (shots - 1)`. With it, its `s` is Spall's difference of losses and unbiased at two shots or more. For a
    loss whose curvature varies, such as cross-entropy, a bias of O(1/shots) is left: that of `dl/df` at sampled
    outputs, whose sign is right. Perturbing outputs is right to O(c^2) for any loss (arXiv 2211.13981). Directions of
    its own for each sample never vary more than one shared by all (Wen et al., arXiv 1803.04386, use the same idea),
    and cost nothing.

    Circuits: `2 directions n_samples`, in one batch. The reported variance is that over directions and shots, for the
    samples at hand; fewer than four shots say nothing of its second part, which is then left out:

        V = sum_i ((P - 1) s_i^2 + Var(s_i | D)) / directions,      P active parameters.

    Attributes:
        c: The first step size, radians; None: `min(0.3, 1 / sqrt(P))`. A larger step needs fewer shots, as 1/c^2, and
            attenuates what many parameters do together (docs/gradients.md).
        decay: The step size at step k is `c / (k + 1)**decay`; Spall's choice is 0.101.
        directions: Directions for each sample; their estimates are averaged.
        first_directions: Directions at the first step, for methods that calibrate themselves there; None: as many.
        subsample: Use this many random samples of each mini-batch; None uses all.
        shared_direction: Whether all samples share their directions, as in Q-Store v3.3.1; for comparison.
    """

    c: float | None = None
    decay: float = 0.0
    directions: int = 1
    first_directions: int | None = None
    subsample: int | None = None
    shared_direction: bool = False

    def __post_init__(self) -> None:
        if self.c is not None:
            require_positive("c", self.c)
        require_whole("directions", self.directions)
        for name in ("first_directions", "subsample"):
            if getattr(self, name) is not None:
                require_whole(name, getattr(self, name))
        if self.decay < 0:
            raise ConfigurationError(f"decay is at least 0, not {self.decay!r}")

    def start(self, problem: Problem, parameters: FloatArray) -> State:
        """The number of steps done."""
        return 0

    def gradient(self, problem: Problem, parameters: FloatArray, state: State, key: StepKey) -> Rounds:
        """One round: both sides of every sample, in one batch; none at all when no parameter is active."""
        problem = self._chosen(problem, key)
        active = np.flatnonzero(problem.active)
        if not len(active):
            return (yield from _without_parameters(problem, parameters, key)), state + 1
        c = self.step_size(len(active), state)
        count = self.first_directions if state == 0 and self.first_directions else self.directions
        signs = self._directions(problem.n_samples, count, len(active), key)
        batch = perturbed(problem, parameters, active, c * signs, key)
        (result,) = yield (batch,)
        answer = fold(problem, active, signs, c, problem.outputs(batch, result), shared=self.shared_direction)
        return answer, state + 1

    def step_size(self, n_active: int, step: int) -> float:
        """`c` at a step, radians.

        >>> SPSA().step_size(25, 0), SPSA(c=0.1, decay=0.101).step_size(25, 0)
        (0.2, 0.1)
        """
        first = min(0.3, 1 / sqrt(n_active)) if self.c is None else self.c
        return float(first / (step + 1) ** self.decay)

    def _chosen(self, problem: Problem, key: StepKey) -> Problem:
        if self.subsample is None or self.subsample >= problem.n_samples:
            return problem
        chosen = key.generator("subsample").choice(problem.n_samples, self.subsample, replace=False)
        return problem.subset(np.sort(chosen))

    def _directions(self, n_samples: int, count: int, n_active: int, key: StepKey) -> FloatArray:
        """`(count, n_samples, n_active)` of +-1."""
        different = 1 if self.shared_direction else n_samples
        signs = key.signs("directions", count * different * n_active).reshape(count, different, n_active)
        return np.broadcast_to(signs, (count, n_samples, n_active)) if self.shared_direction else signs


def _without_parameters(
    problem: Problem, parameters: FloatArray, key: StepKey
) -> Generator[tuple[CircuitBatch], tuple[BatchResult, ...], GradientResult]:
    """The loss alone, for a model of which nothing can be moved."""
    batch = unmoved(problem, parameters, key)
    (result,) = yield (batch,)
    loss = problem.loss_of(problem.outputs(batch, result).values)
    return GradientResult(
        np.zeros(len(parameters)),
        loss.value,
        variance=0.0,
        method="spsa",
        metadata={"samples": problem.n_samples, "directions": 0, **SampleMoments(0.0, 0.0).to_dict()},
        loss_gradients=loss.parameter_gradient,
    )


def perturbed(
    problem: Problem, parameters: FloatArray, active: IntArray, moves: FloatArray, key: StepKey
) -> CircuitBatch:
    """Both sides of every move: rows for direction, then sign, then sample.

    Args:
        problem: The mini-batch.
        parameters: `(n_parameters,)`.
        active: `(n_active,)`, the parameters that are moved.
        moves: `(n_directions, n_samples, n_active)`, radians.
        key: The step's randomness.
    """
    count, n_samples, _ = moves.shape
    rows = np.empty((count, 2, n_samples, len(parameters)))
    rows[...] = parameters
    rows[:, 0][..., active] += moves
    rows[:, 1][..., active] -= moves
    samples = np.arange(n_samples)
    draws = None
    if problem.shots is not None:
        draws = key.draws(sample=samples, term=np.arange(count)[:, None, None], sign=[[1], [-1]]).ravel()
    return problem.batch(rows.reshape(-1, len(parameters)), np.concatenate([samples] * (2 * count)), draws)


def fold(
    problem: Problem, active: IntArray, signs: FloatArray, c: float, outputs: Estimates, *, shared: bool = False
) -> GradientResult:
    """The estimate from the outputs of the rows of `perturbed`."""
    count, n_samples, n_active = signs.shape
    found = _Slopes.of(problem, count, c, outputs)
    slopes, noise = found.values, found.noise
    gradients = np.zeros(len(problem.trained))
    gradients[active] = slopes.reshape(-1) @ signs.reshape(-1, n_active) / count
    squares = slopes.sum(axis=1) ** 2 if shared else (slopes**2).sum(axis=1)
    variance = float(((n_active - 1) * squares + noise.sum(axis=1)).mean() / count)
    moments = SampleMoments.of_shares(slopes**2 - noise, found.one_shot)
    return GradientResult(
        gradients,
        found.loss.value,
        variance=max(0.0, variance),
        method="spsa",
        metadata={"c": c, "samples": n_samples, "directions": count, **moments.to_dict()},
        loss_gradients=found.loss.parameter_gradient,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Slopes:
    """The derivatives of each sample's share of the loss along its directions.

    Attributes:
        loss: The loss in the middle, in the mean over directions.
        values: `(n_directions, n_samples)`.
        noise: Of the same shape, their variances from the shots.
        one_shot: Of the same shape, the variance that one shot would give a sample's share, in the mean of both sides.
    """

    loss: LossValue
    values: FloatArray
    noise: FloatArray
    one_shot: FloatArray

    @classmethod
    def of(cls, problem: Problem, count: int, c: float, outputs: Estimates) -> _Slopes:
        shape = (count, 2, problem.n_samples, outputs.values.shape[1])
        sides = outputs.values.reshape(shape)
        above, below = sides[:, 0], sides[:, 1]
        apart, middle = above - below, (above + below) / 2
        losses = [problem.loss_of(each) for each in middle]
        gradient = np.array([loss.output_gradient for loss in losses])
        values = (gradient * apart).sum(axis=2) / (2 * c)
        if outputs.covariance is None or problem.shots == 1:  # one shot says nothing of its own variance
            unknown = np.zeros_like(values)
            return cls(LossValue.mean(losses), values, unknown, unknown)
        plus, minus = np.moveaxis(outputs.covariance.reshape(*shape, shape[3]), 1, 0)
        pairs = zip(middle, (plus + minus) / 4, strict=True)
        curvature = np.stack([curvature_of(problem, each, spread) for each, spread in pairs])
        values -= np.einsum("dsab,dsab->ds", curvature, plus - minus) / (4 * c)
        bend = np.einsum("dsab,dsb->dsa", curvature, apart) / 2
        bent = np.stack([gradient + bend, gradient - bend], axis=1).reshape(-1, shape[3])
        both = np.repeat(curvature[:, None], 2, axis=1).reshape(-1, shape[3], shape[3])
        noise, one_shot = (rows.reshape(shape[:3]) for rows in loss_noise(outputs, bent, both))
        return cls(LossValue.mean(losses), values, noise.sum(axis=1) / (4 * c**2), one_shot.mean(axis=1))
