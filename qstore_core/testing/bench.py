"""A backend on the bench: what to ask it, how to run it, and how near its answers must be."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from math import log, sqrt
from typing import Any, TypeVar
from unittest import SkipTest

import numpy as np

from qstore_core.angles import Angle
from qstore_core.arrays import FloatArray, LabelArray
from qstore_core.backend import Backend, BackendCapabilities, JobState, LocalBackend, RemoteBackend
from qstore_core.batch import BatchResult, CircuitBatch, estimates
from qstore_core.circuit import QuantumCircuit
from qstore_core.cost import Cost
from qstore_core.errors import AmbiguousError, BackendError, TransientError
from qstore_core.gates import GATES
from qstore_core.observables import PauliSum
from qstore_core.packing import Packer
from qstore_core.randomness import StepKey
from qstore_core.result_check import check_result
from qstore_core.testing import reference
from qstore_core.testing.expect import CheckFailedError, require, require_close, skip

T = TypeVar("T")

FALSE_ALARM = 1e-10
"""How often one comparison of sampled values fails by chance; a check makes fewer than 10,000."""

_FLIPS: tuple[tuple[tuple[str, float | None], ...], ...] = (
    (("x", None),),
    (("y", None),),
    (("rx", np.pi),),
    (("ry", np.pi),),
    (("sx", None), ("sx", None)),
    (("h", None), ("z", None), ("h", None)),
)


@dataclass(slots=True, eq=False)
class Bench:
    """One backend, fresh for one check.

    Attributes:
        make: Makes a backend.
        shots: Shots of each circuit where values are sampled.
        exact: How far exact values may be from the reference.
        noise: How far noise may move a Pauli expectation value of a short circuit, where the backend says it is noisy.
        max_usd: The most that the check may spend, on the dearer reading of the backend's own prices.
        patience: Seconds to wait for a job.
    """

    make: Callable[[], Backend]
    shots: int = 1000
    exact: float = 1e-9
    noise: float = 0.25
    max_usd: float = 0.0
    patience: float = 600.0
    backend: Backend = field(init=False)
    spent: Cost = field(init=False, default_factory=Cost)

    def __post_init__(self) -> None:
        self.backend = self.make()
        require(
            isinstance(self.backend, LocalBackend | RemoteBackend),
            f"make_backend made a {type(self.backend).__name__}; a backend derives from LocalBackend or RemoteBackend",
        )
        require(
            isinstance(getattr(self.backend, "capabilities", None), BackendCapabilities),
            "the backend has no capabilities: set self.capabilities = BackendCapabilities(...)",
        )

    @property
    def able(self) -> BackendCapabilities:
        """What the backend says that it can do."""
        return self.backend.capabilities

    @property
    def sampled_shots(self) -> int:
        """The shots of a sampled circuit, as many as the backend allows."""
        if not self.able.sampled:
            skip("capabilities.sampled is False: it has exact values only")
        return min(self.shots, self.able.max_shots or self.shots)

    @property
    def best_shots(self) -> int | None:
        """None where exact values are possible, which show more; else `sampled_shots`."""
        return None if self.able.exact else self.sampled_shots

    def require_exact(self) -> None:
        """Skip where there are no exact values."""
        if not self.able.exact:
            skip("capabilities.exact is False: it only samples")

    def remote(self) -> RemoteBackend:
        """The backend, where it takes jobs."""
        if not isinstance(self.backend, RemoteBackend):
            skip("it is a local backend: it has no jobs")
        return self.backend

    def qubits(self, wanted: int) -> tuple[int, ...]:
        """So many qubits that gates on two of them may act on, all pairs connected."""
        able = self.able
        if wanted > able.max_qubits:
            skip(f"capabilities.max_qubits is {able.max_qubits}: fewer than the {wanted} that this needs")
        for first in range(able.max_qubits if able.connectivity is not None else 1):
            chosen = [first]
            for other in range(able.max_qubits):
                if len(chosen) < wanted and other != first and all(able.connects(other, each) for each in chosen):
                    chosen.append(other)
            if len(chosen) == wanted:
                return tuple(chosen)
        raise SkipTest(f"capabilities.connectivity has no {wanted} qubits that are all connected")

    def width(self, most: int) -> int:
        """A width of at most `most` that it takes."""
        return min(most, self.able.max_qubits)

    def flip(self, circuit: QuantumCircuit, qubit: int) -> QuantumCircuit:
        """The circuit with a qubit turned from |0> to |1>, by the gates that there are."""
        for gates in _FLIPS:
            if all(name in self.able.gates for name, _ in gates):
                for name, angle in gates:
                    circuit = circuit.append(name, qubit, angle)
                return circuit
        raise SkipTest("capabilities.gates has no gate that turns |0> into |1>")

    def scramble(self, circuit: QuantumCircuit, rng: np.random.Generator, *, length: int = 3) -> QuantumCircuit:
        """The circuit with random gates on each qubit: `length` of those with an angle, where there are any."""
        single = sorted(name for name in self.able.gates if GATES[name].n_qubits == 1)
        turning = [name for name in single if GATES[name].has_angle]
        for qubit in range(circuit.n_qubits):
            for name in map(str, rng.choice(turning or single or ["i"], size=length)):
                if name != "i":
                    circuit = circuit.append(name, qubit, rng.normal(scale=2.0) if GATES[name].has_angle else None)
        return circuit

    def random_circuit(self, rng: np.random.Generator, n_qubits: int, length: int = 12) -> QuantumCircuit:
        """Any gates that there are, anywhere that is connected."""
        circuit = self.scramble(QuantumCircuit(n_qubits), rng, length=2)
        for name in map(str, rng.choice(sorted(self.able.gates), size=length)):
            gate, qubits = GATES[name], tuple(map(int, rng.permutation(n_qubits)[: GATES[name].n_qubits]))
            connected = all(self.able.connects(a, b) for a in qubits for b in qubits if a != b)
            if len(qubits) == gate.n_qubits and connected:
                circuit = circuit.append(name, qubits, rng.normal(scale=2.0) if gate.has_angle else None)
        return self.scramble(circuit, rng, length=2)

    def batch(
        self,
        circuit: QuantumCircuit,
        observables: Sequence[PauliSum | str] | None,
        *,
        shots: int | None,
        angles: FloatArray | None = None,
        draws: LabelArray | None = None,
        seed: int = 0,
    ) -> CircuitBatch:
        """A batch of a circuit's own angles, or of rows of them, each with a draw label of its own."""
        rows = bound(circuit) if angles is None else angles
        labels = StepKey(seed).draws(sample=np.arange(len(rows))) if draws is None else draws
        chosen = None if observables is None else tuple(map(PauliSum.of, observables))
        return CircuitBatch(circuit.structure, rows, chosen, shots, None if shots is None else labels)

    def run(self, *batches: CircuitBatch) -> list[BatchResult]:
        """The results of batches, each checked for form and shape, in an event loop of their own."""
        return asyncio.run(self.results(batches))

    async def results(self, batches: Sequence[CircuitBatch]) -> list[BatchResult]:
        """`run`, in the present event loop."""
        jobs = list(Packer(self.backend).jobs(batches, "check", self.compile)) if self.is_remote else []
        self.charge(*(self.price(job.batches, job.compiled) for job in jobs))
        if not self.is_remote:
            return [await self._local(batch) for batch in batches]
        ids = [await self.submit(job.batches, job.compiled) for job in jobs]
        pieces: list[BatchResult] = []
        for job, job_id in zip(jobs, ids, strict=True):
            await self.wait(job_id)
            pieces += await self.fetch(job_id, job.batches, job.compiled)
        return _whole(batches, pieces)

    @property
    def is_remote(self) -> bool:
        """Whether the backend takes jobs."""
        return isinstance(self.backend, RemoteBackend)

    def compile(self, batch: CircuitBatch) -> Any:
        """What the backend makes of a batch's structure and bases."""
        return self.backend.compile(batch.structure, batch.groups)

    def price(self, batches: Sequence[CircuitBatch], compiled: Sequence[Any]) -> Cost:
        """What one job would cost, by the backend's own word."""
        return self.remote().price_job(compiled, batches)

    def charge(self, *costs: Cost) -> None:
        """Count costs before they arise; skip the check where they are more than it may spend."""
        total = sum(costs, self.spent)
        if total.usd_high > self.max_usd:
            skip(f"it could cost {total.usd_high:.2f} USD, and max_usd={self.max_usd:g} is all that a check may spend")
        self.spent = total

    async def _local(self, batch: CircuitBatch) -> BatchResult:
        assert isinstance(self.backend, LocalBackend)
        compiled, parts = self.compile(batch), []
        for first, last in Packer(self.backend).ranges(batch):
            piece = batch.rows(first, last)
            self.charge(self.backend.price(compiled, piece))
            parts.append(self._checked(await self.backend.execute(piece, compiled), piece))
        return BatchResult.concatenate(parts)

    def _checked(self, result: BatchResult, batch: CircuitBatch) -> BatchResult:
        try:
            check_result(result, batch, self.backend.name)
        except BackendError as error:
            raise CheckFailedError(str(error)) from error
        return result

    async def submit(self, batches: Sequence[CircuitBatch], compiled: Sequence[Any], token: str | None = None) -> str:
        """The id of one job, sent once."""
        job_id = await self.remote().submit(batches, compiled, token or new_token())
        require(isinstance(job_id, str) and job_id, f"submit returned {job_id!r}; the provider's id is a text")
        return job_id

    async def wait(self, job_id: str) -> None:
        """Wait until a job is done; fail where it fails, or takes longer than `patience`."""
        backend, end = self.remote(), time.monotonic() + self.patience
        pause = backend.pacing.first_poll
        while True:
            status = await self.patiently(lambda: backend.status(job_id))
            if status.state is JobState.DONE:
                return
            require(
                status.state in (JobState.QUEUED, JobState.RUNNING),
                f"job {job_id} ended as {status.state.value}: {status.reason or 'no reason given'}",
            )
            require(time.monotonic() < end, f"job {job_id} is {status.state.value} after {self.patience:g} s")
            await asyncio.sleep(pause)
            pause = min(pause * backend.pacing.poll_growth, backend.pacing.longest_poll)

    async def fetch(self, job_id: str, batches: Sequence[CircuitBatch], compiled: Sequence[Any]) -> list[BatchResult]:
        """The results of a finished job, checked."""
        backend = self.remote()
        results = await self.patiently(lambda: backend.fetch(job_id, batches, compiled))
        require(
            len(results) == len(batches), f"fetch returned {len(results)} results for a job of {len(batches)} batches"
        )
        return [self._checked(result, batch) for result, batch in zip(results, batches, strict=True)]

    async def patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer to a request that is safe to repeat."""
        end = time.monotonic() + self.patience
        while True:
            try:
                return await ask()
            except (TransientError, AmbiguousError) as error:
                if time.monotonic() > end:
                    raise CheckFailedError(f"no answer within {self.patience:g} s: {error}") from error
                await asyncio.sleep(getattr(error, "retry_after", None) or self.remote().pacing.first_retry)

    def tolerance(self, batch: CircuitBatch) -> FloatArray:
        """How far each observable of a batch may be from its exact value, `(n_observables,)`."""
        error = self.exact if batch.shots is None else sampling_error(batch.shots)
        error += self.noise if self.able.noisy else 0.0
        return np.array([max(1.0, _weight(observable)) * error for observable in batch.observables or ()])

    def compare(self, batch: CircuitBatch, result: BatchResult, what: str) -> None:
        """Fail unless a result is that of the reference, as near as shots and noise allow."""
        if batch.observables is not None:
            values = estimates(batch, result).values
            require_close(values, reference.expectations(batch), self.tolerance(batch), what)
            return
        require_close(
            frequencies(batch, result),
            reference.register(batch),
            (self.exact if batch.shots is None else sampling_error(batch.shots) / 2)
            + (self.noise if self.able.noisy else 0.0),
            f"{what}: the frequencies of outcomes",
        )


def bound(circuit: QuantumCircuit) -> FloatArray:
    """The angles of a circuit without symbols, as one row."""
    angles = [each.angle for each in circuit.operations if isinstance(each.angle, Angle)]
    return np.array([[angle.offset for angle in angles]]).reshape(1, len(angles))


def sampling_error(shots: int) -> float:
    """How far a mean of so many values of +-1 is from its expectation, but once in 1 / FALSE_ALARM (Hoeffding 1963).

    >>> round(sampling_error(1000), 3)
    0.218
    """
    return sqrt(2.0 * log(2.0 / FALSE_ALARM) / shots)


def frequencies(batch: CircuitBatch, result: BatchResult) -> FloatArray:
    """The relative frequency, or the probability, of each outcome of the whole register, `(n_rows, 2**n_qubits)`."""
    if result.probabilities is not None:
        return result.probabilities[0]
    require(result.counts is not None, "a batch without observables needs counts or probabilities")
    (counts,) = result.counts or ()
    table = np.zeros((counts.n_rows, 2**batch.structure.n_qubits))
    rows = np.repeat(np.arange(counts.n_rows), np.diff(counts.starts))
    np.add.at(table, (rows, counts.outcomes.astype(np.int64)), counts.counts)
    shares: FloatArray = table / table.sum(axis=1, keepdims=True)
    return shares


def new_token() -> str:
    """A name for a job that no other job has."""
    return f"qstore-check-{uuid.uuid4().hex}"


def _weight(observable: PauliSum) -> float:
    return sum(abs(term.coefficient) for term in observable.terms if term.letters)


def _whole(batches: Sequence[CircuitBatch], pieces: Sequence[BatchResult]) -> list[BatchResult]:
    """The pieces of jobs put together again, batch by batch."""
    remaining, whole = list(pieces), []
    for batch in batches:
        parts, missing = [], batch.n_rows
        while missing > 0:
            parts.append(remaining.pop(0))
            missing -= parts[-1].n_rows
        whole.append(BatchResult.concatenate(parts))
    return whole
