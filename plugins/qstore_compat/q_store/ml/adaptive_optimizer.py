"""Q-Store's two ways of changing the gradient method from call to call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from q_store.ml.gradient_computer import QuantumGradientComputer
from q_store.ml.spsa_gradient_estimator import SPSAGradientEstimator
from qstore_core import GradientResult
from qstore_core.errors import UnknownNameError

_EARLY, _PERIOD, _WINDOW = 10, 10, 5
_LEAST_IMPROVEMENT = 0.01


class _Methods:
    """Both estimators, called alike."""

    def __init__(self, backend: object) -> None:
        self.backend = backend
        self.spsa = SPSAGradientEstimator(backend)
        self.parameter_shift = QuantumGradientComputer(backend)

    async def estimate(
        self,
        method: str,
        builder: Callable[[Any], object],
        loss: Callable[[Any], float],
        parameters: ArrayLike,
        frozen: Iterable[int] | None,
        shots: int | None,
    ) -> GradientResult:
        if check_method(method) == "spsa":
            return await self.spsa.estimate_gradient(builder, loss, parameters, shots, frozen)
        return await self.parameter_shift.compute_gradients(builder, loss, parameters, frozen, shots)


def check_method(method: str) -> str:
    """`method`, if it is one of the two.

    >>> check_method("spsa")
    'spsa'
    """
    if method not in ("spsa", "parameter_shift"):
        raise UnknownNameError.of("gradient method", method, ("spsa", "parameter_shift"))
    return method


class AdaptiveGradientOptimizer:
    """Parameter shift at every tenth call and while the loss falls slowly, else SPSA; the first ten calls are SPSA.

    Slowly is by less than 1% over five calls. A trainer goes another way: with gradient_method="adaptive" qstore plans
    each step by its measured noise and price.

    Args:
        backend: Where to run, of either kind.
        initial_method: The method without adaptation, "spsa" or "parameter_shift".
        enable_adaptation: Whether the rule above chooses.

    >>> from q_store.backends import MockQuantumBackend
    >>> AdaptiveGradientOptimizer(MockQuantumBackend()).get_statistics()["current_method"]
    'spsa'
    """

    def __init__(self, backend: object, initial_method: str = "spsa", enable_adaptation: bool = True) -> None:
        self.backend = backend
        self.enable_adaptation = enable_adaptation
        self.current_method = check_method(initial_method)
        self._methods = _Methods(backend)
        self._begin()

    def _begin(self) -> None:
        self.iteration = 0
        self.method_history: list[str] = []
        self.convergence_history: list[float] = []

    async def compute_gradients(
        self,
        circuit_builder: Callable[[Any], object],
        loss_function: Callable[[Any], float],
        parameters: ArrayLike,
        frozen_indices: Iterable[int] | None = None,
        shots: int | None = 1000,
    ) -> GradientResult:
        """The gradient by the method whose turn it is, which `method` names."""
        method = self._choice() if self.enable_adaptation else self.current_method
        result = await self._methods.estimate(method, circuit_builder, loss_function, parameters, frozen_indices, shots)
        self.current_method = method
        self.method_history.append(method)
        self.convergence_history.append(result.function_value)
        self.iteration += 1
        return result

    async def estimate_gradient(
        self,
        circuit_builder: Callable[[Any], object],
        loss_function: Callable[[Any], float],
        parameters: ArrayLike,
        shots: int | None = 1000,
        frozen_indices: Iterable[int] | None = None,
    ) -> GradientResult:
        """`compute_gradients`, with the arguments in the order of `SPSAGradientEstimator`."""
        return await self.compute_gradients(circuit_builder, loss_function, parameters, frozen_indices, shots)

    def get_statistics(self) -> dict[str, Any]:
        """Which methods were used, and by how much the loss falls at each call: the slope of the last ten."""
        return {
            "iteration": self.iteration,
            "current_method": self.current_method,
            "method_counts": dict(Counter(self.method_history)),
            "convergence_rate": self._fall(),
            "adaptation_enabled": self.enable_adaptation,
        }

    def force_method(self, method: str) -> None:
        """Use one method from now on."""
        self.current_method = check_method(method)
        self.enable_adaptation = False

    def enable_auto_adaptation(self) -> None:
        """Let the rule choose again."""
        self.enable_adaptation = True

    def reset(self) -> None:
        """Forget every call."""
        self._methods.spsa.reset()
        self._begin()

    def _choice(self) -> str:
        if self.iteration < _EARLY:
            return "spsa"
        slow = self.iteration % _PERIOD == 0 or self._is_slow()
        return "parameter_shift" if slow else "spsa"

    def _is_slow(self) -> bool:
        first, *_, last = self.convergence_history[-_WINDOW:]
        return first - last < _LEAST_IMPROVEMENT * abs(first)

    def _fall(self) -> float:
        recent = self.convergence_history[-10:]
        return -float(np.polyfit(np.arange(len(recent)), recent, 1)[0]) if len(recent) > 1 else 0.0


class GradientMethodScheduler:
    """A gradient method for each call, by a schedule.

    Args:
        backend: Where to run, of either kind.
        schedule: `(call, method)`, from which call on, counted from 0; None: SPSA, from 50 on parameter shift, from 100
            on SPSA again.

    >>> from q_store.backends import MockQuantumBackend
    >>> scheduler = GradientMethodScheduler(MockQuantumBackend(), [(0, "spsa"), (5, "parameter_shift")])
    >>> scheduler.method_at(4), scheduler.method_at(5)
    ('spsa', 'parameter_shift')
    """

    def __init__(self, backend: object, schedule: list[tuple[int, str]] | None = None) -> None:
        self.backend = backend
        self.iteration = 0
        self.schedule: list[tuple[int, str]] = []
        self._methods = _Methods(backend)
        for point in schedule or [(0, "spsa"), (50, "parameter_shift"), (100, "spsa")]:
            self.add_schedule_point(*point)

    def add_schedule_point(self, iteration: int, method: str) -> None:
        """Use `method` from a call on."""
        self.schedule = sorted([*self.schedule, (iteration, check_method(method))])

    def method_at(self, iteration: int) -> str:
        """The method of a call; before the first point of the schedule it is that point's."""
        reached = [method for start, method in self.schedule if start <= iteration]
        return reached[-1] if reached else self.schedule[0][1]

    async def compute_gradients(
        self,
        circuit_builder: Callable[[Any], object],
        loss_function: Callable[[Any], float],
        parameters: ArrayLike,
        frozen_indices: Iterable[int] | None = None,
        shots: int | None = 1000,
    ) -> GradientResult:
        """The gradient by the method whose turn it is, which `method` names."""
        result = await self._methods.estimate(
            self.method_at(self.iteration), circuit_builder, loss_function, parameters, frozen_indices, shots
        )
        self.iteration += 1
        return result
