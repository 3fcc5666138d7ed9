"""The cache of a training run: reduced structures, compiled structures and results, with one set of statistics."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from qstore_core.batch import ExecutionResult
from qstore_core.cache import Cache, CacheStatistics, MemoryCache, RecentlyUsed
from qstore_core.circuit import QuantumCircuit
from qstore_core.errors import CacheError, CircuitError, ConfigurationError, UnknownNameError
from qstore_core.synchronous import run_sync

V = TypeVar("V")


class QuantumCircuitCache:
    """Three levels: circuits made smaller, circuits compiled for a backend, and results.

    The methods for single circuits find exactly what was kept for the same circuit: their keys come from its gates, its
    exact angles and the shots, and are never rounded. `target` keeps apart what belongs to different backends.

    Args:
        max_compiled_circuits: How many compiled circuits are kept, and how many optimized ones; 0: none.
        max_results: How many results are kept in memory.
        result_ttl: Seconds after which a result is too old; None: never.
        results: Where results are kept instead, such as an `SqliteCache`; its own limits hold then.

    Attributes:
        results: The cache of results, which the executor shares.

    >>> cache = QuantumCircuitCache()
    >>> circuit = QuantumCircuit(1).x(0)
    >>> cache.cache_execution_result(circuit, [], 100, ExecutionResult({"1": 100}, {"1": 1.0}, 100))
    >>> cache.get_execution_result(circuit, [], 100).counts
    {'1': 100}
    >>> cache.get_execution_result(circuit, [], 200) is None, cache.get_stats()["hit_rate"]
    (True, 0.5)
    """

    def __init__(
        self,
        max_compiled_circuits: int = 1000,
        max_results: int = 5000,
        result_ttl: float | None = 300.0,
        *,
        results: Cache | None = None,
    ) -> None:
        self._compiled = RecentlyUsed[Any](max_compiled_circuits)
        self._optimized = RecentlyUsed[Any](max_compiled_circuits)
        self.results: Cache = MemoryCache(max_results, result_ttl) if results is None else results

    def lookup_compiled(self, key: Hashable, make: Callable[[], V]) -> V:
        """The compiled structure under a key, made and kept if there is none."""
        compiled: V = self._compiled.lookup(key, make)
        return compiled

    def lookup_optimized(self, key: Hashable, make: Callable[[], V]) -> V:
        """The reduced structure under a key, made and kept if there is none."""
        optimized: V = self._optimized.lookup(key, make)
        return optimized

    def get_compiled_circuit(self, circuit: QuantumCircuit, target: str = "") -> Any:
        """What was kept as the compiled form of a circuit, None if nothing was."""
        return self._compiled.get(_circuit_key(circuit, target))

    def cache_compiled_circuit(self, circuit: QuantumCircuit, compiled: Any, target: str = "") -> None:
        """Keep the compiled form of a circuit."""
        self._compiled.put(_circuit_key(circuit, target), compiled)

    def get_optimized_circuit(self, circuit: QuantumCircuit, target: str = "") -> Any:
        """What was kept as the optimized form of a circuit, None if nothing was."""
        return self._optimized.get(_circuit_key(circuit, target))

    def cache_optimized_circuit(self, circuit: QuantumCircuit, optimized: Any, target: str = "") -> None:
        """Keep the optimized form of a circuit."""
        self._optimized.put(_circuit_key(circuit, target), optimized)

    def get_execution_result(
        self, circuit: QuantumCircuit, parameters: ArrayLike, shots: int | None, target: str = ""
    ) -> ExecutionResult | None:
        """The result that was kept for a circuit, None if none was or it is too old.

        Args:
            circuit: The circuit, without open features.
            parameters: `(n_parameters,)`, the values of `circuit.parameters`; empty where it has none.
            shots: How often it was run; None for exact simulation.
            target: Which backend it ran on, where that matters.
        """
        (found,) = run_sync(self.results.get_many([_result_key(circuit, parameters, shots, target)]))
        return None if found is None else _decode(found)

    def cache_execution_result(
        self,
        circuit: QuantumCircuit,
        parameters: ArrayLike,
        shots: int | None,
        result: ExecutionResult,
        target: str = "",
    ) -> None:
        """Keep the result of a circuit; its metadata are JSON values."""
        run_sync(self.results.put_many({_result_key(circuit, parameters, shots, target): _encode(result)}))

    def clear(self, level: str | None = None) -> None:
        """Drop everything on a level and count its hits and misses from 0 again.

        Args:
            level: "compiled", "optimized" or "results"; None: all three.

        >>> QuantumCircuitCache().clear("results")
        """
        levels: dict[str, Callable[[], None]] = {
            "compiled": self._compiled.clear,
            "optimized": self._optimized.clear,
            "results": lambda: run_sync(self.results.clear()),
        }
        if level is not None and level not in levels:
            raise UnknownNameError.of("cache level", level, levels)
        for name in levels if level is None else (level,):
            levels[name]()

    def stats(self) -> CacheStatistics:
        """What the three levels did together, and what they hold."""
        return self._compiled.stats() + self._optimized.stats() + self.results.stats()

    def get_stats(self) -> dict[str, float]:
        """What the three levels did together, and how many entries each holds, by name."""
        total = self.stats()
        return {
            "hit_rate": total.hit_rate,
            "hits": total.hits,
            "misses": total.misses,
            "evictions": total.evictions,
            "compiled_circuits": self._compiled.stats().entries,
            "cached_results": self.results.stats().entries,
            "optimized_circuits": self._optimized.stats().entries,
        }


def _circuit_key(circuit: QuantumCircuit, target: str) -> Hashable:
    return "circuit", target, hashlib.sha256(circuit.to_json().encode()).hexdigest()


def _result_key(circuit: QuantumCircuit, parameters: ArrayLike, shots: int | None, target: str) -> str:
    angles = circuit.angles(parameters=parameters)
    if len(angles) != 1:
        raise CircuitError(
            f"parameters are those of one circuit, {len(circuit.parameters)} numbers, not {len(angles)} rows"
        )
    described = {"result": "register", "shots": shots, "structure": circuit.structure.digest, "target": target}
    text = json.dumps(described, sort_keys=True, separators=(",", ":"), default=int)
    return hashlib.sha256(text.encode() + b"\n" + angles.astype("<f8").tobytes()).hexdigest()


def _encode(result: ExecutionResult) -> bytes:
    document = {
        "counts": dict(result.counts),
        "probabilities": dict(result.probabilities),
        "total_shots": result.total_shots,
        "metadata": dict(result.metadata),
    }
    try:
        return json.dumps(document, default=_plain).encode()
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"this result cannot be kept as JSON: {error}; leave it out of the metadata"
        ) from error


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _decode(data: bytes) -> ExecutionResult:
    try:
        return ExecutionResult(**json.loads(data))
    except (ValueError, TypeError) as error:
        raise CacheError(f"a stored execution result is damaged: {type(error).__name__}: {error}") from error
