"""The backends against the emulator: what a job says and how it ends, and errors that help."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ionq_batches import KEY, Connect, Emulate, Http, batch_of, compiled, exact, simple, submit
from qstore_ionq.backend import IonQBackend
from qstore_ionq.emulator.process import RunningEmulator
from qstore_ionq.transport import refusal

from qstore_core import get_backend
from qstore_core.backend import JobState
from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.circuit import QuantumCircuit
from qstore_core.errors import (
    AmbiguousError,
    BackendError,
    ConfigurationError,
    JobRejectedError,
    QStoreError,
    TransientError,
    UnknownNameError,
)
from qstore_core.randomness import StepKey


class TestJobs:
    def test_a_step_is_one_job_with_everything_said(
        self, running: RunningEmulator, connect: Connect, http: Http
    ) -> None:
        backend = connect(running, "qpu", session="s-1", settings={"compilation": {"opt": 1}})
        batches = (simple(3, shots=70), batch_of(QuantumCircuit(3).h(0).rx(1, 0.0), 2, shots=70))
        job = submit(backend, *batches, token="run-1-1")
        document = http(running, "GET", f"/jobs/{job}").json()
        assert document["name"] == document["metadata"]["token"] == "run-1-1"
        assert document["backend"] == "qpu.forte-1"
        assert document["session_id"] == "s-1"
        assert document["settings"] == {"compilation": {"opt": 1}, "error_mitigation": {"debiasing": False}}
        assert document["shots"] == "70"
        assert document["stats"]["circuits"] == 3 + 2 * len(batches[1].groups)
        assert "by price" in document["metadata"]["gateset"]

    def test_noise_is_asked_for_with_a_seed_that_follows_from_the_labels(
        self, running: RunningEmulator, connect: Connect, http: Http
    ) -> None:
        seeds = []
        for seed in (1, 1, 2):
            batch = replace(simple(2, shots=50), draws=StepKey(seed).draws(sample=np.arange(2)))
            document = http(running, "GET", f"/jobs/{submit(connect(running, noise_model='aria-1'), batch)}").json()
            assert document["noise"]["model"] == "aria-1"
            seeds.append(document["noise"]["seed"])
        assert seeds[0] == seeds[1] != seeds[2]
        ideal = http(running, "GET", f"/jobs/{submit(connect(running), simple())}").json()
        assert ideal["noise"] == {"model": "ideal"}

    def test_debiasing_is_said_either_way(self, running: RunningEmulator, connect: Connect, http: Http) -> None:
        for debiasing in (True, False):
            backend = connect(running, "qpu", debiasing=debiasing)
            document = http(running, "GET", f"/jobs/{submit(backend, simple(shots=500))}").json()
            assert document["settings"]["error_mitigation"] == {"debiasing": debiasing}

    def test_a_job_is_found_by_its_token_even_among_its_circuits(self, emulate: Emulate, connect: Connect) -> None:
        with emulate(list_children=True, page=4) as busy:
            backend = connect(busy)
            job = submit(backend, simple(5), token="mine")
            submit(backend, simple(5), token="another")
            assert asyncio.run(backend.find("mine")) == job
            assert asyncio.run(backend.find("min")) is None
            assert asyncio.run(connect(busy, "qpu").find("mine")) is None  # another target's jobs are not looked at

    def test_searches_may_lag(self, emulate: Emulate, connect: Connect) -> None:
        with emulate(list_lag=600) as slow:
            backend = connect(slow)
            submit(backend, simple(), token="lagging")
            assert asyncio.run(backend.find("lagging")) is None

    def test_cancelling_leaves_a_completed_job_its_results(self, emulate: Emulate, connect: Connect) -> None:
        with emulate(queue=600) as slow:
            backend = connect(slow, "qpu")
            job = submit(backend, simple(shots=50))
            for _ in range(2):
                asyncio.run(backend.cancel(job))
            assert asyncio.run(backend.status(job)).state is JobState.CANCELLED
            assert slow.charged() == 0.0
        with emulate() as quick:
            backend = connect(quick, "qpu")
            job = submit(backend, simple(shots=50))
            asyncio.run(backend.cancel(job))
            assert asyncio.run(backend.status(job)).state is JobState.DONE

    def test_a_status_that_is_new_is_waited_for(
        self, running: RunningEmulator, connect: Connect, monkeypatch: pytest.MonkeyPatch, caplog: Any
    ) -> None:
        backend = connect(running)
        monkeypatch.setattr(backend._client, "job", lambda job_id: {"status": "pondering", "failure": None})
        assert asyncio.run(backend.status("j")).state is JobState.QUEUED
        assert "calls its status 'pondering', which is new" in caplog.text

    def test_fifty_jobs_at_once(self, running: RunningEmulator, connect: Connect) -> None:
        backend = connect(running)
        batches = [simple(1 + n % 3) for n in range(50)]

        async def one(n: int, batch: CircuitBatch) -> BatchResult:
            prepared = compiled(backend, batch)
            job = await backend.submit([batch], prepared, f"many {n}")
            (result,) = await backend.fetch(job, [batch], prepared)
            return result

        async def all_of_them() -> list[BatchResult]:
            return await asyncio.gather(*(one(n, batch) for n, batch in enumerate(batches)))

        for result, batch in zip(asyncio.run(all_of_them()), batches, strict=True):
            np.testing.assert_allclose(result.expectations, exact(batch).expectations, atol=1e-12)


class TestErrors:
    def one_line(self, caught: pytest.ExceptionInfo[Any]) -> str:
        text = str(caught.value)
        assert "\n" not in text
        assert len(text) < 400
        assert KEY not in text
        return text

    def test_a_missing_key_says_where_to_put_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("IONQ_API_KEY", raising=False)
        for name in ("ionq", "ionq.simulator", "ionq.qpu"):
            with pytest.raises(
                ConfigurationError, match=r"pass api_key=\.\.\. or set IONQ_API_KEY; to rehearse"
            ) as caught:
                get_backend(name)
            self.one_line(caught)

    def test_a_wrong_key_says_so_and_nothing_was_accepted(self, emulate: Emulate, connect: Connect) -> None:
        with emulate(key="the right one") as locked:
            backend = connect(locked, "qpu", api_key=KEY)
            with pytest.raises(
                JobRejectedError, match=r"401: the API key is missing or wrong; pass the right api_key"
            ) as caught:
                submit(backend, simple(shots=9))
            self.one_line(caught)
            with pytest.raises(ConfigurationError, match="pass the right api_key") as caught:
                asyncio.run(backend.status("j"))
            self.one_line(caught)
            with pytest.raises(ConfigurationError, match="pass the right api_key"):
                asyncio.run(backend.open())

    def test_an_unknown_target_or_noise_lists_what_there_is(self) -> None:
        with pytest.raises(
            UnknownNameError, match=r"unknown target 'qpu\.forte-2'; did you mean 'qpu\.forte-1'\? Known: qpu\.aria-1"
        ):
            get_backend("ionq.qpu", target="qpu.forte-2", api_key=KEY)
        with pytest.raises(
            UnknownNameError, match=r"unknown noise_model 'aria'; did you mean 'aria-\d'\? Known: aria-1"
        ):
            get_backend("ionq.simulator", noise_model="aria", api_key=KEY)

    def test_a_circuit_that_the_service_refuses_says_why(self, emulate: Emulate, connect: Connect) -> None:
        with emulate(max_qubits=4) as small:
            with pytest.raises(JobRejectedError, match=r"IonQ answered 400: the emulator simulates 4 qubits") as caught:
                submit(connect(small), simple(n_qubits=5))
            self.one_line(caught)
            assert small.ledger() == ()

    def test_a_service_that_is_away_never_got_it(self) -> None:
        backend = get_backend("ionq.simulator", api_key=KEY, remote_host="http://127.0.0.1:1")
        assert isinstance(backend, IonQBackend)
        with pytest.raises(
            TransientError, match=r"http://127\.0\.0\.1:1 cannot be reached .* check the network"
        ) as caught:
            submit(backend, simple())
        self.one_line(caught)
        nowhere = get_backend("ionq.simulator", api_key=KEY, remote_host="https://nowhere.invalid", request_timeout=5)
        assert isinstance(nowhere, IonQBackend)
        with pytest.raises(TransientError, match="cannot be reached"):
            submit(nowhere, simple())

    def test_a_server_of_another_kind_is_said_so(self, running: RunningEmulator, connect: Connect) -> None:
        with pytest.raises(BackendError, match="404"):
            asyncio.run(connect(running).status("nope"))

    @pytest.mark.parametrize(
        ("status", "post", "read"),
        [
            (302, JobRejectedError, BackendError),
            (400, JobRejectedError, BackendError),
            (401, JobRejectedError, ConfigurationError),
            (403, JobRejectedError, ConfigurationError),
            (404, JobRejectedError, BackendError),
            (408, AmbiguousError, AmbiguousError),
            (409, AmbiguousError, AmbiguousError),
            (413, JobRejectedError, BackendError),
            (422, JobRejectedError, BackendError),
            (429, TransientError, TransientError),
            (500, AmbiguousError, AmbiguousError),
            (502, AmbiguousError, AmbiguousError),
            (503, AmbiguousError, TransientError),
            (504, AmbiguousError, AmbiguousError),
            (520, AmbiguousError, AmbiguousError),
        ],
    )
    def test_each_status_has_its_error(self, status: int, post: type[QStoreError], read: type[QStoreError]) -> None:
        for method, kind in (("POST", post), ("GET", read)):
            error = refusal(status, "why", {"Retry-After": "3"}, what=f"{method} /v0.4/jobs")
            assert isinstance(error, kind)
            assert f"{method} /v0.4/jobs: IonQ answered {status}: why" in str(error)
            if isinstance(error, TransientError):
                assert error.retry_after == 3.0

    def test_dates_are_waited_for_too(self) -> None:
        from email.utils import formatdate

        later = refusal(429, "", {"Retry-After": formatdate(4e9, usegmt=True)}, what="GET /")
        assert isinstance(later, TransientError)
        assert later.retry_after is not None
        assert later.retry_after > 1e6
