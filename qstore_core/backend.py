"""What a backend is: the interface that simulators and hardware plugins implement."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from types import TracebackType
from typing import Any, Self

from qstore_core.arrays import FloatArray
from qstore_core.batch import BatchResult, CircuitBatch, Cotangents, estimated_values
from qstore_core.cost import Cost
from qstore_core.errors import CapabilityError, ConfigurationError
from qstore_core.gates import ALIASES, GATES
from qstore_core.keywords import known_fields
from qstore_core.observables import MeasurementGroup
from qstore_core.operations import CircuitStructure


@dataclass(frozen=True, slots=True)
class Prices:
    """Declared constants of a price list in US dollars; what is not so simple overrides `Backend.price`.

    >>> Prices(per_circuit=0.30, per_shot=0.00145).per_job
    0.0
    """

    per_job: float = 0.0
    per_circuit: float = 0.0
    per_shot: float = 0.0


@known_fields
@dataclass(frozen=True, slots=True, kw_only=True)
class BackendCapabilities:
    """What a backend can do, as data: nothing is found out by trying.

    Attributes:
        max_qubits: The widest circuit.
        gates: The gates it takes, by qstore's names or their aliases `cx` and `ccx`; the default is all of them.
        native_gates: The provider's names of what runs in the end, for information.
        connectivity: The pairs of qubits that two-qubit gates may act on, each pair in either order; None: all.
        max_shots: The most shots of one circuit; None: no limit.
        max_circuits_per_job: The most circuits of one call; None: no limit.
        exact: Whether shots=None is possible.
        sampled: Whether shots are possible.
        noisy: Whether results carry more noise than sampling.
        adjoint: Whether `LocalBackend.gradient` is there.
        seedable: Whether sampled results are a function of the draw labels.
        prices: What jobs, circuits and shots cost; None: free, and planned with as if on hardware.
        width_limit: What sets `max_qubits`, for messages, such as the memory.

    >>> BackendCapabilities(max_qubits=8, connectivity=frozenset({(0, 1)})).connects(1, 0)
    True
    """

    max_qubits: int
    gates: frozenset[str] = frozenset(GATES)
    native_gates: tuple[str, ...] = ()
    connectivity: frozenset[tuple[int, int]] | None = None
    max_shots: int | None = None
    max_circuits_per_job: int | None = None
    exact: bool = True
    sampled: bool = True
    noisy: bool = False
    adjoint: bool = False
    seedable: bool = True
    prices: Prices | None = None
    width_limit: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.gates, str):
            raise ConfigurationError(f"gates is a set of gate names, not the text {self.gates!r}")
        object.__setattr__(self, "gates", frozenset(ALIASES.get(name, name) for name in self.gates))

    @property
    def widest(self) -> str:
        """`max_qubits` and what sets it, for messages."""
        return f"{self.max_qubits} ({self.width_limit})" if self.width_limit else str(self.max_qubits)

    def connects(self, first: int, second: int) -> bool:
        """Whether a two-qubit gate may act on these qubits."""
        pairs = self.connectivity
        return pairs is None or (first, second) in pairs or (second, first) in pairs

    def check(self, batch: CircuitBatch, *, backend: str) -> None:
        """Raise `CapabilityError`, naming `backend`, when the batch asks for what this lacks."""
        structure = batch.structure
        if structure.n_qubits > self.max_qubits:
            raise CapabilityError(
                f"the circuit has {structure.n_qubits} qubits and backend {backend!r} at most {self.widest}; use a "
                "smaller n_qubits or another backend"
            )
        if not structure.gate_names <= self.gates:
            missing = structure.gate_names - self.gates
            raise CapabilityError(
                f"backend {backend!r} has no gate {', '.join(sorted(missing))}; "
                f"it takes {', '.join(sorted(self.gates))}"
            )
        if batch.shots is None and not self.exact:
            raise CapabilityError(
                f"backend {backend!r} only samples: set shots_per_circuit to a number instead of None (--shots N)"
            )
        if batch.shots is not None and not self.sampled:
            raise CapabilityError(f"backend {backend!r} has exact values only: set shots_per_circuit=None")
        if batch.shots is not None and self.max_shots is not None and batch.shots > self.max_shots:
            raise CapabilityError(f"{batch.shots} shots a circuit; backend {backend!r} allows at most {self.max_shots}")


class Backend(ABC):
    """What local and remote backends share.

    Attributes:
        capabilities: What it can do.
        fingerprint: Its name and every option, noise parameter and calibration that changes results; part of cache keys
            and without secrets.
    """

    capabilities: BackendCapabilities
    fingerprint: str

    @property
    def name(self) -> str:
        """What messages call it: the fingerprint up to its options."""
        return self.fingerprint.split("(")[0]

    def compile(self, structure: CircuitStructure, groups: tuple[MeasurementGroup, ...]) -> Any:
        """Prepare a structure and its measurement bases once for many rows. Pure: the executor keeps the result."""
        return structure

    def price(self, compiled: Any, batch: CircuitBatch) -> Cost:
        """What running a batch as one job would cost, before it is run; unless overridden, by the declared prices."""
        prices = self.capabilities.prices or Prices()
        usd = prices.per_job + prices.per_circuit * batch.n_circuits + prices.per_shot * batch.n_shots
        return Cost(usd, usd, batch.n_circuits, batch.n_shots, jobs=1)

    async def open(self) -> None:
        """Acquire what the backend needs; called once before it is used in `async with`."""

    async def close(self) -> None:
        """Release what `open` acquired."""

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class LocalBackend(Backend):
    """A backend that runs a batch while you wait: a simulator. `execute` is all that its author must write."""

    @abstractmethod
    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        """Run every row of a batch; `compiled` is what `compile` returned for its structure and groups."""

    async def gradient(self, batch: CircuitBatch, compiled: Any, cotangents: FloatArray) -> FloatArray:
        """Exact derivatives of `sum(cotangents * expectations)` by each row's angles, `(n_rows, n_angles)`.

        Args:
            batch: An exact batch with observables.
            compiled: What `compile` returned.
            cotangents: `(n_rows, n_observables)`.
        """
        raise CapabilityError(f"backend {self.name!r} has no adjoint gradient; use gradient_method='parameter_shift'")

    async def value_and_gradient(self, batch: CircuitBatch, compiled: Any, cotangents: Cotangents) -> BatchResult:
        """The expectation values of each row, and derivatives as `gradient` has them for the cotangents made of these.

        Unless overridden `execute` and then `gradient`; a backend that keeps its states in between saves a simulation.

        Args:
            batch: An exact batch with observables.
            compiled: What `compile` returned.
            cotangents: Gives `(n_rows, n_observables)` from the expectation values of all rows.
        """
        values = estimated_values(batch, await self.execute(batch, compiled))
        gradients = await self.gradient(batch, compiled, cotangents(values))
        return BatchResult(expectations=values, angle_gradients=gradients)


class JobState(Enum):
    """Where a remote job stands.

    >>> JobState("done")
    <JobState.DONE: 'done'>
    """

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class JobStatus:
    """Where a remote job stands, and why where it failed.

    >>> JobStatus(JobState.FAILED, "calibration lost").reason
    'calibration lost'
    """

    state: JobState
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """How patiently a provider is asked.

    Attributes:
        first_poll: Seconds before a job's status is asked for the first time.
        longest_poll: The most seconds between two questions.
        poll_growth: By how much each wait is longer than the last.
        find_grace: Seconds that a job whose answer was lost is looked for before it counts as never accepted; must be
            longer than the provider takes to list what it accepted, or a job could be sent twice.
        request_patience: Seconds for which a request that is safe to repeat is repeated.
        first_retry: Seconds before the first repetition; waits double, with jitter, and follow `Retry-After`.

    >>> Pacing(first_poll=0.1).longest_poll
    15.0
    """

    first_poll: float = 0.5
    longest_poll: float = 15.0
    poll_growth: float = 1.5
    find_grace: float = 30.0
    request_patience: float = 300.0
    first_retry: float = 0.5


class RemoteBackend(Backend):
    """A backend that takes jobs and has their results later; each method may be called in another process.

    Methods say what became of a request by the error they raise: `TransientError` when it was surely not carried out,
    `AmbiguousError` when no answer came, `JobRejectedError` when the provider refuses the job. They do not retry
    themselves: the executor does, where that is safe. Nothing may be bound to an event loop between two calls.

    Attributes:
        pacing: How often to ask and how long to wait for this provider.
        account: What tells this provider and account from others, without secrets: jobs are only looked for, and only
            counted as never accepted, where they were sent.
    """

    account: str = ""

    pacing: Pacing = Pacing()

    @abstractmethod
    async def submit(self, batches: Sequence[CircuitBatch], compiled: Sequence[Any], token: str) -> str:
        """Send one job with every row of the batches; `token` names it at the provider. Returns the provider's id."""

    @abstractmethod
    async def status(self, job_id: str) -> JobStatus:
        """Where a job stands."""

    @abstractmethod
    async def fetch(
        self, job_id: str, batches: Sequence[CircuitBatch], compiled: Sequence[Any]
    ) -> tuple[BatchResult, ...]:
        """The results of a finished job, one for each batch, rows in order."""

    @abstractmethod
    async def find(self, token: str) -> str | None:
        """The id of the job that carries `token`, or None; may lag behind `submit`."""

    @abstractmethod
    async def cancel(self, job_id: str) -> None:
        """Ask the provider to stop a job."""

    def fits(self, batches: Sequence[CircuitBatch], compiled: Sequence[Any]) -> bool:
        """Whether one job can hold these batches, beyond `max_circuits_per_job`; else the executor makes several."""
        return True

    def price_job(self, compiled: Sequence[Any], batches: Sequence[CircuitBatch]) -> Cost:
        """What one job with these batches would cost; unless overridden, as if each batch were a job of its own."""
        return replace(sum(map(self.price, compiled, batches), Cost()), jobs=1)

    async def cost(self, job_id: str) -> Cost | None:
        """What a job really cost, where the provider says: its dollars, and its seconds on the backend."""
        return None
