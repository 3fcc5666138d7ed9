"""The provider's books: every accepted job, durable before its POST is answered, and charged once.

Where a job stands follows from the clock and the times that were written when it was accepted, so there is nothing that
a provider that was killed could forget. A job that has ended is settled, state and charge in one statement, by the next
one who looks.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from qstore_core.backend import JobState

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, token TEXT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL, circuits INTEGER NOT NULL,
    shots INTEGER NOT NULL, usd REAL NOT NULL, charged REAL, seconds REAL NOT NULL, digest TEXT NOT NULL,
    accepted REAL NOT NULL, starts REAL NOT NULL, due REAL NOT NULL, results_at REAL NOT NULL, ended REAL,
    fate TEXT NOT NULL, payload BLOB NOT NULL, results BLOB
);
CREATE TABLE IF NOT EXISTS account (id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS circuits (job TEXT NOT NULL, digest TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS tokens ON jobs (token);
CREATE INDEX IF NOT EXISTS circuits_of_jobs ON circuits (job);
"""
_OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """What is written down when a job is accepted.

    Attributes:
        token: The client's name for it.
        batches: Its batches as JSON values.
        circuits: How many circuits.
        shots: Shots over all circuits.
        usd: What it will be charged when it is done.
        seconds: How long its circuits run.
        queue: How long it waits before.
        late: How long its results lag behind its end.
        fate: How it ends.
        reason: Why, where it fails.
        digests: One for each circuit.
    """

    token: str
    batches: Any
    circuits: int
    shots: int
    usd: float
    seconds: float
    queue: float = 0.0
    late: float = 0.0
    fate: JobState = JobState.DONE
    reason: str = ""
    digests: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One job as the ledger has it; times in seconds since 1970, money in US dollars.

    Attributes:
        id: The provider's name for it.
        token: The client's.
        state: queued, running, done, failed or cancelled.
        reason: Why it failed or was cancelled.
        circuits: How many circuits.
        shots: Shots over all circuits.
        usd: What it was offered for.
        charged: What was charged; None while it is not known.
        seconds: How long its circuits run.
        digest: SHA-256 of its batches, token left out: equal for two jobs that are the same work.
        accepted: When it was accepted.
        starts: When it leaves the queue.
        due: When it ends.
        results_at: When its results are there.
        ended: When it ended; None before.
        circuit_digests: One for each circuit, as `wire.circuit_digests` computes them.
    """

    id: str
    token: str
    state: str
    reason: str
    circuits: int
    shots: int
    usd: float
    charged: float | None
    seconds: float
    digest: str
    accepted: float
    starts: float
    due: float
    results_at: float
    ended: float | None
    circuit_digests: tuple[str, ...] = ()


_COLUMNS = ", ".join(field.name for field in fields(LedgerEntry) if field.name != "circuit_digests")


class Ledger:
    """The books in an SQLite file; used from one thread.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ledger = Ledger(Path(folder) / "ledger.sqlite")
    ...     job = ledger.accept(NewJob(token="t", batches=[], circuits=1, shots=0, usd=0.5, seconds=0.0))
    ...     ledger.entry(job).charged
    ...     ledger.close()
    0.5
    """

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")  # a commit is on the disk when it returns
        self._db.executescript(_SCHEMA)
        if self._db.execute("SELECT id FROM account").fetchone() is None:
            self._db.execute("INSERT INTO account VALUES (?)", (secrets.token_hex(8),))
            self._db.commit()

    @property
    def account(self) -> str:
        """What tells this ledger from others, for as long as its file lives."""
        return str(self._db.execute("SELECT id FROM account").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def accept(self, job: NewJob) -> str:
        """Write a job down for good; returns its id."""
        payload = json.dumps(job.batches, separators=(",", ":"), sort_keys=True).encode()
        now, job_id = time.time(), secrets.token_hex(8)
        starts = now + job.queue
        due = starts if job.fate is JobState.CANCELLED else starts + job.seconds
        row = {
            "id": job_id, "token": job.token, "state": _OPEN, "reason": job.reason, "circuits": job.circuits,
            "shots": job.shots, "usd": job.usd, "seconds": job.seconds, "fate": job.fate.value,
            "digest": hashlib.sha256(payload).hexdigest(), "accepted": now, "starts": starts, "due": due,
            "results_at": due + job.late, "payload": payload,
        }  # fmt: skip
        places = ", ".join(f":{name}" for name in row)
        with self._db:
            self._db.execute(f"INSERT INTO jobs ({', '.join(row)}) VALUES ({places})", row)
            self._db.executemany("INSERT INTO circuits VALUES (?, ?)", [(job_id, digest) for digest in job.digests])
        return job_id

    def entry(self, job_id: str) -> LedgerEntry | None:
        """One job without its circuits, or None."""
        self._settle()
        row = self._db.execute(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return None if row is None else _entry(row)

    def entries(self) -> tuple[LedgerEntry, ...]:
        """Every job with its circuits, in the order of acceptance."""
        self._settle()
        circuits: dict[str, list[str]] = {}
        for job_id, digest in self._db.execute("SELECT job, digest FROM circuits ORDER BY rowid"):
            circuits.setdefault(job_id, []).append(digest)
        rows = self._db.execute(f"SELECT {_COLUMNS} FROM jobs ORDER BY rowid").fetchall()
        return tuple(_entry(row, tuple(circuits.get(row["id"], ()))) for row in rows)

    def find(self, token: str, *, lag: float) -> tuple[str, ...]:
        """The ids of the jobs with this token that were accepted at least `lag` seconds ago, oldest first."""
        query = "SELECT id FROM jobs WHERE token = ? AND accepted <= ? ORDER BY rowid"
        return tuple(row["id"] for row in self._db.execute(query, (token, time.time() - lag)))

    def cancel(self, job_id: str) -> None:
        """End a job that has not ended: for nothing while it waits, at its full price once it runs."""
        self._settle()
        with self._db:
            self._db.execute(
                "UPDATE jobs SET state = 'cancelled', reason = 'cancelled by the user', ended = :now, "
                "charged = CASE WHEN starts <= :now THEN usd ELSE 0 END WHERE id = :id AND state = :open",
                {"id": job_id, "now": time.time(), "open": _OPEN},
            )

    def batches(self, job_id: str) -> Any:
        """A job's batches as JSON values."""
        return json.loads(self._db.execute("SELECT payload FROM jobs WHERE id = ?", (job_id,)).fetchone()[0])

    def results(self, job_id: str) -> bytes | None:
        """A job's results as they were stored, or None."""
        results: bytes | None = self._db.execute("SELECT results FROM jobs WHERE id = ?", (job_id,)).fetchone()[0]
        return results

    def keep_results(self, job_id: str, results: bytes) -> None:
        """Store a job's results."""
        with self._db:
            self._db.execute("UPDATE jobs SET results = ? WHERE id = ?", (results, job_id))

    def _settle(self) -> None:
        with self._db:
            self._db.execute(
                "UPDATE jobs SET state = fate, ended = due, charged = CASE WHEN fate = 'done' THEN usd ELSE 0 END "
                "WHERE state = ? AND due <= ?",
                (_OPEN, time.time()),
            )


def _entry(row: sqlite3.Row, digests: tuple[str, ...] = ()) -> LedgerEntry:
    values = dict(row)
    if values["state"] == _OPEN:
        waiting = time.time() < values["starts"]
        values["state"] = (JobState.QUEUED if waiting else JobState.RUNNING).value
        values["reason"] = ""  # of an end that is still to come
    return LedgerEntry(**values, circuit_digests=digests)
