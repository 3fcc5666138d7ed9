"""What a job costs: gates times shots, and a least price that can be read in two ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from qstore_core.arrays import FloatArray, IntArray
from qstore_core.errors import ConfigurationError

Minimum = Literal["per_job", "per_circuit"]
"""The two readings of the least price, of a job with many circuits: it is charged once, or for each circuit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePrices:
    """One machine's prices in US dollars.

    Attributes:
        one_qubit_gate: One gate on one qubit, one shot.
        two_qubit_gate: One gate on two qubits, one shot.
        minimum: The least that is charged.
        minimum_mitigated: The same with error mitigation.
        source: Whose list it is.
        date: When it was read.

    >>> prices = GatePrices(one_qubit_gate=0.25, two_qubit_gate=0.5, minimum=20.0, minimum_mitigated=90.0)
    >>> two_circuits = np.array([[2, 1], [2, 1]])
    >>> [prices.usd(two_circuits, shots=50, minimum=reading) for reading in ("per_job", "per_circuit")]
    [100.0, 100.0]
    >>> [prices.usd(two_circuits, shots=5, minimum=reading) for reading in ("per_job", "per_circuit")]
    [20.0, 40.0]
    """

    one_qubit_gate: float
    two_qubit_gate: float
    minimum: float
    minimum_mitigated: float
    source: str = ""
    date: str = ""

    def least(self, *, mitigated: bool = False) -> float:
        """The least price."""
        return self.minimum_mitigated if mitigated else self.minimum

    def per_shot(self, gates: IntArray) -> FloatArray:
        """One shot of circuits with so many gates, `(..., 2)` on one and on two qubits: `(...)`, without a minimum."""
        rates = np.array([self.one_qubit_gate, self.two_qubit_gate])
        costs: FloatArray = np.asarray(gates, dtype=np.float64) @ rates
        return costs

    def usd(self, gates: IntArray, *, shots: int, minimum: Minimum, mitigated: bool = False) -> float:
        """The price of one job.

        Args:
            gates: `(n_circuits, 2)`, each circuit's gates on one and on two qubits.
            shots: Shots of each circuit.
            minimum: How the least price is read.
            mitigated: Whether error mitigation is on.
        """
        if not len(gates):
            return 0.0  # without circuits there is no job
        circuits, least = self.per_shot(gates) * shots, self.least(mitigated=mitigated)
        if minimum == "per_circuit":
            return float(np.maximum(circuits, least).sum())
        return float(max(circuits.sum(), least))


def check_minimum(minimum: object) -> Minimum | None:
    """`minimum` as it is, when it is a reading, or None for both.

    >>> check_minimum("per_job")
    'per_job'
    """
    if minimum is None or minimum == "per_job" or minimum == "per_circuit":
        return minimum
    raise ConfigurationError(f"minimum is 'per_job', 'per_circuit' or None for both readings, not {minimum!r}")
