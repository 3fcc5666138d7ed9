"""Jobs on remote backends: sent once, waited for without blocking, found again after any interruption."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from qstore_core.account import Account, is_possible
from qstore_core.backend import JobState, RemoteBackend
from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.batch_codec import decode_batches, encode_batches
from qstore_core.cost import Cost
from qstore_core.errors import (
    AmbiguousError,
    BackendError,
    JobFailedError,
    JobRejectedError,
    JournalError,
    TransientError,
)
from qstore_core.job_group import JobGroup
from qstore_core.journal import JobRecord, Journal, RecordState
from qstore_core.repeating import Repeater
from qstore_core.result_check import check_result
from qstore_core.result_codec import encode_rows, row_keys
from qstore_core.tracker import PerformanceTracker

_log = logging.getLogger("qstore")
T = TypeVar("T")


class _StoppedError(Exception):
    """A job is not sent any more, because it was to be cancelled or because another one failed."""


class _UnusableError(JobFailedError):
    """A job is done and its results cannot be used; another would cost as much and may be no better."""


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """Batches that travel together, each with its compiled structure."""

    label: str
    batches: tuple[CircuitBatch, ...]
    compiled: tuple[Any, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Gates:
    """What keeps the tasks of one event loop apart; made anew for the next loop."""

    loop: asyncio.AbstractEventLoop
    recovering: asyncio.Lock
    places: asyncio.Semaphore


@dataclass(slots=True, eq=False)
class JobRunner:
    """Runs jobs on a remote backend and keeps the journal of them.

    Attributes:
        backend: Where jobs go.
        journal: Their record.
        account: What they are charged to.
        tracker: What times and counts are added to.
        max_attempts: How often a job is sent in all before its failure ends the run.
        max_concurrent: How many jobs are sent and waited for at once.
        late_after: Seconds after which a job that says nothing new is reported as late; it is never abandoned.
    """

    backend: RemoteBackend
    journal: Journal
    account: Account
    tracker: PerformanceTracker
    max_attempts: int = 3
    max_concurrent: int = 5
    late_after: float = 60.0
    _in_hand: set[str] = field(default_factory=set, init=False)
    _to_cancel: set[str] = field(default_factory=set, init=False)
    _gates: _Gates | None = field(default=None, init=False)
    _repeater: Repeater = field(init=False)
    _claiming: threading.Lock = field(default_factory=threading.Lock, init=False)  # tasks may be of several threads

    def __post_init__(self) -> None:
        self._repeater = Repeater(self.backend)

    async def recover(self) -> None:
        """Bring in every job that was sent, or may have been, and that nobody waits for any more.

        It may have been sent by a process that died, or in this one by work that was cancelled or timed out.
        """
        async with self._present_gates().recovering:
            for record, blob in self.journal.open_jobs():
                with self._claiming:  # another may have closed it while this waited for the one before
                    is_free = record.token not in self._in_hand and self.journal.is_open(record.token)
                if is_free:
                    self._check_account(record)
                    self._check_backend(record)
                    with self._handling(record.token):
                        await self._resume(record, blob)

    def _check_account(self, record: JobRecord) -> None:
        if record.account != self.backend.account:
            raise JournalError(
                f"{record.label}: a job of this run is open at another provider or account ({record.account!r}, this "
                f"is {self.backend.account!r}); go on where it was sent, or it would be paid twice"
            )

    def _check_backend(self, record: JobRecord) -> None:
        if record.backend != self.backend.fingerprint:
            raise JournalError(
                f"{record.label}: job {record.job_id or record.token} is open on backend {record.backend!r}, and this "
                f"is {self.backend.fingerprint!r}, which cannot read its results; go on with that backend until it is "
                "brought in, or cancel it"
            )

    async def cancel_open(self) -> int:
        """Ask the provider to cancel every open job of the journal; returns how many it had.

        What runs already may still be charged. A job that ends with results all the same stays open in the journal, and
        is brought in by `recover`. One that is just being sent is not counted: whoever sends it stops, or cancels it.
        """
        unfinished = [record for record, _ in self.journal.open_jobs()]
        for record in unfinished:
            self._check_account(record)
        self._to_cancel.update(record.token for record in unfinished)
        outcomes = await asyncio.gather(*map(self._cancel, unfinished), return_exceptions=True)
        for outcome in outcomes:  # only now: one that cannot be cancelled must not keep the others
            if isinstance(outcome, BaseException):
                raise outcome
        return sum(outcome is True for outcome in outcomes)

    async def run(self, jobs: Sequence[Job]) -> None:
        """Send jobs and wait until the results of all of them are in the journal.

        Raises:
            BudgetExceededError: They could pass the cap together; none was sent.
            JobRejectedError: The provider refuses one.
            JobFailedError: One failed `max_attempts` times. Those sent are brought in, and no more are sent.
        """
        waiting = {number: self.price(job) for number, job in enumerate(jobs)}
        self.account.reserve(sum(waiting.values(), Cost()))
        try:
            async with JobGroup() as group:
                for number, job in enumerate(jobs):
                    group.start(partial(self._run_one, job, number, waiting, group))
        finally:
            for price in waiting.values():  # what was stopped before it was journaled costs nothing
                self.account.settle(price, Cost())

    def price(self, job: Job) -> Cost:
        """One job's price."""
        return self.backend.price_job(job.compiled, job.batches)

    async def _run_one(self, job: Job, number: int, waiting: dict[int, Cost], group: JobGroup) -> None:
        async with self._present_gates().places:
            for attempt in range(1, self.max_attempts + 1):
                if group.failure is not None:
                    return
                price = waiting.pop(number, None)  # the first attempt was reserved with the other jobs
                if price is None:
                    price = self.price(job)
                    self.account.reserve(price)
                blob = encode_batches(job.batches)
                backend = self.backend
                with self._claiming:
                    token = self.journal.intend(
                        job.label, attempt, backend.fingerprint, price, blob, account=backend.account
                    )
                    self._in_hand.add(token)
                with self._handling(token):
                    job_id = await self._submit(token, job, price, group)
                    if job_id is None:
                        if token in self._to_cancel:
                            raise JobFailedError(f"{job.label}: cancelled before it was sent; resuming sends it")
                        continue  # never accepted: send it again under a new token
                    failure = await self._collect(token, job_id, job, price)
                    if failure is None:
                        return
                    if token in self._to_cancel:
                        raise JobFailedError(f"{failure}, as it was asked to be; resuming the run sends it again")
                    if attempt == self.max_attempts:
                        counted = f"{attempt} attempt{'s' if attempt > 1 else ''}"
                        raise JobFailedError(f"{failure}, after {counted}; resuming the run sends it again")
        raise BackendError(
            f"{job.label}: none of {self.max_attempts} attempts on backend {self.backend.name!r} ended with results, "
            "and the last was not accepted"
        )

    def _present_gates(self) -> _Gates:
        loop = asyncio.get_running_loop()
        if self._gates is None or self._gates.loop is not loop:
            self._gates = _Gates(loop, asyncio.Lock(), asyncio.Semaphore(self.max_concurrent))
        return self._gates

    @contextmanager
    def _handling(self, token: str) -> Iterator[None]:
        """Mark a job as waited for, so that nobody else brings it in."""
        self._in_hand.add(token)
        try:
            yield
        finally:
            self._in_hand.discard(token)

    async def _cancel(self, record: JobRecord) -> bool:
        if record.token in self._in_hand:  # and closed by whoever has it; before it has an id, cancelled by them too
            if record.job_id is not None:
                await self._ask_to_cancel(record.job_id)
            return record.job_id is not None
        with self._handling(record.token):
            job_id = await self._located(record)
            if job_id is None:
                return False
            await self._ask_to_cancel(job_id)
            status = await self._read(lambda: self.backend.status(job_id))
            if status.state in (JobState.FAILED, JobState.CANCELLED):
                cost = await self._cost(job_id, record.reserved)
                self.journal.closed(record.token, RecordState(status.state.value), status.reason, cost)
                self.account.settle(record.reserved, cost)
        return True

    async def _ask_to_cancel(self, job_id: str) -> None:
        await self._read(lambda: self.backend.cancel(job_id))

    async def _cancel_if_marked(self, token: str, job_id: str, label: str) -> None:
        """Cancel a job that was to be cancelled before it had an id."""
        if token in self._to_cancel:
            try:
                await self._ask_to_cancel(job_id)
            except BackendError as error:
                _log.warning("%s: job %s could not be cancelled (%s); it is waited for", label, job_id, error)

    async def _resume(self, record: JobRecord, blob: bytes) -> None:
        token, price = record.token, record.reserved
        job_id = await self._located(record)
        if job_id is None:
            return
        if record.job_id is None:
            await self._cancel_if_marked(token, job_id, record.label)
        if not blob:  # nothing says which circuits its results are of
            self._failed(
                token, job_id, record.label, price, None, JobState.FAILED, "its batches are not in the journal"
            )
            return
        batches = decode_batches(blob)
        compiled = tuple(self.backend.compile(batch.structure, batch.groups) for batch in batches)
        with suppress(_UnusableError):  # it was said, and others need not wait for it
            await self._collect(token, job_id, Job(record.label, batches, compiled), price)

    async def _located(self, record: JobRecord) -> str | None:
        """The provider's id of an open job; None, and its record closed, when the provider never accepted it."""
        if record.job_id is not None:
            return record.job_id
        job_id = await self._find(record.token)
        if job_id is None:
            self._close(record.token, RecordState.NEVER_ACCEPTED, "not found at the provider", record.reserved)
        else:
            self.journal.submitted(record.token, job_id)
        return job_id

    async def _submit(self, token: str, job: Job, price: Cost, group: JobGroup) -> str | None:
        """The provider's id of the job, or None when it surely was not accepted."""
        try:
            with self.tracker.span("submit"):
                job_id = await self._send(token, job, group)
        except AmbiguousError as error:
            _log.warning("%s: no answer to the submit (%s); looking for the job", job.label, error)
            found = await self._find(token)
            if found is None:
                self._close(token, RecordState.NEVER_ACCEPTED, str(error), price)
                return None
            job_id = found
        except _StoppedError as error:
            self._close(token, RecordState.NEVER_ACCEPTED, str(error), price)
            return None
        except (TransientError, JobRejectedError) as error:
            self._close(token, RecordState.NEVER_ACCEPTED, str(error), price)
            raise
        self.journal.submitted(token, job_id)
        await self._cancel_if_marked(token, job_id, job.label)
        return job_id

    async def _send(self, token: str, job: Job, group: JobGroup) -> str:
        async def submit() -> str:
            if token in self._to_cancel:
                raise _StoppedError("cancelled before it was sent")
            if group.failure is not None:
                raise _StoppedError("not sent, because another job failed")
            return await self.backend.submit(job.batches, job.compiled, token)

        # only what was surely not carried out is sent again: there is no other safe way to repeat a submit
        return await self._repeater.repeated(submit, TransientError)

    async def _find(self, token: str) -> str | None:
        """The id of a job whose answer was lost, looked for during the grace time that a provider's list may lag."""
        pacing = self.backend.pacing
        end = time.monotonic() + pacing.find_grace
        wait = pacing.first_poll
        while True:
            job_id = await self._read(lambda: self.backend.find(token))
            if job_id is not None or time.monotonic() >= end:
                return job_id
            await asyncio.sleep(min(wait, max(0.0, end - time.monotonic())))
            wait = min(wait * pacing.poll_growth, pacing.longest_poll)

    async def _collect(self, token: str, job_id: str, job: Job, price: Cost) -> str | None:
        """Wait for a job and journal its results; why not, when it ended without any and may be sent again."""
        begin = time.perf_counter()
        with self.tracker.span("queue"):
            state, reason = await self._wait(job, job_id)
        if state is not JobState.DONE:
            return self._failed(token, job_id, job.label, price, await self._cost(job_id, price), state, reason)
        try:
            with self.tracker.span("execute"):
                results = await self._read(lambda: self.backend.fetch(job_id, job.batches, job.compiled))
            rows = _rows(self.backend.fingerprint, job.batches, results, self.backend.name)
        except (TransientError, AmbiguousError):
            raise  # the provider is away: the results are still there
        except BackendError as error:
            unusable = f"its results cannot be used: {error}"
            cost = await self._cost(job_id, price)
            message = self._failed(token, job_id, job.label, price, cost, JobState.FAILED, unusable)
            raise _UnusableError(f"{message}; resuming the run sends it again, and pays for it again") from error
        cost = await self._cost(job_id, price)
        self.journal.finished(token, rows, cost)
        self.account.settle(price, cost)
        self.tracker.ran(price if cost is None else cost, seconds=time.perf_counter() - begin)
        return None

    def _failed(
        self, token: str, job_id: str, label: str, price: Cost, cost: Cost | None, state: JobState, reason: str
    ) -> str:
        ended = RecordState.FAILED if state is JobState.FAILED else RecordState.CANCELLED
        self.journal.closed(token, ended, reason, cost)
        self.account.settle(price, cost)
        message = f"{label}: job {job_id} {ended.value}{': ' + reason if reason else ''}"
        _log.warning("%s", message)
        return message

    async def _cost(self, job_id: str, price: Cost) -> Cost | None:
        """What a job cost: dollars and seconds as the provider says, the counts as they were sent; None: not known."""
        try:
            cost = await self._read(lambda: self.backend.cost(job_id))
        except BackendError as error:  # no reason to leave results at the provider, or to ask for ever
            _log.warning("job %s: its cost cannot be read, so its price counts: %s", job_id, error)
            return None
        if cost is None:
            return None
        if not is_possible(cost):
            _log.warning("job %s: its cost cannot be %s, so its price counts", job_id, cost)
            return None
        return replace(price, usd_low=cost.usd_low, usd_high=cost.usd_high, seconds=cost.seconds)

    async def _wait(self, job: Job, job_id: str) -> tuple[JobState, str]:
        pacing = self.backend.pacing
        wait, changed, seen, reported = pacing.first_poll, time.monotonic(), None, False
        while True:
            try:
                status = await self._read(lambda: self.backend.status(job_id))
            except JobFailedError as error:
                return JobState.FAILED, str(error)
            if status.state in (JobState.DONE, JobState.FAILED, JobState.CANCELLED):
                return status.state, status.reason
            if status.state is not seen:
                seen, changed, reported = status.state, time.monotonic(), False
            if time.monotonic() - changed > self.late_after and not reported:
                reported = True
                _log.warning("%s: job %s is late: %s for %.0f s", job.label, job_id, seen.value, self.late_after)
            await asyncio.sleep(wait)
            wait = min(wait * pacing.poll_growth, pacing.longest_poll)

    def _close(self, token: str, state: RecordState, reason: str, price: Cost) -> None:
        self.journal.closed(token, state, reason, Cost())
        self.account.settle(price, Cost())

    async def _read(self, request: Callable[[], Awaitable[T]]) -> T:
        """A request that changes nothing, repeated until it is answered or patience ends."""
        return await self._repeater.repeated(request, TransientError, AmbiguousError)


def _rows(
    fingerprint: str, batches: Sequence[CircuitBatch], results: Sequence[BatchResult], backend: str
) -> dict[str, bytes]:
    if len(results) != len(batches):
        raise BackendError(f"backend {backend!r} returned {len(results)} results for {len(batches)} batches")
    rows: dict[str, bytes] = {}
    for batch, result in zip(batches, results, strict=True):
        check_result(result, batch, backend)
        rows.update(zip(row_keys(fingerprint, batch), encode_rows(result), strict=True))
    return rows
