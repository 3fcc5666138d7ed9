"""Which rows of circuits go into one job: as many as the backend allows."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qstore_core.backend import Backend, RemoteBackend
from qstore_core.batch import CircuitBatch
from qstore_core.errors import CapabilityError

if TYPE_CHECKING:
    from qstore_core.jobs import Job


@dataclass(frozen=True, slots=True)
class Packer:
    """Divides batches into jobs of one backend.

    Attributes:
        backend: Where they will run.
        one_circuit_per_job: Whether every circuit has a job of its own, for comparison.
    """

    backend: Backend
    one_circuit_per_job: bool = False

    def jobs(
        self, batches: Sequence[CircuitBatch], label: str, compile_: Callable[[CircuitBatch], Any]
    ) -> Iterator[Job]:
        """Jobs that hold as many of the batches as the backend allows.

        Args:
            batches: What is to be run, in this order.
            label: What the journal calls each job.
            compile_: What compiles a batch's structure.

        Raises:
            CapabilityError: A single row is more than one job can hold.
        """
        held: list[tuple[CircuitBatch, Any]] = []
        for batch in batches:
            compiled = compile_(batch)
            for first, last in self.ranges(batch):
                for part in self._that_fit(batch.rows(first, last), compiled):
                    if held and not self._fit([*held, (part, compiled)]):
                        yield _job(label, held)
                        held = []
                    held.append((part, compiled))
        yield _job(label, held)

    def ranges(self, batch: CircuitBatch) -> Iterator[tuple[int, int]]:
        """Ranges of rows that one job may hold, by its number of circuits."""
        limit = self._limit
        per_row = batch.n_circuits // batch.n_rows
        most = self.backend.capabilities.max_circuits_per_job
        if most is not None and per_row > most:
            raise CapabilityError(
                f"the observables need {per_row} measurement bases, one circuit each, and backend "
                f"{self.backend.name!r} takes {most} circuit(s) a job; use observables that share a basis"
            )
        size = batch.n_rows if limit is None else max(1, limit // max(1, per_row))
        for first in range(0, batch.n_rows, size):
            yield first, min(first + size, batch.n_rows)

    @property
    def _limit(self) -> int | None:
        return 1 if self.one_circuit_per_job else self.backend.capabilities.max_circuits_per_job

    def _fit(self, parts: Sequence[tuple[CircuitBatch, Any]]) -> bool:
        """Whether one job can hold these batches."""
        if self._limit is not None and sum(batch.n_circuits for batch, _ in parts) > self._limit:
            return False
        batches, compiled = zip(*parts, strict=True)
        return not isinstance(self.backend, RemoteBackend) or self.backend.fits(batches, compiled)

    def _that_fit(self, batch: CircuitBatch, compiled: Any) -> Iterator[CircuitBatch]:
        """The batch in parts, each as long as the backend lets one job be."""

        def too_long(rows: int) -> bool:
            assert isinstance(self.backend, RemoteBackend)
            return not self.backend.fits((batch.rows(0, rows),), (compiled,))

        size = batch.n_rows
        if too_long(size):
            size = bisect_left(range(1, size), True, key=too_long)
        if not size:
            raise CapabilityError(
                f"a single row of circuits is more than one job of backend {self.backend.name!r} can hold; use a "
                "circuit with fewer gates, or observables that share a basis"
            )
        for first in range(0, batch.n_rows, size):
            yield batch.rows(first, min(first + size, batch.n_rows))


def _job(label: str, parts: Sequence[tuple[CircuitBatch, Any]]) -> Job:
    from qstore_core.jobs import Job  # here, because simulators need neither jobs nor the libraries for them

    batches, compiled = zip(*parts, strict=True)
    return Job(label, batches, compiled)
