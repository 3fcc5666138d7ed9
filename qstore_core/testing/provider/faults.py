"""What goes wrong between a client and a provider, at rates and moments that are chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from qstore_core.errors import ConfigurationError, UnknownNameError
from qstore_core.randomness import combine, uniforms

SUBMIT = "submit"
REQUESTS = (SUBMIT, "status", "results", "find", "cancel", "cost")
"""The kinds of requests that faults strike, unless a provider has others."""


class Fault(Enum):
    """One kind of fault, by its name on the command line.

    >>> Fault("drop-after-accept").strikes("status")
    False
    """

    DROP = "drop"
    """The connection is closed without an answer; a job is not accepted."""
    SILENCE = "silence"
    """No answer for longer than clients wait; a job is not accepted."""
    RATE_LIMIT = "rate-limit"
    """429 with Retry-After; a job is not accepted."""
    UNAVAILABLE = "unavailable"
    """503 with Retry-After; a job is not accepted."""
    SERVER_ERROR = "server-error"
    """500; a job is not accepted, but no client can know that."""
    GATEWAY_TIMEOUT = "gateway-timeout"
    """504; a job is not accepted, but no client can know that."""
    DROP_AFTER_ACCEPT = "drop-after-accept"
    """The job is accepted and paid for, and the connection closed without an answer."""
    SILENCE_AFTER_ACCEPT = "silence-after-accept"
    """The job is accepted and paid for, and no answer comes."""
    ERROR_AFTER_ACCEPT = "error-after-accept"
    """The job is accepted and paid for, and the answer is 500."""
    TIMEOUT_AFTER_ACCEPT = "timeout-after-accept"
    """The job is accepted and paid for, and a gateway answers 504."""
    JOB_FAILS = "job-fails"
    """The job ends without results and is not charged."""
    JOB_CANCELLED = "job-cancelled"
    """The provider cancels the job before it starts; it is not charged."""
    LATE_RESULTS = "late-results"
    """The job is done, and its results are not there for a while."""

    def strikes(self, request: str) -> bool:
        """Whether it can happen to this kind of request."""
        return request == SUBMIT or self in BEFORE_ACCEPT


BEFORE_ACCEPT = frozenset(
    {Fault.DROP, Fault.SILENCE, Fault.RATE_LIMIT, Fault.UNAVAILABLE, Fault.SERVER_ERROR, Fault.GATEWAY_TIMEOUT}
)
"""Those that keep a request from being carried out; they strike requests of every kind."""
AFTER_ACCEPT = frozenset(
    {Fault.DROP_AFTER_ACCEPT, Fault.SILENCE_AFTER_ACCEPT, Fault.ERROR_AFTER_ACCEPT, Fault.TIMEOUT_AFTER_ACCEPT}
)
"""Those that take away the answer of a request that was carried out."""
LOST = frozenset({Fault.DROP, Fault.SILENCE, Fault.DROP_AFTER_ACCEPT, Fault.SILENCE_AFTER_ACCEPT})
"""Those without any answer."""
SILENT = frozenset({Fault.SILENCE, Fault.SILENCE_AFTER_ACCEPT})
"""Those of them that keep the connection open."""
ANSWERS: Mapping[Fault, tuple[int, str]] = {
    Fault.RATE_LIMIT: (429, "too many requests"),
    Fault.UNAVAILABLE: (503, "the service is busy"),
    Fault.SERVER_ERROR: (500, "something broke"),
    Fault.ERROR_AFTER_ACCEPT: (500, "something broke"),
    Fault.GATEWAY_TIMEOUT: (504, "the gateway got no answer in time"),
    Fault.TIMEOUT_AFTER_ACCEPT: (504, "the gateway got no answer in time"),
}
"""The status and the reason of the others."""

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class FaultOptions:
    """Which faults happen, and when.

    Attributes:
        overall: The probability that a request meets any fault, shared evenly among those that can strike it.
        rates: The probability of single faults, in place of their share.
        seed: What the draws are made from, with the count of requests.
        forced: The fault of the n-th request of a kind, counted from 1: `{("submit", 3): Fault.DROP_AFTER_ACCEPT}`.
        requests: The kinds of requests that there are.
    """

    overall: float = 0.0
    rates: Mapping[Fault, float] = field(default_factory=dict)
    seed: int = 0
    forced: Mapping[tuple[str, int], Fault] = field(default_factory=dict)
    requests: tuple[str, ...] = REQUESTS

    def __post_init__(self) -> None:
        for request in self.requests:
            total = sum(self.chances(request).values())
            if not 0 <= total <= 1 + _ROUNDING or any(rate < 0 for rate in self.rates.values()):
                raise ConfigurationError(f"fault rates are at least 0 and at most 1 together, not {total:g}")
        for (request, number), fault in self.forced.items():
            if request not in self.requests:
                raise UnknownNameError.of("kind of request", request, self.requests)
            if number < 1 or not fault.strikes(request):
                raise ConfigurationError(f"{fault.value} cannot strike {request} number {number}")

    def chances(self, request: str) -> dict[Fault, float]:
        """The probability of each fault that can strike a request of this kind."""
        possible = [fault for fault in Fault if fault.strikes(request)]
        return {fault: self.rates.get(fault, self.overall / len(possible)) for fault in possible}


@dataclass(frozen=True, slots=True)
class Encounter:
    """The n-th request of its kind, counted from 1, and the fault that it meets."""

    number: int = 0
    fault: Fault | None = None


class FaultPlan:
    """Says which fault each request meets, and counts both.

    >>> plan = FaultPlan(FaultOptions(forced={("submit", 2): Fault.DROP}))
    >>> plan.next("submit").fault, plan.next("submit").fault
    (None, <Fault.DROP: 'drop'>)
    """

    def __init__(self, options: FaultOptions) -> None:
        self.requests: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self._options = options

    def next(self, request: str) -> Encounter:
        """Count a request and say what happens to it."""
        count = self.requests.total()
        self.requests[request] += 1
        fault = self._options.forced.get((request, self.requests[request])) or self._drawn(request, count)
        if fault is not None:
            self.faults[fault.value] += 1
        return Encounter(self.requests[request], fault)

    def _drawn(self, request: str, count: int) -> Fault | None:
        number = float(uniforms(combine(np.uint64(self._options.seed), [count]), 1)[0, 0])
        for fault, chance in self._options.chances(request).items():
            if number < chance:
                return fault
            number -= chance
        return None
