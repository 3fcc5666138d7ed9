"""The cheapest right method for a circuit that a function builds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Unpack

from numpy.typing import ArrayLike

from qstore_core.backend import Backend
from qstore_core.errors import ConfigurationError
from qstore_core.executor import Executor
from qstore_core.facades.builders import CircuitBuilder
from qstore_core.facades.calls import Resources
from qstore_core.facades.expectations import ExpectationFacade, Observable, checked_observables
from qstore_core.facades.spsa import SPSAGradientEstimator
from qstore_core.keywords import known_keywords
from qstore_core.problem import GradientResult
from qstore_core.registry import default_registry

_OPAQUE = "the loss is a function of results; with observables= and a loss of their values there is a choice"


class AdaptiveGradientEstimator(ExpectationFacade):
    """The method that suits the backend, the shots and the loss.

    With observables the core's "adaptive" estimator chooses, and what it learns in one call it uses in the next, as
    long as the structure of the circuit, the observables, the shots and the frozen parameters stay the same. A loss of
    results can only be compared with itself, so that leaves SPSA: `SPSAGradientEstimator` with its defaults.

    Args:
        backend: Where to run; or an `Executor`, whose cache, journal, budget and tracker are then shared.
        observables: One for each output of the circuit, such as `["Z0"]`; the loss is then a function of their
            expectation values. None: the loss is one of results, unless a call brings observables.
        gradient_options: Options of the adaptive estimator, as in `TrainingConfig`; only with observables.
        reduce: What need not run, as in `TrainingConfig`; only with observables.
        seed: What all randomness derives from; None: a fresh one.
        resources: `cache`, `journal_path`, `budget`, `max_concurrent_jobs`, `tracker`, as for `CircuitBatchManager`.
            Compiled structures are kept unless `cache` says otherwise.

    Attributes:
        executor: What runs the circuits.

    >>> import asyncio
    >>> from qstore_core import QuantumCircuit, get_backend
    >>> estimator = AdaptiveGradientEstimator(get_backend("mock"), observables=["Z0"])
    >>> def build(p):
    ...     return QuantumCircuit(1).ry(0, p[0])
    >>> result = asyncio.run(estimator.estimate_gradient(build, lambda outputs: outputs[0] ** 2, [0.5], shots=None))
    >>> result.gradients.round(6)
    array([-0.841471])
    """

    @partial(known_keywords, more=Resources.__annotations__)
    def __init__(
        self,
        backend: Backend | Executor,
        observables: Observable | Sequence[Observable] | None = None,
        *,
        gradient_options: Mapping[str, Any] | None = None,
        reduce: str = "auto",
        seed: int | None = None,
        **resources: Unpack[Resources],
    ) -> None:
        estimator = default_registry().create("gradient_estimator", "adaptive", **(gradient_options or {}))
        super().__init__(backend, estimator, observables, reduce=reduce, seed=seed, **resources)
        self._has_options = bool(gradient_options)
        self._spsa = SPSAGradientEstimator(self.executor, seed=self.seed)

    def reset(self) -> None:
        """Forget every call: the next one is the first again, with the same randomness as the first had."""
        super().reset()
        self._spsa.reset()

    async def estimate_gradient(
        self,
        circuit_builder: CircuitBuilder,
        loss_function: Callable[[Any], float] | None,
        parameters: ArrayLike,
        shots: int | None = 1000,
        *,
        observables: Observable | Sequence[Observable] | None = None,
        frozen_indices: Iterable[int] | None = None,
    ) -> GradientResult:
        """The gradient by the method that was chosen, which `method` names.

        Args:
            circuit_builder: As for `ParameterShiftGradientEstimator` where there are observables, else as for
                `SPSAGradientEstimator`.
            loss_function: With observables a function of their expectation values, `(n_outputs,)` float64, or None for
                the first of them; without, a function of an `ExecutionResult`.
            parameters: `(n_parameters,)`, radians.
            shots: How often each circuit is run, at most; None for exact values, where the backend can.
            observables: One for each output; None: those of the estimator.
            frozen_indices: Parameters that do not move; their gradient is 0.

        Raises:
            ConfigurationError: Parameters, or a value of the loss, that are not finite numbers.
            CircuitError: What the builder makes cannot be used; nothing ran.
            BudgetExceededError: It could pass the cap; nothing ran.
            BackendError: The backend cannot do what is asked, or failed.
        """
        asked = self.observables if observables is None else checked_observables(observables)
        if asked is not None:
            return await self._differentiate(circuit_builder, loss_function, parameters, shots, asked, frozen_indices)
        if loss_function is None:
            raise ConfigurationError("only observables= have a default loss; give loss_function(result) -> float")
        if self._has_options:
            raise ConfigurationError("gradient_options are those of the method for observables=, which were not given")
        result = await self._spsa.estimate_gradient(
            circuit_builder, loss_function, parameters, shots, frozen_indices=frozen_indices
        )
        return replace(result, metadata={**result.metadata, "chosen_because": _OPAQUE})
