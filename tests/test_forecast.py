"""Whether a run fits a budget, and how far it gets: what `qstore estimate --budget` says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from qstore_core.cli import main
from qstore_core.cli.forecast import Forecast
from qstore_core.config import TrainingConfig
from qstore_core.cost import Budget, Cost
from qstore_core.errors import BudgetExceededError
from qstore_core.model import QuantumModel
from qstore_core.trainer import QuantumTrainer

RUN = "iris --qubits 4 --shots 5 --batch-size 60 --gradient-method spsa --epochs 3".split()


def qstore(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def last_line(*arguments: str) -> str:
    shown = qstore("estimate", *RUN, *arguments)
    assert shown.exit_code == 0, shown.stderr
    return shown.stdout.splitlines()[-1]


def test_estimate_says_that_a_run_fits_its_budget() -> None:
    assert last_line("--budget", "circuits=750") == "It fits the budget: 750 circuits of 750 circuits."
    assert last_line("--budget", "usd=1") == "It fits the budget, which limits nothing that it takes."


def test_estimate_says_how_far_a_budget_goes_and_train_stops_there(tmp_path: Path) -> None:
    said = last_line("--budget", "circuits=400", "--budget", "jobs=1000")
    assert said == (
        "It does not fit the budget: 400 circuits is enough for about 3 of 6 steps, 1.5 of 3 epochs, and the test; all "
        "of it takes 750 circuits."
    )
    stopped = qstore("train", *RUN, "--budget", "circuits=400", "--run-directory", str(tmp_path / "run"))
    assert stopped.exit_code == 2
    steps = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in steps if record["kind"] == "step"] == [1, 2, 3]


def test_the_tightest_limit_counts() -> None:
    run = Forecast(Cost(), 10, 2, Cost(circuits=100, jobs=10), Cost(circuits=10, jobs=1))
    assert "6 jobs is enough for about 5 of 10 steps, 1 of 2 epochs" in run.against(Budget(circuits=100, jobs=6))


def test_a_budget_below_the_test_is_said_by_estimate_and_refused_by_train(tmp_path: Path) -> None:
    assert "the test of the trained model takes 30 circuits, and the budget is 29" in last_line(
        "--budget", "circuits=29"
    )
    refused = qstore("train", *RUN, "--budget", "circuits=29", "--run-directory", str(tmp_path / "run"))
    assert refused.exit_code == 2
    assert "raise it, or hold out fewer samples by --test-fraction" in refused.stderr
    assert not (tmp_path / "run").exists()


def test_a_test_is_written_down_once_and_runs_shows_it(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    done = qstore("train", *RUN, "--run-directory", str(directory))
    reached = re.search(r"test accuracy (\S+)", done.stdout)
    assert reached
    assert qstore("resume", str(directory)).exit_code == 0
    records = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    (test,) = [record for record in records if record["kind"] == "test"]
    assert f"{test['accuracy']:.3f}" == reached[1]
    assert (test["step"], test["epoch"], test["samples"], test["circuits"]) == (6, 3, 30, 30)
    rows = [line.split() for line in qstore("costs", str(directory)).stdout.splitlines()[-3:]]
    assert [row[-4] for row in rows] == ["720", "30", "750"]
    header, line = qstore("runs", str(tmp_path)).stdout.splitlines()
    assert dict(zip(header.split(), line.split(), strict=False))["TEST"] == reached[1]


def test_the_test_of_target_values_is_written_down_as_r_squared(tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(size=(30, 2))
    rows = "\n".join(f"{a},{b},{a - 0.5 * b}" for a, b in x.tolist())
    (tmp_path / "data.csv").write_text(f"a,b,y\n{rows}\n")
    command = ["train", "--data", str(tmp_path / "data.csv"), "--target", "y", "--qubits", "2", "--epochs", "1"]
    done = qstore(*command, "--run-directory", str(tmp_path / "run"))
    assert done.exit_code == 0, done.stderr
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert f"test R^2 {records[-1]['r_squared']:.3f}" in done.stdout


def test_a_trainer_keeps_what_it_is_told_to_until_training_has_ended() -> None:
    x, y = np.random.default_rng(1).normal(size=(8, 2)), np.array([0, 1] * 4)
    config = TrainingConfig(
        gradient_method="spsa", epochs=5, batch_size=4, shots_per_circuit=10, seed=1, budget=Budget(circuits=30)
    )
    model, trainer = QuantumModel(2, 2, 2), QuantumTrainer(config, progress=False, keep=Cost(circuits=8))
    with pytest.raises(
        BudgetExceededError, match="16 spent or reserved, 8 kept for the test, and the next batch needs 8"
    ):
        trainer.fit(model, x, y)
    assert trainer.evaluate(model, x, y)["loss"] > 0
    assert trainer.spent.circuits == 24
