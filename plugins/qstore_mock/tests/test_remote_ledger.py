"""The provider's books, and the process that keeps them."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from provider_runs import assert_it_announces_itself_and_ends_cleanly, assert_it_ends_with_the_process_that_started_it
from qstore_mock.remote.backend import RemoteMockBackend
from qstore_mock.remote.cli import main
from qstore_mock.remote.ledger import Ledger, LedgerEntry, NewJob
from qstore_mock.remote.prices import PriceTable
from qstore_mock.remote.process import provider
from qstore_mock.remote.wire import results_to_json

from qstore_core.backend import JobState
from qstore_core.batch import CircuitBatch
from qstore_core.circuit import QuantumCircuit
from qstore_core.errors import AmbiguousError, ConfigurationError, TransientError
from qstore_core.randomness import StepKey

CIRCUIT = QuantumCircuit(2).ry(0, 0.0).cnot(0, 1)


def batch_of(n_rows: int, seed: int = 1) -> CircuitBatch:
    angles = np.random.default_rng(seed).normal(size=(n_rows, 1))
    return CircuitBatch(CIRCUIT.structure, angles, None, 100, StepKey(seed).draws(sample=np.arange(n_rows)))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    books = Ledger(tmp_path / "ledger.sqlite")
    yield books
    books.close()


def new_job(
    token: str = "t",
    *,
    seconds: float = 0.0,
    queue: float = 0.0,
    fate: JobState = JobState.DONE,
    reason: str = "",
    batches: object = (),
) -> NewJob:
    return NewJob(
        token=token,
        batches=batches,
        circuits=2,
        shots=10,
        usd=3.0,
        seconds=seconds,
        queue=queue,
        fate=fate,
        reason=reason,
    )


def entry_of(ledger: Ledger, job: str) -> LedgerEntry:
    entry = ledger.entry(job)
    assert entry is not None
    return entry


class TestLedger:
    def test_a_job_is_on_the_disk_when_it_is_accepted(self, ledger: Ledger, tmp_path: Path) -> None:
        job = ledger.accept(new_job())
        other = sqlite3.connect(tmp_path / "ledger.sqlite")
        assert other.execute("SELECT id, token FROM jobs").fetchall() == [(job, "t")]
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        other.close()

    @pytest.mark.parametrize(
        ("job", "state", "charged"),
        [
            (new_job(queue=600), "queued", None),
            (new_job(seconds=600), "running", None),
            (new_job(), "done", 3.0),
            (new_job(fate=JobState.FAILED, reason="broken"), "failed", 0.0),
            (new_job(fate=JobState.FAILED, reason="broken", seconds=600), "running", None),
            (new_job(fate=JobState.CANCELLED, reason="closed", seconds=600), "cancelled", 0.0),
        ],
        ids=["waits", "runs", "done", "failed", "will fail", "cancelled"],
    )
    def test_the_state_follows_from_the_clock(
        self, job: NewJob, state: str, charged: float | None, ledger: Ledger
    ) -> None:
        entry = entry_of(ledger, ledger.accept(job))
        assert (entry.state, entry.charged) == (state, charged)
        assert entry.reason == (job.reason if state == job.fate.value else "")

    @pytest.mark.parametrize(
        ("job", "state", "charged"),
        [
            (new_job(queue=600), "cancelled", 0.0),
            (new_job(seconds=600), "cancelled", 3.0),
            (new_job(), "done", 3.0),
        ],
    )
    def test_cancelling_is_free_until_a_job_runs(self, job: NewJob, state: str, charged: float, ledger: Ledger) -> None:
        job_id = ledger.accept(job)
        for _ in range(2):
            ledger.cancel(job_id)
        entry = entry_of(ledger, job_id)
        assert (entry.state, entry.charged) == (state, charged)

    def test_the_same_work_has_the_same_digest_whatever_its_token(self, ledger: Ledger) -> None:
        for token, batches in (("a", [1, 2]), ("b", [1, 2]), ("a", [2, 1])):
            ledger.accept(new_job(token, batches=batches))
        first, second, third = (entry.digest for entry in ledger.entries())
        assert first == second != third

    def test_searches_lag(self, ledger: Ledger) -> None:
        jobs = [ledger.accept(new_job("same")) for _ in range(2)]
        assert ledger.find("same", lag=0.0) == tuple(jobs)
        assert ledger.find("same", lag=600.0) == ledger.find("other", lag=0.0) == ()

    def test_an_unknown_job_is_none(self, ledger: Ledger) -> None:
        assert ledger.entry("nope") is None


class TestCrashes:
    def test_jobs_and_results_survive_a_kill_of_the_provider(self, tmp_path: Path) -> None:
        path, batches = tmp_path / "kept.sqlite", [batch_of(3), batch_of(2, seed=2)]
        with provider(ledger=path, price_circuit=0.5) as running:
            backend, url = RemoteMockBackend(url=running.url), running.url
            fetched = asyncio.run(backend.submit(batches, [None, None], "fetched before"))
            before = json.dumps(results_to_json(asyncio.run(backend.fetch(fetched, batches, [None, None]))))
            waiting = asyncio.run(backend.submit(batches, [None, None], "fetched after"))
            running.kill()
            running.restart()
            assert running.url == url
            for job in (fetched, waiting):
                assert asyncio.run(backend.status(job)).state is JobState.DONE
                after = json.dumps(results_to_json(asyncio.run(backend.fetch(job, batches, [None, None]))))
                assert after == before
            assert asyncio.run(backend.find("fetched after")) == waiting
            assert [entry.charged for entry in running.ledger()] == [2.5, 2.5]
        with provider(ledger=path) as other:
            assert [entry.token for entry in other.ledger()] == ["fetched before", "fetched after"]

    def test_kills_at_any_moment_lose_no_job_that_was_answered(self) -> None:
        """Jobs are sent while the provider is killed; what was answered is in the ledger, charged once at the most."""
        answered: set[str] = set()
        faults = {"silence": 0, "silence-after-accept": 0}
        with provider(price_job=1, faults=0.2, fault=faults) as running:
            backend = RemoteMockBackend(url=running.url)

            async def send(token: str, seed: int) -> None:
                with suppress(TransientError, AmbiguousError):
                    await backend.submit([batch_of(2, seed)], [None], token)
                    answered.add(token)

            async def send_and_kill(cycle: int) -> None:
                tasks = [asyncio.create_task(send(f"{cycle}.{n}", 12 * cycle + n)) for n in range(12)]
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.to_thread(running.kill)
                await asyncio.gather(*tasks)

            for cycle in range(3):
                asyncio.run(send_and_kill(cycle))
                running.restart(fault_seed=cycle)
            entries = {entry.token: entry for entry in running.ledger()}
            assert answered
            assert answered <= set(entries)
            circuits = Counter(digest for entry in entries.values() for digest in entry.circuit_digests)
            assert set(circuits.values()) == {1}
            assert all(entry.charged == (1.0 if entry.state == "done" else 0.0) for entry in entries.values())


class TestProcess:
    def test_it_announces_itself_in_one_line_and_ends_cleanly(self, tmp_path: Path) -> None:
        assert_it_announces_itself_and_ends_cleanly("qstore_mock.remote", "--ledger", tmp_path / "l.sqlite")

    def test_it_does_not_wait_for_answers_that_it_holds_back(self) -> None:
        with provider(force=["silence:1"], silence=600) as running:
            with pytest.raises(AmbiguousError, match="gave no answer"):
                asyncio.run(RemoteMockBackend(url=running.url, request_timeout=1.0).submit([batch_of(1)], [None], "t"))
            begin = time.monotonic()
            running.stop()
            assert time.monotonic() - begin < 9  # after 10 seconds it would have been killed

    def test_it_is_stopped_when_a_test_fails(self) -> None:
        pids = []

        def test() -> None:
            with provider() as running:
                pids.append(running.pid)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            test()
        with pytest.raises(ProcessLookupError):
            os.kill(pids[0], 0)

    def test_it_ends_with_the_process_that_started_it(self) -> None:
        assert_it_ends_with_the_process_that_started_it("qstore_mock.remote.process", "provider")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--nonsense"], "No such option"),
            (["--fault", "nonsense=0.1"], "'nonsense=0.1' is not FAULT=RATE; the faults are drop, silence"),
            (["--force", "drop"], "'drop' is not FAULT:N"),
            (["--force", "drop:soon"], "'drop:soon' is not FAULT:N"),
            (["--price-shot", "free"], "'free' is not a number"),
            (["--price-shot", "2:1"], "the price per_shot is (low, high) with 0 <= low <= high"),
            (["--faults", "0.5", "--fault", "drop=0.9"], "at most 1 together"),
            (["--readout-error", "2"], "readout"),
        ],
    )
    def test_options_that_cannot_be_are_told(self, arguments: list[str], message: str, tmp_path: Path) -> None:
        ended = CliRunner().invoke(main, ["--ledger", str(tmp_path / "ledger.sqlite"), *arguments])
        assert ended.exit_code != 0
        assert message in ended.output

    def test_a_process_that_does_not_start_says_why(self) -> None:
        with pytest.raises(ConfigurationError, match=r"(?s)did not start: .*No such option '--nonsense'"):
            with_nonsense()

    def test_a_stopped_provider_has_no_pid(self) -> None:
        with provider() as running:
            running.stop()
            with pytest.raises(ConfigurationError, match="is not running"):
                _ = running.pid


def with_nonsense() -> None:
    with provider(nonsense=1):
        pass


def test_a_price_table_needs_its_readings_in_order() -> None:
    with pytest.raises(ConfigurationError, match="the price minimum is"):
        PriceTable.of({"minimum": (2.0, 1.0)})
