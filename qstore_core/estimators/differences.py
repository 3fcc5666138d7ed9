"""What methods that move one coordinate at a time share: outputs of moved circuits, folded into a gradient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qstore_core.arrays import FloatArray
from qstore_core.batch import CircuitBatch, Estimates
from qstore_core.estimators.moments import SampleMoments
from qstore_core.losses import LossValue
from qstore_core.problem import Problem
from qstore_core.randomness import StepKey


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """A gradient with its parts.

    Attributes:
        loss: The loss at the parameters.
        gradients: `(n_parameters,)`.
        variances: `(n_parameters,)`, of each from the shots; zeros when exact.
        moments: Of the gradients of single samples.
    """

    loss: LossValue
    gradients: FloatArray
    variances: FloatArray
    moments: SampleMoments


def fold_differences(problem: Problem, weights: FloatArray, outputs: Estimates) -> Folded:
    """The gradient from the outputs at the parameters and at moved ones.

    With `f_t` the outputs of the circuits of term t and `J_p = sum_t weights[p, t] f_t` the derivative of the outputs
    by parameter p, the gradient is `sum_i dl/df_i . J_pi`. Its variance comes from the shots of the moved circuits and
    from those of `dl/df`; the product of both errors, which each of the two estimates counts, is taken out once:

        sum_i [ sum_t w_pt^2 l' C_t l'  +  J_p H C_0 H J_p  -  sum_t w_pt^2 tr(H C_0 H C_t) ]

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
    if outputs.covariance is None or problem.shots == 1:  # one shot says nothing of its own variance
        by_noise, one_shot = np.zeros_like(by_sample), 0.0
    else:
        size = values.shape[2]
        covariance = outputs.covariance.reshape(1 + n_terms, problem.n_samples, size, size)
        by_noise = _noise(loss, weights, jacobian, covariance)
        first = np.einsum("sa,sab,sb->s", loss.output_gradient, covariance[0], loss.output_gradient)
        one_shot = float(np.mean(first)) * problem.n_samples**2 * (problem.shots or 0)
    second = problem.n_samples**2 * float(np.mean((by_sample**2 - by_noise).sum(axis=0)))
    return Folded(loss, by_sample.sum(axis=1), by_noise.sum(axis=1), SampleMoments(second, one_shot))


def unmoved(problem: Problem, parameters: FloatArray, key: StepKey) -> CircuitBatch:
    """The circuits of every sample at the parameters themselves: all there is to run when nothing can be moved."""
    samples = np.arange(problem.n_samples)
    return problem.batch(parameters, samples, key.draws(sample=samples))


def _noise(loss: LossValue, weights: FloatArray, jacobian: FloatArray, covariance: FloatArray) -> FloatArray:
    """The variance of every sample's part of every derivative, `(n_parameters, n_samples)`."""
    gradient = loss.output_gradient
    by_term = np.einsum("sa,tsab,sb->ts", gradient, covariance[1:], gradient)
    if loss.curvature is None:
        first: FloatArray = weights**2 @ by_term
        return first
    bend = loss.curvature @ covariance[0] @ loss.curvature
    by_term = by_term - np.einsum("sab,tsba->ts", bend, covariance[1:])
    noise: FloatArray = weights**2 @ by_term + np.einsum("psa,sab,psb->ps", jacobian, bend, jacobian)
    return np.maximum(noise, 0.0)
