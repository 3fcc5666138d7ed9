"""Remote jobs: what is sent in them, what they cost, and what a cache saves."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from faulty_provider import CIRCUIT, Faulty, Provider, as_simulated, batch, run

from qstore_core import (
    Budget,
    BudgetExceededError,
    CacheError,
    CacheStatistics,
    CapabilityError,
    CircuitBatch,
    Cost,
    JobState,
    PauliString,
    QuantumCircuitCache,
    get_backend,
)
from qstore_core.account import Account
from qstore_core.executor import Executor, ExecutorOptions


class Choosy(Faulty):
    """A provider whose jobs hold a few rows with one number of shots."""

    most = 0

    def fits(self, batches: Sequence[CircuitBatch], compiled: Sequence[Any]) -> bool:
        assert len(batches) == len(compiled)
        return len({each.shots for each in batches}) == 1 and sum(each.n_rows for each in batches) <= self.most


class TestOneJob:
    def test_a_batch_is_one_job_and_its_rows_are_those_of_a_simulator(self, provider: Provider) -> None:
        (result,) = run(Executor(Faulty(provider)), batch())
        assert provider.posts == len(provider.jobs) == 1
        assert as_simulated(result)

    def test_several_batches_travel_together(self, provider: Provider) -> None:
        run(Executor(Faulty(provider)), batch(), batch(seed=1))
        assert provider.posts == 1
        assert provider.circuits_paid == 8

    def test_limits_split_what_is_too_large_without_changing_rows(self, provider: Provider) -> None:
        executor = Executor(Faulty(provider, max_circuits_per_job=3))
        first, second = run(executor, batch(), batch(seed=1))
        assert max(sum(part.n_circuits for part in batches) for _, batches in provider.jobs.values()) <= 3
        assert provider.circuits_paid == 8
        assert as_simulated(first)
        assert second.n_rows == 4

    @pytest.mark.parametrize(
        ("most", "sizes"), [(3, [[3], [1, 1], [3], [1]]), (5, [[4, 1], [4]]), (1, [[1]] * 9)], ids=str
    )
    def test_a_backend_can_say_itself_what_a_job_holds(
        self, most: int, sizes: list[list[int]], provider: Provider
    ) -> None:
        backend = Choosy(provider)
        backend.most = most
        first, *_ = run(Executor(backend), batch(), batch(1, seed=1), batch(shots=9))
        assert [[each.n_rows for each in batches] for _, batches in provider.jobs.values()] == sizes
        assert as_simulated(first)

    def test_a_row_that_no_job_holds_is_refused(self, provider: Provider) -> None:
        with pytest.raises(CapabilityError, match="a single row of circuits is more than one job of backend 'fake'"):
            run(Executor(Choosy(provider)), batch())
        assert not provider.posts

    def test_a_backend_can_price_the_batches_of_a_job_together(self, provider: Provider) -> None:
        class Cheap(Faulty):
            def price_job(self, compiled: Sequence[Any], batches: Sequence[CircuitBatch]) -> Cost:
                return Cost(usd_low=1.0, usd_high=2.0, circuits=sum(each.n_circuits for each in batches), jobs=1)

        requests = (batch(), batch(seed=1))
        assert Executor(Faulty(provider)).price(requests) == Cost(0.08, 0.08, circuits=8, shots=160, jobs=1)
        assert Executor(Cheap(provider)).price(requests) == Cost(1.0, 2.0, circuits=8, jobs=1)

    def test_more_bases_than_a_job_holds_are_refused(self, provider: Provider) -> None:
        observables = (PauliString("Z0"), PauliString("X0"), PauliString("Y0"))
        wide = CircuitBatch(CIRCUIT.structure, np.zeros((2, 1)), observables, 5, np.arange(2, dtype=np.uint64))
        with pytest.raises(CapabilityError, match=r"need 3 measurement bases, one circuit each, and .* takes 2"):
            run(Executor(Faulty(provider, max_circuits_per_job=2)), wide)
        assert provider.posts == 0

    def test_one_circuit_a_job_is_possible_for_comparison(self, provider: Provider) -> None:
        run(Executor(Faulty(provider), options=ExecutorOptions(one_circuit_per_job=True)), batch())
        assert provider.posts == 4

    def test_rows_that_are_equal_are_sent_once(self, provider: Provider) -> None:
        first, second = run(Executor(Faulty(provider)), batch(), batch())
        assert provider.circuits_paid == 4
        assert as_simulated(first)
        assert as_simulated(second)

    def test_what_the_journal_has_is_not_sent_again(self, provider: Provider) -> None:
        executor = Executor(Faulty(provider))
        run(executor, batch())
        (again,) = run(executor, batch())
        assert provider.posts == 1
        assert as_simulated(again)
        assert executor.spent.circuits == 4

    def test_the_price_is_counted_where_the_provider_does_not_say(self, provider: Provider) -> None:
        executor = Executor(Faulty(provider))
        run(executor, batch())
        assert executor.spent == Cost(usd_low=0.04, usd_high=0.04, circuits=4, shots=80, jobs=1)
        assert executor.tracker.total == executor.spent

    def test_the_providers_dollars_count_and_our_circuits(self, provider: Provider) -> None:
        class Telling(Faulty):
            async def cost(self, job_id: str) -> Cost | None:
                return Cost(usd_low=0.03, usd_high=0.03)

        executor = Executor(Telling(provider))
        run(executor, batch())
        assert executor.spent == Cost(usd_low=0.03, usd_high=0.03, circuits=4, shots=80, jobs=1)


class TestBudget:
    def test_of_two_lists_at_once_one_is_sent_whole_and_the_other_not_at_all(self, provider: Provider) -> None:
        executor = Executor(Faulty(provider, max_circuits_per_job=2), account=Account(Budget(circuits=6)))

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
        executor = Executor(Faulty(provider), options=options)
        with pytest.raises(TimeoutError):
            asyncio.run(asyncio.wait_for(executor.run((batch(),)), 0.05))
        assert provider.posts == 1
        assert executor.spent.circuits == 1

    def test_what_could_pass_the_cap_is_not_sent(self, provider: Provider) -> None:
        executor = Executor(Faulty(provider), account=Account(Budget(usd=0.10)))
        run(executor, batch(), batch(seed=1))
        with pytest.raises(
            BudgetExceededError, match=r"0\.1 USD: 0\.08 spent or reserved, and the next batch needs 0\.04"
        ):
            run(executor, batch(seed=2))
        assert provider.circuits_paid == 8

    def test_either_all_jobs_of_a_step_are_sent_or_none(self, provider: Provider) -> None:
        executor = Executor(Faulty(provider, max_circuits_per_job=2), account=Account(Budget(circuits=6)))
        with pytest.raises(BudgetExceededError):
            run(executor, batch(), batch(seed=1))
        assert provider.posts == 0

    def test_a_failed_attempt_counts_so_the_cap_holds(self, provider: Provider) -> None:
        provider.ends = [JobState.FAILED]
        executor = Executor(Faulty(provider), account=Account(Budget(circuits=7)))
        with pytest.raises(BudgetExceededError):
            run(executor, batch())
        assert provider.circuits_paid == 4


def test_an_executor_survives_several_event_loops(provider: Provider) -> None:
    executor = Executor(Faulty(provider))
    for seed in range(3):
        run(executor, batch(seed=seed))
    assert provider.posts == 3


def test_many_jobs_are_sent_with_bounded_concurrency(provider: Provider) -> None:
    class Watched(Faulty):
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
    provider: Provider, caplog: pytest.LogCaptureFixture, *, remote: bool
) -> None:
    backend = Faulty(provider) if remote else get_backend("mock")
    (result,) = run(Executor(backend, cache=QuantumCircuitCache(results=BrokenCache())), batch())
    assert as_simulated(result)
    assert "the result cache cannot be read: disk I/O error" in caplog.text
    assert "the result cache cannot be written: disk full" in caplog.text


def test_a_cache_of_another_run_saves_jobs(provider: Provider) -> None:
    cache = QuantumCircuitCache()
    run(Executor(Faulty(provider), cache=cache), batch())
    executor = Executor(Faulty(provider), cache=cache)
    (result,) = run(executor, batch())
    assert provider.posts == 1
    assert executor.spent == Cost()
    assert executor.tracker.circuits_reused == 4
    assert as_simulated(result)
