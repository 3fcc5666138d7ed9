"""Tasks that ask a provider for the same circuits at once: they are paid once, and nobody waits in vain."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from faulty_provider import Faulty, Provider, as_simulated, batch, run

from qstore_core.account import Account
from qstore_core.backend import JobState, JobStatus
from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.circuit_cache import QuantumCircuitCache
from qstore_core.cost import Budget, Cost
from qstore_core.errors import BudgetExceededError, JobFailedError, JobRejectedError
from qstore_core.executor import Executor, ExecutorOptions


class Held(Faulty):
    """A provider whose jobs run for as long as they are held."""

    async def status(self, job_id: str) -> JobStatus:
        return JobStatus(JobState.RUNNING) if self.held else await super().status(job_id)


async def at_once(executor: Executor, *batches: CircuitBatch) -> list[Any]:
    """What as many tasks get, or their errors."""
    tasks = [asyncio.create_task(executor.run((each,))) for each in batches]
    return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)


@pytest.mark.parametrize("cache", [None, QuantumCircuitCache()], ids=["alone", "cache"])
def test_equal_circuits_of_two_tasks_are_paid_once(provider: Provider, cache: QuantumCircuitCache | None) -> None:
    executor = Executor(Faulty(provider), cache=cache)
    outcomes = asyncio.run(at_once(executor, batch(), batch(), batch()))
    assert all(as_simulated(result) for (result,) in outcomes)
    assert provider.posts == 1
    assert executor.spent == Cost(usd_low=0.04, usd_high=0.04, circuits=4, shots=80, jobs=1)
    assert executor.tracker.circuits_reused == 8


def test_only_the_rows_that_nobody_is_running_are_sent(provider: Provider) -> None:
    executor = Executor(Faulty(provider))
    both = batch(8)
    shared, other = both.rows(0, 5), both.rows(3, 8)
    (first,), (second,) = asyncio.run(at_once(executor, shared, other))
    assert provider.circuits_paid == 8
    assert first.n_rows == second.n_rows == 5
    assert first.counts[0].to_dicts()[3:] == second.counts[0].to_dicts()[:2]


def test_tasks_that_need_rows_of_each_other_do_not_wait_in_a_circle(provider: Provider) -> None:
    executor = Executor(Faulty(provider), options=ExecutorOptions(max_concurrent_jobs=1))
    every = batch(9)
    parts = [every.rows(0, 6), every.rows(3, 9), every.take(np.array([8, 7, 1, 0]))]
    outcomes = asyncio.run(at_once(executor, *parts))
    assert [result.n_rows for (result,) in outcomes] == [6, 6, 4]
    assert provider.circuits_paid == 9


def test_when_the_first_task_fails_the_second_sends_them_itself(provider: Provider) -> None:
    provider.submit_faults = ["rejected"]
    executor = Executor(Faulty(provider))
    failed, ((result),) = asyncio.run(at_once(executor, batch(), batch()))
    assert isinstance(failed, JobRejectedError)
    assert as_simulated(result)
    assert (provider.circuits_paid, executor.spent.circuits) == (4, 4)


def test_each_task_has_an_error_of_its_own(provider: Provider) -> None:
    provider.ends = [JobState.FAILED] * 2
    executor = Executor(Faulty(provider), options=ExecutorOptions(max_attempts=1))
    outcomes = asyncio.run(at_once(executor, batch(), batch()))
    assert [type(outcome) for outcome in outcomes] == [JobFailedError] * 2
    assert outcomes[0] is not outcomes[1]


def test_the_budget_is_asked_for_each_task(provider: Provider) -> None:
    executor = Executor(Faulty(provider), account=Account(Budget(circuits=3)))
    outcomes = asyncio.run(at_once(executor, batch(), batch()))
    assert [type(outcome) for outcome in outcomes] == [BudgetExceededError] * 2
    assert executor.spent == Cost()


@pytest.mark.parametrize("sent", [True, False])
def test_when_the_first_task_is_cancelled_the_second_has_the_results(provider: Provider, *, sent: bool) -> None:
    async def both() -> tuple[BatchResult, ...]:
        first, second = (asyncio.create_task(executor.run((batch(),))) for _ in range(2))
        await asyncio.sleep(0.01 if sent else 0)
        backend.held = False
        first.cancel()
        answer = await asyncio.wait_for(second, 10)
        assert first.cancelled()
        return answer

    backend = Held(provider)
    backend.held = True
    executor = Executor(backend)
    (result,) = asyncio.run(both())
    assert as_simulated(result)
    assert provider.posts == 1
    assert executor.spent.circuits == 4


def test_a_task_that_is_cancelled_while_it_waits_leaves_the_others_alone(provider: Provider) -> None:
    async def three() -> list[Any]:
        first, second, third = (asyncio.create_task(executor.run((batch(),))) for _ in range(3))
        await asyncio.sleep(0.01)
        second.cancel()
        return await asyncio.wait_for(asyncio.gather(first, second, third, return_exceptions=True), 10)

    provider.ends = [JobState.RUNNING] * 5
    executor = Executor(Faulty(provider))
    (first,), cancelled, (third,) = asyncio.run(three())
    assert as_simulated(first)
    assert as_simulated(third)
    assert isinstance(cancelled, asyncio.CancelledError)
    assert provider.posts == 1


def test_what_the_journal_has_is_not_waited_for(provider: Provider) -> None:
    async def known_while_others_run() -> BatchResult:
        await executor.run((every.rows(0, 4),))
        backend.held = True
        longer = asyncio.create_task(executor.run((every,)))
        await asyncio.sleep(0.02)
        (result,) = await asyncio.wait_for(executor.run((every.rows(0, 4),)), 10)
        backend.held = False
        await longer
        return result

    backend, every = Held(provider), batch(8)
    executor = Executor(backend)
    assert asyncio.run(known_while_others_run()).n_rows == 4


def test_a_loop_that_was_left_in_the_middle_keeps_nobody_waiting(provider: Provider) -> None:
    backend = Held(provider)
    backend.held = True
    executor = Executor(backend)
    loop = asyncio.new_event_loop()
    task = loop.create_task(executor.run((batch(),)))
    loop.run_until_complete(asyncio.sleep(0.02))
    backend.held = False
    other = replace(batch(), draws=np.arange(50, 54, dtype=np.uint64))
    (result,) = run(executor, other)
    assert result.n_rows == 4
    loop.run_until_complete(task)
    loop.close()


def test_two_threads_come_to_their_ends(provider: Provider) -> None:
    def work(seeds: Sequence[int]) -> None:
        for seed in seeds:
            results.extend(run(executor, batch(seed=seed)))

    executor, results = Executor(Faulty(provider)), list[BatchResult]()
    threads = [threading.Thread(target=work, args=(seeds,), daemon=True) for seeds in ((0, 1, 2), (2, 1, 0))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(results) == 6
