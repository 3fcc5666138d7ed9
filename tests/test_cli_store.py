"""`qstore store`, and training with one from the command line."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from qstore_core.cli import main

TRAIN = ["train", "iris", "--qubits", "4", "--batch-size", "60", "--gradient-method", "adjoint", "--epochs", "1"]


def qstore(*arguments: str, status: int = 0) -> Result:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == status, result.output
    return result


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def two_runs(here: Path) -> list[str]:
    """The names of two recorded runs, of iris and of two of its classes, as they are listed."""
    qstore(*TRAIN, "--store", "sqlite")
    qstore(*TRAIN, "--store", "sqlite", "--classes", "setosa,virginica")
    return [line.split()[0] for line in qstore("store", "list").stdout.splitlines()[1:]]


def test_runs_are_listed_the_latest_first(two_runs: list[str]) -> None:
    header, first, second = qstore("store", "list").stdout.splitlines()
    assert header.split() == (
        "RUN STATE QUBITS DEPTH LOSS EPOCHS STEPS REACHED SHOTS USD RECORDED RUN DIRECTORY".split()
    )
    assert first.split()[1:6] == ["finished", "4", "2", "cross_entropy", "1"]
    assert (first.split()[0], second.split()[0]) == tuple(two_runs)


def test_a_run_is_shown_by_any_beginning_of_its_name(two_runs: list[str]) -> None:
    shown = qstore("store", "show", two_runs[0][:9]).stdout
    assert shown.splitlines()[0].split() == ["id", two_runs[0]]
    assert '"n_parameters": 16' in shown
    assert '"learning_rate": 0.05' in shown


def test_a_name_that_means_none_or_several_says_so(two_runs: list[str]) -> None:
    assert "2 runs begin with 'run-'; give more" in qstore("store", "show", "run-", status=2).stderr
    assert "there is no run 'walk'; `qstore store list`" in qstore("store", "show", "walk", status=2).stderr


def test_similar_runs_come_with_their_cosine(two_runs: list[str]) -> None:
    header, line = qstore("store", "similar", two_runs[0]).stdout.splitlines()
    assert header.split()[:2] == ["COSINE", "RUN"]
    assert line.split()[1] == two_runs[1]
    assert -1 <= float(line.split()[0]) <= 1
    assert "No other run" in qstore("store", "similar", two_runs[0], "--compatible").stdout


def test_runs_are_exported_as_json_lines(two_runs: list[str], here: Path) -> None:
    qstore("store", "export", "--output", "runs.jsonl")
    found = [json.loads(line) for line in (here / "runs.jsonl").read_text().splitlines()]
    assert {run["id"] for run in found} == set(two_runs)
    assert all(len(run["parameters"]) == 16 and run["config"]["epochs"] == 1 for run in found)
    assert json.loads(qstore("store", "export", two_runs[0]).stdout)["id"] == two_runs[0]


def test_runs_are_deleted_when_that_is_confirmed(two_runs: list[str]) -> None:
    first, second = two_runs
    refused = CliRunner().invoke(main, ["store", "delete", first], input="n\n")
    assert refused.exit_code == 1
    assert f"Delete {first} from the store?" in refused.output
    assert len(qstore("store", "list").stdout.splitlines()) == 3

    assert qstore("store", "delete", first, first[:12], "--yes").stdout == "1 run(s) deleted\n"
    assert qstore("store", "list").stdout.splitlines()[1].split()[0] == second
    assert f"there is no run '{first}'" in qstore("store", "delete", first, "--yes", status=2).stderr


def test_a_damaged_run_can_be_deleted(two_runs: list[str]) -> None:
    with closing(sqlite3.connect("runs/store.sqlite")) as file, file:
        file.execute("UPDATE entries SET metadata = '{}' WHERE id = ?", (two_runs[0],))
    told = qstore("store", "show", two_runs[0], status=2).stderr
    assert f"`qstore store delete {two_runs[0]}` takes it out" in told
    qstore("store", "delete", two_runs[0], "--yes")
    assert len(qstore("store", "list").stdout.splitlines()) == 2


def test_a_run_starts_from_the_nearest(two_runs: list[str], here: Path) -> None:
    arguments = [*TRAIN, "--store", "sqlite", "--warm-start", "store", "--seed", "3", "--run-directory", "warm"]
    qstore(*arguments)
    (line,) = [json.loads(each) for each in (here / "warm" / "metrics.jsonl").read_text().splitlines()][:1]
    assert (line["kind"], line["run"]) == ("warm_start", two_runs[1])
    assert "finished" in qstore("runs", "warm").stdout
    assert qstore("resume", "warm", "--epochs", "2").exit_code == 0
    assert len(qstore("store", "list").stdout.splitlines()) == 4


def test_without_a_store_the_commands_say_how_to_have_one(here: Path) -> None:
    told = qstore("store", "list", status=2).stderr
    assert "there is no store at runs/store.sqlite; record a run with `qstore train --store sqlite`" in told
    assert not list(here.iterdir())
    assert "needs a store" in qstore(*TRAIN, "--warm-start", "store", status=2).stderr


def test_several_splits_do_not_learn_from_one_another(here: Path) -> None:
    told = qstore(*TRAIN, "--store", "sqlite", "--warm-start", "store", "--splits", "2", status=2).stderr
    assert "the run of one has learned from the test samples of another; use --splits 1" in told


def test_an_unknown_store_is_named(here: Path) -> None:
    assert "unknown store 'chalk'" in qstore("store", "list", "--store", "chalk", status=2).stderr
    assert "unknown store 'chalk'" in qstore(*TRAIN, "--store", "chalk", status=2).stderr


def test_a_warm_start_is_told_and_so_is_why_there_is_none(two_runs: list[str]) -> None:
    again = [*TRAIN, "--store", "sqlite", "--warm-start", "store", "--seed", "3"]
    assert f"warm start: from {two_runs[1]}, whose task has cosine 0.9" in qstore(*again).stdout
    narrow = [*again, "--qubits", "3"]
    told = "warm start: none, because no run in the store has the same circuit, readout, loss, labels and features"
    assert told in qstore(*narrow).stdout


def test_runs_are_told_apart_by_their_directories(here: Path) -> None:
    qstore(*TRAIN, "--store", "sqlite", "--run-directory", "runs/first")
    assert qstore("store", "list").stdout.splitlines()[1].split()[-1] == "runs/first"


@pytest.mark.parametrize("warm", [[], ["--warm-start", "store"]])
def test_a_store_that_cannot_be_used_is_refused_before_anything_runs(here: Path, warm: list[str]) -> None:
    (here / "bad.sqlite").write_text("no store")
    command = [*TRAIN, "--store", "sqlite", "--store-path", "bad.sqlite", *warm, "--run-directory", "run"]
    told = qstore(*command, status=2).stderr
    assert "bad.sqlite is no store of qstore" in told
    assert "(nothing was run; without --store nothing is recorded)" in told
    assert not (here / "run").exists()


def test_a_run_that_is_resumed_goes_on_without_its_store(here: Path) -> None:
    qstore(*TRAIN, "--store", "sqlite", "--run-directory", "run")
    (here / "runs" / "store.sqlite").write_text("no store")
    for name in ("store.sqlite-wal", "store.sqlite-shm"):
        (here / "runs" / name).unlink(missing_ok=True)
    assert "test accuracy" in qstore("resume", "run", "--epochs", "2").stdout


def test_the_program_in_the_documentation_runs(two_runs: list[str]) -> None:
    page = (Path(__file__).parents[1] / "docs" / "store.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert {line.split()[0] for line in shown.stdout.splitlines()} == set(two_runs)
