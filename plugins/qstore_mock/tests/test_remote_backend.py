"""The backend `mock.remote` against a provider in a process of its own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from qstore_mock.backend import MockBackend
from qstore_mock.remote.backend import RemoteMockBackend
from qstore_mock.remote.process import RunningProvider, provider
from qstore_mock.remote.wire import batches_to_json, circuit_digests, results_to_json
from remote_batches import PRICES, batch_of

from qstore_core.backend import JobState
from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.circuit import QuantumCircuit
from qstore_core.cost import Cost
from qstore_core.errors import BackendError, CapabilityError, JobRejectedError, TransientError
from qstore_core.observables import PauliSum
from qstore_core.randomness import StepKey

Execute = Callable[[MockBackend, CircuitBatch], BatchResult]


@pytest.fixture(scope="module")
def slow() -> Iterator[RunningProvider]:
    """A provider whose jobs wait for ten minutes, and do not show in searches for as long."""
    with provider(queue=600, circuit_seconds=5, find_lag=600, max_circuits=6, max_shots=50, max_qubits=3) as process:
        yield process


@pytest.fixture
def backend(running: RunningProvider) -> RemoteMockBackend:
    return RemoteMockBackend(url=running.url)


def compiled(batches: tuple[CircuitBatch, ...], backend: RemoteMockBackend) -> list[Any]:
    return [backend.compile(batch.structure, batch.groups) for batch in batches]


async def run(backend: RemoteMockBackend, *batches: CircuitBatch, token: str = "t") -> tuple[BatchResult, ...]:
    job = await backend.submit(batches, compiled(batches, backend), token)
    while (await backend.status(job)).state is not JobState.DONE:
        await asyncio.sleep(0.01)
    return await backend.fetch(job, batches, compiled(batches, backend))


def as_text(*results: BatchResult) -> str:
    """Equal for results that are equal bit for bit."""
    return json.dumps(results_to_json(results))


class TestResults:
    @pytest.mark.parametrize("shots", [None, 20])
    def test_they_are_those_of_the_local_simulator_bit_for_bit(
        self,
        shots: int | None,
        backend: RemoteMockBackend,
        execute: Execute,
        random_circuit: Callable[..., QuantumCircuit],
        random_observables: Callable[..., tuple[PauliSum, ...]],
        rng: np.random.Generator,
    ) -> None:
        batches = []
        for n_qubits, observables in ((3, None), (4, random_observables(rng, 4)), (4, random_observables(rng, 4))):
            structure = random_circuit(rng, n_qubits).structure
            draws = None if shots is None else StepKey(2).draws(sample=np.arange(5))
            angles = rng.normal(size=(5, structure.n_angles))
            batches.append(CircuitBatch(structure, angles, observables, shots, draws))
        results = asyncio.run(run(backend, *batches))
        assert as_text(*results) == as_text(*(execute(MockBackend(), batch) for batch in batches))

    def test_noise_is_the_providers(self, execute: Execute) -> None:
        with provider(depolarizing="0.01:0.02", readout_error=0.03) as noisy:
            backend = RemoteMockBackend(url=noisy.url)
            (result,) = asyncio.run(run(backend, batch_of(shots=9)))
        local = MockBackend(depolarizing=(0.01, 0.02), readout_error=0.03)
        assert as_text(result) == as_text(execute(local, batch_of(shots=9)))
        assert backend.capabilities.noisy
        assert backend.fingerprint == f"mock.remote({local.fingerprint})"

    def test_a_fresh_process_can_take_over(self, backend: RemoteMockBackend, running: RunningProvider) -> None:
        batch = batch_of(shots=10)
        here = asyncio.run(run(backend, batch, token="taken over"))
        script = """
import asyncio, json, sys
from qstore_core import get_backend
from qstore_mock.remote.wire import batches_from_json, results_to_json
backend = get_backend("mock.remote")
batches = batches_from_json(json.loads(sys.stdin.read()))
compiled = [backend.compile(batch.structure, batch.groups) for batch in batches]
job = asyncio.run(backend.find("taken over"))
state = asyncio.run(backend.status(job)).state
results = asyncio.run(backend.fetch(job, batches, compiled))
print(state.value, asyncio.run(backend.cost(job)).shots, json.dumps(results_to_json(results)), sep="|")
"""
        there = subprocess.run(
            [sys.executable, "-c", script],
            input=json.dumps(batches_to_json([batch])),
            env={"QSTORE_MOCK_URL": running.url},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert there.stdout.strip() == f"done|{batch.n_shots}|{as_text(*here)}"

    def test_those_of_another_job_are_refused(self, backend: RemoteMockBackend) -> None:
        async def fetch() -> None:
            job = await backend.submit([batch_of()], [None], "mixed up")
            await backend.fetch(job, [batch_of(2)], [None])

        with pytest.raises(BackendError, match=r"results of \[3\] rows for batches of \[2\]"):
            asyncio.run(fetch())

    def test_an_unknown_job_is_named(self, backend: RemoteMockBackend) -> None:
        for ask in (backend.status, backend.cost, backend.cancel):
            with pytest.raises(BackendError, match=r"404: no job 'nope/\?'"):
                asyncio.run(ask("nope/?"))


class TestWaitingJobs:
    def test_they_are_queued_and_without_results_or_cost(self, slow: RunningProvider) -> None:
        backend, batch = RemoteMockBackend(url=slow.url), batch_of()
        job = asyncio.run(backend.submit([batch], [None], "waits"))
        assert asyncio.run(backend.status(job)).state is JobState.QUEUED
        assert asyncio.run(backend.cost(job)) is None
        with pytest.raises(TransientError, match="not there yet; the job is queued"):
            asyncio.run(backend.fetch(job, [batch], [None]))

    def test_cancelling_one_is_free_and_final(self, slow: RunningProvider) -> None:
        backend = RemoteMockBackend(url=slow.url)
        job = asyncio.run(backend.submit([batch_of()], [None], "stopped"))
        for _ in range(2):
            asyncio.run(backend.cancel(job))
        status = asyncio.run(backend.status(job))
        assert (status.state, status.reason) == (JobState.CANCELLED, "cancelled by the user")
        assert asyncio.run(backend.cost(job)) == Cost(jobs=1)

    def test_searches_find_them_late(self, slow: RunningProvider) -> None:
        backend = RemoteMockBackend(url=slow.url)
        asyncio.run(backend.submit([batch_of()], [None], "lagging"))
        assert asyncio.run(backend.find("lagging")) is None
        assert "lagging" in {entry.token for entry in slow.ledger()}
        assert backend.pacing.find_grace > 600

    def test_a_job_that_is_done_stays_done(self, backend: RemoteMockBackend) -> None:
        job = asyncio.run(backend.submit([batch_of()], [None], "too late to stop"))
        asyncio.run(backend.cancel(job))
        assert asyncio.run(backend.status(job)).state is JobState.DONE


class TestFind:
    def test_a_job_is_found_by_its_token(self, backend: RemoteMockBackend) -> None:
        token = "run 7/step 3&job=1 é"
        job = asyncio.run(backend.submit([batch_of()], [None], token))
        assert asyncio.run(backend.find(token)) == job
        assert asyncio.run(backend.find(token + "0")) is None

    def test_a_token_that_was_sent_twice_was_paid_twice(
        self, backend: RemoteMockBackend, running: RunningProvider
    ) -> None:
        first, second = (asyncio.run(backend.submit([batch_of()], [None], "twice")) for _ in range(2))
        assert first != second
        assert asyncio.run(backend.find("twice")) == first
        entries = [entry for entry in running.ledger() if entry.token == "twice"]
        assert len(entries) == 2
        assert entries[0].digest == entries[1].digest


class TestPrices:
    def test_both_readings_of_the_list(self, backend: RemoteMockBackend) -> None:
        batch = batch_of(10, shots=100)
        price = backend.price(None, batch)
        assert (price.circuits, price.shots, price.jobs) == (20, 2000, 1)
        assert price.usd_low == pytest.approx(0.5 + 20 * 0.01 + 2000 * 0.001)
        assert price.usd_high == pytest.approx(0.5 + 20 * 0.02 + 2000 * 0.001)

    def test_the_minimum_counts_once_a_job(self, backend: RemoteMockBackend) -> None:
        price = backend.price(None, batch_of(1))
        assert (price.usd_low, price.usd_high) == (1.0, 2.0)

    def test_what_is_charged_is_the_cheaper_reading_unless_told_otherwise(self, backend: RemoteMockBackend) -> None:
        batch = batch_of(10, shots=100)
        low = backend.price(None, batch).usd_low
        job = asyncio.run(backend.submit([batch], [None], "charged"))
        assert asyncio.run(backend.cost(job)) == Cost(low, low, circuits=20, shots=2000, jobs=1)
        with provider(**PRICES, charge="high") as dear:
            other = RemoteMockBackend(url=dear.url)
            job = asyncio.run(other.submit([batch], [None], "charged"))
            cost = asyncio.run(other.cost(job))
        assert cost is not None
        assert cost.usd_high == backend.price(None, batch).usd_high

    def test_seconds_are_those_of_the_circuits(self, slow: RunningProvider) -> None:
        assert RemoteMockBackend(url=slow.url).price(None, batch_of(4)).seconds == 20.0

    def test_capabilities_tell_the_dearer_one(self, backend: RemoteMockBackend, slow: RunningProvider) -> None:
        prices = backend.capabilities.prices
        assert prices is not None
        assert (prices.per_job, prices.per_circuit, prices.per_shot) == (0.5, 0.02, 0.001)
        assert RemoteMockBackend(url=slow.url).capabilities.prices is None


class TestLimits:
    @pytest.mark.parametrize(
        ("batch", "reason"),
        [
            (batch_of(7), "422: the job has 7 circuits; at most 6 are allowed"),
            (batch_of(4, shots=10), "422: the job has 8 circuits; at most 6 are allowed"),
            (batch_of(1, shots=51), "422: a circuit has 51 shots; at most 50 are allowed"),
            (batch_of(1, n_qubits=4), "422: a circuit has 4 qubits; at most 3 are allowed"),
        ],
    )
    def test_a_job_beyond_them_is_refused_with_the_reason(
        self, batch: CircuitBatch, reason: str, slow: RunningProvider
    ) -> None:
        backend = RemoteMockBackend(url=slow.url)
        with pytest.raises(JobRejectedError, match=reason):
            asyncio.run(backend.submit([batch], [None], "refused"))
        assert "refused" not in {entry.token for entry in slow.ledger()}

    def test_they_count_over_all_batches_of_a_job(self, slow: RunningProvider) -> None:
        backend = RemoteMockBackend(url=slow.url)
        with pytest.raises(JobRejectedError, match="the job has 8 circuits"):
            asyncio.run(backend.submit([batch_of(4), batch_of(4)], [None, None], "refused"))

    def test_capabilities_tell_them_before_anything_is_sent(self, slow: RunningProvider) -> None:
        backend = RemoteMockBackend(url=slow.url)
        assert backend.capabilities.max_circuits_per_job == 6
        assert backend.capabilities.max_shots == 50
        with pytest.raises(CapabilityError, match=r"4 qubits and backend 'mock\.remote' at most 3"):
            backend.capabilities.check(batch_of(n_qubits=4), backend=backend.name)

    def test_a_job_without_batches_or_token_is_refused(self, backend: RemoteMockBackend) -> None:
        with pytest.raises(JobRejectedError, match="400: a job needs at least one batch"):
            asyncio.run(backend.submit([], [], "empty"))
        with pytest.raises(JobRejectedError, match="400: a job is an object with a token"):
            asyncio.run(backend.submit([batch_of()], [None], ""))


class TestConcurrency:
    def test_fifty_jobs_at_once(self, backend: RemoteMockBackend, execute: Execute) -> None:
        batches = [batch_of(shots=5, seed=seed) for seed in range(50)]

        async def all_of_them() -> list[tuple[BatchResult, ...]]:
            return await asyncio.gather(
                *(run(backend, batch, token=f"many {seed}") for seed, batch in enumerate(batches))
            )

        results = asyncio.run(all_of_them())
        assert as_text(*(result for (result,) in results)) == as_text(
            *(execute(MockBackend(), batch) for batch in batches)
        )

    def test_one_backend_serves_several_event_loops(self, backend: RemoteMockBackend) -> None:
        batch = batch_of()
        job = asyncio.run(backend.submit([batch], [None], "loops"))
        texts = [as_text(*asyncio.run(backend.fetch(job, [batch], [None]))) for _ in range(3)]
        others: list[str] = []
        threads = [
            threading.Thread(target=lambda: others.append(as_text(*asyncio.run(backend.fetch(job, [batch], [None])))))
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({*texts, *others}) == 1
        assert len(others) == 3

    def test_a_request_that_is_given_up_leaves_nothing_behind(self, slow: RunningProvider) -> None:
        backend = RemoteMockBackend(url=slow.url)

        async def give_up() -> None:
            task = asyncio.create_task(backend.submit([batch_of()], [None], "given up"))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await backend.submit([batch_of()], [None], "after it")

        asyncio.run(give_up())


def test_the_ledger_shows_each_circuit_once(backend: RemoteMockBackend, running: RunningProvider) -> None:
    batches = (batch_of(shots=3, seed=71), batch_of(seed=72), replace(batch_of(seed=73), observables=None))
    asyncio.run(run(backend, *batches, token="digests"))
    (entry,) = (entry for entry in running.ledger() if entry.token == "digests")
    assert entry.circuit_digests == tuple(digest for batch in batches for digest in circuit_digests(batch))
    assert (entry.circuits, entry.shots) == (len(entry.circuit_digests), batches[0].n_shots)
