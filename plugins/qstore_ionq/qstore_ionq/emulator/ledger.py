"""The emulator's books: every accepted job, durable before its POST is answered, and charged once.

Where a job stands follows from the clock and the times that were written when it was accepted, so there is nothing that
an emulator that was killed could forget. A job that has ended is settled, state and charge in one statement, by the
next one who looks.
"""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, backend TEXT NOT NULL, session TEXT, state TEXT NOT NULL,
    reason TEXT NOT NULL, circuits INTEGER NOT NULL, shots INTEGER NOT NULL, one_qubit_gates INTEGER NOT NULL,
    two_qubit_gates INTEGER NOT NULL, usd REAL NOT NULL, charged REAL, seconds REAL NOT NULL, accepted REAL NOT NULL,
    starts REAL NOT NULL, due REAL NOT NULL, results_at REAL NOT NULL, ended REAL, fate TEXT NOT NULL,
    children TEXT NOT NULL, document BLOB NOT NULL, results BLOB
);
CREATE TABLE IF NOT EXISTS circuits (job TEXT NOT NULL, digest TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS circuits_of_jobs ON circuits (job);
"""
_OPEN = "open"
COMPLETED, FAILED, CANCELED = "completed", "failed", "canceled"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """What is written down when a job is accepted.

    Attributes:
        document: Its JSON body.
        digests: One for each circuit.
        shots: Shots of each circuit.
        gates: Gates on one and on two qubits over all circuits.
        usd: What it will be charged when it is done.
        seconds: How long its circuits run.
        queue: How long it waits before.
        late: How long its results lag behind its end.
        fate: How it ends.
        reason: Why, where it fails.
    """

    document: Mapping[str, Any]
    digests: Sequence[str]
    shots: int
    gates: tuple[int, int]
    usd: float
    seconds: float
    queue: float = 0.0
    late: float = 0.0
    fate: str = COMPLETED
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One job as the ledger has it; times in seconds since 1970, money in US dollars.

    Attributes:
        id: The emulator's name for it.
        name: The client's.
        backend: Where it runs.
        session: The session that it was sent in.
        state: As the service calls it: submitted, ready, started, completed, failed or canceled.
        reason: Why it failed or was canceled.
        circuits: How many circuits.
        shots: Shots over all circuits.
        one_qubit_gates: Gates on one qubit over all circuits.
        two_qubit_gates: Gates on two.
        usd: What it was offered for.
        charged: What was charged; None while it is not known.
        seconds: How long its circuits run.
        accepted: When it was accepted.
        starts: When it leaves the queue.
        due: When it ends.
        results_at: When its results are there.
        ended: When it ended; None before.
        children: The ids of its circuits, in their order.
        circuit_digests: One for each circuit: its gates, its shots and the label of its randomness.
    """

    id: str
    name: str
    backend: str
    session: str | None
    state: str
    reason: str
    circuits: int
    shots: int
    one_qubit_gates: int
    two_qubit_gates: int
    usd: float
    charged: float | None
    seconds: float
    accepted: float
    starts: float
    due: float
    results_at: float
    ended: float | None
    children: tuple[str, ...] = ()
    circuit_digests: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> LedgerEntry:
        """The entry that `dataclasses.asdict` and JSON made of one."""
        lists = {key: tuple(document[key]) for key in ("children", "circuit_digests")}
        return cls(**{**document, **lists})


_COLUMNS = ", ".join(field.name for field in fields(LedgerEntry) if field.name != "circuit_digests")


class Ledger:
    """The books in an SQLite file; used from one thread.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ledger = Ledger(Path(folder) / "ledger.sqlite")
    ...     new = NewJob(document={"backend": "simulator"}, digests=["d"], shots=9, gates=(1, 0), usd=0.5, seconds=0.0)
    ...     ledger.entry(ledger.accept(new)).charged
    ...     ledger.close()
    0.5
    """

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")  # a commit is on the disk when it returns
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def accept(self, job: NewJob) -> str:
        """Write a job down for good; returns its id."""
        now, job_id, document = time.time(), str(uuid.uuid4()), job.document
        starts = now + job.queue
        due = starts if job.fate == CANCELED else starts + job.seconds
        one, two = job.gates
        row = {
            "id": job_id, "name": document.get("name") or "", "backend": document["backend"],
            "session": document.get("session_id"), "state": _OPEN, "reason": job.reason, "circuits": len(job.digests),
            "shots": job.shots * len(job.digests), "one_qubit_gates": one, "two_qubit_gates": two, "usd": job.usd,
            "seconds": job.seconds, "accepted": now, "starts": starts, "due": due, "results_at": due + job.late,
            "fate": job.fate, "children": json.dumps([str(uuid.uuid4()) for _ in job.digests]),
            "document": json.dumps(document).encode(),
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

    def listed(self, *, lag: float) -> tuple[LedgerEntry, ...]:
        """The jobs that were accepted at least `lag` seconds ago, newest first, without their circuits."""
        self._settle()
        query = f"SELECT {_COLUMNS} FROM jobs WHERE accepted <= ? ORDER BY rowid DESC"
        return tuple(map(_entry, self._db.execute(query, (time.time() - lag,))))

    def cancel(self, job_id: str) -> None:
        """Cancel a job: for nothing while it waits, at its full price once it runs or has run."""
        self._settle()
        with self._db:
            self._db.execute(
                "UPDATE jobs SET reason = 'canceled by the user', ended = COALESCE(ended, :now), results = NULL, "
                "charged = CASE WHEN state = :open THEN CASE WHEN starts <= :now THEN usd ELSE 0 END ELSE charged END, "
                "state = :canceled WHERE id = :id AND state IN (:open, :completed)",
                {"id": job_id, "now": time.time(), "open": _OPEN, "canceled": CANCELED, "completed": COMPLETED},
            )

    def delete(self, job_id: str) -> None:
        """Cancel a job and forget what it was; the books keep what it cost."""
        self.cancel(job_id)
        with self._db:
            self._db.execute("UPDATE jobs SET state = 'deleted', document = '{}' WHERE id = ?", (job_id,))

    def document(self, job_id: str) -> Any:
        """A job's JSON body."""
        return json.loads(self._db.execute("SELECT document FROM jobs WHERE id = ?", (job_id,)).fetchone()[0])

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
                "UPDATE jobs SET state = fate, ended = due, charged = CASE WHEN fate = ? THEN usd ELSE 0 END "
                "WHERE state = ? AND due <= ?",
                (COMPLETED, _OPEN, time.time()),
            )


def _entry(row: sqlite3.Row, digests: tuple[str, ...] = ()) -> LedgerEntry:
    values = dict(row) | {"children": tuple(json.loads(row["children"]))}
    if values["state"] == _OPEN:
        now, middle = time.time(), (values["accepted"] + values["starts"]) / 2
        values["state"] = "submitted" if now < middle else "ready" if now < values["starts"] else "started"
        values["reason"] = ""  # of an end that is still to come
    return LedgerEntry(**values, circuit_digests=digests)
