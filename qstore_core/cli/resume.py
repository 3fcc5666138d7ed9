"""`qstore resume`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from qstore_core.cli.job import find_job
from qstore_core.cli.options import OptionType
from qstore_core.cli.train import run_job


@click.command(short_help="Go on with a run that was interrupted.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--epochs", type=click.IntRange(min=1), help="Go on to this many epochs; default: as it was started.")
@click.option("--budget", type=OptionType(), multiple=True, help="Another cap than it was started with, e.g. usd=10.")
@click.option("--progress/--no-progress", default=None, help="A progress bar; default: on a terminal.")
def resume(run: Path, epochs: int | None, budget: tuple[tuple[str, Any], ...], progress: bool | None) -> None:
    """Go on with RUN as `qstore train` started it, to the same end as if it had not stopped.

    Jobs that were sent before are found again and not paid twice. Keys come from the environment, as they did.

    \b
    Example:
        qstore resume runs/iris-20260101-120000
    """
    job = find_job(run)
    job.arguments.update(resume=True, run_directory=job.directory, progress=progress)
    if epochs is not None:
        job.arguments["epochs"] = epochs
    if budget:
        job.arguments["budget"] = budget
    run_job(job)
