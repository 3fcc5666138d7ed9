"""An emulator for a test or a script: started in a process of its own, and always stopped."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import ClassVar

from qstore_core.testing.provider.process import ServiceProcess, running


class RunningEmulator(ServiceProcess):
    """An emulator process, which keeps nothing that outlives it; made by `emulator`."""

    module: ClassVar[str] = "qstore_pinecone.emulator"
    words: ClassVar[str] = "the emulator"
    has_ledger: ClassVar[bool] = False

    @property
    def key(self) -> str:
        """What requests must carry."""
        return str(self._options["key"])

    def fail(self, request: str, what: str | int, *, after: int = 0, times: int = 1) -> None:
        """Have requests of a kind fail: `what` is "drop", "drop_after" it was carried out, or a status."""
        self.send("/faults", {"request": request, "what": what, "after": after, "times": times})


def emulator(key: str = "emulator") -> AbstractContextManager[RunningEmulator]:
    """A running emulator, empty, stopped when the block ends.

    >>> with emulator() as running:
    ...     running.requests()
    {'requests': {}, 'faults': {}}
    """
    return running(RunningEmulator, ledger=None, options={"key": key})
