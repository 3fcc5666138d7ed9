"""Everything that the emulator can be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qstore_core.testing.provider.options import ServiceOptions, Timing
from qstore_ionq.prices import Minimum

REQUESTS = ("submit", "status", "results", "list", "cancel", "cost", "estimate")
"""The kinds of requests that faults strike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorTiming(Timing):
    """How long things take, in seconds.

    Attributes:
        per_shot: Each shot of each circuit.
        list_lag: How long a job is missing from the list of jobs after it was accepted.
    """

    per_shot: float = 0.0
    list_lag: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorOptions(ServiceOptions):
    """How the emulator behaves; without a `key` it takes any.

    Attributes:
        timing: How long things take.
        minimum: How it reads the least price of a job with many circuits.
        prices: A table of targets that takes the place of the plugin's own.
        widest: The widest circuit that it simulates without noise; half as wide with noise.
        ideal_machines: Whether machines have no noise, only shots.
        page: The most jobs on a page of the list of jobs.
        list_children: Whether the circuits of a job are listed as jobs of their own, before it.
        shuffle: Whether the results of a job's circuits come in another order than the circuits.
    """

    timing: EmulatorTiming = EmulatorTiming()
    minimum: Minimum = "per_job"
    prices: Path | None = None
    widest: int = 20
    ideal_machines: bool = False
    page: int = 25
    list_children: bool = False
    shuffle: bool = True
