"""`qstore train`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from qstore_core.cli.forecast import Forecast, check_test_fits, price_of_test
from qstore_core.cli.job import TrainingJob
from qstore_core.cli.options import training_options
from qstore_core.cli.report import TrainingReport
from qstore_core.config import TrainingConfig
from qstore_core.cost import Budget
from qstore_core.data import Split
from qstore_core.errors import BudgetExceededError, ConfigurationError, StoreError, StoreUnavailableError
from qstore_core.losses import is_classes
from qstore_core.model import QuantumModel
from qstore_core.preprocessing import TargetScaler
from qstore_core.run import saved_scaler
from qstore_core.run_directory import RunDirectory
from qstore_core.store_start import close
from qstore_core.surroundings import make_store
from qstore_core.synchronous import run_sync
from qstore_core.trainer import QuantumTrainer

RADIANS_PER_DEVIATION = 0.5


@click.command(short_help="Train a classifier or regressor on a data set.")
@training_options
@click.option("--baseline", is_flag=True, help="Print logistic regression on the same features beside each split.")
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
    if arguments["resume"] and arguments["run_directory"] is None:
        raise ConfigurationError("--resume needs --run-directory: the run to go on with")
    if arguments["warm_start"] == "store" and arguments["splits"] > 1:
        raise ConfigurationError(
            "--warm-start store with several splits: the run of one has learned from the test samples of another; use "
            "--splits 1"
        )
    run_job(TrainingJob.of(arguments))


def run_job(job: TrainingJob) -> None:
    """Train on every split of a job, and report."""
    for shots in job.arguments["shots"]:
        parts, model, config = next(job.runs(shots))
        QuantumTrainer(config).check(model, parts.x_train, _targets(parts.y_train)[0])
        if config.store_name is not None and not job.arguments["resume"]:
            _check_store(config)
        if config.budget is not None:
            check_test_fits(price_of_test(model, config, parts), config.budget)
        if not job.arguments["resume"] and model.backend is not None and model.backend.capabilities.prices is not None:
            _say_price(Forecast.of(model, config, parts), config.budget, model.backend.name)
    job = job.claim_directory()
    report = TrainingReport(job.data, job.make_model(), job.arguments["backend"], job.directory)
    report.header()
    try:
        for shots in job.arguments["shots"]:
            report.section(shots)
            for parts, model, config in job.runs(shots):
                _train_split(report, parts, model, config, job.arguments)
            report.summary()
    except KeyboardInterrupt:
        click.echo(f"\ncheckpoint kept in {job.directory}; go on with `qstore resume {job.directory}`", err=True)
        raise
    report.footer()


def _train_split(
    report: TrainingReport, parts: Split, model: QuantumModel, config: TrainingConfig, arguments: dict[str, Any]
) -> None:
    """Train and test on one split, and add it to the report."""
    y_train, targets = _targets(parts.y_train)
    keep = None if config.budget is None else price_of_test(model, config, parts)
    trainer = QuantumTrainer(config, progress=arguments["progress"], keep=keep)
    saved = saved_scaler(config, model) if arguments["resume"] else None
    scaler = saved or trainer.scaler_for(model, parts.x_train, y_train, radians_per_deviation=RADIANS_PER_DEVIATION)
    model.scaler = scaler
    begin = time.perf_counter()
    stopped = None
    try:
        trainer.fit(model, parts.x_train, y_train, resume=arguments["resume"])
    except BudgetExceededError as error:
        stopped = error
        if not trainer.performance_tracker.steps and not arguments["resume"]:
            raise  # nothing was trained that could be tested
    seconds = time.perf_counter() - begin
    assert config.directory is not None
    try:
        reached = _tested(trainer, model, parts, targets, RunDirectory(config.directory))
    except BudgetExceededError as error:
        raise stopped or error from error
    baseline = None
    if arguments["baseline"]:
        seen, unseen = scaler.transform(parts.x_train), scaler.transform(parts.x_test)
        baseline = _linear_baseline(seen, parts.y_train, unseen, parts.y_test)
    if arguments["warm_start"] is not None:
        report.warm_start(RunDirectory(config.directory).warm_start())
    report.split(reached, seconds, baseline, trainer.spent)
    if stopped is not None:
        limits = " ".join(f"--budget {name}=MORE" for name, _ in arguments["budget"])
        raise BudgetExceededError(f"{stopped}: `qstore resume {config.run_directory} {limits}`") from stopped


def _tested(
    trainer: QuantumTrainer, model: QuantumModel, parts: Split, targets: TargetScaler | None, directory: RunDirectory
) -> float:
    """What the model reaches on the test data, which metrics.jsonl keeps with what the test took."""
    before = trainer.spent
    if targets is None:
        found = trainer.evaluate(model, parts.x_test, parts.y_test)
        told = {"accuracy": found["accuracy"], "loss": found["loss"]}
        reached = found["accuracy"]
    else:
        outputs = trainer.outputs(model, parts.x_test)[:, 0]
        reached = _r_squared(parts.y_test, targets.inverse(outputs))
        told = {"r_squared": reached}
    took, state = trainer.spent - before, directory.load()
    is_new = directory.record_test(
        {
            "step": state.step,
            "epoch": state.epoch,
            "samples": len(parts.x_test),
            **told,
            "circuits": took.circuits,
            "shots": took.shots,
            "jobs": took.jobs,
            "usd": took.usd_high,
        }
    )
    if is_new:
        trainer.save()
    return reached


def _check_store(config: TrainingConfig) -> None:
    """Refuse a store that cannot be used before anything is spent; one that is away may be back when it is needed."""

    async def reach() -> None:
        store = make_store(config)
        assert store is not None
        try:
            await store.describe()
        finally:
            await close(store)

    try:
        run_sync(reach())
    except StoreUnavailableError:
        return
    except StoreError as error:
        raise StoreError(f"{error} (nothing was run; without --store nothing is recorded)") from error


def _say_price(run: Forecast, budget: Budget | None, backend: str) -> None:
    """The price before the run, and whether it fits the cap, on standard error; a run that costs money needs a cap.

    Raises:
        ConfigurationError: It costs money, and nothing limits it.
    """
    low, high = run.total.usd_low, run.total.usd_high
    dollars = f"{high:,.2f} USD" if f"{low:.2f}" == f"{high:.2f}" else f"{low:,.2f} to {high:,.2f} USD"
    if budget is not None:
        click.echo(f"estimate: {dollars} a run, by `qstore estimate`. {run.against(budget)}", err=True)
    elif high > 0:
        raise ConfigurationError(
            f"a run on {backend} is estimated at {dollars}, and nothing limits it: give --budget usd=AMOUNT, which is "
            "never passed; nothing was sent"
        )


def _targets(y: Any) -> tuple[Any, TargetScaler | None]:
    """Class labels as they are; target values scaled to what outputs can reach, and the scaler."""
    if is_classes(y):
        return y, None
    scaler = TargetScaler.fit(y)
    return scaler.transform(y), scaler


def _r_squared(wanted: Any, found: Any) -> float:
    """The coefficient of determination: 1 is perfect, 0 no better than the mean."""
    return float(1 - ((wanted - found) ** 2).sum() / ((wanted - wanted.mean()) ** 2).sum())


def _linear_baseline(x_train: Any, y_train: Any, x_test: Any, y_test: Any) -> float:
    """The test accuracy of logistic regression, or for target values R^2 of linear regression."""
    try:
        from sklearn.linear_model import LinearRegression, LogisticRegression  # here, because heavy and optional
    except ImportError:
        raise ConfigurationError('--baseline needs scikit-learn: pip install "qstore-core[data]"') from None
    classes = y_train.dtype.kind in "iub"
    model = LogisticRegression(max_iter=1000) if classes else LinearRegression()
    return float(model.fit(x_train, y_train).score(x_test, y_test))
