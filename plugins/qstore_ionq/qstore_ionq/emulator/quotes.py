"""What the emulator asks for a job, counted from the gates that were sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from qstore_core.errors import UnknownNameError
from qstore_core.testing.provider.refusal import RefusedError
from qstore_ionq.emulator.request import SIMULATOR, JobRequest
from qstore_ionq.prices import GatePrices, Minimum
from qstore_ionq.targets import TargetTable

_FREE = GatePrices(one_qubit_gate=0.0, two_qubit_gate=0.0, minimum=0.0, minimum_mitigated=0.0)
_COUNTS = {"qubits": 25, "shots": 1000, "1q_gates": 0, "2q_gates": 0}


def price_of(job: JobRequest, minimum: Minimum) -> float:
    """The price of a job in US dollars; the simulator and dry runs are free."""
    if job.target is None or job.document.get("dry_run"):
        return 0.0
    return job.target.prices.usd(job.gates, shots=job.shots, minimum=minimum, mitigated=job.is_mitigated)


def quote(query: Mapping[str, str], table: TargetTable, minimum: Minimum) -> tuple[dict[str, Any], float, GatePrices]:
    """What was asked of /jobs/estimate, with its defaults; the price of one such circuit; and the rates.

    Raises:
        RefusedError: An unknown backend, or something else than numbers.
    """
    asked: dict[str, Any] = {"backend": query.get("backend", ""), "type": query.get("type", "ionq.circuit.v1")}
    try:
        asked |= {name: int(query.get(name, default)) for name, default in _COUNTS.items()}
        asked["error_mitigation"] = query.get("error_mitigation", "false").lower() == "true"
        prices = _FREE if asked["backend"] == SIMULATOR else table.target(asked["backend"]).prices
    except (ValueError, UnknownNameError) as error:
        raise RefusedError(400, str(error)) from error
    gates = np.array([[asked["1q_gates"], asked["2q_gates"]]])
    usd = prices.usd(gates, shots=asked["shots"], minimum=minimum, mitigated=asked["error_mitigation"])
    return asked, usd, prices
