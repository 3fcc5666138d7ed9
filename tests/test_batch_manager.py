"""Lists of circuits: order, grouping, tickets, and what a provider gets to see of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from qstore_core import (
    Backend,
    BackendCapabilities,
    BatchResult,
    Budget,
    BudgetExceededError,
    CapabilityError,
    CircuitBatch,
    CircuitBatchManager,
    CircuitError,
    ConfigurationError,
    Cost,
    ExecutionResult,
    Executor,
    Feature,
    JobFailedError,
    JobState,
    JobStatus,
    LocalBackend,
    Pacing,
    Parameter,
    PerformanceTracker,
    QuantumCircuit,
    QuantumCircuitCache,
    RemoteBackend,
    UnknownNameError,
    get_backend,
)
from qstore_core.journal import Journal, RecordState

T = TypeVar("T")

BELL = QuantumCircuit(2).h(0).cnot(0, 1)
GHZ = QuantumCircuit(3).h(0).cnot(0, 1).cnot(1, 2)


class Watched(LocalBackend):
    """The mock simulator, and the batches that it was given."""

    def __init__(self, **capabilities: Any) -> None:
        simulator = get_backend("mock")
        assert isinstance(simulator, LocalBackend)
        self.simulator = simulator
        self.capabilities = BackendCapabilities(max_qubits=8, **capabilities)
        self.fingerprint = "watched"
        self.seen: list[CircuitBatch] = []

    @property
    def circuits_run(self) -> int:
        return sum(batch.n_circuits for batch in self.seen)

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        await asyncio.sleep(0)
        self.seen.append(batch)
        return await self.simulator.execute(batch, self.simulator.compile(batch.structure, batch.groups))


class Remote(RemoteBackend):
    """A provider in this process; while `held`, its jobs run until they are cancelled."""

    pacing = Pacing(first_poll=0.001, longest_poll=0.01, find_grace=0.02, request_patience=5.0, first_retry=0.001)

    def __init__(self, **capabilities: Any) -> None:
        simulator = get_backend("mock")
        assert isinstance(simulator, LocalBackend)
        self._simulator = simulator
        self.capabilities = BackendCapabilities(max_qubits=8, **capabilities)
        self.fingerprint = "fake"
        self.jobs: dict[str, tuple[str, tuple[CircuitBatch, ...]]] = {}
        self.cancelled: list[str] = []
        self.held = False
        self.lose_answers = False
        self.ignores_cancel = False
        self.cancel_fault: Exception | None = None
        self.sending = self.most_sending = 0

    @property
    def circuits_paid(self) -> int:
        return sum(batch.n_circuits for _, batches in self.jobs.values() for batch in batches)

    @property
    def circuits_per_job(self) -> list[int]:
        return [sum(batch.n_circuits for batch in batches) for _, batches in self.jobs.values()]

    def price(self, compiled: Any, batch: CircuitBatch) -> Cost:
        usd = 0.01 * batch.n_circuits
        return Cost(usd_low=usd, usd_high=usd, circuits=batch.n_circuits, shots=batch.n_shots, jobs=1)

    async def submit(self, batches: Sequence[CircuitBatch], compiled: Sequence[Any], token: str) -> str:
        self.sending += 1
        self.most_sending = max(self.most_sending, self.sending)
        await asyncio.sleep(0.001)
        self.sending -= 1
        job_id = f"job-{len(self.jobs) + 1}"
        self.jobs[job_id] = (token, tuple(batches))
        if self.lose_answers:
            await asyncio.sleep(60)
        return job_id

    async def status(self, job_id: str) -> JobStatus:
        if job_id in self.cancelled and not self.ignores_cancel:
            return JobStatus(JobState.CANCELLED, "by the user")
        return JobStatus(JobState.RUNNING if self.held else JobState.DONE)

    async def fetch(
        self, job_id: str, batches: Sequence[CircuitBatch], compiled: Sequence[Any]
    ) -> tuple[BatchResult, ...]:
        simulator = self._simulator
        return tuple(
            [await simulator.execute(batch, simulator.compile(batch.structure, batch.groups)) for batch in batches]
        )

    async def find(self, token: str) -> str | None:
        return next((job_id for job_id, (found, _) in self.jobs.items() if found == token), None)

    async def cancel(self, job_id: str) -> None:
        if self.cancel_fault is not None:
            fault, self.cancel_fault = self.cancel_fault, None
            raise fault
        self.cancelled.append(job_id)

    async def cost(self, job_id: str) -> Cost | None:
        return Cost() if job_id in self.cancelled else None


def run(backend: Backend | CircuitBatchManager, circuits: Any, shots: int | None = 1000) -> list[ExecutionResult]:
    manager = backend if isinstance(backend, CircuitBatchManager) else CircuitBatchManager(backend, seed=1)
    return asyncio.run(manager.execute_batch(circuits, shots))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


def rotations(n: int, n_qubits: int = 2) -> list[QuantumCircuit]:
    """Circuits of one structure with different angles."""
    return [QuantumCircuit(n_qubits).ry(0, 0.1 + index).cnot(0, 1) for index in range(n)]


def mixed(n: int = 60) -> list[QuantumCircuit]:
    """Circuits of many structures and widths, in no order: circuit i has the basis state i as its outcome."""
    rng = np.random.default_rng(5)
    circuits = []
    for number in range(n):
        width = int(rng.integers(6, 9))
        circuit = QuantumCircuit(width)
        for qubit in range(width):
            if number >> (width - 1 - qubit) & 1:
                circuit = circuit.x(qubit) if rng.random() < 0.5 else circuit.rx(qubit, np.pi)
        circuits.append(circuit)
    return circuits


class TestResults:
    @pytest.mark.parametrize("shots", [None, 7])
    def test_order_is_kept_over_many_structures(self, shots: int | None) -> None:
        circuits = mixed()
        assert len({circuit.structure for circuit in circuits}) > 20
        for number, (circuit, result) in enumerate(zip(circuits, run(Watched(), circuits, shots), strict=True)):
            bits = format(number, f"0{circuit.n_qubits}b")
            assert set(result.probabilities) == {bits}
            assert result.probabilities[bits] == pytest.approx(1)
            assert result.counts == ({} if shots is None else {bits: shots})

    def test_exact_results_are_those_of_running_one_by_one(self, random_circuit: Callable[..., QuantumCircuit]) -> None:
        rng = np.random.default_rng(8)
        circuits = [random_circuit(rng, int(rng.integers(1, 5)), 12) for _ in range(20)]
        circuits = [*circuits, *rotations(10), *circuits[::-1]]
        together = run(Watched(), circuits, None)
        for circuit, result in zip(circuits, together, strict=True):
            (alone,) = run(Watched(), [circuit], None)
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
        backend = Watched()
        assert run(backend, []) == []
        assert backend.seen == []

    def test_any_iterable_is_a_list(self) -> None:
        assert len(run(get_backend("mock"), (circuit for circuit in rotations(3)))) == 3


class TestGrouping:
    @pytest.mark.parametrize("shots", [None, 10])
    def test_circuits_of_one_structure_are_one_batch_wherever_they_stand(self, shots: int | None) -> None:
        backend = Watched()
        first, second = rotations(20), rotations(20, n_qubits=3)
        run(backend, [circuit for pair in zip(first, second, strict=True) for circuit in pair], shots)
        assert [batch.n_rows for batch in backend.seen] == [20, 20]

    @pytest.mark.parametrize("cache", [None, QuantumCircuitCache()])
    def test_equal_exact_circuits_run_once(self, cache: QuantumCircuitCache | None) -> None:
        backend = Watched()
        manager = CircuitBatchManager(backend, cache=cache)
        results = run(manager, [*rotations(3), BELL, *rotations(3), BELL], None)
        assert backend.circuits_run == 4
        assert results[:4] == results[4:]
        assert manager.get_stats()["circuits_reused"] == 4

    def test_a_cache_saves_exact_circuits_of_earlier_lists(self) -> None:
        backend = Watched()
        manager = CircuitBatchManager(backend, cache=QuantumCircuitCache())
        first = run(manager, rotations(3), None)
        assert run(manager, rotations(4), None)[:3] == first
        assert backend.circuits_run == 4

    def test_equal_sampled_circuits_are_independent_samples(self) -> None:
        backend = Watched()
        manager = CircuitBatchManager(backend, cache=QuantumCircuitCache(), seed=3)
        uniform = QuantumCircuit(6)
        for qubit in range(6):
            uniform = uniform.h(qubit)
        results = [result for _ in range(2) for result in run(manager, [uniform] * 10, 100)]
        assert backend.circuits_run == 20
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
        backend = Watched()
        unbound = QuantumCircuit(1).ry(0, Parameter("a") + Feature("x"))
        with pytest.raises(CircuitError, match=r"circuits\[1\] has open symbols: a, x"):
            run(backend, [BELL, unbound])
        assert backend.seen == []

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
        backend = Watched()
        with pytest.raises(CapabilityError, match="9 qubits"):
            run(backend, [BELL, QuantumCircuit(9)])
        with pytest.raises(CapabilityError, match="only samples"):
            run(Watched(exact=False), [BELL], None)
        assert backend.seen == []

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
        manager = CircuitBatchManager(Watched())
        with pytest.raises(CapabilityError):
            run(manager, [QuantumCircuit(9)])
        assert run(manager, [QuantumCircuit(1).x(0)])[0].counts == {"1": 1000}
        assert manager.pending() == []


class TestTickets:
    def test_the_result_is_that_of_execute_batch(self) -> None:
        async def main() -> list[ExecutionResult]:
            manager = CircuitBatchManager(get_backend("mock"), seed=2)
            return await manager.result(await manager.submit(mixed(), 100))

        assert asyncio.run(main()) == run(CircuitBatchManager(get_backend("mock"), seed=2), mixed(), 100)

    def test_submit_returns_before_anything_ran(self) -> None:
        async def main() -> None:
            backend = Watched()
            manager = CircuitBatchManager(backend)
            tickets = [await manager.submit(rotations(2)), await manager.submit([BELL])]
            assert backend.seen == []
            assert manager.pending() == tickets
            assert manager.get_stats()["pending"] == 2
            assert [len(await manager.result(ticket)) for ticket in tickets[::-1]] == [1, 2]
            assert manager.pending() == []

        asyncio.run(main())

    def test_bad_circuits_are_refused_before_there_is_a_ticket(self) -> None:
        manager = CircuitBatchManager(get_backend("mock"))
        with pytest.raises(CircuitError, match="open symbols"):
            asyncio.run(manager.submit([QuantumCircuit(1).ry(0, Parameter("a"))]))
        assert manager.pending() == []

    def test_an_unknown_ticket_is_an_error_that_lists_the_known_ones(self) -> None:
        async def main() -> None:
            manager = CircuitBatchManager(get_backend("mock"))
            ticket = await manager.submit([BELL])
            with pytest.raises(UnknownNameError, match=f"unknown ticket 'batch-9'.*Known: {ticket}"):
                await manager.result("batch-9")
            await manager.result(ticket)
            with pytest.raises(UnknownNameError, match=r"handed over once\. Known: none"):
                await manager.result(ticket)

        asyncio.run(main())

    def test_an_error_in_the_background_is_raised_by_result(self) -> None:
        async def main() -> None:
            manager = CircuitBatchManager(Watched())
            ticket = await manager.submit([QuantumCircuit(9)])
            with pytest.raises(CapabilityError, match="9 qubits"):
                await manager.result(ticket)

        asyncio.run(main())

    def test_an_error_that_nobody_asks_for_is_not_complained_about(self, caplog: pytest.LogCaptureFixture) -> None:
        async def main() -> None:
            manager = CircuitBatchManager(Watched())
            await manager.submit([QuantumCircuit(9)])
            await until(lambda: not manager.pending())

        with caplog.at_level(logging.WARNING):
            asyncio.run(main())
        assert caplog.records == []

    def test_a_time_out_of_result_stops_nothing(self) -> None:
        async def main() -> None:
            backend = Remote()
            backend.held = True
            manager = CircuitBatchManager(backend)
            ticket = await manager.submit([BELL])
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(manager.result(ticket), 0.02)
            assert manager.pending() == [ticket]
            backend.held = False
            assert len(await manager.result(ticket)) == 1
            assert len(backend.jobs) == 1

        asyncio.run(main())


class TestEventLoops:
    def test_a_manager_survives_several(self) -> None:
        for backend in (Watched(), Remote(max_circuits_per_job=1)):
            manager = CircuitBatchManager(backend, max_concurrent_jobs=2)
            for _ in range(3):
                assert len(run(manager, rotations(5))) == 5

    def test_results_that_were_in_can_be_had_in_another(self) -> None:
        manager = CircuitBatchManager(get_backend("mock"))

        async def start() -> str:
            ticket = await manager.submit([BELL])
            await until(lambda: not manager.pending())
            return ticket

        ticket = asyncio.run(start())
        assert len(asyncio.run(manager.result(ticket))) == 1

    def test_a_ticket_whose_loop_ended_first_says_so(self) -> None:
        backend = Remote()
        backend.held = True
        manager = CircuitBatchManager(backend)
        ticket = asyncio.run(manager.submit([BELL]))
        assert manager.pending() == []
        with pytest.raises(JobFailedError, match=f"{ticket} was cancelled before it had results.*event loop ended"):
            asyncio.run(manager.result(ticket))

    def test_a_ticket_of_a_loop_that_was_closed_midway_says_so(self) -> None:
        manager = CircuitBatchManager(Watched())
        loop = asyncio.new_event_loop()
        ticket = loop.run_until_complete(manager.submit([BELL]))
        task = manager._tasks[ticket]
        loop.close()
        assert manager.pending() == []
        with pytest.raises(JobFailedError, match=f"{ticket} belongs to an event loop that ended"):
            asyncio.run(manager.result(ticket))
        assert asyncio.run(manager.cancel_all()) == 0
        task.get_coro().close()  # type: ignore[union-attr]
        task._log_destroy_pending = False  # type: ignore[attr-defined]

    def test_nothing_of_a_loop_is_kept(self) -> None:
        manager = CircuitBatchManager(get_backend("mock"))
        run(manager, [BELL])
        asyncio.run(manager.submit([BELL]))
        assert manager._tasks == {}


class TestRemote:
    def test_a_list_is_one_job(self) -> None:
        backend = Remote()
        circuits = [*rotations(5), *mixed(20), BELL, GHZ]
        results = run(CircuitBatchManager(backend, seed=1), circuits)
        assert len(backend.jobs) == 1
        assert backend.circuits_paid == len(circuits)
        local = run(CircuitBatchManager(get_backend("mock"), seed=1), circuits)
        assert [result.counts for result in results] == [result.counts for result in local]

    def test_limits_split_the_list_and_not_its_order(self) -> None:
        backend = Remote(max_circuits_per_job=7)
        circuits = mixed()
        results = run(CircuitBatchManager(backend, seed=1), circuits)
        assert max(backend.circuits_per_job) <= 7
        assert backend.circuits_paid == len(circuits)
        local = run(CircuitBatchManager(get_backend("mock"), seed=1), circuits)
        assert [result.counts for result in results] == [result.counts for result in local]

    def test_jobs_of_a_list_are_sent_with_bounded_concurrency(self) -> None:
        backend = Remote(max_circuits_per_job=1)
        run(CircuitBatchManager(backend, max_concurrent_jobs=3), rotations(20))
        assert len(backend.jobs) == 20
        assert backend.most_sending == 3

    def test_equal_exact_circuits_are_paid_once(self) -> None:
        backend = Remote()
        manager = CircuitBatchManager(backend)
        run(manager, [*rotations(2), *rotations(2)], None)
        run(manager, rotations(2), None)
        assert backend.circuits_paid == 2
        assert manager.get_stats()["circuits_reused"] == 4

    def test_what_could_pass_the_budget_is_not_sent(self) -> None:
        backend = Remote()
        manager = CircuitBatchManager(backend, budget=Budget(usd=0.05))
        run(manager, rotations(3))
        with pytest.raises(BudgetExceededError, match=r"0\.05 USD: 0\.03 spent or reserved"):
            run(manager, mixed(3))
        assert backend.circuits_paid == 3
        assert len(run(manager, mixed(2))) == 2

    def test_the_journal_is_on_disk_where_one_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "journal.sqlite"
        backend = Remote()
        first = run(CircuitBatchManager(backend, journal_path=str(path), seed=6), rotations(3))
        again = CircuitBatchManager(backend, journal_path=path, seed=6, budget=Budget(circuits=4))
        assert run(again, rotations(3)) == first
        assert backend.circuits_paid == 3
        with pytest.raises(BudgetExceededError, match="3 spent"):
            run(again, rotations(3))

    def test_an_interrupted_list_is_brought_in_and_not_paid_again(self, tmp_path: Path) -> None:
        path = tmp_path / "journal.sqlite"
        backend = Remote()
        backend.held = True

        async def cut_short() -> None:
            manager = CircuitBatchManager(backend, journal_path=path, seed=6)
            await asyncio.wait_for(manager.execute_batch(rotations(3)), 0.05)

        with pytest.raises(TimeoutError):
            asyncio.run(cut_short())
        assert backend.cancelled == []
        backend.held = False
        assert len(run(CircuitBatchManager(backend, journal_path=path, seed=6), rotations(3))) == 3
        assert len(backend.jobs) == 1

    def test_a_local_backend_needs_no_journal(self, tmp_path: Path) -> None:
        run(CircuitBatchManager(get_backend("mock"), journal_path=tmp_path / "journal.sqlite"), [BELL])
        assert not list(tmp_path.iterdir())


class TestCancelAll:
    @staticmethod
    def run_and_cancel(manager: CircuitBatchManager, ready: Callable[[], object]) -> tuple[int, list[str]]:
        """What `cancel_all` returns with two tickets under way, and what became of them."""

        async def main() -> tuple[int, list[str]]:
            tickets = [await manager.submit(rotations(2)), await manager.submit([BELL])]
            await until(ready)
            count = await manager.cancel_all()
            assert manager.pending() == []
            outcomes = await asyncio.gather(*map(manager.result, tickets), return_exceptions=True)
            return count, [type(outcome).__name__ for outcome in outcomes]

        return asyncio.run(main())

    def test_every_open_job_is_cancelled_and_none_is_sent_again(self) -> None:
        backend = Remote(max_circuits_per_job=1)
        backend.held = True
        manager = CircuitBatchManager(backend)
        count, outcomes = self.run_and_cancel(manager, lambda: len(backend.jobs) == 3)
        assert (count, outcomes) == (3, ["JobFailedError"] * 2)
        assert sorted(backend.cancelled) == sorted(backend.jobs) == ["job-1", "job-2", "job-3"]
        spent = manager.executor.spent
        assert (spent.circuits, spent.jobs, spent.usd_high) == (3, 3, pytest.approx(0))
        assert asyncio.run(manager.cancel_all()) == 0

    def test_a_list_that_is_waited_for_elsewhere_is_stopped_too(self) -> None:
        backend = Remote()
        backend.held = True

        async def main() -> None:
            manager = CircuitBatchManager(backend)
            waiting = asyncio.create_task(manager.execute_batch([BELL]))
            await until(lambda: backend.jobs)
            assert await manager.cancel_all() == 1
            with pytest.raises(JobFailedError, match="by cancel_all"):
                await waiting

        asyncio.run(main())
        assert len(backend.jobs) == 1

    def test_a_job_whose_answer_never_came_is_found_and_cancelled(self) -> None:
        backend = Remote()
        backend.held = backend.lose_answers = True
        count, _ = self.run_and_cancel(CircuitBatchManager(backend), lambda: len(backend.jobs) == 2)
        assert count == 2
        assert sorted(backend.cancelled) == ["job-1", "job-2"]

    def test_a_job_that_was_never_accepted_costs_nothing(self, tmp_path: Path) -> None:
        path = tmp_path / "journal.sqlite"
        Journal(path).intend("circuits", 1, "fake", Cost(usd_high=1.0, circuits=1, jobs=1), b"")
        manager = CircuitBatchManager(Remote(), journal_path=path)
        assert manager.executor.spent.usd_high == 1.0
        assert asyncio.run(manager.cancel_all()) == 0
        assert manager.executor.spent == Cost()
        assert [record.state for record in Journal(path).records()] == [RecordState.NEVER_ACCEPTED]

    def test_a_job_that_ends_all_the_same_is_not_lost(self, tmp_path: Path) -> None:
        path = tmp_path / "journal.sqlite"
        backend = Remote()
        backend.held = backend.ignores_cancel = True

        async def main() -> None:
            manager = CircuitBatchManager(backend, journal_path=path, seed=6)
            await manager.submit(rotations(2))
            await until(lambda: backend.jobs)
            assert await manager.cancel_all() == 1
            assert manager.executor.spent.circuits == 2

        asyncio.run(main())
        backend.held = False
        assert len(run(CircuitBatchManager(backend, journal_path=path, seed=6), rotations(2))) == 2
        assert len(backend.jobs) == 1

    def test_jobs_of_an_earlier_process_are_cancelled_too(self, tmp_path: Path) -> None:
        path = tmp_path / "journal.sqlite"
        backend = Remote()
        backend.held = True

        async def cut_short() -> None:
            manager = CircuitBatchManager(backend, journal_path=path)
            await manager.submit([BELL])
            await until(lambda: backend.jobs)

        asyncio.run(cut_short())
        assert asyncio.run(CircuitBatchManager(backend, journal_path=path).cancel_all()) == 1
        assert backend.cancelled == ["job-1"]

    def test_one_that_cannot_be_cancelled_does_not_keep_the_others(self) -> None:
        backend = Remote(max_circuits_per_job=1)
        backend.held = True
        backend.cancel_fault = CapabilityError("no")
        with pytest.raises(CapabilityError, match="no"):
            self.run_and_cancel(CircuitBatchManager(backend), lambda: len(backend.jobs) == 3)
        assert len(backend.cancelled) == 2

    def test_on_a_simulator_the_lists_are_stopped(self) -> None:
        backend = Watched()
        manager = CircuitBatchManager(backend)
        assert self.run_and_cancel(manager, lambda: True) == (2, ["JobFailedError"] * 2)
        assert backend.seen == []
        assert asyncio.run(manager.cancel_all()) == 0

    def test_the_manager_goes_on_afterwards(self) -> None:
        backend = Remote()
        backend.held = True
        manager = CircuitBatchManager(backend)
        self.run_and_cancel(manager, lambda: len(backend.jobs) == 2)
        backend.held = False
        assert len(run(manager, rotations(2))) == 2


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
        executor = Executor(Watched(), cache=QuantumCircuitCache())
        manager = CircuitBatchManager.of(executor, seed=1)
        assert run(manager, rotations(3)) == run(CircuitBatchManager(Watched(), seed=1), rotations(3))
        assert executor.tracker.total.circuits == manager.get_stats()["total_circuits"] == 3

    def test_a_shared_executor_keeps_its_budget(self) -> None:
        manager = CircuitBatchManager.of(CircuitBatchManager(Remote(), budget=Budget(circuits=1)).executor)
        with pytest.raises(BudgetExceededError):
            run(manager, [BELL, GHZ])
