"""`qstore runs`, `resume`, `jobs`, `cancel` and `estimate` on local runs; the provider tests do remote ones."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from qstore_core.checkpoint import load_checkpoint
from qstore_core.cli import main
from qstore_core.config import TrainingConfig
from qstore_core.model import QuantumModel
from qstore_core.trainer import QuantumTrainer

TRAIN = ["train", "iris", "--qubits", "4", "--shots", "5", "--batch-size", "60", "--gradient-method", "spsa"]


def qstore(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    directory = tmp_path / "run"
    result = qstore(*TRAIN, "--epochs", "2", "--run-directory", str(directory))
    assert result.exit_code == 0, result.stderr
    return directory


def test_runs_says_how_far_each_is(run: Path) -> None:
    result = qstore("runs", str(run.parent))
    header, line = result.stdout.splitlines()
    assert header.split()[:4] == ["RUN", "STATE", "EPOCHS", "STEPS"]
    assert line.split()[:4] == [str(run), "finished", "2/2", "4"]


def test_runs_below_an_empty_place_says_how_to_start_one(tmp_path: Path) -> None:
    assert "Start one with `qstore train`" in qstore("runs", str(tmp_path)).stdout


def test_a_damaged_run_is_named_and_the_others_listed(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "checkpoint.npz").write_bytes(b"nothing")
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    (copy / "journal.sqlite").write_bytes(b"nothing")
    result = qstore("runs", str(tmp_path))
    assert result.stdout.count(" damaged: ") == 2
    assert "finished" in result.stdout


def test_resume_needs_only_the_directory_and_goes_on(run: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    assert qstore(*TRAIN, "--epochs", "4", "--run-directory", str(whole)).exit_code == 0
    result = qstore("resume", str(run), "--epochs", "4")
    assert result.exit_code == 0, result.stderr
    one, other = load_checkpoint(run / "checkpoint.npz"), load_checkpoint(whole / "checkpoint.npz")
    np.testing.assert_array_equal(one.parameters, other.parameters)


def test_resume_of_one_split_goes_on_with_the_whole_command(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    assert qstore(*TRAIN, "--epochs", "1", "--splits", "2", "--run-directory", str(directory)).exit_code == 0
    result = qstore("resume", str(directory / "split-1"), "--epochs", "2")
    assert "split 2" in result.stdout
    assert load_checkpoint(directory / "split-2" / "checkpoint.npz").epoch == 2


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (["--qubits", "3"], "was started with qubits=4 (now 3)"),
        (["--test-fraction", "0.5"], "was started with test_fraction=0.2 (now 0.5)"),
        (["--splits", "2"], "was started with splits=1 (now 2)"),
        (["--option", "depolarizing=0.1"], "was started with options="),
        (["--lr", "0.2"], "was started with learning_rate=0.05 (now 0.2)"),
    ],
)
def test_another_command_is_not_the_same_run(run: Path, changed: list[str], message: str) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    result = qstore(*TRAIN, "--epochs", "3", "--run-directory", str(run), "--resume", *changed)
    assert result.exit_code == 2
    assert message in result.stderr
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("command", ["resume", "jobs", "cancel"])
def test_a_directory_without_a_run_is_an_error(command: str, tmp_path: Path) -> None:
    result = qstore(command, str(tmp_path))
    assert result.exit_code == 2
    assert "`qstore runs` lists" in result.stderr


@pytest.mark.parametrize(("command", "words"), [("jobs", "No remote jobs"), ("cancel", "No open jobs")])
def test_a_local_run_has_no_jobs(run: Path, command: str, words: str) -> None:
    assert words in qstore(command, str(run)).stdout


@pytest.mark.parametrize("method", ["spsa", "adaptive"])
def test_estimate_is_what_train_then_takes(tmp_path: Path, method: str) -> None:
    options = ["--epochs", "3", "--splits", "2", "--gradient-method", method]
    estimated = qstore("estimate", *TRAIN[1:], *options).stdout
    trained = qstore(*TRAIN, *options, "--run-directory", str(tmp_path / "run")).stdout
    circuits, shots, jobs = estimated.splitlines()[2].split("all, with the test")[1].split()[:3]
    assert f"circuits: {circuits}   shots: {shots}   jobs: {jobs}   cost: 0.00 USD" in trained


def test_a_budget_ends_a_run_and_more_of_it_goes_on(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    command = [*TRAIN, "--epochs", "3", "--run-directory", str(directory)]
    stopped = qstore(*command, "--budget", "circuits=300")
    assert stopped.exit_code == 2
    assert (
        "the budget is 300 circuits: 240 spent or reserved, 30 kept for the test, and the next batch needs 120"
        in stopped.stderr
    )
    assert re.search(r"; mean loss of the last 2 steps [01]\.\d{3}; the checkpoint", stopped.stderr)
    assert f"the checkpoint is in {directory}: raise the budget and resume: `qstore resume {directory} --budget" in (
        stopped.stderr
    )
    assert qstore("resume", str(directory), "--budget", "circuits=5000").exit_code == 0
    assert load_checkpoint(directory / "checkpoint.npz").epoch == 3


def test_an_unknown_limit_is_named(tmp_path: Path) -> None:
    result = qstore(*TRAIN, "--budget", "dollars=3", "--run-directory", str(tmp_path / "run"))
    assert result.exit_code == 2
    assert "unknown --budget 'dollars'" in result.stderr


def test_costs_adds_up_the_steps_by_kind(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    options = ["--shots", "50", "--gradient-method", "adaptive", "--epochs", "2", "--run-directory", str(directory)]
    trained = qstore(*TRAIN[:4], *options)
    assert trained.exit_code == 0, trained.stderr
    rows = [line.split() for line in qstore("costs", str(directory)).stdout.splitlines()]
    steps, rest, whole = (row[-4:] for row in rows[-3:])
    assert rows[1][:4] == ["spsa", "2", "1", "32"]
    assert rows[1][4].startswith("1-")
    assert sum(int(row[-4].replace(",", "")) for row in rows[1:-3]) == int(steps[0])
    assert int(steps[0]) + int(rest[0]) == int(whole[0]) == load_checkpoint(directory / "checkpoint.npz").spent.circuits
    assert qstore("costs", str(tmp_path)).stderr.startswith("qstore: error: there is no run in")


def test_a_run_from_python_goes_on_in_python(tmp_path: Path) -> None:
    model, config = QuantumModel(2, 2, 2), TrainingConfig(epochs=1, shots_per_circuit=None, run_directory=tmp_path)
    QuantumTrainer(config, progress=False).fit(model, [[0.0, 1.0], [1.0, 0.0]], [0, 1])
    assert "was started from Python: go on with it there, with resume=True" in qstore("resume", str(tmp_path)).stderr
