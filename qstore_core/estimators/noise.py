"""What the shots of circuits do to a loss of their outputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qstore_core.arrays import FloatArray
from qstore_core.batch import Estimates
from qstore_core.counts import Counts
from qstore_core.losses import MeanSquaredError
from qstore_core.problem import Problem

_SMALLEST_STEP = 1e-5


def curvature_of(problem: Problem, outputs: FloatArray, covariance: FloatArray) -> FloatArray:
    """The second derivatives of the loss by the outputs of one sample, `(n_samples, n_outputs, n_outputs)`.

    They are slopes of the gradient between the points one standard deviation to either side, along each principal axis
    of the noise. So they need nothing but the loss, exist where it has a kink, equal the Hessian of a quadratic loss,
    and tell how far noise moves the gradient of one that levels off: `H C H` is its variance to within a few percent in
    the mean over outputs, where the Hessian of a cross-entropy says half as much again at 8 shots. A point is never
    further out than the outermost value of a shot. The loss is taken to be a mean or a sum over samples.

    Args:
        problem: The mini-batch.
        outputs: `(n_samples, n_outputs)`.
        covariance: `(n_samples, n_outputs, n_outputs)` of their noise.
    """
    if isinstance(problem.loss, MeanSquaredError):
        known = problem.loss_of(outputs).curvature
        assert known is not None
        return known
    variances, axes = np.linalg.eigh(covariance)
    steps = np.sqrt(np.maximum(variances, _SMALLEST_STEP**2))
    curvature = np.zeros_like(covariance)
    for k in range(outputs.shape[1]):
        axis, step = axes[:, :, k], steps[:, k, None]
        above, below = (problem.loss_of(outputs + sign * step * axis).output_gradient for sign in (1, -1))
        curvature += ((above - below) / (2 * step))[:, :, None] * axis[:, None, :]
    symmetric: FloatArray = (curvature + curvature.transpose(0, 2, 1)) / 2
    return symmetric


def loss_noise(outputs: Estimates, gradient: FloatArray, curvature: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The variance of a sampled loss, and the part of it that goes as 1/shots, for one shot; `(n_rows,)` both.

    The loss is that of a row less its bias, `l(f) - tr(H C) / 2`. For a quadratic one that is the mean over pairs of
    shots of `G_ij = v (d_i + d_j) / 2 + d_i H d_j / 2`, d being the distance of a shot's values from their mean. Both
    variances are unbiased estimates of that U-statistic's (Hoeffding 1948), from sums over distinct shots: plugging
    estimates into `v C v` would count the noise of v, and its correlation with that of C, which at 8 shots can be more
    than the variance itself. Fewer than four shots cannot tell, and give 0.

    Args:
        outputs: Estimates from counts, of at least `n_rows` rows; the first of them are taken.
        gradient: `(n_rows, n_outputs)`, v: the derivative of the row's loss at the estimates.
        curvature: `(n_rows, n_outputs, n_outputs)`, H.
    """
    n_rows = len(gradient)
    shots = outputs.counts[0].totals[:n_rows]
    if (shots < 4).any():
        return np.zeros(n_rows), np.zeros(n_rows)
    bases = [_Basis.of(counts, apart, gradient, curvature) for counts, apart in outputs.deviations(n_rows)]
    together = np.sum([basis.bent for basis in bases], axis=0)
    # two bases are independent of each other, and their product is counted once for the slope of each
    across = _trace_of_square(together) - np.sum([_trace_of_square(basis.bent) for basis in bases], axis=0)
    variance = np.sum([basis.variance for basis in bases], axis=0) - across / 2
    return variance, np.sum([basis.one_shot for basis in bases], axis=0) - shots * across


@dataclass(frozen=True, slots=True, eq=False)
class _Basis:
    """What the shots of one basis do to the loss of each row.

    Attributes:
        variance: `(n_rows,)`, of the loss.
        one_shot: `(n_rows,)`, the part of it that goes as 1/shots, for one shot.
        bent: `(n_rows, n_outputs, n_outputs)`, the covariance of the outputs times the curvature, `C H`.
    """

    variance: FloatArray
    one_shot: FloatArray
    bent: FloatArray

    @classmethod
    def of(cls, counts: Counts, apart: FloatArray, gradient: FloatArray, curvature: FloatArray) -> _Basis:
        """From sums over shots i of `a_i = v d_i` and `q_i = d_i H d_i`, and over pairs of `(d_i H d_j)^2`."""
        row = np.repeat(np.arange(len(gradient)), np.diff(counts.starts))
        n = counts.totals.astype(np.float64)
        turned = np.einsum("eab,eb->ea", curvature[row], apart)
        a, q = np.sum(apart * gradient[row], axis=1), np.sum(apart * turned, axis=1)
        aa, aq, qq, total = n * counts.mean(np.stack([a * a, a * q, q * q, q], axis=1)).T
        spread = n[:, None, None] * counts.mean(apart[:, :, None] * turned[:, None, :])
        chains = ((n - 2) ** 2 * aa - 2 * (n - 2) * aq + qq) / 4  # the sum over i of the square of sum_j G_ij
        pairs = (2 * (n - 2) * aa - 4 * aq + _trace_of_square(spread) - qq) / 4  # the sum of the squares of G_ij
        triples = (chains - pairs) / (n * (n - 1) * (n - 2))  # the mean of G_ij G_ik
        quadruples = (total**2 / 4 - 4 * chains + 2 * pairs) / (n * (n - 1) * (n - 2) * (n - 3))  # that of G_ij G_kl
        variance = (total / (2 * n * (n - 1))) ** 2 - quadruples
        return cls(variance, 4 * (triples - quadruples), spread / (n * (n - 1))[:, None, None])


def _trace_of_square(matrices: FloatArray) -> FloatArray:
    trace: FloatArray = np.einsum("sab,sba->s", matrices, matrices)
    return trace
