"""Requests that are repeated while a provider does not answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest
from fake_backends import Remote

from qstore_core import repeating
from qstore_core.errors import AmbiguousError, JobRejectedError, TransientError
from qstore_core.repeating import Repeater


def failing(times: int, error: Exception) -> Callable[[], Awaitable[int]]:
    """A request that fails so many times and then says how often it was made."""
    made = 0

    async def request() -> int:
        nonlocal made
        made += 1
        if made <= times:
            raise error
        return made

    return request


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_only_what_may_be_repeated_is() -> None:
    repeater = Repeater(Remote())
    assert asyncio.run(repeater.repeated(failing(3, TransientError("busy")), TransientError, AmbiguousError)) == 4
    with pytest.raises(AmbiguousError):
        asyncio.run(repeater.repeated(failing(1, AmbiguousError("lost")), TransientError))
    with pytest.raises(JobRejectedError):
        asyncio.run(repeater.repeated(failing(1, JobRejectedError("no")), TransientError, AmbiguousError))


def test_a_short_silence_is_not_worth_a_word(caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(Repeater(Remote()).repeated(failing(5, TransientError("busy")), TransientError))
    assert warnings(caplog) == []


def test_a_provider_that_is_away_is_told_of_once_and_that_it_is_back(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repeating, "SILENCE", 0.0)

    async def several() -> None:
        repeater = Repeater(Remote())
        away = [repeater.repeated(failing(3, TransientError("no route to host")), TransientError) for _ in range(4)]
        await asyncio.gather(*away)

    asyncio.run(several())
    assert warnings(caplog) == [
        "fake does not answer, and is asked again for up to 5 s: no route to host",
        "fake answers again",
    ]


def test_the_last_error_is_raised_when_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Remote()
    monkeypatch.setattr(provider, "pacing", repeating.Pacing(first_retry=0.001, request_patience=0.05))
    with pytest.raises(TransientError, match="gone"):
        asyncio.run(Repeater(provider).repeated(failing(10**6, TransientError("gone")), TransientError))
