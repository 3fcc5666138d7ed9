"""An emulator for a test or a script: started in a process of its own, and always stopped."""

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
from typing import Any
from urllib.request import ProxyHandler, build_opener

from qstore_core.errors import ConfigurationError
from qstore_ionq.emulator.ledger import LedgerEntry

_START_SECONDS = 30.0
_STOP_SECONDS = 10.0


class RunningEmulator:
    """An emulator process; made by `emulator`.

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
            raise ConfigurationError("the emulator is not running")
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it listens.

        Raises:
            ConfigurationError: It ends instead, for example because of an unknown option; the message says why.
        """
        command = [sys.executable, "-m", "qstore_ionq.emulator", "--with-parent", *arguments_of(self._options)]
        command += ["--ledger", str(self.ledger_path)]
        with self.log_path.open("a", encoding="utf-8") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        line = _first_line(self._process, _START_SECONDS)
        if not line:
            self.kill()
            raise ConfigurationError(f"the emulator did not start: {self.log_path.read_text().strip()}")
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
        return tuple(map(LedgerEntry.from_json, self._get("/ledger")["jobs"]))

    def charged(self) -> float:
        """What all its jobs have cost so far, in US dollars."""
        return sum(entry.charged or 0.0 for entry in self.ledger())

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
        with build_opener(ProxyHandler({})).open(self.url + path, timeout=_START_SECONDS) as response:
            return json.load(response)


@contextmanager
def emulator(*, ledger: Path | str | None = None, **options: Any) -> Iterator[RunningEmulator]:
    """A running emulator, stopped when the block ends.

    Args:
        ledger: Its SQLite file; a temporary one if None.
        **options: Those of `qstore-ionq-emulator --help`, with underscores: `queue=2`, `minimum="per_circuit"`,
            `force=["drop-after-accept:1"]`, `fault={"rate-limit": 0.1}`; flags as `list_children=True`.

    >>> with emulator(minimum="per_circuit") as running:
    ...     running.requests()
    {'requests': {}, 'faults': {}}
    """
    with tempfile.TemporaryDirectory(prefix="qstore-ionq-emulator-") as folder:
        place = Path(folder)
        running = RunningEmulator(Path(ledger or place / "ledger.sqlite"), log_path=place / "log", options=options)
        try:
            running.start()
            yield running
        finally:
            running.stop()


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
