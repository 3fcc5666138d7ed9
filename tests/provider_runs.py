"""Runs at a provider on this machine: in this process or in one that is killed, and what must come of them."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from qstore_core import ArrayLoader, Pacing, QuantumModel, QuantumTrainer, TrainingConfig, TrainingMetrics
from qstore_core.backend import Backend
from qstore_core.checkpoint import load_checkpoint

QUICK = Pacing(first_poll=0.01, longest_poll=0.05, find_grace=0.5)


class Here:
    """A run in this process."""

    def __init__(self, backend: Backend, directory: Path, **settings: Any) -> None:
        self.backend = backend
        self.config = TrainingConfig(
            **{"epochs": 1, "gradient_method": "spsa", "shots_per_circuit": 10, "seed": 3, **settings},
            run_directory=directory,
        )
        generator = np.random.default_rng(5)
        self.y = generator.integers(0, 2, 6)
        self.x = generator.normal(0.0, 0.5, (6, 2))
        self.model = QuantumModel(2, 2, 2, backend)

    def train(self, *, resume: bool = False) -> list[TrainingMetrics]:
        trainer = QuantumTrainer(self.config, progress=False)
        return asyncio.run(trainer.train(self.model, ArrayLoader(self.x, self.y, 6), resume=resume))


def start_program(program: str, *arguments: str | Path | int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def kill(process: subprocess.Popen[bytes]) -> bool:
    """SIGKILL it; False when it had ended before."""
    running = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return running


def is_alive(pid: int) -> bool:
    """Whether there is such a process that is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for_jobs(provider: Any, process: subprocess.Popen[bytes], count: int) -> None:
    while len(provider.ledger()) < count:
        assert process.poll() is None, "the run ended before it sent another job"
        time.sleep(0.005)


def circuits_paid(provider: Any) -> Counter[str]:
    return Counter(digest for entry in provider.ledger() if entry.charged for digest in entry.circuit_digests)


def assert_same_run(one: Path, other: Path) -> None:
    first, second = load_checkpoint(one / "checkpoint.npz"), load_checkpoint(other / "checkpoint.npz")
    np.testing.assert_array_equal(first.parameters, second.parameters)
    np.testing.assert_array_equal(first.loss_parameters, second.loss_parameters)
    assert (first.step, first.epoch) == (second.step, second.epoch)


def interrupt_a_run(provider: Any, directory: Path, environment: dict[str, str], *, backend: str) -> None:
    """Press Ctrl-C while the first job of a run on the command line is waited for; it says how to go on."""
    command = [sys.executable, "-m", "qstore_core", "train", "iris", "--qubits", "4", "--epochs", "2", "--shots", "5"]
    process = subprocess.Popen(
        [*command, "--budget", "usd=1000000", "--backend", backend, "--run-directory", str(directory)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    wait_for_jobs(provider, process, 1)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"go on with `qstore resume" in errors


def qstore(*arguments: str | Path, environment: dict[str, str]) -> str:
    """What the command line shows in a process of its own."""
    command = [sys.executable, "-m", "qstore_core", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def assert_it_announces_itself_and_ends_cleanly(*arguments: str | Path) -> None:
    """A provider's command says one line of JSON, and on SIGTERM nothing more."""
    command = [sys.executable, "-m", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        assert said["url"].startswith("http://127.0.0.1:")
        assert said["pid"] == process.pid
        process.terminate()
        rest, errors = process.communicate(timeout=30)
    assert (process.returncode, rest, errors) == (0, "", "")


def assert_it_ends_with_the_process_that_started_it(module: str, starter: str) -> None:
    """A process that is killed inside `with <starter>():` of `module` leaves no provider behind."""
    script = f"""
import os, signal
from {module} import {starter}
with {starter}() as running:
    print(running.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    end = time.monotonic() + 30
    while is_alive(int(done.stdout)):
        assert time.monotonic() < end
        time.sleep(0.05)
