"""A provider for a test or a script: started in a process of its own, and always stopped."""

from __future__ import annotations

import json
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from urllib.request import ProxyHandler, Request, build_opener

from qstore_core.errors import ConfigurationError

_START_SECONDS = 30.0
_STOP_SECONDS = 10.0


class ServiceProcess:
    """A provider's process; made by `running`.

    Attributes:
        module: What `python -m` starts.
        words: What messages call it.
        has_ledger: Whether it has a ledger, which outlives it.
        url: Where it listens, the same after a restart.
        ledger_path: Its SQLite file.
        log_path: What it writes to standard error.
    """

    module: ClassVar[str]
    words: ClassVar[str]
    has_ledger: ClassVar[bool] = True

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
            raise ConfigurationError(f"{self.words} is not running")
        return self._process.pid

    @property
    def headers(self) -> dict[str, str]:
        """What requests to it must carry."""
        return {}

    def start(self) -> None:
        """Start it and wait until it listens.

        Raises:
            ConfigurationError: It ends instead, for example because of an unknown option; the message says why.
        """
        command = [sys.executable, "-m", self.module, "--with-parent", *arguments_of(self._options)]
        if self.has_ledger:
            command += ["--ledger", str(self.ledger_path)]
        with self.log_path.open("a", encoding="utf-8") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        line = _first_line(self._process, _START_SECONDS)
        if not line:
            self.kill()
            raise ConfigurationError(f"{self.words} did not start: {self.log_path.read_text().strip()}")
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

    def requests(self) -> dict[str, dict[str, int]]:
        """How often it was asked for what, and met which fault, since it started: `requests` and `faults`."""
        counts: dict[str, dict[str, int]] = self.read("/requests")
        return counts

    def read(self, path: str) -> Any:
        """The JSON answer to a GET, without a client's retries and without a proxy."""
        return self._ask(Request(self.url + path, headers=self.headers))

    def send(self, path: str, document: Any) -> Any:
        """The JSON answer to a POST, likewise."""
        headers = {**self.headers, "Content-Type": "application/json"}
        return self._ask(Request(self.url + path, json.dumps(document).encode(), headers))

    def _ask(self, request: Request) -> Any:
        with build_opener(ProxyHandler({})).open(request, timeout=_START_SECONDS) as response:
            return json.load(response)

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


P = TypeVar("P", bound=ServiceProcess)


@contextmanager
def running(kind: type[P], *, ledger: Path | str | None, options: Mapping[str, Any]) -> Iterator[P]:
    """A running provider, stopped when the block ends.

    Args:
        kind: What it is.
        ledger: Its SQLite file; a temporary one if None.
        options: Those of its command, with underscores.
    """
    with tempfile.TemporaryDirectory(prefix="qstore-provider-") as folder:
        place = Path(folder)
        made = kind(Path(ledger or place / "ledger.sqlite"), log_path=place / "log", options=options)
        try:
            made.start()
            yield made
        finally:
            made.stop()


def arguments_of(options: Mapping[str, Any]) -> list[str]:
    """The options of the command line that keyword arguments stand for.

    >>> arguments_of({"queue": 2, "list_children": True, "fault": {"drop": 0.1}})
    ['--queue', '2', '--list-children', '--fault', 'drop=0.1']
    """
    arguments = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            arguments += [flag] if value else []
            continue
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
