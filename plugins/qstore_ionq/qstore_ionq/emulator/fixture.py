"""The fixture `ionq_emulator` for pytest: import it in a `conftest.py`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from qstore_ionq.emulator.process import RunningEmulator, emulator


@pytest.fixture
def ionq_emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningEmulator]:
    """An emulator that answers at once, and that the backends `ionq...` use by themselves during the test."""
    with emulator() as running:
        monkeypatch.setenv("IONQ_REMOTE_HOST", running.url)
        monkeypatch.setenv("IONQ_API_KEY", "emulator")
        yield running
