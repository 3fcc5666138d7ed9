"""`qstore predict`."""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path
from typing import Any

import click

from qstore_core.arrays import FloatArray
from qstore_core.backend import RemoteBackend
from qstore_core.cli.job import TrainingJob, find_job
from qstore_core.cli.options import OptionType, ShotsType
from qstore_core.datasets import load_table
from qstore_core.errors import CheckpointError, ConfigurationError, DataError, RunDirectoryError
from qstore_core.model import QuantumModel
from qstore_core.preprocessing import FeatureScaler, TargetScaler
from qstore_core.run_directory import RunDirectory
from qstore_core.synchronous import run_sync


@click.command(short_help="Predict with the trained model of a run.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), required=True, help="A CSV file with a header line.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="The file; default: standard output.")
@click.option("--backend", default="mock", show_default=True, help="A simulator that `qstore backends` lists.")
@click.option("--option", "options", type=OptionType(), multiple=True, help="For the backend.")
@click.option("--shots", type=ShotsType(), metavar="exact|N", default="exact", show_default=True)
def predict(
    run: Path, data: Path, output: Path | None, backend: str, options: tuple[tuple[str, Any], ...], shots: int | None
) -> None:
    """Predict the class, or the target value, of each row of a CSV file with what RUN has trained so far.

    The file has the columns that the run was trained on, by name and in any order; others are left out. For a data set
    of scikit-learn's, whose columns have no names here, it has as many columns in the same order. It runs on a
    simulator on this machine, whatever the run was trained on, and costs nothing.

    \b
    Examples:
        qstore predict runs/measurements-20260101-120000 --data new.csv
        qstore predict runs/iris/split-2 --data new.csv --output predicted.csv
    """
    job = find_job(run, backend=backend, options=options)
    model = trained_model(job, RunDirectory(run))
    inputs = _inputs(job, data)
    found = run_sync(model.predict(inputs, shots))
    if job.data.classes:
        lines = [job.data.classes[int(number)] for number in found]
    else:
        targets = TargetScaler.fit(job.split(_split_of(run)).y_train)
        lines = [f"{value:.6g}" for value in targets.inverse(found)]
    _write(lines, output)


def trained_model(job: TrainingJob, directory: RunDirectory) -> QuantumModel:
    """The job's model as its checkpoint in a directory has it.

    Raises:
        RunDirectoryError: There is no checkpoint.
        CheckpointError: It is of another model.
    """
    if not directory.holds_run:
        raise RunDirectoryError(
            f"{directory.path} has no checkpoint: name a directory that has, such as one of a run's splits; `qstore "
            "runs` lists them"
        )
    model, state = job.make_model(), directory.load()
    if isinstance(model.backend, RemoteBackend):
        raise ConfigurationError(f"--backend {model.backend.name} takes jobs; predict on a simulator, such as mock")
    if state.model != model.fingerprint:
        raise CheckpointError(f"the checkpoint in {directory.path} is of another circuit than its command makes")
    model.parameters = state.averaged_parameters
    model.scaler = FeatureScaler.from_arrays(dict(state.scaler)) if state.scaler else None
    model.regression = not job.data.classes
    return model


def _inputs(job: TrainingJob, path: Path) -> FloatArray:
    if job.data.columns:
        return load_table(path, job.data.columns)
    table = load_table(path)
    if table.shape[1] != job.data.x.shape[1]:
        raise DataError(f"{path} has {table.shape[1]} columns, and {job.data.name} has {job.data.x.shape[1]}")
    return table


def _split_of(run: Path) -> int:
    """The number, from 0, of the split that a directory is of."""
    found = re.fullmatch(r"split-(\d+)", run.name)
    return int(found[1]) - 1 if found else 0


def _write(lines: list[str], output: Path | None) -> None:
    rows = [["prediction"], *([line] for line in lines)]
    if output is None:
        csv.writer(sys.stdout, lineterminator="\n").writerows(rows)
        return
    try:
        with output.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream, lineterminator="\n").writerows(rows)
    except OSError as error:
        raise ConfigurationError(f"cannot write {output}: {error.strerror or error}") from error
    click.echo(f"{len(lines)} prediction(s) written to {output}")
