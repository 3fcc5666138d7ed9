"""SPSA by Q-Store's names, on qstore's estimator."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from q_store.backends.bridge import core_backend
from q_store.ml.built import BuilderAndLoss
from q_store.randomness import program_seed
from qstore_core import GradientResult
from qstore_core import SPSAGradientEstimator as CoreEstimator
from qstore_core.arrays import FloatArray
from qstore_core.facades.spsa import Gains


class GainSequences:
    """Spall's gains `c / (k + 1)**c_decay` and `a / (k + 1)**a_decay`; they can be set again at any time."""

    c_decay: float
    a_decay: float
    c_initial: float
    a_initial: float
    min_perturbation: float = 0.0

    def get_gain_parameters(self, iteration: int) -> tuple[float, float]:
        """The perturbation, radians, and the step size, at a call counted from 0."""
        c_k = self.c_initial / (iteration + 1) ** self.c_decay
        return max(c_k, self.min_perturbation), self.a_initial / (iteration + 1) ** self.a_decay


class SPSAGradientEstimator(GainSequences):
    """The gradient of any loss of a result from two circuits, however many parameters.

    Args:
        backend: Where to run, of either kind.
        c_decay: How the perturbation decays.
        a_decay: How the step size does; it is reported, the step is the optimiser's.
        c_initial: The first perturbation, radians.
        a_initial: The first step size.
        min_perturbation: The least perturbation, radians.

    Attributes:
        iteration: The calls so far.
        core: The estimator of qstore.

    >>> import asyncio
    >>> from q_store.backends import CircuitBuilder, MockQuantumBackend
    >>> estimator = SPSAGradientEstimator(MockQuantumBackend())
    >>> def build(p):
    ...     return CircuitBuilder(2).ry(0, p[0]).ry(1, p[1]).cnot(0, 1).build()
    >>> def loss(result):
    ...     return 1 - result.probabilities.get("11", 0.0)
    >>> result = asyncio.run(estimator.estimate_gradient(build, loss, [0.3, 0.5], shots=100))
    >>> result.gradients.shape, result.n_circuit_executions, result.metadata["c_k"]
    ((2,), 2, 0.1)
    """

    def __init__(
        self,
        backend: object,
        c_decay: float = 0.101,
        a_decay: float = 0.602,
        c_initial: float = 0.1,
        a_initial: float = 0.01,
        min_perturbation: float = 1e-4,
    ) -> None:
        self.backend = backend
        self.c_decay, self.a_decay = c_decay, a_decay
        self.c_initial, self.a_initial = c_initial, a_initial
        self.min_perturbation = min_perturbation
        self.core = CoreEstimator(core_backend(backend), seed=program_seed())
        self._begin()

    def _begin(self) -> None:
        self.iteration = 0
        self.total_circuits_executed = 0
        self.total_time_ms = 0.0
        self._momentum: Any = None

    async def estimate_gradient(
        self,
        circuit_builder: Callable[[Any], object],
        loss_function: Callable[[Any], float],
        parameters: ArrayLike,
        shots: int | None = 1000,
        frozen_indices: Iterable[int] | None = None,
    ) -> GradientResult:
        """One estimate; its `metadata` has `iteration`, `c_k`, `a_k`, `loss_plus`, `loss_minus` and `total_circuits`.

        Args:
            circuit_builder: From parameters to a circuit.
            loss_function: From an `ExecutionResult` to a number.
            parameters: `(n_parameters,)`, radians.
            shots: How often each circuit is run; None for exact probabilities.
            frozen_indices: Parameters that do not move.
        """
        pair = BuilderAndLoss(circuit_builder, loss_function)
        c_k, a_k = self.get_gain_parameters(self.iteration)
        self.core.gains = Gains(c_k, 0.0, None, 0.0)
        frozen = list(frozen_indices or ())
        result = await self.core.estimate_gradient(pair.build, pair.loss, parameters, shots, frozen_indices=frozen)
        self.iteration += 1
        self.total_circuits_executed += result.n_circuit_executions
        self.total_time_ms += result.computation_time_ms
        ((plus, minus),) = result.metadata["losses"]
        told = {
            "iteration": self.iteration,
            "c_k": c_k,
            "a_k": a_k,
            "loss_plus": plus,
            "loss_minus": minus,
            "total_circuits": self.total_circuits_executed,
        }
        return replace(result, metadata={**result.metadata, **told})

    async def estimate_gradient_with_momentum(
        self,
        circuit_builder: Callable[[Any], object],
        loss_function: Callable[[Any], float],
        parameters: ArrayLike,
        momentum: float = 0.9,
        shots: int | None = 1000,
    ) -> GradientResult:
        """An estimate averaged with those before it, `g = m g_before + (1 - m) g_now`; the first one as it is."""
        result = await self.estimate_gradient(circuit_builder, loss_function, parameters, shots)
        smooth = result.gradients
        if self._momentum is not None:
            smooth = momentum * self._momentum + (1 - momentum) * smooth
        self._momentum = smooth
        return replace(result, gradients=smooth, variance=None)

    def reset(self) -> None:
        """Forget every call: the next one is the first again."""
        self.core.reset()
        self._begin()

    def get_statistics(self) -> dict[str, Any]:
        """Calls, circuits and times so far, and the gains of the next call."""
        c_k, a_k = self.get_gain_parameters(self.iteration)
        return {
            "iteration": self.iteration,
            "total_circuits_executed": self.total_circuits_executed,
            "total_time_ms": self.total_time_ms,
            "avg_time_per_gradient_ms": self.total_time_ms / self.iteration if self.iteration else 0.0,
            "current_c_k": c_k,
            "current_a_k": a_k,
        }


class SPSAOptimizerWithAdaptiveGains:
    """SPSA whose gains follow the last ten calls.

    Every `adapt_every` calls the perturbation grows by a tenth where the variance of the gradients' norms is above 1,
    and shrinks by as much where it is below 0.1; the step size grows by a tenth where the loss changed by less than 1%.

    Args:
        backend: Where to run, of either kind.
        adapt_every: How often.

    Attributes:
        spsa: The estimator.

    >>> from q_store.backends import MockQuantumBackend
    >>> SPSAOptimizerWithAdaptiveGains(MockQuantumBackend()).get_statistics()["gradient_history_length"]
    0
    """

    def __init__(self, backend: object, adapt_every: int = 10) -> None:
        self.backend = backend
        self.adapt_every = adapt_every
        self.spsa = SPSAGradientEstimator(backend)
        self.gradient_history: list[FloatArray] = []
        self.loss_history: list[float] = []

    async def estimate_gradient(
        self,
        circuit_builder: Callable[[Any], object],
        loss_function: Callable[[Any], float],
        parameters: ArrayLike,
        shots: int | None = 1000,
        frozen_indices: Iterable[int] | None = None,
    ) -> GradientResult:
        """One estimate, as by `SPSAGradientEstimator`."""
        if self.spsa.iteration and self.spsa.iteration % self.adapt_every == 0:
            self._adapt()
        result = await self.spsa.estimate_gradient(circuit_builder, loss_function, parameters, shots, frozen_indices)
        self.gradient_history.append(result.gradients)
        self.loss_history.append(result.function_value)
        return result

    def reset(self) -> None:
        """Forget every call; the gains stay."""
        self.spsa.reset()
        self.gradient_history.clear()
        self.loss_history.clear()

    def get_statistics(self) -> dict[str, Any]:
        """Those of the estimator, and how many calls are remembered."""
        lengths = {
            "gradient_history_length": len(self.gradient_history),
            "loss_history_length": len(self.loss_history),
        }
        return {**self.spsa.get_statistics(), **lengths}

    def _adapt(self) -> None:
        spread = float(np.var([np.linalg.norm(gradient) for gradient in self.gradient_history[-10:]]))
        self.spsa.c_initial *= 1.1 if spread > 1.0 else 0.9 if spread < 0.1 else 1.0
        first, last = self.loss_history[-10:][0], self.loss_history[-1]
        if abs(first - last) < 0.01 * abs(first):
            self.spsa.a_initial *= 1.1
