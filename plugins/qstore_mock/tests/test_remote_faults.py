"""Each injected fault, what is left of the job, and the error that the client raises."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path

import pytest
from qstore_mock.remote.backend import RemoteMockBackend
from qstore_mock.remote.client import refusal
from qstore_mock.remote.process import RunningProvider, provider

from qstore_core.backend import JobState
from qstore_core.batch import CircuitBatch
from qstore_core.circuit import QuantumCircuit
from qstore_core.cost import Cost
from qstore_core.errors import (
    AmbiguousError,
    BackendError,
    ConfigurationError,
    JobFailedError,
    JobRejectedError,
    QStoreError,
    TransientError,
)

CIRCUIT = QuantumCircuit(1).h(0)
BATCH = CircuitBatch(CIRCUIT.structure, CIRCUIT.angles())


def client(running: RunningProvider, *, request_timeout: float = 10.0) -> RemoteMockBackend:
    return RemoteMockBackend(url=running.url, request_timeout=request_timeout)


def submit(backend: RemoteMockBackend, token: str = "t") -> str:
    return asyncio.run(backend.submit([BATCH], [None], token))


def wait_for(ready: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not ready():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


class TestSubmit:
    FAULTS = (
        ("drop", AmbiguousError, False),
        ("server-error", AmbiguousError, False),
        ("rate-limit", TransientError, False),
        ("unavailable", TransientError, False),
        ("drop-after-accept", AmbiguousError, True),
        ("timeout-after-accept", AmbiguousError, True),
    )

    def test_the_error_says_whether_it_may_be_sent_again(self) -> None:
        forced = [f"{name}:{number}" for number, (name, _, _) in enumerate(self.FAULTS, 1)]
        with provider(force=forced, retry_after=2.5) as running:
            backend = client(running)
            for name, kind, accepted in self.FAULTS:
                with pytest.raises(kind) as caught:
                    submit(backend, name)
                assert type(caught.value) is kind
                assert (asyncio.run(backend.find(name)) is not None) == accepted
                if isinstance(caught.value, TransientError):
                    assert caught.value.retry_after == 2.5
            assert submit(backend, "none is left")
            assert [entry.token for entry in running.ledger()] == [
                *(name for name, _, accepted in self.FAULTS if accepted),
                "none is left",
            ]
            counts = running.requests()
            assert counts["faults"] == dict.fromkeys((name for name, _, _ in self.FAULTS), 1)
            assert counts["requests"] == {"submit": len(self.FAULTS) + 1, "find": len(self.FAULTS)}

    @pytest.mark.parametrize(("name", "accepted"), [("silence", False), ("silence-after-accept", True)])
    def test_silence_is_ambiguous(self, name: str, accepted: bool) -> None:
        with provider(force=[f"{name}:1"]) as running:
            with pytest.raises(AmbiguousError, match="gave no answer"):
                submit(client(running, request_timeout=1.0))
            wait_for(lambda: bool(running.ledger()) == accepted)

    def test_a_refusal_is_heard_even_when_answers_get_lost(self) -> None:
        with provider(force=["drop-after-accept:1"], max_qubits=1) as running:
            wide = QuantumCircuit(2).h(0)
            batch = CircuitBatch(wide.structure, wide.angles())
            with pytest.raises(JobRejectedError, match="2 qubits"):
                asyncio.run(client(running).submit([batch], [None], "t"))
            assert not running.ledger()

    def test_a_provider_that_is_gone_never_got_it(self) -> None:
        with provider() as running:
            backend = client(running)
            running.kill()
            with pytest.raises(TransientError, match="cannot be reached"):
                submit(backend)


class TestReads:
    def test_they_can_meet_what_strikes_every_request(self) -> None:
        forced = ["drop:status:1", "rate-limit:results:1", "server-error:find:1", "unavailable:cost:1", "drop:cancel:1"]
        with provider(force=forced) as running:
            backend = client(running)
            job = submit(backend)
            with pytest.raises(AmbiguousError):
                asyncio.run(backend.status(job))
            with pytest.raises(TransientError):
                asyncio.run(backend.fetch(job, [BATCH], [None]))
            with pytest.raises(AmbiguousError):
                asyncio.run(backend.find("t"))
            with pytest.raises(TransientError):
                asyncio.run(backend.cost(job))
            with pytest.raises(AmbiguousError):
                asyncio.run(backend.cancel(job))
            assert asyncio.run(backend.status(job)).state is JobState.DONE
            assert asyncio.run(backend.find("t")) == job
            assert len(asyncio.run(backend.fetch(job, [BATCH], [None]))) == 1

    def test_what_tests_and_settings_need_is_spared(self) -> None:
        with provider(faults=1.0) as running:
            assert client(running).capabilities.max_qubits == 20
            assert running.ledger() == ()
            assert running.requests() == {"requests": {}, "faults": {}}


class TestJobs:
    def test_one_that_fails_is_not_charged(self) -> None:
        with provider(force=["job-fails:1"], price_job=1) as running:
            backend = client(running)
            job = submit(backend)
            status = asyncio.run(backend.status(job))
            assert status.state is JobState.FAILED
            assert "calibration lost" in status.reason
            assert asyncio.run(backend.cost(job)) == Cost(jobs=1)
            with pytest.raises(JobFailedError, match="calibration lost"):
                asyncio.run(backend.fetch(job, [BATCH], [None]))

    def test_one_that_the_provider_cancels_is_not_charged(self) -> None:
        with provider(force=["job-cancelled:1"], price_job=1, circuit_seconds=600) as running:
            backend = client(running)
            job = submit(backend)
            status = asyncio.run(backend.status(job))
            assert status.state is JobState.CANCELLED
            assert "by the provider" in status.reason
            assert asyncio.run(backend.cost(job)) == Cost(jobs=1)

    def test_late_results_are_not_there_although_the_job_is_done(self) -> None:
        with provider(force=["late-results:1"], late=600) as running:
            backend = client(running)
            job = submit(backend)
            assert asyncio.run(backend.status(job)).state is JobState.DONE
            with pytest.raises(TransientError, match="the results are not there yet; the job is done"):
                asyncio.run(backend.fetch(job, [BATCH], [None]))
        with provider(force=["late-results:1"], late=0.2) as running:
            backend = client(running)
            job = submit(backend)
            wait_for(lambda: running.ledger()[0].results_at < time.time())
            assert len(asyncio.run(backend.fetch(job, [BATCH], [None]))) == 1


class TestPause:
    def test_a_client_can_be_killed_right_after_its_job_was_accepted(self, tmp_path: Path) -> None:
        flag = tmp_path / "accepted"
        script = """
import asyncio
from qstore_core import CircuitBatch, QuantumCircuit, get_backend
circuit = QuantumCircuit(1).h(0)
batch = CircuitBatch(circuit.structure, circuit.angles())
asyncio.run(get_backend("mock.remote").submit([batch], [None], "killed"))
"""
        with provider(pause_after_accept=flag, pause_at=1) as running:
            environment = os.environ | {"QSTORE_MOCK_URL": running.url}
            with subprocess.Popen([sys.executable, "-c", script], env=environment) as victim:
                wait_for(flag.exists)
                assert flag.read_text() == "killed"
                victim.send_signal(signal.SIGKILL)
            assert victim.returncode == -signal.SIGKILL
            flag.unlink()
            backend = client(running)
            job = asyncio.run(backend.find("killed"))
            assert job is not None
            assert asyncio.run(backend.status(job)).state is JobState.DONE
            assert submit(backend, "not paused")

    def test_it_ends_by_itself_in_the_end(self, tmp_path: Path) -> None:
        flag = tmp_path / "accepted"
        with provider(pause_after_accept=flag, pause_timeout=0.1) as running:
            assert submit(client(running))
            assert not flag.exists()


class TestRates:
    def test_the_cli_takes_rates_together_or_one_by_one(self) -> None:
        rates = {"rate-limit": 0.5, "drop": 0, "silence": 0, "silence-after-accept": 0}
        with provider(faults=0.5, fault=rates, fault_seed=3) as running:
            backend = client(running)
            for number in range(20):
                try:
                    submit(backend, str(number))
                except QStoreError:
                    continue
            faults = running.requests()["faults"]
            assert faults["rate-limit"] >= 3
            assert len(faults) > 1
            assert not {"drop", "silence"} & set(faults)


class TestRefusals:
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, JobRejectedError),
            (402, JobRejectedError),
            (413, JobRejectedError),
            (422, JobRejectedError),
            (401, ConfigurationError),
            (403, ConfigurationError),
            (404, BackendError),
            (405, BackendError),
            (408, AmbiguousError),
            (409, TransientError),
            (410, JobFailedError),
            (429, TransientError),
            (500, AmbiguousError),
            (502, AmbiguousError),
            (503, TransientError),
            (504, AmbiguousError),
        ],
    )
    def test_each_status_has_its_error(self, status: int, kind: type[QStoreError]) -> None:
        error = refusal(status, "no money", {}, what="POST /jobs")
        assert type(error) is kind
        assert f"POST /jobs: the provider answered {status}: no money" in str(error)

    @pytest.mark.parametrize(
        ("header", "low", "high"),
        [("7", 7.0, 7.0), ("0.5", 0.5, 0.5), ("-3", 0.0, 0.0), (formatdate(0, usegmt=True), 0.0, 0.0)],
    )
    def test_retry_after_is_seconds_or_a_date(self, header: str, low: float, high: float) -> None:
        error = refusal(429, "", {"Retry-After": header}, what="GET /jobs")
        assert isinstance(error, TransientError)
        assert error.retry_after is not None
        assert low <= error.retry_after <= high

    def test_a_date_in_the_future_is_waited_for(self) -> None:
        error = refusal(503, "", {"Retry-After": formatdate(time.time() + 100, usegmt=True)}, what="GET /jobs")
        assert isinstance(error, TransientError)
        assert error.retry_after is not None
        assert 50 < error.retry_after <= 101

    def test_what_is_neither_says_nothing(self) -> None:
        error = refusal(429, "", {"Retry-After": "soon"}, what="GET /jobs")
        assert isinstance(error, TransientError)
        assert error.retry_after is None
