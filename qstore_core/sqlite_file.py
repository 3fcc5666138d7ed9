"""SQLite files that processes and threads share: how one is made, and opened without harm to what is not ours.

Before a file is opened for writing it is looked at through a connection that cannot write, so that a damaged or foreign
file stays as it is, byte for byte.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from qstore_core.errors import CacheError, StoreError

_WAIT = 60.0  # seconds for another process to finish its transaction


@dataclass(frozen=True, slots=True)
class FileKind:
    """What a file is for, and what is in it.

    Attributes:
        noun: What messages call it.
        application: The number that its header holds.
        version: The version of its tables.
        schema: The statements that make its tables.
        tables: What must be there.
        remedy: What to do when it is damaged.
        error: What is raised.
    """

    noun: str
    application: int
    version: int
    schema: tuple[str, ...]
    tables: frozenset[str]
    remedy: str
    error: type[CacheError] | type[StoreError]


class SharedFile:
    """A file with one connection to it, which the threads of this process take turns at and which no fork inherits.

    Args:
        kind: What it is.
        path: Where it lies; it is made, with its directory, if there is none.
        log_bytes: About how large the write-ahead log beside it may grow.
    """

    def __init__(self, kind: FileKind, path: str | Path, *, log_bytes: int) -> None:
        self._connection: sqlite3.Connection | None = None
        self.path = Path(path).expanduser().resolve()
        self._kind = kind
        self._log_bytes = log_bytes
        self._lock = threading.Lock()
        _opened.add(self)

    @property
    def is_open(self) -> bool:
        """Whether there is a connection now."""
        return self._connection is not None

    @contextmanager
    def connected(self) -> Iterator[sqlite3.Connection]:
        """The connection, opened if need be, for this thread alone.

        Raises:
            QStoreError: The kind's, when SQLite or the system fails; the message says what to do.
        """
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = _open(self._kind, self.path, self._log_bytes)
                yield self._connection
            except (sqlite3.Error, OSError) as error:
                raise _explained(self._kind, self.path, error) from error

    def disconnect(self) -> None:
        """Close the connection, if there is one; only inside `connected`, or when nobody else uses the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __del__(self) -> None:
        self.disconnect()


def _open(kind: FileKind, path: Path, log_bytes: int) -> sqlite3.Connection:
    """A connection to the file at `path`, which is made if there is none; any thread may use it, one at a time.

    Raises:
        QStoreError: The file is damaged or something else; it was not changed.
        sqlite3.Error, OSError: It cannot be read or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _make(kind, path)
    _check_file(kind, path)
    connection = _connect(path, mode="rw")
    try:
        page = number(connection, "PRAGMA page_size")
        pages = min(1000, max(16, log_bytes // page))
        connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may cost the last entries, never the file
        connection.execute(f"PRAGMA wal_autocheckpoint = {pages}")
        connection.execute(f"PRAGMA journal_size_limit = {pages * page}")
        connection.execute("BEGIN IMMEDIATE")  # alone it succeeds even where the file cannot be written
        connection.execute(f"PRAGMA user_version = {kind.version}")
        connection.execute("ROLLBACK")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection, kind: Literal["IMMEDIATE", "DEFERRED"] = "IMMEDIATE") -> Iterator[None]:
    """A transaction that all of its statements take part in or none: for writing, or deferred to read only."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # some failures have ended it
            connection.execute("ROLLBACK")
        raise


def number(connection: sqlite3.Connection, statement: str) -> int:
    """The whole number that a statement yields."""
    return int(connection.execute(statement).fetchone()[0])


def _explained(kind: FileKind, path: Path, error: sqlite3.Error | OSError) -> CacheError | StoreError:
    """What to raise where SQLite or the system failed: what is wrong, and what to do."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    noun = kind.noun
    if code == sqlite3.SQLITE_NOTADB:
        return kind.error(f"{path} is no {noun} of qstore: {error}; it was left as it is: choose another path")
    if code == sqlite3.SQLITE_CORRUPT:
        return kind.error(f"the {noun} {path} is damaged: {error}; {kind.remedy}")
    return kind.error(f"cannot use the {noun} {path}: {error}; it needs a directory and a file that can be written")


def _connect(path: Path, *, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.as_uri()}?mode={mode}", timeout=_WAIT, isolation_level=None, check_same_thread=False, uri=True
    )


def _make(kind: FileKind, path: Path) -> None:
    """Make an empty file elsewhere and give it its name, so that at any instant there is all of it or nothing."""
    with TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as place:
        made = Path(place) / "made"
        with closing(_connect(made, mode="rwc")) as connection:
            for statement in (*_FIRST, *kind.schema):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {kind.application}")
            connection.execute(f"PRAGMA user_version = {kind.version}")
        try:
            path.hardlink_to(made)
        except FileExistsError:
            pass  # another process was faster
        except OSError:  # a file system without links
            if not path.exists():
                made.replace(path)


def _check_file(kind: FileKind, path: Path) -> None:
    """Raise the kind's error unless there is a sound file of it at `path`; nothing there is changed."""
    if not path.is_file():
        found = "a directory" if path.is_dir() else "not a regular file"
        raise kind.error(f"the {kind.noun} {path} is {found}; give the path of a file")
    if not path.stat().st_size:
        raise kind.error(f"{path} is no {kind.noun} of qstore: it is empty; delete it, or choose another path")
    # Read through SQLite: closing the file by ourselves would drop the locks of this process's other connections to it.
    with closing(_connect(path, mode="ro")) as connection:
        try:
            _check_owner(kind, path, connection)
            _check_tables(kind, path, connection)
        except sqlite3.OperationalError as error:
            # Where there is no write-ahead log, a process may die while it writes. SQLite takes that back when the file
            # is opened for writing.
            rolled_back = error.sqlite_errorcode == sqlite3.SQLITE_READONLY_ROLLBACK
            if not rolled_back or _owner_in_header(path) != kind.application:
                raise


def _check_tables(kind: FileKind, path: Path, connection: sqlite3.Connection) -> None:
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if not names >= kind.tables:
        verdict = "it lacks a table"
    if verdict != "ok":
        raise kind.error(f"the {kind.noun} {path} is damaged: {' '.join(verdict.split())}; {kind.remedy}")


def _check_owner(kind: FileKind, path: Path, connection: sqlite3.Connection) -> None:
    noun = kind.noun
    if number(connection, "PRAGMA application_id") != kind.application:
        raise kind.error(f"{path} is a database, but no {noun} of qstore; it was left as it is: choose another path")
    version = number(connection, "PRAGMA user_version")
    if version != kind.version:
        raise kind.error(
            f"the {noun} {path} is of {'a newer' if version > kind.version else 'another'} version ({version}, not "
            f"{kind.version}); install the qstore-core that made it, or choose another path"
        )


def _owner_in_header(path: Path) -> int:
    with path.open("rb") as stream:
        return int.from_bytes(stream.read(100)[68:72], "big")


_FIRST = ("PRAGMA auto_vacuum = INCREMENTAL", "PRAGMA journal_mode = WAL")

# SQLite's connections must not cross a fork: the child would take its parent's locks for its own.
_opened: weakref.WeakSet[SharedFile] = weakref.WeakSet()
_held: list[SharedFile] = []


def _before_fork() -> None:
    for file in list(_opened):
        file._lock.acquire()
        _held.append(file)
        file.disconnect()


def _after_fork() -> None:
    while _held:
        _held.pop()._lock.release()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
