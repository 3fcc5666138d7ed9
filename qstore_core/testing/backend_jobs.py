"""Whether a remote backend's jobs can be relied on: found again, fetched anywhere, cancelled, charged as priced."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np

from qstore_core.backend import Backend, JobState, RemoteBackend
from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.circuit import QuantumCircuit
from qstore_core.cost import Cost
from qstore_core.errors import QStoreError
from qstore_core.result_codec import encode_rows
from qstore_core.testing.bench import Bench, new_token
from qstore_core.testing.expect import must_refuse, require, skip
from qstore_core.testing.fresh import call_in_fresh_process
from qstore_core.testing.suite import BackendChecks, Factory

_ENDED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


class JobChecks(BackendChecks):
    """Jobs; skipped for local backends."""

    def test_results_are_fetched_in_a_fresh_process(self, make_backend: Factory) -> None:
        """A process that did not submit the job waits for it and fetches it: nothing is kept in memory."""
        bench = self.bench(make_backend)
        bench.remote()
        batches, _, job_id = _submitted(bench)
        fetched = call_in_fresh_process(
            _collect, make_backend, job_id, batches, self.patience, timeout=self.patience + 60
        )
        _check(bench, batches, fetched, "fetched in a fresh process")

    def test_results_can_be_fetched_again(self, make_backend: Factory) -> None:
        """A second fetch gives the same to the last bit."""
        bench = self.bench(make_backend)
        bench.remote()
        batches, compiled, job_id = _submitted(bench)
        asyncio.run(bench.wait(job_id))
        first, second = (asyncio.run(bench.fetch(job_id, batches, compiled)) for _ in range(2))
        same = [encode_rows(one) == encode_rows(other) for one, other in zip(first, second, strict=True)]
        require(all(same), "fetching a job again gives other results")
        _check(bench, batches, first, "fetched")

    def test_a_job_is_found_by_its_token(self, make_backend: Factory) -> None:
        """`find` gives the id of a job whose answer was lost, within the grace time, and in another process."""
        bench = self.bench(make_backend)
        backend = bench.remote()
        token = new_token()
        _, _, job_id = _submitted(bench, token)
        found = _search(bench, token)
        require(
            found == job_id,
            f"find({token!r}) gave {found!r} within pacing.find_grace={backend.pacing.find_grace:g} s, and the job is "
            f"{job_id!r}: it would be sent and paid for again",
        )
        elsewhere = call_in_fresh_process(_find, make_backend, token)
        require(elsewhere == job_id, f"find gave {elsewhere!r} in a fresh process, and the job is {job_id!r}")

    def test_an_unknown_token_is_no_job(self, make_backend: Factory) -> None:
        """`find` gives None for a token that nothing was sent with."""
        bench = self.bench(make_backend)
        backend = bench.remote()
        found = asyncio.run(bench.patiently(lambda: backend.find(new_token())))
        require(found is None, f"find gave {found!r} for a token that was never used: a job would never be sent")

    def test_an_unknown_job_is_an_error(self, make_backend: Factory) -> None:
        """`status` and `fetch` of an id that there is not raise, and answer nothing."""
        bench = self.bench(make_backend)
        backend = bench.remote()
        batch = _work(bench)[0]
        with must_refuse(QStoreError, "the status of a job that there is not"):
            asyncio.run(backend.status("00000000-0000-0000-0000-000000000000"))
        with must_refuse(QStoreError, "the results of a job that there is not"):
            asyncio.run(backend.fetch("00000000-0000-0000-0000-000000000000", (batch,), (bench.compile(batch),)))

    def test_each_submit_is_a_job_of_its_own(self, make_backend: Factory) -> None:
        """The same batches under two tokens are two jobs."""
        bench = self.bench(make_backend)
        bench.remote()
        first, second = _submitted(bench)[2], _submitted(bench)[2]
        require(first != second, f"two submits gave one id, {first!r}")

    def test_a_job_can_be_cancelled(self, make_backend: Factory) -> None:
        """`cancel` ends a job, or leaves it done; a cancelled one says so."""
        bench = self.bench(make_backend)
        backend = bench.remote()
        _, _, job_id = _submitted(bench)
        asyncio.run(bench.patiently(lambda: backend.cancel(job_id)))
        end = time.monotonic() + self.patience
        while True:
            state = asyncio.run(bench.patiently(lambda: backend.status(job_id))).state
            if state in _ENDED:
                break
            require(time.monotonic() < end, f"a cancelled job is {state.value} after {self.patience:g} s")
            time.sleep(backend.pacing.first_poll)
        require(state is not JobState.FAILED, "a cancelled job counts as failed; the executor would send it again")

    def test_a_job_costs_no_more_than_was_said(self, make_backend: Factory) -> None:
        """What a job really cost, where the backend says, is at most the dearer reading of its price."""
        bench = self.bench(make_backend)
        backend = bench.remote()
        batches, compiled, job_id = _submitted(bench)
        asyncio.run(bench.wait(job_id))
        cost = asyncio.run(bench.patiently(lambda: backend.cost(job_id)))
        if cost is None:
            skip("cost() gives None: it does not say what jobs cost")
        require(isinstance(cost, Cost), f"cost gave a {type(cost).__name__}, not a Cost or None")
        price = backend.price_job(compiled, batches)
        require(
            0 <= cost.usd_high <= price.usd_high * (1 + 1e-6) + 1e-9,
            f"the job cost {cost.usd_high:g} USD and was priced at {price.usd_high:g} at most: no budget would hold",
        )

    def test_its_account_and_pacing_can_be_used(self, make_backend: Factory) -> None:
        """Text without secrets to tell accounts apart, and times that are positive."""
        backend = self.bench(make_backend).remote()
        require(isinstance(backend.account, str), f"account is a {type(backend.account).__name__}; it is a text")
        pacing = backend.pacing
        times = (pacing.first_poll, pacing.longest_poll, pacing.find_grace, pacing.request_patience, pacing.first_retry)
        require(all(each > 0 for each in times), f"the times of {pacing} are seconds above 0")
        require(pacing.poll_growth >= 1, f"poll_growth is {pacing.poll_growth}; waits do not get shorter")


def _work(bench: Bench) -> list[CircuitBatch]:
    """Two batches with rows of their own, measured in different bases."""
    rng, batches = np.random.default_rng(61), []
    for number, observables in enumerate((("Z0", "X0"), ("Y0",))):
        circuit = bench.scramble(QuantumCircuit(bench.width(2)), rng)
        angles = rng.normal(size=(3 + number, circuit.structure.n_angles))
        batches.append(bench.batch(circuit, observables, shots=bench.best_shots, angles=angles, seed=60 + number))
    return batches


def _submitted(bench: Bench, token: str | None = None) -> tuple[list[CircuitBatch], list[Any], str]:
    """A job of as many of the two batches as fit into one."""
    backend, batches = bench.remote(), _work(bench)
    compiled = [bench.compile(batch) for batch in batches]
    limit = bench.able.max_circuits_per_job
    many = limit is not None and sum(batch.n_circuits for batch in batches) > limit
    if many or not backend.fits(batches, compiled):
        batches, compiled = [batches[1].rows(0, 1)], compiled[1:]
    bench.charge(bench.price(batches, compiled))
    return batches, compiled, asyncio.run(bench.submit(batches, compiled, token))


def _check(bench: Bench, batches: list[CircuitBatch], results: list[BatchResult], how: str) -> None:
    for number, (batch, result) in enumerate(zip(batches, results, strict=True)):
        bench.compare(batch, result, f"batch {number} of a job, {how}")


def _search(bench: Bench, token: str) -> str | None:
    backend = bench.remote()
    end = time.monotonic() + backend.pacing.find_grace
    while True:
        found = asyncio.run(bench.patiently(lambda: backend.find(token)))
        if found is not None or time.monotonic() > end:
            return found
        time.sleep(backend.pacing.first_poll)


def _collect(make: Factory, job_id: str, batches: list[CircuitBatch], patience: float) -> list[BatchResult]:
    """In a fresh process: wait for a job and fetch it."""
    bench = Bench(make, patience=patience)
    compiled = [bench.compile(batch) for batch in batches]

    async def collect() -> list[BatchResult]:
        await bench.wait(job_id)
        return await bench.fetch(job_id, batches, compiled)

    return asyncio.run(collect())


def _find(make: Factory, token: str) -> str | None:
    """In a fresh process: look for a job."""
    backend: Backend = make()
    assert isinstance(backend, RemoteBackend)
    return asyncio.run(backend.find(token))
