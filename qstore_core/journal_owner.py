"""One owner at a time for a journal file, and for the money it is the record of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from qstore_core.account import Account
from qstore_core.errors import JournalError
from qstore_core.journal import Journal


class JournalOwner:
    """Keeps a journal file from others while there is work on it, and takes over what they spent in between.

    Args:
        journal: The journal, in a file.
        account: What its jobs are charged to, and nothing else.

    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as place:
    ...     one, other = (Journal(Path(place) / "journal.sqlite") for _ in range(2))
    ...     with JournalOwner(one, Account()).working():
    ...         try:
    ...             with JournalOwner(other, Account()).working():
    ...                 pass
    ...         except JournalError:
    ...             print("refused")
    refused
    """

    def __init__(self, journal: Journal, account: Account) -> None:
        assert journal.path is not None
        self._journal = journal
        self._account = account
        self._seen: int | None = None
        path = journal.path.resolve()
        # not of a thread: work may begin in one and end in another
        self._lock = FileLock(path.with_name(f"{path.name}.lock"), timeout=0, thread_local=False)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Own the journal; work of the same owner may overlap.

        Raises:
            JournalError: Another executor, of this process or another, is at work on it; or it cannot be locked.
        """
        begins = not self._lock.is_locked
        try:
            self._lock.acquire()
        except Timeout:
            raise JournalError(
                f"another executor, of this process or another, is at work on the journal {self._journal.path}; wait "
                "until it is done, or share one executor, or give this one a journal of its own"
            ) from None
        except OSError as error:
            raise JournalError(f"cannot lock the journal {self._journal.path}: {error.strerror or error}") from error
        try:
            if begins:
                self._catch_up()
            yield
        finally:
            self._lock.release()

    def _catch_up(self) -> None:
        version = self._journal.version()
        if version != self._seen:
            self._account.spent = self._journal.total()
            self._seen = version
