"""The backends against the emulator: results and limits."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ionq_batches import Connect, Emulate, Http, RandomCircuit, RunJob, batch_of, compiled, exact, simple, submit
from qstore_ionq import wire
from qstore_ionq.emulator.process import RunningEmulator
from qstore_ionq.results import distribution, result_of

from qstore_core.backend import JobState
from qstore_core.batch import BatchResult, estimates
from qstore_core.circuit import QuantumCircuit
from qstore_core.errors import BackendError, CapabilityError, JobRejectedError, TransientError
from qstore_core.executor import Executor
from qstore_core.observables import PauliString, PauliSum

EVERY_WAY = [
    ("simulator", {"gateset": "native"}),
    ("simulator", {"gateset": "qis"}),
    ("simulator", {"noise_model": "aria-1", "gateset": "native"}),
    ("simulator", {"noise_model": "forte-1", "gateset": "native"}),
    ("qpu", {"target": "qpu.aria-2", "gateset": "native"}),
    ("qpu", {"target": "qpu.forte-1", "gateset": "native"}),
    ("qpu", {"target": "qpu.forte-enterprise-1", "gateset": "qis"}),
]


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
