"""Q-Store's programs run as they are, and the numbers that they print are those that an independent count gives."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from q_store import QStoreCompatWarning

FOLDER = Path(__file__).parents[1]
PROGRAMS = re.findall(r"```python\n(.*?)```", (FOLDER / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
QUICK_START, MONITORING, MIGRATION, TROUBLE, CIRCUITS = PROGRAMS


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """`run(program)`: what it printed, and the seconds that it took."""

    def execute(program: str) -> SimpleNamespace:
        begin = time.perf_counter()
        exec(compile(program, "program", "exec"), {"__name__": "__main__"})
        return SimpleNamespace(output=capsys.readouterr().out, seconds=time.perf_counter() - begin)

    return execute


def number(pattern: str, output: str) -> float:
    return float(re.findall(pattern + r"([\d.e+-]+)", output)[0])


def test_the_quick_start_learns_and_counts_what_ran(run: Any, ran: Any) -> None:
    output = run(QUICK_START).output
    losses = [float(loss) for loss in re.findall(r"loss ([\d.]+)", output)]
    assert len(losses) == 5
    assert losses[-1] < losses[0]
    # two circuits for each of 100 samples in each of 5 epochs, one job a mini-batch
    assert re.findall(r"(\d+) circuits", output) == ["200"] * 5
    assert (ran.circuits, ran.shots, ran.jobs) == (1000, 1_000_000, 50)


def test_monitoring_tells_counts_times_and_rates_that_are_true(run: Any, ran: Any) -> None:
    done = run(MONITORING)
    assert number("circuits: ", done.output) == ran.circuits == 10 * 4 * 2 * 6
    seconds = number("seconds: ", done.output)
    assert 0 < seconds < done.seconds
    assert number("circuits a second: ", done.output) > ran.circuits / seconds  # by the time in the backend alone


def test_the_cache_statistics_are_those_of_what_was_compiled(run: Any, ran: Any) -> None:
    output = run(MONITORING).output
    assert len(ran.compiled) == 1
    assert number("kept: ", output) == len(set(ran.compiled))
    # each of 40 steps looks its structure up once, and the first does not find it
    assert number("hit rate: ", output) == pytest.approx(100 * 39 / 40, abs=0.06)


def test_configurations_of_both_versions_train(run: Any, ran: Any) -> None:
    output = run(MIGRATION).output
    told = {method: int(circuits) for method, circuits in re.findall(r"(\w+): (\d+) circuits", output)}
    assert set(told) == {"adaptive", "spsa"}
    assert told["spsa"] == 2 * 3 * 4 * 2
    assert sum(told.values()) == ran.circuits


def test_the_settings_for_trouble_arrive(run: Any) -> None:
    assert run(TROUBLE).output.split("\n")[:3] == ["spsa 0.2 1000", "adaptive 0.1 1000", "adaptive 0.1 5000"]


def test_circuits_really_run(run: Any, ran: Any) -> None:
    output = run(CIRCUITS).output
    assert "bell: ['00', '11'], 1000 shots" in output
    ((bits, count),) = re.findall(r"\('(\d)', (\d+)\)", output)
    # cos^2(1/2) = 0.770 of 2000 shots, standard deviation 18.8: outside 5 of them once in 1.7 million runs
    assert bits == "0"
    assert abs(int(count) - 1540.3) < 5 * 18.8
    assert (ran.circuits, ran.shots) == (2, 3000)


def test_changed_meanings_are_told_once(run: Any) -> None:
    with pytest.warns(QStoreCompatWarning) as told:
        run(MONITORING + MONITORING)
    names = [str(warning.message).partition(":")[0] for warning in told]
    assert sorted(names) == ["PerformanceTracker.estimate_speedup(...)", "QuantumModel(...)"]


def test_the_long_example_runs_and_its_numbers_agree(tmp_path: Path) -> None:
    example = FOLDER.parents[1] / "examples" / "examples_v3_3.py"
    finished = subprocess.run(
        [sys.executable, str(example)], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert finished.returncode == 0, finished.stderr
    output = finished.stdout
    assert number("circuits in all: ", output) == sum(map(float, re.findall(r", (\d+) circuits, ", output)))
    assert number("fewer circuits by a factor of ", output) == pytest.approx(96 / 20, abs=0.05)
    assert not list(tmp_path.iterdir())


def test_both_names_train_to_the_same_parameters(run: Any) -> None:
    text = (FOLDER.parents[1] / "docs" / "migration.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    output = run(program).output
    assert "the same parameters: True" in output
    assert "after 120 circuits" in output
