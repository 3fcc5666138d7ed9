"""The record of a run's jobs."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from qstore_core.cost import Cost
from qstore_core.errors import JournalError
from qstore_core.journal import Journal, RecordState

PRICE = Cost(usd_low=0.5, usd_high=1.0, circuits=4, shots=40, jobs=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def test_a_job_goes_from_intent_to_results(path: Path) -> None:
    journal = Journal(path)
    token = journal.intend("train step 1", 1, "mock.remote", PRICE, b"batches")
    ((record, blob),) = journal.open_jobs()
    assert (record.state, record.job_id, record.reserved, blob) == (RecordState.INTENT, None, PRICE, b"batches")
    journal.submitted(token, "job-1")
    ((record, _),) = journal.open_jobs()
    assert (record.state, record.job_id) == (RecordState.SUBMITTED, "job-1")
    final = Cost(usd_low=0.75, usd_high=0.75, circuits=4, shots=40, jobs=1)
    journal.finished(token, {"a": b"1", "b": b"2"}, final)
    assert journal.open_jobs() == []
    assert journal.results(["a", "b", "c"]) == {"a": b"1", "b": b"2"}
    assert journal.total() == final


def test_another_process_reads_what_was_written(path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from qstore_core import Cost; from qstore_core.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "token = journal.intend('step', 1, 'mock.remote', Cost(jobs=1), b'batches')\n"
        "journal.submitted(token, 'job-9')\n"
        "import os; os._exit(9)"
    )
    finished = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert finished.returncode == 9
    ((record, blob),) = Journal(path).open_jobs()
    assert (record.job_id, record.state, blob) == ("job-9", RecordState.SUBMITTED, b"batches")


def test_the_run_keeps_its_id_and_tokens_are_never_used_twice(path: Path) -> None:
    first = Journal(path)
    tokens = {first.intend("step", attempt, "mock", PRICE, b"") for attempt in (1, 2, 3)}
    first.close()
    second = Journal(path)
    tokens.add(second.intend("step", 1, "mock", PRICE, b""))
    assert second.run_id == first.run_id
    assert len(tokens) == 4
    assert all(token.startswith(first.run_id) for token in tokens)


@pytest.mark.parametrize("state", [RecordState.NEVER_ACCEPTED, RecordState.CANCELLED])
def test_a_job_that_was_closed_is_not_opened_again_without_its_batches(path: Path, state: RecordState) -> None:
    journal = Journal(path)
    token = journal.intend("step", 1, "mock", PRICE, b"batches")
    journal.closed(token, state, "not found", Cost())
    with pytest.raises(JournalError, match=rf"no open job '{token}' \(at the provider 'job-1'\).*become 'submitted'"):
        journal.submitted(token, "job-1")
    with pytest.raises(JournalError, match="somebody else closed it"):
        journal.closed(token, RecordState.FAILED, "again")
    assert [record.state for record in journal.records()] == [state]
    assert not journal.is_open(token)


def test_open_jobs_are_found_without_reading_finished_ones_in_older_files_too(path: Path) -> None:
    older = Journal(path)
    token = older.intend("step", 1, "mock", PRICE, b"batches")
    older.close()
    connection = sqlite3.connect(path)
    connection.execute("DROP INDEX open_jobs")
    connection.commit()
    connection.close()
    journal = Journal(path)
    steps: list[str] = []
    journal._connection.set_trace_callback(steps.append)
    assert [record.token for record, _ in journal.open_jobs()] == [token]
    journal._connection.set_trace_callback(None)
    (query,) = steps
    plan = [row[3] for row in journal._connection.execute(f"EXPLAIN QUERY PLAN {query}")]
    assert plan == ["SCAN jobs USING INDEX open_jobs"]


def test_it_says_when_somebody_else_has_written(path: Path) -> None:
    journal, other = Journal(path), Journal(path)
    before = journal.version()
    journal.intend("step", 1, "mock", PRICE, b"")
    assert journal.version() == before
    other.intend("step", 1, "mock", PRICE, b"")
    assert journal.version() != before


@pytest.mark.parametrize(
    ("state", "cost", "charged"),
    [
        (RecordState.FAILED, None, PRICE),
        (RecordState.FAILED, Cost(jobs=1), Cost(jobs=1)),
        (RecordState.CANCELLED, None, PRICE),
        (RecordState.NEVER_ACCEPTED, None, Cost()),
    ],
)
def test_what_ended_without_results_counts_until_its_cost_is_known(
    path: Path, state: RecordState, cost: Cost | None, charged: Cost
) -> None:
    journal = Journal(path)
    journal.closed(journal.intend("step", 1, "mock", PRICE, b""), state, "a reason", cost)
    assert journal.total() == charged
    assert journal.open_jobs() == []
    assert journal.records()[0].reason == "a reason"


def test_thousands_of_results_are_looked_up_at_once(path: Path) -> None:
    journal = Journal(path)
    results = {f"key-{number}": str(number).encode() for number in range(3000)}
    journal.finished(journal.intend("step", 1, "mock", PRICE, b""), results, None)
    assert journal.results(list(results)) == results


def test_a_file_that_is_no_journal_is_refused_and_left_as_it_is(path: Path) -> None:
    path.write_bytes(b"these are not the bytes of a database" * 100)
    before = path.read_bytes()
    with pytest.raises(JournalError, match="cannot use the journal"):
        Journal(path)
    assert path.read_bytes() == before


def test_a_database_of_something_else_is_refused_and_left_as_it_is(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE other (x)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(JournalError, match="not a journal of qstore"):
        Journal(path)
    assert path.read_bytes() == before


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(JournalError, match="cannot use the journal"):
        Journal(tmp_path / "file" / "journal.sqlite")


def test_a_journal_that_is_damaged_inside_says_not_to_delete_it(path: Path) -> None:
    journal = Journal(path)
    results = {f"key-{number}": bytes(2000) for number in range(100)}
    journal.finished(journal.intend("step", 1, "mock", PRICE, b""), results, None)
    journal.close()
    content = bytearray(path.read_bytes())
    content[8192:] = bytes(len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(JournalError, match="Do not delete it: it is the record of what was paid"):
        Journal(path).results(list(results))
