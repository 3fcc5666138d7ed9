"""An emulator for a test or a script: started in a process of its own, and always stopped."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

from qstore_core.testing.provider.process import ServiceProcess, running
from qstore_ionq.emulator.ledger import LedgerEntry


class RunningEmulator(ServiceProcess):
    """An emulator process; made by `emulator`."""

    module: ClassVar[str] = "qstore_ionq.emulator"
    words: ClassVar[str] = "the emulator"

    def ledger(self) -> tuple[LedgerEntry, ...]:
        """Every job it ever accepted, with each circuit's digest, in the order of acceptance."""
        return tuple(map(LedgerEntry.from_json, self.read("/ledger")["jobs"]))

    def charged(self) -> float:
        """What all its jobs have cost so far, in US dollars."""
        return sum(entry.charged or 0.0 for entry in self.ledger())


def emulator(*, ledger: Path | str | None = None, **options: Any) -> AbstractContextManager[RunningEmulator]:
    """A running emulator, stopped when the block ends.

    Args:
        ledger: Its SQLite file; a temporary one if None.
        **options: Those of `qstore-ionq-emulator --help`, with underscores: `queue=2`, `minimum="per_circuit"`,
            `force=["drop-after-accept:1"]`, `fault={"rate-limit": 0.1}`; flags as `list_children=True`.

    >>> with emulator(minimum="per_circuit") as running:
    ...     running.requests()
    {'requests': {}, 'faults': {}}
    """
    return running(RunningEmulator, ledger=ledger, options=options)
