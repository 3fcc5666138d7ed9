"""The record of a run's jobs: what was meant to be sent, what was accepted, what came back, what it cost.

The order of writes is what makes it safe to die at any instant: an intent with a unique token is durable before a job
is sent, the provider's id before anyone waits for it, and the results, row by row under their content keys, before they
are used. It is SQLite with write-ahead logging and full synchronisation, and it never expires.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path

from qstore_core.cost import Budget, Cost
from qstore_core.errors import JournalError

_APPLICATION = 0x71736A31  # "qsj1"
_KEEP = "Do not delete it: it is the record of what was paid; put back a copy of it"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS run (id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    token TEXT NOT NULL UNIQUE,
    label TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    backend TEXT NOT NULL,
    account TEXT NOT NULL,
    state TEXT NOT NULL,
    job_id TEXT,
    reserved TEXT NOT NULL,
    final TEXT,
    reason TEXT NOT NULL DEFAULT '',
    batches BLOB,
    created REAL NOT NULL,
    updated REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS open_jobs ON jobs (number) WHERE state IN ('intent', 'submitted');
CREATE TABLE IF NOT EXISTS results (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS plans (label TEXT PRIMARY KEY, remaining TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS jobs_by_label ON jobs (label);
"""
_OPEN = "state IN ('intent', 'submitted')"  # word for word as in the index, or SQLite does not use it
_COLUMNS = "token, label, attempt, backend, account, state, job_id, reserved, final, reason, created, updated"


class RecordState(Enum):
    """What the journal knows of a job."""

    INTENT = "intent"
    SUBMITTED = "submitted"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    NEVER_ACCEPTED = "never accepted"


OPEN_STATES = (RecordState.INTENT, RecordState.SUBMITTED)
"""The states of jobs that may still bring results, or cost something."""


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One job as the journal has it.

    Attributes:
        token: What names it at the provider: run, number and attempt.
        label: What it is for, such as "train step 12".
        attempt: 1 for the first sending.
        backend: The backend's fingerprint.
        account: Which provider and account it was sent to.
        state: How far it got.
        job_id: The provider's id, once known.
        reserved: What it was expected to cost, on either reading.
        final: What it cost, once known.
        reason: Why it failed.
        created: When the intent was written, seconds since 1970.
        updated: When the state last changed.
    """

    token: str
    label: str
    attempt: int
    backend: str
    account: str
    state: RecordState
    job_id: str | None
    reserved: Cost
    final: Cost | None
    reason: str
    created: float
    updated: float

    @property
    def charged(self) -> Cost:
        """What counts against a budget: the real cost once known, until then what was reserved."""
        return _charged(self.state, self.reserved, self.final)


class Journal:
    """The journal of one run.

    Args:
        path: The file; it is made if there is none. None keeps the journal in memory, for work that may be lost.

    Raises:
        JournalError: The file is damaged, is something else, or cannot be written.

    >>> journal = Journal(None)
    >>> token = journal.intend("example", 1, "mock", Cost(usd_high=0.5, jobs=1), b"")
    >>> journal.submitted(token, "job-7")
    >>> journal.finished(token, {"key": b"value"}, Cost(usd_low=0.25, usd_high=0.25, jobs=1))
    >>> journal.results(["key", "other"]), journal.total().usd_high
    ({'key': b'value'}, 0.25)
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._connection = self._open()
        self.run_id = self._run_id()

    def intend(
        self, label: str, attempt: int, backend: str, reserved: Cost, batches: bytes, *, account: str = ""
    ) -> str:
        """Make it durable that a job is about to be sent; returns its token."""
        now = time.time()
        with self._writing() as connection:
            number = connection.execute("SELECT COALESCE(MAX(number), 0) + 1 FROM jobs").fetchone()[0]
            token = f"{self.run_id}-{number}-{attempt}"
            connection.execute(
                "INSERT INTO jobs "
                "(token, label, attempt, backend, account, state, reserved, batches, created, updated) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (token, label, attempt, backend, account, RecordState.INTENT.value, _dump(reserved), batches, now, now),
            )
        return token

    def submitted(self, token: str, job_id: str) -> None:
        """The provider accepted the job and calls it `job_id`.

        Raises:
            JournalError: The job was closed meanwhile.
        """
        self._update(token, RecordState.SUBMITTED, job_id=job_id)

    def finished(self, token: str, results: Mapping[str, bytes], cost: Cost | None) -> None:
        """The results are in: keep them by their keys, in one transaction with the state."""
        with self._writing() as connection:
            connection.executemany("INSERT OR REPLACE INTO results VALUES (?, ?)", list(results.items()))
            connection.execute(
                "UPDATE jobs SET state = ?, final = ?, batches = NULL, updated = ? WHERE token = ?",
                (RecordState.DONE.value, None if cost is None else _dump(cost), time.time(), token),
            )

    def closed(self, token: str, state: RecordState, reason: str, cost: Cost | None = None) -> None:
        """The job ended without results.

        Raises:
            JournalError: It was closed before.
        """
        self._update(token, state, reason=reason, final=None if cost is None else _dump(cost), batches=None)

    def results(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The results that are there for `keys`."""
        found: dict[str, bytes] = {}
        with self._reading():
            for first in range(0, len(keys), 500):
                part = list(keys[first : first + 500])
                marks = ",".join("?" * len(part))
                found.update(self._connection.execute(f"SELECT key, value FROM results WHERE key IN ({marks})", part))
        return found

    def records(self) -> list[JobRecord]:
        """Every job, in the order of their intents."""
        with self._reading():
            rows = self._connection.execute(f"SELECT {_COLUMNS} FROM jobs ORDER BY number").fetchall()
        return [_record(*row) for row in rows]

    def open_jobs(self) -> list[tuple[JobRecord, bytes]]:
        """The jobs that may still bring results, with their batches."""
        query = f"SELECT {_COLUMNS}, batches FROM jobs WHERE {_OPEN} ORDER BY number"
        with self._reading():
            rows = self._connection.execute(query).fetchall()
        return [(_record(*row), blob or b"") for *row, blob in rows]

    def is_open(self, token: str) -> bool:
        """Whether a job may still bring results."""
        with self._reading():
            query = f"SELECT 1 FROM jobs WHERE token = ? AND {_OPEN}"
            return self._connection.execute(query, (token,)).fetchone() is not None

    def version(self) -> int:
        """A number that changes whenever somebody else has written to the file, and only then."""
        with self._reading():
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def total(self) -> Cost:
        """What the run has cost and may still cost, on the dearer reading where the real cost is not known."""
        return sum((record.charged for record in self.records()), Cost())

    def charged(self, like: str) -> Cost:
        """What the jobs cost whose label is like this, `*` standing for anything.

        >>> journal = Journal(None)
        >>> token = journal.intend("train step 1", 1, "mock", Cost(usd_high=0.5, jobs=1), b"")
        >>> journal.charged("train step 1").jobs, journal.charged("validate *").jobs
        (1, 0)
        """
        with self._reading():
            rows = self._connection.execute(
                "SELECT state, reserved, final FROM jobs WHERE label GLOB ? ORDER BY number", (like,)
            ).fetchall()
        costs = ((RecordState(state), _load(reserved), final and _load(final)) for state, reserved, final in rows)
        return sum((_charged(*cost) for cost in costs), Cost())

    def planned(self, label: str, remaining: Budget | None) -> Budget | None:
        """What remained of the budget when the first job of this label was sent.

        If none was, that is `remaining`, and it is written down for then.

        >>> journal = Journal(None)
        >>> journal.planned("train step 1", Budget(jobs=5)).jobs
        5
        >>> _ = journal.intend("train step 1", 1, "mock", Cost(jobs=1), b"")
        >>> journal.planned("train step 1", Budget(jobs=4)).jobs
        5
        """
        with self._reading():
            sent = self._connection.execute("SELECT 1 FROM jobs WHERE label = ? LIMIT 1", (label,)).fetchone()
            row = self._connection.execute("SELECT remaining FROM plans WHERE label = ?", (label,)).fetchone()
        known = None if row is None else Budget(**json.loads(row[0]))
        if sent or known == remaining:
            return known
        with self._writing() as connection:
            connection.execute("DELETE FROM plans WHERE label = ?", (label,))
            if remaining is not None:
                connection.execute("INSERT INTO plans VALUES (?, ?)", (label, json.dumps(asdict(remaining))))
        return remaining

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _open(self) -> sqlite3.Connection:
        place = ":memory:" if self.path is None else str(self.path)
        try:
            connection = sqlite3.connect(place, timeout=30.0, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise JournalError(f"cannot use the journal {place}: {error}") from error
        try:
            owner = connection.execute("PRAGMA application_id").fetchone()[0]
            tables = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
            if tables and owner != _APPLICATION:
                raise JournalError(f"{place} is a database, but not a journal of qstore; it was left as it is")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.executescript(_SCHEMA)
        except (sqlite3.Error, JournalError) as error:
            connection.close()
            if isinstance(error, JournalError):
                raise
            raise JournalError(f"cannot use the journal {place}: {error}. {_KEEP}") from error
        return connection

    def _run_id(self) -> str:
        with self._writing() as connection:
            row = connection.execute("SELECT id FROM run").fetchone()
            if row is None:
                row = (secrets.token_hex(6),)
                connection.execute("INSERT INTO run VALUES (?)", row)
        return str(row[0])

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                raise JournalError(f"cannot read the journal {self.path}: {error}. {_KEEP}") from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                except BaseException:
                    self._connection.execute("ROLLBACK")
                    raise
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise JournalError(f"cannot write the journal {self.path}: {error}") from error

    def _update(self, token: str, state: RecordState, **columns: object) -> None:
        values = {"state": state.value, "updated": time.time(), **columns}
        assignments = ", ".join(f"{name} = ?" for name in values)
        with self._writing() as connection:
            changed = connection.execute(
                f"UPDATE jobs SET {assignments} WHERE token = ? AND {_OPEN}", (*values.values(), token)
            )
            if not changed.rowcount:
                called = f" (at the provider {values['job_id']!r})" if "job_id" in values else ""
                raise JournalError(
                    f"the journal {self.path} has no open job {token!r}{called}, so it cannot become {state.value!r}: "
                    "somebody else closed it; use a journal from one place at a time"
                )


def _record(
    token: str,
    label: str,
    attempt: int,
    backend: str,
    account: str,
    state: str,
    job_id: str | None,
    reserved: str,
    final: str | None,
    reason: str,
    created: float,
    updated: float,
) -> JobRecord:
    cost = None if final is None else _load(final)
    known = RecordState(state)
    return JobRecord(
        token, label, attempt, backend, account, known, job_id, _load(reserved), cost, reason, created, updated
    )


def _charged(state: RecordState, reserved: Cost, final: Cost | None) -> Cost:
    if final is not None:
        return final
    return Cost() if state is RecordState.NEVER_ACCEPTED else reserved


def _dump(cost: Cost) -> str:
    return json.dumps(asdict(cost))


def _load(text: str) -> Cost:
    return Cost(**json.loads(text))
