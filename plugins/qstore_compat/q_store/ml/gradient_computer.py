"""The gradient of a loss of results, by the parameter-shift rule on the probabilities of the outcomes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from q_store.backends.bridge import core_backend
from q_store.changes import changed
from q_store.ml.built import BuilderAndLoss
from q_store.ml.outcome_shift import OutcomeShift
from q_store.randomness import program_seed
from qstore_core import CircuitBatchManager as CoreManager
from qstore_core import GradientResult
from qstore_core.errors import ConfigurationError
from qstore_core.facades.calls import checked_parameters
from qstore_core.losses import finite_loss


class QuantumGradientComputer:
    """The exact gradient, but for the shots, of a smooth loss of what a circuit gives.

    Every outcome's probability is shifted, and the loss differentiated by the probabilities. Circuits: 1, and 2 for
    each rotation that depends on a parameter.

    Args:
        backend: Where to run, of either kind.
        shift_amount: pi / 2, the shift of the rotations that Q-Store has.

    >>> import asyncio
    >>> from q_store.backends import CircuitBuilder, MockQuantumBackend
    >>> computer = QuantumGradientComputer(MockQuantumBackend())
    >>> def build(p):
    ...     return CircuitBuilder(1).ry(0, p[0]).build()
    >>> def squared(result):
    ...     return result.probabilities.get("1", 0.0) ** 2
    >>> result = asyncio.run(computer.compute_gradients(build, squared, [0.5], shots=None))
    >>> bool(np.isclose(result.gradients[0], np.sin(0.25) ** 2 * np.sin(0.5)))
    True
    """

    def __init__(self, backend: object, shift_amount: float = np.pi / 2) -> None:
        if not np.isclose(shift_amount, np.pi / 2):
            raise ConfigurationError(f"shift_amount is pi / 2, not {shift_amount!r}: another shift needs another rule")
        self.backend = backend
        self.shift = float(shift_amount)
        self.core = OutcomeShift(core_backend(backend), seed=program_seed())

    async def compute_gradients(
        self,
        circuit_builder: Callable[[Any], object],
        loss_function: Callable[[Any], float],
        parameters: ArrayLike,
        frozen_indices: Iterable[int] | None = None,
        shots: int | None = 1000,
    ) -> GradientResult:
        """The gradient by every parameter that is not frozen.

        Args:
            circuit_builder: From parameters to a circuit whose angles are sums of them with weights.
            loss_function: A smooth function of an `ExecutionResult`; its counts may be fractions.
            parameters: `(n_parameters,)`, radians.
            frozen_indices: Parameters whose gradient is not needed; they cost no circuits.
            shots: How often each circuit is run; None for exact probabilities.
        """
        changed(
            "QuantumGradientComputer.compute_gradients(...)",
            "shifts the probabilities and differentiates the loss by them, with the same circuits. Q-Store shifted the "
            "loss itself, which is not its gradient unless the loss is linear in the probabilities",
        )
        pair = BuilderAndLoss(circuit_builder, loss_function)
        return await self.core.gradient(pair, parameters, shots, frozen=list(frozen_indices or ()))

    async def compute_gradient_stochastic(
        self,
        circuit_builder: Callable[[Any], object],
        loss_function: Callable[[Any], float],
        parameters: ArrayLike,
        batch_size: int = 4,
        shots: int | None = 1000,
    ) -> GradientResult:
        """The gradient by some random parameters, 0 for the others."""
        n_parameters = len(np.asarray(parameters))
        order = np.random.default_rng(program_seed()).permutation(n_parameters)
        frozen = order[batch_size:].tolist()
        return await self.compute_gradients(circuit_builder, loss_function, parameters, frozen, shots)


class NaturalGradientComputer:
    """The gradient, multiplied by the inverse of the Fisher information of the outcomes; from the same circuits.

    Args:
        backend: Where to run, of either kind.
        regularization: What is added to the diagonal of the Fisher information.

    >>> import asyncio
    >>> from q_store.backends import CircuitBuilder, MockQuantumBackend
    >>> computer = NaturalGradientComputer(MockQuantumBackend())
    >>> def build(p):
    ...     return CircuitBuilder(1).ry(0, p[0]).build()
    >>> def one(result):
    ...     return result.probabilities.get("1", 0.0)
    >>> result = asyncio.run(computer.compute_natural_gradients(build, one, [0.5], shots=None))
    >>> bool(np.isclose(result.gradients[0], np.sin(0.5) / 2))  # the Fisher information of one rotation is 1
    True
    """

    def __init__(self, backend: object, regularization: float = 1e-8) -> None:
        self.backend = backend
        self.regularization = regularization
        self.core = OutcomeShift(core_backend(backend), seed=program_seed())

    async def compute_natural_gradients(
        self,
        circuit_builder: Callable[[Any], object],
        loss_function: Callable[[Any], float],
        parameters: ArrayLike,
        shots: int | None = 1000,
    ) -> GradientResult:
        """The natural gradient; arguments as for `QuantumGradientComputer`."""
        changed(
            "NaturalGradientComputer.compute_natural_gradients(...)",
            "goes by the Fisher information of the outcomes. Q-Store went by a matrix of ones",
        )
        pair = BuilderAndLoss(circuit_builder, loss_function)
        return await self.core.gradient(pair, parameters, shots, regularization=self.regularization)


class FiniteDifferenceGradient:
    """Forward differences of a loss of results, from exact probabilities.

    Args:
        backend: Where to run, of either kind.
        epsilon: The step, radians.

    >>> import asyncio
    >>> from q_store.backends import CircuitBuilder, MockQuantumBackend
    >>> differences = FiniteDifferenceGradient(MockQuantumBackend())
    >>> def build(p):
    ...     return CircuitBuilder(1).ry(0, p[0] ** 2).build()
    >>> def one(result):
    ...     return result.probabilities.get("1", 0.0)
    >>> result = asyncio.run(differences.compute_gradients(build, one, [0.5]))
    >>> result.gradients.round(3), result.n_circuit_executions
    (array([0.124]), 2)
    """

    def __init__(self, backend: object, epsilon: float = 1e-4) -> None:
        self.backend = backend
        self.epsilon = epsilon
        self.core = CoreManager(core_backend(backend), seed=program_seed())

    async def compute_gradients(
        self,
        circuit_builder: Callable[[Any], object],
        loss_function: Callable[[Any], float],
        parameters: ArrayLike,
        shots: int | None = None,
    ) -> GradientResult:
        """The differences; any builder will do. `shots` other than None need a larger `epsilon`."""
        changed(
            "FiniteDifferenceGradient.compute_gradients(...)",
            "takes exact probabilities unless shots= says otherwise. Q-Store sampled, and a difference of 1e-4 drowns "
            "in the noise of any number of shots",
        )
        pair, point = BuilderAndLoss(circuit_builder, loss_function), checked_parameters(parameters)
        begin = time.perf_counter()
        points = np.vstack([point, point + self.epsilon * np.eye(len(point))])
        with self.core.executor.tracker.metered() as meter:
            results = await self.core.execute_batch([pair.build(row) for row in points], shots)
        base, *moved = [finite_loss(pair.loss(result)) for result in results]
        return GradientResult(
            (np.array(moved) - base) / self.epsilon,
            base,
            n_circuit_executions=meter.total.circuits,
            n_shots=meter.total.shots,
            n_jobs=meter.total.jobs,
            method="finite_difference",
            computation_time_ms=1000 * (time.perf_counter() - begin),
        )
