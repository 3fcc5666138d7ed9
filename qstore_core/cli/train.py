"""`qstore train`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from qstore_core.ansatz import ENTANGLEMENTS
from qstore_core.cli.report import TrainingReport
from qstore_core.config import TrainingConfig
from qstore_core.data import train_test_split
from qstore_core.datasets import BUNDLED, Dataset, load_bundled, load_csv
from qstore_core.encoding import ENCODINGS
from qstore_core.errors import ConfigurationError
from qstore_core.model import QuantumModel
from qstore_core.optimizers import OPTIMIZERS
from qstore_core.preprocessing import FeatureScaler
from qstore_core.registry import get_backend
from qstore_core.trainer import QuantumTrainer
from qstore_core.training import make_estimator


class ShotsType(click.ParamType[int | None]):
    """A whole number, or `exact`."""

    name = "exact|N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        """`exact` as None."""
        if value in (None, "exact"):
            return None
        if not str(value).isdigit() or int(value) < 1:
            self.fail(f"{value!r} is neither 'exact' nor a whole number of at least 1")
        return int(value)


class OptionType(click.ParamType[tuple[str, Any]]):
    """`name=value`, the value read as a number, true, false or text."""

    name = "NAME=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        """The name and the value."""
        name, equals, text = str(value).partition("=")
        if not equals or not name:
            self.fail(f"{value!r} is not of the form NAME=VALUE")
        return name, _literal(text)


@click.command(short_help="Train a classifier or regressor on a data set.")
@click.argument("dataset", required=False, metavar=f"[{'|'.join(BUNDLED)}]")
@click.option("--data", type=click.Path(path_type=Path), help="A CSV file with a header line, instead of DATASET.")
@click.option("--target", help="With --data: the column to learn.")
@click.option("--drop", multiple=True, help="With --data: a column to leave out (may be repeated).")
@click.option("--classes", help="Only these classes, such as 3,8.")
@click.option("--qubits", default=8, show_default=True, help="Width of the circuit.")
@click.option("--depth", default=2, show_default=True, help="Layers of trained gates.")
@click.option("--entanglement", type=click.Choice(list(ENTANGLEMENTS)), default="linear", show_default=True)
@click.option("--encoding", type=click.Choice(list(ENCODINGS)), default="angle", show_default=True)
@click.option("--reuploading", is_flag=True, help="Repeat the encoding before every layer.")
@click.option("--backend", default="mock", show_default=True, help="A name that `qstore backends` lists.")
@click.option("--option", "options", type=OptionType(), multiple=True, help="For the backend, e.g. depolarizing=0.01.")
@click.option("--shots", type=ShotsType(), metavar="exact|N", multiple=True, default=("exact",), show_default=True,
              help="Shots of each circuit, or exact; repeat it to compare.")  # fmt: skip
@click.option("--gradient-method", default="adaptive", show_default=True, help="Or spsa, parameter_shift, adjoint, ...")
@click.option("--optimizer", type=click.Choice(OPTIMIZERS), default="adam", show_default=True)
@click.option("--learning-rate", default=0.05, show_default=True)
@click.option("--epochs", default=20, show_default=True)
@click.option("--batch-size", default=32, show_default=True)
@click.option("--loss", type=click.Choice(["cross_entropy", "mse"]), help="Default: by the labels.")
@click.option("--splits", default=1, show_default=True, help="Train and test on this many fixed random splits.")
@click.option("--test-fraction", default=0.2, show_default=True, help="The share of samples held out for testing.")
@click.option("--baseline", is_flag=True, help="Print logistic regression on the same features beside each split.")
@click.option("--seed", default=0, show_default=True, help="All randomness derives from it.")
@click.option("--run-directory", type=click.Path(path_type=Path), help="Default: runs/NAME-DATE-TIME.")
@click.option("--resume", is_flag=True, help="Go on with the run in --run-directory.")
@click.option("--progress/--no-progress", default=None, help="A progress bar; default: on a terminal.")
def train(**arguments: Any) -> None:
    """Train a model on DATASET (which needs scikit-learn), or on a CSV file with --data and --target.

    Columns are standardised and, if there are more than qubits, reduced by PCA; one feature goes on each qubit. Every
    split leaves config.json, metrics.jsonl and checkpoint.npz in the run directory. Ctrl-C keeps a checkpoint.

    \b
    Examples:
        qstore train breast_cancer --splits 5 --baseline
        qstore train digits --classes 3,8 --qubits 6 --shots 100
        qstore train --data wine.csv --target quality --qubits 4
        qstore train iris --qubits 4 --run-directory runs/iris --resume
    """
    job = _Job.of(arguments)
    job.make_model()  # so that a mistake is told before anything is printed or written
    make_estimator(job.config(job.arguments["shots"][0], 0, job.directory))
    report = TrainingReport(job.data, job.qubits, job.arguments["depth"], job.arguments["backend"], job.directory)
    report.header()
    several = len(job.arguments["shots"]) > 1
    try:
        for shots in job.arguments["shots"]:
            place = job.directory / (f"shots-{shots or 'exact'}" if several else "")
            report.section(shots)
            for split in range(job.splits):
                job.train_split(report, shots, split, place / (f"split-{split + 1}" if job.splits > 1 else ""))
            report.summary()
    except KeyboardInterrupt:
        click.echo(
            f"\ncheckpoint kept in {job.directory}; go on with the same command and --run-directory {job.directory} "
            "--resume",
            err=True,
        )
        raise
    report.footer()


@dataclass(frozen=True, slots=True)
class _Job:
    """What the command line asks for."""

    arguments: dict[str, Any]
    data: Dataset
    qubits: int
    directory: Path

    @classmethod
    def of(cls, arguments: dict[str, Any]) -> _Job:
        if arguments["splits"] < 1:
            raise ConfigurationError(f"--splits is at least 1, not {arguments['splits']}")
        if arguments["resume"] and arguments["run_directory"] is None:
            raise ConfigurationError("--resume needs --run-directory: the run to go on with")
        data = _load(arguments)
        if len(data.classes) > arguments["qubits"]:
            raise ConfigurationError(
                f"{data.name} has {len(data.classes)} classes, and each needs a qubit: use --qubits "
                f"{len(data.classes)}, or --classes to choose some"
            )
        stamp = time.strftime("%Y%m%d-%H%M%S")
        directory = arguments["run_directory"] or Path("runs") / f"{data.name}-{stamp}"
        return cls(arguments, data, arguments["qubits"], directory)

    @property
    def splits(self) -> int:
        """How many splits to train on."""
        return int(self.arguments["splits"])

    def train_split(self, report: TrainingReport, shots: int | None, split: int, directory: Path) -> None:
        """Train and test on one split, and add it to the report."""
        wanted, data = self.arguments, self.data
        config = self.config(shots, wanted["seed"] + split, directory)
        parts = train_test_split(data.x, data.y, test_fraction=wanted["test_fraction"], seed=wanted["seed"] + split)
        model = self.make_model()
        scaler = FeatureScaler.fit(parts.x_train, model.input_dim, radians_per_deviation=0.5)
        model.scaler = scaler
        trainer = QuantumTrainer(config, progress=wanted["progress"])
        begin = time.perf_counter()
        trainer.fit(model, parts.x_train, parts.y_train, resume=wanted["resume"])
        seconds = time.perf_counter() - begin
        result = trainer.evaluate(model, parts.x_test, parts.y_test)
        baseline = None
        if wanted["baseline"] and data.classes:
            baseline = _logistic_regression(
                scaler.transform(parts.x_train), parts.y_train, scaler.transform(parts.x_test), parts.y_test
            )
        report.split(result, seconds, baseline, trainer.spent)

    def make_model(self) -> QuantumModel:
        """A model of the shape asked for, on a backend of its own."""
        wanted = self.arguments
        return QuantumModel(
            min(self.qubits, self.data.x.shape[1]),
            self.qubits,
            len(self.data.classes) or 1,
            get_backend(wanted["backend"], **dict(wanted["options"])),
            depth=wanted["depth"],
            entanglement=wanted["entanglement"],
            encoding=wanted["encoding"],
            reuploading=wanted["reuploading"],
        )

    def config(self, shots: int | None, seed: int, directory: Path) -> TrainingConfig:
        """The settings of one run."""
        wanted = self.arguments
        return TrainingConfig(
            learning_rate=wanted["learning_rate"],
            batch_size=wanted["batch_size"],
            epochs=wanted["epochs"],
            n_qubits=self.qubits,
            circuit_depth=wanted["depth"],
            entanglement=wanted["entanglement"],
            optimizer=wanted["optimizer"],
            gradient_method=wanted["gradient_method"],
            shots_per_circuit=shots,
            loss=wanted["loss"],
            seed=seed,
            checkpoint_interval=1,
            quantum_sdk=wanted["backend"],
            run_directory=directory,
        )


def _load(arguments: dict[str, Any]) -> Dataset:
    name, path = arguments["dataset"], arguments["data"]
    if (name is None) == (path is None):
        raise ConfigurationError(f"name one data set ({', '.join(BUNDLED)}), or give --data FILE --target COLUMN")
    if path is not None and arguments["target"] is None:
        raise ConfigurationError("--data needs --target: the column to learn")
    data = load_bundled(name) if path is None else load_csv(path, arguments["target"], drop=arguments["drop"])
    if arguments["classes"] is None:
        return data
    return data.only([part.strip() for part in arguments["classes"].split(",")])


def _logistic_regression(x_train: Any, y_train: Any, x_test: Any, y_test: Any) -> float:
    try:
        from sklearn.linear_model import LogisticRegression  # here, because it is heavy and optional
    except ImportError:
        raise ConfigurationError('--baseline needs scikit-learn: pip install "qstore-core[data]"') from None
    return float(LogisticRegression(max_iter=1000).fit(x_train, y_train).score(x_test, y_test))


def _literal(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
