"""A task as a point: statistics of its data and labels in a vector of fixed length, near to that of a task like it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qstore_core.arrays import FloatArray
from qstore_core.errors import DataError

DIMENSION = 64
"""The length of a task's vector."""

FORMAT = 1
"""Counts the ways in which the vector was made: only those of one way can be compared."""

_MOST_SAMPLES = 20_000
# slots and weights: what the labels have to do with the features is what a solution depends on most
_BLOCKS = {
    "relation": (24, 2.0),
    "curvature": (16, 1.0),
    "shape": (12, 0.5),
    "correlation": (8, 0.5),
    "labels": (4, 0.5),
}


def task_vector(x: ArrayLike, targets: ArrayLike) -> NDArray[np.float32]:
    """The task of predicting targets from features, as a vector of norm 1.

    It holds the correlation of each target with each feature and with each product of two, which change sign when the
    classes change places; mean, spread, skewness and kurtosis of each feature; the correlations of the features; and
    the means and spreads of the targets. Blocks with more numbers than slots are folded, with signs.

    Args:
        x: `(n_samples, n_features)`, the scaled features, radians.
        targets: `(n_samples, n_outputs)`.

    >>> x = [[0.0, 1.0], [1.0, 0.0], [0.2, 0.9], [0.8, 0.1]]
    >>> one, other = task_vector(x, [[1], [-1], [1], [-1]]), task_vector(x, [[-1], [1], [-1], [1]])
    >>> one.shape, bool(one @ other < -0.5)
    ((64,), True)
    """
    features, goals = np.asarray(x, dtype=np.float64)[:_MOST_SAMPLES], np.asarray(targets, dtype=np.float64)
    goals = goals[: len(features)]
    n_samples = len(features)
    if len(goals) != n_samples:
        raise DataError(f"there are {n_samples} samples and {len(goals)} labels; they must be as many")
    z, t = _standard(features), _standard(goals)
    shape = np.stack([features.mean(axis=0), features.std(axis=0), (z**3).mean(axis=0), (z**4).mean(axis=0) - 3])
    pairs, upper = np.triu_indices(z.shape[1]), np.triu_indices(z.shape[1], 1)
    curvature = np.stack([(z.T @ (column[:, None] * z) / n_samples)[pairs] for column in t.T])
    blocks = {
        "relation": t.T @ z / n_samples,
        "curvature": curvature,
        "shape": np.tanh(shape),
        "correlation": (z.T @ z / n_samples)[upper],
        "labels": np.tanh(np.stack([goals.mean(axis=0), goals.std(axis=0)])),
    }
    parts = [weight * _bounded(_folded(blocks[name].ravel(), size)) for name, (size, weight) in _BLOCKS.items()]
    whole = np.concatenate(parts)
    return (whole / (np.linalg.norm(whole) or 1.0)).astype(np.float32)


def _standard(values: FloatArray) -> FloatArray:
    """Columns of mean 0 and spread 1; a constant one is 0."""
    centred = values - values.mean(axis=0)
    spread = centred.std(axis=0)
    standard: FloatArray = centred / np.where(spread > 1e-12, spread, 1.0)
    return standard


def _folded(values: FloatArray, size: int) -> FloatArray:
    """Any number of values in `size` slots: what does not fit is added to what does, with one sign or the other."""
    count = -(-max(1, len(values)) // size) * size
    places = np.arange(count)
    signs = np.where((places * 2654435761 >> 16) & 1, -1.0, 1.0)  # a multiplicative hash
    signs[:size] = 1.0
    folded: FloatArray = (np.pad(values, (0, count - len(values))) * signs).reshape(-1, size).sum(axis=0)
    return folded


def _bounded(values: FloatArray) -> FloatArray:
    bounded: FloatArray = values / max(1.0, float(np.linalg.norm(values)))
    return bounded
