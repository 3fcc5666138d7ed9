"""Jobs that are sent together: all that were sent are brought in, and when one fails no more are sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class JobGroup:
    """Tasks that all run to their end, even when one fails: what was sent and paid for is brought in first.

    Attributes:
        failure: What the first task that failed raised, as soon as it did; the others then send nothing more.

    >>> async def failing():
    ...     raise ValueError("no")
    >>> async def together():
    ...     async with JobGroup() as group:
    ...         group.start(failing)
    >>> asyncio.run(together())
    Traceback (most recent call last):
        ...
    ValueError: no
    """

    def __init__(self) -> None:
        self.failure: BaseException | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, work: Callable[[], Awaitable[None]]) -> None:
        """Begin a task."""
        self._tasks.append(asyncio.ensure_future(self._watched(work)))

    async def _watched(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except BaseException as error:
            self.failure = self.failure or error
            raise

    async def __aenter__(self) -> JobGroup:
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        except asyncio.CancelledError:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            raise
        if self.failure is not None:
            raise self.failure
