"""What the facades share: an executor, the numbering of calls, and the checking of what a call is given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike

from qstore_core.arrays import BoolArray, FloatArray
from qstore_core.backend import Backend
from qstore_core.circuit_cache import QuantumCircuitCache
from qstore_core.cost import Budget
from qstore_core.errors import ConfigurationError
from qstore_core.executor import Executor
from qstore_core.randomness import StepKey, fresh_seed
from qstore_core.tracker import PerformanceTracker


class Resources(TypedDict, total=False):
    """The keyword arguments of `Executor.on`."""

    cache: QuantumCircuitCache | None
    journal_path: str | Path | None
    budget: Budget | None
    max_concurrent_jobs: int
    tracker: PerformanceTracker | None


class Facade:
    """Runs its calls on one executor, each with randomness of its own.

    Args:
        backend: Where to run; or an executor, whose cache, journal, budget and tracker are then shared.
        seed: What all randomness derives from; None: a fresh one.
        resources: As for `Executor.on`. Compiled structures are kept unless `cache` says otherwise.

    Attributes:
        executor: What runs the circuits.
        seed: The seed.
    """

    def __init__(self, backend: Backend | Executor, *, seed: int | None = None, **resources: Unpack[Resources]) -> None:
        if seed is not None and not is_whole(seed):
            raise ConfigurationError(f"seed is a whole number or None, not {seed!r}")
        self.executor = _executor(backend, resources)
        self.seed = fresh_seed() if seed is None else int(seed)
        self._calls = 0

    def reset(self) -> None:
        """Forget every call: the next one is the first again, with the same randomness as the first had."""
        self._calls = 0

    @contextmanager
    def _call(self) -> Iterator[StepKey]:
        """The randomness of one call; calls that overlap have different ones.

        A call that fails gives its number back, so that the next one asks for the same circuits again and finds in the
        journal what was paid for.
        """
        number = self._calls
        self._calls += 1
        try:
            yield StepKey(self.seed, "gradient", number)
        except BaseException:
            if self._calls == number + 1:
                self._calls = number
            raise


def checked_parameters(parameters: ArrayLike) -> FloatArray:
    """`parameters` as a new array `(n_parameters,)` of float64.

    Raises:
        ConfigurationError: Another shape, or entries that are not finite real numbers.

    >>> checked_parameters([1, 2])
    array([1., 2.])
    """
    try:
        array = np.asarray(parameters)
    except ValueError as error:  # rows of different lengths
        raise ConfigurationError(f"parameters are an array of shape (n_parameters,): {error}") from error
    if array.ndim != 1 or not len(array) or array.dtype.kind not in "iuf":
        raise ConfigurationError(
            f"parameters are real numbers, an array of shape (n_parameters,), not {array.dtype} of shape {array.shape}"
        )
    if not np.isfinite(array).all():
        place = int(np.argmin(np.isfinite(array)))
        raise ConfigurationError(f"parameters must be finite; parameter {place} is {array[place]}")
    return array.astype(np.float64)


def trained_parameters(n_parameters: int, frozen: Iterable[int] | None) -> BoolArray:
    """Which parameters are not among the `frozen` indices, `(n_parameters,)`.

    >>> trained_parameters(3, {1})
    array([ True, False,  True])
    """
    trained = np.ones(n_parameters, dtype=bool)
    for place in () if frozen is None else frozen:
        if not is_whole(place) or not -n_parameters <= place < n_parameters:
            raise ConfigurationError(f"frozen_indices: {place!r} is not one of parameters 0 to {n_parameters - 1}")
        trained[place] = False
    if not trained.any():
        raise ConfigurationError("frozen_indices holds every parameter: there is no gradient to estimate")
    return trained


def require_function(name: str, value: object, signature: str) -> None:
    """Raise `ConfigurationError` when `value`, the argument `name`, cannot be called.

    >>> require_function("loss_function", len, "(result) -> float")
    """
    if not callable(value):
        raise ConfigurationError(f"{name} is a function {signature}, not a {type(value).__name__}")


def is_whole(value: object) -> bool:
    """Whether `value` is a whole number, and no bool.

    >>> is_whole(np.int64(3)), is_whole(True)
    (True, False)
    """
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _executor(backend: Backend | Executor, resources: Resources) -> Executor:
    if not isinstance(backend, Executor):
        settings: Resources = {"cache": QuantumCircuitCache(max_results=0), **resources}
        return Executor.on(backend, **settings)
    if resources:
        raise ConfigurationError(f"{', '.join(resources)}: an executor was given, which has its own")
    return backend
