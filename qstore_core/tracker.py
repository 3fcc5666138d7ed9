"""Where the time goes: measured spans, and totals of circuits, shots, jobs and dollars."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from qstore_core.cost import Cost
from qstore_core.errors import ConfigurationError

SPANS = ("plan", "cache", "compile", "submit", "queue", "execute", "fold", "optimise")
"""The phases of a step, in order."""


@dataclass(frozen=True, slots=True)
class StepRecord:
    """What one step of training took."""

    step: int
    epoch: int
    loss: float
    gradient_norm: float
    seconds: float
    circuits: int
    shots: int
    jobs: int
    usd: float


def cost_of_step(record: Mapping[str, Any]) -> Cost:
    """What a step took, of a `StepRecord` as a dict or a line of metrics.jsonl.

    >>> cost_of_step({"usd": 0.5, "circuits": 10, "shots": 1000, "jobs": 1}).usd_high
    0.5
    """
    return Cost(record["usd"], record["usd"], record["circuits"], record["shots"], record["jobs"])


@dataclass(slots=True, eq=False)
class Meter:
    """What was run inside one block."""

    tracker: PerformanceTracker
    total: Cost = field(default_factory=Cost)


class _Span(AbstractContextManager[None]):
    """Adds the time of a block; a class, because a step has many and a generator takes twice the time."""

    __slots__ = ("_begin", "_name", "_spans")

    def __init__(self, spans: dict[str, float], name: str) -> None:
        self._spans, self._name = spans, name

    def __enter__(self) -> None:
        self._begin = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        self._spans[self._name] += time.perf_counter() - self._begin


_meters: ContextVar[tuple[Meter, ...]] = ContextVar("qstore_meters", default=())


class PerformanceTracker:
    """Adds up measured times and counts; everything it says was measured in this process.

    >>> tracker = PerformanceTracker()
    >>> with tracker.span("execute"):
    ...     tracker.ran(Cost(circuits=20, jobs=1), seconds=0.5)
    >>> tracker.get_statistics()["circuits_per_second"]
    40.0
    """

    def __init__(self) -> None:
        self.steps: list[StepRecord] = []
        self.total = Cost()
        self.spans: dict[str, float] = dict.fromkeys(SPANS, 0.0)
        self.circuits_reused = 0
        self.vectors_stored = 0
        self._runs: list[tuple[int, int, float]] = []

    def span(self, name: str) -> AbstractContextManager[None]:
        """Add the time of a block to the phase `name`, one of `SPANS`."""
        return _Span(self.spans, name)

    @contextmanager
    def metered(self) -> Iterator[Meter]:
        """Count what a block runs: the task it is in and those that it starts, not others that run at the same time.

        >>> tracker = PerformanceTracker()
        >>> tracker.ran(Cost(circuits=5), seconds=0.1)
        >>> with tracker.metered() as meter:
        ...     tracker.ran(Cost(circuits=2), seconds=0.1)
        >>> meter.total.circuits, tracker.total.circuits
        (2, 7)
        """
        meter = Meter(self)
        token = _meters.set((*_meters.get(), meter))  # a context variable: every task has its own
        try:
            yield meter
        finally:
            _meters.reset(token)

    def ran(self, cost: Cost, *, seconds: float) -> None:
        """Note that circuits were run: what they cost and the wall time they took."""
        self.total += cost
        for meter in _meters.get():
            if meter.tracker is self:
                meter.total += cost
        self._runs.append((cost.jobs, cost.circuits, seconds))

    def reused(self, circuits: int) -> None:
        """Note that the results of so many circuits were already known, so that they were not run."""
        self.circuits_reused += circuits

    def stepped(self, record: StepRecord) -> None:
        """Note a finished step of training."""
        self.steps.append(record)

    def get_statistics(self) -> dict[str, Any]:
        """Totals and rates. Times in seconds, money in US dollars on the dearer reading.

        `total_circuits`, `total_shots`, `total_jobs` and `total_cost_usd` count validation too, and
        `total_circuits_reused` what did not have to be run. `total_batches`, `avg_circuits_per_batch` and `final_loss`,
        the loss of the last mini-batch, are of training steps. `circuits_per_second` is by the time spent running them.
        """
        executed = sum(seconds for _, _, seconds in self._runs)
        circuits = [record.circuits for record in self.steps]
        return {
            "total_circuits": self.total.circuits,
            "total_shots": self.total.shots,
            "total_jobs": self.total.jobs,
            "total_cost_usd": self.total.usd_high,
            "total_circuits_reused": self.circuits_reused,
            "total_batches": len(self.steps),
            "total_runtime_s": sum(record.seconds for record in self.steps),
            "circuits_per_second": self.total.circuits / executed if executed else 0.0,
            "avg_circuits_per_batch": float(np.mean(circuits)) if circuits else 0.0,
            "final_loss": self.steps[-1].loss if self.steps else None,
        }

    def get_convergence_data(self) -> dict[str, list[float]]:
        """Loss, gradient norm and circuits so far, a value for each step."""
        return {
            "step": [record.step for record in self.steps],
            "loss": [record.loss for record in self.steps],
            "gradient_norm": [record.gradient_norm for record in self.steps],
            "total_circuits": np.cumsum([record.circuits for record in self.steps]).tolist(),
        }

    def identify_bottlenecks(self) -> list[dict[str, Any]]:
        """The phases by measured time, the dearest first: name, seconds and share of all spans."""
        total = sum(self.spans.values())
        ordered = sorted(self.spans.items(), key=lambda item: -item[1])
        return [
            {"phase": name, "seconds": seconds, "share": seconds / total} for name, seconds in ordered if seconds > 0
        ]

    def estimate_speedup(self, baseline_circuits_per_batch: int = 96) -> dict[str, float]:
        """What the same steps would take with another number of circuits, each a job of its own, one after the other.

        Modelled from this run: the times per job and per circuit are a least-squares fit, not below 0, to the measured
        time of every call; a local simulator's job is one call.

        Returns:
            `circuit_reduction_factor`, a ratio of counts; `estimated_time_speedup`, a ratio of times; and the two
            fitted times `seconds_per_job` and `seconds_per_circuit`.
        """
        if baseline_circuits_per_batch < 1:
            raise ConfigurationError(f"baseline_circuits_per_batch is at least 1, not {baseline_circuits_per_batch}")
        if not self.steps:
            raise ConfigurationError("estimate_speedup needs a run to go by: train first")
        per_job, per_circuit = _fit(np.array(self._runs, dtype=np.float64))
        circuits = float(np.mean([record.circuits for record in self.steps]))
        jobs = float(np.mean([record.jobs for record in self.steps]))
        ours = jobs * per_job + circuits * per_circuit
        return {
            "circuit_reduction_factor": baseline_circuits_per_batch / circuits,
            "estimated_time_speedup": baseline_circuits_per_batch * (per_job + per_circuit) / ours,
            "seconds_per_job": per_job,
            "seconds_per_circuit": per_circuit,
        }

    def save(self, path: Path, extra: Mapping[str, Any] | None = None) -> None:
        """Write the statistics, bottlenecks and convergence data as JSON."""
        document = {
            "statistics": self.get_statistics(),
            "bottlenecks": self.identify_bottlenecks(),
            "convergence": self.get_convergence_data(),
            **(extra or {}),
        }
        path.write_text(json.dumps(document, indent=1), encoding="utf-8")


def _fit(runs: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> tuple[float, float]:
    """Times per job and per circuit, each at least 0, that explain the measured seconds best."""
    jobs, circuits, seconds = runs.T
    solution, _, rank, _ = np.linalg.lstsq(np.stack([jobs, circuits], axis=1), seconds)
    if rank == 2 and (solution >= 0).all():
        return float(solution[0]), float(solution[1])
    alone = [float(column @ seconds / (column @ column)) for column in (jobs, circuits)]
    misfit = [
        float(np.sum((seconds - time * column) ** 2)) for time, column in zip(alone, (jobs, circuits), strict=True)
    ]
    # calls of one size cannot tell a job's time from its circuits': then the time is put down to the circuits, which
    # is the cautious reading for a comparison with a baseline of one circuit a job
    return (alone[0], 0.0) if misfit[0] < 0.99 * misfit[1] else (0.0, alone[1])
