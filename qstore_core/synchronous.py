"""Coroutines for callers without `await`."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Generic, TypeVar

T = TypeVar("T")
_WAIT = 0.2
"""Seconds between two looks at whether the work is done; on some systems a signal is not seen in a longer wait."""


def run_sync(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, in a thread of its own where this one already runs an event loop, as in a notebook.

    The first Ctrl-C cancels the work and is raised when that has ended; the second is raised at once.

    >>> async def answer():
    ...     return 42
    >>> run_sync(answer())
    42
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    aside = _Aside(work)
    with _interrupts(aside):
        aside.start()
        while aside.is_alive():
            aside.join(_WAIT)
    if aside.cancelled:
        raise KeyboardInterrupt from None if isinstance(aside.failure, asyncio.CancelledError) else aside.failure
    if aside.failure is not None:
        raise aside.failure
    return aside.outcome[0]


class _Aside(threading.Thread, Generic[T]):
    """A thread that runs a coroutine in an event loop of its own, and can be told to cancel it."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        super().__init__(name="qstore-fit")
        self.outcome: list[T] = []
        self.failure: BaseException | None = None
        self.cancelled = False
        self._work = work
        self._task: asyncio.Task[T] | None = None

    def run(self) -> None:
        try:
            self.outcome.append(asyncio.run(self._watched()))
        except BaseException as error:  # raised again in the caller's thread
            self.failure = error

    def cancel(self) -> None:
        """Cancel the work, also when it has not begun."""
        self.cancelled = True
        if self._task is not None:
            with suppress(RuntimeError):  # its loop is closed: it has ended
                self._task.get_loop().call_soon_threadsafe(self._task.cancel)

    async def _watched(self) -> T:
        self._task = asyncio.ensure_future(self._work)
        if self.cancelled:
            self._task.cancel()
        return await self._task


@contextmanager
def _interrupts(aside: _Aside[Any]) -> Iterator[None]:
    """Lets Ctrl-C cancel the work; the event loop of this thread, whose part that is, cannot while it waits."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before in (None, signal.SIG_IGN):
        yield
        return

    def interrupted(number: int, frame: FrameType | None) -> None:
        if aside.cancelled:
            raise KeyboardInterrupt
        aside.cancel()

    signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
