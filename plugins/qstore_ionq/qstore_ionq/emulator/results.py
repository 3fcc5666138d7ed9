"""What the circuits of a job give: probabilities, or relative frequencies of sampled shots."""

from __future__ import annotations

import numpy as np

from qstore_core.arrays import FloatArray
from qstore_ionq.emulator.request import JobRequest
from qstore_ionq.emulator.simulator import probabilities

_NOTHING = 1e-15

Histogram = dict[str, float]
"""From an outcome, a decimal number whose lowest bit is qubit 0, to its probability or relative frequency."""


def histograms(request: JobRequest) -> list[Histogram]:
    """One histogram for each circuit, in their order; outcomes that did not occur are left out."""
    exact = probabilities(request.circuits, request.n_qubits, request.noise)
    if not request.is_sampled:
        return [_histogram(row) for row in exact]
    pairs = zip(exact, request.draws.tolist(), strict=True)
    return [_histogram(_sampled(row, request.shots, label)) for row, label in pairs]


def _sampled(row: FloatArray, shots: int, label: int) -> FloatArray:
    generator = np.random.Generator(np.random.Philox(key=label))
    frequencies: FloatArray = generator.multinomial(shots, row / row.sum()) / shots
    return frequencies


def _histogram(row: FloatArray) -> Histogram:
    return {str(outcome): float(row[outcome]) for outcome in np.flatnonzero(row > _NOTHING)}
