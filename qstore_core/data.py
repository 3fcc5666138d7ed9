"""Mini-batches, splits, and the data sets that the command line knows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qstore_core.array_input import data_array
from qstore_core.errors import ConfigurationError, DataError
from qstore_core.keywords import known_keywords
from qstore_core.randomness import StepKey, fresh_seed

Batch = tuple[NDArray[Any], NDArray[Any]]


class ArrayLoader:
    """Mini-batches of arrays, in a new order every epoch.

    Args:
        x: `(n_samples, ...)`.
        y: `(n_samples,)` or `(n_samples, n_outputs)`.
        batch_size: Samples in a batch; the last one may be smaller.
        shuffle: Whether each epoch has its own order.
        seed: For the orders; None: the trainer's seed when a trainer iterates, else fresh.

    Raises:
        DataError: No samples, lengths that differ, or Python objects that are no numbers.

    >>> loader = ArrayLoader(np.zeros((5, 2)), np.arange(5), batch_size=2, shuffle=False)
    >>> [y.tolist() for _, y in loader]
    [[0, 1], [2, 3], [4]]
    """

    @known_keywords
    def __init__(
        self, x: ArrayLike, y: ArrayLike, batch_size: int = 32, shuffle: bool = True, seed: int | None = None
    ) -> None:
        self.x, self.y = data_array("inputs", x), data_array("labels", y)
        if not isinstance(batch_size, int | np.integer) or isinstance(batch_size, bool) or batch_size < 1:
            raise ConfigurationError(f"batch_size is a whole number of at least 1, not {batch_size!r}")
        if self.x.ndim < 1 or not len(self.x):
            raise DataError("there are no samples in the data")
        _check_lengths(self.x, self.y)
        self.batch_size = int(batch_size)
        self.shuffle = shuffle
        self.seed = seed
        self._epoch = 0
        self._fallback = fresh_seed()

    def __len__(self) -> int:
        """The number of batches."""
        return -(-len(self.x) // self.batch_size)

    @property
    def n_samples(self) -> int:
        """The number of samples."""
        return len(self.x)

    def __iter__(self) -> Iterator[Batch]:
        yield from self.epoch(self._epoch, self._fallback)
        self._epoch += 1

    @property
    def digest(self) -> str:
        """SHA-256 of the data and of how it is batched."""
        shape = (
            self.x.shape,
            str(self.x.dtype),
            self.y.shape,
            str(self.y.dtype),
            self.batch_size,
            self.shuffle,
            self.seed,
        )
        content = hashlib.sha256(repr(shape).encode())
        for array in (self.x, self.y):
            content.update(np.ascontiguousarray(array).tobytes())
        return content.hexdigest()

    def epoch(self, index: int, seed: int) -> Iterator[Batch]:
        """The batches of epoch `index`; `seed` orders them unless the loader has a seed of its own."""
        order = np.arange(len(self.x))
        if self.shuffle:
            chosen = seed if self.seed is None else self.seed
            order = StepKey(chosen, "data", index).generator("order").permutation(len(self.x))
        for first in range(0, len(order), self.batch_size):
            rows = order[first : first + self.batch_size]
            yield self.x[rows], self.y[rows]


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Training and test data; unpacks in scikit-learn's order, `x_train, x_test, y_train, y_test`."""

    x_train: NDArray[Any]
    y_train: NDArray[Any]
    x_test: NDArray[Any]
    y_test: NDArray[Any]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return iter((self.x_train, self.x_test, self.y_train, self.y_test))


@known_keywords
def train_test_split(x: ArrayLike, y: ArrayLike, *, test_fraction: float = 0.2, seed: int = 0) -> Split:
    """A random split, for class labels with the same share of each class on both sides.

    >>> split = train_test_split(np.zeros((10, 1)), [0] * 5 + [1] * 5, test_fraction=0.4)
    >>> sorted(split.y_test.tolist())
    [0, 0, 1, 1]
    """
    inputs, labels = data_array("inputs", x), data_array("labels", y)
    _check_lengths(inputs, labels)
    if not 0 < test_fraction < 1:
        raise ConfigurationError(f"test_fraction is a number between 0 and 1, not {test_fraction!r}")
    generator = StepKey(seed, "split").generator("test")
    strata = labels if labels.dtype.kind in "iub" else np.zeros(len(labels), dtype=np.int64)
    chosen = []
    for stratum in np.unique(strata):
        members = generator.permutation(np.flatnonzero(strata == stratum))
        chosen.append(members[: round(test_fraction * len(members))])
    test = np.sort(np.concatenate(chosen))
    train = np.setdiff1d(np.arange(len(labels)), test)
    if not len(test) or not len(train):
        raise DataError(f"{len(labels)} samples are too few to hold out {test_fraction:g} of them for testing")
    return Split(inputs[train], labels[train], inputs[test], labels[test])


def _check_lengths(x: NDArray[Any], y: NDArray[Any]) -> None:
    n_samples, n_labels = len(np.atleast_1d(x)), len(np.atleast_1d(y))
    if n_samples != n_labels:
        raise DataError(f"x has {n_samples} samples and y {n_labels}; they must be as many")
