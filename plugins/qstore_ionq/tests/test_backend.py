"""The backends against the emulator: results, limits, settings, errors that help, and a key that nobody sees."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qstore_ionq import wire
from qstore_ionq.backend import IonQBackend
from qstore_ionq.client import IonQClient
from qstore_ionq.emulator.process import RunningEmulator
from qstore_ionq.qpu import IonQQPU
from qstore_ionq.results import distribution, result_of
from qstore_ionq.transport import Transport, refusal

from qstore_core import get_backend
from qstore_core.backend import JobState, Pacing
from qstore_core.batch import BatchResult, CircuitBatch, estimates
from qstore_core.circuit import QuantumCircuit
from qstore_core.errors import (
    AmbiguousError,
    BackendError,
    CapabilityError,
    ConfigurationError,
    JobRejectedError,
    QStoreError,
    TransientError,
    UnknownNameError,
)
from qstore_core.executor import Executor
from qstore_core.observables import PauliString, PauliSum
from qstore_core.randomness import StepKey
from qstore_core.testing import ReferenceBackend

Emulate = Callable[..., AbstractContextManager[RunningEmulator]]
Connect = Callable[..., IonQBackend]
RunJob = Callable[..., tuple[BatchResult, ...]]
RandomCircuit = Callable[..., QuantumCircuit]
Http = Callable[..., Any]

KEY = "sk-1234567890-not-to-be-seen"
OBSERVABLES = (PauliSum.of("Z0 Z1"), PauliSum.of("X2 Y0"), PauliString("Z2") + 0.5 * PauliString("X1"))
EVERY_WAY = [
    ("simulator", {"gateset": "native"}),
    ("simulator", {"gateset": "qis"}),
    ("simulator", {"noise_model": "aria-1", "gateset": "native"}),
    ("simulator", {"noise_model": "forte-1", "gateset": "native"}),
    ("qpu", {"target": "qpu.aria-2", "gateset": "native"}),
    ("qpu", {"target": "qpu.forte-1", "gateset": "native"}),
    ("qpu", {"target": "qpu.forte-enterprise-1", "gateset": "qis"}),
]


def batch_of(
    circuit: QuantumCircuit, n_rows: int = 3, *, shots: int | None = None, observables: Any = OBSERVABLES
) -> CircuitBatch:
    angles = np.random.default_rng(7).normal(scale=2.0, size=(n_rows, circuit.structure.n_angles))
    draws = None if shots is None else StepKey(1).draws(sample=np.arange(n_rows))
    return CircuitBatch(circuit.structure, angles, observables, shots, draws)


def simple(n_rows: int = 3, *, shots: int | None = None, n_qubits: int = 2) -> CircuitBatch:
    circuit = QuantumCircuit(n_qubits)
    for qubit in range(n_qubits):
        circuit = circuit.ry(qubit, 0.0)
    for qubit in range(n_qubits - 1):
        circuit = circuit.cnot(qubit, qubit + 1)
    return batch_of(circuit, n_rows, shots=shots, observables=("Z0", "Z1"))


def compiled(backend: IonQBackend, *batches: CircuitBatch) -> list[Any]:
    return [backend.compile(batch.structure, batch.groups) for batch in batches]


def submit(backend: IonQBackend, *batches: CircuitBatch, token: str = "t") -> str:
    return asyncio.run(backend.submit(batches, compiled(backend, *batches), token))


def exact(batch: CircuitBatch) -> BatchResult:
    unsampled = replace(batch, shots=None, draws=None)
    return asyncio.run(Executor(ReferenceBackend()).run((unsampled,)))[0]


class TestResults:
    @pytest.mark.parametrize("gateset", ["native", "qis"])
    @pytest.mark.parametrize("family", ["zz", "ms"])
    def test_exact_ones_are_those_of_another_simulator(
        self,
        gateset: str,
        family: Any,
        running: RunningEmulator,
        connect: Connect,
        run_job: RunJob,
        random_circuit: RandomCircuit,
        rng: np.random.Generator,
    ) -> None:
        """Compiler, bit order and readout together: the emulator knows nothing of how the circuits were compiled."""
        backend = connect(running, gateset=gateset)
        backend.chooser = replace(backend.chooser, family=family)
        batches = [batch_of(random_circuit(rng, n_qubits)) for n_qubits in (3, 4, 5)]
        for found, batch in zip(run_job(backend, *batches), batches, strict=True):
            np.testing.assert_allclose(found.expectations, exact(batch).expectations, atol=1e-10)
        whole = batch_of(random_circuit(rng, 4), observables=None)
        (found,) = run_job(backend, whole)
        assert found.probabilities is not None
        np.testing.assert_allclose(found.probabilities[0], exact(whole).probabilities[0], atol=1e-10)  # type: ignore[index]

    @pytest.mark.parametrize(("name", "options"), EVERY_WAY)
    def test_sampled_ones_scatter_about_the_exact_values(
        self,
        name: str,
        options: dict[str, Any],
        running: RunningEmulator,
        connect: Connect,
        run_job: RunJob,
        random_circuit: RandomCircuit,
        rng: np.random.Generator,
    ) -> None:
        """Each of 18 within 5 standard deviations and what noise takes: a false alarm in 10^5 seeds; ours is fixed."""
        backend = connect(running, name, **options)
        batches = [batch_of(random_circuit(rng, 3, 12), shots=4000) for _ in range(2)]
        for found, batch in zip(run_job(backend, *batches), batches, strict=True):
            seen, true = estimates(batch, found), exact(batch).expectations
            assert seen.covariance is not None
            assert true is not None
            sigma = np.sqrt(np.diagonal(seen.covariance, axis1=1, axis2=2))
            noise = 0.0 if "simulator" in name and "noise_model" not in options else 0.45
            assert (np.abs(seen.values - true) < 5 * sigma + 0.01 + noise * np.abs(true)).all()

    def test_shots_of_the_ideal_simulator_are_drawn_here_once_and_by_label(
        self, running: RunningEmulator, connect: Connect, run_job: RunJob
    ) -> None:
        backend = connect(running)
        batch = simple(4, shots=50)
        (whole,), (again,) = run_job(backend, batch), run_job(backend, batch)
        parts = [run_job(backend, batch.rows(n, n + 1))[0] for n in range(4)]
        assert whole.counts is not None
        for other in (again, BatchResult.concatenate(parts)):
            assert other.counts is not None
            assert other.counts[0].to_dicts() == whole.counts[0].to_dicts()
        assert (whole.counts[0].totals == 50).all()
        assert backend.capabilities.seedable
        assert not connect(running, noise_model="aria-1").capabilities.seedable

    def test_batches_of_a_job_come_back_apart(
        self, running: RunningEmulator, connect: Connect, run_job: RunJob
    ) -> None:
        batches = (simple(2), batch_of(QuantumCircuit(3).h(0).rx(1, 0.0), 4), simple(1, n_qubits=4))
        for found, batch in zip(run_job(connect(running), *batches), batches, strict=True):
            np.testing.assert_allclose(found.expectations, exact(batch).expectations, atol=1e-12)

    def test_a_job_is_read_as_it_was_sent_whatever_the_reader_would_compile(
        self, running: RunningEmulator, connect: Connect
    ) -> None:
        """A swap moves qubits for nothing: the reader must take the bits from where the sender left them."""
        batch = batch_of(QuantumCircuit(3).rx(0, 0.0).swap(0, 2).ry(1, 0.0), observables=("Z0", "Z1", "Z2"))
        for sender, reader in (("native", "qis"), ("qis", "native")):
            job = submit(connect(running, gateset=sender), batch)
            there = connect(running, gateset=reader)
            (found,) = asyncio.run(there.fetch(job, [batch], compiled(there, batch)))
            np.testing.assert_allclose(found.expectations, exact(batch).expectations, atol=1e-12)

    def test_constants_are_known_without_a_circuit(self, running: RunningEmulator, connect: Connect) -> None:
        constant = replace(simple(2), observables=(PauliSum.of(PauliString("I", 0.5)),))
        with pytest.raises(JobRejectedError, match="the observables are constants"):
            submit(connect(running), constant)
        backend = connect(running)
        job = submit(backend, constant, simple(2))
        first, _ = asyncio.run(backend.fetch(job, [constant, simple(2)], compiled(backend, constant, simple(2))))
        np.testing.assert_array_equal(first.expectations, [[0.5], [0.5]])

    def test_those_of_another_job_are_refused(self, running: RunningEmulator, connect: Connect, http: Http) -> None:
        backend = connect(running)
        job = submit(backend, simple(3))
        with pytest.raises(BackendError, match="has results of 3 circuits, and 2 were sent"):
            asyncio.run(backend.fetch(job, [simple(2)], compiled(backend, simple(2))))
        other = replace(simple(3), observables=("Z0",))
        with pytest.raises(BackendError, match="measured other bases than these batches"):
            asyncio.run(backend.fetch(job, [other], compiled(backend, other)))
        document = {
            "backend": "simulator",
            "type": "ionq.multi-circuit.v1",
            "input": {"gateset": "qis", "qubits": 1, "circuits": [{"circuit": []}]},
        }
        foreign = http(running, "POST", "/jobs", json=document).json()["id"]
        with pytest.raises(BackendError, match="was not sent by qstore: its metadata holds no readout"):
            asyncio.run(backend.fetch(foreign, [simple(1)], compiled(backend, simple(1))))

    def test_a_histogram_is_little_endian_and_holds_more_than_was_measured(self) -> None:
        found, chances = distribution({"1": 0.25, "3": 0.25, "4": 0.5}, (2, 0))
        assert (found.tolist(), chances.tolist()) == ([1, 2], [0.5, 0.5])
        whole = replace(simple(1), observables=None)
        (table,) = result_of(whole, [{"1": 1.0}], [(0, 1)], sampled=False).probabilities or ()
        assert table.tolist() == [[0.0, 0.0, 1.0, 0.0]]  # qubit 0 is the service's lowest bit and qstore's highest

    def test_late_results_are_waited_for(self, emulate: Emulate, connect: Connect) -> None:
        with emulate(force=["late-results:1"], late=600) as late:
            backend = connect(late)
            job = submit(backend, simple())
            assert asyncio.run(backend.status(job)).state is JobState.DONE
            with pytest.raises(TransientError, match="is completed, and its results are not there yet"):
                asyncio.run(backend.fetch(job, [simple()], compiled(backend, simple())))


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


class TestLimits:
    def test_a_step_is_split_at_five_thousand_circuits(self, emulate: Emulate, connect: Connect) -> None:
        with emulate() as process:
            batch = batch_of(QuantumCircuit(1).ry(0, 0.0), 5003, observables=("Z0",))
            (result,) = asyncio.run(Executor(connect(process, gateset="qis")).run((batch,)))
            assert sorted(entry.circuits for entry in process.ledger()) == [3, 5000]
        np.testing.assert_allclose(result.expectations, np.cos(batch.angles), atol=1e-12)

    def test_a_step_is_split_at_150_000_gates(self, running: RunningEmulator, connect: Connect) -> None:
        """The emulator refuses what is longer, as its own tests show."""
        circuit = QuantumCircuit(1)
        for _ in range(1000):
            circuit = circuit.rx(0, 0.0).h(0)
        backend = connect(running, gateset="qis")
        batch = batch_of(circuit, 76, observables=("X0",))
        prepared = compiled(backend, batch)
        most = wire.MAX_GATES // int(prepared[0].most_gates.sum())
        assert backend.fits([batch.rows(0, most)], prepared)
        assert not backend.fits([batch.rows(0, most + 1)], prepared)
        price = Executor(backend).price((batch,))
        assert (price.jobs, price.circuits) == (2, 76)

    def test_the_largest_job_keeps_within_the_metadata_limits(
        self, running: RunningEmulator, connect: Connect, http: Http
    ) -> None:
        backend = connect(running, "qpu", gateset="qis")
        batch = batch_of(QuantumCircuit(1).ry(0, 0.0), wire.MAX_CIRCUITS, shots=1, observables=("Z0",))
        assert backend.fits([batch], compiled(backend, batch))
        metadata = http(running, "GET", f"/jobs/{submit(backend, batch)}").json()["metadata"]
        assert set(metadata) == {"token", "readout", "gateset", "draws0", "draws1", "shots"}
        assert max(map(len, metadata.values())) == wire.MAX_METADATA_VALUE

    def test_a_job_has_one_number_of_shots_and_one_gate_set(self, emulate: Emulate, connect: Connect) -> None:
        with emulate() as process:
            backend = connect(process, "qpu")
            batches = (simple(2, shots=50), simple(2, shots=60), simple(2, shots=60, n_qubits=3))
            asyncio.run(Executor(backend).run(batches))
            assert [entry.circuits for entry in process.ledger()] in ([2, 4], [4, 2])
            with pytest.raises(JobRejectedError, match=r"one job of ionq\.qpu cannot hold these 2 batches"):
                submit(backend, *batches[:2])

    def test_what_is_too_wide_or_too_often_is_refused_before_anything_is_sent(
        self, emulate: Emulate, connect: Connect
    ) -> None:
        with emulate() as process:
            for name, options, batch, message in [
                ("simulator", {}, simple(n_qubits=30), "30 qubits and backend 'ionq.simulator' at most 29"),
                ("simulator", {"noise_model": "harmony"}, simple(shots=9, n_qubits=12), "at most 11"),
                ("qpu", {"target": "qpu.aria-1"}, simple(shots=9, n_qubits=26), "26 qubits and backend 'ionq.qpu'"),
                ("qpu", {}, simple(shots=10_001), "10001 shots a circuit; backend 'ionq.qpu' allows at most 10000"),
                ("qpu", {}, simple(), "'ionq.qpu' only samples: set shots_per_circuit to a number"),
                ("qpu", {"debiasing": True}, simple(shots=499), "debiasing needs at least 500 shots a circuit, and"),
            ]:
                with pytest.raises(CapabilityError, match=message) as caught:
                    asyncio.run(Executor(connect(process, name, **options)).run((batch,)))
                assert "\n" not in str(caught.value)
            assert process.ledger() == ()


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


class TestSettings:
    def test_the_names_are_there_and_light(self) -> None:
        script = "import qstore_ionq, sys; print(*sys.modules)"
        modules = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
        assert not {"cirq", "cirq_ionq", "requests", "qstore_ionq.backend", "aiohttp"} & set(modules.split())
        script = (
            'from qstore_core import get_backend; get_backend("ionq.qpu", api_key="k"); import sys; print(*sys.modules)'
        )
        modules = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
        assert not {"cirq", "cirq_ionq", "aiohttp"} & set(modules.split())

    def test_the_environment_says_where_and_who(
        self, running: RunningEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("IONQ_API_KEY", KEY)
        monkeypatch.setenv("IONQ_REMOTE_HOST", f"{running.url}/v0.4")
        backend = get_backend("ionq")
        assert isinstance(backend, IonQBackend)
        assert backend.name == "ionq.simulator"
        assert submit(backend, simple())

    def test_the_fingerprint_tells_what_changes_results(self) -> None:
        def fingerprint(name: str, **options: Any) -> str:
            return get_backend(f"ionq.{name}", api_key=KEY, **options).fingerprint

        made = [
            fingerprint("simulator"),
            fingerprint("simulator", noise_model="aria-1"),
            fingerprint("simulator", gateset="qis"),
            fingerprint("simulator", settings={"compilation": {"opt": 0}}),
            fingerprint("qpu"),
            fingerprint("qpu", target="qpu.aria-1"),
            fingerprint("qpu", criterion="fidelity"),
            fingerprint("qpu", debiasing=True),
            fingerprint("qpu", debiasing=True, sharpen=True),
        ]
        assert len(set(made)) == len(made)
        same = {"minimum": "per_job", "session": "s", "request_timeout": 3, "remote_host": "http://127.0.0.1:1"}
        assert fingerprint("qpu", **same) == made[4]

    def test_accounts_are_told_apart_without_their_keys(self, running: RunningEmulator, connect: Connect) -> None:
        accounts = {connect(running, api_key=key).account for key in (KEY, KEY, "another")}
        accounts.add(get_backend("ionq.qpu", api_key=KEY).account)  # type: ignore[attr-defined]
        assert len(accounts) == 3
        assert not any(KEY[:6] in account for account in accounts)
        named = {connect(running, api_key=key, account="ours").account for key in (KEY, "another")}
        assert named == {f"{running.url}#ours"}

    @pytest.mark.parametrize(
        ("name", "options", "message"),
        [
            ("qpu", {"gateset": "naive"}, "unknown gateset 'naive'; did you mean 'native'"),
            ("qpu", {"criterion": "cost"}, "unknown criterion 'cost'; Known: fidelity, price"),
            ("qpu", {"minimum": "per_shot"}, "minimum is 'per_job', 'per_circuit' or None"),
            ("qpu", {"debiasing": 1}, "debiasing is True or False"),
            ("qpu", {"sharpen": True}, "set debiasing=True too"),
            ("qpu", {"settings": {"error_mitigation": {}}}, "the backend's option for it is debiasing=True"),
            ("qpu", {"settings": {"x": {1, 2}}}, "settings are JSON values"),
            ("qpu", {"settings": [1]}, "settings is a mapping such as"),
            ("qpu", {"request_timeout": 0}, "request_timeout is a number of seconds above 0, not 0"),
            ("qpu", {"request_timeout": True}, "request_timeout is a number"),
            ("qpu", {"remote_host": "api.ionq.co"}, "remote_host='api.ionq.co' is not an address such as https"),
            ("qpu", {"remote_host": "http://here:99999"}, "is not an address"),
            ("qpu", {"api_key": "line\nbreak"}, "the API key is printable ASCII text"),
            (
                "qpu",
                {"prices": "nowhere.toml"},
                r"prices='nowhere\.toml' is not a table of targets \(FileNotFoundError",
            ),
            ("qpu", {"nonsense": 1}, "it accepts: target, api_key"),
        ],
    )
    def test_what_is_not_permitted_is_named(self, name: str, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigurationError, match=message):
            get_backend(f"ionq.{name}", **{"api_key": KEY, **options})

    def test_pacing_suits_the_service_and_an_emulator(self, running: RunningEmulator, connect: Connect) -> None:
        mine = Pacing(find_grace=3.0)
        assert connect(running, pacing=mine).pacing is mine
        here, there = connect(running).pacing, get_backend("ionq", api_key=KEY).pacing  # type: ignore[attr-defined]
        assert here.longest_poll < there.longest_poll
        assert there.find_grace >= 60.0

    def test_the_compiler_says_which_gate_set_and_why(
        self, connect: Connect, running: RunningEmulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        batch = batch_of(QuantumCircuit(3).rzz(0, 1, 0.0).rx(0, 0.0).h(2).cnot(1, 2), shots=50)
        reasons = {}
        with caplog.at_level(logging.INFO, logger="qstore"):
            for name, options in (
                ("asked", {"gateset": "qis"}),
                ("price", {"criterion": "price"}),
                ("fidelity", {"criterion": "fidelity"}),
            ):
                (made,) = compiled(connect(running, "qpu", **options), batch)
                reasons[name] = made.reason
                assert made.reason.startswith(made.program.gateset)
        assert reasons["asked"] == "qis, as asked for"
        assert "USD a shot against" in reasons["price"]
        assert "by fidelity: 0.9" in reasons["fidelity"]
        assert f"ionq.qpu: {reasons['price']}" in caplog.text


class TestTheKey:
    """It is in no text that anybody may see."""

    def test_it_is_in_no_representation(self) -> None:
        backend = get_backend("ionq.qpu", api_key=KEY)
        assert isinstance(backend, IonQQPU)
        seen = [repr(backend), str(backend), backend.fingerprint, backend.account, repr(backend._client)]
        seen += [repr(backend.chooser), repr(backend.capabilities), repr(Transport(timeout=1.0, secret=KEY))]
        assert not any(KEY in text for text in seen)

    def test_it_is_in_no_error_even_when_the_service_repeats_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import requests

        def echo(self: Any, method: str, url: str, **content: Any) -> requests.Response:
            answer = requests.Response()
            answer.status_code, answer._content = 400, json.dumps({"message": str(content["headers"])}).encode()
            assert KEY in content["headers"]["Authorization"]
            return answer

        def fail(self: Any, method: str, url: str, **content: Any) -> requests.Response:
            raise requests.ConnectionError(str(content["headers"]))

        for behaviour in (echo, fail):
            monkeypatch.setattr(requests.Session, "request", behaviour)
            with pytest.raises(QStoreError) as caught:
                IonQClient(key=KEY, host="https://nowhere.invalid").job("j")
            error: BaseException | None = caught.value
            while error is not None:
                assert KEY not in f"{error!s} {error!r}"
                error = error.__cause__

    def test_it_is_in_no_log_journal_or_run_directory(
        self, emulate: Emulate, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        from qstore_core import ArrayLoader, QuantumModel, QuantumTrainer, TrainingConfig

        with emulate(key=KEY, force=["drop-after-accept:1"]) as locked, caplog.at_level(logging.DEBUG):
            backend = get_backend("ionq.qpu", api_key=KEY, remote_host=locked.url)
            config = TrainingConfig(
                epochs=1, gradient_method="spsa", shots_per_circuit=10, seed=1, run_directory=tmp_path / "run"
            )
            loader = ArrayLoader(np.zeros((2, 2)), np.array([0, 1]), 2)
            asyncio.run(QuantumTrainer(config, progress=False).train(QuantumModel(2, 2, 2, backend), loader))
            assert len(locked.ledger()) == 1
        assert "looking for the job" in caplog.text
        assert KEY not in caplog.text
        files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
        assert any(path.name == "journal.sqlite" for path in files)
        assert not any(KEY.encode() in path.read_bytes() for path in files)

    def test_an_entry_in_netrc_does_not_take_its_place(
        self, emulate: Emulate, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password other\n")
        monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
        with emulate(key=KEY) as locked:
            assert submit(connect(locked, api_key=KEY), simple())
