"""The benchmarks start; their figures are for people to read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
PEERS = {"peers_speed.py"}  # needs an environment of its own


def run(script: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, FOLDER / script, *arguments], capture_output=True, text=True, check=False, cwd=FOLDER.parent
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("script", sorted(path.name for path in FOLDER.glob("*.py") if path.name not in PEERS))
def test_it_says_what_it_measures(script: str) -> None:
    assert "usage: " in run(script, "--help")


@pytest.mark.slow
def test_the_simulator_is_measured() -> None:
    shown = run("simulator_speed.py", "--quick")
    assert "times NumPy alone" in shown
    assert shown.count("MB, under") == 2
    assert "a step of the trainer takes" in shown
