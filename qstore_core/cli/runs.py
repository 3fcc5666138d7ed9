"""`qstore runs`, `qstore jobs` and `qstore cancel`: what is on disk, and at the provider."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import click

from qstore_core.checkpoint import Checkpoint
from qstore_core.cli.job import find_job
from qstore_core.cli.tables import table
from qstore_core.cost import Cost
from qstore_core.errors import RunDirectoryError
from qstore_core.executor import Executor
from qstore_core.journal import OPEN_STATES, JobRecord, Journal
from qstore_core.run_directory import RunDirectory
from qstore_core.synchronous import run_sync

_PATH = click.Path(path_type=Path)


@click.command(short_help="List runs and how far they are.")
@click.argument("root", type=_PATH, default=Path("runs"))
def runs(root: Path) -> None:
    """List the runs below ROOT (default: runs) and how far each is.

    TEST is the test accuracy, or R^2 of target values, of the model as it is.

    \b
    Examples:
        qstore runs
        qstore runs runs/iris-20260101-120000
    """
    found = sorted(path.parent for path in root.rglob("checkpoint.npz"))
    if not found:
        click.echo(f"No runs below {root}. Start one with `qstore train`.")
        return
    header = ["RUN", "STATE", "EPOCHS", "STEPS", "LOSS", "TEST", "CIRCUITS", "SHOTS", "USD", "OPEN JOBS"]
    click.echo(table(header, [_row(path) for path in found]))


@click.command(short_help="Show every job of a run.")
@click.argument("run", type=_PATH)
def jobs(run: Path) -> None:
    """Show every job of RUN: what for, its circuits, shots, cost, state and the provider's id.

    Runs on local simulators have no jobs to show. A cost in parentheses is what was reserved, where the provider has
    not said what it really was.

    \b
    Example:
        qstore jobs runs/iris-20260101-120000
    """
    records = _records(run)
    if not records:
        click.echo(f"No remote jobs in {run}.")
        return
    header = ["JOB", "FOR", "STATE", "CIRCUITS", "SHOTS", "USD", "PROVIDER ID", "REASON"]
    click.echo(table(header, [_job_row(record) for record in records]))


@click.command(short_help="Cancel the open jobs of a run at the provider.")
@click.argument("run", type=_PATH)
def cancel(run: Path) -> None:
    """Ask the provider to cancel the jobs of RUN that are not finished.

    Nothing else cancels jobs: an interrupted run leaves them running, and resuming it brings their results in. What
    is already running may still be charged.

    \b
    Example:
        qstore cancel runs/iris-20260101-120000
    """
    if not any(record.state in OPEN_STATES for record in _records(run)):
        click.echo(f"No open jobs in {run}.")
        return
    backend = find_job(run).make_model().backend
    assert backend is not None
    with RunDirectory(run).locked():
        journal = Journal(RunDirectory(run).journal_path)
        try:
            asked = run_sync(Executor(backend, journal=journal).cancel_open_jobs())
        finally:
            journal.close()
    click.echo(f"asked {backend.name} to cancel {asked} job(s); `qstore jobs {run}` shows how they end")


def _row(path: Path) -> list[str]:
    directory = RunDirectory(path)
    try:
        checkpoint = directory.load()
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        records = _records(path)
    except (RunDirectoryError, OSError, ValueError) as error:
        return [str(path), f"damaged: {error}", *[""] * 8]
    epochs = directory.epochs()
    loss = epochs[-1]["loss"] if epochs else None
    tests = [record for record in directory.tests() if record["step"] == checkpoint.step]
    reached = tests[-1].get("accuracy", tests[-1].get("r_squared")) if tests else None
    spent = _spent(records, checkpoint)
    state = "finished" if checkpoint.epoch >= config["epochs"] else "unfinished"
    return [
        str(path),
        state,
        f"{checkpoint.epoch}/{config['epochs']}",
        str(checkpoint.step),
        "" if loss is None else f"{loss:.4f}",
        "" if reached is None else f"{reached:.3f}",
        f"{spent.circuits:,}",
        f"{spent.shots:,}",
        f"{spent.usd_high:.2f}",
        str(sum(record.state in OPEN_STATES for record in records)),
    ]


def spent_by(directory: RunDirectory) -> Cost:
    """What a run has taken: by its jobs where they were paid for, else by its checkpoint."""
    return _spent(_records(directory.path), directory.load())


def spent_by_step(directory: RunDirectory) -> dict[int, Cost]:
    """What each step's jobs cost, whichever process sent them; empty for a run without jobs."""
    spent: dict[int, Cost] = {}
    for record in _records(directory.path):
        if found := re.fullmatch(r"train step (\d+)", record.label):
            step = int(found[1])
            spent[step] = spent.get(step, Cost()) + record.charged
    return spent


def _spent(records: Sequence[JobRecord], checkpoint: Checkpoint) -> Cost:
    return sum((record.charged for record in records), Cost()) if records else checkpoint.spent


def _job_row(record: JobRecord) -> list[str]:
    cost = record.charged
    usd = f"{cost.usd_high:.4f}" if record.final is not None else f"({cost.usd_high:.4f})"
    circuits, shots = f"{record.reserved.circuits:,}", f"{record.reserved.shots:,}"
    return [record.token, record.label, record.state.value, circuits, shots, usd, record.job_id or "-", record.reason]


def _records(run: Path) -> list[JobRecord]:
    directory = RunDirectory(run)
    if not directory.holds_run and not directory.journal_path.exists():
        raise RunDirectoryError(f"there is no run in {run}; `qstore runs` lists them")
    if not directory.journal_path.exists():
        return []
    journal = Journal(directory.journal_path)
    try:
        return journal.records()
    finally:
        journal.close()
