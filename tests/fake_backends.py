"""Backends in this process for tests: the mock simulator with a note of what it is asked for, and a provider."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qstore_core.backend import BackendCapabilities, JobState, JobStatus, LocalBackend, Pacing, RemoteBackend
from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.cost import Cost
from qstore_core.registry import get_backend


def mock(**options: Any) -> LocalBackend:
    backend = get_backend("mock", **options)
    assert isinstance(backend, LocalBackend)
    return backend


class Watched(LocalBackend):
    """The mock simulator with limits, and a note of everything it is asked for."""

    def __init__(self, **limits: Any) -> None:
        self.inner = mock()
        self.capabilities = replace(self.inner.capabilities, **limits)
        self.fingerprint = self.inner.fingerprint
        self.compiled: list[Any] = []
        self.jobs: list[CircuitBatch] = []

    @property
    def circuits(self) -> int:
        return sum(batch.n_circuits for batch in self.jobs)

    @property
    def shots(self) -> int:
        return sum(batch.n_shots for batch in self.jobs)

    def compile(self, *arguments: Any) -> Any:
        self.compiled.append(arguments)
        return self.inner.compile(*arguments)

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        self._note(batch)
        return await self.inner.execute(batch, compiled)

    async def gradient(self, batch: CircuitBatch, compiled: Any, cotangents: NDArray[np.float64]) -> Any:
        self._note(batch)
        return await self.inner.gradient(batch, compiled, cotangents)

    def _note(self, batch: CircuitBatch) -> None:
        self.jobs.append(batch)


class Yielding(Watched):
    """One that can only execute, and lets other calls in before it does."""

    def __init__(self, **capabilities: Any) -> None:
        super().__init__()
        self.capabilities = BackendCapabilities(max_qubits=8, **capabilities)

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        await asyncio.sleep(0.001)
        return await super().execute(batch, compiled)


class Remote(RemoteBackend):
    """A provider in this process that charges a cent a circuit; while `held`, its jobs run until they are cancelled."""

    pacing = Pacing(first_poll=0.001, longest_poll=0.01, find_grace=0.02, request_patience=5.0, first_retry=0.001)

    def __init__(self, **capabilities: Any) -> None:
        self.simulator = mock()
        self.capabilities = BackendCapabilities(max_qubits=8, **capabilities)
        self.fingerprint = "fake"
        self.jobs: dict[str, tuple[str, tuple[CircuitBatch, ...]]] = {}
        self.cancelled: list[str] = []
        self.held = False
        self.lose_answers = False
        self.ignores_cancel = False
        self.cancel_fault: Exception | None = None
        self.sending = self.most_sending = 0

    @property
    def circuits_paid(self) -> int:
        return sum(self.circuits_per_job)

    @property
    def circuits_per_job(self) -> list[int]:
        return [sum(batch.n_circuits for batch in batches) for _, batches in self.jobs.values()]

    def price(self, compiled: Any, batch: CircuitBatch) -> Cost:
        usd = 0.01 * batch.n_circuits
        return Cost(usd_low=usd, usd_high=usd, circuits=batch.n_circuits, shots=batch.n_shots, jobs=1)

    async def submit(self, batches: Sequence[CircuitBatch], compiled: Sequence[Any], token: str) -> str:
        self.sending += 1
        self.most_sending = max(self.most_sending, self.sending)
        await asyncio.sleep(0.001)
        self.sending -= 1
        job_id = f"job-{len(self.jobs) + 1}"
        self.jobs[job_id] = (token, tuple(batches))
        if self.lose_answers:
            await asyncio.sleep(60)
        return job_id

    async def status(self, job_id: str) -> JobStatus:
        if job_id in self.cancelled and not self.ignores_cancel:
            return JobStatus(JobState.CANCELLED, "by the user")
        return JobStatus(JobState.RUNNING if self.held else JobState.DONE)

    async def fetch(
        self, job_id: str, batches: Sequence[CircuitBatch], compiled: Sequence[Any]
    ) -> tuple[BatchResult, ...]:
        simulator = self.simulator
        return tuple(
            [await simulator.execute(batch, simulator.compile(batch.structure, batch.groups)) for batch in batches]
        )

    async def find(self, token: str) -> str | None:
        return next((job_id for job_id, (found, _) in self.jobs.items() if found == token), None)

    async def cancel(self, job_id: str) -> None:
        if self.cancel_fault is not None:
            fault, self.cancel_fault = self.cancel_fault, None
            raise fault
        self.cancelled.append(job_id)

    async def cost(self, job_id: str) -> Cost | None:
        return Cost() if job_id in self.cancelled else None
