"""A provider in this process with scripted faults, and batches to send to it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from fake_backends import Remote

from qstore_core import (
    AmbiguousError,
    BatchResult,
    CircuitBatch,
    Cost,
    JobRejectedError,
    JobState,
    JobStatus,
    Parameter,
    PauliString,
    QuantumCircuit,
    TransientError,
    get_backend,
)
from qstore_core.executor import Executor

CIRCUIT = QuantumCircuit(2).ry(0, Parameter("a")).cnot(0, 1)
OBSERVABLES = (PauliString("Z1"),)


class Provider:
    """What a provider keeps, and the faults it is told to make; a fault is used up when it happens."""

    def __init__(self) -> None:
        self.jobs: dict[str, tuple[str, tuple[CircuitBatch, ...]]] = {}
        self.posts = 0
        self.submit_faults: list[str] = []
        self.read_faults: list[str] = []
        self.ends: list[JobState] = []
        self.find_lag = 0
        self.cancelled: list[str] = []

    @property
    def circuits_paid(self) -> int:
        return sum(batch.n_circuits for _, batches in self.jobs.values() for batch in batches)


class Faulty(Remote):
    """The provider with the faults it is told to make."""

    pacing = replace(Remote.pacing, find_grace=0.05)

    def __init__(self, provider: Provider, **capabilities: Any) -> None:
        super().__init__(**capabilities)
        self.provider = provider

    async def submit(self, batches: Sequence[CircuitBatch], compiled: Sequence[Any], token: str) -> str:
        self.provider.posts += 1
        fault = self.provider.submit_faults.pop(0) if self.provider.submit_faults else ""
        if fault == "busy":
            raise TransientError("too many requests", retry_after=0.002)
        if fault == "rejected":
            raise JobRejectedError("the circuit is too deep")
        if fault == "lost before":
            raise AmbiguousError("the connection was closed")
        job_id = f"job-{len(self.provider.jobs) + 1}"
        self.provider.jobs[job_id] = (token, tuple(batches))
        if fault == "lost after":
            raise AmbiguousError("the connection was closed")
        if fault == "killed after":
            raise KeyboardInterrupt
        return job_id

    def _read(self) -> None:
        fault = self.provider.read_faults.pop(0) if self.provider.read_faults else ""
        if fault == "busy":
            raise TransientError("service unavailable")
        if fault == "lost":
            raise AmbiguousError("time-out")

    async def status(self, job_id: str) -> JobStatus:
        self._read()
        end = self.provider.ends.pop(0) if self.provider.ends else JobState.DONE
        return JobStatus(end, "calibration lost" if end is JobState.FAILED else "")

    async def fetch(
        self, job_id: str, batches: Sequence[CircuitBatch], compiled: Sequence[Any]
    ) -> tuple[BatchResult, ...]:
        self._read()
        return await super().fetch(job_id, batches, compiled)

    async def find(self, token: str) -> str | None:
        if self.provider.find_lag:
            self.provider.find_lag -= 1
            return None
        return next((job_id for job_id, (found, _) in self.provider.jobs.items() if found == token), None)

    async def cancel(self, job_id: str) -> None:
        self.provider.cancelled.append(job_id)

    async def cost(self, job_id: str) -> Cost | None:
        self._read()
        return None


def batch(n_rows: int = 4, shots: int | None = 20, seed: int = 0) -> CircuitBatch:
    angles = CIRCUIT.angles(parameters=np.linspace(0, 1, n_rows)[:, None])
    draws = np.arange(n_rows, dtype=np.uint64) + np.uint64(1000 * seed)
    return CircuitBatch(CIRCUIT.structure, angles, OBSERVABLES, shots, None if shots is None else draws)


def run(executor: Executor, *batches: CircuitBatch) -> tuple[BatchResult, ...]:
    return asyncio.run(executor.run(batches))


def same(one: BatchResult, other: BatchResult) -> bool:
    assert one.counts is not None
    assert other.counts is not None
    return [counts.to_dicts() for counts in one.counts] == [counts.to_dicts() for counts in other.counts]


def as_simulated(result: BatchResult) -> bool:
    """Whether a result is that of the simulator for `batch()`."""
    return same(result, run(Executor(get_backend("mock")), batch())[0])
