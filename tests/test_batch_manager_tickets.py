"""Lists that run in the background: their tickets, and the event loops they outlive."""

from __future__ import annotations

import asyncio
import logging

import pytest
from circuit_lists import BELL, mixed, rotations, run, until
from fake_backends import Remote, Yielding

from qstore_core import (
    CapabilityError,
    CircuitBatchManager,
    CircuitError,
    ExecutionResult,
    JobFailedError,
    Parameter,
    QuantumCircuit,
    UnknownNameError,
    get_backend,
)


class TestTickets:
    def test_the_result_is_that_of_execute_batch(self) -> None:
        async def main() -> list[ExecutionResult]:
            manager = CircuitBatchManager(get_backend("mock"), seed=2)
            return await manager.result(await manager.submit(mixed(), 100))

        assert asyncio.run(main()) == run(CircuitBatchManager(get_backend("mock"), seed=2), mixed(), 100)

    def test_submit_returns_before_anything_ran(self) -> None:
        async def main() -> None:
            backend = Yielding()
            manager = CircuitBatchManager(backend)
            tickets = [await manager.submit(rotations(2)), await manager.submit([BELL])]
            assert backend.jobs == []
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
            manager = CircuitBatchManager(Yielding())
            ticket = await manager.submit([QuantumCircuit(9)])
            with pytest.raises(CapabilityError, match="9 qubits"):
                await manager.result(ticket)

        asyncio.run(main())

    def test_an_error_that_nobody_asks_for_is_not_complained_about(self, caplog: pytest.LogCaptureFixture) -> None:
        async def main() -> None:
            manager = CircuitBatchManager(Yielding())
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
        for backend in (Yielding(), Remote(max_circuits_per_job=1)):
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
        manager = CircuitBatchManager(Yielding())
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
