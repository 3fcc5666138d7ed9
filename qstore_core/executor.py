"""The only place that runs circuits: reduce, look up, merge, compile once per structure, price, run, keep."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qstore_core.account import Account
from qstore_core.answers import as_asked, ask, batch_of, constant_answer, is_constant, passes, plain_batch
from qstore_core.backend import Backend, LocalBackend, RemoteBackend
from qstore_core.batch import BatchResult, CircuitBatch, VectorJacobianProduct, estimated_values
from qstore_core.circuit_cache import QuantumCircuitCache
from qstore_core.cost import Budget, Cost
from qstore_core.errors import ConfigurationError
from qstore_core.in_flight import InFlight
from qstore_core.known_rows import KnownRows, missing_rows
from qstore_core.lightcone import reduce_circuit
from qstore_core.packing import Packer
from qstore_core.problem import GradientResult, Request, Rounds, State, require_whole
from qstore_core.result_check import check_result
from qstore_core.result_codec import decode_rows, encode_rows, row_keys
from qstore_core.tracker import PerformanceTracker

if TYPE_CHECKING:
    from qstore_core.jobs import JobRunner
    from qstore_core.journal import Journal
    from qstore_core.journal_owner import JournalOwner


@dataclass(frozen=True, slots=True)
class ExecutorOptions:
    """How batches are run.

    Attributes:
        one_circuit_per_job: Run every circuit in a job of its own, for comparison.
        max_concurrent_jobs: How many remote jobs are sent and waited for at once.
        max_attempts: How often a remote job is sent before its failure ends the run.
        late_after: Seconds of silence after which a remote job is reported as late.
        reduce: Whether gates that cannot change the observables asked for are left out of what runs. Circuits whose
            whole register is read run as they are.
    """

    one_circuit_per_job: bool = False
    max_concurrent_jobs: int = 5
    max_attempts: int = 3
    late_after: float = 60.0
    reduce: bool = True


class Executor:
    """Runs batches on one backend.

    Args:
        backend: Where to run.
        tracker: What times and counts are added to; a new one if None.
        options: How to run.
        cache: What is looked up before anything is compiled or run; None compiles and runs everything anew.
        account: What runs are charged to, and the cap; a new one without a cap if None.
        journal: The record of remote jobs; None keeps one in memory, which does not survive the process.

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
        cache: QuantumCircuitCache | None = None,
        account: Account | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.backend = backend
        self.tracker = tracker or PerformanceTracker()
        self.options = options or ExecutorOptions()
        self.cache = cache
        self.account = account or Account()
        self._rows = KnownRows(cache)
        self._in_flight = InFlight()
        self._packer = Packer(backend, self.options.one_circuit_per_job)
        self._runner: JobRunner | None = None
        self._owner: JournalOwner | None = None
        if isinstance(backend, RemoteBackend):
            # here, because simulators need neither jobs nor the libraries for them
            from qstore_core.jobs import JobRunner
            from qstore_core.journal import Journal

            self._runner = JobRunner(
                backend,
                Journal(None) if journal is None else journal,
                self.account,
                self.tracker,
                max_attempts=self.options.max_attempts,
                max_concurrent=self.options.max_concurrent_jobs,
                late_after=self.options.late_after,
            )

    @classmethod
    def on(
        cls,
        backend: Backend,
        *,
        cache: QuantumCircuitCache | None = None,
        journal_path: str | Path | None = None,
        budget: Budget | None = None,
        max_concurrent_jobs: int = 5,
        tracker: PerformanceTracker | None = None,
    ) -> Executor:
        """An executor with a journal of its own.

        Args:
            backend: Where to run.
            cache: What is looked up before anything is compiled or run.
            journal_path: The file that records remote jobs; None keeps the record in memory. Local backends need none.
                While there is work on it, other executors that were made so are refused with a `JournalError`.
            budget: The cap on everything that is run, by the journal's earlier processes too.
            max_concurrent_jobs: How many remote jobs are sent and waited for at once.
            tracker: What times and counts are added to; a new one if None.

        >>> from qstore_core import get_backend
        >>> Executor.on(get_backend("mock"), budget=Budget(circuits=10)).account.remaining
        Budget(usd=None, circuits=10, shots=None, jobs=None, seconds=None)
        """
        if not isinstance(backend, Backend):
            raise ConfigurationError(f"a backend is a LocalBackend or RemoteBackend, not {type(backend).__name__}")
        options = ExecutorOptions(max_concurrent_jobs=require_whole("max_concurrent_jobs", max_concurrent_jobs))
        journal = None
        if isinstance(backend, RemoteBackend):
            from qstore_core.journal import Journal  # as in __init__

            journal = Journal(None if journal_path is None else Path(journal_path))
        account = Account(budget, Cost() if journal is None else journal.total())
        executor = cls(backend, tracker=tracker, options=options, cache=cache, account=account, journal=journal)
        if journal is not None and journal.path is not None:
            from qstore_core.journal_owner import JournalOwner  # as in __init__

            executor._owner = JournalOwner(journal, account)
        return executor

    @property
    def is_remote(self) -> bool:
        """Whether circuits are run as jobs."""
        return self._runner is not None

    @property
    def journal(self) -> Journal | None:
        """The record of remote jobs; None on a local backend."""
        return None if self._runner is None else self._runner.journal

    @property
    def spent(self) -> Cost:
        """Everything charged so far, reservations included."""
        return self.account.spent

    def remaining_for(self, label: str) -> Budget | None:
        """What the work with this label may spend; None: no limit.

        With a journal that is what remained when its first job was sent: work that is done again plans as it did then,
        and finds the results that were paid for.
        """
        remaining = self.account.remaining
        return remaining if self.journal is None else self.journal.planned(label, remaining)

    async def run(
        self, requests: Sequence[Request], *, label: str = "circuits", reusable: bool = True
    ) -> tuple[BatchResult, ...]:
        """The results of batches and vector-Jacobian products, in their order.

        Args:
            requests: What to run.
            label: What the journal calls it.
            reusable: Whether the same circuits may come again, so that the result cache can help on a local backend.

        Raises:
            CapabilityError: The backend cannot do what is asked; nothing ran.
            BudgetExceededError: It could pass the cap; nothing ran.
            BackendError: The backend failed, or returned something that does not fit the batch.
        """
        smaller = [self._reduced(request) for request in requests]
        for request in smaller:
            self.backend.capabilities.check(batch_of(request), backend=self.backend.name)
        to_run = [request for request in smaller if not is_constant(request)]
        if self._runner is not None:
            with self._owning():
                ran = iter(await self._run_remote(self._runner, to_run, label))
        else:
            ran = iter(await self._run_local(to_run, reusable=reusable))
        if len(to_run) == len(smaller):
            return tuple(map(as_asked, requests, smaller, ran))
        results = [constant_answer(request) if is_constant(request) else next(ran) for request in smaller]
        return tuple(map(as_asked, requests, smaller, results))

    async def drive(self, rounds: Rounds, *, label: str = "gradient") -> tuple[GradientResult, State]:
        """Run an estimator's step to its end: what it yields is executed and the results are sent back."""
        begin = time.perf_counter()
        with self.tracker.metered() as meter:
            answer, state = await self._driven(rounds, label)
        counted = replace(
            answer,
            n_circuit_executions=meter.total.circuits,
            n_shots=meter.total.shots,
            n_jobs=meter.total.jobs,
            computation_time_ms=1000 * (time.perf_counter() - begin),
        )
        return counted, state

    async def _driven(self, rounds: Rounds, label: str) -> tuple[GradientResult, State]:
        results: tuple[BatchResult, ...] | None = None
        while True:
            with self.tracker.span("fold" if results is not None else "plan"):
                try:
                    requests = rounds.send(results) if results is not None else next(rounds)
                except StopIteration as finished:
                    answer: tuple[GradientResult, State] = finished.value
                    return answer
            if not isinstance(requests, tuple):
                raise ConfigurationError(
                    f"an estimator's step yields tuples of what to run, not a {type(requests).__name__}: write "
                    "`(result,) = yield (batch,)`"
                )
            # a step's circuits have parameters and draw labels of their own: on a simulator they never come again
            results = await self.run(requests, label=label, reusable=False)

    async def cancel_open_jobs(self) -> int:
        """Ask a remote backend to cancel every open job of the journal; returns how many there were."""
        if self._runner is None:
            return 0
        with self._owning():
            return await self._runner.cancel_open()

    def _owning(self) -> AbstractContextManager[None]:
        return nullcontext() if self._owner is None else self._owner.working()

    def price(self, requests: Sequence[Request]) -> Cost:
        """What running these requests would cost, without running anything."""
        to_run = [request for request in map(self._reduced, requests) if not is_constant(request)]
        if self._runner is None:
            return self._price_local(to_run)
        jobs = self._packer.jobs([batch_of(request) for request in to_run], "", self._compile) if to_run else ()
        return sum(map(self._runner.price, jobs), Cost())

    def _price_local(self, requests: Iterable[Request]) -> Cost:
        total = Cost()
        for request in requests:
            batch = batch_of(request)
            pieces = [batch.rows(*rows) for rows in self._packer.ranges(batch)]
            prices = (self.backend.price(self._compile(piece), piece) for piece in pieces)
            total += passes(request) * sum(prices, Cost())
        return total

    def _reduced(self, request: Request) -> Request:
        """The same request without gates that cannot change its observables."""
        batch = batch_of(request)
        if batch.observables is None or not self.options.reduce:
            return request
        smaller = reduce_circuit(batch.structure, batch.observables, "light_cone").batch(batch)
        return replace(request, batch=smaller) if isinstance(request, VectorJacobianProduct) else smaller

    async def _run_local(self, requests: Sequence[Request], *, reusable: bool) -> list[BatchResult]:
        assert isinstance(self.backend, LocalBackend)
        if self.cache is not None and reusable:
            return await self._look_up_or_run(self.backend, requests)
        self._check_together(requests)
        return [await self._execute(self.backend, request) for request in requests]

    async def _look_up_or_run(self, backend: LocalBackend, requests: Sequence[Request]) -> list[BatchResult]:
        with self.tracker.span("cache"):
            batches = {place: each for place, each in enumerate(requests) if isinstance(each, CircuitBatch)}
            keys = {place: row_keys(backend.fingerprint, batch) for place, batch in batches.items()}
            known, whole = await self._rows.find(list(keys.values()))
        results = {place: result for place, result in zip(keys, whole, strict=True) if result is not None}
        missing = missing_rows(keys, known)
        pieces: dict[int, Request] = {place: each for place, each in enumerate(requests) if place not in batches}
        pieces |= {place: batches[place].take(rows) for place, rows in missing.items()}
        self.tracker.reused(_circuits(requests) - _circuits(pieces.values()))
        self._check_together(pieces.values())
        for place, piece in sorted(pieces.items()):
            result = await self._execute(backend, piece)
            if place in missing:
                with self.tracker.span("cache"):
                    fresh = dict(zip([keys[place][row] for row in missing[place]], encode_rows(result), strict=True))
                    await self._rows.keep(fresh)
                known.update(fresh)
            if result.n_rows == batch_of(requests[place]).n_rows:
                results[place] = result
        return [
            results[place] if place in results else decode_rows([known[key] for key in keys[place]])
            for place in range(len(requests))
        ]

    def _check_together(self, requests: Collection[Request]) -> None:
        """Refuse all of what is run piece by piece when not all of it is within the budget."""
        if self.account.budget is None:
            return
        if sum(len(list(self._packer.ranges(batch_of(request)))) for request in requests) > 1:
            self.account.check(self._price_local(requests))

    async def _execute(self, backend: LocalBackend, request: Request) -> BatchResult:
        batch = batch_of(request)
        ranges = list(self._packer.ranges(batch))
        if isinstance(request, VectorJacobianProduct) and callable(request.cotangents) and len(ranges) > 1:
            values = estimated_values(batch, await self._execute(backend, batch))
            answer = await self._execute(backend, replace(request, cotangents=request.cotangents(values)))
            return replace(answer, expectations=values)
        compiled = self._compile(batch)
        parts = []
        for first, last in ranges:
            piece = batch.rows(first, last)
            price = passes(request) * backend.price(compiled, piece)
            self.account.reserve(price)
            begin = time.perf_counter()
            try:
                with self.tracker.span("execute"):
                    result = await ask(backend, request, slice(first, last), piece, compiled)
            except BaseException:
                self.account.settle(price, Cost())  # what did not run to its end on this machine costs nothing
                raise
            self.tracker.ran(price, seconds=time.perf_counter() - begin)
            check_result(result, piece, backend.name)
            parts.append(result)
        return BatchResult.concatenate(parts)

    async def _run_remote(self, runner: JobRunner, requests: Sequence[Request], label: str) -> list[BatchResult]:
        batches = [plain_batch(request, self.backend.name) for request in requests]
        keys = {place: row_keys(self.backend.fingerprint, batch) for place, batch in enumerate(batches)}
        known: dict[str, bytes] = {}
        n_sent = 0
        while missing := dict.fromkeys(key for key in chain.from_iterable(keys.values()) if key not in known):
            with self._in_flight.claimed(missing) as claim:
                await runner.recover()
                with self.tracker.span("cache"):
                    known.update(await self._known(runner.journal, keys.values(), known))
                claim.release(known)
                rows = missing_rows(keys, {key for key in missing if key not in claim} | known.keys())
                if rows:
                    pieces = [batches[place].take(chosen) for place, chosen in rows.items()]
                    n_sent += _circuits(pieces)
                    await runner.run(list(self._packer.jobs(pieces, label, self._compile)))
                    fresh = runner.journal.results([key for key in missing if key in claim])
                    await self._rows.keep(fresh)
                    known.update(fresh)
            await self._in_flight.wait(key for key in missing if key not in known)
        self.tracker.reused(_circuits(batches) - n_sent)
        return [decode_rows([known[key] for key in row]) for row in keys.values()]

    async def _known(
        self, journal: Journal, batches: Iterable[Sequence[str]], before: Collection[str]
    ) -> dict[str, bytes]:
        """What the journal has, which is the record, and beyond that the cache; without what was known before."""
        asked = [[key for key in row if key not in before] for row in batches]
        recorded = journal.results(list(dict.fromkeys(chain.from_iterable(asked))))
        cached, _ = await self._rows.find([[key for key in row if key not in recorded] for row in asked])
        return {**cached, **recorded}

    def _compile(self, batch: CircuitBatch) -> Any:
        def make() -> Any:
            return self.backend.compile(batch.structure, batch.groups)

        with self.tracker.span("compile"):
            if self.cache is None:
                return make()
            return self.cache.lookup_compiled((self.backend.fingerprint, batch.structure.digest, batch.groups), make)


def _circuits(requests: Iterable[Request]) -> int:
    return sum(batch_of(request).n_circuits for request in requests)
