"""Lists of circuits, run together: grouped by structure, one call of the executor, results in order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from qstore_core.backend import Backend
from qstore_core.batch import ExecutionResult
from qstore_core.circuit import QuantumCircuit
from qstore_core.circuit_cache import QuantumCircuitCache
from qstore_core.circuit_groups import CircuitGroup, grouped, in_order
from qstore_core.cost import Budget
from qstore_core.errors import CircuitError, ConfigurationError, JobFailedError, UnknownNameError
from qstore_core.executor import Executor
from qstore_core.randomness import StepKey, fresh_seed
from qstore_core.tracker import PerformanceTracker

Results = list[ExecutionResult]


class CircuitBatchManager:
    """Runs lists of circuits on one backend, each list in as few jobs as its limits allow.

    Circuits of one structure become the rows of one batch, and exact ones that are equal run once. Circuits that are
    sampled are independent of each other, also where they are equal: each has a draw label of its own, made from the
    seed, the number of the list and the circuit's position. The same seed, lists and journal therefore give the same
    results again, and what the journal has is not paid twice.

    Args:
        backend: Where to run.
        cache: What is looked up before anything is compiled or run.
        journal_path: The file that records remote jobs; None keeps the record in memory. Local backends need none.
        budget: The cap on everything that is run, by the journal's earlier processes too.
        max_concurrent_jobs: How many remote jobs of one list are sent and waited for at once.
        seed: What the randomness of sampled circuits derives from, where the backend can be seeded; None: a fresh one.
        tracker: What times and counts are added to; a new one if None.

    Attributes:
        executor: What runs the circuits.

    >>> bell = QuantumCircuit(2).h(0).cnot(0, 1)
    >>> from qstore_core import get_backend
    >>> manager = CircuitBatchManager(get_backend("mock"), seed=7)
    >>> exact, flipped = asyncio.run(manager.execute_batch([bell, QuantumCircuit(3).x(0)], shots=None))
    >>> sorted(exact.probabilities), flipped.probabilities
    (['00', '11'], {'100': 1.0})
    >>> async def in_the_background():
    ...     ticket = await manager.submit([bell], shots=100)
    ...     return await manager.result(ticket)
    >>> (sampled,) = asyncio.run(in_the_background())
    >>> sampled.total_shots, sum(sampled.counts.values()), manager.get_stats()["total_circuits"]
    (100, 100, 3)
    """

    def __init__(
        self,
        backend: Backend,
        *,
        cache: QuantumCircuitCache | None = None,
        journal_path: str | Path | None = None,
        budget: Budget | None = None,
        max_concurrent_jobs: int = 5,
        seed: int | None = None,
        tracker: PerformanceTracker | None = None,
    ) -> None:
        _check_seed(seed)
        executor = Executor.on(
            backend,
            cache=cache,
            journal_path=journal_path,
            budget=budget,
            max_concurrent_jobs=max_concurrent_jobs,
            tracker=tracker,
        )
        self._begin(executor, seed)

    @classmethod
    def of(cls, executor: Executor, *, seed: int | None = None) -> CircuitBatchManager:
        """A manager on an executor that others use too: its cache, journal, budget and tracker are theirs.

        Keep one manager for each executor and seed: two of them would give their circuits the same draw labels.

        >>> from qstore_core import get_backend
        >>> executor = Executor(get_backend("mock"))
        >>> CircuitBatchManager.of(executor).executor is executor
        True
        """
        _check_seed(seed)
        manager = cls.__new__(cls)
        manager._begin(executor, seed)
        return manager

    def _begin(self, executor: Executor, seed: int | None) -> None:
        self.executor = executor
        self._key = StepKey(fresh_seed() if seed is None else int(seed), "circuits")
        self._seeded = seed is not None
        self._lists = 0
        self._tasks: dict[str, asyncio.Task[Results]] = {}
        self._outcomes: dict[str, Results | BaseException] = {}

    async def execute_batch(self, circuits: Iterable[QuantumCircuit], shots: int | None = 1000) -> Results:
        """The results of circuits, read over their whole registers, in the order of the circuits.

        Args:
            circuits: Without open parameters or features; widths and structures may differ.
            shots: How often each is run; None for exact probabilities, where the backend can.

        Raises:
            CircuitError: A circuit has open symbols, or `shots` cannot be; nothing ran.
            CapabilityError: The backend cannot do what is asked; nothing ran.
            BudgetExceededError: It could pass the cap.
            BackendError: The backend failed.
            JobFailedError: `cancel_all` ended it.
        """
        ticket = self._start(circuits, shots)
        try:
            return await self.result(ticket)
        except asyncio.CancelledError:
            await self._stop([ticket])
            self._outcomes.pop(ticket, None)
            raise

    async def submit(self, circuits: Iterable[QuantumCircuit], shots: int | None = 1000) -> str:
        """Start what `execute_batch` does in the background of the running event loop; returns a ticket at once.

        Raises:
            CircuitError: A circuit has open symbols, or `shots` cannot be; nothing was started.
        """
        return self._start(circuits, shots)

    async def result(self, ticket: str) -> Results:
        """Wait for what `submit` started; the results are handed over once. A time-out here stops nothing.

        Raises:
            UnknownNameError: There is no such ticket, or its results were handed over.
            JobFailedError: It was cancelled, or its event loop ended before it.
            QStoreError: Whatever else ended it, as in `execute_batch`.
        """
        task = self._tasks.get(ticket)
        if task is not None:
            await self._wait(ticket, task)
        if ticket not in self._outcomes:
            known = ", ".join(sorted({*self._tasks, *self._outcomes})) or "none"
            raise UnknownNameError(f"unknown ticket {ticket!r}: results are handed over once. Known: {known}")
        outcome = self._outcomes.pop(ticket)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def pending(self) -> list[str]:
        """The tickets of what is under way, in the order of their start."""
        return [ticket for ticket, task in self._tasks.items() if not (task.done() or task.get_loop().is_closed())]

    async def cancel_all(self) -> int:
        """Stop everything under way, and ask a remote backend to cancel every job that is open in the journal.

        What already runs may still be charged, and a job that ends before it is cancelled stays open in the journal: a
        later process with the same journal brings its results in.

        Returns:
            How many jobs the provider was asked to cancel; on a local backend how many lists of circuits were stopped.
        """
        stopped = self.pending()
        await self._stop(list(self._tasks))
        asked = await self.executor.cancel_open_jobs()
        return asked if self.executor.is_remote else len(stopped)

    def get_stats(self) -> dict[str, float]:
        """What the executor did so far, by name; on a shared executor also for others.

        `total_batches` counts the lists given to this manager, `total_circuits`, `total_jobs` and `total_shots` what
        was run, `circuits_reused` what did not have to be, and `pending` the lists under way. `total_cost_usd` is what
        the budget counts: with reservations for jobs that failed or are open, and with the journal's earlier processes.
        """
        tracker = self.executor.tracker
        total = tracker.total
        return {
            "total_batches": self._lists,
            "total_circuits": total.circuits,
            "total_jobs": total.jobs,
            "total_shots": total.shots,
            "total_cost_usd": self.executor.spent.usd_high,
            "circuits_reused": tracker.circuits_reused,
            "avg_circuits_per_job": total.circuits / total.jobs if total.jobs else 0.0,
            "pending": len(self.pending()),
        }

    def _start(self, circuits: Iterable[QuantumCircuit], shots: int | None) -> str:
        listed = _listed(circuits)
        labels = self._key.at(self._lists).draws(sample=np.arange(len(listed)))
        with self.executor.tracker.span("plan"):
            groups = grouped(listed, shots, labels)
        self._lists += 1
        ticket = f"batch-{self._lists}"
        reusable = shots is None or self._seeded
        task = asyncio.get_running_loop().create_task(self._run(groups, len(listed), ticket, reusable=reusable))
        self._tasks[ticket] = task
        task.add_done_callback(partial(self._finished, ticket))
        return ticket

    async def _run(self, groups: Sequence[CircuitGroup], n_circuits: int, label: str, *, reusable: bool) -> Results:
        if not groups:
            return []
        made = await self.executor.run([group.batch for group in groups], label=label, reusable=reusable)
        self.executor.tracker.reused(n_circuits - sum(group.batch.n_rows for group in groups))
        with self.executor.tracker.span("fold"):
            return in_order(groups, made, backend=self.executor.backend.name)

    def _finished(self, ticket: str, task: asyncio.Task[Results]) -> None:
        """Keep what a task came to instead of the task, which belongs to an event loop."""
        self._tasks.pop(ticket, None)
        if task.cancelled():
            self._outcomes[ticket] = JobFailedError(
                f"{ticket} was cancelled before it had results: by cancel_all, or because its event loop ended first; "
                "await its result in the asyncio.run that submitted it"
            )
        else:
            self._outcomes[ticket] = task.exception() or task.result()

    async def _wait(self, ticket: str, task: asyncio.Task[Results]) -> None:
        if task.get_loop() is asyncio.get_running_loop():
            await asyncio.wait({task})  # which leaves the task alone when the caller gives up
        elif task.done():
            self._finished(ticket, task)
        else:
            loop = "ended before it had results" if task.get_loop().is_closed() else "is not this one"
            raise JobFailedError(
                f"{ticket} belongs to an event loop that {loop}; await its result in the asyncio.run that submitted it"
            )

    async def _stop(self, tickets: Sequence[str]) -> None:
        tasks = [self._tasks[ticket] for ticket in tickets if ticket in self._tasks]
        for task in tasks:
            if not task.get_loop().is_closed():
                task.get_loop().call_soon_threadsafe(task.cancel)
        here = {task for task in tasks if task.get_loop() is asyncio.get_running_loop()}
        if here:
            await asyncio.wait(here)


def _listed(circuits: Iterable[QuantumCircuit]) -> list[QuantumCircuit]:
    if not isinstance(circuits, Iterable):
        raise CircuitError(f"circuits is a list of QuantumCircuit, not one {type(circuits).__name__}")
    listed = list(circuits)
    for position, circuit in enumerate(listed):
        if not isinstance(circuit, QuantumCircuit):
            raise CircuitError(f"circuits[{position}] is a {type(circuit).__name__}, not a QuantumCircuit")
    return listed


def _check_seed(seed: int | None) -> None:
    if seed is not None and not _whole(seed):
        raise ConfigurationError(f"seed is a whole number or None, not {seed!r}")


def _whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
