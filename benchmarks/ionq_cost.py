"""What training to one loss costs on IonQ's prices: this project's default configuration and Q-Store v3.3's.

Both train the same model on the same data (iris, two classes that overlap, 4 qubits, depth 2) on the emulated
qpu.forte-1, with its noise, its prices and its ledger, until the exact loss over the data, at the parameters of that
moment, is at most the target. What was charged until then is the cost. That is done under each reading of the price
list: the least price is charged once for a job, or for each of its circuits. The loss is measured on a local simulator,
after every epoch, and costs nothing.

Q-Store v3.3: SPSA with c = 0.1, batches of 10, 1000 shots, Adam at 0.01. The default: `TrainingConfig()`.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from statistics import median
from typing import Any

from qstore_ionq.emulator.process import emulator

from qstore_core import (
    ArrayLoader,
    Executor,
    FeatureScaler,
    Pacing,
    QuantumModel,
    QuantumTrainer,
    TrainingConfig,
    __version__,
    get_backend,
)
from qstore_core.checkpoint import load_checkpoint
from qstore_core.datasets import Dataset, load_bundled
from qstore_core.evaluation import evaluate
from qstore_core.randomness import StepKey

TARGET, QUBITS = "qpu.forte-1", 4
READINGS = ("per_job", "per_circuit")
CONFIGURATIONS: Mapping[str, Mapping[str, Any]] = {
    "Q-Store v3.3's defaults": {
        "gradient_method": "spsa",
        "gradient_options": {"c": 0.1},
        "batch_size": 10,
        "shots_per_circuit": 1000,
        "optimizer": "adam",
        "learning_rate": 0.01,
    },
    "TrainingConfig()": {},
}
PACING = Pacing(first_poll=0.01, longest_poll=0.1, first_retry=0.01)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a run took until it reached the target: from the emulator's ledger."""

    reached: bool
    loss: float
    usd: float
    jobs: int
    circuits: int
    shots: int


def train(settings: Mapping[str, Any], reading: str, data: Dataset, *, seed: int, target: float, epochs: int) -> Spent:
    """Train until the exact loss is at most `target`, for `epochs` at most."""
    angles = FeatureScaler.fit(data.x, QUBITS).transform(data.x)
    with tempfile.TemporaryDirectory() as place, emulator(minimum=reading) as running:
        backend = get_backend(
            "ionq.qpu", target=TARGET, remote_host=running.url, api_key="emulator", minimum=reading, pacing=PACING
        )
        run = Path(place) / "run"
        config = TrainingConfig(**settings, seed=seed, run_directory=run)
        model = QuantumModel(QUBITS, QUBITS, 2, backend)
        trainer = QuantumTrainer(config, progress=False)
        loss = float("inf")
        for _ in range(epochs):
            asyncio.run(trainer.train(model, ArrayLoader(angles, data.y, config.batch_size), epochs=1))
            loss = exact_loss(model, run, angles, data.y)
            if loss <= target:
                break
        jobs = running.ledger()
    return Spent(
        reached=loss <= target,
        loss=loss,
        usd=sum(job.charged or 0.0 for job in jobs),
        jobs=len(jobs),
        circuits=sum(job.circuits for job in jobs),
        shots=sum(job.shots for job in jobs),
    )


def exact_loss(model: QuantumModel, run: Path, angles: Any, labels: Any) -> float:
    """The loss without noise or shots, at the parameters and the trained scale of the run so far."""
    scale = load_checkpoint(run / "checkpoint.npz").loss_parameters
    settings, executor = TrainingConfig(shots_per_circuit=None), Executor(get_backend("mock"))
    return asyncio.run(evaluate(model, executor, [(angles, labels)], settings, StepKey(0), scale))["loss"]


def print_row(name: str, reading: str, runs: Sequence[Spent]) -> float:
    """A line of the table; the median cost, or infinity where a run did not reach the target."""
    usd = median(run.usd for run in runs)
    missed = sum(not run.reached for run in runs)
    verdict = "" if not missed else f"   {missed} of {len(runs)} did not reach it: the last loss {runs[-1].loss:.3f}"
    print(f"{reading:13}{name:26}{usd:14,.2f}{median(run.jobs for run in runs):8,.0f}", end="")
    print(
        f"{median(run.circuits for run in runs):11,.0f}{median(run.shots for run in runs):13,.0f}{verdict}", flush=True
    )
    return float("inf") if missed else usd


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loss", type=float, default=0.55, help="the loss to reach (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=60, help="the most epochs (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each, of which the median counts")
    arguments = parser.parse_args()
    data = load_bundled("iris").only(["versicolor", "virginica"])
    print(f"qstore {__version__}, Python {sys.version.split()[0]}; {TARGET}, emulated, {len(data.x)} samples")
    print(f"to a loss of {arguments.loss:g}, median of {arguments.seeds} seeds\n")
    print(f"{'least price':13}{'configuration':26}{'USD':>14}{'jobs':>8}{'circuits':>11}{'shots':>13}")
    for reading in READINGS:
        costs = []
        for name, settings in CONFIGURATIONS.items():
            limits = {"target": arguments.loss, "epochs": arguments.epochs}
            runs = [train(settings, reading, data, seed=seed, **limits) for seed in range(arguments.seeds)]
            costs.append(print_row(name, reading, runs))
        theirs, ours = costs
        ratio = f"{theirs / ours:.2f}x" if isfinite(theirs) and isfinite(ours) else "none: not both reached it"
        print(f"{reading:13}{'v3.3 / default':26}{ratio:>14}\n")


if __name__ == "__main__":
    main()
