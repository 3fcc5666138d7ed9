"""Q-Store's data loaders and labels, as qstore takes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from q_store.changes import changed
from qstore_core import ArrayLoader
from qstore_core.arrays import FloatArray
from qstore_core.training import Loader, batches_of


def as_targets(labels: ArrayLike) -> NDArray[Any]:
    """Labels as qstore reads them: rows of numbers are targets as they are, single whole numbers are classes.

    >>> as_targets([[1, 0], [0, 1]]).dtype, as_targets([1, 0]).dtype.kind
    (dtype('float64'), 'i')
    """
    array = np.asarray(labels)
    if array.dtype.kind not in "iub":
        return array
    if array.ndim > 1:
        return array.astype(np.float64)
    changed(
        "whole numbers as labels",
        "are classes: the target is +1 for the output of the class and -1 for the others. Q-Store compared every "
        "output with the number itself; give floats, one for each output, to say what the targets are",
    )
    return array


class Batches:
    """A loader of Q-Store, sync or async, whose labels are `as_targets`.

    Attributes:
        loader: What gives the batches.
        n_samples: How many samples were given since the last pass began.

    >>> import asyncio
    >>> async def labels():
    ...     return [y.tolist() async for _, y in Batches([([[0.1]], [[1]])])]
    >>> asyncio.run(labels())
    [[[1.0]]]
    """

    def __init__(self, loader: Loader) -> None:
        self.loader = loader
        self.n_samples = 0

    async def __aiter__(self) -> AsyncIterator[tuple[Any, Any]]:
        self.n_samples = 0
        async for x, y in batches_of(self.loader, 0, 0):
            self.n_samples += len(x)
            yield x, as_targets(y)


def adapted(loader: Loader) -> Loader:
    """A loader for many passes; one of qstore stays what it is where its labels may."""
    if isinstance(loader, ArrayLoader):
        y = as_targets(loader.y)
        return loader if y is loader.y else ArrayLoader(loader.x, y, loader.batch_size, loader.shuffle, loader.seed)
    return Batches(loader)


async def one_pass(loader: Loader) -> Loader:
    """A loader for one epoch; what can be iterated only once is read into a list."""
    if isinstance(loader, AsyncIterator):
        return adapted([batch async for batch in loader])
    return adapted(list(loader) if isinstance(loader, Iterator) else loader)


def mean_of(loss: Callable[[Any, Any], float]) -> Callable[[FloatArray, FloatArray], float]:
    """The mean over the samples of a loss of one sample's outputs and targets, which is what Q-Store minimised.

    >>> mean_of(lambda output, target: abs(output[0] - target[0]))(np.array([[1.0], [0.0]]), np.array([[0.0], [0.0]]))
    0.5
    """

    def mean(outputs: FloatArray, targets: FloatArray) -> float:
        return float(np.mean([loss(output, target) for output, target in zip(outputs, targets, strict=True)]))

    return mean
