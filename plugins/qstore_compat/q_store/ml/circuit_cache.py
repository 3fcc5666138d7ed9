"""Q-Store's cache of circuits and results, over qstore's, which training really reads."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from q_store.backends.circuits import QuantumCircuit, as_core
from q_store.backends.interface import ExecutionResult
from q_store.changes import changed
from qstore_core import ExecutionResult as CoreResult
from qstore_core import QuantumCircuitCache as CoreCache


class QuantumCircuitCache:
    """Compiled circuits, optimized circuits and results, with one set of statistics.

    A result is found for the same gates, exact angles, parameters and shots; nothing is rounded.

    Args:
        max_compiled_circuits: How many compiled circuits are kept, and how many optimized ones.
        max_results: How many results.
        result_ttl: Seconds after which a result is too old; None: never.

    Attributes:
        core: The cache of qstore.

    >>> from q_store.backends import create_bell_state_circuit
    >>> cache, bell = QuantumCircuitCache(), create_bell_state_circuit()
    >>> cache.cache_execution_result(bell, [0.1], 100, ExecutionResult({"11": 100}, {"11": 1.0}, 100))
    >>> cache.get_execution_result(bell, [0.1], 100).counts, cache.get_execution_result(bell, [0.1001], 100)
    ({'11': 100}, None)
    """

    def __init__(
        self, max_compiled_circuits: int = 1000, max_results: int = 5000, result_ttl: float | None = 300.0
    ) -> None:
        self.core = CoreCache(max_compiled_circuits, max_results, result_ttl)
        self._sizes = {"compiled": max_compiled_circuits, "result": max_results}

    @classmethod
    def of(cls, core: CoreCache, cache_size: int) -> QuantumCircuitCache:
        """The view on the cache of a training run with so many compiled circuits and five times as many results."""
        cache = cls(cache_size, 5 * cache_size)
        cache.core = core
        return cache

    @property
    def hits(self) -> int:
        """How often something was found."""
        return self.core.stats().hits

    @property
    def misses(self) -> int:
        """How often nothing was."""
        return self.core.stats().misses

    @property
    def evictions(self) -> int:
        """How many entries had to make room, or were too old."""
        return self.core.stats().evictions

    def get_compiled_circuit(self, circuit: QuantumCircuit, backend_name: str) -> Any:
        """What was kept as the compiled form for a backend, None if nothing was."""
        return self.core.get_compiled_circuit(as_core(circuit)[0], backend_name)

    def cache_compiled_circuit(self, circuit: QuantumCircuit, backend_name: str, compiled_circuit: Any) -> None:
        """Keep the compiled form of a circuit for a backend."""
        self.core.cache_compiled_circuit(as_core(circuit)[0], compiled_circuit, backend_name)

    def get_optimized_circuit(self, circuit: QuantumCircuit) -> Any:
        """What was kept as the optimized form, None if nothing was."""
        return self.core.get_optimized_circuit(as_core(circuit)[0])

    def cache_optimized_circuit(self, original: QuantumCircuit, optimized: Any) -> None:
        """Keep the optimized form of a circuit."""
        self.core.cache_optimized_circuit(as_core(original)[0], optimized)

    def get_execution_result(
        self, circuit: QuantumCircuit, parameters: ArrayLike, shots: int | None
    ) -> ExecutionResult | None:
        """The result that was kept for a circuit and parameters, None if none was or it is too old."""
        core, symbols, target = _key(circuit, parameters)
        found = self.core.get_execution_result(core, symbols, shots, target)
        return None if found is None else ExecutionResult.of(found)

    def cache_execution_result(
        self, circuit: QuantumCircuit, parameters: ArrayLike, shots: int | None, result: CoreResult
    ) -> None:
        """Keep the result of a circuit at parameters; its metadata are JSON values."""
        core, symbols, target = _key(circuit, parameters)
        self.core.cache_execution_result(core, symbols, shots, result, target)

    def get_stats(self) -> dict[str, float]:
        """Hits, misses, evictions, how much each level holds, and how full two of them are, in per cent."""
        stats = self.core.get_stats()
        return {
            **stats,
            "compiled_usage_pct": _per_cent(stats["compiled_circuits"], self._sizes["compiled"]),
            "result_usage_pct": _per_cent(stats["cached_results"], self._sizes["result"]),
        }

    def clear(self, level: str | None = None) -> None:
        """Drop everything on a level, "compiled", "results" or "optimized", or on all three and count from 0 again."""
        self.core.clear(level)

    def cleanup_expired(self) -> None:
        """Nothing to do: what is too old is dropped when it is met, and is never given out."""

    def prewarm(self, circuits: list[QuantumCircuit], backend_name: str = "") -> None:
        """Nothing, as in Q-Store: a circuit is compiled when it is first run, and then kept."""
        changed("QuantumCircuitCache.prewarm(...)", "does nothing, as in Q-Store: circuits are compiled when first run")


class AdaptiveCircuitCache(QuantumCircuitCache):
    """A cache of fixed sizes: what was used longest ago makes room.

    Args:
        initial_compiled_size: How many compiled circuits are kept.
        initial_result_size: How many results.
        max_memory_mb: Not used, as in Q-Store.

    >>> AdaptiveCircuitCache().get_stats()["result_usage_pct"]
    0.0
    """

    def __init__(
        self, initial_compiled_size: int = 500, initial_result_size: int = 2500, max_memory_mb: float = 500.0
    ) -> None:
        super().__init__(initial_compiled_size, initial_result_size)
        self.max_memory_mb = max_memory_mb

    def adapt_cache_sizes(self) -> None:
        """Nothing: the sizes are those that were given."""
        changed(
            "AdaptiveCircuitCache.adapt_cache_sizes()",
            "does nothing: sizes are those that were given, and what was used longest ago makes room",
        )


def _key(circuit: QuantumCircuit, parameters: ArrayLike) -> tuple[Any, ArrayLike, str]:
    """The circuit, the values of its open symbols, and what else tells results apart."""
    core, measured = as_core(circuit)
    values = np.asarray(parameters, dtype=np.float64)
    if core.parameters:
        return core, values, f"qubits {measured}"
    return core, (), f"qubits {measured} at {values.tobytes().hex()}"


def _per_cent(entries: float, size: int) -> float:
    return 100 * entries / size if size else 0.0
