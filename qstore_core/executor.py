"""The only place that runs circuits: group, compile once per structure, execute, count."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from qstore_core.backend import Backend, LocalBackend
from qstore_core.batch import BatchResult, CircuitBatch, VectorJacobianProduct
from qstore_core.cost import Cost
from qstore_core.errors import BackendError, CapabilityError
from qstore_core.problem import GradientResult, Request, Rounds, State
from qstore_core.tracker import PerformanceTracker


@dataclass(frozen=True, slots=True)
class ExecutorOptions:
    """How batches are run.

    Attributes:
        max_compiled: How many compiled structures are kept; 0 compiles anew every time.
        one_circuit_per_job: Run every circuit in a job of its own, for comparison.
    """

    max_compiled: int = 1000
    one_circuit_per_job: bool = False


class Executor:
    """Runs batches on one backend.

    Args:
        backend: Where to run.
        tracker: What times and counts are added to; a new one if None.
        options: How to run.

    >>> import asyncio
    >>> from qstore_core import PauliString, QuantumCircuit, get_backend
    >>> circuit = QuantumCircuit(1).x(0)
    >>> batch = CircuitBatch(circuit.structure, circuit.angles(), (PauliString("Z0"),))
    >>> (result,) = asyncio.run(Executor(get_backend("mock")).run((batch,)))
    >>> result.expectations
    array([[-1.]])
    """

    def __init__(
        self,
        backend: Backend,
        *,
        tracker: PerformanceTracker | None = None,
        options: ExecutorOptions | None = None,
    ) -> None:
        self.backend = backend
        self.tracker = tracker or PerformanceTracker()
        self.options = options or ExecutorOptions()
        self._compiled: OrderedDict[tuple[Any, ...], Any] = OrderedDict()

    @property
    def spent(self) -> Cost:
        """Everything run so far."""
        return self.tracker.total

    async def run(self, requests: Sequence[Request]) -> tuple[BatchResult, ...]:
        """The results of batches and vector-Jacobian products, in their order.

        Raises:
            CapabilityError: The backend cannot do what is asked; nothing ran.
            BackendError: The backend failed, or returned something that does not fit the batch.
        """
        backend = self._local()
        for request in requests:
            backend.capabilities.check(_batch_of(request), backend=backend.name)
        return tuple([await self._run_one(backend, request) for request in requests])

    async def drive(self, rounds: Rounds) -> tuple[GradientResult, State]:
        """Run an estimator's step to its end: what it yields is executed and the results are sent back."""
        before, begin = self.spent, time.perf_counter()
        results: tuple[BatchResult, ...] | None = None
        while True:
            with self.tracker.span("fold" if results is not None else "plan"):
                try:
                    requests = rounds.send(results) if results is not None else next(rounds)
                except StopIteration as finished:
                    answer, state = finished.value
                    break
            results = await self.run(requests)
        counted = replace(
            answer,
            n_circuit_executions=self.spent.circuits - before.circuits,
            n_shots=self.spent.shots - before.shots,
            n_jobs=self.spent.jobs - before.jobs,
            computation_time_ms=1000 * (time.perf_counter() - begin),
        )
        return counted, state

    def _local(self) -> LocalBackend:
        if not isinstance(self.backend, LocalBackend):
            raise CapabilityError(
                f"backend {self.backend.name!r} runs remote jobs, which this version of qstore-core does not submit "
                "yet; use a local backend such as 'mock'"
            )
        return self.backend

    async def _run_one(self, backend: LocalBackend, request: Request) -> BatchResult:
        batch = _batch_of(request)
        with self.tracker.span("compile"):
            compiled = self._compile(batch)
        parts = []
        for first, last in self._jobs(batch):
            piece = batch.rows(first, last)
            price = backend.price(compiled, piece)
            begin = time.perf_counter()
            with self.tracker.span("execute"):
                if isinstance(request, VectorJacobianProduct):
                    gradients = await backend.gradient(piece, compiled, request.cotangents[first:last])
                    result = BatchResult(angle_gradients=gradients)
                else:
                    result = await backend.execute(piece, compiled)
            self.tracker.ran(price, seconds=time.perf_counter() - begin)
            _check(result, piece, backend.name)
            parts.append(result)
        return BatchResult.concatenate(parts)

    def _compile(self, batch: CircuitBatch) -> Any:
        key = (self.backend.fingerprint, batch.structure.digest, batch.groups)
        if key in self._compiled:
            self._compiled.move_to_end(key)
            return self._compiled[key]
        compiled = self.backend.compile(batch.structure, batch.groups)
        if self.options.max_compiled:
            self._compiled[key] = compiled
            while len(self._compiled) > self.options.max_compiled:
                self._compiled.popitem(last=False)
        return compiled

    def _jobs(self, batch: CircuitBatch) -> Iterator[tuple[int, int]]:
        """Ranges of rows that one call may hold."""
        limit = 1 if self.options.one_circuit_per_job else self.backend.capabilities.max_circuits_per_job
        per_row = batch.n_circuits // batch.n_rows
        size = batch.n_rows if limit is None else max(1, limit // max(1, per_row))
        for first in range(0, batch.n_rows, size):
            yield first, min(first + size, batch.n_rows)


def _batch_of(request: Request) -> CircuitBatch:
    return request.batch if isinstance(request, VectorJacobianProduct) else request


def _check(result: BatchResult, batch: CircuitBatch, backend: str) -> None:
    if result.n_rows != batch.n_rows:
        raise BackendError(f"backend {backend!r} returned {result.n_rows} rows for a batch of {batch.n_rows}")
