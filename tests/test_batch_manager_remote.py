"""Lists of circuits at a provider: what it gets to see of them, and what is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from circuit_lists import BELL, GHZ, mixed, rotations, run, until
from fake_backends import Remote, Yielding

from qstore_core import (
    Budget,
    BudgetExceededError,
    CapabilityError,
    CircuitBatchManager,
    Cost,
    JobFailedError,
    get_backend,
)
from qstore_core.journal import Journal, RecordState


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
        backend = Yielding()
        manager = CircuitBatchManager(backend)
        assert self.run_and_cancel(manager, lambda: True) == (2, ["JobFailedError"] * 2)
        assert backend.jobs == []
        assert asyncio.run(manager.cancel_all()) == 0

    def test_the_manager_goes_on_afterwards(self) -> None:
        backend = Remote()
        backend.held = True
        manager = CircuitBatchManager(backend)
        self.run_and_cancel(manager, lambda: len(backend.jobs) == 2)
        backend.held = False
        assert len(run(manager, rotations(2))) == 2
