"""An emulator for a test or a script: started in a process of its own, and always stopped.

>>> with emulator() as running:
...     running.requests()
{}
"""

from __future__ import annotations

import json
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

from qstore_core.errors import ConfigurationError

_START_SECONDS = 30.0
_STOP_SECONDS = 10.0


class RunningEmulator:
    """An emulator process; made by `emulator`.

    Attributes:
        url: Where it listens, the same after a restart.
        key: What requests must carry.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.url = ""
        self._port = 0
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, empty, and wait until it listens.

        Raises:
            ConfigurationError: It ends instead; what it wrote to standard error says why.
        """
        command = [sys.executable, "-m", "qstore_pinecone.emulator", "--with-parent"]
        command += ["--port", str(self._port), "--key", self.key]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = _first_line(self._process, _START_SECONDS)
        if not line:
            self.stop()
            raise ConfigurationError("the emulator did not start; see what it wrote to standard error")
        self.url = json.loads(line)["url"]
        self._port = int(self.url.rpartition(":")[2])

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop it, by another signal if need be; what it held is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        with process:  # closes its output, and waits
            process.send_signal(number)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()

    def fail(self, request: str, what: str | int, *, after: int = 0, times: int = 1) -> None:
        """Have requests of a kind fail: `what` is "drop", "drop_after" it was carried out, or a status."""
        self._ask("/faults", {"request": request, "what": what, "after": after, "times": times})

    def requests(self) -> dict[str, int]:
        """How often it was asked for what since it started."""
        counts: dict[str, int] = self._ask("/requests")
        return counts

    def _ask(self, path: str, document: Any = None) -> Any:
        data = None if document is None else json.dumps(document).encode()
        request = Request(self.url + path, data, headers={"Content-Type": "application/json"})
        with build_opener(ProxyHandler({})).open(request, timeout=_START_SECONDS) as response:
            return json.load(response)


@contextmanager
def emulator(key: str = "emulator") -> Iterator[RunningEmulator]:
    """A running emulator, stopped when the block ends.

    >>> with emulator() as running:
    ...     running.url.startswith("http://127.0.0.1:")
    True
    """
    running = RunningEmulator(key)
    try:
        running.start()
        yield running
    finally:
        running.stop()


def _first_line(process: subprocess.Popen[str], seconds: float) -> str:
    """The first line of a process's output, or nothing when it ends, or none comes in time."""
    if process.stdout is None:
        return ""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        return process.stdout.readline() if selector.select(seconds) else ""
