"""What training took, under Q-Store's names; everything is counted and measured by qstore."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from q_store.changes import changed
from qstore_core import Cost
from qstore_core import PerformanceTracker as CoreTracker
from qstore_core.tracker import StepRecord


@dataclass(frozen=True, slots=True)
class BatchMetrics:
    """One step of training; `time_ms` is its wall time, `epoch` counts from 0."""

    batch_idx: int
    epoch: int
    loss: float
    gradient_norm: float
    n_circuits: int
    time_ms: float


@dataclass(frozen=True, slots=True)
class EpochMetrics:
    """One epoch: what its steps were on average and together."""

    epoch: int
    avg_loss: float
    min_loss: float
    max_loss: float
    total_time_ms: float
    total_circuits: int
    avg_gradient_norm: float


class PerformanceTracker:
    """Counts and times, by the names of Q-Store v3.3.

    A trainer's tracker is filled by its training; a tracker of yours by `log_batch`.

    Args:
        log_dir: Where `log_epoch` writes performance.json; None: nowhere.
        save_interval: Not used: a file is written for each epoch.

    Attributes:
        core: The tracker of qstore that this reads.

    >>> tracker = PerformanceTracker()
    >>> tracker.log_batch(0, 0, loss=0.8, gradient_norm=0.1, n_circuits=20, time_ms=50.0, learning_rate=0.01)
    >>> tracker.get_statistics()["total_circuits"], tracker.get_statistics()["ms_per_circuit"]
    (20, 2.5)
    """

    def __init__(self, log_dir: str | Path | None = None, save_interval: int = 10) -> None:
        self.core = CoreTracker()
        self.log_dir = None if log_dir is None else Path(log_dir)
        self._hit_rate: Callable[[], float | None] = lambda: None

    @classmethod
    def of(cls, core: CoreTracker, hit_rate: Callable[[], float | None]) -> PerformanceTracker:
        """The view on a tracker of qstore, and on the hit rate of the cache beside it."""
        tracker = cls()
        tracker.core, tracker._hit_rate = core, hit_rate
        return tracker

    def log_batch(
        self,
        batch_idx: int,
        epoch: int,
        loss: float,
        gradient_norm: float,
        n_circuits: int,
        time_ms: float,
        learning_rate: float,
        cache_stats: dict[str, Any] | None = None,
        method_used: str | None = None,
    ) -> None:
        """Note a step that your own code made: a job with so many circuits."""
        seconds = time_ms / 1000
        self.core.ran(Cost(circuits=n_circuits, jobs=1), seconds=seconds)
        self.core.stepped(
            StepRecord(len(self.core.steps) + 1, epoch + 1, loss, gradient_norm, seconds, n_circuits, 0, 1, 0.0)
        )
        if cache_stats is not None:
            self._hit_rate = lambda: cache_stats.get("hit_rate")

    def log_epoch(self, epoch: int) -> None:
        """Write performance.json, where there is a place for it; epochs are told apart by their steps."""
        if self.log_dir is not None:
            self.log_dir.mkdir(parents=True, exist_ok=True)
            self.core.save(self.log_dir / "performance.json")

    @property
    def batch_metrics(self) -> list[BatchMetrics]:
        """Every step so far."""
        return [
            BatchMetrics(index, step.epoch - 1, step.loss, step.gradient_norm, step.circuits, 1000 * step.seconds)
            for index, step in enumerate(self.core.steps)
        ]

    @property
    def epoch_metrics(self) -> list[EpochMetrics]:
        """Every epoch of which there are steps."""
        steps = self.batch_metrics
        return [_epoch(number, [step for step in steps if step.epoch == number]) for number in _epochs(steps)]

    @property
    def total_circuits_executed(self) -> int:
        """Circuits run, validation included."""
        return self.core.total.circuits

    @property
    def total_time_ms(self) -> float:
        """The wall time of all steps in milliseconds."""
        return sum(step.time_ms for step in self.batch_metrics)

    def get_statistics(self) -> dict[str, Any]:
        """Totals and rates: those of qstore, and Q-Store's further names for them.

        `total_circuits` counts validation too; `total_runtime_s` is the wall time of the steps, and
        `circuits_per_second` goes by the time spent running circuits; `avg_cache_hit_rate` is that of all look-ups.
        """
        stats = {
            **self.core.get_statistics(),
            "total_epochs": len(self.epoch_metrics),
            "total_time_ms": self.total_time_ms,
        }
        steps = self.batch_metrics
        if steps:
            losses, times = [step.loss for step in steps], [step.time_ms for step in steps]
            circuits = sum(step.n_circuits for step in steps)
            stats |= {
                "min_loss": min(losses),
                "max_loss": max(losses),
                "avg_loss": float(np.mean(losses)),
                "avg_batch_time_ms": float(np.mean(times)),
                "total_batch_time_s": sum(times) / 1000,
                "ms_per_circuit": sum(times) / circuits if circuits else 0.0,
            }
        rate = self._hit_rate()
        return stats if rate is None else {**stats, "avg_cache_hit_rate": rate}

    def estimate_speedup(self, baseline_circuits_per_batch: int = 96) -> dict[str, float]:
        """What the same steps would take with another number of circuits, each a job of its own.

        Where all jobs had as many circuits, the time of a job cannot be told from that of its circuits: it is then put
        down to the circuits, so that `estimated_time_speedup` is the least that it can be.

        Returns:
            `circuit_reduction_factor`, a ratio of counts; `estimated_time_speedup`, a ratio of modelled times;
            `avg_circuits_actual`, `avg_circuits_baseline` and `circuits_saved_per_batch`, negative where more were run.
            Nothing before the first step.
        """
        if not self.core.steps:
            return {}
        changed(
            "PerformanceTracker.estimate_speedup(...)",
            "estimated_time_speedup is modelled from the measured time of each job and circuit, against a baseline of "
            "one circuit a job, one after the other; where all jobs were alike it is a lower bound. Q-Store returned "
            "the ratio of circuit counts as a time",
        )
        actual = float(np.mean([step.circuits for step in self.core.steps]))
        return {
            **self.core.estimate_speedup(baseline_circuits_per_batch),
            "avg_circuits_actual": actual,
            "avg_circuits_baseline": float(baseline_circuits_per_batch),
            "circuits_saved_per_batch": baseline_circuits_per_batch - actual,
        }

    def get_convergence_data(self) -> dict[str, list[float]]:
        """Values for each step and each epoch, by name; times in milliseconds."""
        steps, epochs = self.batch_metrics, self.epoch_metrics
        return {
            **self.core.get_convergence_data(),
            "batch_losses": [step.loss for step in steps],
            "batch_times": [step.time_ms for step in steps],
            "batch_circuits": [float(step.n_circuits) for step in steps],
            "gradient_norms": [step.gradient_norm for step in steps],
            "epoch_avg_losses": [epoch.avg_loss for epoch in epochs],
            "epoch_times": [epoch.total_time_ms for epoch in epochs],
        }

    def identify_bottlenecks(self) -> dict[str, Any]:
        """The slowest steps, the times per circuit, and qstore's `phases`: where the time went, measured."""
        steps = [step for step in self.batch_metrics if step.n_circuits]
        if not steps:
            return {}
        each = [step.time_ms / step.n_circuits for step in steps]
        slowest = sorted(steps, key=lambda step: -step.time_ms)[:5]
        return {
            "slowest_batches": [
                {
                    "batch_idx": step.batch_idx,
                    "time_ms": step.time_ms,
                    "circuits": step.n_circuits,
                    "efficiency_ms_per_circuit": step.time_ms / step.n_circuits,
                }
                for step in slowest
            ],
            "avg_ms_per_circuit": float(np.mean(each)),
            "max_ms_per_circuit": max(each),
            "min_ms_per_circuit": min(each),
            "phases": self.core.identify_bottlenecks(),
        }

    def reset(self) -> None:
        """Count from 0 again."""
        CoreTracker.__init__(self.core)  # in place: a trainer goes on adding to it


def _epochs(steps: list[BatchMetrics]) -> list[int]:
    return list(dict.fromkeys(step.epoch for step in steps))


def _epoch(number: int, steps: list[BatchMetrics]) -> EpochMetrics:
    losses = [step.loss for step in steps]
    return EpochMetrics(
        number,
        float(np.mean(losses)),
        min(losses),
        max(losses),
        sum(step.time_ms for step in steps),
        sum(step.n_circuits for step in steps),
        float(np.mean([step.gradient_norm for step in steps])),
    )
