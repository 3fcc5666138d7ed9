"""A provider's books: every accepted job, durable before its POST is answered, and charged once.

Where a job stands follows from the clock and the times that were written when it was accepted, so there is nothing that
a provider that was killed could forget. A job that has ended is settled, state and charge in one statement, by the next
one who looks.
"""

from __future__ import annotations

import sqlite3
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

OPEN = "open"
"""The state in the file of a job that has not ended; what it is called follows from the clock."""
_CIRCUITS = """
CREATE TABLE IF NOT EXISTS circuits (job TEXT NOT NULL, digest TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS circuits_of_jobs ON circuits (job);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedJob:
    """One job as every ledger has it; times in seconds since 1970, money in US dollars.

    Attributes:
        id: The provider's name for it.
        state: As the provider calls it.
        reason: Why it failed or was cancelled.
        circuits: How many circuits.
        shots: Shots over all circuits.
        usd: What it was offered for.
        charged: What was charged; None while it is not known.
        seconds: How long its circuits run.
        accepted: When it was accepted.
        starts: When it leaves the queue.
        due: When it ends.
        results_at: When its results are there.
        ended: When it ended; None before.
        circuit_digests: One for each circuit.
    """

    id: str
    state: str
    reason: str
    circuits: int
    shots: int
    usd: float
    charged: float | None
    seconds: float
    accepted: float
    starts: float
    due: float
    results_at: float
    ended: float | None
    circuit_digests: tuple[str, ...] = ()


E = TypeVar("E", bound=BookedJob)

_COLUMNS = """
    id TEXT PRIMARY KEY, state TEXT NOT NULL, reason TEXT NOT NULL, circuits INTEGER NOT NULL, shots INTEGER NOT NULL,
    usd REAL NOT NULL, charged REAL, seconds REAL NOT NULL, accepted REAL NOT NULL, starts REAL NOT NULL,
    due REAL NOT NULL, results_at REAL NOT NULL, ended REAL, fate TEXT NOT NULL, results BLOB
"""


class JobLedger(Generic[E]):
    """The books in an SQLite file; used from one thread.

    Attributes:
        entry_type: What a row becomes; its fields are the columns that are read.
        columns: The columns that a provider has beside those of every ledger, in SQL.
        done: What the provider calls a job that has its results.
        cancelled: What it calls one that was cancelled.
    """

    entry_type: ClassVar[type[Any]]
    columns: ClassVar[str]
    done: ClassVar[str] = "done"
    cancelled: ClassVar[str] = "cancelled"

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")  # a commit is on the disk when it returns
        self._db.executescript(f"CREATE TABLE IF NOT EXISTS jobs ({_COLUMNS}, {self.columns}); {_CIRCUITS}")
        self._read = ", ".join(each.name for each in fields(self.entry_type) if each.name != "circuit_digests")

    @abstractmethod
    def opened(self, row: Mapping[str, Any]) -> str:
        """What the provider calls a job that has not ended."""

    def decoded(self, row: dict[str, Any]) -> dict[str, Any]:
        """A row as the fields of an entry."""
        return row

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def entry(self, job_id: str) -> E | None:
        """One job without its circuits, or None."""
        self._settle()
        row = self._db.execute(f"SELECT {self._read} FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return None if row is None else self._entry(row)

    def entries(self) -> tuple[E, ...]:
        """Every job with its circuits, in the order of acceptance."""
        self._settle()
        circuits: dict[str, list[str]] = {}
        for job_id, digest in self._db.execute("SELECT job, digest FROM circuits ORDER BY rowid"):
            circuits.setdefault(job_id, []).append(digest)
        rows = self._db.execute(f"SELECT {self._read} FROM jobs ORDER BY rowid").fetchall()
        return tuple(self._entry(row, tuple(circuits.get(row["id"], ()))) for row in rows)

    def results(self, job_id: str) -> bytes | None:
        """A job's results as they were stored, or None."""
        results: bytes | None = self._value("results", job_id)
        return results

    def keep_results(self, job_id: str, results: bytes) -> None:
        """Store a job's results."""
        with self._db:
            self._db.execute("UPDATE jobs SET results = ? WHERE id = ?", (results, job_id))

    def _book(self, row: Mapping[str, Any], *, queue: float, late: float, digests: Sequence[str]) -> str:
        """Write a job down for good; `row` has what its times do not follow from. Returns its id."""
        now = time.time()
        starts = now + queue
        due = starts if row["fate"] == self.cancelled else starts + row["seconds"]
        whole = {**row, "state": OPEN, "accepted": now, "starts": starts, "due": due, "results_at": due + late}
        places = ", ".join(f":{name}" for name in whole)
        with self._db:
            self._db.execute(f"INSERT INTO jobs ({', '.join(whole)}) VALUES ({places})", whole)
            self._db.executemany("INSERT INTO circuits VALUES (?, ?)", [(row["id"], digest) for digest in digests])
        return str(row["id"])

    def _value(self, column: str, job_id: str) -> Any:
        return self._db.execute(f"SELECT {column} FROM jobs WHERE id = ?", (job_id,)).fetchone()[0]

    def _settle(self) -> None:
        with self._db:
            self._db.execute(
                "UPDATE jobs SET state = fate, ended = due, charged = CASE WHEN fate = ? THEN usd ELSE 0 END "
                "WHERE state = ? AND due <= ?",
                (self.done, OPEN, time.time()),
            )

    def _entry(self, row: sqlite3.Row, digests: tuple[str, ...] = ()) -> E:
        values = self.decoded(dict(row))
        if values["state"] == OPEN:
            values |= {"state": self.opened(values), "reason": ""}  # of an end that is still to come
        made: E = self.entry_type(**values, circuit_digests=digests)
        return made
