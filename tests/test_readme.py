"""The programs in the README run as they are written there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAMS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)


def run(program: str, directory: Path) -> str:
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=directory, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_each_program_runs(program: str, tmp_path: Path) -> None:
    assert run(program, tmp_path)


def test_the_quick_start_learns_and_counts_what_it_ran(tmp_path: Path) -> None:
    output = run(PROGRAMS[0], tmp_path)
    losses = [float(loss) for loss in re.findall(r"loss ([\d.]+)", output)]
    assert len(losses) == 5
    assert losses[-1] < losses[0]
    accuracy = float(re.findall(r"accuracy ([\d.]+)", output)[0])
    assert accuracy >= 0.9
    # 5 epochs of 100 samples at two circuits each, and 100 for the validation
    assert "circuits 1100, jobs 60, cost 0.00 USD" in output


def test_it_holds_the_programs_of_both_old_versions() -> None:
    assert any('gradient_method="spsa"' in program and "BackendManager" in program for program in PROGRAMS)
    assert any("TrainingConfig(learning_rate=0.01, n_qubits=10, circuit_depth=4)" in program for program in PROGRAMS)
