"""What the tracker adds up, and what it models from it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from qstore_core.cost import Cost
from qstore_core.errors import ConfigurationError
from qstore_core.tracker import SPANS, PerformanceTracker, StepRecord


def record(step: int, **values: float) -> StepRecord:
    defaults = {"epoch": 1, "loss": 0.5, "gradient_norm": 0.1, "seconds": 1.0, "shots": 0, "jobs": 1, "usd": 0.0}
    return StepRecord(**({"step": step, "circuits": 10} | defaults | values))  # type: ignore[arg-type]


def timed(*runs: tuple[int, int], per_job: float, per_circuit: float) -> PerformanceTracker:
    """A tracker that saw (jobs, circuits) take exactly the time that these two numbers give, a run a step."""
    tracker = PerformanceTracker()
    for step, (jobs, circuits) in enumerate(runs, start=1):
        tracker.ran(Cost(circuits=circuits, jobs=jobs), seconds=jobs * per_job + circuits * per_circuit)
        tracker.stepped(record(step, circuits=circuits, jobs=jobs))
    return tracker


def test_statistics_of_nothing_are_zero() -> None:
    assert PerformanceTracker().get_statistics() == {
        "total_circuits": 0,
        "total_shots": 0,
        "total_jobs": 0,
        "total_cost_usd": 0.0,
        "total_circuits_reused": 0,
        "total_batches": 0,
        "total_runtime_s": 0,
        "circuits_per_second": 0.0,
        "avg_circuits_per_batch": 0.0,
        "final_loss": None,
    }


def test_statistics_add_up_runs_and_steps() -> None:
    tracker = PerformanceTracker()
    tracker.ran(Cost(usd_low=1.0, usd_high=2.0, circuits=20, shots=2000, jobs=1), seconds=0.5)
    tracker.stepped(record(1, loss=0.9, circuits=20, seconds=0.75))
    tracker.ran(Cost(usd_low=1.0, usd_high=3.0, circuits=40, shots=4000, jobs=2), seconds=1.0)
    tracker.stepped(record(2, loss=0.7, circuits=40, seconds=1.25))
    tracker.ran(Cost(circuits=30, jobs=1), seconds=0.5)  # validation: no step
    tracker.reused(3)
    tracker.reused(4)
    assert tracker.get_statistics() == {
        "total_circuits": 90,
        "total_shots": 6000,
        "total_jobs": 4,
        "total_cost_usd": 5.0,
        "total_circuits_reused": 7,
        "total_batches": 2,
        "total_runtime_s": 2.0,
        "circuits_per_second": 45.0,
        "avg_circuits_per_batch": 30.0,
        "final_loss": 0.7,
    }


def test_convergence_data_has_a_value_for_each_step() -> None:
    tracker = PerformanceTracker()
    tracker.stepped(record(1, loss=0.9, gradient_norm=0.2, circuits=20))
    tracker.stepped(record(2, loss=0.7, gradient_norm=0.1, circuits=30))
    assert tracker.get_convergence_data() == {
        "step": [1, 2],
        "loss": [0.9, 0.7],
        "gradient_norm": [0.2, 0.1],
        "total_circuits": [20, 50],
    }


class TestBottlenecks:
    def test_they_are_the_measured_spans_the_dearest_first(self) -> None:
        tracker = PerformanceTracker()
        tracker.spans.update({"fold": 1.0, "execute": 6.0, "compile": 3.0})
        assert tracker.identify_bottlenecks() == [
            {"phase": "execute", "seconds": 6.0, "share": 0.6},
            {"phase": "compile", "seconds": 3.0, "share": 0.3},
            {"phase": "fold", "seconds": 1.0, "share": 0.1},
        ]

    def test_there_are_none_before_anything_was_measured(self) -> None:
        assert PerformanceTracker().identify_bottlenecks() == []

    def test_a_span_is_measured_even_when_it_fails(self) -> None:
        tracker = PerformanceTracker()
        with pytest.raises(ZeroDivisionError), tracker.span("execute"):
            raise ZeroDivisionError
        assert tracker.spans["execute"] > 0
        assert set(tracker.spans) == set(SPANS)


class TestMeter:
    def test_it_counts_its_own_task_and_those_it_starts(self) -> None:
        tracker = PerformanceTracker()

        async def run(circuits: int) -> None:
            await asyncio.sleep(0)
            tracker.ran(Cost(circuits=circuits, jobs=1), seconds=0.0)

        async def call(circuits: int) -> Cost:
            with tracker.metered() as meter:
                await asyncio.gather(run(circuits), run(circuits))
                await run(1)
            await run(100)
            return meter.total

        async def both() -> list[Cost]:
            return await asyncio.gather(call(5), call(7))

        assert asyncio.run(both()) == [Cost(circuits=11, jobs=3), Cost(circuits=15, jobs=3)]
        assert tracker.total == Cost(circuits=226, jobs=8)

    def test_meters_nest_and_other_trackers_do_not_count(self) -> None:
        tracker, other = PerformanceTracker(), PerformanceTracker()
        with tracker.metered() as outer, other.metered() as elsewhere:
            with tracker.metered() as inner:
                tracker.ran(Cost(circuits=2), seconds=0.0)
            tracker.ran(Cost(circuits=3), seconds=0.0)
        assert (outer.total.circuits, inner.total.circuits, elsewhere.total.circuits) == (5, 2, 0)


class TestSpeedup:
    def test_the_times_per_job_and_per_circuit_are_recovered(self) -> None:
        speedup = timed((1, 10), (1, 20), (2, 30), (1, 96), per_job=2.0, per_circuit=0.25).estimate_speedup()
        assert speedup["seconds_per_job"] == pytest.approx(2.0)
        assert speedup["seconds_per_circuit"] == pytest.approx(0.25)

    def test_counts_and_times_are_told_apart(self) -> None:
        speedup = timed((1, 10), (1, 30), per_job=2.0, per_circuit=0.25).estimate_speedup(96)
        assert speedup["circuit_reduction_factor"] == pytest.approx(96 / 20)
        assert speedup["estimated_time_speedup"] == pytest.approx(96 * 2.25 / (2.0 + 20 * 0.25))

    def test_calls_of_one_size_are_put_down_to_the_circuits(self) -> None:
        speedup = timed((1, 20), (1, 20), per_job=2.0, per_circuit=0.25).estimate_speedup(40)
        assert speedup["seconds_per_job"] == 0.0
        assert speedup["seconds_per_circuit"] == pytest.approx(7.0 / 20)
        assert speedup["estimated_time_speedup"] == pytest.approx(2.0)

    def test_times_that_do_not_grow_with_the_circuits_are_put_down_to_the_jobs(self) -> None:
        tracker = timed((1, 10), (1, 20), (2, 20), per_job=2.0, per_circuit=-0.01)
        speedup = tracker.estimate_speedup()
        assert speedup["seconds_per_circuit"] == 0.0
        assert speedup["seconds_per_job"] == pytest.approx(1.9, abs=0.05)

    def test_it_needs_a_run(self) -> None:
        with pytest.raises(ConfigurationError, match="estimate_speedup needs a run to go by: train first"):
            PerformanceTracker().estimate_speedup()

    def test_the_baseline_is_at_least_one_circuit(self) -> None:
        with pytest.raises(ConfigurationError, match="baseline_circuits_per_batch is at least 1, not 0"):
            timed((1, 10), per_job=1.0, per_circuit=1.0).estimate_speedup(0)


def test_a_summary_is_saved_as_json(tmp_path: Path) -> None:
    tracker = timed((1, 10), (1, 20), per_job=1.0, per_circuit=0.5)
    tracker.save(tmp_path / "performance.json", {"backend": "mock"})
    document = json.loads((tmp_path / "performance.json").read_text(encoding="utf-8"))
    assert document == {
        "statistics": tracker.get_statistics(),
        "bottlenecks": tracker.identify_bottlenecks(),
        "convergence": tracker.get_convergence_data(),
        "backend": "mock",
    }
