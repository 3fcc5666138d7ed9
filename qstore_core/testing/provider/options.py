"""What every simulated provider can be told."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Self

from qstore_core.testing.provider.faults import FaultOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long things take, in seconds.

    Attributes:
        latency: Each request.
        queue: Each job before it starts.
        per_circuit: Each circuit.
        late: How late results are when they are late.
    """

    latency: float = 0.0
    queue: float = 0.0
    per_circuit: float = 0.0
    late: float = 1.0

    def scaled(self, factor: float) -> Self:
        """All of them times `factor`.

        >>> Timing(queue=60.0).scaled(0.1).queue
        6.0
        """
        return replace(self, **{each.name: getattr(self, each.name) * factor for each in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Where a provider stops after it has accepted a job, so that a test can kill the client at that moment.

    Attributes:
        path: The file that is made, with the client's name of the job in it; the answer is sent when it is gone.
        at: Only at the n-th submit, counted from 1; None: at every one.
        timeout: Seconds after which the answer is sent anyway.
    """

    path: Path
    at: int | None = None
    timeout: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceOptions:
    """How a provider behaves, whatever it provides.

    Attributes:
        ledger: Its SQLite file, made where there is none.
        host: Where it listens.
        port: The port; 0 for one that is free.
        key: What requests must carry; None: nothing, or anything.
        faults: What goes wrong.
        silence: Seconds until a connection that gets no answer is closed.
        retry_after: Seconds that Retry-After asks for; decimals are allowed here, HTTP has whole seconds.
        pause: Where to stop after a job is accepted.
    """

    ledger: Path
    host: str = "127.0.0.1"
    port: int = 0
    key: str | None = field(default=None, repr=False)
    faults: FaultOptions = field(default_factory=FaultOptions)
    silence: float = 60.0
    retry_after: float = 1.0
    pause: Pause | None = None
