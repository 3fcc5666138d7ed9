"""`qstore estimate`."""

from __future__ import annotations

from typing import Any

import click

from qstore_core.cli.job import TrainingJob
from qstore_core.cli.options import training_options
from qstore_core.cli.tables import table
from qstore_core.cost import Cost
from qstore_core.trainer import QuantumTrainer


@click.command(short_help="Say what a training run would take, without running it.")
@training_options
def estimate(**arguments: Any) -> None:
    """Say what `qstore train` with the same options would take: circuits, shots, jobs and dollars. Nothing is run.

    Two prices are given where the provider's price list can be read in two ways; a budget counts the dearer one.

    \b
    Examples:
        qstore estimate breast_cancer --shots 100
        qstore estimate iris --qubits 4 --backend mock.remote --shots 100
    """
    job = TrainingJob.of({**arguments, "run_directory": None, "resume": False})
    rows = []
    for shots in arguments["shots"]:
        total, step = Cost(), Cost()
        for parts, model, config in job.runs(shots):
            found = QuantumTrainer(config).estimate_cost(model, len(parts.x_train))
            test = QuantumTrainer(config).estimate_cost(model, 1, n_validation=len(parts.x_test), epochs=1).validation
            step, total = found.step, total + found.total + test
        name = "exact" if shots is None else f"{shots} shots"
        rows += [[name, "one step", *_cells(step)], ["", "all, with the test", *_cells(total)]]
    click.echo(table(["SHOTS", "OF", "CIRCUITS", "SHOTS IN ALL", "JOBS", "USD LOW", "USD HIGH"], rows))
    click.echo("USD LOW is the cheaper reading of the backend's price list, USD HIGH the dearer one.")
    if arguments["gradient_method"] == "adaptive" and any(arguments["shots"]):
        click.echo("adaptive: by its first plan; later ones may take more circuits or fewer, and more shots or fewer.")


def _cells(cost: Cost) -> list[str]:
    return [
        f"{cost.circuits:,}",
        f"{cost.shots:,}",
        f"{cost.jobs:,}",
        f"{cost.usd_low:,.2f}",
        f"{cost.usd_high:,.2f}",
    ]
