"""A provider for a test or a script: started in a process of its own, and always stopped.

>>> with provider(queue=0.0) as running:
...     running.ledger()
()
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

from qstore_core.errors import ConfigurationError
from qstore_mock.remote.ledger import LedgerEntry

_START_SECONDS = 30.0
_STOP_SECONDS = 10.0


class RunningProvider:
    """A provider process; made by `provider`.

    Attributes:
        url: Where it listens, the same after a restart.
        ledger_path: Its SQLite file.
        log_path: What it writes to standard error.
    """

    def __init__(self, ledger_path: Path, *, log_path: Path, options: Mapping[str, Any]) -> None:
        self.ledger_path = ledger_path
        self.log_path = log_path
        self.url = ""
        self._options = dict(options)
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        """The process's id."""
        if self._process is None:
            raise ConfigurationError("the provider is not running")
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it listens.

        Raises:
            ConfigurationError: It ends instead, for example because of an unknown option; the message says why.
        """
        command = [sys.executable, "-m", "qstore_mock.remote", "--with-parent", *_arguments(self._options)]
        command += ["--ledger", str(self.ledger_path)]
        with self.log_path.open("a", encoding="utf-8") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        line = _first_line(self._process, _START_SECONDS)
        if not line:
            self.kill()
            raise ConfigurationError(f"the simulated provider did not start: {self.log_path.read_text().strip()}")
        self.url = json.loads(line)["url"]
        self._options["port"] = int(self.url.rpartition(":")[2])

    def stop(self) -> None:
        """Stop it cleanly, as SIGTERM does."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would, with SIGKILL."""
        self._end(signal.SIGKILL)

    def restart(self, **changes: Any) -> None:
        """Start it again on its port and ledger, with some options changed; stops it first if it runs."""
        self.stop()
        self._options |= changes
        self.start()

    def ledger(self) -> tuple[LedgerEntry, ...]:
        """Every job it ever accepted, with each circuit's digest, in the order of acceptance."""
        jobs = self._get("/ledger")["jobs"]
        return tuple(LedgerEntry(**(job | {"circuit_digests": tuple(job["circuit_digests"])})) for job in jobs)

    def requests(self) -> dict[str, dict[str, int]]:
        """How often it was asked for what, and met which fault, since it started: `requests` and `faults`."""
        counts: dict[str, dict[str, int]] = self._get("/requests")
        return counts

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with process:  # closes its output, and waits
            process.send_signal(number)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()

    def _get(self, path: str) -> Any:
        key = self._options.get("key") or os.environ.get("QSTORE_MOCK_KEY")
        request = Request(self.url + path, headers={"Authorization": f"Bearer {key}"} if key else {})
        with build_opener(ProxyHandler({})).open(request, timeout=_START_SECONDS) as response:
            return json.load(response)


@contextmanager
def provider(*, ledger: Path | str | None = None, **options: Any) -> Iterator[RunningProvider]:
    """A running provider, stopped when the block ends.

    Args:
        ledger: Its SQLite file; a temporary one if None.
        **options: Those of `qstore-mock-provider --help`, with underscores: `queue=2`, `price_shot="0.001:0.002"`,
            `force=["drop-after-accept:1"]`, `fault={"rate-limit": 0.1}`.

    >>> with provider(max_circuits=10) as running:
    ...     running.requests()
    {'requests': {}, 'faults': {}}
    """
    with tempfile.TemporaryDirectory(prefix="qstore-mock-provider-") as folder:
        place = Path(folder)
        running = RunningProvider(Path(ledger or place / "ledger.sqlite"), log_path=place / "log", options=options)
        try:
            running.start()
            yield running
        finally:
            running.stop()


def _arguments(options: Mapping[str, Any]) -> list[str]:
    arguments = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, Mapping):
            values = [f"{key}={rate}" for key, rate in value.items()]
        elif isinstance(value, list | tuple):
            values = list(map(str, value))
        else:
            values = [] if value is None else [str(value)]
        arguments += [part for each in values for part in (flag, each)]
    return arguments


def _first_line(process: subprocess.Popen[str], seconds: float) -> str:
    """The first line of a process's output, or nothing when it ends, or none comes in time."""
    if process.stdout is None:
        return ""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        return process.stdout.readline() if selector.select(seconds) else ""
