"""Drawing shots: each row's outcomes are a function of its draw label alone."""

from __future__ import annotations

import numpy as np

from qstore_core.arrays import FloatArray, IntArray, LabelArray
from qstore_core.counts import Counts
from qstore_core.randomness import uniforms


def sample(probabilities: FloatArray, shots: int, labels: LabelArray, n_bits: int) -> Counts:
    """Outcomes of `shots` shots a row by inverting the cumulative distribution at the label's random numbers.

    Args:
        probabilities: `(n_rows, 2**n_bits)`.
        shots: Shots of each row.
        labels: `(n_rows,)` uint64.
        n_bits: How many qubits are read.
    """
    cumulative = np.cumsum(probabilities, axis=1)
    numbers = uniforms(labels, shots)
    # the last edge is the row's total, so that rounding cannot draw an outcome past the last possible one
    numbers *= cumulative[:, -1:]
    numbers.sort(axis=1)
    if cumulative.shape[1] <= shots:
        return Counts.from_table(_between(numbers, cumulative))
    drawn = np.empty((len(labels), shots), dtype=np.int64)
    for row, edges in enumerate(cumulative):
        drawn[row] = edges.searchsorted(numbers[row], side="right")
    return _tally(drawn, n_bits)


def _between(numbers: FloatArray, edges: FloatArray) -> IntArray:
    """How many of a row's sorted numbers lie below each edge and not below the one before: `(n_rows, n_edges)`."""
    table = np.empty(edges.shape, dtype=np.int64)
    for row, sorted_numbers in enumerate(numbers):
        table[row] = sorted_numbers.searchsorted(edges[row], side="left")
    table[:, -1] = numbers.shape[1]
    table[:, 1:] -= table[:, :-1].copy()
    return table


def _tally(drawn: np.ndarray[tuple[int, int], np.dtype[np.int64]], n_bits: int) -> Counts:
    """Counts of sorted outcomes `(n_rows, shots)`: each run of equal ones is one entry."""
    first = np.ones(drawn.shape, dtype=bool)
    first[:, 1:] = drawn[:, 1:] != drawn[:, :-1]
    begins = np.flatnonzero(first)
    counts = np.diff(begins, append=drawn.size)
    starts = np.concatenate([[0], np.cumsum(first.sum(axis=1))])
    return Counts(n_bits, drawn.ravel()[begins].astype(np.uint64), counts, starts)
