"""Training with the noise of a device: slow, as every circuit is a density matrix of 8 qubits."""

from __future__ import annotations

import re
from pathlib import Path
from statistics import median

import pytest
from click.testing import CliRunner

from qstore_core.cli import main


@pytest.mark.slow
def test_training_on_a_noisy_device_reaches_the_accuracy_of_the_demo(tmp_path: Path) -> None:
    """The demo's data and splits, 6 epochs of exact density matrices on 8 qubits of a made-up device."""
    command = "train breast_cancer --qubits 8 --splits 5 --epochs 6 --lr 0.1 --gradient-method spsa --no-progress"
    device = "--backend aer.noisy --option target=line-8 --option threads=1 --entanglement hardware_aware"
    result = CliRunner().invoke(main, [*command.split(), *device.split(), "--run-directory", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    accuracies = [float(text) for text in re.findall(r"split \d: test accuracy ([\d.]+)", result.output)]
    assert len(accuracies) == 5
    assert median(accuracies) >= 0.88
