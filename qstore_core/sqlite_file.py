"""The file of the SQLite cache: what is in it, and how it is opened without harm to what is not ours.

Before a file is opened for writing it is looked at through a connection that cannot write, so that a damaged or foreign
file stays as it is, byte for byte.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from qstore_core.errors import CacheError

_APPLICATION = 0x71736331  # "qsc1"
_VERSION = 1
_WAIT = 60.0  # seconds for another process to finish its transaction
_REMEDY = "delete it, since a cache can always be made anew, or choose another path"
# Values lie apart, so that noting a use does not write them again. A later entry has a higher id.
_SCHEMA = (
    "PRAGMA auto_vacuum = INCREMENTAL",
    "PRAGMA journal_mode = WAL",
    "CREATE TABLE entries "
    "(id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, created REAL NOT NULL, used INTEGER NOT NULL)",
    "CREATE INDEX entries_used ON entries (used)",
    "CREATE TABLE payloads (id INTEGER PRIMARY KEY, value BLOB NOT NULL)",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {_VERSION}",
)


def open_cache_file(path: Path, max_bytes: int) -> sqlite3.Connection:
    """A connection to the cache at `path`, which is made if there is none; any thread may use it, one at a time.

    Raises:
        CacheError: The file is damaged or something else; it was not changed.
        sqlite3.Error, OSError: It cannot be read or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _make(path)
    _check_file(path)
    connection = _connect(path, mode="rw")
    try:
        page = number(connection, "PRAGMA page_size")
        pages = min(1000, max(16, max_bytes // (8 * page)))
        connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may cost the last entries, never the file
        connection.execute(f"PRAGMA wal_autocheckpoint = {pages}")
        connection.execute(f"PRAGMA journal_size_limit = {pages * page}")
        connection.execute("BEGIN IMMEDIATE")  # alone it succeeds even where the file cannot be written
        connection.execute(f"PRAGMA user_version = {_VERSION}")
        connection.execute("ROLLBACK")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction for writing, which all of its statements take part in or none."""
    connection.execute("BEGIN IMMEDIATE")
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


def explained(path: Path, error: sqlite3.Error | OSError) -> CacheError:
    """What to raise where SQLite or the system failed: what is wrong, and what to do."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_NOTADB:
        return CacheError(f"{path} is no cache of qstore: {error}; it was left as it is: choose another path")
    if code == sqlite3.SQLITE_CORRUPT:
        return CacheError(f"the cache {path} is damaged: {error}; {_REMEDY}")
    return CacheError(f"cannot use the cache {path}: {error}; it needs a directory and a file that can be written")


def _connect(path: Path, *, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.as_uri()}?mode={mode}", timeout=_WAIT, isolation_level=None, check_same_thread=False, uri=True
    )


def _make(path: Path) -> None:
    """Make an empty cache elsewhere and give it its name, so that at any instant there is all of it or nothing."""
    with TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as place:
        made = Path(place) / "made"
        with closing(_connect(made, mode="rwc")) as connection:
            for statement in _SCHEMA:
                connection.execute(statement)
        try:
            path.hardlink_to(made)
        except FileExistsError:
            pass  # another process was faster
        except OSError:  # a file system without links
            if not path.exists():
                made.replace(path)


def _check_file(path: Path) -> None:
    """Raise `CacheError` unless there is a sound cache at `path`; nothing there is changed."""
    if not path.is_file():
        kind = "a directory" if path.is_dir() else "not a regular file"
        raise CacheError(f"the cache {path} is {kind}; give the path of a file")
    if not path.stat().st_size:
        raise CacheError(f"{path} is no cache of qstore: it is empty; delete it, or choose another path")
    # Read through SQLite: closing the file by ourselves would drop the locks of this process's other connections to it.
    with closing(_connect(path, mode="ro")) as connection:
        try:
            _check_owner(path, connection)
            _check_tables(path, connection)
        except sqlite3.OperationalError as error:
            # Where there is no write-ahead log, a process may die while it writes. SQLite takes that back when the file
            # is opened for writing.
            if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK or _owner_in_header(path) != _APPLICATION:
                raise


def _check_tables(path: Path, connection: sqlite3.Connection) -> None:
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if not names >= {"entries", "entries_used", "payloads"}:
        verdict = "it lacks a table"
    if verdict != "ok":
        raise CacheError(f"the cache {path} is damaged: {' '.join(verdict.split())}; {_REMEDY}")


def _check_owner(path: Path, connection: sqlite3.Connection) -> None:
    if number(connection, "PRAGMA application_id") != _APPLICATION:
        raise CacheError(f"{path} is a database, but no cache of qstore; it was left as it is: choose another path")
    version = number(connection, "PRAGMA user_version")
    if version != _VERSION:
        raise CacheError(
            f"the cache {path} is of {'a newer' if version > _VERSION else 'another'} version ({version}, not "
            f"{_VERSION}); install the qstore-core that made it, or choose another path"
        )


def _owner_in_header(path: Path) -> int:
    with path.open("rb") as stream:
        return int.from_bytes(stream.read(100)[68:72], "big")
