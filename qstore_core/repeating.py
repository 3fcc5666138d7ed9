"""Requests to a provider that are repeated while it does not answer, and what the user is told meanwhile."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_delay
from tenacity.wait import wait_base, wait_random_exponential

from qstore_core.backend import Pacing, RemoteBackend
from qstore_core.errors import BackendError

SILENCE = 5.0
"""Seconds without an answer after which the user is told."""

_log = logging.getLogger("qstore")
T = TypeVar("T")


class Repeater:
    """Repeats requests to one backend by its pacing, and says when it has gone away and when it is back.

    Args:
        backend: Who is asked.
    """

    def __init__(self, backend: RemoteBackend) -> None:
        self._backend = backend
        self._away = False  # told once, however many requests wait

    async def repeated(self, request: Callable[[], Awaitable[T]], *errors: type[BackendError]) -> T:
        """The answer to a request, which is repeated while it fails in one of these ways and patience lasts.

        Raises:
            BackendError: What the last attempt failed with.
        """
        answer = await self._answer(request, errors)
        if self._away:
            self._away = False
            _log.warning("%s answers again", self._backend.name)
        return answer

    async def _answer(self, request: Callable[[], Awaitable[T]], errors: tuple[type[BackendError], ...]) -> T:
        pacing = self._backend.pacing
        try:
            return await request()
        except errors as error:
            await asyncio.sleep(max(_asked(error), random.uniform(0, pacing.first_retry)))
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(errors),
            stop=stop_after_delay(pacing.request_patience),
            wait=_Patience(pacing),
            before_sleep=self._tell,
            reraise=True,
        )

        async def attempt() -> T:  # the library awaits only what it sees to be a coroutine function
            return await request()

        return await retrying(attempt)

    def _tell(self, attempts: RetryCallState) -> None:
        waited = (attempts.seconds_since_start or 0.0) + attempts.upcoming_sleep
        if self._away or waited < SILENCE or attempts.outcome is None:
            return
        self._away = True
        _log.warning(
            "%s does not answer, and is asked again for up to %.0f s: %s",
            self._backend.name,
            self._backend.pacing.request_patience,
            attempts.outcome.exception(),
        )


class _Patience(wait_base):
    """Exponential with jitter, and never shorter than what the provider asks for."""

    def __init__(self, pacing: Pacing) -> None:
        self._usual = wait_random_exponential(multiplier=pacing.first_retry, max=pacing.longest_poll)

    def __call__(self, retry_state: RetryCallState) -> float:
        error = None if retry_state.outcome is None else retry_state.outcome.exception()
        return max(_asked(error), self._usual(retry_state))


def _asked(error: BaseException | None) -> float:
    """The seconds after which a provider wants to be asked again."""
    return getattr(error, "retry_after", None) or 0.0
