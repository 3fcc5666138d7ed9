"""The emulator's books: what it keeps of a job beside what every ledger keeps."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from qstore_core.testing.provider.ledger import OPEN, BookedJob, JobLedger

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
class LedgerEntry(BookedJob):
    """One job as the ledger has it; its state is submitted, ready, started, completed, failed or canceled.

    Attributes:
        name: The client's name for it.
        backend: Where it runs.
        session: The session that it was sent in.
        one_qubit_gates: Gates on one qubit over all circuits.
        two_qubit_gates: Gates on two.
        children: The ids of its circuits, in their order.
    """

    name: str
    backend: str
    session: str | None
    one_qubit_gates: int
    two_qubit_gates: int
    children: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> LedgerEntry:
        """The entry that `dataclasses.asdict` and JSON made of one."""
        lists = {key: tuple(document[key]) for key in ("children", "circuit_digests")}
        return cls(**{**document, **lists})


class Ledger(JobLedger[LedgerEntry]):
    """The books in an SQLite file; used from one thread.

    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ledger = Ledger(Path(folder) / "ledger.sqlite")
    ...     new = NewJob(document={"backend": "simulator"}, digests=["d"], shots=9, gates=(1, 0), usd=0.5, seconds=0.0)
    ...     ledger.entry(ledger.accept(new)).charged
    ...     ledger.close()
    0.5
    """

    entry_type = LedgerEntry
    columns: ClassVar[str] = (
        "name TEXT NOT NULL, backend TEXT NOT NULL, session TEXT, one_qubit_gates INTEGER NOT NULL, "
        "two_qubit_gates INTEGER NOT NULL, children TEXT NOT NULL, document BLOB NOT NULL"
    )
    done: ClassVar[str] = COMPLETED
    cancelled: ClassVar[str] = CANCELED

    def opened(self, row: Mapping[str, Any]) -> str:
        """Submitted, then ready, until it starts."""
        now, middle = time.time(), (row["accepted"] + row["starts"]) / 2
        return "submitted" if now < middle else "ready" if now < row["starts"] else "started"

    def decoded(self, row: dict[str, Any]) -> dict[str, Any]:
        """The row with the ids of its circuits as a tuple."""
        return row | {"children": tuple(json.loads(row["children"]))}

    def accept(self, job: NewJob) -> str:
        """Write a job down for good; returns its id."""
        document, (one, two) = job.document, job.gates
        row = {
            "id": str(uuid.uuid4()), "name": document.get("name") or "", "backend": document["backend"],
            "session": document.get("session_id"), "reason": job.reason, "circuits": len(job.digests),
            "shots": job.shots * len(job.digests), "one_qubit_gates": one, "two_qubit_gates": two, "usd": job.usd,
            "seconds": job.seconds, "fate": job.fate, "document": json.dumps(document).encode(),
            "children": json.dumps([str(uuid.uuid4()) for _ in job.digests]),
        }  # fmt: skip
        return self._book(row, queue=job.queue, late=job.late, digests=job.digests)

    def listed(self, *, lag: float) -> tuple[LedgerEntry, ...]:
        """The jobs that were accepted at least `lag` seconds ago, newest first, without their circuits."""
        self._settle()
        query = f"SELECT {self._read} FROM jobs WHERE accepted <= ? ORDER BY rowid DESC"
        return tuple(map(self._entry, self._db.execute(query, (time.time() - lag,))))

    def cancel(self, job_id: str) -> None:
        """Cancel a job: for nothing while it waits, at its full price once it runs or has run."""
        self._settle()
        with self._db:
            self._db.execute(
                "UPDATE jobs SET reason = 'canceled by the user', ended = COALESCE(ended, :now), results = NULL, "
                "charged = CASE WHEN state = :open THEN CASE WHEN starts <= :now THEN usd ELSE 0 END ELSE charged END, "
                "state = :canceled WHERE id = :id AND state IN (:open, :completed)",
                {"id": job_id, "now": time.time(), "open": OPEN, "canceled": CANCELED, "completed": COMPLETED},
            )

    def delete(self, job_id: str) -> None:
        """Cancel a job and forget what it was; the books keep what it cost."""
        self.cancel(job_id)
        with self._db:
            self._db.execute("UPDATE jobs SET state = 'deleted', document = '{}' WHERE id = ?", (job_id,))

    def document(self, job_id: str) -> Any:
        """A job's JSON body."""
        return json.loads(self._value("document", job_id))
