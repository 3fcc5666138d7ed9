"""Simultaneous perturbation (Spall 1992): two circuits for each sample, however many parameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qstore_core.arrays import FloatArray
from qstore_core.errors import ConfigurationError
from qstore_core.problem import GradientResult, Problem, Rounds, State, require_positive
from qstore_core.randomness import StepKey


@dataclass(frozen=True, slots=True, kw_only=True)
class SPSA:
    """SPSA with its own direction for each sample, on the outputs rather than on the loss.

    For sample i, a random direction `D_i` of +-1 on the trained parameters, and outputs `f(+)`, `f(-)` at
    `theta +- c D_i`, the estimate is

        g = sum_i D_i * (dl/df at (f(+) + f(-)) / 2) . (f(+) - f(-)) / (2 c)

    which equals Spall's difference of losses for a mean squared error, and is right to O(c^2) for any loss (perturbing
    outputs rather than losses: arXiv 2211.13981). Directions of its own for each sample never vary more than one
    shared by all (Wen et al., arXiv 1803.04386, use the same idea), and cost nothing. `2 n_samples` circuits.

    Attributes:
        c: The first step size, radians.
        decay: The step size at step k is `c / (k + 1)**decay`; Spall's choice is 0.101.
        subsample: Use this many random samples of each mini-batch; None uses all.
    """

    c: float = 0.1
    decay: float = 0.0
    subsample: int | None = None

    def __post_init__(self) -> None:
        require_positive("c", self.c)
        if self.subsample is not None and self.subsample < 1:
            raise ConfigurationError(f"subsample is at least 1, or None for every sample, not {self.subsample!r}")

    def start(self, problem: Problem, parameters: FloatArray) -> State:
        """The number of steps done."""
        return 0

    def gradient(self, problem: Problem, parameters: FloatArray, state: State, key: StepKey) -> Rounds:
        """One round: both sides of every sample, in one batch."""
        c = self.c / (state + 1) ** self.decay
        problem = self._chosen(problem, key)
        samples = np.arange(problem.n_samples)
        directions = self._directions(problem, key)
        rows = parameters + c * np.concatenate([directions, -directions])
        draws = key.draws(sample=samples, sign=[[1], [-1]]).ravel()
        batch = problem.batch(rows, np.tile(samples, 2), draws)
        (result,) = yield (batch,)
        above, below = np.split(problem.outputs(batch, result).values, 2)
        loss = problem.loss_of((above + below) / 2)
        slopes = np.sum(loss.output_gradient * (above - below), axis=1) / (2 * c)
        answer = GradientResult(
            slopes @ directions,
            loss.value,
            method="spsa",
            metadata={"c": c, "samples": problem.n_samples},
            loss_gradients=loss.parameter_gradient,
        )
        return answer, state + 1

    def _chosen(self, problem: Problem, key: StepKey) -> Problem:
        if self.subsample is None or self.subsample >= problem.n_samples:
            return problem
        chosen = key.generator("subsample").choice(problem.n_samples, self.subsample, replace=False)
        return problem.subset(np.sort(chosen))

    def _directions(self, problem: Problem, key: StepKey) -> FloatArray:
        shape = (problem.n_samples, len(problem.trained))
        signs = np.where(key.generator("directions").integers(0, 2, size=shape), 1.0, -1.0)
        return np.where(problem.trained, signs, 0.0)
