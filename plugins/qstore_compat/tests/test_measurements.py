"""Q-Store's tracker, cache and batch manager: their names, and numbers that were measured."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from q_store import QStoreCompatWarning
from q_store.backends import BackendManager, CircuitBuilder, ExecutionResult, QuantumBackend, create_bell_state_circuit
from q_store.ml import AdaptiveCircuitCache, CircuitBatchManager, PerformanceTracker, QuantumCircuitCache

from qstore_core import UnknownNameError, get_backend
from qstore_core.backend import LocalBackend

BELL = create_bell_state_circuit()
RESULT = ExecutionResult({"00": 4, "11": 6}, {"00": 0.4, "11": 0.6}, 10)


@pytest.fixture
def tracker() -> PerformanceTracker:
    made = PerformanceTracker()
    for step, (circuits, loss, time_ms) in enumerate([(20, 1.0, 40.0), (20, 0.5, 60.0), (10, 0.75, 10.0)]):
        made.log_batch(step % 2, step // 2, loss, 0.1 * step, circuits, time_ms, 0.01, {"hit_rate": 0.5})
    return made


def test_statistics_have_every_name_of_q_store(tracker: PerformanceTracker) -> None:
    stats = tracker.get_statistics()
    expected = {
        "total_batches": 3,
        "total_epochs": 2,
        "total_circuits": 50,
        "total_time_ms": 110.0,
        "total_runtime_s": 0.11,
        "final_loss": 0.75,
        "min_loss": 0.5,
        "max_loss": 1.0,
        "avg_loss": 0.75,
        "avg_batch_time_ms": 110 / 3,
        "total_batch_time_s": 0.11,
        "avg_circuits_per_batch": 50 / 3,
        "circuits_per_second": 50 / 0.11,
        "ms_per_circuit": 2.2,
        "avg_cache_hit_rate": 0.5,
    }
    assert {name: stats[name] for name in expected} == pytest.approx(expected)


def test_convergence_and_epochs_follow_the_steps(tracker: PerformanceTracker) -> None:
    data = tracker.get_convergence_data()
    assert data["batch_losses"] == data["loss"] == [1.0, 0.5, 0.75]
    assert data["epoch_avg_losses"] == [0.75, 0.75]
    assert data["epoch_times"] == pytest.approx([100.0, 10.0])
    assert [epoch.total_circuits for epoch in tracker.epoch_metrics] == [40, 10]
    assert tracker.batch_metrics[2].epoch == 1


def test_bottlenecks_name_the_slowest_steps(tracker: PerformanceTracker) -> None:
    found = tracker.identify_bottlenecks()
    assert [entry["batch_idx"] for entry in found["slowest_batches"]] == [1, 0, 2]
    assert (found["min_ms_per_circuit"], found["max_ms_per_circuit"]) == pytest.approx((1.0, 3.0))
    assert PerformanceTracker().identify_bottlenecks() == {}


def test_a_speed_up_is_a_ratio_of_times() -> None:
    tracker = PerformanceTracker()
    for circuits in (10, 20, 30):  # 50 ms a job and 1 ms a circuit
        tracker.log_batch(0, 0, 1.0, 1.0, circuits, 50.0 + circuits, 0.01)
    with pytest.warns(QStoreCompatWarning, match="ratio of circuit counts as a time"):
        speedup = tracker.estimate_speedup(baseline_circuits_per_batch=96)
    assert speedup["circuit_reduction_factor"] == pytest.approx(96 / 20)
    assert speedup["estimated_time_speedup"] == pytest.approx(96 * 51 / 70)
    assert speedup["circuits_saved_per_batch"] == 76
    assert PerformanceTracker().estimate_speedup() == {}


def test_a_tracker_begins_again_and_writes_its_epochs(tracker: PerformanceTracker, tmp_path: Path) -> None:
    tracker.log_dir = tmp_path / "logs"
    tracker.log_epoch(0)
    written = json.loads((tmp_path / "logs" / "performance.json").read_text(encoding="utf-8"))
    assert written["statistics"]["total_circuits"] == tracker.total_circuits_executed == 50
    core = tracker.core
    tracker.reset()
    assert tracker.core is core
    assert tracker.get_statistics()["total_circuits"] == 0


def test_a_result_is_found_for_exactly_what_it_was_kept_for() -> None:
    cache = QuantumCircuitCache()
    turned = CircuitBuilder(2).ry(0, 0.5).build()
    cache.cache_execution_result(turned, [0.1, 0.2], 10, RESULT)
    assert cache.get_execution_result(turned, [0.1, 0.2], 10) == RESULT
    assert isinstance(cache.get_execution_result(turned, [0.1, 0.2], 10), ExecutionResult)
    others = [
        (turned, [0.1, 0.2 + 1e-9], 10),
        (turned, [0.1, 0.2], 11),
        (CircuitBuilder(2).ry(0, 0.5 + 1e-9).build(), [0.1, 0.2], 10),
        (CircuitBuilder(2).ry(0, 0.5).measure(0).build(), [0.1, 0.2], 10),
    ]
    assert [cache.get_execution_result(*other) for other in others] == [None] * 4
    assert (cache.hits, cache.misses, cache.evictions) == (2, 4, 0)


def test_compiled_and_optimized_circuits_are_kept_by_backend_and_level() -> None:
    cache = QuantumCircuitCache(max_compiled_circuits=2, max_results=4)
    cache.cache_compiled_circuit(BELL, "aria", "compiled")
    cache.cache_optimized_circuit(BELL, "optimized")
    assert cache.get_compiled_circuit(BELL, "aria") == "compiled"
    assert cache.get_compiled_circuit(BELL, "forte") is None
    assert cache.get_optimized_circuit(BELL) == "optimized"
    stats = cache.get_stats()
    assert (stats["compiled_usage_pct"], stats["result_usage_pct"], stats["hit_rate"]) == (50.0, 0.0, 2 / 3)
    cache.cleanup_expired()
    cache.clear("compiled")
    assert cache.get_compiled_circuit(BELL, "aria") is None
    assert cache.get_optimized_circuit(BELL) == "optimized"
    cache.clear()
    assert cache.hits == cache.misses == 0


def test_what_never_did_anything_says_so() -> None:
    with pytest.warns(QStoreCompatWarning, match="prewarm"):
        QuantumCircuitCache().prewarm([BELL])
    with pytest.warns(QStoreCompatWarning, match="sizes are those that were given"):
        AdaptiveCircuitCache().adapt_cache_sizes()


def test_a_list_runs_in_order_and_as_one_job_for_each_structure(manager: BackendManager, ran: Any) -> None:
    batches = CircuitBatchManager(manager.get_backend())
    circuits = [CircuitBuilder(2).x(qubit).measure(0).build() for qubit in (0, 1, 0)]
    results = asyncio.run(batches.execute_batch(circuits, shots=20))
    assert [result.counts for result in results] == [{"1": 20}, {"0": 20}, {"1": 20}]
    stats = batches.get_statistics()
    assert stats["total_circuits_submitted"] == stats["total_circuits_completed"] == ran.circuits == 3
    assert (stats["success_rate"], stats["active_jobs"]) == (1.0, 0)
    assert stats["total_wait_time_ms"] > 0
    assert asyncio.run(batches.execute_batch([])) == []
    batches.clear_completed_jobs()


def test_a_list_may_be_waited_for_later(manager: BackendManager) -> None:
    batches = CircuitBatchManager(manager.get_backend())

    async def later() -> list[ExecutionResult]:
        first = await batches.execute_batch([BELL, BELL], 10, wait_for_results=False)
        second = await batches.execute_batch([BELL], 20, wait_for_results=False)
        return await batches.get_results([second[0], first[1]])

    assert [result.total_shots for result in asyncio.run(later())] == [20, 10]
    with pytest.raises(UnknownNameError, match="batch-9"):
        asyncio.run(batches.get_results(["batch-9/0"]))


def test_a_time_out_stops_nothing() -> None:
    class Slow(LocalBackend):
        inner = get_backend("mock")
        capabilities, fingerprint = inner.capabilities, "slow"

        def compile(self, structure: Any, groups: Any) -> Any:
            return self.inner.compile(structure, groups)

        async def execute(self, batch: Any, compiled: Any) -> Any:
            await asyncio.sleep(0.2)
            return await self.inner.execute(batch, compiled)

    batches = CircuitBatchManager(Slow(), timeout=0.02)

    async def wait() -> list[ExecutionResult]:
        with pytest.raises(TimeoutError, match="its jobs run on"):
            await batches.execute_batch([BELL], 10)
        batches.timeout = 10.0
        return await batches.get_results(["batch-1/0"])

    assert asyncio.run(wait())[0].total_shots == 10


def test_arguments_without_use_say_so(manager: BackendManager) -> None:
    backend: QuantumBackend = manager.get_backend()
    with pytest.warns(QStoreCompatWarning, match="pacing"):
        CircuitBatchManager(backend, max_batch_size=10)
