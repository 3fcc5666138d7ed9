"""Emulators to test against, and how to ask them over plain HTTP."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from ionq_batches import Emulate
from qstore_ionq.backend import IonQBackend
from qstore_ionq.emulator.cli import main, options_of
from qstore_ionq.emulator.fixture import ionq_emulator  # noqa: F401
from qstore_ionq.emulator.process import RunningEmulator
from qstore_ionq.emulator.server import Emulator

from qstore_core import get_backend
from qstore_core.backend import JobState
from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.testing.provider.process import arguments_of


class EmulatorThread(RunningEmulator):
    """An emulator in a thread of this process, which starts a hundred times faster; it cannot be killed."""

    def start(self) -> None:
        given = [*arguments_of(self._options), "--ledger", str(self.ledger_path)]
        options = options_of(main.make_context("emulator", given).params)
        self._loop, self._stop = asyncio.new_event_loop(), asyncio.Event()
        ready = threading.Event()

        def announce(url: str) -> None:
            self.url = url
            ready.set()

        async def serve() -> None:
            await Emulator(options).run(ready=announce, stop=self._stop)

        def run() -> None:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(serve())

        self._thread = threading.Thread(target=run)
        self._thread.start()
        assert ready.wait(30)

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(30)


@contextmanager
def emulated(folder: Path, **options: Any) -> Iterator[RunningEmulator]:
    running = EmulatorThread(folder / "ledger.sqlite", log_path=folder / "log", options=options)
    running.start()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def emulate(tmp_path_factory: pytest.TempPathFactory) -> Emulate:
    """`with emulate(queue=2) as running:` an emulator with these options, in a thread of this process."""
    return lambda **options: emulated(tmp_path_factory.mktemp("emulator"), **options)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEmulator]:
    """An emulator that answers at once, for every test that does not count its jobs."""
    with emulated(tmp_path_factory.mktemp("shared")) as process:
        yield process


@pytest.fixture(scope="session")
def http() -> Callable[..., Any]:
    """`http(running, "GET", "/jobs", ...)`: the answer below /v0.4, asked with a key and without cirq-ionq."""

    def ask(running: RunningEmulator, method: str, path: str, *, key: str = "any", **content: Any) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            headers = {"Authorization": f"apiKey {key}"}
            return session.request(
                method, f"{running.url}/v0.4{path}", headers=headers, timeout=30, allow_redirects=False, **content
            )

    return ask


@pytest.fixture(scope="session")
def connect() -> Callable[..., IonQBackend]:
    """`connect(running, "qpu", target=...)`: a backend on an emulator."""

    def make(running: RunningEmulator, name: str = "simulator", **options: Any) -> IonQBackend:
        backend = get_backend(f"ionq.{name}", **{"remote_host": running.url, "api_key": "emulator-key", **options})
        assert isinstance(backend, IonQBackend)
        return backend

    return make


@pytest.fixture(scope="session")
def run_job() -> Callable[..., tuple[BatchResult, ...]]:
    """`run_job(backend, *batches, token="t")`: the results of one job, without an executor."""

    async def run(backend: IonQBackend, batches: tuple[CircuitBatch, ...], token: str) -> tuple[BatchResult, ...]:
        compiled = [backend.compile(batch.structure, batch.groups) for batch in batches]
        job = await backend.submit(batches, compiled, token)
        while (await backend.status(job)).state is not JobState.DONE:
            await asyncio.sleep(0.01)
        return await backend.fetch(job, batches, compiled)

    return lambda backend, *batches, token="t": asyncio.run(run(backend, batches, token))
