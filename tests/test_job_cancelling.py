"""Remote jobs that are cancelled while they are sent, looked for or brought in."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from faulty_provider import Faulty, Provider, as_simulated, batch, run

from qstore_core import (
    AmbiguousError,
    Budget,
    CapabilityError,
    CircuitBatch,
    Cost,
    JobFailedError,
    JobState,
    JobStatus,
    TransientError,
)
from qstore_core.account import Account
from qstore_core.executor import Executor
from qstore_core.journal import Journal


class Held(Faulty):
    """A provider that answers a submit when it is told to, and whose jobs run until they are cancelled."""

    answer: str | None = None
    refuses_cancel = False

    async def submit(self, batches: Sequence[CircuitBatch], compiled: Sequence[Any], token: str) -> str:
        while self.answer is None:
            await asyncio.sleep(0.001)
        if self.answer == "busy":
            raise TransientError("too many requests", retry_after=0.002)
        if self.answer == "lost before":
            raise AmbiguousError("the connection was closed")
        return await super().submit(batches, compiled, token)

    async def status(self, job_id: str) -> JobStatus:
        await asyncio.sleep(0.001)
        return JobStatus(JobState.CANCELLED) if job_id in self.provider.cancelled else await super().status(job_id)

    async def cancel(self, job_id: str) -> None:
        if self.refuses_cancel:
            raise CapabilityError("no")
        await super().cancel(job_id)

    async def cost(self, job_id: str) -> Cost | None:
        return Cost()


def cancelled_while_sending(executor: Executor, answer: str) -> tuple[int, str]:
    """How many jobs were asked to be cancelled during the submit, and how the run ended."""

    async def main() -> tuple[int, str]:
        assert isinstance(executor.backend, Held)
        task = asyncio.create_task(executor.run((batch(),)))
        await asyncio.sleep(0.005)
        count = await executor.cancel_open_jobs()
        executor.backend.answer = answer
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        return count, f"{type(outcome).__name__}: {outcome}"

    return asyncio.run(main())


def states(executor: Executor) -> list[str]:
    assert executor.journal is not None
    return [record.state.value for record in executor.journal.records()]


class TestWhileItIsSent:
    def test_one_that_is_accepted_all_the_same_is_cancelled_and_its_price_reserved_until_then(
        self, provider: Provider
    ) -> None:
        provider.ends = [JobState.QUEUED] * 1000
        executor = Executor.on(Held(provider), budget=Budget(circuits=4))
        count, outcome = cancelled_while_sending(executor, "")
        assert count == 0
        assert outcome.startswith("JobFailedError: circuits: job job-1 cancelled, as it was asked to be")
        assert provider.cancelled == ["job-1"]
        assert states(executor) == ["cancelled"]
        assert executor.journal is not None
        assert executor.spent.circuits == executor.journal.total().circuits == 4
        assert executor.spent.usd_high == pytest.approx(0)

    @pytest.mark.parametrize("answer", ["busy", "lost before"])
    def test_one_that_was_not_accepted_is_not_sent_again(self, provider: Provider, answer: str) -> None:
        executor = Executor.on(Held(provider))
        _, outcome = cancelled_while_sending(executor, answer)
        assert outcome == "JobFailedError: circuits: cancelled before it was sent; resuming sends it"
        assert provider.jobs == {}
        assert states(executor) == ["never accepted"]
        assert (executor.spent.circuits, executor.spent.usd_high) == (0, pytest.approx(0))

    def test_one_that_ends_with_results_all_the_same_is_brought_in(
        self, provider: Provider, caplog: pytest.LogCaptureFixture
    ) -> None:
        backend = Held(provider)
        backend.refuses_cancel = True
        executor = Executor.on(backend)
        assert cancelled_while_sending(executor, "")[1].startswith("tuple")
        assert states(executor) == ["done"]
        assert "circuits: job job-1 could not be cancelled (no); it is waited for" in caplog.text

    def test_one_that_was_accepted_as_the_process_ended_is_brought_in_by_the_next(
        self, provider: Provider, tmp_path: Path
    ) -> None:
        provider.ends = [JobState.QUEUED] * 1000

        async def cut_short() -> None:
            backend = Held(provider)
            backend.refuses_cancel = True
            executor = Executor.on(backend, journal_path=tmp_path / "journal.sqlite")
            task = asyncio.create_task(executor.run((batch(),)))
            await asyncio.sleep(0.005)
            await executor.cancel_open_jobs()
            backend.answer = ""
            await asyncio.sleep(0.02)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        asyncio.run(cut_short())
        provider.ends = []
        executor = Executor.on(Faulty(provider), journal_path=tmp_path / "journal.sqlite")
        assert executor.spent.circuits == 4
        assert as_simulated(run(executor, batch())[0])
        assert provider.posts == 1


def interrupted(provider: Provider) -> Journal:
    """A journal with two jobs that nobody waits for."""
    journal = Journal(None)
    executor = Executor(Faulty(provider, max_circuits_per_job=4), journal=journal)
    provider.ends = [JobState.QUEUED] * 10**6
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(executor.run((batch(), batch(seed=1))), 0.03))
    return journal


def test_jobs_that_are_cancelled_while_they_are_brought_in_are_settled_once(provider: Provider) -> None:
    journal = interrupted(provider)
    executor = Executor(Held(provider), journal=journal, account=Account(spent=journal.total()))

    async def main() -> None:
        assert isinstance(executor.backend, Held)
        executor.backend.answer = ""
        task = asyncio.create_task(executor.run((batch(seed=2),)))
        await asyncio.sleep(0.01)
        assert await executor.cancel_open_jobs() == 2
        provider.ends = []
        await task

    asyncio.run(main())
    assert states(executor) == ["cancelled", "cancelled", "done"]
    assert executor.spent == journal.total()
    assert executor.spent.circuits == 12


def test_a_record_without_batches_is_closed_and_does_not_stand_in_the_way(
    provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(None)
    token = journal.intend("circuits", 1, "fake", Cost(circuits=4, jobs=1), b"")
    journal.submitted(token, "job-0")
    executor = Executor(Faulty(provider), journal=journal, account=Account(spent=journal.total()))
    assert as_simulated(run(executor, batch())[0])
    assert states(executor) == ["failed", "done"]
    assert "circuits: job job-0 failed: its batches are not in the journal" in caplog.text
    assert executor.spent.circuits == 8


def test_a_cancelled_job_stops_those_that_are_not_sent_yet(provider: Provider) -> None:
    provider.ends = [JobState.QUEUED] * 1000
    backend = Held(provider, max_circuits_per_job=4)
    backend.answer = ""
    executor = Executor.on(backend, max_concurrent_jobs=1)

    async def main() -> None:
        task = asyncio.create_task(executor.run((batch(), batch(seed=1))))
        while not provider.jobs:
            await asyncio.sleep(0.001)
        assert await executor.cancel_open_jobs() == 1
        with pytest.raises(JobFailedError, match="job job-1 cancelled"):
            await task

    asyncio.run(main())
    assert provider.posts == 1
