"""Everything a simulated provider can be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from qstore_mock.remote.faults import FaultOptions
from qstore_mock.remote.prices import PriceList, PriceTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long things take, in seconds.

    Attributes:
        latency: Each request.
        queue: Each job before it starts.
        per_circuit: Each circuit.
        find_lag: How long a job is missing from searches after it was accepted.
        late: How late results are when they are late.
    """

    latency: float = 0.0
    queue: float = 0.0
    per_circuit: float = 0.0
    find_lag: float = 0.0
    late: float = 1.0

    def scaled(self, factor: float) -> Timing:
        """All of them times `factor`.

        >>> Timing(queue=60.0).scaled(0.1).queue
        6.0
        """
        return Timing(
            latency=self.latency * factor,
            queue=self.queue * factor,
            per_circuit=self.per_circuit * factor,
            find_lag=self.find_lag * factor,
            late=self.late * factor,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one job may hold; None: no limit.

    Attributes:
        max_qubits: The widest circuit.
        max_circuits: The most circuits of a job.
        max_shots: The most shots of a circuit.
    """

    max_qubits: int = 20
    max_circuits: int | None = None
    max_shots: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Where a provider stops after it has accepted a job, so that a test can kill the client at that moment.

    Attributes:
        path: The file that is made, with the job's token in it; the answer is sent when it is gone.
        at: Only at the n-th submit, counted from 1; None: at every one.
        timeout: Seconds after which the answer is sent anyway.
    """

    path: Path
    at: int | None = None
    timeout: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderOptions:
    """How a provider behaves.

    Attributes:
        ledger: Its SQLite file, made where there is none.
        host: Where it listens.
        port: The port; 0 for one that is free.
        key: What requests must carry; None: nothing.
        timing: How long things take, already scaled.
        time_scale: What the times were scaled by, told to clients so that they ask as often as makes sense.
        limits: What a job may hold.
        prices: What jobs cost.
        charge: The reading that is charged.
        depolarizing: Noise after each gate, as `MockBackend` takes it.
        readout_error: Misread bits, as `MockBackend` takes it.
        faults: What goes wrong.
        silence: Seconds until a connection that gets no answer is closed.
        retry_after: Seconds that Retry-After asks for; decimals are allowed here, HTTP has whole seconds.
        pause: Where to stop after a job is accepted.
    """

    ledger: Path
    host: str = "127.0.0.1"
    port: int = 0
    key: str | None = field(default=None, repr=False)
    timing: Timing = Timing()
    time_scale: float = 1.0
    limits: Limits = Limits()
    prices: PriceTable = field(default_factory=lambda: PriceTable(PriceList(), PriceList()))
    charge: Literal["low", "high"] = "low"
    depolarizing: float | tuple[float, float] = 0.0
    readout_error: float | tuple[float, float] = 0.0
    faults: FaultOptions = field(default_factory=FaultOptions)
    silence: float = 60.0
    retry_after: float = 1.0
    pause: Pause | None = None
