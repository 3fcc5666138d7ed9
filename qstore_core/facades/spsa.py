"""SPSA on any loss of what a circuit's whole register gave."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from math import isfinite, sqrt
from numbers import Real
from typing import TypeAlias, Unpack

import numpy as np
from numpy.typing import ArrayLike

from qstore_core.arrays import BoolArray, FloatArray
from qstore_core.backend import Backend
from qstore_core.batch import ExecutionResult
from qstore_core.circuit_groups import in_order
from qstore_core.errors import ConfigurationError
from qstore_core.executor import Executor
from qstore_core.facades.builders import CircuitBuilder, built_points
from qstore_core.facades.calls import Facade, Resources, checked_parameters, require_function, trained_parameters
from qstore_core.keywords import known_keywords
from qstore_core.losses import finite_loss
from qstore_core.problem import GradientResult, Rounds, require_positive, require_whole
from qstore_core.randomness import StepKey

ResultLoss: TypeAlias = Callable[[ExecutionResult], float]
"""A loss of what one circuit gave, read over its whole register."""


class SPSAGradientEstimator(Facade):
    """Spall's difference of losses: two circuits for each direction, however many parameters, for any loss.

    With random directions `D_d` of +-1 and the loss `L` at `theta +- c_k D_d`, averaged over `d`,

        g = (L(+) - L(-)) / (2 c_k) D_d,     c_k = c / (k + 1)**gamma     (Spall 1992, doi 10.1109/9.119632)

    where `k` counts the calls. The estimate aims at the gradient to O(c_k^2). With shots the loss sees frequencies, not
    probabilities: a loss that is not linear in them is another loss in the mean, by O(1/shots).

    Args:
        backend: Where to run; or an `Executor`, whose cache, journal, budget and tracker are then shared.
        c: The first perturbation, radians; None: `min(0.3, 1 / sqrt(P))` for P parameters that move.
        gamma: How it decays; 0 keeps it.
        a: The first step size of Spall's optimiser; its step `-a_k g`, with `a_k = a / (k + 1)**alpha`, is then the
            result's `move`. None: `move` is None, and an optimiser of yours makes the step from `gradients`.
        alpha: How the step size decays; None: 0.602. Only together with `a`.
        directions: How many directions are averaged; with 2 or more the variance is known.
        seed: What directions and shots derive from, where the backend can be seeded; None: a fresh one. The same seed
            and calls give the same results, and what a journal has of them is not paid again.
        resources: `cache`, `journal_path`, `budget`, `max_concurrent_jobs`, `tracker`, as for `CircuitBatchManager`.
            Compiled structures are kept unless `cache` says otherwise.

    Attributes:
        executor: What runs the circuits.

    >>> import asyncio
    >>> from qstore_core import QuantumCircuit, get_backend
    >>> estimator = SPSAGradientEstimator(get_backend("mock"), c=0.1, seed=7)
    >>> def build(p):
    ...     return QuantumCircuit(2).ry(0, p[0]).ry(1, p[1]).cnot(0, 1)
    >>> def loss(result):
    ...     return 1 - result.probabilities.get("11", 0.0)
    >>> result = asyncio.run(estimator.estimate_gradient(build, loss, [0.3, 0.5], shots=100))
    >>> result.gradients.shape, result.n_circuit_executions, result.n_shots
    ((2,), 2, 200)
    """

    @partial(known_keywords, more=Resources.__annotations__)
    def __init__(
        self,
        backend: Backend | Executor,
        *,
        c: float | None = None,
        gamma: float = 0.101,
        a: float | None = None,
        alpha: float | None = None,
        directions: int = 1,
        seed: int | None = None,
        **resources: Unpack[Resources],
    ) -> None:
        super().__init__(backend, seed=seed, **resources)
        if a is None and alpha is not None:
            raise ConfigurationError(f"alpha={alpha!r} is the decay of the step size a, which was not given")
        self.gains = Gains(c, gamma, a, 0.602 if alpha is None else alpha)
        self.directions = require_whole("directions", directions)

    async def estimate_gradient(
        self,
        circuit_builder: CircuitBuilder,
        loss_function: ResultLoss,
        parameters: ArrayLike,
        shots: int | None = 1000,
        *,
        frozen_indices: Iterable[int] | None = None,
    ) -> GradientResult:
        """One estimate, from `2 directions` circuits in one batch, or in one for each structure.

        Args:
            circuit_builder: Makes a circuit of an array `(n_parameters,)`. It is called with numbers and with symbols
                (`Parameter`s); where it makes the same of both that was all, else it is called for every point.
            loss_function: Called with each point's `ExecutionResult`, both sides of one direction after the other.
            parameters: `(n_parameters,)`, radians.
            shots: How often each circuit is run; None for exact probabilities, where the backend can.
            frozen_indices: Parameters that do not move; their gradient is 0.

        Returns:
            The gradient. `function_value` is the mean of the losses, which all lie next to the parameters: nothing is
            run at them. `variance` is that of directions and shots together, from the scatter between directions; None
            for one direction. Exact circuits that are equal run once, which `n_circuit_executions` then says.

        Raises:
            ConfigurationError: Parameters, or a value of the loss, that are not finite numbers.
            CircuitError: What was built is not a circuit, or has open symbols, or `shots` cannot be; nothing ran.
            BudgetExceededError: It could pass the cap; nothing ran.
            BackendError: The backend cannot do what is asked, or failed.
        """
        require_function("circuit_builder", circuit_builder, "(parameters) -> QuantumCircuit")
        require_function("loss_function", loss_function, "(result) -> float")
        theta = checked_parameters(parameters)
        trained = trained_parameters(len(theta), frozen_indices)
        with self._call() as key:
            rounds = self._rounds(circuit_builder, loss_function, theta, trained, shots, key)
            result, _ = await self.executor.drive(rounds, label=f"gradient {key.step + 1}")
        return result

    def _rounds(
        self,
        builder: CircuitBuilder,
        loss_function: ResultLoss,
        parameters: FloatArray,
        trained: BoolArray,
        shots: int | None,
        key: StepKey,
    ) -> Rounds:
        """One round: both sides of every direction. Nothing is carried to the next call."""
        c = self.gains.perturbation(int(trained.sum()), key.step)
        signs = random_signs(self.directions, trained, key)
        sides = c * np.array([[1.0], [-1.0]]) * signs[:, None]
        labels = key.draws(term=np.arange(len(signs))[:, None], sign=[1, -1]).ravel()
        points = (parameters + sides).reshape(-1, len(parameters))
        built = built_points(builder, points, shots=shots, labels=labels)
        results = yield tuple(group.batch for group in built.groups)
        outcomes = in_order(built.groups, results, backend=self.executor.backend.name)
        losses = np.array([finite_loss(loss_function(outcome)) for outcome in outcomes]).reshape(-1, 2)
        estimates = np.where(built.active, signs, 0.0) * (losses[:, :1] - losses[:, 1:]) / (2 * c)
        gradients, step_size = estimates.mean(axis=0) + 0.0, self.gains.step_size(key.step)
        answer = GradientResult(
            gradients,
            float(losses.mean()),
            variance=variance_of_mean(estimates),
            method="spsa",
            metadata={
                "call": key.step + 1,
                "c": c,
                "directions": len(signs),
                "losses": losses.tolist(),
                "numeric_because": built.numeric_because,
            },
            move=None if step_size is None else -step_size * gradients,
        )
        return answer, None


@dataclass(frozen=True, slots=True)
class Gains:
    """Spall's sequences, by the number of earlier calls.

    >>> gains = Gains(c=0.1, gamma=0.5, a=None, alpha=0.602)
    >>> gains.perturbation(4, 0), gains.perturbation(4, 3), gains.step_size(3)
    (0.1, 0.05, None)
    """

    c: float | None
    gamma: float
    a: float | None
    alpha: float

    def __post_init__(self) -> None:
        for name in ("c", "a"):
            if getattr(self, name) is not None:
                require_positive(name, getattr(self, name))
        for name in ("gamma", "alpha"):
            value = getattr(self, name)
            if not isinstance(value, Real) or isinstance(value, bool) or not isfinite(value) or value < 0:
                raise ConfigurationError(f"{name} is a number of at least 0, not {value!r}")

    def perturbation(self, n_moved: int, calls: int) -> float:
        """`c_k` for so many parameters that move, radians."""
        first = min(0.3, 1 / sqrt(n_moved)) if self.c is None else self.c
        return float(first / (calls + 1) ** self.gamma)

    def step_size(self, calls: int) -> float | None:
        """`a_k`, where there is one."""
        return None if self.a is None else float(self.a / (calls + 1) ** self.alpha)


def random_signs(directions: int, trained: BoolArray, key: StepKey) -> FloatArray:
    """Directions `(directions, n_parameters)` of +-1, 0 for what is not trained.

    >>> random_signs(2, np.array([True, False]), StepKey(7)).shape
    (2, 2)
    """
    heads = key.generator("directions").integers(0, 2, (directions, len(trained)))
    return np.where(trained, np.where(heads, 1.0, -1.0), 0.0)


def variance_of_mean(estimates: FloatArray) -> float | None:
    """The total variance of the mean of independent estimates `(n, n_parameters)`; None for a single one.

    >>> variance_of_mean(np.array([[1.0, 0.0], [3.0, 0.0]]))
    1.0
    """
    if len(estimates) < 2:
        return None
    return float(estimates.var(axis=0, ddof=1).sum() / len(estimates))
