"""The traps of cirq-ionq 1.7.0, one test each: what its own `Service` does, and that the backend does not do it."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import cirq
import cirq_ionq
import numpy as np
import pytest
from ionq_batches import Connect, Emulate, RunJob, compiled, submit
from qstore_ionq.emulator.process import RunningEmulator
from qstore_ionq.results import result_of

from qstore_core.backend import JobState, Pacing
from qstore_core.batch import CircuitBatch
from qstore_core.circuit import QuantumCircuit
from qstore_core.errors import AmbiguousError, TransientError
from qstore_core.executor import Executor
from qstore_core.randomness import StepKey

QUICK = Pacing(first_poll=0.01, longest_poll=0.05, find_grace=0.3, request_patience=20.0, first_retry=0.01)
LINE = cirq.LineQubit.range(2)
FLIPS = [cirq.Circuit([cirq.I(LINE[1])], cirq.X(LINE[0]) ** n, cirq.measure(*LINE, key="m")) for n in (0.0, 1.0)]
CIRCUIT = QuantumCircuit(2).ry(0, 0.0).cnot(0, 1)


def service(running: RunningEmulator, **options: Any) -> cirq_ionq.Service:
    return cirq_ionq.Service(remote_host=running.url, api_key="emulator-key", **{"max_retry_seconds": 0, **options})


def rotated() -> list[cirq.Circuit]:
    """Circuits that cirq-ionq can send: each turns its first qubit a little more."""
    return [cirq.Circuit(cirq.rx(0.3 * n).on(LINE[0]), cirq.rx(0.1).on(LINE[1]), cirq.measure(*LINE)) for n in range(6)]


def batch_of(n_rows: int = 6, *, shots: int | None = None, circuit: QuantumCircuit = CIRCUIT) -> CircuitBatch:
    angles = np.linspace(0.1, 3.0, n_rows)[:, None] * np.ones(circuit.structure.n_angles)
    draws = None if shots is None else StepKey(1).draws(sample=np.arange(n_rows))
    return CircuitBatch(circuit.structure, angles, ("Z0", "Z1"), shots, draws)


@contextlib.contextmanager
def hanging(call: Callable[[], Any]) -> Iterator[threading.Thread]:
    """A call in a thread, which may not come back."""

    def quietly() -> None:
        with contextlib.suppress(Exception):
            call()

    thread = threading.Thread(target=quietly, daemon=True)
    thread.start()
    yield thread


def test_trap_1_one_mode_for_every_job_of_a_client(running: RunningEmulator, connect: Connect, run_job: RunJob) -> None:
    """A job with many circuits that another process made is asked for at the address of one with a single circuit."""
    theirs = service(running).create_batch_job(rotated(), target="simulator")
    with pytest.raises(cirq_ionq.IonQNotFoundException):
        service(running).get_job(theirs.job_id()).results()

    batch = batch_of()
    (here,) = run_job(connect(running), batch, token="read elsewhere")
    script = """
import asyncio, sys
import numpy as np
from qstore_core import CircuitBatch, QuantumCircuit, get_backend
backend, circuit = get_backend("ionq.simulator", remote_host=sys.argv[1], api_key="emulator-key"), QuantumCircuit(2)
batch = CircuitBatch(circuit.ry(0, 0.0).cnot(0, 1).structure, np.linspace(0.1, 3.0, 6)[:, None], ("Z0", "Z1"))
job = asyncio.run(backend.find("read elsewhere"))
(result,) = asyncio.run(backend.fetch(job, [batch], [backend.compile(batch.structure, batch.groups)]))
print(result.expectations.tobytes().hex())
"""
    done = subprocess.run(
        [sys.executable, "-c", script, running.url], capture_output=True, text=True, timeout=60, check=True
    )
    assert here.expectations is not None
    assert done.stdout.strip() == here.expectations.tobytes().hex()


def test_trap_1_one_backend_serves_many_threads_and_loops(
    running: RunningEmulator, connect: Connect, run_job: RunJob
) -> None:
    backend = connect(running)
    expected = [run_job(connect(running), batch_of(n))[0].expectations for n in range(1, 9)]
    found: dict[int, Any] = {}

    def one(n: int) -> None:
        (result,) = run_job(backend, batch_of(n), token=f"thread {n}")
        found[n] = result.expectations

    threads = [threading.Thread(target=one, args=(n,)) for n in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n, values in enumerate(expected, 1):
        np.testing.assert_array_equal(found[n], values)


@pytest.mark.parametrize("fault", ["error-after-accept", "drop-after-accept", "timeout-after-accept"])
def test_trap_2_a_post_whose_answer_was_lost_is_repeated(fault: str, emulate: Emulate, connect: Connect) -> None:
    """Its client repeats what may have been accepted, which is paid for twice; the executor looks for it first."""
    if fault != "timeout-after-accept":
        with emulate(force=[f"{fault}:1"]) as theirs:
            service(theirs, max_retry_seconds=1).create_batch_job(rotated(), target="qpu.forte-1")
            assert theirs.charged() == pytest.approx(2 * 25.7899)
    with emulate(force=[f"{fault}:1"]) as ours:
        executor = Executor(connect(ours, "qpu", minimum="per_job", pacing=QUICK))
        (result,) = asyncio.run(executor.run((batch_of(shots=50),)))
        assert result.n_rows == 6
        assert len(ours.ledger()) == 1
        assert ours.charged() == pytest.approx(executor.spent.usd_high) == pytest.approx(25.7899)
        assert ours.requests()["requests"]["submit"] == 1


def test_trap_2_what_was_surely_not_accepted_is_sent_again(emulate: Emulate, connect: Connect) -> None:
    """429 says so; after the others the list of jobs is asked, and a new token is sent."""
    with emulate(force=["rate-limit:1", "rate-limit:2", "drop:3", "unavailable:4"], retry_after=0.01) as ours:
        asyncio.run(Executor(connect(ours, "qpu", pacing=QUICK)).run((batch_of(shots=50),)))
        (entry,) = ours.ledger()
        assert entry.name.endswith("-3")
        assert ours.requests()["requests"]["submit"] == 5


def test_trap_3_the_id_is_lost_when_the_get_after_the_post_fails(emulate: Emulate, connect: Connect) -> None:
    with emulate(force=["gateway-timeout:status:1"]) as theirs:
        with pytest.raises(cirq_ionq.IonQException) as caught:
            service(theirs).create_batch_job(rotated(), target="qpu.forte-1")
        (orphan,) = theirs.ledger()
        assert orphan.id not in str(caught.value)
    with emulate(force=["gateway-timeout:status:1"]) as ours:
        job = submit(connect(ours, "qpu"), batch_of(shots=50))
        assert [entry.id for entry in ours.ledger()] == [job]
        assert ours.requests()["requests"] == {"submit": 1}


def test_trap_4_gateway_time_outs_end_a_run_and_retry_after_is_not_heard(emulate: Emulate, connect: Connect) -> None:
    with emulate(force=["gateway-timeout:status:2", "rate-limit:status:3"], retry_after=5) as theirs:
        job = service(theirs).create_batch_job(rotated(), target="simulator")
        with pytest.raises(cirq_ionq.IonQException, match="504"):
            service(theirs, max_retry_seconds=60).get_job(job.job_id())
        begin = time.monotonic()
        service(theirs, max_retry_seconds=60).get_job(job.job_id())
        assert time.monotonic() - begin < 4  # it was asked to wait for five seconds

    faults = ["gateway-timeout:status:1", "rate-limit:status:2", "gateway-timeout:results:1", "unavailable:cost:1"]
    with emulate(force=[*faults, "rate-limit:cost:2"], retry_after=0.4) as ours:
        backend = connect(ours, "qpu", pacing=QUICK)
        begin = time.monotonic()
        (result,) = asyncio.run(Executor(backend).run((batch_of(shots=50),)))
        assert time.monotonic() - begin > 3 * 0.4
        assert result.n_rows == 6
    with emulate(force=["rate-limit:1"], retry_after=2.5) as ours:
        with pytest.raises(TransientError, match="429: injected: too many requests") as asked:
            submit(connect(ours), batch_of())
        assert asked.value.retry_after == 2.5


def test_trap_5_a_silent_service_hangs_the_call_for_ever(emulate: Emulate, connect: Connect) -> None:
    with (
        emulate(force=["silence:status:1"], silence=1.5) as theirs,
        hanging(lambda: service(theirs).get_job("any")) as thread,
    ):
        thread.join(1.0)
        assert thread.is_alive()
        thread.join(10)  # until the other side closes the connection
    kinds = {"submit": 1, "status": 1, "results": 1, "list": 1, "cancel": 1, "cost": 1}
    with emulate(force=[f"silence:{kind}:{n}" for kind, n in kinds.items()], silence=60) as ours:
        backend = connect(ours, "qpu", request_timeout=0.2)
        batch = batch_of(shots=50)
        calls: list[Callable[[], Any]] = [
            lambda: submit(backend, batch),
            lambda: asyncio.run(backend.status("job")),
            lambda: asyncio.run(backend.find("t")),
            lambda: asyncio.run(backend.cost("job")),
            lambda: backend._client.results("job"),
            lambda: backend._client.cancel("job"),
        ]
        for call in calls:
            begin = time.monotonic()
            with pytest.raises(AmbiguousError, match="gave no answer"):
                call()
            assert time.monotonic() - begin < 5


def test_trap_5_waiting_for_results_blocks_everything_else(emulate: Emulate, connect: Connect) -> None:
    """Its `results()` sleeps; here a job is waited for while the event loop does other things."""
    with emulate(queue=0.5, latency=0.02) as ours:
        executor, ticks = Executor(connect(ours, pacing=QUICK)), 0

        async def both() -> None:
            nonlocal ticks
            task = asyncio.create_task(executor.run((batch_of(),)))
            while not task.done():
                ticks += 1
                await asyncio.sleep(0.01)
            await task

        asyncio.run(both())
        assert ticks > 20


def test_trap_6_a_cancelled_job_without_a_failure_is_a_type_error(emulate: Emulate, connect: Connect) -> None:
    with emulate(queue=600) as waiting:
        theirs = service(waiting).create_batch_job(rotated(), target="simulator")
        theirs.cancel()
        with pytest.raises(TypeError):
            service(waiting).get_job(theirs.job_id()).results()
        status = asyncio.run(connect(waiting).status(theirs.job_id()))
        assert (status.state, status.reason) == (JobState.CANCELLED, "")
    with emulate(force=["job-fails:1"]) as failing:
        backend = connect(failing)
        status = asyncio.run(backend.status(submit(backend, batch_of())))
        assert status.state is JobState.FAILED
        assert status.reason == "QuantumComputerError: injected: calibration lost"


def test_trap_7_the_list_of_jobs_repeats_itself_and_never_ends(emulate: Emulate, connect: Connect) -> None:
    with emulate() as empty, hanging(lambda: service(empty).list_jobs()) as thread:
        assert asyncio.run(connect(empty).find("t")) is None
        thread.join(0.5)
        assert thread.is_alive()
        assert empty.requests()["requests"]["list"] > 3
        submit(connect(empty), batch_of(1))  # then it finds a hundred jobs, all of them this one, and comes to an end
        thread.join(30)
        assert not thread.is_alive()
    with emulate(page=3) as ours:
        backend = connect(ours)
        jobs = [submit(backend, batch_of(1), token=f"job {n}") for n in range(8)]
        theirs = service(ours).list_jobs(limit=20)
        assert len(theirs) == 20
        assert len({job.job_id() for job in theirs}) == 8
        before = ours.requests()["requests"]["list"]
        assert [asyncio.run(backend.find(f"job {n}")) for n in range(8)] == jobs
        assert asyncio.run(backend.find("job")) is None
        # the newest three are on the first page, and so on; what is not there is on none of three
        assert ours.requests()["requests"]["list"] - before == 3 * 1 + 3 * 2 + 2 * 3 + 3


def test_trap_8_settings_and_metadata_leak_into_later_jobs(
    running: RunningEmulator, connect: Connect, http: Callable[..., Any]
) -> None:
    filled = {"compilation": {"opt": 1}}
    service(running, job_settings=filled).create_batch_job(
        rotated(), repetitions=500, target="qpu.aria-1", error_mitigation={"debiasing": True}
    )
    assert "error_mitigation" in filled

    mine = {"compilation": {"opt": 1}}
    backend = connect(running, "qpu", settings=mine)
    for token, shots in (("first", 50), ("second", 60)):
        job = submit(backend, batch_of(shots=shots), token=token)
        document = http(running, "GET", f"/jobs/{job}").json()
        assert document["settings"] == {"compilation": {"opt": 1}, "error_mitigation": {"debiasing": False}}
        assert document["metadata"]["token"] == token
        assert document["metadata"]["shots"] == str(shots)
    assert mine == {"compilation": {"opt": 1}}
    mine["compilation"]["opt"] = 0
    assert backend.fingerprint == connect(running, "qpu", settings={"compilation": {"opt": 1}}).fingerprint


def test_trap_9_results_come_in_the_order_of_their_ids_not_of_the_circuits(
    running: RunningEmulator, connect: Connect, run_job: RunJob
) -> None:
    theirs = service(running).create_batch_job(rotated() * 2, target="simulator").results()
    chances = [result.probabilities(key=None).get(0, 0.0) for result in theirs]
    expected = [np.cos(0.15 * (n % 6)) ** 2 * np.cos(0.05) ** 2 for n in range(12)]
    assert not np.allclose(chances, expected)

    batch = batch_of(12)
    (result,) = run_job(connect(running), batch)
    np.testing.assert_allclose(result.expectations, np.cos(batch.angles) * np.ones(2), atol=1e-12)


def test_trap_10_ms_gates_of_different_angles_are_equal(
    running: RunningEmulator, connect: Connect, run_job: RunJob
) -> None:
    assert cirq_ionq.MSGate(phi0=0, phi1=0, theta=0.1) == cirq_ionq.MSGate(phi0=0, phi1=0, theta=0.2)

    batch = batch_of(circuit=QuantumCircuit(2).rxx(0, 1, 0.0))
    backend = connect(running, gateset="native", noise_model="ideal")
    backend.chooser = replace(backend.chooser, family="ms")
    (result,) = run_job(backend, batch)
    np.testing.assert_allclose(result.expectations, np.cos(batch.angles) * np.ones(2), atol=1e-12)


def test_trap_11_shots_that_were_sampled_are_sampled_again(
    running: RunningEmulator, connect: Connect, run_job: RunJob, http: Callable[..., Any]
) -> None:
    """Counts are the service's own, to the last shot; and equal circuits of a job have shots of their own."""
    backend = connect(running, noise_model="aria-1", gateset="qis")
    batch = batch_of(4, shots=200)
    job = submit(backend, replace(batch, angles=np.full((4, 1), 1.5)), token="sampled once")
    (result,) = asyncio.run(backend.fetch(job, [batch], compiled(backend, batch)))
    order = http(running, "GET", f"/jobs/{job}").json()["child_job_ids"]
    histograms = http(running, "GET", f"/jobs/{job}/results/probabilities/aggregated").json()
    assert result.counts is not None
    (counts,) = result.counts
    assert (counts.totals == 200).all()
    rows = [{format(int(key), "02b")[::-1]: round(200 * p) for key, p in histograms[c].items()} for c in order]
    assert counts.to_dicts() == [dict(sorted(row.items())) for row in rows]
    assert len({str(row) for row in rows}) > 1


def test_trap_12_counts_need_not_sum_to_the_shots() -> None:
    batch = batch_of(2, shots=10)
    histograms = [{"0": 1 / 3, "1": 1 / 3, "2": 1 / 3}, dict.fromkeys(map(str, range(25)), 0.04)]
    result = result_of(batch, histograms, [tuple(range(5))], sampled=True)
    assert result.counts is not None
    (counts,) = result.counts
    assert counts.to_dicts() == [{"00000": 3, "01000": 3, "10000": 3}, {"00000": 1}]
    assert counts.totals.tolist() == [9, 1]


def test_trap_13_a_job_for_each_point_and_gates_that_are_refused(
    emulate: Emulate, connect: Connect, run_job: RunJob
) -> None:
    serializer = cirq_ionq.Serializer()
    for gate in (cirq.CZ(*LINE), cirq.CCX(*cirq.LineQubit.range(3)), cirq.PhasedXPowGate(phase_exponent=0.1)(LINE[0])):
        with pytest.raises(ValueError, match="cannot be serialized"):
            serializer.serialize_many_circuits([cirq.Circuit(gate)])

    circuit = QuantumCircuit(3).h(0).cz(0, 1).toffoli(0, 1, 2).crx(0, 2, 0.0).p(1, 0.0).sx(2)
    narrow = batch_of(5, circuit=circuit)
    narrow = replace(narrow, angles=narrow.angles.astype(np.float32))
    with emulate() as ours:
        for gateset in ("native", "qis"):
            (result,) = run_job(connect(ours, gateset=gateset), narrow)
            assert result.n_rows == 5
        assert [entry.circuits for entry in ours.ledger()] == [5, 5]
