"""The samples of each step: the batches of a loader as they come, or cut and joined to the size that is wanted."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qstore_core.data import Batch
from qstore_core.errors import DataError


async def mini_batches(
    batches: AsyncIterable[Batch], wanted: Callable[[Any, Any], int | None], *, skip: int = 0
) -> AsyncIterator[Batch]:
    """The samples of the steps of one epoch, each sample once.

    Args:
        batches: The loader's.
        wanted: Asked before each step, with the samples at hand, how many it takes; None: a batch of the loader.
        skip: Samples at the start that were used already.

    Raises:
        DataError: A batch that cannot be cut, because it is empty or has not as many labels as inputs, or that cannot
            be joined with the one before it.

    >>> import asyncio
    >>> async def loader():
    ...     for first in (0, 3):
    ...         yield np.zeros((3, 2)), np.arange(first, first + 3)
    >>> async def sizes(size):
    ...     return [y.tolist() async for _, y in mini_batches(loader(), lambda x, y: size, skip=1)]
    >>> asyncio.run(sizes(2)), asyncio.run(sizes(None))
    ([[1, 2], [3, 4], [5]], [[1, 2], [3, 4, 5]])
    """
    held: Batch | None = None
    async for batch in batches:
        fresh, skip = _without(batch, skip)
        if fresh is None:
            continue
        held = fresh if held is None else _joined(held, fresh)
        while held is not None:
            size = wanted(*held)
            if size is not None and size_of(held) < size:
                held = _copied(held)  # the loader may fill the same arrays anew
                break
            if size is None:
                taken, held = held, None
            else:
                taken, (held, _) = _rows(held, 0, size), _without(held, size)
            yield taken
    if held is not None:
        yield held


def size_of(batch: tuple[Any, Any]) -> int:
    """The samples of a batch.

    >>> size_of((np.zeros((3, 2)), [0, 1, 0]))
    3
    """
    return len(_array("labels", batch[1]))


def _without(batch: Batch, count: int) -> tuple[Batch | None, int]:
    """A batch without its first samples, None if nothing is left; and how many are still to be left out."""
    size = size_of(batch)
    if count and count >= size:
        return None, count - size
    return (batch if count == 0 else _rows(batch, count, size)), 0


def _rows(batch: Batch, first: int, last: int) -> Batch:
    x, y = _arrays(batch)
    return x[first:last], y[first:last]


def _joined(one: Batch, other: Batch) -> Batch:
    (x, y), (more_x, more_y) = _arrays(one), _arrays(other)
    if x.shape[1:] != more_x.shape[1:]:
        raise DataError(f"inputs need shape (n_samples, {x.shape[-1]}), as in the batch before, not {more_x.shape}")
    if y.shape[1:] != more_y.shape[1:] or (y.dtype.kind == "f") != (more_y.dtype.kind == "f"):
        raise DataError(
            f"labels are {y.dtype} of shape {y.shape} in one batch, {more_y.dtype} of shape {more_y.shape} in the next"
        )
    return np.concatenate([x, more_x]), np.concatenate([y, more_y])


def _copied(batch: Batch) -> Batch:
    return _array("inputs", batch[0]).copy(), _array("labels", batch[1]).copy()


def _arrays(batch: Batch) -> Batch:
    """A batch as arrays with a row for each sample."""
    x, y = _array("inputs", batch[0]), _array("labels", batch[1])
    if x.ndim == 1:
        x = x[None]  # one sample
    if len(x) != len(y):
        raise DataError(f"a batch has {len(x)} samples and {len(y)} labels; they must be as many")
    if not len(y):
        raise DataError("there are no samples in a batch")
    return x, y


def _array(name: str, values: Any) -> NDArray[Any]:
    try:
        return np.atleast_1d(np.asarray(values))
    except ValueError as error:
        raise DataError(f"{name} must be numbers: {error}") from error
