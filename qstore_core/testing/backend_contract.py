"""Whether a backend says what it is, keeps its limits, refuses what it cannot, and names prices that make sense."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from math import isfinite

import numpy as np

from qstore_core.backend import JobState, LocalBackend, Prices, RemoteBackend
from qstore_core.batch import CircuitBatch
from qstore_core.circuit import QuantumCircuit
from qstore_core.cost import Cost
from qstore_core.errors import CapabilityError, QStoreError
from qstore_core.gates import GATES
from qstore_core.operations import CircuitStructure
from qstore_core.testing.bench import Bench, bound
from qstore_core.testing.expect import CheckFailedError, must_refuse, require, skip
from qstore_core.testing.suite import BackendChecks, Factory

_LARGEST_SHOTS, _LARGEST_JOB, _VERY_WIDE = 20_000, 300, 60


class ContractChecks(BackendChecks):
    """What a backend says of itself, and that it is so."""

    def test_it_says_what_it_is(self, make_backend: Factory) -> None:
        """Capabilities that can be, and a fingerprint that two backends made alike share."""
        bench = self.bench(make_backend)
        backend, able = bench.backend, bench.able
        fingerprint = getattr(backend, "fingerprint", None)
        require(isinstance(fingerprint, str) and fingerprint, f"the fingerprint is {fingerprint!r}; it is a text")
        require(backend.name, f"the fingerprint {fingerprint!r} has no name before its first bracket")
        require(able.max_qubits >= 1, f"capabilities.max_qubits is {able.max_qubits}")
        require(able.gates, "capabilities.gates is empty")
        unknown = sorted(able.gates - set(GATES))
        require(not unknown, f"capabilities.gates has {unknown}, which are no gates of qstore: {', '.join(GATES)}")
        require(able.exact or able.sampled, "capabilities say neither exact nor sampled: it can run nothing")
        require(
            not (able.adjoint and bench.is_remote), "capabilities.adjoint is True, and a remote backend has no gradient"
        )
        again = self.bench(make_backend).backend
        require(
            again.fingerprint == fingerprint,
            f"two backends made alike have the fingerprints {fingerprint!r} and {again.fingerprint!r}: nothing that "
            "was cached or journaled would be found again",
        )

    def test_it_opens_and_closes(self, make_backend: Factory) -> None:
        """`async with backend:` works, and twice."""
        bench = self.bench(make_backend)

        async def use() -> None:
            async with bench.backend as entered:
                require(entered is bench.backend, "`async with backend as b` gives another object than the backend")

        for _ in range(2):
            asyncio.run(use())

    def test_what_it_cannot_do_is_refused(self, make_backend: Factory) -> None:
        """Too wide, too many shots, a gate or a kind of value it lacks: an error, and never a made-up result."""
        bench = self.bench(make_backend)
        tried = 0
        for what, batch in _impossible(bench):
            kind = QStoreError if bench.is_remote else CapabilityError
            with must_refuse(kind, what):
                _attempt(bench, batch)
            tried += 1
        if not tried:
            skip("its capabilities leave nothing out that a batch could ask for")

    def test_the_most_that_it_permits_runs(self, make_backend: Factory) -> None:
        """As many shots, and as many circuits in one job, as the capabilities permit."""
        bench = self.bench(make_backend)
        able, batches = bench.able, []
        if able.sampled and able.max_shots is not None and able.max_shots <= _LARGEST_SHOTS:
            batches.append(("max_shots", _small(bench, rows=1, shots=able.max_shots)))
        if able.max_circuits_per_job is not None and able.max_circuits_per_job <= _LARGEST_JOB:
            rows = able.max_circuits_per_job
            shots = None if able.exact else min(10, bench.sampled_shots)
            batches.append(("max_circuits_per_job", _small(bench, rows=rows, shots=shots)))
        if not batches:
            skip(f"no limit of at most {_LARGEST_SHOTS} shots or {_LARGEST_JOB} circuits, which could be tried")
        for what, batch in batches:
            (result,) = bench.run(batch)
            require(result.n_rows == batch.n_rows, f"{what}: {result.n_rows} rows came back of {batch.n_rows}")

    def test_metadata_is_json(self, make_backend: Factory) -> None:
        """What a backend has to say beside its numbers can be written down."""
        bench = self.bench(make_backend)
        (result,) = bench.run(_small(bench, rows=1, shots=bench.best_shots))
        try:
            json.dumps(dict(result.metadata))
        except (TypeError, ValueError) as error:
            raise CheckFailedError(f"metadata {result.metadata!r} is not JSON: {error}") from error

    def test_prices_count_what_is_run(self, make_backend: Factory) -> None:
        """A price has the batch's circuits, shots and one job, and is not 0 where prices are declared."""
        bench = self.bench(make_backend)
        for rows in (1, 5):
            batch = _small(bench, rows=rows, shots=bench.best_shots)
            price = bench.backend.price(bench.compile(batch), batch)
            _check_cost(price, f"the price of {rows} rows")
            counted = (price.circuits, price.shots, price.jobs)
            wanted = (batch.n_circuits, batch.n_shots, 1)
            require(counted == wanted, f"price counts (circuits, shots, jobs) as {counted}; the batch has {wanted}")
            require(
                bench.able.prices is not None or price.usd_high == 0.0,
                f"price says {price.usd_high:g} USD and capabilities.prices is None, which means that it is free",
            )
        for shots in {bench.best_shots, bench.sampled_shots} if bench.able.sampled else {None}:
            _check_declared(bench, _small(bench, rows=2, shots=shots))

    def test_prices_grow_with_the_work(self, make_backend: Factory) -> None:
        """More rows, more shots or another batch in the job never cost less, and one job no more than two."""
        bench = self.bench(make_backend)
        small, large = (_small(bench, rows=rows, shots=bench.best_shots) for rows in (2, 20))
        compiled = bench.compile(small)
        pairs = [(small, large)]
        if bench.able.sampled:
            few, many = max(1, bench.sampled_shots // 2), bench.sampled_shots
            pairs.append((_small(bench, rows=2, shots=few), _small(bench, rows=2, shots=many)))
        for less, more in pairs:
            low, high = bench.backend.price(compiled, less), bench.backend.price(compiled, more)
            require(
                low.usd_high <= high.usd_high + 1e-9,
                f"{more.n_rows} rows of {more.shots} shots cost {high.usd_high:g} USD, and {less.n_rows} of "
                f"{less.shots} cost {low.usd_high:g}",
            )
        if isinstance(bench.backend, RemoteBackend) and bench.backend.fits((small, small), (compiled, compiled)):
            alone = bench.backend.price(compiled, small)
            both = bench.backend.price_job((compiled, compiled), (small, small))
            _check_cost(both, "the price of a job with two batches")
            require(both.jobs == 1, f"price_job counts {both.jobs} jobs for one")
            require(
                alone.usd_high - 1e-9 <= both.usd_high <= 2 * alone.usd_high + 1e-9,
                f"one job with two batches costs {both.usd_high:g} USD, and one with either of them {alone.usd_high:g}",
            )


def _check_declared(bench: Bench, batch: CircuitBatch) -> None:
    """Fail where the declared prices make a batch cost something, and `price` says that it is free."""
    prices = bench.able.prices or Prices()
    declared = prices.per_job + prices.per_circuit * batch.n_circuits + prices.per_shot * batch.n_shots
    price = bench.backend.price(bench.compile(batch), batch)
    require(
        price.usd_high > 0 or not declared > 0,
        f"price says 0 USD for {batch.n_rows} rows of {batch.shots} shots, and by capabilities.prices they cost "
        f"{declared:g} USD: no budget would hold",
    )


def _impossible(bench: Bench) -> list[tuple[str, CircuitBatch]]:
    """Batches that the capabilities rule out, and what is wrong with each."""
    able, shots = bench.able, bench.best_shots
    circuit = bench.flip(QuantumCircuit(1), 0)
    wide = CircuitStructure(max(able.max_qubits + 1, _VERY_WIDE), circuit.structure.gates)
    tried = [
        (f"a circuit of {wide.n_qubits} qubits", replace(_small(bench, rows=1, shots=shots, flip=True), structure=wide))
    ]
    if bench.is_remote:
        return tried  # the executor checks the rest before anything is sent
    if able.sampled and able.max_shots is not None:
        tried.append((f"{able.max_shots + 1} shots", _small(bench, rows=1, shots=able.max_shots + 1)))
    if not able.exact:
        tried.append(("exact values (shots=None)", _small(bench, rows=1, shots=None)))
    if not able.sampled:
        tried.append(("10 shots", _small(bench, rows=1, shots=10)))
    missing = sorted(name for name in set(GATES) - able.gates if GATES[name].n_qubits <= able.max_qubits)
    for name in missing[:1]:
        qubits, angle = tuple(range(GATES[name].n_qubits)), 0.3 if GATES[name].has_angle else None
        lacking = QuantumCircuit(len(qubits)).append(name, qubits, angle)
        tried.append((f"gate {name!r}, which capabilities.gates lacks", bench.batch(lacking, ("Z0",), shots=shots)))
    return tried


def _small(bench: Bench, *, rows: int, shots: int | None, flip: bool = False) -> CircuitBatch:
    """Rows of one qubit, measured in one basis."""
    rng = np.random.default_rng(51)
    circuit = bench.flip(QuantumCircuit(1), 0) if flip else bench.scramble(QuantumCircuit(1), rng, length=2)
    return bench.batch(circuit, ("Z0",), shots=shots, angles=np.repeat(bound(circuit), rows, axis=0))


def _attempt(bench: Bench, batch: CircuitBatch) -> None:
    """Run a batch without the core's own checks before it; a job that ends as failed counts as refused."""
    compiled, backend = bench.compile(batch), bench.backend
    if isinstance(backend, LocalBackend):
        asyncio.run(backend.execute(batch, compiled))
        return
    bench.charge(bench.price((batch,), (compiled,)))
    job_id = asyncio.run(bench.submit((batch,), (compiled,)))
    status = asyncio.run(bench.remote().status(job_id))
    if status.state is JobState.FAILED:
        raise QStoreError(status.reason or "the job failed")


def _check_cost(cost: Cost, what: str) -> None:
    require(isinstance(cost, Cost), f"{what} is a {type(cost).__name__}, not a Cost")
    require(
        isfinite(cost.usd_high) and 0 <= cost.usd_low <= cost.usd_high,
        f"{what} is {cost.usd_low:g} to {cost.usd_high:g} USD; the low reading comes first, and none is below 0",
    )
    require(isfinite(cost.seconds) and cost.seconds >= 0, f"{what} says {cost.seconds!r} seconds")
