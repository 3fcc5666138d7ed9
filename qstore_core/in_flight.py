"""Which rows are being run, so that another task that asks for the same ones waits instead of paying again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """The keys that one task runs.

    Attributes:
        running: Everything that is being run in this event loop, and what ends when its task is through with it.
        ended: What ends when this task is.
    """

    running: dict[str, asyncio.Future[None]]
    ended: asyncio.Future[None]

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.running.get(key) is self.ended

    def release(self, keys: Iterable[str]) -> None:
        """Leave keys to whoever asks for them."""
        for key in [key for key in keys if key in self]:
            del self.running[key]


class InFlight:
    """The keys that tasks are running, each event loop's apart: a loop cannot wait for what happens in another.

    A task claims, runs and lets go, and waits for others only then, so tasks never wait for each other in a circle.

    >>> async def second() -> bool:
    ...     with flights.claimed(["a", "b"]) as claim:
    ...         return "a" in claim
    >>> async def both() -> bool:
    ...     with flights.claimed(["a"]):
    ...         return await second()
    >>> flights = InFlight()
    >>> asyncio.run(both())
    False
    """

    def __init__(self) -> None:
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Future[None]]] = WeakKeyDictionary()

    @contextmanager
    def claimed(self, keys: Iterable[str]) -> Iterator[Claim]:
        """Those of the keys that no other task is running, for as long as the block lasts."""
        loop = asyncio.get_running_loop()
        claim = Claim(self._loops.setdefault(loop, {}), loop.create_future())
        mine = {key: claim.ended for key in keys if key not in claim.running}
        claim.running.update(mine)
        try:
            yield claim
        finally:
            claim.release(mine)
            if not loop.is_closed():
                claim.ended.set_result(None)

    async def wait(self, keys: Iterable[str]) -> None:
        """Return when the tasks that run any of the keys are through with them, whether they succeeded or not."""
        running = self._loops.get(asyncio.get_running_loop(), {})
        ends = {running[key] for key in keys if key in running}
        if ends:
            await asyncio.wait(ends)  # which leaves them be when this task is cancelled
