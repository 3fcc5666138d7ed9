"""`qstore predict`: what a run has trained, used."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from qstore_core.cli import main
from qstore_core.cli.job import find_job
from qstore_core.data import train_test_split
from qstore_core.datasets import load_bundled


def qstore(*arguments: str, status: int = 0) -> Result:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == status, result.output
    return result


def write(path: Path, header: list[str], rows: list[list[object]]) -> Path:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Two clouds, and a column that follows from two others."""
    generator = np.random.default_rng(1)
    y = generator.integers(0, 2, 60)
    x = generator.normal(size=(60, 2)) + 2 * (2 * y[:, None] - 1)
    rows = [[a, b, ("low", "high")[k], 0.3 * a - 0.2 * b] for (a, b), k in zip(x.tolist(), y.tolist(), strict=True)]
    return write(tmp_path / "table.csv", ["a", "b", "kind", "value"], rows)


def train(table: Path, directory: Path, target: str, drop: str, *more: str) -> str:
    command = ["train", "--data", str(table), "--target", target, "--drop", drop, "--qubits", "2", "--lr", "0.2"]
    return qstore(*command, "--epochs", "10", "--run-directory", str(directory), *more).stdout


def test_it_says_the_class_of_each_row_by_the_columns_names(table: Path, tmp_path: Path) -> None:
    train(table, tmp_path / "run", "kind", "value")
    new = write(tmp_path / "new.csv", ["b", "other", "a"], [[2.0, "?", 2.0], [-2.0, "?", -2.0]])
    assert qstore("predict", str(tmp_path / "run"), "--data", str(new)).stdout.split() == ["prediction", "high", "low"]


def test_target_values_come_in_their_own_units(table: Path, tmp_path: Path) -> None:
    shown = train(table, tmp_path / "run", "value", "kind", "--splits", "2")
    reached = re.findall(r"test R\^2 (\S+)", shown)
    for number in (1, 2):
        split = tmp_path / "run" / f"split-{number}"
        parts = find_job(split).split(number - 1)
        new = write(tmp_path / "new.csv", ["a", "b"], parts.x_test.tolist())
        lines = qstore("predict", str(split), "--data", str(new)).stdout.splitlines()[1:]
        error = ((np.array(lines, dtype=float) - parts.y_test) ** 2).sum()
        r_squared = 1 - error / ((parts.y_test - parts.y_test.mean()) ** 2).sum()
        assert f"{r_squared:.3f}" == reached[number - 1]


def test_what_it_says_to_the_test_data_is_as_right_as_training_said(tmp_path: Path) -> None:
    command = ["train", "iris", "--qubits", "4", "--epochs", "2", "--run-directory", str(tmp_path / "run")]
    reached = re.search(r"test accuracy (\S+)", qstore(*command).stdout)
    assert reached
    data = load_bundled("iris")
    parts = train_test_split(data.x, data.y, test_fraction=0.2, seed=0)
    new = write(tmp_path / "new.csv", list("wxyz"), parts.x_test.tolist())
    told = qstore("predict", str(tmp_path / "run"), "--data", str(new), "--output", str(tmp_path / "said.csv"))
    assert "30 prediction(s) written to" in told.stdout
    lines = (tmp_path / "said.csv").read_text().splitlines()[1:]
    right = np.mean([data.classes[number] == line for number, line in zip(parts.y_test, lines, strict=True)])
    assert f"{right:.3f}" == reached[1]


def test_what_it_cannot_predict_with_is_one_line(table: Path, tmp_path: Path) -> None:
    run, new = tmp_path / "run", write(tmp_path / "new.csv", ["a"], [[1.0]])
    train(table, run, "kind", "value", "--splits", "2")
    one = str(run / "split-1")
    for arguments, told in (
        ([one, "--data", str(new)], "has no column 'b'; its columns are a"),
        ([one, "--data", str(tmp_path / "none.csv")], "cannot read"),
        ([str(run), "--data", str(new)], "has no checkpoint: name a directory that has, such as one of a run's splits"),
        ([str(tmp_path), "--data", str(new)], "is not a run of `qstore train`"),
        ([one, "--data", str(table), "--output", str(tmp_path / "no" / "x")], "cannot write"),
        ([one, "--data", str(table), "--backend", "mok"], "unknown backend 'mok'; did you mean 'mock'?"),
    ):
        shown = qstore("predict", *arguments, status=2)
        assert told in shown.stderr
        assert len(shown.stderr.splitlines()) == 1
