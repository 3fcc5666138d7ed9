"""A provider for a test or a script: started in a process of its own, and always stopped.

>>> with provider(queue=0.0) as running:
...     running.ledger()
()
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

from qstore_core.testing.provider.process import ServiceProcess, running
from qstore_mock.remote.ledger import LedgerEntry


class RunningProvider(ServiceProcess):
    """A provider process; made by `provider`."""

    module: ClassVar[str] = "qstore_mock.remote"
    words: ClassVar[str] = "the simulated provider"

    @property
    def headers(self) -> dict[str, str]:
        """The key, where it has one."""
        key = self._options.get("key") or os.environ.get("QSTORE_MOCK_KEY")
        return {"Authorization": f"Bearer {key}"} if key else {}

    def ledger(self) -> tuple[LedgerEntry, ...]:
        """Every job it ever accepted, with each circuit's digest, in the order of acceptance."""
        jobs = self.read("/ledger")["jobs"]
        return tuple(LedgerEntry(**(job | {"circuit_digests": tuple(job["circuit_digests"])})) for job in jobs)


def provider(*, ledger: Path | str | None = None, **options: Any) -> AbstractContextManager[RunningProvider]:
    """A running provider, stopped when the block ends.

    Args:
        ledger: Its SQLite file; a temporary one if None.
        **options: Those of `qstore-mock-provider --help`, with underscores: `queue=2`, `price_shot="0.001:0.002"`,
            `force=["drop-after-accept:1"]`, `fault={"rate-limit": 0.1}`.

    >>> with provider(max_circuits=10) as running:
    ...     running.requests()
    {'requests': {}, 'faults': {}}
    """
    return running(RunningProvider, ledger=ledger, options=options)
