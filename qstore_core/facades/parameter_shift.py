"""The parameter-shift rule on the expectation values of a circuit that a function builds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Unpack

from numpy.typing import ArrayLike

from qstore_core.backend import Backend
from qstore_core.errors import ConfigurationError
from qstore_core.estimators.parameter_shift import ParameterShift
from qstore_core.executor import Executor
from qstore_core.facades.builders import CircuitBuilder
from qstore_core.facades.calls import Resources
from qstore_core.facades.expectations import ExpectationFacade, Observable, OutputLoss, checked_observables
from qstore_core.keywords import known_keywords
from qstore_core.problem import GradientResult


class ParameterShiftGradientEstimator(ExpectationFacade):
    """The exact derivative of expectation values by shifted circuits, with the loss's derivative chained on.

    Q-Store shifted the loss itself, which is not its gradient unless the loss is linear in the expectation values. So
    this takes observables and a loss of their values, and refuses a loss of results.

    Circuits: 1, and 2 for each gate angle that depends on a moving parameter and can change an output, 4 where the gate
    is a controlled rotation; times the measurement bases that the observables need. With shots the gradient is unbiased
    for a loss that is at most quadratic, else to O(1/shots).

    Args:
        backend: Where to run; or an `Executor`, whose cache, journal, budget and tracker are then shared.
        observables: One for each output of the circuit, such as `["Z0", PauliString("X0 X1")]`; None: given to each
            call.
        coordinates: Shift only this many random parameters a call, whose derivatives are weighted up so that the
            gradient stays unbiased; None: all of them.
        reduce: What need not run, as in `TrainingConfig`: "auto", "light_cone" or "none" (docs/lightcone.md).
        seed: What shots, and the choice of coordinates, derive from; None: a fresh one.
        resources: `cache`, `journal_path`, `budget`, `max_concurrent_jobs`, `tracker`, as for `CircuitBatchManager`.
            Compiled structures are kept unless `cache` says otherwise.

    Attributes:
        executor: What runs the circuits.

    >>> import asyncio
    >>> from qstore_core import QuantumCircuit, get_backend
    >>> estimator = ParameterShiftGradientEstimator(get_backend("mock"), observables=["Z0", "Z1"])
    >>> def build(p):
    ...     return QuantumCircuit(2).ry(0, p[0]).ry(1, 2 * p[1])
    >>> def loss(outputs):
    ...     return outputs[0] ** 2 + outputs[1]
    >>> result = asyncio.run(estimator.estimate_gradient(build, loss, [0.5, 0.25], shots=None))
    >>> result.gradients.round(6), result.n_circuit_executions
    (array([-0.841471, -0.958851]), 5)
    """

    @partial(known_keywords, more=Resources.__annotations__)
    def __init__(
        self,
        backend: Backend | Executor,
        observables: Observable | Sequence[Observable] | None = None,
        *,
        coordinates: int | None = None,
        reduce: str = "auto",
        seed: int | None = None,
        **resources: Unpack[Resources],
    ) -> None:
        estimator = ParameterShift(coordinates=coordinates)
        super().__init__(backend, estimator, observables, reduce=reduce, seed=seed, **resources)

    async def estimate_gradient(
        self,
        circuit_builder: CircuitBuilder,
        loss_function: OutputLoss | None,
        parameters: ArrayLike,
        shots: int | None = 1000,
        *,
        observables: Observable | Sequence[Observable] | None = None,
        frozen_indices: Iterable[int] | None = None,
    ) -> GradientResult:
        """The gradient, from one batch of circuits.

        Args:
            circuit_builder: Makes a circuit of an array `(n_parameters,)` of `Parameter`s, whose angles are sums of
                them with weights. It is called with symbols once and with numbers twice, to compare.
            loss_function: A function of the expectation values, `(n_outputs,)` float64, or None for the first of them.
            parameters: `(n_parameters,)`, radians.
            shots: How often each circuit is run; None for exact values, where the backend can.
            observables: One for each output; None: those of the estimator.
            frozen_indices: Parameters that do not move; their gradient is 0, and they cost no circuits.

        Returns:
            The gradient; `function_value` is the loss at the parameters, `variance` that of the shots to first order.

        Raises:
            ConfigurationError: There are no observables, or parameters or a value of the loss are not finite numbers.
            CircuitError: The builder cannot be given symbols, or what it builds or is measured cannot be; nothing ran.
            BudgetExceededError: It could pass the cap; nothing ran.
            BackendError: The backend cannot do what is asked, or failed.
        """
        asked = self.observables if observables is None else checked_observables(observables)
        if asked is None:
            raise ConfigurationError(
                "ParameterShiftGradientEstimator needs observables, such as observables=['Z0'], and a loss of their "
                "expectation values (n_outputs,): the parameter-shift rule holds for expectation values, and shifting "
                "a loss of results is not its gradient unless the loss is linear in them. For a loss of results use "
                "SPSAGradientEstimator"
            )
        return await self._differentiate(circuit_builder, loss_function, parameters, shots, asked, frozen_indices)
