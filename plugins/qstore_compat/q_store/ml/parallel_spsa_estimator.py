"""SPSA on whole mini-batches of a model, by the names of Q-Store v3.3.1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from q_store.ml.batches import as_targets, mean_of
from q_store.ml.circuit_batch_manager import CircuitBatchManager
from q_store.ml.quantum_layer import HardwareEfficientQuantumLayer, QuantumLayer
from q_store.ml.spsa_gradient_estimator import GainSequences
from q_store.randomness import program_seed
from qstore_core import GradientResult, StepKey
from qstore_core import QuantumModel as CoreModel
from qstore_core import TrainingConfig as CoreConfig
from qstore_core.errors import ConfigurationError
from qstore_core.training import make_recipe


class ParallelSPSAEstimator(GainSequences):
    """The gradient of the mean loss of a mini-batch: two circuits for each sample, all of them one batch.

    Every sample has a direction of its own, which is never noisier than one for all of them.

    Args:
        backend: Where to run, of either kind.
        batch_manager: What runs the circuits; None: one of its own.
        c_decay: How the perturbation decays.
        a_decay: How the step size does; it is reported, the step is the optimiser's.
        c_initial: The first perturbation, radians.
        a_initial: The first step size.

    >>> import asyncio
    >>> from q_store.backends import MockQuantumBackend
    >>> backend = MockQuantumBackend()
    >>> layer = QuantumLayer(n_qubits=2, depth=1, backend=backend)
    >>> def squared(output, target):
    ...     return float(np.mean((output - target) ** 2))
    >>> estimator = ParallelSPSAEstimator(backend)
    >>> x, y = [[0.1, 0.2], [0.3, 0.4]], [[1.0, 0.0], [0.0, 1.0]]
    >>> result = asyncio.run(estimator.estimate_batch_gradient(layer, x, y, squared))
    >>> result.gradients.shape, result.n_circuit_executions, result.n_jobs
    ((6,), 4, 1)
    """

    def __init__(
        self,
        backend: object,
        batch_manager: CircuitBatchManager | None = None,
        c_decay: float = 0.101,
        a_decay: float = 0.602,
        c_initial: float = 0.1,
        a_initial: float = 0.01,
    ) -> None:
        self.backend = backend
        self.batch_manager = CircuitBatchManager(backend) if batch_manager is None else batch_manager
        self.c_decay, self.a_decay = c_decay, a_decay
        self.c_initial, self.a_initial = c_initial, a_initial
        self.iteration = 0
        self.total_circuits = 0
        self.total_time_ms = 0.0
        self._seed = program_seed()

    async def estimate_batch_gradient(
        self,
        model: CoreModel | QuantumLayer | HardwareEfficientQuantumLayer,
        batch_x: ArrayLike,
        batch_y: ArrayLike,
        loss_function: Callable[[Any, Any], float],
        shots: int | None = 1000,
    ) -> GradientResult:
        """One estimate; its `metadata` has `iteration`, `c_k`, `a_k` and `batch_size`.

        Args:
            model: A model, or a layer.
            batch_x: `(n_samples, n_inputs)`, in half turns.
            batch_y: `(n_samples, n_outputs)`.
            loss_function: From one sample's outputs and targets to a number.
            shots: How often each circuit is run; None for exact values.
        """
        c_k, a_k = self.get_gain_parameters(self.iteration)
        result = await self._gradient(_model(model), batch_x, batch_y, loss_function, shots, {"c": c_k})
        self.iteration += 1
        self.total_circuits += result.n_circuit_executions
        self.total_time_ms += result.computation_time_ms
        told = {"iteration": self.iteration, "c_k": c_k, "a_k": a_k, "batch_size": len(np.asarray(batch_x))}
        return replace(result, metadata={**result.metadata, **told})

    async def _gradient(
        self,
        model: CoreModel,
        x: ArrayLike,
        y: ArrayLike,
        loss: Callable[[Any, Any], float],
        shots: int | None,
        options: dict[str, Any],
    ) -> GradientResult:
        config = CoreConfig(
            gradient_method="spsa", gradient_options=options, loss=mean_of(loss), shots_per_circuit=shots
        )
        executor = self.batch_manager.core.executor
        recipe = make_recipe(model, config, labels_are_classes=False)
        problem = recipe.problem(x, as_targets(y), recipe.loss.initial_parameters, executor.backend.capabilities)
        parameters = model.parameters.copy()
        key = StepKey(self._seed, "gradient", self.iteration)
        rounds = recipe.estimator.gradient(problem, parameters, recipe.estimator.start(problem, parameters), key)
        result, _ = await executor.drive(rounds, label=f"gradient {self.iteration + 1}")
        return result


class SubsampledSPSAEstimator(ParallelSPSAEstimator):
    """The same on a few random samples of the mini-batch: fewer circuits, more variance, the same mean.

    Args:
        backend: Where to run, of either kind.
        batch_manager: What runs the circuits; None: one of its own.
        subsample_size: How many samples.
        gains: As for `ParallelSPSAEstimator`.

    >>> from q_store.backends import MockQuantumBackend
    >>> estimator = SubsampledSPSAEstimator(MockQuantumBackend(), subsample_size=5)
    >>> estimator.adjust_subsample_size(gradient_variance=0.5)
    >>> estimator.subsample_size
    6
    """

    def __init__(
        self,
        backend: object,
        batch_manager: CircuitBatchManager | None = None,
        subsample_size: int = 5,
        **gains: float,
    ) -> None:
        super().__init__(backend, batch_manager, **gains)
        self.subsample_size = subsample_size

    async def _gradient(
        self,
        model: CoreModel,
        x: ArrayLike,
        y: ArrayLike,
        loss: Callable[[Any, Any], float],
        shots: int | None,
        options: dict[str, Any],
    ) -> GradientResult:
        chosen = {**options, "subsample": self.subsample_size}
        return await super()._gradient(model, x, y, loss, shots, chosen)

    def adjust_subsample_size(self, gradient_variance: float, target_variance: float = 0.1) -> None:
        """One sample more, up to 10, above the target variance; one fewer, down to 2, below half of it."""
        if gradient_variance > target_variance:
            self.subsample_size = max(self.subsample_size, min(self.subsample_size + 1, 10))
        elif gradient_variance < target_variance / 2:
            self.subsample_size = min(self.subsample_size, max(self.subsample_size - 1, 2))


SPSABatchGradientEstimator = ParallelSPSAEstimator
"""Another name of v3.3.1 for the same."""


def _model(given: object) -> CoreModel:
    if isinstance(given, CoreModel):
        return given
    if isinstance(given, QuantumLayer | HardwareEfficientQuantumLayer):
        given.model.parameters = given.parameters
        return given.model
    raise ConfigurationError(f"model is a QuantumModel or a layer, not a {type(given).__name__}")
