"""The provider's books: what it keeps of a job beside what every ledger keeps."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from qstore_core.backend import JobState
from qstore_core.testing.provider.ledger import OPEN, BookedJob, JobLedger


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
class LedgerEntry(BookedJob):
    """One job as the ledger has it; its state is queued, running, done, failed or cancelled.

    Attributes:
        token: The client's name for it.
        digest: SHA-256 of its batches, token left out: equal for two jobs that are the same work.
    """

    token: str
    digest: str


class Ledger(JobLedger[LedgerEntry]):
    """The books in an SQLite file; used from one thread.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ledger = Ledger(Path(folder) / "ledger.sqlite")
    ...     job = ledger.accept(NewJob(token="t", batches=[], circuits=1, shots=0, usd=0.5, seconds=0.0))
    ...     ledger.entry(job).charged
    ...     ledger.close()
    0.5
    """

    entry_type = LedgerEntry
    columns: ClassVar[str] = "token TEXT NOT NULL, digest TEXT NOT NULL, payload BLOB NOT NULL"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._db.execute("CREATE INDEX IF NOT EXISTS tokens ON jobs (token)")
        self._db.execute("CREATE TABLE IF NOT EXISTS account (id TEXT NOT NULL)")
        if self._db.execute("SELECT id FROM account").fetchone() is None:
            self._db.execute("INSERT INTO account VALUES (?)", (secrets.token_hex(8),))
        self._db.commit()

    @property
    def account(self) -> str:
        """What tells this ledger from others, for as long as its file lives."""
        return str(self._db.execute("SELECT id FROM account").fetchone()[0])

    def opened(self, row: Mapping[str, Any]) -> str:
        """Queued until it starts, then running."""
        waiting = time.time() < row["starts"]
        return str((JobState.QUEUED if waiting else JobState.RUNNING).value)

    def accept(self, job: NewJob) -> str:
        """Write a job down for good; returns its id."""
        payload = json.dumps(job.batches, separators=(",", ":"), sort_keys=True).encode()
        row = {
            "id": secrets.token_hex(8), "token": job.token, "reason": job.reason, "circuits": job.circuits,
            "shots": job.shots, "usd": job.usd, "seconds": job.seconds, "fate": job.fate.value,
            "digest": hashlib.sha256(payload).hexdigest(), "payload": payload,
        }  # fmt: skip
        return self._book(row, queue=job.queue, late=job.late, digests=job.digests)

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
                {"id": job_id, "now": time.time(), "open": OPEN},
            )

    def batches(self, job_id: str) -> Any:
        """A job's batches as JSON values."""
        return json.loads(self._value("payload", job_id))
