"""What `qstore train` prints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import click

from qstore_core.cost import Cost
from qstore_core.datasets import Dataset
from qstore_core.model import QuantumModel


class TrainingReport:
    """A line for each split as it ends, then medians and totals."""

    def __init__(self, data: Dataset, model: QuantumModel, backend: str, directory: Path) -> None:
        self._data = data
        self._model = model
        self._backend = backend
        self._directory = directory
        self._measure = "accuracy" if data.classes else "R^2"
        self._reference = "logistic regression" if data.classes else "linear regression"
        self._results: list[float] = []
        self._baselines: list[float] = []
        self._seconds = 0.0
        self._section_cost = Cost()
        self._total = Cost()

    def header(self) -> None:
        """The data and the circuit."""
        data, model, columns = self._data, self._model, self._data.x.shape[1]
        qubits = model.n_qubits
        features = f"{columns} columns" + (f" reduced to {qubits} features by PCA" if columns > qubits else "")
        kind = f"{len(data.classes)} classes" if data.classes else "target values"
        click.echo(f"{data.name}: {len(data.x)} samples, {features}, {kind}")
        click.echo(f"{qubits} qubits, depth {model.depth}, {model.n_parameters} parameters, backend {self._backend}")

    def section(self, shots: int | None) -> None:
        """Begin the splits of one number of shots."""
        self._results, self._baselines, self._seconds, self._section_cost = [], [], 0.0, Cost()
        click.echo(f"\n{'exact expectation values' if shots is None else f'{shots} shots a circuit'}")

    def warm_start(self, record: Mapping[str, Any] | None) -> None:
        """Where a run began, as its metrics say."""
        if record is None:
            told = "none"
        elif record.get("run"):
            told = f"from {record['run']}, whose task has cosine {record['similarity']:.3f} with this one"
        elif "reason" in record:
            told = f"none, because {record['reason']}"
        else:
            before, after = record["loss_before"], record["loss_after"]
            told = f"{record['epochs']} epochs on the simulator brought the loss from {before:.3f} to {after:.3f}"
        click.echo(f"  warm start: {told}")

    def split(self, reached: float, seconds: float, baseline: float | None, cost: Cost) -> None:
        """One split: what the model reached on test data, in how many seconds of training."""
        self._results.append(reached)
        self._seconds += seconds
        self._section_cost += cost
        line = f"  split {len(self._results)}: test {self._measure} {self._results[-1]:.3f}"
        if baseline is not None:
            self._baselines.append(baseline)
            line += f"   {self._reference} {baseline:.3f}"
        click.echo(f"{line}   {seconds:.1f} s of training")

    def summary(self) -> None:
        """The median over the splits, and what they took."""
        line = f"  median : test {self._measure} {median(self._results):.3f}"
        if self._baselines:
            line += f"   {self._reference} {median(self._baselines):.3f}"
        if len(self._results) > 1:
            click.echo(line)
            click.echo(f"  {self._seconds:.1f} s of training in all")
        click.echo(f"  {_words(self._section_cost)}")
        self._total += self._section_cost

    def footer(self) -> None:
        """Where the run lies, and the totals."""
        click.echo(f"\nrun directory: {self._directory}\n{_words(self._total)}")


def _words(cost: Cost) -> str:
    dollars = f"{cost.usd_high:.2f} USD"
    if f"{cost.usd_low:.2f}" != f"{cost.usd_high:.2f}":
        dollars = f"{cost.usd_low:.2f} to {dollars}"
    return f"circuits: {cost.circuits:,}   shots: {cost.shots:,}   jobs: {cost.jobs:,}   cost: {dollars}"
