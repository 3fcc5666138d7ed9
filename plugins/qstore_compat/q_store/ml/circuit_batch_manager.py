"""Lists of circuits in as few jobs as the backend allows, by Q-Store's names."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from q_store.backends.bridge import core_backend
from q_store.backends.circuits import QuantumCircuit, as_core
from q_store.backends.interface import ExecutionResult
from q_store.changes import changed
from q_store.randomness import program_seed
from qstore_core import CircuitBatchManager as CoreManager
from qstore_core.errors import UnknownNameError

_POLLING, _LARGEST = 0.5, 100


class CircuitBatchManager:
    """Runs lists of circuits.

    Args:
        backend: Where, of either kind.
        max_batch_size: Not used: the backend's own limits decide how many jobs there are.
        polling_interval: Not used: how often a provider is asked is the backend's `pacing`.
        timeout: Seconds to wait for a list; then `TimeoutError`, and its jobs run on.

    Attributes:
        core: The manager of qstore.

    >>> from q_store.backends import MockQuantumBackend, create_bell_state_circuit, create_ghz_state_circuit
    >>> manager = CircuitBatchManager(MockQuantumBackend())
    >>> circuits = [create_bell_state_circuit(), create_ghz_state_circuit(3)]
    >>> results = asyncio.run(manager.execute_batch(circuits, shots=200))
    >>> [result.total_shots for result in results], sorted(results[1].counts)
    ([200, 200], ['000', '111'])
    """

    def __init__(
        self,
        backend: object,
        max_batch_size: int = _LARGEST,
        polling_interval: float = _POLLING,
        timeout: float = 300.0,
    ) -> None:
        if (max_batch_size, polling_interval) != (_LARGEST, _POLLING):
            changed(
                "CircuitBatchManager(max_batch_size=..., polling_interval=...)",
                "are not used: jobs are as few as the backend's limits allow, and it is asked as its pacing says",
            )
        self._begin(CoreManager(core_backend(backend), seed=program_seed()), timeout)

    @classmethod
    def of(cls, core: CoreManager, timeout: float = 300.0) -> CircuitBatchManager:
        """The view on a manager of qstore."""
        manager = cls.__new__(cls)
        manager._begin(core, timeout)
        return manager

    def _begin(self, core: CoreManager, timeout: float) -> None:
        self.core = core
        self.timeout = timeout
        self.total_circuits_submitted = 0
        self.total_circuits_completed = 0
        self.total_wait_time_ms = 0.0
        self._read: dict[str, list[tuple[int, ...]]] = {}

    async def execute_batch(
        self, circuits: Sequence[QuantumCircuit], shots: int | None = 1000, wait_for_results: bool = True
    ) -> Any:
        """The results of circuits, in their order.

        Args:
            circuits: Widths and gates may differ.
            shots: How often each is run.
            wait_for_results: False: return an id for each circuit at once; `get_results` waits for them.

        Raises:
            TimeoutError: They took longer than `timeout`; their jobs run on.
        """
        if not circuits:
            return []
        made = [as_core(circuit) for circuit in circuits]
        ticket = await self.core.submit([core for core, _ in made], shots)
        self._read[ticket] = [measured for _, measured in made]
        self.total_circuits_submitted += len(made)
        if not wait_for_results:
            return [f"{ticket}/{position}" for position in range(len(made))]
        return await self._results(ticket)

    async def get_results(self, job_ids: Sequence[str]) -> list[ExecutionResult]:
        """Wait for what `execute_batch(..., wait_for_results=False)` started; each list is handed over once."""
        tickets = list(dict.fromkeys(job_id.partition("/")[0] for job_id in job_ids))
        found: dict[str, ExecutionResult] = {}
        for ticket in tickets:
            for position, result in enumerate(await self._results(ticket)):
                found[f"{ticket}/{position}"] = result
        return [found[job_id] for job_id in job_ids]

    def get_statistics(self) -> dict[str, Any]:
        """Circuits given and done, and the time that was waited for them, in milliseconds."""
        done = self.total_circuits_completed
        return {
            "total_circuits_submitted": self.total_circuits_submitted,
            "total_circuits_completed": done,
            "total_wait_time_ms": self.total_wait_time_ms,
            "avg_wait_time_ms": self.total_wait_time_ms / done if done else 0.0,
            "active_jobs": len(self.core.pending()),
            "success_rate": done / self.total_circuits_submitted if self.total_circuits_submitted else 0.0,
            **self.core.get_stats(),
        }

    def clear_completed_jobs(self, older_than_seconds: float = 300) -> None:
        """Nothing to do: results are handed over once, and nothing else is kept."""

    async def _results(self, ticket: str) -> list[ExecutionResult]:
        if ticket not in self._read:
            raise UnknownNameError.of("list of circuits", ticket, self._read)
        begin = time.perf_counter()
        try:
            results = await asyncio.wait_for(self.core.result(ticket), self.timeout)
        except TimeoutError:
            raise TimeoutError(f"{ticket} had no results after {self.timeout:g} s; its jobs run on") from None
        measured = self._read.pop(ticket)
        self.total_wait_time_ms += 1000 * (time.perf_counter() - begin)
        self.total_circuits_completed += len(results)
        return [ExecutionResult.of(result, qubits) for result, qubits in zip(results, measured, strict=True)]
