"""What a training step takes on hardware with a queue: one circuit a job, one job, and SPSA.

The provider is the simulated one, a process of its own that is asked over HTTP. A request takes 0.5 s, a job waits 2 s,
and its circuits run one after the other, 0.25 s each. All of that is multiplied by a time scale so that the table is
done in minutes; the wall time that was measured, divided by the scale, is what it shows. The programs' own work is not
scaled: it is measured too, on a provider that never waits, and taken off in a second reading.

A batch is one step of training: 10 samples, 8 qubits, depth 2, 100 shots. The first row is the claim of Q-Store v3.3
turned round: the RX+RY+RZ layer, parameter shift, every circuit a job, one after the other.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from qstore_mock.remote.process import provider

from qstore_core import ArrayLoader, QuantumModel, QuantumTrainer, TrainingConfig, __version__, get_backend

QUBITS, DEPTH, SAMPLES, SHOTS = 8, 2, 10, 100
WAITS = {"latency": 0.5, "queue": 2.0, "circuit_seconds": 0.25}
PRICES = {"price_circuit": 0.30, "price_shot": 0.00145}
AT_LEAST = {"b": 5.0, "c": 48.0}
EXPLAINED = """
s/batch: wall time divided by the time scale. own work s: wall time, not divided, of the same batch where nothing waits.
without s: s/batch less the own work, divided likewise; of (a) that leaves some in, because a job that is not done at
once is asked for again, about twice. The bounds are held to the worse of the two ratios.
One job saves requests and queues, never circuits: the 970 of (b) alone are 242.5 s. By the waits alone (a) is 970 times
4.25 s and the ratio of (b) about 17; what is measured above that is work of the programs left in (a). All ratios are of
time for a batch, not to an accuracy: the gradient of (c) is noisier.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A way to make a step: the model, the method, and how its circuits travel."""

    key: str
    name: str
    hardware_efficient: bool
    method: str
    batched: bool
    concurrent: int
    repeats: int = 1

    def config(self, directory: Path) -> TrainingConfig:
        """Settings for one step."""
        return TrainingConfig(
            gradient_method=self.method,
            enable_batch_execution=self.batched,
            max_concurrent_circuits=self.concurrent,
            shots_per_circuit=SHOTS,
            run_directory=directory,
            epochs=1,
            seed=7,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one step took: counts and dollars from the provider's ledger, wall time of the step."""

    circuits: int
    jobs: int
    requests: int
    usd: float
    wall: float


ROWS = (
    Row(
        key="a",
        name="RX+RY+RZ, parameter shift, one circuit a job",
        hardware_efficient=False,
        method="parameter_shift",
        batched=False,
        concurrent=1,
    ),
    Row(
        key="b",
        name="RX+RY+RZ, parameter shift, one job",
        hardware_efficient=False,
        method="parameter_shift",
        batched=True,
        concurrent=1,
    ),
    Row(
        key="c",
        name="RY+RZ, SPSA, one job",
        hardware_efficient=True,
        method="spsa",
        batched=True,
        concurrent=1,
        repeats=9,
    ),
)


def step(row: Row, samples: int, **options: Any) -> Measured:
    """One step of training on a fresh provider, measured."""
    generator = np.random.default_rng(1)
    labels = np.arange(samples) % 2
    inputs = generator.normal(0.0, 0.5, (samples, QUBITS))
    with tempfile.TemporaryDirectory() as place, provider(**options) as running:
        backend = get_backend("mock.remote", url=running.url)
        model = QuantumModel(QUBITS, QUBITS, 2, backend, DEPTH, hardware_efficient=row.hardware_efficient, seed=7)
        trainer = QuantumTrainer(row.config(Path(place) / "run"), progress=False)
        asyncio.run(trainer.train(model, ArrayLoader(inputs, labels, samples, shuffle=False)))
        (record,) = trainer.performance_tracker.steps
        jobs = running.ledger()
        return Measured(
            circuits=sum(job.circuits for job in jobs),
            jobs=len(jobs),
            requests=sum(running.requests()["requests"].values()),
            usd=sum(job.charged or 0.0 for job in jobs),
            wall=record.seconds,
        )


def repeated(row: Row, samples: int, **options: Any) -> Measured:
    """The repeat of `step` with the median time."""
    measured = sorted((step(row, samples, **options) for _ in range(row.repeats)), key=lambda each: each.wall)
    return measured[len(measured) // 2]


def print_table(scale: float, samples: int) -> list[tuple[str, float]]:
    """A line for each row; the ratios to row (a), the worse of the two readings."""
    print(f"{'':49}{'circuits':>9}{'jobs':>6}{'requests':>10}{'s/batch':>10}{'USD/batch':>11}{'ratio':>9}", end="")
    print(f"{'own work s':>12}{'without s':>11}{'ratio':>9}")
    found, first = [], (0.0, 0.0)
    for row in ROWS:
        part = 1 if row.batched else SAMPLES // samples
        waited = repeated(row, SAMPLES // part, time_scale=scale, **WAITS, **PRICES)
        # what is left where nothing waits is work: the client's, the provider's, and the disk's under the journal
        work = repeated(row, SAMPLES, time_scale=scale, **PRICES)
        readings = part * waited.wall / scale, (part * waited.wall - work.wall) / scale
        first = first if any(first) else readings
        ratios = first[0] / readings[0], first[1] / readings[1]
        print(f"({row.key}) {row.name:45}{work.circuits:9,}{work.jobs:6,}{part * waited.requests:10,}", end="")
        print(f"{readings[0]:10.1f}{work.usd:11.2f}{ratios[0]:8.1f}x", end="")
        print(f"{work.wall:12.2f}{readings[1]:11.1f}{ratios[1]:8.1f}x", flush=True)
        found.append((row.key, min(ratios)))
    return found


def print_conditions(scale: float, samples: int) -> None:
    print(f"qstore {__version__}, Python {sys.version.split()[0]}, numpy {np.__version__}; time scale {scale:g}")
    print(f"{WAITS['latency']} s a request, {WAITS['queue']:g} s queue a job, {WAITS['circuit_seconds']} s a circuit")
    print(f"{PRICES['price_circuit']:.2f} USD a circuit and {PRICES['price_shot']} USD a shot")
    print(f"{QUBITS} qubits, depth {DEPTH}, {SAMPLES} samples a batch, {SHOTS} shots")
    if samples < SAMPLES:
        part = SAMPLES // samples
        print(
            f"Row (a) waited for {samples} of its {SAMPLES} samples: that time and those requests are times {part}. Its"
        )
        print("circuits, jobs, dollars and own work are of the whole batch, and all of (b) and (c) is.")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--time-scale", type=float, default=0.1, help="what the provider's waits are multiplied by")
    parser.add_argument("--samples", type=int, choices=(1, 2, 5, 10), default=1, help="of the 10 of row (a), those run")
    arguments = parser.parse_args()
    print_conditions(arguments.time_scale, arguments.samples)
    found = print_table(arguments.time_scale, arguments.samples)
    print(EXPLAINED)
    for key, ratio in found:
        if key in AT_LEAST:
            verdict = "holds" if ratio >= AT_LEAST[key] else "DOES NOT HOLD"
            print(f"({key}) takes at least {AT_LEAST[key]:g} times less than (a): {ratio:.1f} times, {verdict}")


if __name__ == "__main__":
    main()
