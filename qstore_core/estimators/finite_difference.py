"""Central differences of the outputs by each parameter: a check on the others, and a baseline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qstore_core.arrays import FloatArray
from qstore_core.estimators.differences import fold_differences
from qstore_core.problem import GradientResult, Problem, Rounds, State, require_positive
from qstore_core.randomness import StepKey


@dataclass(frozen=True, slots=True, kw_only=True)
class FiniteDifference:
    """Central differences, `n_samples (1 + 2 n_active)` circuits, in one batch; the reported variance is over shots.

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
        """One round: the point itself and both sides of every active parameter, in one batch."""
        step = self.step or (1e-5 if problem.shots is None else problem.shots ** (-1 / 6))
        places = np.flatnonzero(problem.active)
        count = len(places)
        moves = np.zeros((1 + 2 * count, len(parameters)))
        moves[1 + np.arange(count), places] = step
        moves[1 + count + np.arange(count), places] = -step
        samples = np.arange(problem.n_samples)
        draws = key.draws(sample=samples, term=np.arange(len(moves))[:, None]).ravel()
        rows = np.repeat(parameters + moves, len(samples), axis=0)
        batch = problem.batch(rows, np.tile(samples, len(moves)), draws)
        (result,) = yield (batch,)
        folded = fold_differences(problem, moves[1:].T / (2 * step**2), problem.outputs(batch, result))
        answer = GradientResult(
            folded.gradients,
            folded.loss.value,
            variance=None if folded.noise is None else max(0.0, folded.noise),
            method="finite_difference",
            metadata={"difference": step, "samples": problem.n_samples, **folded.moments.to_dict()},
            loss_gradients=folded.loss.parameter_gradient,
        )
        return answer, state
