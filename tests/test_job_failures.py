"""Remote jobs that fail for good: they stop what is not sent yet, and stand in nobody's way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from faulty_provider import Faulty, Provider, as_simulated, batch, run

from qstore_core import (
    BackendError,
    BatchResult,
    CircuitBatch,
    Cost,
    JobFailedError,
    JobState,
    JobStatus,
    JournalError,
    TransientError,
)
from qstore_core.account import Account
from qstore_core.executor import Executor, ExecutorOptions
from qstore_core.journal import Journal


class Spoilt(Faulty):
    """A provider that tells costs, and loses the results of its first jobs or garbles them."""

    lost: BackendError | None = BackendError("the results were deleted")
    spoilt = 1000

    async def fetch(
        self, job_id: str, batches: Sequence[CircuitBatch], compiled: Sequence[Any]
    ) -> tuple[BatchResult, ...]:
        if int(job_id.removeprefix("job-")) > self.spoilt:
            return await super().fetch(job_id, batches, compiled)
        if self.lost is not None:
            raise self.lost
        return tuple(BatchResult(expectations=np.full((each.n_rows, 1), 7.0)) for each in batches)

    async def cost(self, job_id: str) -> Cost | None:
        return Cost(usd_low=0.03, usd_high=0.03)


class Impatient(Spoilt):
    """One that is given up on soon."""

    pacing = replace(Faulty.pacing, request_patience=0.02)


def states(journal: Journal) -> list[str]:
    return [record.state.value for record in journal.records()]


def open_on(backend: Faulty) -> Journal:
    """A journal with a finished job that nobody brought in."""
    journal = Journal(None)
    backend.provider.ends = [JobState.QUEUED] * 10**6
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(Executor(backend, journal=journal).run((batch(),)), 0.03))
    backend.provider.ends = []
    return journal


class TestResultsThatCannotBeUsed:
    @pytest.mark.parametrize("lost", [BackendError("the results were deleted"), None], ids=["lost", "garbled"])
    def test_a_run_that_goes_on_sends_its_circuits_again_and_what_it_cost_counts(
        self, provider: Provider, lost: BackendError | None
    ) -> None:
        backend = Spoilt(provider)
        backend.lost, backend.spoilt = lost, 1
        executor = Executor(backend, journal=Journal(None))
        with pytest.raises(JobFailedError, match="; resuming the run sends it again, and pays for it again"):
            run(executor, batch())
        assert provider.posts == 1
        assert as_simulated(run(executor, batch())[0])
        assert executor.journal is not None
        assert states(executor.journal) == ["failed", "done"]
        assert executor.spent.usd_high == pytest.approx(executor.journal.total().usd_high) == pytest.approx(0.06)
        assert executor.spent.circuits == 8

    def test_others_go_on(self, provider: Provider) -> None:
        backend = Spoilt(provider)
        executor = Executor(backend)
        with pytest.raises(JobFailedError, match="its results cannot be used: the results were deleted"):
            run(executor, batch())
        backend.spoilt = 1
        run(executor, batch(seed=1))
        assert provider.posts == 2

    def test_one_of_an_earlier_process_is_a_warning(self, provider: Provider, caplog: pytest.LogCaptureFixture) -> None:
        backend = Spoilt(provider)
        backend.spoilt = 1
        journal = open_on(backend)
        executor = Executor(backend, journal=journal, account=Account(spent=journal.total()))
        run(executor, batch(seed=1))
        assert states(journal) == ["failed", "done"]
        assert "circuits: job job-1 failed: its results cannot be used: the results were deleted" in caplog.text
        assert executor.spent.usd_high == pytest.approx(journal.total().usd_high)

    def test_a_provider_that_is_away_leaves_it_open(self, provider: Provider) -> None:
        backend = Impatient(provider)
        backend.lost = TransientError("service unavailable")
        journal = Journal(None)
        for _ in range(2):
            with pytest.raises(TransientError):
                run(Executor(backend, journal=journal), batch())
        assert states(journal) == ["submitted"]
        backend.spoilt = 0
        assert as_simulated(run(Executor(backend, journal=journal), batch())[0])
        assert provider.posts == 1

    def test_a_job_that_the_provider_has_given_up_is_one_that_failed(self, provider: Provider) -> None:
        class Gone(Faulty):
            async def status(self, job_id: str) -> JobStatus:
                if job_id == "job-1":
                    raise JobFailedError("410: gone")
                return await super().status(job_id)

        journal = Journal(None)
        run(Executor(Gone(provider), journal=journal), batch())
        assert next((record.state.value, record.reason) for record in journal.records()) == ("failed", "410: gone")

    def test_a_cost_that_cannot_be_read_is_the_price(
        self, provider: Provider, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Silent(Faulty):
            async def cost(self, job_id: str) -> Cost | None:
                raise BackendError("404: no such bill")

        executor = Executor(Silent(provider))
        assert as_simulated(run(executor, batch())[0])
        assert executor.spent.usd_high == pytest.approx(0.04)
        assert "job job-1: its cost cannot be read, so its price counts: 404: no such bill" in caplog.text


class TestAfterOneHasFailed:
    def test_those_not_yet_sent_are_not_sent(self, provider: Provider) -> None:
        provider.ends = [JobState.DONE] + [JobState.FAILED] * 3
        journal = Journal(None)
        options = ExecutorOptions(one_circuit_per_job=True, max_concurrent_jobs=1)
        executor = Executor(Faulty(provider), options=options, journal=journal)
        with pytest.raises(JobFailedError, match="calibration lost, after 3 attempts"):
            run(executor, batch(8))
        assert states(journal) == ["done", "failed", "failed", "failed"]
        assert provider.posts == 4
        assert executor.spent.circuits == journal.total().circuits == 4
        run(executor, batch(8))
        assert provider.posts == 11

    def test_those_that_wait_to_be_accepted_are_not_sent_either(self, provider: Provider) -> None:
        class Full(Faulty):
            async def submit(self, batches: Sequence[CircuitBatch], compiled: Sequence[Any], token: str) -> str:
                if provider.jobs:
                    raise TransientError("one job at a time")
                return await super().submit(batches, compiled, token)

        provider.ends = [JobState.QUEUED] * 5 + [JobState.FAILED]
        journal = Journal(None)
        options = ExecutorOptions(max_attempts=1)
        executor = Executor(Full(provider, max_circuits_per_job=4), options=options, journal=journal)
        with pytest.raises(JobFailedError, match="calibration lost, after 1 attempt;"):
            run(executor, batch(), batch(seed=1))
        assert [(record.state.value, record.reason) for record in journal.records()] == [
            ("failed", "calibration lost"),
            ("never accepted", "not sent, because another job failed"),
        ]


class TestAnotherBackend:
    def test_a_job_is_not_read_with_another_backend_of_the_account(self, provider: Provider) -> None:
        journal = open_on(Faulty(provider))
        other = Faulty(provider)
        other.fingerprint = "fake(noisy)"
        for _ in range(2):
            with pytest.raises(JournalError, match=r"job job-1 is open on backend 'fake', and this is 'fake\(noisy\)'"):
                run(Executor(other, journal=journal), batch())
        assert provider.posts == 1
        assert as_simulated(run(Executor(Faulty(provider), journal=journal), batch())[0])
        run(Executor(other, journal=journal), batch())
        assert provider.posts == 2

    def test_it_can_be_cancelled_with_another_backend_of_the_account(self, provider: Provider) -> None:
        journal = open_on(Faulty(provider))
        other = Faulty(provider)
        other.fingerprint = "fake(noisy)"
        provider.ends = [JobState.CANCELLED]
        assert asyncio.run(Executor(other, journal=journal).cancel_open_jobs()) == 1
        assert states(journal) == ["cancelled"]
        run(Executor(other, journal=journal), batch())
