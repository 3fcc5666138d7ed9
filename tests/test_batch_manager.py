"""Lists of circuits: order, grouping, errors and statistics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from circuit_lists import BELL, GHZ, mixed, rotations, run
from fake_backends import Remote, Yielding

from qstore_core import (
    Budget,
    BudgetExceededError,
    CapabilityError,
    CircuitBatchManager,
    CircuitError,
    ConfigurationError,
    ExecutionResult,
    Executor,
    Feature,
    Parameter,
    PerformanceTracker,
    QuantumCircuit,
    QuantumCircuitCache,
    get_backend,
)


class TestResults:
    @pytest.mark.parametrize("shots", [None, 7])
    def test_order_is_kept_over_many_structures(self, shots: int | None) -> None:
        circuits = mixed()
        assert len({circuit.structure for circuit in circuits}) > 20
        for number, (circuit, result) in enumerate(zip(circuits, run(Yielding(), circuits, shots), strict=True)):
            bits = format(number, f"0{circuit.n_qubits}b")
            assert set(result.probabilities) == {bits}
            assert result.probabilities[bits] == pytest.approx(1)
            assert result.counts == ({} if shots is None else {bits: shots})

    def test_exact_results_are_those_of_running_one_by_one(self, random_circuit: Callable[..., QuantumCircuit]) -> None:
        rng = np.random.default_rng(8)
        circuits = [random_circuit(rng, int(rng.integers(1, 5)), 12) for _ in range(20)]
        circuits = [*circuits, *rotations(10), *circuits[::-1]]
        together = run(Yielding(), circuits, None)
        for circuit, result in zip(circuits, together, strict=True):
            (alone,) = run(Yielding(), [circuit], None)
            assert dict(result.probabilities) == pytest.approx(dict(alone.probabilities), abs=1e-12)

    def test_bell_and_ghz_are_correlated(self) -> None:
        bell, ghz = run(get_backend("mock"), [BELL, GHZ], None)
        assert bell.probabilities == pytest.approx({"00": 0.5, "11": 0.5})
        assert ghz.probabilities == pytest.approx({"000": 0.5, "111": 0.5})
        assert ghz.expectation("Z0 Z2") == pytest.approx(1)

    def test_sampled_frequencies_follow_the_probabilities(self) -> None:
        (result,) = run(get_backend("mock"), [GHZ], 10_000)
        assert set(result.counts) == {"000", "111"}
        assert result.total_shots == sum(result.counts.values()) == 10_000
        assert result.probabilities == {bits: count / 10_000 for bits, count in result.counts.items()}
        # 6 standard deviations: a false alarm in 5e8 seeds
        assert abs(result.counts["000"] - 5000) < 6 * 50

    def test_qubit_0_is_the_leftmost_bit(self) -> None:
        exact, sampled = (
            run(get_backend("mock"), [QuantumCircuit(3).x(0)], None),
            run(get_backend("mock"), [QuantumCircuit(3).x(0)], 5),
        )
        assert exact[0].probabilities == {"100": 1.0}
        assert sampled[0].counts == {"100": 5}

    def test_rounding_is_no_outcome(self) -> None:
        (result,) = run(get_backend("mock"), [QuantumCircuit(1).rx(0, np.pi)], None)
        assert set(result.probabilities) == {"1"}

    def test_exact_results_have_no_counts_and_no_shots(self) -> None:
        (result,) = run(get_backend("mock"), [BELL], None)
        assert (result.counts, result.total_shots) == ({}, 0)

    def test_the_backend_is_named(self) -> None:
        results = run(get_backend("mock"), [BELL, GHZ])
        assert [result.metadata["backend"] for result in results] == ["mock", "mock"]

    def test_circuits_without_angles_or_gates_are_circuits_too(self) -> None:
        empty, again, flipped = run(get_backend("mock"), [QuantumCircuit(2), QuantumCircuit(2), QuantumCircuit(1).x(0)])
        assert empty.counts == again.counts == {"00": 1000}
        assert flipped.counts == {"1": 1000}

    def test_an_empty_list_gives_an_empty_list(self) -> None:
        backend = Yielding()
        assert run(backend, []) == []
        assert backend.jobs == []

    def test_any_iterable_is_a_list(self) -> None:
        assert len(run(get_backend("mock"), (circuit for circuit in rotations(3)))) == 3


class TestGrouping:
    @pytest.mark.parametrize("shots", [None, 10])
    def test_circuits_of_one_structure_are_one_batch_wherever_they_stand(self, shots: int | None) -> None:
        backend = Yielding()
        first, second = rotations(20), rotations(20, n_qubits=3)
        run(backend, [circuit for pair in zip(first, second, strict=True) for circuit in pair], shots)
        assert [batch.n_rows for batch in backend.jobs] == [20, 20]

    @pytest.mark.parametrize("cache", [None, QuantumCircuitCache()])
    def test_equal_exact_circuits_run_once(self, cache: QuantumCircuitCache | None) -> None:
        backend = Yielding()
        manager = CircuitBatchManager(backend, cache=cache)
        results = run(manager, [*rotations(3), BELL, *rotations(3), BELL], None)
        assert backend.circuits == 4
        assert results[:4] == results[4:]
        assert manager.get_stats()["circuits_reused"] == 4

    def test_a_cache_saves_exact_circuits_of_earlier_lists(self) -> None:
        backend = Yielding()
        manager = CircuitBatchManager(backend, cache=QuantumCircuitCache())
        first = run(manager, rotations(3), None)
        assert run(manager, rotations(4), None)[:3] == first
        assert backend.circuits == 4

    def test_equal_sampled_circuits_are_independent_samples(self) -> None:
        backend = Yielding()
        manager = CircuitBatchManager(backend, cache=QuantumCircuitCache(), seed=3)
        uniform = QuantumCircuit(6)
        for qubit in range(6):
            uniform = uniform.h(qubit)
        results = [result for _ in range(2) for result in run(manager, [uniform] * 10, 100)]
        assert backend.circuits == 20
        # 100 draws from 64 outcomes are equal with a probability far below 1e-50
        assert len({tuple(sorted(result.counts.items())) for result in results}) == 20

    def test_a_seed_gives_the_same_samples_again(self) -> None:
        lists = [rotations(4), [BELL, GHZ]]
        one, other = (CircuitBatchManager(get_backend("mock"), seed=11) for _ in range(2))
        assert [run(one, circuits) for circuits in lists] == [run(other, circuits) for circuits in lists]

    def test_without_a_seed_samples_differ_between_managers(self) -> None:
        one, other = (CircuitBatchManager(get_backend("mock")) for _ in range(2))
        assert run(one, rotations(20)) != run(other, rotations(20))

    def test_a_seeded_result_does_not_depend_on_the_order_of_background_work(self) -> None:
        async def collected(*, backwards: bool) -> list[list[ExecutionResult]]:
            manager = CircuitBatchManager(get_backend("mock"), seed=4)
            tickets = [await manager.submit(rotations(3)) for _ in range(4)]
            order = tickets[::-1] if backwards else tickets
            found = {ticket: await manager.result(ticket) for ticket in order}
            return [found[ticket] for ticket in tickets]

        assert asyncio.run(collected(backwards=False)) == asyncio.run(collected(backwards=True))


class TestErrors:
    def test_open_symbols_are_named_with_their_circuit(self) -> None:
        backend = Yielding()
        unbound = QuantumCircuit(1).ry(0, Parameter("a") + Feature("x"))
        with pytest.raises(CircuitError, match=r"circuits\[1\] has open symbols: a, x"):
            run(backend, [BELL, unbound])
        assert backend.jobs == []

    @pytest.mark.parametrize("shots", [0, -1, 1.5, "many", True])
    def test_shots_are_a_whole_number_or_none(self, shots: Any) -> None:
        with pytest.raises(CircuitError, match="shots is a whole number of at least 1, or None for exact values"):
            run(get_backend("mock"), [BELL], shots)

    def test_something_else_than_a_circuit_is_refused(self) -> None:
        with pytest.raises(CircuitError, match=r"circuits\[1\] is a int, not a QuantumCircuit"):
            run(get_backend("mock"), [BELL, 3])

    def test_one_circuit_is_not_a_list(self) -> None:
        with pytest.raises(CircuitError, match="circuits is a list of QuantumCircuit, not one QuantumCircuit"):
            run(get_backend("mock"), BELL)

    def test_what_the_backend_cannot_do_runs_nothing(self) -> None:
        backend = Yielding()
        with pytest.raises(CapabilityError, match="9 qubits"):
            run(backend, [BELL, QuantumCircuit(9)])
        with pytest.raises(CapabilityError, match="only samples"):
            run(Yielding(exact=False), [BELL], None)
        assert backend.jobs == []

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"max_concurrent_jobs": 0}, "max_concurrent_jobs is a whole number of at least 1, not 0"),
            ({"max_concurrent_jobs": 1.5}, "max_concurrent_jobs"),
            ({"seed": "x"}, "seed is a whole number or None, not 'x'"),
        ],
    )
    def test_options_are_checked(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigurationError, match=message):
            CircuitBatchManager(get_backend("mock"), **options)

    def test_a_backend_is_a_backend(self) -> None:
        with pytest.raises(ConfigurationError, match="not str"):
            CircuitBatchManager("mock")  # type: ignore[arg-type]

    def test_an_error_leaves_the_manager_usable(self) -> None:
        manager = CircuitBatchManager(Yielding())
        with pytest.raises(CapabilityError):
            run(manager, [QuantumCircuit(9)])
        assert run(manager, [QuantumCircuit(1).x(0)])[0].counts == {"1": 1000}
        assert manager.pending() == []


class TestStatistics:
    def test_counts_are_those_of_the_backend(self) -> None:
        backend = Remote()
        manager = CircuitBatchManager(backend)
        run(manager, rotations(3), 50)
        run(manager, [BELL, BELL], None)
        assert manager.get_stats() == {
            "total_batches": 2,
            "total_circuits": 4,
            "total_jobs": 2,
            "total_shots": 150,
            "total_cost_usd": pytest.approx(0.04),
            "circuits_reused": 1,
            "avg_circuits_per_job": 2.0,
            "pending": 0,
        }
        assert backend.circuits_paid == 4

    def test_before_anything_ran_they_are_zero(self) -> None:
        assert set(CircuitBatchManager(get_backend("mock")).get_stats().values()) == {0}

    def test_a_tracker_that_is_given_is_added_to(self) -> None:
        tracker = PerformanceTracker()
        run(CircuitBatchManager(get_backend("mock"), tracker=tracker), [BELL, GHZ], 10)
        assert tracker.total.circuits == 2
        assert tracker.total.shots == 20

    def test_an_executor_is_shared(self) -> None:
        executor = Executor(Yielding(), cache=QuantumCircuitCache())
        manager = CircuitBatchManager.of(executor, seed=1)
        assert run(manager, rotations(3)) == run(CircuitBatchManager(Yielding(), seed=1), rotations(3))
        assert executor.tracker.total.circuits == manager.get_stats()["total_circuits"] == 3

    def test_a_shared_executor_keeps_its_budget(self) -> None:
        manager = CircuitBatchManager.of(CircuitBatchManager(Remote(), budget=Budget(circuits=1)).executor)
        with pytest.raises(BudgetExceededError):
            run(manager, [BELL, GHZ])
