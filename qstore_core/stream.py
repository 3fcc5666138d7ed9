"""The samples of each step: the batches of a loader as they come, or cut and joined to the size that is wanted."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any

import numpy as np

from qstore_core.data import Batch


async def mini_batches(
    batches: AsyncIterable[Batch], wanted: Callable[[Any, Any], int | None], *, skip: int = 0
) -> AsyncIterator[Batch]:
    """The samples of the steps of one epoch, each sample once.

    Args:
        batches: The loader's.
        wanted: Asked before each step, with the samples at hand, how many it takes; None: a batch of the loader.
        skip: Samples at the start that were used already.

    >>> import asyncio
    >>> async def loader():
    ...     for first in (0, 3):
    ...         yield np.arange(first, first + 3), np.zeros(3)
    >>> async def sizes(size):
    ...     return [x.tolist() async for x, _ in mini_batches(loader(), lambda x, y: size, skip=1)]
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
            if size is None:
                yield held
                held = None
            elif size_of(held) < size:
                break
            else:
                yield _rows(held, 0, size)
                held, _ = _without(held, size)
    if held is not None:
        yield held


def size_of(batch: tuple[Any, Any]) -> int:
    """The samples of a batch.

    >>> size_of((np.zeros((3, 2)), [0, 1, 0]))
    3
    """
    return len(np.atleast_1d(batch[1]))


def _without(batch: Batch, count: int) -> tuple[Batch | None, int]:
    """A batch without its first samples, None if nothing is left; and how many are still to be left out."""
    size = size_of(batch)
    if count >= size:
        return None, count - size
    return (batch if count == 0 else _rows(batch, count, size)), 0


def _rows(batch: Batch, first: int, last: int) -> Batch:
    x, y = batch
    return np.asarray(x)[first:last], np.asarray(y)[first:last]


def _joined(one: Batch, other: Batch) -> Batch:
    return np.concatenate([one[0], other[0]]), np.concatenate([one[1], other[1]])
