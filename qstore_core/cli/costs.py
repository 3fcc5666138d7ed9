"""`qstore costs`: what kinds of steps a run took, and what each kind took of the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from qstore_core.cli.runs import spent_by, spent_by_step
from qstore_core.cli.tables import table
from qstore_core.cost import Cost
from qstore_core.errors import RunDirectoryError
from qstore_core.run_directory import RunDirectory
from qstore_core.tracker import cost_of_step

_KIND = ("method", "samples", "directions", "shots_per_circuit")
_HEADER = ("METHOD", "SAMPLES", "DIRECTIONS", "SHOTS", "STEPS", "CIRCUITS", "ALL SHOTS", "JOBS", "USD")


@click.command(short_help="Show what the steps of a run cost, by kind.")
@click.argument("run", type=click.Path(path_type=Path))
def costs(run: Path) -> None:
    """Show where the money of RUN went: its steps by method, samples, directions and shots, in the order they came.

    A kind comes again when the plan returned to it. What is left is validation, tests and jobs sent for steps that
    were not done. A job that failed and was charged, or that a process sent which then died, counts for its step.

    \b
    Example:
        qstore costs runs/iris-20260101-120000
    """
    directory = RunDirectory(run)
    if not directory.holds_run:
        raise RunDirectoryError(f"there is no run in {run}; `qstore runs` lists them")
    paid = spent_by_step(directory)
    steps = [
        {**step, "cost": paid.get(step["step"], Cost()) if paid else cost_of_step(step)} for step in directory.steps()
    ]
    kinds = [list(same) for _, same in groupby(steps, key=_kind)]
    rows = [[*_kind(same[0]), f"{same[0]['step']}-{same[-1]['step']}", *_cells(_total(same))] for same in kinds]
    training = sum(map(_total, kinds), Cost())
    whole = spent_by(directory)
    rows += [["", "", "", "", "steps", *_cells(training)], ["", "", "", "", "the rest", *_cells(whole - training)]]
    rows += [["", "", "", "", "all", *_cells(whole)]]
    click.echo(table(_HEADER, rows))


def _kind(step: Mapping[str, Any]) -> list[str]:
    return ["" if step.get(name) is None else str(step[name]) for name in _KIND]


def _total(steps: Sequence[Mapping[str, Any]]) -> Cost:
    return sum((step["cost"] for step in steps), Cost())


def _cells(cost: Cost) -> list[str]:
    return [f"{cost.circuits:,}", f"{cost.shots:,}", f"{cost.jobs:,}", f"{cost.usd_high:,.2f}"]
