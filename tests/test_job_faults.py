"""Remote jobs: sent once, whatever goes wrong and whenever the process ends."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from faulty_provider import Faulty, Provider, as_simulated, batch, run

from qstore_core import BackendError, Cost, JobFailedError, JobRejectedError, JobState, JournalError, TransientError
from qstore_core.account import Account
from qstore_core.batch_codec import encode_batches
from qstore_core.executor import Executor, ExecutorOptions
from qstore_core.journal import Journal, RecordState


class TestFaults:
    @pytest.mark.parametrize(
        ("faults", "posts"),
        [
            (["busy", "busy"], 3),
            (["lost after"], 1),
            (["lost before"], 2),
            (["lost before", "lost before"], 3),
            (["busy", "lost after"], 2),
        ],
    )
    def test_a_submit_that_fails_is_paid_once(self, provider: Provider, faults: list[str], posts: int) -> None:
        provider.submit_faults = faults
        executor = Executor(Faulty(provider))
        (result,) = run(executor, batch())
        assert provider.posts == posts
        assert provider.circuits_paid == 4
        assert executor.spent.circuits == 4
        assert as_simulated(result)

    def test_a_job_that_is_listed_late_is_found(self, provider: Provider) -> None:
        provider.submit_faults, provider.find_lag = ["lost after"], 3
        run(Executor(Faulty(provider)), batch())
        assert provider.posts == 1

    def test_reads_are_repeated(self, provider: Provider) -> None:
        provider.read_faults = ["busy", "lost", "", "lost", "busy", "", "busy", "lost"]
        (result,) = run(Executor(Faulty(provider)), batch())
        assert as_simulated(result)

    @pytest.mark.parametrize("end", [JobState.FAILED, JobState.CANCELLED])
    def test_a_job_that_ends_without_results_is_sent_again(self, provider: Provider, end: JobState) -> None:
        provider.ends = [JobState.QUEUED, end]
        executor = Executor(Faulty(provider))
        run(executor, batch())
        assert provider.posts == 2
        # what the failed job cost is not known, so it counts in full
        assert executor.spent.circuits == 8

    @pytest.mark.parametrize(
        "nonsense", [float("nan"), float("inf"), -1000.0, BackendError("403"), TransientError("500")]
    )
    def test_a_cost_that_cannot_be_had_leaves_the_price_and_loses_no_results(
        self, provider: Provider, nonsense: float | Exception, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Strange(Faulty):
            async def cost(self, job_id: str) -> Cost | None:
                if isinstance(nonsense, Exception):
                    raise nonsense
                return Cost(usd_low=nonsense, usd_high=nonsense)

        journal, backend = Journal(None), Strange(provider)
        backend.pacing = replace(backend.pacing, request_patience=0.05)
        executor = Executor(backend, journal=journal)
        (result,) = run(executor, batch())
        assert as_simulated(result)
        assert executor.spent == journal.total() == journal.records()[0].reserved
        assert "so its price counts" in caplog.text

    def test_a_job_that_fails_too_often_ends_the_run_with_the_reason(self, provider: Provider) -> None:
        provider.ends = [JobState.FAILED] * 3
        with pytest.raises(JobFailedError, match=r"job job-3 failed: calibration lost, after 3 attempts"):
            run(Executor(Faulty(provider)), batch())

    def test_a_job_that_is_refused_costs_nothing(self, provider: Provider) -> None:
        provider.submit_faults = ["rejected"]
        executor = Executor(Faulty(provider))
        with pytest.raises(JobRejectedError, match="too deep"):
            run(executor, batch())
        assert executor.spent == Cost()

    def test_those_sent_are_brought_in_when_one_is_refused_and_no_more_are_sent(self, provider: Provider) -> None:
        provider.submit_faults = ["", "rejected", ""]
        provider.ends = [JobState.QUEUED] * 3
        journal = Journal(None)
        executor = Executor(Faulty(provider, max_circuits_per_job=4), journal=journal)
        with pytest.raises(JobRejectedError):
            run(executor, batch(), batch(seed=1), batch(seed=2))
        assert [record.state.value for record in journal.records()] == ["done", "never accepted"]
        assert provider.posts == 2
        assert executor.spent.circuits == 4

    def test_a_late_job_is_reported_and_not_abandoned(
        self, provider: Provider, caplog: pytest.LogCaptureFixture
    ) -> None:
        provider.ends = [JobState.RUNNING] * 10
        with caplog.at_level(logging.WARNING, logger="qstore"):
            run(Executor(Faulty(provider), options=ExecutorOptions(late_after=0.005)), batch())
        assert [record for record in caplog.records if "is late: running" in record.message]
        assert provider.posts == 1


class TestInterruptions:
    def test_a_job_that_was_accepted_as_the_process_died_is_found_and_not_paid_again(
        self, provider: Provider, tmp_path: Path
    ) -> None:
        provider.submit_faults = ["killed after"]
        with pytest.raises(KeyboardInterrupt):
            run(Executor(Faulty(provider), journal=Journal(tmp_path / "journal.sqlite")), batch())
        journal = Journal(tmp_path / "journal.sqlite")
        assert [record.state for record in journal.records()] == [RecordState.INTENT]
        (result,) = run(Executor(Faulty(provider), journal=journal), batch())
        assert provider.posts == 1
        assert as_simulated(result)

    def test_a_job_that_was_waited_for_as_the_process_died_is_fetched(self, provider: Provider, tmp_path: Path) -> None:
        provider.ends = [JobState.QUEUED] * 1000

        async def cut_short() -> None:
            executor = Executor(Faulty(provider), journal=Journal(tmp_path / "journal.sqlite"))
            await asyncio.wait_for(executor.run((batch(),)), 0.05)

        with pytest.raises(TimeoutError):
            asyncio.run(cut_short())
        provider.ends = []
        journal = Journal(tmp_path / "journal.sqlite")
        assert [record.state for record in journal.records()] == [RecordState.SUBMITTED]
        (result,) = run(Executor(Faulty(provider), journal=journal), batch())
        assert provider.posts == 1
        assert provider.cancelled == []
        assert as_simulated(result)

    def test_a_job_that_was_never_accepted_is_sent_again(self, provider: Provider, tmp_path: Path) -> None:
        journal = Journal(tmp_path / "journal.sqlite")
        journal.intend("circuits", 1, "fake", Cost(circuits=4, jobs=1), encode_batches([batch()]))
        executor = Executor(Faulty(provider), journal=journal, account=Account(spent=journal.total()))
        run(executor, batch())
        assert provider.posts == 1
        assert executor.spent.circuits == 4
        assert [record.state for record in journal.records()] == [RecordState.NEVER_ACCEPTED, RecordState.DONE]

    def test_an_open_job_of_another_account_is_not_taken_for_lost(self, provider: Provider, tmp_path: Path) -> None:
        provider.submit_faults = ["killed after"]
        with pytest.raises(KeyboardInterrupt):
            run(Executor(Faulty(provider), journal=Journal(tmp_path / "journal.sqlite")), batch())
        other = Faulty(Provider())
        other.account = "another"
        journal = Journal(tmp_path / "journal.sqlite")
        for work in (lambda: run(Executor(other, journal=journal), batch()), lambda: cancel(other, journal)):
            with pytest.raises(JournalError, match=r"open at another provider or account .* go on where it was sent"):
                work()
        assert other.provider.posts == 0
        assert [record.state for record in journal.records()] == [RecordState.INTENT]


def cancel(backend: Faulty, journal: Journal) -> int:
    return asyncio.run(Executor(backend, journal=journal).cancel_open_jobs())


class TestInOneProcess:
    def test_what_was_cut_short_is_waited_for_again_and_not_sent_again(self, provider: Provider) -> None:
        provider.ends = [JobState.QUEUED] * 1000
        executor = Executor(Faulty(provider))
        with pytest.raises(TimeoutError):
            asyncio.run(asyncio.wait_for(executor.run((batch(),)), 0.05))
        provider.ends = []
        (result,) = run(executor, batch())
        assert provider.posts == 1
        assert executor.spent.circuits == 4
        assert as_simulated(result)

    def test_two_at_once_bring_in_an_earlier_job_once(self, provider: Provider, tmp_path: Path) -> None:
        provider.submit_faults = ["killed after"]
        with pytest.raises(KeyboardInterrupt):
            run(Executor(Faulty(provider), journal=Journal(tmp_path / "journal.sqlite")), batch())
        journal = Journal(tmp_path / "journal.sqlite")
        executor = Executor(Faulty(provider), journal=journal, account=Account(spent=journal.total()))

        async def both() -> None:
            await asyncio.gather(executor.run((batch(),)), executor.run((batch(seed=1),)))

        asyncio.run(both())
        assert provider.posts == 2
        assert executor.spent == journal.total()
        assert executor.spent.usd_high == pytest.approx(0.08)

    def test_the_limit_on_jobs_holds_over_everything_under_way(self, provider: Provider) -> None:
        provider.ends = [JobState.QUEUED] * 6
        executor = Executor(Faulty(provider), options=ExecutorOptions(max_concurrent_jobs=2))
        most = 0

        async def watch() -> None:
            nonlocal most
            while True:
                assert executor.journal is not None
                states = [record.state for record in executor.journal.records()]
                most = max(most, sum(state is not RecordState.DONE for state in states))
                await asyncio.sleep(0)

        async def several() -> None:
            watcher = asyncio.ensure_future(watch())
            await asyncio.gather(*(executor.run((batch(seed=seed),)) for seed in range(6)))
            watcher.cancel()

        asyncio.run(several())
        assert provider.posts == 6
        assert most == 2
