"""The benchmark of the cost to a target loss, on its easy tasks: what the default configuration has to show."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "cost_to_target.py"


@pytest.mark.slow
def test_the_default_configuration_holds_its_promises_on_easy_tasks(tmp_path: Path) -> None:
    # counts, not times: the same on every machine but for the last bits, which a median over 20 seeds outlives
    made = subprocess.run(
        [sys.executable, SCRIPT, "--quick", "--seeds", "20", "--out", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    _, _, promises = made.stdout.partition("## Promises")
    short = [line for line in promises.splitlines() if line.startswith("FALLS SHORT")]
    assert promises.count("holds ") == 12, promises
    assert not short, promises
    assert (tmp_path / "cost_to_target.png").stat().st_size > 10_000
