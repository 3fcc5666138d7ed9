"""A cache in an SQLite file, which several processes and threads may use at once and which outlives them."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from qstore_core.cache import MEBIBYTE, Cache, CacheStatistics, require_ttl, require_whole
from qstore_core.errors import CacheError
from qstore_core.sqlite_file import FileKind, SharedFile, number, transaction

KIND = FileKind(
    noun="cache",
    application=0x71736331,  # "qsc1"
    version=1,
    # Values lie apart, so that noting a use does not write them again. A later entry has a higher id.
    schema=(
        "CREATE TABLE entries "
        "(id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, created REAL NOT NULL, used INTEGER NOT NULL)",
        "CREATE INDEX entries_used ON entries (used)",
        "CREATE TABLE payloads (id INTEGER PRIMARY KEY, value BLOB NOT NULL)",
    ),
    tables=frozenset({"entries", "entries_used", "payloads"}),
    remedy="delete it, since a cache can always be made anew, or choose another path",
    error=CacheError,
)
"""The file of a cache."""

_LEAST_BYTES = 2**16  # the tables alone take 24 KiB
_MANY_USES = 1000
_ROW_BYTES = 250  # of an entry beside its value: its key, in the table and in the index, and the order of use
_FIND = (
    "SELECT entries.key, payloads.value FROM entries JOIN payloads ON payloads.id = entries.id "
    "WHERE entries.key IN (SELECT value FROM json_each(?)) AND entries.created > ?"
)
_OF_KEYS = "SELECT id FROM entries WHERE key IN (SELECT value FROM json_each(?))"
_OLDEST = "SELECT entries.id, length(value) FROM entries JOIN payloads ON payloads.id = entries.id ORDER BY used"


class SqliteCache(Cache):
    """A cache in a file that processes and threads share, and that no crash of theirs can damage.

    What was used longest ago goes when the file would pass `max_bytes`. Uses are noted in memory and written with the
    next values, so the order of use is that of all processes up to a few of the last look-ups. Hits, misses and
    evictions are those of this object, entries and bytes those of the file.

    Args:
        path: The file; it is made, with its directory, if there is none.
        max_bytes: The size of the file; a value larger than a quarter of it is not kept. The write-ahead log beside
            the file comes on top: about an eighth of this, for a single large value a quarter.
        ttl: Seconds after which an entry is too old; None: never. What is too old for one process is dropped for all.
        clock: The time in seconds since 1970, on which all processes agree.

    Raises:
        CacheError: The file is not a cache of qstore, is damaged, is of a newer version, or cannot be written. It was
            left as it is.
        ConfigurationError: A limit that is not a number, or too low.

    >>> import asyncio, tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     cache = SqliteCache(Path(place) / "results.sqlite")
    ...     asyncio.run(cache.put_many({"key": b"value"}))
    ...     cache.close()
    ...     asyncio.run(SqliteCache(cache.path).get_many(["key", "other"]))
    [b'value', None]
    """

    def __init__(
        self,
        path: str | Path,
        max_bytes: int = 256 * MEBIBYTE,
        ttl: float | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._max_bytes = require_whole("max_bytes", max_bytes, least=_LEAST_BYTES)
        self._ttl = require_ttl(ttl)
        self._clock = clock
        self._file = SharedFile(KIND, path, log_bytes=self._max_bytes // 8)
        self.path = self._file.path
        self._uses: dict[str, None] = {}  # keys found since the last writing, the latest last
        self._hits = self._misses = self._evictions = 0
        with self._file.connected():
            pass

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        return await asyncio.to_thread(self._get, keys)

    async def put_many(self, items: Mapping[str, bytes]) -> None:
        await asyncio.to_thread(self._put, dict(items))

    async def clear(self) -> None:
        await asyncio.to_thread(self._clear)

    def stats(self) -> CacheStatistics:
        with self._file.connected() as connection:
            entries = number(connection, "SELECT COUNT(*) FROM entries")
            size = number(connection, "PRAGMA page_count") * number(connection, "PRAGMA page_size")
            return CacheStatistics(self._hits, self._misses, self._evictions, entries, size)

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        if not self._file.is_open:
            return
        with self._file.connected() as connection:
            try:
                if self._uses:
                    self._write(connection, {})
            finally:
                self._file.disconnect()

    def _get(self, keys: Sequence[str]) -> list[bytes | None]:
        with self._file.connected() as connection:
            found = dict(connection.execute(_FIND, (json.dumps(list(keys)), self._oldest_time())).fetchall())
            answers: list[bytes | None] = [found.get(key) for key in keys]
            hits = [key for key in keys if key in found]
            self._hits += len(hits)
            self._misses += len(keys) - len(hits)
            for key in hits:
                self._uses.pop(key, None)  # so that it becomes the last
                self._uses[key] = None
            if len(self._uses) >= _MANY_USES:
                self._write(connection, {})
            return answers

    def _put(self, items: Mapping[str, bytes]) -> None:
        with self._file.connected() as connection:
            for part in _parts(items, self._max_bytes):
                self._write(connection, part)

    def _clear(self) -> None:
        with self._file.connected() as connection:
            with transaction(connection):
                connection.execute("DELETE FROM entries")
                connection.execute("DELETE FROM payloads")
            _shrink(connection, 0)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._uses.clear()
            self._hits = self._misses = self._evictions = 0

    def _write(self, connection: sqlite3.Connection, items: Mapping[str, bytes]) -> None:
        """Note the uses and keep the items, in one transaction."""
        with transaction(connection):
            tick = number(connection, "SELECT COALESCE(MAX(used), 0) + 1 FROM entries")
            uses = [(tick + place, key) for place, key in enumerate(self._uses)]
            connection.executemany("UPDATE entries SET used = ? WHERE key = ?", uses)
            dropped = self._drop_old(connection)
            if items:
                self._insert(connection, items, tick + len(uses))
                dropped += self._make_room(connection)
        self._uses.clear()
        self._evictions += dropped
        _shrink(connection, self._max_bytes)

    def _insert(self, connection: sqlite3.Connection, items: Mapping[str, bytes], tick: int) -> None:
        replaced = connection.execute(_OF_KEYS, (json.dumps(list(items)),)).fetchall()
        _delete(connection, [entry for (entry,) in replaced])
        first = number(connection, "SELECT COALESCE(MAX(id), 0) + 1 FROM entries")
        now = self._clock()
        kept = {key: value for key, value in items.items() if len(value) <= self._max_bytes // 4}
        entries = [(first + place, key, now, tick + place) for place, key in enumerate(kept)]
        connection.executemany("INSERT INTO entries VALUES (?, ?, ?, ?)", entries)
        connection.executemany("INSERT INTO payloads VALUES (?, ?)", enumerate(kept.values(), first))

    def _drop_old(self, connection: sqlite3.Connection) -> int:
        if self._ttl is None:
            return 0
        fresh = "SELECT id FROM entries WHERE created > ? ORDER BY id LIMIT 1"  # reads no further than the old ones
        old = "SELECT id FROM entries WHERE id < COALESCE((" + fresh + "), 9223372036854775807)"
        entries = [entry for (entry,) in connection.execute(old, (self._oldest_time(),))]
        _delete(connection, entries)
        return len(entries)

    def _make_room(self, connection: sqlite3.Connection) -> int:
        page = number(connection, "PRAGMA page_size")
        dropped = 0
        while (excess := page * _pages_in_use(connection) - self._max_bytes) > 0:
            # a twentieth more than must be, so that not every call has to
            entries = _used_longest_ago(connection, excess + self._max_bytes // 20, page)
            if not entries:
                break
            _delete(connection, entries)
            dropped += len(entries)
        return dropped

    def _oldest_time(self) -> float:
        return -1e300 if self._ttl is None else self._clock() - self._ttl


def _parts(items: Mapping[str, bytes], max_bytes: int) -> Iterator[dict[str, bytes]]:
    """The items in transactions that let neither the file nor its log grow far beyond the bound."""
    part: dict[str, bytes] = {}
    size = 0
    for key, value in items.items():
        if part and size + len(value) > max_bytes // 8:
            yield part
            part, size = {}, 0
        part[key] = value
        size += len(value) + _ROW_BYTES
    if part:
        yield part


def _used_longest_ago(connection: sqlite3.Connection, size: int, page: int) -> list[int]:
    """The entries to drop so that at most `size` bytes become free: rather too few, since the caller looks again."""
    entries = []
    with closing(connection.execute(_OLDEST)) as rows:  # it must not be under way when the transaction ends
        for entry, length in rows:
            entries.append(entry)
            size -= _ROW_BYTES + (length if length < page // 4 else page * (1 + length // page))
            if size <= 0:
                break
    return entries


def _delete(connection: sqlite3.Connection, entries: Sequence[int]) -> None:
    for table in ("entries", "payloads"):
        connection.execute(f"DELETE FROM {table} WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(entries),))


def _shrink(connection: sqlite3.Connection, max_bytes: int) -> None:
    """Give free pages back to the system until the file has the size that it may have."""
    surplus = number(connection, "PRAGMA page_count") - max_bytes // number(connection, "PRAGMA page_size")
    if surplus > 0 and number(connection, "PRAGMA freelist_count"):
        # a page for each step, of which `execute` would do only one
        connection.executescript(f"PRAGMA incremental_vacuum({surplus})")


def _pages_in_use(connection: sqlite3.Connection) -> int:
    return number(connection, "PRAGMA page_count") - number(connection, "PRAGMA freelist_count")
