"""Remote jobs: sent once, whatever goes wrong. The provider here is an object in this process with scripted faults."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qstore_core import (
    AmbiguousError,
    BackendCapabilities,
    BatchResult,
    Budget,
    BudgetExceededError,
    CacheError,
    CacheStatistics,
    CapabilityError,
    CircuitBatch,
    Cost,
    JobFailedError,
    JobRejectedError,
    JobState,
    JobStatus,
    JournalError,
    LocalBackend,
    Pacing,
    Parameter,
    PauliString,
    QuantumCircuit,
    QuantumCircuitCache,
    RemoteBackend,
    TransientError,
    get_backend,
)
from qstore_core.account import Account
from qstore_core.batch_codec import encode_batches
from qstore_core.executor import Executor, ExecutorOptions
from qstore_core.journal import Journal, RecordState

CIRCUIT = QuantumCircuit(2).ry(0, Parameter("a")).cnot(0, 1)
OBSERVABLES = (PauliString("Z1"),)


class Provider:
    """What a provider keeps, and the faults it is told to make; a fault is used up when it happens."""

    def __init__(self) -> None:
        self.jobs: dict[str, tuple[str, tuple[CircuitBatch, ...]]] = {}
        self.posts = 0
        self.submit_faults: list[str] = []
        self.read_faults: list[str] = []
        self.ends: list[JobState] = []
        self.find_lag = 0
        self.cancelled: list[str] = []

    @property
    def circuits_paid(self) -> int:
        return sum(batch.n_circuits for _, batches in self.jobs.values() for batch in batches)


class Remote(RemoteBackend):
    pacing = Pacing(first_poll=0.001, longest_poll=0.01, find_grace=0.05, request_patience=5.0, first_retry=0.001)

    def __init__(self, provider: Provider, **capabilities: Any) -> None:
        self.provider = provider
        self.capabilities = BackendCapabilities(max_qubits=8, **capabilities)
        self.fingerprint = "fake"
        simulator = get_backend("mock")
        assert isinstance(simulator, LocalBackend)
        self._simulator = simulator

    def price(self, compiled: Any, batch: CircuitBatch) -> Cost:
        usd = 0.01 * batch.n_circuits
        return Cost(usd_low=usd, usd_high=usd, circuits=batch.n_circuits, shots=batch.n_shots, jobs=1)

    async def submit(self, batches: Sequence[CircuitBatch], compiled: Sequence[Any], token: str) -> str:
        self.provider.posts += 1
        fault = self.provider.submit_faults.pop(0) if self.provider.submit_faults else ""
        if fault == "busy":
            raise TransientError("too many requests", retry_after=0.002)
        if fault == "rejected":
            raise JobRejectedError("the circuit is too deep")
        if fault == "lost before":
            raise AmbiguousError("the connection was closed")
        job_id = f"job-{len(self.provider.jobs) + 1}"
        self.provider.jobs[job_id] = (token, tuple(batches))
        if fault == "lost after":
            raise AmbiguousError("the connection was closed")
        if fault == "killed after":
            raise KeyboardInterrupt
        return job_id

    def _read(self) -> None:
        fault = self.provider.read_faults.pop(0) if self.provider.read_faults else ""
        if fault == "busy":
            raise TransientError("service unavailable")
        if fault == "lost":
            raise AmbiguousError("time-out")

    async def status(self, job_id: str) -> JobStatus:
        self._read()
        end = self.provider.ends.pop(0) if self.provider.ends else JobState.DONE
        return JobStatus(end, "calibration lost" if end is JobState.FAILED else "")

    async def fetch(
        self, job_id: str, batches: Sequence[CircuitBatch], compiled: Sequence[Any]
    ) -> tuple[BatchResult, ...]:
        self._read()
        simulator = self._simulator
        return tuple(
            [await simulator.execute(batch, simulator.compile(batch.structure, batch.groups)) for batch in batches]
        )

    async def find(self, token: str) -> str | None:
        if self.provider.find_lag:
            self.provider.find_lag -= 1
            return None
        return next((job_id for job_id, (found, _) in self.provider.jobs.items() if found == token), None)

    async def cancel(self, job_id: str) -> None:
        self.provider.cancelled.append(job_id)

    async def cost(self, job_id: str) -> Cost | None:
        self._read()
        return None


class Choosy(Remote):
    """A provider whose jobs hold a few rows with one number of shots."""

    most = 0

    def fits(self, batches: Sequence[CircuitBatch], compiled: Sequence[Any]) -> bool:
        assert len(batches) == len(compiled)
        return len({each.shots for each in batches}) == 1 and sum(each.n_rows for each in batches) <= self.most


def batch(n_rows: int = 4, shots: int | None = 20, seed: int = 0) -> CircuitBatch:
    angles = CIRCUIT.angles(parameters=np.linspace(0, 1, n_rows)[:, None])
    draws = np.arange(n_rows, dtype=np.uint64) + np.uint64(1000 * seed)
    return CircuitBatch(CIRCUIT.structure, angles, OBSERVABLES, shots, None if shots is None else draws)


def run(executor: Executor, *batches: CircuitBatch) -> tuple[BatchResult, ...]:
    return asyncio.run(executor.run(batches))


def same(one: BatchResult, other: BatchResult) -> bool:
    assert one.counts is not None
    assert other.counts is not None
    return [counts.to_dicts() for counts in one.counts] == [counts.to_dicts() for counts in other.counts]


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def expected() -> BatchResult:
    (result,) = run(Executor(get_backend("mock")), batch())
    return result


class TestOneJob:
    def test_a_batch_is_one_job_and_its_rows_are_those_of_a_simulator(
        self, provider: Provider, expected: BatchResult
    ) -> None:
        (result,) = run(Executor(Remote(provider)), batch())
        assert provider.posts == len(provider.jobs) == 1
        assert same(result, expected)

    def test_several_batches_travel_together(self, provider: Provider) -> None:
        run(Executor(Remote(provider)), batch(), batch(seed=1))
        assert provider.posts == 1
        assert provider.circuits_paid == 8

    def test_limits_split_what_is_too_large_without_changing_rows(
        self, provider: Provider, expected: BatchResult
    ) -> None:
        executor = Executor(Remote(provider, max_circuits_per_job=3))
        first, second = run(executor, batch(), batch(seed=1))
        assert max(sum(part.n_circuits for part in batches) for _, batches in provider.jobs.values()) <= 3
        assert provider.circuits_paid == 8
        assert same(first, expected)
        assert second.n_rows == 4

    @pytest.mark.parametrize(
        ("most", "sizes"), [(3, [[3], [1, 1], [3], [1]]), (5, [[4, 1], [4]]), (1, [[1]] * 9)], ids=str
    )
    def test_a_backend_can_say_itself_what_a_job_holds(
        self, most: int, sizes: list[list[int]], provider: Provider, expected: BatchResult
    ) -> None:
        backend = Choosy(provider)
        backend.most = most
        first, *_ = run(Executor(backend), batch(), batch(1, seed=1), batch(shots=9))
        assert [[each.n_rows for each in batches] for _, batches in provider.jobs.values()] == sizes
        assert same(first, expected)

    def test_a_row_that_no_job_holds_is_refused(self, provider: Provider) -> None:
        with pytest.raises(CapabilityError, match="a single row of circuits is more than one job of backend 'fake'"):
            run(Executor(Choosy(provider)), batch())
        assert not provider.posts

    def test_a_backend_can_price_the_batches_of_a_job_together(self, provider: Provider) -> None:
        class Cheap(Remote):
            def price_job(self, compiled: Sequence[Any], batches: Sequence[CircuitBatch]) -> Cost:
                return Cost(usd_low=1.0, usd_high=2.0, circuits=sum(each.n_circuits for each in batches), jobs=1)

        requests = (batch(), batch(seed=1))
        assert Executor(Remote(provider)).price(requests) == Cost(0.08, 0.08, circuits=8, shots=160, jobs=1)
        assert Executor(Cheap(provider)).price(requests) == Cost(1.0, 2.0, circuits=8, jobs=1)

    def test_more_bases_than_a_job_holds_are_refused(self, provider: Provider) -> None:
        observables = (PauliString("Z0"), PauliString("X0"), PauliString("Y0"))
        wide = CircuitBatch(CIRCUIT.structure, np.zeros((2, 1)), observables, 5, np.arange(2, dtype=np.uint64))
        with pytest.raises(CapabilityError, match=r"need 3 measurement bases, one circuit each, and .* takes 2"):
            run(Executor(Remote(provider, max_circuits_per_job=2)), wide)
        assert provider.posts == 0

    def test_one_circuit_a_job_is_possible_for_comparison(self, provider: Provider) -> None:
        run(Executor(Remote(provider), options=ExecutorOptions(one_circuit_per_job=True)), batch())
        assert provider.posts == 4

    def test_rows_that_are_equal_are_sent_once(self, provider: Provider, expected: BatchResult) -> None:
        first, second = run(Executor(Remote(provider)), batch(), batch())
        assert provider.circuits_paid == 4
        assert same(first, expected)
        assert same(second, expected)

    def test_what_the_journal_has_is_not_sent_again(self, provider: Provider, expected: BatchResult) -> None:
        executor = Executor(Remote(provider))
        run(executor, batch())
        (again,) = run(executor, batch())
        assert provider.posts == 1
        assert same(again, expected)
        assert executor.spent.circuits == 4

    def test_the_price_is_counted_where_the_provider_does_not_say(self, provider: Provider) -> None:
        executor = Executor(Remote(provider))
        run(executor, batch())
        assert executor.spent == Cost(usd_low=0.04, usd_high=0.04, circuits=4, shots=80, jobs=1)
        assert executor.tracker.total == executor.spent

    def test_the_providers_dollars_count_and_our_circuits(self, provider: Provider) -> None:
        class Telling(Remote):
            async def cost(self, job_id: str) -> Cost | None:
                return Cost(usd_low=0.03, usd_high=0.03)

        executor = Executor(Telling(provider))
        run(executor, batch())
        assert executor.spent == Cost(usd_low=0.03, usd_high=0.03, circuits=4, shots=80, jobs=1)


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
    def test_a_submit_that_fails_is_paid_once(
        self, provider: Provider, expected: BatchResult, faults: list[str], posts: int
    ) -> None:
        provider.submit_faults = faults
        executor = Executor(Remote(provider))
        (result,) = run(executor, batch())
        assert provider.posts == posts
        assert provider.circuits_paid == 4
        assert executor.spent.circuits == 4
        assert same(result, expected)

    def test_a_job_that_is_listed_late_is_found(self, provider: Provider) -> None:
        provider.submit_faults, provider.find_lag = ["lost after"], 3
        run(Executor(Remote(provider)), batch())
        assert provider.posts == 1

    def test_reads_are_repeated(self, provider: Provider, expected: BatchResult) -> None:
        provider.read_faults = ["busy", "lost", "", "lost", "busy", "", "busy", "lost"]
        (result,) = run(Executor(Remote(provider)), batch())
        assert same(result, expected)

    @pytest.mark.parametrize("end", [JobState.FAILED, JobState.CANCELLED])
    def test_a_job_that_ends_without_results_is_sent_again(self, provider: Provider, end: JobState) -> None:
        provider.ends = [JobState.QUEUED, end]
        executor = Executor(Remote(provider))
        run(executor, batch())
        assert provider.posts == 2
        # what the failed job cost is not known, so it counts in full
        assert executor.spent.circuits == 8

    def test_a_job_that_fails_too_often_ends_the_run_with_the_reason(self, provider: Provider) -> None:
        provider.ends = [JobState.FAILED] * 3
        with pytest.raises(JobFailedError, match=r"job job-3 failed: calibration lost, after 3 attempts"):
            run(Executor(Remote(provider)), batch())

    def test_a_job_that_is_refused_costs_nothing(self, provider: Provider) -> None:
        provider.submit_faults = ["rejected"]
        executor = Executor(Remote(provider))
        with pytest.raises(JobRejectedError, match="too deep"):
            run(executor, batch())
        assert executor.spent == Cost()

    def test_the_others_are_brought_in_when_one_is_refused(self, provider: Provider) -> None:
        provider.submit_faults = ["", "rejected", ""]
        journal = Journal(None)
        executor = Executor(Remote(provider, max_circuits_per_job=4), journal=journal)
        with pytest.raises(JobRejectedError):
            run(executor, batch(), batch(seed=1), batch(seed=2))
        states = sorted(record.state.value for record in journal.records())
        assert states == ["done", "done", "never accepted"]

    def test_a_late_job_is_reported_and_not_abandoned(
        self, provider: Provider, caplog: pytest.LogCaptureFixture
    ) -> None:
        provider.ends = [JobState.RUNNING] * 10
        with caplog.at_level(logging.WARNING, logger="qstore"):
            run(Executor(Remote(provider), options=ExecutorOptions(late_after=0.005)), batch())
        assert [record for record in caplog.records if "is late: running" in record.message]
        assert provider.posts == 1


class TestInterruptions:
    def test_a_job_that_was_accepted_as_the_process_died_is_found_and_not_paid_again(
        self, provider: Provider, expected: BatchResult, tmp_path: Path
    ) -> None:
        provider.submit_faults = ["killed after"]
        with pytest.raises(KeyboardInterrupt):
            run(Executor(Remote(provider), journal=Journal(tmp_path / "journal.sqlite")), batch())
        journal = Journal(tmp_path / "journal.sqlite")
        assert [record.state for record in journal.records()] == [RecordState.INTENT]
        (result,) = run(Executor(Remote(provider), journal=journal), batch())
        assert provider.posts == 1
        assert same(result, expected)

    def test_a_job_that_was_waited_for_as_the_process_died_is_fetched(
        self, provider: Provider, expected: BatchResult, tmp_path: Path
    ) -> None:
        provider.ends = [JobState.QUEUED] * 1000

        async def cut_short() -> None:
            executor = Executor(Remote(provider), journal=Journal(tmp_path / "journal.sqlite"))
            await asyncio.wait_for(executor.run((batch(),)), 0.05)

        with pytest.raises(TimeoutError):
            asyncio.run(cut_short())
        provider.ends = []
        journal = Journal(tmp_path / "journal.sqlite")
        assert [record.state for record in journal.records()] == [RecordState.SUBMITTED]
        (result,) = run(Executor(Remote(provider), journal=journal), batch())
        assert provider.posts == 1
        assert provider.cancelled == []
        assert same(result, expected)

    def test_a_job_that_was_never_accepted_is_sent_again(self, provider: Provider, tmp_path: Path) -> None:
        journal = Journal(tmp_path / "journal.sqlite")
        journal.intend("circuits", 1, "fake", Cost(circuits=4, jobs=1), encode_batches([batch()]))
        executor = Executor(Remote(provider), journal=journal, account=Account(spent=journal.total()))
        run(executor, batch())
        assert provider.posts == 1
        assert executor.spent.circuits == 4
        assert [record.state for record in journal.records()] == [RecordState.NEVER_ACCEPTED, RecordState.DONE]

    def test_an_open_job_of_another_account_is_not_taken_for_lost(self, provider: Provider, tmp_path: Path) -> None:
        provider.submit_faults = ["killed after"]
        with pytest.raises(KeyboardInterrupt):
            run(Executor(Remote(provider), journal=Journal(tmp_path / "journal.sqlite")), batch())
        other = Remote(Provider())
        other.account = "another"
        journal = Journal(tmp_path / "journal.sqlite")
        for work in (lambda: run(Executor(other, journal=journal), batch()), lambda: cancel(other, journal)):
            with pytest.raises(JournalError, match=r"open at another provider or account .* go on where it was sent"):
                work()
        assert other.provider.posts == 0
        assert [record.state for record in journal.records()] == [RecordState.INTENT]


def cancel(backend: Remote, journal: Journal) -> int:
    return asyncio.run(Executor(backend, journal=journal).cancel_open_jobs())


class TestInOneProcess:
    def test_what_was_cut_short_is_waited_for_again_and_not_sent_again(
        self, provider: Provider, expected: BatchResult
    ) -> None:
        provider.ends = [JobState.QUEUED] * 1000
        executor = Executor(Remote(provider))
        with pytest.raises(TimeoutError):
            asyncio.run(asyncio.wait_for(executor.run((batch(),)), 0.05))
        provider.ends = []
        (result,) = run(executor, batch())
        assert provider.posts == 1
        assert executor.spent.circuits == 4
        assert same(result, expected)

    def test_two_at_once_bring_in_an_earlier_job_once(self, provider: Provider, tmp_path: Path) -> None:
        provider.submit_faults = ["killed after"]
        with pytest.raises(KeyboardInterrupt):
            run(Executor(Remote(provider), journal=Journal(tmp_path / "journal.sqlite")), batch())
        journal = Journal(tmp_path / "journal.sqlite")
        executor = Executor(Remote(provider), journal=journal, account=Account(spent=journal.total()))

        async def both() -> None:
            await asyncio.gather(executor.run((batch(),)), executor.run((batch(seed=1),)))

        asyncio.run(both())
        assert provider.posts == 2
        assert executor.spent == journal.total()
        assert executor.spent.usd_high == pytest.approx(0.08)

    def test_the_limit_on_jobs_holds_over_everything_under_way(self, provider: Provider) -> None:
        provider.ends = [JobState.QUEUED] * 6
        executor = Executor(Remote(provider), options=ExecutorOptions(max_concurrent_jobs=2))
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


class TestBudget:
    def test_of_two_lists_at_once_one_is_sent_whole_and_the_other_not_at_all(self, provider: Provider) -> None:
        executor = Executor(Remote(provider, max_circuits_per_job=2), account=Account(Budget(circuits=6)))

        async def both() -> list[Any]:
            runs = (executor.run((batch(),)), executor.run((batch(seed=1),)))
            return await asyncio.gather(*runs, return_exceptions=True)

        outcomes = asyncio.run(both())
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["BudgetExceededError", "tuple"]
        assert provider.circuits_paid == executor.spent.circuits == 4

    def test_a_local_backend_runs_all_batches_or_none(self) -> None:
        executor = Executor(get_backend("mock"), account=Account(Budget(circuits=6)))
        with pytest.raises(BudgetExceededError):
            run(executor, batch(), batch(seed=1))
        assert executor.spent == Cost()

    def test_what_was_stopped_before_it_was_sent_costs_nothing(self, provider: Provider) -> None:
        provider.ends = [JobState.QUEUED] * 1000
        options = ExecutorOptions(one_circuit_per_job=True, max_concurrent_jobs=1)
        executor = Executor(Remote(provider), options=options)
        with pytest.raises(TimeoutError):
            asyncio.run(asyncio.wait_for(executor.run((batch(),)), 0.05))
        assert provider.posts == 1
        assert executor.spent.circuits == 1

    def test_what_could_pass_the_cap_is_not_sent(self, provider: Provider) -> None:
        executor = Executor(Remote(provider), account=Account(Budget(usd=0.10)))
        run(executor, batch(), batch(seed=1))
        with pytest.raises(
            BudgetExceededError, match=r"0\.1 USD: 0\.08 spent or reserved, and the next batch needs 0\.04"
        ):
            run(executor, batch(seed=2))
        assert provider.circuits_paid == 8

    def test_either_all_jobs_of_a_step_are_sent_or_none(self, provider: Provider) -> None:
        executor = Executor(Remote(provider, max_circuits_per_job=2), account=Account(Budget(circuits=6)))
        with pytest.raises(BudgetExceededError):
            run(executor, batch(), batch(seed=1))
        assert provider.posts == 0

    def test_a_failed_attempt_counts_so_the_cap_holds(self, provider: Provider) -> None:
        provider.ends = [JobState.FAILED]
        executor = Executor(Remote(provider), account=Account(Budget(circuits=7)))
        with pytest.raises(BudgetExceededError):
            run(executor, batch())
        assert provider.circuits_paid == 4


def test_an_executor_survives_several_event_loops(provider: Provider) -> None:
    executor = Executor(Remote(provider))
    for seed in range(3):
        run(executor, batch(seed=seed))
    assert provider.posts == 3


def test_many_jobs_are_sent_with_bounded_concurrency(provider: Provider) -> None:
    class Watched(Remote):
        running = most = 0

        async def submit(self, batches: Sequence[CircuitBatch], compiled: Sequence[Any], token: str) -> str:
            Watched.running += 1
            Watched.most = max(Watched.most, Watched.running)
            await asyncio.sleep(0.001)
            Watched.running -= 1
            return await super().submit(batches, compiled, token)

    options = ExecutorOptions(one_circuit_per_job=True, max_concurrent_jobs=3)
    run(Executor(Watched(provider), options=options), batch(20))
    assert provider.posts == 20
    assert Watched.most == 3


class BrokenCache:
    """A cache on a disk that is full."""

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        raise CacheError("disk I/O error")

    async def put_many(self, items: Mapping[str, bytes]) -> None:
        raise CacheError("disk full")

    async def clear(self) -> None: ...

    def stats(self) -> CacheStatistics:
        return CacheStatistics()


@pytest.mark.parametrize("remote", [True, False])
def test_a_cache_that_breaks_costs_only_what_it_would_have_saved(
    provider: Provider, expected: BatchResult, caplog: pytest.LogCaptureFixture, *, remote: bool
) -> None:
    backend = Remote(provider) if remote else get_backend("mock")
    (result,) = run(Executor(backend, cache=QuantumCircuitCache(results=BrokenCache())), batch())
    assert same(result, expected)
    assert "the result cache cannot be read: disk I/O error" in caplog.text
    assert "the result cache cannot be written: disk full" in caplog.text


def test_a_cache_of_another_run_saves_jobs(provider: Provider, expected: BatchResult) -> None:
    cache = QuantumCircuitCache()
    run(Executor(Remote(provider), cache=cache), batch())
    executor = Executor(Remote(provider), cache=cache)
    (result,) = run(executor, batch())
    assert provider.posts == 1
    assert executor.spent == Cost()
    assert executor.tracker.circuits_reused == 4
    assert same(result, expected)
