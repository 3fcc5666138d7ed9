"""Everything a simulated provider can be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from qstore_core.testing.provider.options import ServiceOptions, Timing
from qstore_mock.remote.prices import PriceList, PriceTable


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderTiming(Timing):
    """How long things take, in seconds.

    Attributes:
        find_lag: How long a job is missing from searches after it was accepted.
    """

    find_lag: float = 0.0


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
class ProviderOptions(ServiceOptions):
    """How a provider behaves.

    Attributes:
        timing: How long things take, already scaled.
        time_scale: What the times were scaled by, told to clients so that they ask as often as makes sense.
        limits: What a job may hold.
        prices: What jobs cost.
        charge: The reading that is charged.
        depolarizing: Noise after each gate, as `MockBackend` takes it.
        readout_error: Misread bits, as `MockBackend` takes it.
    """

    timing: ProviderTiming = ProviderTiming()
    time_scale: float = 1.0
    limits: Limits = Limits()
    prices: PriceTable = field(default_factory=lambda: PriceTable(PriceList(), PriceList()))
    charge: Literal["low", "high"] = "low"
    depolarizing: float | tuple[float, float] = 0.0
    readout_error: float | tuple[float, float] = 0.0
