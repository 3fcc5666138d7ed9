"""Central differences of the outputs by each parameter: a check on the others, and a baseline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qstore_core.arrays import FloatArray
from qstore_core.problem import GradientResult, Problem, Rounds, State, require_positive
from qstore_core.randomness import StepKey


@dataclass(frozen=True, slots=True, kw_only=True)
class FiniteDifference:
    """Central differences, `n_samples (1 + 2 n_trained)` circuits.

    Attributes:
        step: The difference in each parameter, radians; None follows the shots: `shots**(-1/6)`, which balances a bias
            of step^2 against a variance of 1 / (shots step^2), or 1e-5 when exact.
    """

    step: float | None = None

    def __post_init__(self) -> None:
        if self.step is not None:
            require_positive("step", self.step)

    def start(self, problem: Problem, parameters: FloatArray) -> State:
        """Nothing is carried from step to step."""
        return None

    def gradient(self, problem: Problem, parameters: FloatArray, state: State, key: StepKey) -> Rounds:
        """One round: the point itself and both sides of every trained parameter, in one batch."""
        step = self.step or (1e-5 if problem.shots is None else problem.shots ** (-1 / 6))
        trained = np.flatnonzero(problem.trained)
        moves = np.zeros((1 + 2 * len(trained), len(parameters)))
        moves[1 + np.arange(len(trained)), trained] = step
        moves[1 + len(trained) + np.arange(len(trained)), trained] = -step
        samples = np.arange(problem.n_samples)
        rows = np.repeat(parameters + moves, len(samples), axis=0)
        draws = key.draws(sample=samples, term=np.arange(len(moves))[:, None]).ravel()
        batch = problem.batch(rows, np.tile(samples, len(moves)), draws)
        (result,) = yield (batch,)
        outputs = problem.outputs(batch, result).values.reshape(len(moves), len(samples), -1)
        loss = problem.loss_of(outputs[0])
        above, below = np.split(outputs[1:], 2)
        gradients = np.zeros(len(parameters))
        gradients[trained] = np.einsum("so,tso->t", loss.output_gradient, above - below) / (2 * step)
        answer = GradientResult(
            gradients,
            loss.value,
            method="finite_difference",
            metadata={"difference": step},
            loss_gradients=loss.parameter_gradient,
        )
        return answer, state
