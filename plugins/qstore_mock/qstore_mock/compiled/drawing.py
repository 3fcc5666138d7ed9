"""Shots by a compiled function: the very draws of `qstore_core.sampling.sample`, number for number."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

_GOLDEN, _FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_ONE, _TWO = np.uint64(1), np.uint64(2)
_BUCKETS = 1024  # a power of 2, so that numbers times this are exact


@njit(cache=True, nogil=True, error_model="numpy")  # no fast maths: every bit is as in NumPy
def tallies(probabilities: Any, labels: Any, shots: int) -> Any:
    """How often each outcome is drawn, `(n_rows, n_outcomes)` int64.

    A number falls to the first outcome whose cumulative probability is above it. Each of some buckets of numbers knows
    the first outcome that can be, so that few are looked at.
    """
    n_rows, n_outcomes = probabilities.shape
    table = np.zeros((n_rows, n_outcomes), np.int64)
    edges, guide, numbers = np.empty(n_outcomes), np.empty(_BUCKETS + 3, np.uint64), np.empty(shots)
    for row in range(n_rows):
        total = 0.0
        for outcome in range(n_outcomes):
            total += probabilities[row, outcome]
            edges[outcome] = total
        guide[:] = 0
        for outcome in range(n_outcomes - 1):  # past, wherever rounding puts it, two buckets further on
            guide[np.uint64(edges[outcome] / total * _BUCKETS) + _TWO] += _ONE
        for bucket in range(1, _BUCKETS):
            guide[bucket] += guide[bucket - 1]
        edges[n_outcomes - 1] = np.inf  # rounding draws no outcome past the last
        label = labels[row]
        for shot in range(shots):
            word = _scrambled(label + np.uint64(shot + 1) * _GOLDEN)
            numbers[shot] = np.float64(word >> np.uint64(11)) * 2.0**-53
        for shot in range(shots):
            number = numbers[shot]
            outcome = guide[np.uint64(number * _BUCKETS)]
            number *= total
            for _ in range(2):  # most are there by then, and the processor need not guess whether
                outcome += np.uint64(edges[outcome] <= number)
            while edges[outcome] <= number:
                outcome += _ONE
            table[row, outcome] += 1
    return table


@njit(cache=True, nogil=True, error_model="numpy")
def _scrambled(word: Any) -> Any:
    """SplitMix64's output, as in `qstore_core.randomness`."""
    word = (word ^ (word >> np.uint64(30))) * _FIRST
    word = (word ^ (word >> np.uint64(27))) * _SECOND
    return word ^ (word >> np.uint64(31))
