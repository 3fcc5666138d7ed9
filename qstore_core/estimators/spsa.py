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
from qstore_core.losses import LossValue
from qstore_core.problem import GradientResult, Problem, Rounds, State, require_positive, require_whole
from qstore_core.randomness import StepKey


@dataclass(frozen=True, slots=True, kw_only=True)
class SPSA:
    """SPSA with its own directions for each sample, on the outputs rather than on the loss.

    For sample i, a random direction `D` of +-1 on the active parameters, and outputs `f(+)`, `f(-)` at `theta +- c D`,

        s = [ (dl/df at (f(+) + f(-)) / 2) . (f(+) - f(-)) - tr(H (C(+) - C(-))) / 2 ] / (2 c),     g = sum_i s_i D_i

    Here `H` is the Hessian of the loss by the outputs and `C(+-)` the covariance of the sampled outputs, estimated from
    their joint counts: without that term a loss that is not linear is biased by O(1/shots). For a mean squared error
    `s` is Spall's difference of losses and unbiased at any number of shots; for cross-entropy the bias is
    O(1/shots^2), for a function of yours, whose Hessian is not known, O(1/shots). Perturbing outputs is right to
    O(c^2) for any loss (arXiv 2211.13981). Directions of its own for each sample never vary more than one shared by all
    (Wen et al., arXiv 1803.04386, use the same idea), and cost nothing.

    Circuits: `2 directions n_samples`, in one batch. The reported variance is that over directions and shots, for the
    samples at hand:

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
        shape = (count, 1 if self.shared_direction else n_samples, n_active)
        signs = np.where(key.generator("directions").integers(0, 2, size=shape), 1.0, -1.0)
        return np.broadcast_to(signs, (count, n_samples, n_active))


def _without_parameters(
    problem: Problem, parameters: FloatArray, key: StepKey
) -> Generator[tuple[CircuitBatch], tuple[BatchResult, ...], GradientResult]:
    """The loss alone, for a model of which nothing can be moved."""
    batch = unmoved(problem, parameters, key)
    (result,) = yield (batch,)
    loss = problem.loss_of(problem.outputs(batch, result).values)
    nothing = np.zeros(len(parameters))
    return GradientResult(nothing, loss.value, variance=0.0, method="spsa", loss_gradients=loss.parameter_gradient)


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
    sides = np.array([1.0, -1.0])
    rows = np.tile(parameters, (count, 2, n_samples, 1))
    rows[..., active] += sides[:, None, None] * moves[:, None]
    samples = np.arange(n_samples)
    draws = key.draws(sample=samples, term=np.arange(count)[:, None, None], sign=[[1], [-1]])
    return problem.batch(rows.reshape(-1, len(parameters)), np.tile(samples, 2 * count), draws.ravel())


def fold(
    problem: Problem, active: IntArray, signs: FloatArray, c: float, outputs: Estimates, *, shared: bool = False
) -> GradientResult:
    """The estimate from the outputs of the rows of `perturbed`."""
    count, n_samples, n_active = signs.shape
    values = outputs.values.reshape(count, 2, n_samples, -1)
    covariance = None if problem.shots == 1 else outputs.covariance  # one shot says nothing of its own variance
    parts = [
        _Direction.of(problem, values[d], None if covariance is None else _sides(covariance, count, d), c)
        for d in range(count)
    ]
    slopes = np.stack([part.slopes for part in parts])
    noise = np.stack([part.noise for part in parts])
    gradients = np.zeros(len(problem.trained))
    gradients[active] = np.einsum("dsp,ds->p", signs, slopes) / count
    squares = slopes.sum(axis=1) ** 2 if shared else (slopes**2).sum(axis=1)
    variance = float(np.mean((n_active - 1) * squares + noise.sum(axis=1)) / count)
    loss = LossValue.mean([part.loss for part in parts])
    moments = SampleMoments.of_slopes(n_samples * slopes, n_samples**2 * noise, c, problem.shots)
    return GradientResult(
        gradients,
        loss.value,
        variance=max(0.0, variance),
        method="spsa",
        metadata={"c": c, "samples": n_samples, "directions": count, **moments.to_dict()},
        loss_gradients=loss.parameter_gradient,
    )


def _sides(covariance: FloatArray, count: int, direction: int) -> FloatArray:
    """`(2, n_samples, n_outputs, n_outputs)` of one direction."""
    both: FloatArray = covariance.reshape(count, 2, -1, *covariance.shape[1:])[direction]
    return both


@dataclass(frozen=True, slots=True, eq=False)
class _Direction:
    """What one direction of every sample gives.

    Attributes:
        loss: The loss in the middle.
        slopes: `(n_samples,)`, the derivative of the loss along the direction.
        noise: `(n_samples,)`, the variance of `slopes` from the shots.
    """

    loss: LossValue
    slopes: FloatArray
    noise: FloatArray

    @classmethod
    def of(cls, problem: Problem, values: FloatArray, covariance: FloatArray | None, c: float) -> _Direction:
        above, below = values
        loss = problem.loss_of((above + below) / 2)
        apart = above - below
        slopes = np.sum(loss.output_gradient * apart, axis=1)
        if covariance is None:
            return cls(loss, slopes / (2 * c), np.zeros(len(slopes)))
        curvature = loss.curvature
        if curvature is None:
            curvature = np.zeros_like(covariance[0])
        slopes = slopes - np.einsum("sab,sab->s", curvature, covariance[0] - covariance[1]) / 2
        bend = np.einsum("sab,sb->sa", curvature, apart) / 2
        noise = _noise(loss.output_gradient + bend, curvature, covariance[0])
        noise += _noise(loss.output_gradient - bend, curvature, covariance[1])
        return cls(loss, slopes / (2 * c), np.maximum(noise, 0.0) / (4 * c**2))


def _noise(gradient: FloatArray, curvature: FloatArray, covariance: FloatArray) -> FloatArray:
    """The variance of a loss at outputs with that covariance, to second order, `(n_samples,)`.

    `v C v - tr(H C H C) / 2`: the estimated `v` has noise of its own, which counts the second order twice over.
    """
    first = np.einsum("sa,sab,sb->s", gradient, covariance, gradient)
    product = curvature @ covariance
    noise: FloatArray = first - np.einsum("sab,sba->s", product, product) / 2
    return noise
