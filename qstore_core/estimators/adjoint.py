"""The exact gradient, for simulators that can differentiate themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qstore_core.arrays import FloatArray
from qstore_core.batch import VectorJacobianProduct, estimated_values
from qstore_core.errors import CapabilityError
from qstore_core.losses import LossValue
from qstore_core.problem import GradientResult, Problem, Rounds, State
from qstore_core.randomness import StepKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjoint:
    """Equal to parameter shift with exact expectation values, for the price of a few forward passes."""

    def start(self, problem: Problem, parameters: FloatArray) -> State:
        """Nothing is carried from step to step.

        Raises:
            CapabilityError: The backend has no adjoint gradient, or shots were asked for.
        """
        if not problem.capabilities.adjoint:
            raise CapabilityError(
                "gradient_method='adjoint' needs a noiseless simulator that offers it; use 'parameter_shift' or 'spsa'"
            )
        if problem.shots is not None:
            raise CapabilityError(
                f"gradient_method='adjoint' is exact: set shots_per_circuit=None (it is {problem.shots}), or use "
                "'parameter_shift' or 'spsa'"
            )
        return None

    def gradient(self, problem: Problem, parameters: FloatArray, state: State, key: StepKey) -> Rounds:
        """One round: the outputs and, if any parameter is active, their derivatives weighted by those of the loss."""
        batch = problem.batch(parameters, np.arange(problem.n_samples), None)
        if problem.active.any():
            weigh = _Weigh(problem)
            (result,) = yield (VectorJacobianProduct(batch, weigh),)
            assert result.angle_gradients is not None
            by_angle = result.angle_gradients.sum(axis=0)
            loss, gradients = weigh.loss, problem.affine.parameters.matrix @ by_angle * problem.trained
        else:
            (result,) = yield (batch,)
            loss, gradients = problem.loss_of(estimated_values(batch, result)), np.zeros(len(parameters))
        answer = GradientResult(
            gradients,
            loss.value,
            variance=0.0,
            method="adjoint",
            metadata={"samples": problem.n_samples},
            loss_gradients=loss.parameter_gradient,
        )
        return answer, state


class _Weigh:
    """The loss's derivatives by the outputs, as whoever simulates asks for them; its value is kept."""

    loss: LossValue

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    def __call__(self, outputs: FloatArray) -> FloatArray:
        self.loss = self.problem.loss_of(outputs)
        return self.loss.output_gradient
