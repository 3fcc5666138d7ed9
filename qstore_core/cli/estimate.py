"""`qstore estimate`."""

from __future__ import annotations

from typing import Any

import click

from qstore_core.backend import RemoteBackend
from qstore_core.cli.forecast import Forecast
from qstore_core.cli.job import TrainingJob
from qstore_core.cli.options import training_options
from qstore_core.cli.tables import table
from qstore_core.config import TrainingConfig
from qstore_core.cost import Cost


@click.command(short_help="Say what a training run would take, without running it.")
@training_options
def estimate(**arguments: Any) -> None:
    """Say what `qstore train` with the same options would take: circuits, shots, jobs and dollars. Nothing is run.

    Two prices are given where the provider's price list can be read in two ways; a budget counts the dearer one. With
    --budget it says whether a run fits, and if not how far it gets. It needs no key where the prices are known without.

    \b
    Examples:
        qstore estimate breast_cancer --shots 100
        qstore estimate iris --qubits 4 --backend mock.remote --shots 100 --budget usd=20
    """
    job = TrainingJob.of({**arguments, "run_directory": None, "resume": False}, keyless=True)
    rows, verdicts = [], []
    for shots in arguments["shots"]:
        total, n_steps, name = Cost(), 0, "exact" if shots is None else f"{shots} shots"
        for parts, model, config in job.runs(shots):
            run = Forecast.of(model, config, parts)
            total, n_steps = total + run.total, n_steps + run.n_steps
        rows += [[name, "one step", *_cells(run.step)], ["", "all, with the test", *_cells(total)]]
        told = f"{name}: " if len(arguments["shots"]) > 1 else ""
        if isinstance(model.backend, RemoteBackend):
            verdicts.append(told + _wait(n_steps, config))
        if config.budget is not None:
            verdicts.append(told + run.against(config.budget))
    click.echo(table(["SHOTS", "OF", "CIRCUITS", "SHOTS IN ALL", "JOBS", "USD LOW", "USD HIGH"], rows))
    click.echo("USD LOW is the cheaper reading of the backend's price list, USD HIGH the dearer one.")
    if arguments["gradient_method"] == "adaptive" and any(arguments["shots"]):
        click.echo("adaptive: by its first plan; later ones may take more circuits or fewer, and more shots or fewer.")
    for verdict in verdicts:
        click.echo(verdict)


def _wait(n_steps: int, config: TrainingConfig) -> str:
    """How long steps take that wait for their jobs one after another."""
    advice = ""
    if config.gradient_method == "adaptive":
        value = config.gradient_options.get("job_value")
        advice = "; a higher" if value else "; --gradient-option"
        advice += " job_value=USD, of the order of a step's price, plans for fewer and larger ones"
    return f"{n_steps:,} steps wait for their jobs, one after another: {n_steps / 60:.1f} h at a minute each{advice}."


def _cells(cost: Cost) -> list[str]:
    return [
        f"{cost.circuits:,}",
        f"{cost.shots:,}",
        f"{cost.jobs:,}",
        f"{cost.usd_low:,.2f}",
        f"{cost.usd_high:,.2f}",
    ]
