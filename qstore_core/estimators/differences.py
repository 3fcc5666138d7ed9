"""What methods that move one coordinate at a time share: outputs of moved circuits, folded into a gradient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qstore_core.arrays import FloatArray
from qstore_core.batch import CircuitBatch, Estimates
from qstore_core.estimators.moments import SampleMoments
from qstore_core.estimators.noise import curvature_of, loss_noise
from qstore_core.losses import LossValue
from qstore_core.problem import Problem
from qstore_core.randomness import StepKey


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """A gradient with its parts.

    Attributes:
        loss: The loss at the parameters.
        gradients: `(n_parameters,)`.
        noise: The total variance of the gradients from the shots, an estimate that may be below 0; 0 when exact, None
            with a single shot, which says nothing of its own variance.
        moments: Of the gradients of single samples.
    """

    loss: LossValue
    gradients: FloatArray
    noise: float | None
    moments: SampleMoments


def fold_differences(problem: Problem, weights: FloatArray, outputs: Estimates) -> Folded:
    """The gradient from the outputs at the parameters and at moved ones.

    With `f_t` the outputs of the circuits of term t and `J_p = sum_t weights[p, t] f_t` the derivative of the outputs
    by parameter p, the gradient is `sum_i dl/df_i . J_pi`. Its variance comes from the shots of the moved circuits and
    from those of `dl/df`; the product of both errors, which each of the two estimates counts, is taken out once:

        sum_i [ sum_t w_pt^2 l' C_t l'  +  J_p H C_0 H J_p  -  sum_t w_pt^2 tr(H C_0 H C_t) ]

    It is unbiased for a mean squared error; for other losses H is the curvature over the noise (`curvature_of`).

    Args:
        problem: The mini-batch.
        weights: `(n_parameters, n_terms)`.
        outputs: Of `(1 + n_terms) * n_samples` rows, term by term, the unmoved circuits first.
    """
    n_terms = weights.shape[1]
    values = outputs.values.reshape(1 + n_terms, problem.n_samples, -1)
    loss = problem.loss_of(values[0])
    jacobian = np.einsum("pt,tso->pso", weights, values[1:])
    by_sample = np.einsum("so,pso->ps", loss.output_gradient, jacobian)
    by_noise, one_shot = np.zeros_like(by_sample), np.zeros(problem.n_samples)
    known = outputs.covariance is None or problem.shots != 1
    if outputs.covariance is not None and known:
        size = values.shape[2]
        covariance = outputs.covariance.reshape(1 + n_terms, problem.n_samples, size, size)
        curvature = curvature_of(problem, values[0], covariance[0])
        by_noise = _noise(loss.output_gradient, curvature, weights, jacobian, covariance)
        _, one_shot = loss_noise(outputs, loss.output_gradient, curvature)
    moments = SampleMoments.of_shares((by_sample**2 - by_noise).sum(axis=0), one_shot)
    return Folded(loss, by_sample.sum(axis=1), float(by_noise.sum()) if known else None, moments)


def unmoved(problem: Problem, parameters: FloatArray, key: StepKey) -> CircuitBatch:
    """The circuits of every sample at the parameters themselves: all there is to run when nothing can be moved."""
    samples = np.arange(problem.n_samples)
    return problem.batch(parameters, samples, key.draws(sample=samples))


def _noise(
    gradient: FloatArray, curvature: FloatArray, weights: FloatArray, jacobian: FloatArray, covariance: FloatArray
) -> FloatArray:
    """The variance of every sample's part of every derivative, `(n_parameters, n_samples)`."""
    bend = curvature @ covariance[0] @ curvature
    by_term = np.einsum("sa,tsab,sb->ts", gradient, covariance[1:], gradient)
    by_term -= np.einsum("sab,tsba->ts", bend, covariance[1:])
    noise: FloatArray = weights**2 @ by_term + np.einsum("psa,sab,psb->ps", jacobian, bend, jacobian)
    return noise
