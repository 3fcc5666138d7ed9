"""The three levels of a run's cache behind one face."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from qstore_core import (
    Cache,
    CacheError,
    CacheStatistics,
    CircuitError,
    ConfigurationError,
    ExecutionResult,
    Feature,
    MemoryCache,
    Parameter,
    QuantumCircuit,
    QuantumCircuitCache,
    SqliteCache,
    UnknownNameError,
)

A, B = Parameter("a"), Parameter("b")
CIRCUIT = QuantumCircuit(2).ry(0, A).cnot(0, 1).rx(1, 2 * B + 0.5)
RESULT = ExecutionResult({"00": 3, "11": 1}, {"00": 0.75, "11": 0.25}, 4, {"job": "7", "seconds": 0.1})


class WaitingCache(MemoryCache):
    """A cache that needs an event loop, as one across a network does."""

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        await asyncio.sleep(0)
        return await super().get_many(keys)

    async def put_many(self, items: Mapping[str, bytes]) -> None:
        await asyncio.sleep(0)
        await super().put_many(items)


@pytest.fixture(params=["memory", "sqlite", "waiting"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> QuantumCircuitCache:
    results: dict[str, Cache | None] = {"memory": None, "waiting": WaitingCache()}
    if request.param == "sqlite":
        results["sqlite"] = SqliteCache(tmp_path / "results.sqlite")
    return QuantumCircuitCache(results=results[request.param])


def test_a_result_comes_back_equal(cache: QuantumCircuitCache) -> None:
    assert cache.get_execution_result(CIRCUIT, [0.1, 0.2], 4) is None
    cache.cache_execution_result(CIRCUIT, np.array([0.1, 0.2]), 4, RESULT)
    assert cache.get_execution_result(CIRCUIT, (0.1, 0.2), 4) == RESULT


def test_it_works_inside_a_running_event_loop(cache: QuantumCircuitCache) -> None:
    async def use() -> ExecutionResult | None:
        cache.cache_execution_result(CIRCUIT, [0.1, 0.2], 4, RESULT)
        return cache.get_execution_result(CIRCUIT, [0.1, 0.2], 4)

    assert asyncio.run(use()) == RESULT
    cache.clear()
    assert cache.get_stats()["cached_results"] == 0


def test_a_bound_circuit_has_the_result_of_the_open_one_at_the_same_angles() -> None:
    cache = QuantumCircuitCache()
    cache.cache_execution_result(CIRCUIT.bind({A: 0.1, B: 0.2}), [], 4, RESULT)
    assert cache.get_execution_result(CIRCUIT, [0.1, 0.2], 4) == RESULT


@pytest.mark.parametrize(
    ("circuit", "parameters", "shots", "target"),
    [
        (CIRCUIT, [0.1, np.nextafter(0.2, 1.0)], 4, ""),
        (CIRCUIT, [np.nextafter(0.1, 0.0), 0.2], 4, ""),
        (CIRCUIT, [0.2, 0.1], 4, ""),
        (CIRCUIT, [0.1, 0.2], 5, ""),
        (CIRCUIT, [0.1, 0.2], None, ""),
        (CIRCUIT, [0.1, 0.2], 4, "ionq.qpu"),
        (QuantumCircuit(2).ry(0, A).cnot(1, 0).rx(1, 2 * B + 0.5), [0.1, 0.2], 4, ""),
        (QuantumCircuit(2).ry(0, A).cnot(0, 1).rz(1, 2 * B + 0.5), [0.1, 0.2], 4, ""),
        (QuantumCircuit(3).ry(0, A).cnot(0, 1).rx(1, 2 * B + 0.5), [0.1, 0.2], 4, ""),
    ],
)
def test_nothing_else_finds_that_result(
    circuit: QuantumCircuit, parameters: list[float], shots: int | None, target: str
) -> None:
    cache = QuantumCircuitCache()
    cache.cache_execution_result(CIRCUIT, [0.1, 0.2], 4, RESULT)
    assert cache.get_execution_result(circuit, parameters, shots, target) is None


def test_results_on_two_targets_stay_apart() -> None:
    cache = QuantumCircuitCache()
    other = ExecutionResult({"01": 4}, {"01": 1.0}, 4)
    cache.cache_execution_result(CIRCUIT, [0.1, 0.2], 4, RESULT, "ionq.qpu")
    cache.cache_execution_result(CIRCUIT, [0.1, 0.2], 4, other, "mock")
    assert cache.get_execution_result(CIRCUIT, [0.1, 0.2], 4, "ionq.qpu") == RESULT
    assert cache.get_execution_result(CIRCUIT, [0.1, 0.2], 4, "mock") == other


def test_a_result_that_is_too_old_is_gone() -> None:
    now = [0.0]
    cache = QuantumCircuitCache(results=MemoryCache(ttl=300.0, clock=lambda: now[0]))
    cache.cache_execution_result(CIRCUIT, [0.1, 0.2], 4, RESULT)
    now[0] = 300.0
    assert cache.get_execution_result(CIRCUIT, [0.1, 0.2], 4) is None


def test_numpy_numbers_are_kept_and_exact_probabilities_come_back_to_the_last_bit() -> None:
    cache = QuantumCircuitCache()
    numbers = np.random.default_rng(0).random(2)
    given = ExecutionResult({"0": np.int64(3)}, {"0": numbers[0], "1": numbers[1]}, np.int64(3))  # type: ignore[dict-item, arg-type]
    cache.cache_execution_result(QuantumCircuit(1), [], np.int64(3), given)  # type: ignore[arg-type]
    assert cache.get_execution_result(QuantumCircuit(1), [], 3) == given


def test_metadata_that_are_not_json_are_an_error() -> None:
    result = ExecutionResult({}, {"0": 1.0}, 0, {"job": object()})
    with pytest.raises(ConfigurationError, match="object is no JSON value"):
        QuantumCircuitCache().cache_execution_result(QuantumCircuit(1), [], None, result)


def test_a_damaged_result_is_an_error() -> None:
    cache = QuantumCircuitCache()
    cache.cache_execution_result(CIRCUIT, [0.1, 0.2], 4, RESULT)

    class Damaged(MemoryCache):
        answer = b""

        async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
            return [self.answer for _ in keys]

    for answer in (b"", b"[]", b'{"counts":{}}', b"\xff"):
        Damaged.answer = answer
        with pytest.raises(CacheError, match="damaged"):
            QuantumCircuitCache(results=Damaged()).get_execution_result(CIRCUIT, [0.1, 0.2], 4)


@pytest.mark.parametrize("parameters", [[], [0.1], [[0.1, 0.2], [0.3, 0.4]], [0.1, float("nan")]])
def test_parameters_are_those_of_one_circuit(parameters: list[float]) -> None:
    with pytest.raises(CircuitError, match="parameters"):
        QuantumCircuitCache().get_execution_result(CIRCUIT, parameters, 4)


def test_a_circuit_with_open_features_has_no_result() -> None:
    with pytest.raises(CircuitError, match="features"):
        QuantumCircuitCache().get_execution_result(QuantumCircuit(1).ry(0, Feature("x")), [], 4)


def test_compiled_and_optimized_circuits_are_found_by_circuit_and_target() -> None:
    cache = QuantumCircuitCache()
    for name in ("compiled", "optimized"):
        put, get = getattr(cache, f"cache_{name}_circuit"), getattr(cache, f"get_{name}_circuit")
        assert get(CIRCUIT) is None
        put(CIRCUIT, [name])
        put(CIRCUIT, [name, "qpu"], target="ionq.qpu")
        again = QuantumCircuit(2).ry(0, Parameter("a")).cnot(0, 1).rx(1, 2 * Parameter("b") + 0.5)
        assert get(again) == [name]
        assert get(again, "ionq.qpu") == [name, "qpu"]
        assert get(CIRCUIT.bind({A: 0.1})) is None
        assert get(QuantumCircuit(2).ry(0, A).cnot(0, 1).rx(1, 2 * B + np.nextafter(0.5, 1))) is None


def test_lookups_make_once_and_the_two_levels_are_apart() -> None:
    cache = QuantumCircuitCache()
    made: list[str] = []

    def make() -> int:
        made.append("")
        return len(made)

    key = ("mock", CIRCUIT.structure.digest, ())
    assert [cache.lookup_compiled(key, make), cache.lookup_compiled(key, make)] == [1, 1]
    assert [cache.lookup_optimized(key, make), cache.lookup_optimized(key, make)] == [2, 2]
    stats = cache.get_stats()
    assert (stats["hits"], stats["misses"], stats["hit_rate"]) == (2, 2, 0.5)


def test_statistics_are_of_all_levels_together() -> None:
    cache = QuantumCircuitCache(max_compiled_circuits=2, max_results=2)
    for index in range(3):
        circuit = QuantumCircuit(1).rx(0, float(index))
        cache.cache_compiled_circuit(circuit, index)
        cache.cache_optimized_circuit(circuit, index)
        cache.cache_execution_result(circuit, [], 4, RESULT)
    circuit = QuantumCircuit(1).rx(0, 0.0)
    assert cache.get_compiled_circuit(circuit) is None
    assert cache.get_execution_result(circuit, [], 4) is None
    assert cache.get_optimized_circuit(QuantumCircuit(1).rx(0, 2.0)) == 2
    asyncio.run(cache.results.get_many(["a key of the executor's"]))
    assert cache.get_stats() == {
        "hit_rate": 0.25,
        "hits": 1,
        "misses": 3,
        "evictions": 3,
        "compiled_circuits": 2,
        "cached_results": 2,
        "optimized_circuits": 2,
    }


def test_clearing_empties_every_level(cache: QuantumCircuitCache) -> None:
    cache.cache_compiled_circuit(CIRCUIT, "compiled")
    cache.cache_optimized_circuit(CIRCUIT, "optimized")
    cache.cache_execution_result(CIRCUIT, [0.1, 0.2], 4, RESULT)
    cache.clear()
    assert not any(cache.get_stats().values())
    assert cache.get_compiled_circuit(CIRCUIT) is None
    assert cache.get_optimized_circuit(CIRCUIT) is None
    assert cache.get_execution_result(CIRCUIT, [0.1, 0.2], 4) is None


def test_an_empty_cache_is_not_falsy_and_a_given_one_is_used_though_it_is_empty() -> None:
    results = MemoryCache()
    assert QuantumCircuitCache()
    assert QuantumCircuitCache(results=results).results is results


def test_the_defaults_are_those_of_the_contract() -> None:
    cache = QuantumCircuitCache(1000, 5000, 300.0)
    assert cache.stats() == CacheStatistics()


def test_results_outlive_the_process_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    first = SqliteCache(path)
    QuantumCircuitCache(results=first).cache_execution_result(CIRCUIT, [0.1, 0.2], 4, RESULT)
    first.close()
    assert QuantumCircuitCache(results=SqliteCache(path)).get_execution_result(CIRCUIT, [0.1, 0.2], 4) == RESULT


def test_one_level_can_be_cleared_alone() -> None:
    cache, circuit = QuantumCircuitCache(), QuantumCircuit(1).x(0)
    cache.cache_compiled_circuit(circuit, "compiled")
    cache.cache_optimized_circuit(circuit, "optimized")
    cache.clear("compiled")
    assert cache.get_compiled_circuit(circuit) is None
    assert cache.get_optimized_circuit(circuit) == "optimized"
    with pytest.raises(UnknownNameError, match="compiled, optimized, results"):
        cache.clear("everything")
