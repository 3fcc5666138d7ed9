"""From the service's histograms to results: other bits first, only the bits that were measured, counts again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from qstore_core.arrays import FloatArray, IntArray, LabelArray
from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.counts import Counts
from qstore_ionq.wire import labels_of

Histogram = Mapping[str, float]
"""From an outcome of the whole register, a decimal number whose lowest bit is qubit 0, to its probability."""
Distribution = tuple[LabelArray, FloatArray]
"""Outcomes of the measured bits, ascending, and their probabilities."""


def result_of(
    batch: CircuitBatch, histograms: Sequence[Histogram], readouts: Sequence[tuple[int, ...]], *, sampled: bool
) -> BatchResult:
    """The result of one batch.

    Args:
        batch: The batch.
        histograms: One for each row and basis, row after row.
        readouts: For each basis the qubits that hold its bits, most significant first.
        sampled: Whether the service drew shots, so that the histograms are relative frequencies. Else they are exact,
            and shots are drawn here, by the batch's labels.
    """
    columns = [
        [distribution(histogram, bits) for histogram in histograms[group :: len(readouts)]]
        for group, bits in enumerate(readouts)
    ]
    if batch.shots is None or not readouts:  # without a basis there are only constants
        return _exact(batch, columns)
    labels = labels_of(batch)
    counted: list[Counts] = []
    for group, rows in enumerate(columns):
        column = None if sampled or labels is None else labels[:, group]
        counted.append(_counts(rows, batch.shots, len(readouts[group]), column))
    return BatchResult(counts=tuple(counted))


def distribution(histogram: Histogram, readout: Sequence[int]) -> Distribution:
    """The outcomes of some qubits, the first of them the most significant bit.

    >>> distribution({"1": 0.25, "3": 0.25, "4": 0.5}, (0, 2))
    (array([1, 2], dtype=uint64), array([0.5, 0.5]))
    """
    keys = np.array([int(key) for key in histogram], dtype=np.uint64)
    values = np.array(list(histogram.values()), dtype=np.float64)
    outcomes = np.zeros(len(keys), dtype=np.uint64)
    for qubit in readout:
        outcomes = (outcomes << np.uint64(1)) | ((keys >> np.uint64(qubit)) & np.uint64(1))
    found, places = np.unique(outcomes, return_inverse=True)
    merged: FloatArray = np.bincount(places, weights=values, minlength=len(found)).astype(np.float64)
    return found, merged


def _counts(rows: Sequence[Distribution], shots: int, n_bits: int, labels: LabelArray | None) -> Counts:
    made = []
    for row, (outcomes, probabilities) in enumerate(rows):
        numbers = _rounded(probabilities, shots) if labels is None else _drawn(probabilities, shots, int(labels[row]))
        kept = np.flatnonzero(numbers)
        made.append((outcomes[kept], numbers[kept]))
    starts = np.cumsum([0, *(len(outcomes) for outcomes, _ in made)], dtype=np.int64)
    outcomes, numbers = (np.concatenate(parts) for parts in zip(*made, strict=True))
    return Counts(n_bits, outcomes, numbers, starts)


def _rounded(probabilities: FloatArray, shots: int) -> IntArray:
    """Counts from relative frequencies; they need not sum to `shots` where the service mended the frequencies."""
    numbers = np.rint(probabilities * shots).astype(np.int64)
    if not numbers.any():  # mended so far that no outcome is left of a few shots: the likeliest stays
        numbers[np.argmax(probabilities)] = 1
    return numbers


def _drawn(probabilities: FloatArray, shots: int, label: int) -> IntArray:
    """Counts drawn from exact probabilities, as a function of the label alone."""
    generator = np.random.Generator(np.random.Philox(key=label))
    return generator.multinomial(shots, probabilities / probabilities.sum())


def _exact(batch: CircuitBatch, columns: Sequence[Sequence[Distribution]]) -> BatchResult:
    plan = batch.plan
    if plan is None:
        (rows,) = columns
        table = np.zeros((batch.n_rows, 2**batch.structure.n_qubits))
        for row, (outcomes, probabilities) in enumerate(rows):
            table[row, outcomes.astype(np.int64)] = probabilities / probabilities.sum()
        return BatchResult(probabilities=(table,))
    values = np.tile(plan.constants, (batch.n_rows, 1))
    for group, rows in enumerate(columns):
        for row, (outcomes, probabilities) in enumerate(rows):
            chances = probabilities / probabilities.sum()  # the service rounds, and no value may be above its bound
            values[row] += chances @ plan.values(group, outcomes)
    return BatchResult(expectations=values)
