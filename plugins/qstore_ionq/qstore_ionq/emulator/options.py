"""Everything that the emulator can be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from qstore_ionq.emulator.faults import FaultOptions
from qstore_ionq.prices import Minimum


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long things take, in seconds.

    Attributes:
        latency: Each request.
        queue: Each job before it starts.
        per_circuit: Each circuit.
        per_shot: Each shot of each circuit.
        list_lag: How long a job is missing from the list of jobs after it was accepted.
        late: How late results are when they are late.
    """

    latency: float = 0.0
    queue: float = 0.0
    per_circuit: float = 0.0
    per_shot: float = 0.0
    list_lag: float = 0.0
    late: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Where the emulator stops after it has accepted a job, so that a test can kill the client at that moment.

    Attributes:
        path: The file that is made, with the job's name in it; the answer is sent when it is gone.
        at: Only at the n-th submit, counted from 1; None: at every one.
        timeout: Seconds after which the answer is sent anyway.
    """

    path: Path
    at: int | None = None
    timeout: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorOptions:
    """How the emulator behaves.

    Attributes:
        ledger: Its SQLite file, made where there is none.
        host: Where it listens.
        port: The port; 0 for one that is free.
        key: The only API key that it takes; None: any.
        timing: How long things take.
        minimum: How it reads the least price of a job with many circuits.
        prices: A table of targets that takes the place of the plugin's own.
        widest: The widest circuit that it simulates without noise; half as wide with noise.
        ideal_machines: Whether machines have no noise, only shots.
        page: The most jobs on a page of the list of jobs.
        list_children: Whether the circuits of a job are listed as jobs of their own, before it.
        shuffle: Whether the results of a job's circuits come in another order than the circuits.
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
    minimum: Minimum = "per_job"
    prices: Path | None = None
    widest: int = 20
    ideal_machines: bool = False
    page: int = 25
    list_children: bool = False
    shuffle: bool = True
    faults: FaultOptions = field(default_factory=FaultOptions)
    silence: float = 60.0
    retry_after: float = 1.0
    pause: Pause | None = None
