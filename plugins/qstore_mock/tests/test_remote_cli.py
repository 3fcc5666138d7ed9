"""`qstore` with the simulated provider: the price before a run, the cap, the test that it keeps money for, the bill."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from qstore_mock.remote.process import RunningProvider, provider

from qstore_core.checkpoint import load_checkpoint
from qstore_core.cli import main

RUN = "iris --qubits 4 --shots 20 --gradient-method spsa --batch-size 40 --epochs 2 --backend mock.remote".split()

ONCE = ["--epochs", "1", "--budget", "usd=50"]


def qstore(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture
def paid(monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningProvider]:
    """A provider at 0.10 USD a circuit: a step of 40 samples is 8 USD, the test of 30 is 3 USD."""
    with provider(queue=0, price_circuit="0.1", price_shot="0") as running:
        monkeypatch.setenv("QSTORE_MOCK_URL", running.url)
        yield running


def records_of_tests(directory: Path) -> list[dict[str, Any]]:
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["kind"] == "test"]


def test_the_price_is_said_before_the_run(paid: RunningProvider, tmp_path: Path) -> None:
    done = qstore("train", *RUN, *ONCE, "--run-directory", str(tmp_path / "run"))
    assert done.exit_code == 0, done.stderr
    first = done.stderr.splitlines()[0]
    assert first == "estimate: 27.00 USD a run, by `qstore estimate`. It fits the budget: 27.00 USD of 50.00 USD."
    assert sum(entry.charged for entry in paid.ledger()) == pytest.approx(27.0)


def test_a_run_that_costs_money_needs_a_cap(paid: RunningProvider, tmp_path: Path) -> None:
    refused = qstore("train", *RUN, "--run-directory", str(tmp_path / "run"))
    assert refused.exit_code == 2
    told = "a run on mock.remote is estimated at 51.00 USD, and nothing limits it: give --budget usd=AMOUNT"
    assert told in refused.stderr
    assert not paid.ledger()
    assert not (tmp_path / "run").exists()


def test_a_run_that_costs_nothing_needs_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with provider(queue=0) as running:
        monkeypatch.setenv("QSTORE_MOCK_URL", running.url)
        done = qstore("train", *RUN, "--run-directory", str(tmp_path / "run"))
    assert (done.exit_code, done.stderr) == (0, "")


def test_a_budget_ends_training_so_that_the_model_can_still_be_tested(paid: RunningProvider, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    stopped = qstore("train", *RUN, "--budget", "usd=20", "--run-directory", str(directory))
    assert stopped.exit_code == 2
    assert "20.00 USD is enough for about 2 of 6 steps" in stopped.stderr
    assert (
        "the budget is 20 USD: 16 spent or reserved, 3 kept for the test, and the next batch needs 8" in stopped.stderr
    )
    assert f"`qstore resume {directory} --budget usd=MORE`" in stopped.stderr
    assert "test accuracy" in stopped.stdout
    assert sum(entry.charged for entry in paid.ledger()) == pytest.approx(19.0)
    (test,) = records_of_tests(directory)
    assert (test["step"], test["samples"], test["circuits"], test["jobs"]) == (2, 30, 30, 1)
    assert test["usd"] == pytest.approx(3.0)

    jobs = len(paid.ledger())
    assert qstore("resume", str(directory)).exit_code == 2  # the cap is the same: nothing is sent, the test is known
    assert len(paid.ledger()) == jobs
    assert records_of_tests(directory) == [test]

    assert qstore("resume", str(directory), "--budget", "usd=100").exit_code == 0
    assert [record["step"] for record in records_of_tests(directory)] == [2, 6]
    assert load_checkpoint(directory / "checkpoint.npz").epoch == 2
    assert sum(entry.charged for entry in paid.ledger()) == pytest.approx(2 * 27.0)


def test_a_budget_that_the_test_alone_would_pass_is_refused_before_anything_is_spent(
    paid: RunningProvider, tmp_path: Path
) -> None:
    refused = qstore("train", *RUN, "--budget", "usd=2", "--run-directory", str(tmp_path / "run"))
    assert refused.exit_code == 2
    assert "the test of the trained model takes 3.00 USD, and the budget is 2.00 USD" in refused.stderr
    assert not paid.ledger()
    assert not (tmp_path / "run").exists()


def test_the_bill_counts_for_a_step_what_a_process_that_died_had_paid_for_it(
    paid: RunningProvider, tmp_path: Path
) -> None:
    directory = tmp_path / "run"
    assert qstore("train", *RUN, *ONCE, "--run-directory", str(directory)).exit_code == 0
    whole = qstore("costs", str(directory)).stdout
    for name in ("checkpoint.npz", "metrics.jsonl"):  # as if it had died before its first checkpoint
        (directory / name).unlink()
    assert qstore("resume", str(directory)).exit_code == 0
    assert sum(entry.charged for entry in paid.ledger()) == pytest.approx(27.0)
    assert qstore("costs", str(directory)).stdout == whole
    steps, rest = (line.split() for line in whole.splitlines()[-3:-1])
    assert (steps[-1], rest[-1]) == ("24.00", "3.00")


def test_jobs_say_what_they_were_for(paid: RunningProvider, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    assert qstore("train", *RUN, *ONCE, "--run-directory", str(directory)).exit_code == 0
    shown = qstore("jobs", str(directory)).stdout
    assert "train step 1" in shown
    assert "validate 0, after step 3" in shown
