"""The default method: the cheapest right one for the backend and the shots."""

from __future__ import annotations

from dataclasses import dataclass, field

from qstore_core.arrays import FloatArray
from qstore_core.estimators.adjoint import Adjoint
from qstore_core.estimators.parameter_shift import ParameterShift
from qstore_core.estimators.spsa import SPSA
from qstore_core.problem import GradientEstimator, Problem, Rounds, State
from qstore_core.randomness import StepKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptive:
    """Exact runs use `adjoint` where the backend offers it, else `parameter_shift`; sampled runs use `spsa`.

    The choice follows from the backend and the shots alone, so it is the same at every step of a run.

    Attributes:
        spsa: The estimator of sampled runs.
    """

    spsa: SPSA = field(default_factory=SPSA)

    def start(self, problem: Problem, parameters: FloatArray) -> State:
        """The state of the chosen method."""
        return self._chosen(problem).start(problem, parameters)

    def gradient(self, problem: Problem, parameters: FloatArray, state: State, key: StepKey) -> Rounds:
        """One step of the chosen method."""
        return self._chosen(problem).gradient(problem, parameters, state, key)

    def _chosen(self, problem: Problem) -> GradientEstimator:
        if problem.shots is not None:
            return self.spsa
        return Adjoint() if problem.capabilities.adjoint else ParameterShift()
