"""A store in an SQLite file: exact search with NumPy, no server, safe to share between processes."""

from __future__ import annotations

import json
import sqlite3
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from qstore_core.errors import StoreError
from qstore_core.sqlite_file import FileKind, SharedFile, transaction
from qstore_core.store import (
    Metric,
    StoreEntry,
    StoreInfo,
    StoreMatch,
    Where,
    check_dimension,
    check_metric,
    check_query,
    check_size,
    normalised,
    scores_of,
)
from qstore_core.store_filter import to_sql
from qstore_core.threaded_store import ThreadedStore, latest
from qstore_core.vector_table import MEBIBYTE, Nearest, VectorTables

KIND = FileKind(
    noun="store",
    application=0x71737631,  # "qsv1"
    version=1,
    # A later entry has a higher number and none is used again, so that what is new can be read alone.
    schema=(
        "CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
        "CREATE TABLE namespaces (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, removals INTEGER NOT NULL)",
        "CREATE TABLE entries (number INTEGER PRIMARY KEY AUTOINCREMENT, namespace INTEGER NOT NULL, "
        "id TEXT NOT NULL, metadata TEXT NOT NULL, UNIQUE (namespace, id))",
        # apart, so that filters do not read vectors, and in the order of a namespace's entries
        "CREATE TABLE vectors (namespace INTEGER NOT NULL, number INTEGER NOT NULL, vector BLOB NOT NULL, "
        "PRIMARY KEY (namespace, number)) WITHOUT ROWID",
    ),
    tables=frozenset({"settings", "namespaces", "entries", "vectors"}),
    remedy="put a copy back, or delete it and begin anew",
    error=StoreError,
)
"""The file of a store."""

_LOG_BYTES = 4 * MEBIBYTE
_GIVEN = "(SELECT value FROM json_each(?))"


class SqliteStore(ThreadedStore):
    """A store in a file that processes and threads share, and that no crash of theirs can damage.

    A query compares with every vector of the namespace. Vectors that were read once stay in memory, up to `max_memory`;
    of a namespace that is larger, the rest is read again in parts, so that memory stays bounded.

    Args:
        path: The file; it is made, with its directory, at the first use.
        metric: "cosine", "dotproduct" or "euclidean"; None: the file's, for a new file "cosine".
        dimension: The length of its vectors; None: that of the first.
        max_memory: Bytes of vectors kept in memory.

    Raises:
        ConfigurationError: Options that are not permitted.

    >>> import asyncio, tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     store = SqliteStore(f"{place}/store.sqlite")
    ...     asyncio.run(store.upsert([StoreEntry("a", [1.0, 0.0]), StoreEntry("b", [0.0, 1.0])]))
    ...     [match.id for match in asyncio.run(store.query([0.9, 0.1]))]
    ['a', 'b']
    """

    def __init__(
        self,
        path: str | Path,
        *,
        metric: Metric | None = None,
        dimension: int | None = None,
        max_memory: int = 256 * MEBIBYTE,
    ) -> None:
        self._wanted_metric = None if metric is None else check_metric(metric)
        self._wanted_dimension = check_size(dimension)
        self._file = SharedFile(KIND, path, log_bytes=_LOG_BYTES)
        self.path = self._file.path
        self._tables = VectorTables(max_memory)
        self._searching = threading.Lock()

    def _close(self) -> None:
        with self._searching:
            self._tables.clear()
            if self._file.is_open:  # else it would be opened, or made, to be closed
                with self._file.connected():
                    self._file.disconnect()

    def _upsert(self, entries: list[StoreEntry], namespace: str) -> None:
        kept = latest(entries)
        with self._file.connected() as connection, transaction(connection):
            dimension = self._settled(connection, len(entries[0].values))
            for entry in entries:
                check_dimension(f"entry {entry.id!r}", len(entry.values), dimension)
            space = _namespace(connection, namespace, make=True)
            _remove(connection, space, f"id IN {_GIVEN}", [json.dumps(list(kept))])
            for entry in kept.values():
                metadata = json.dumps(dict(entry.metadata))
                added = connection.execute(
                    "INSERT INTO entries (namespace, id, metadata) VALUES (?, ?, ?)", (space, entry.id, metadata)
                )
                blob = entry.values.astype("<f4").tobytes()
                connection.execute("INSERT INTO vectors VALUES (?, ?, ?)", (space, added.lastrowid, blob))

    def _query(self, vector: ArrayLike, top_k: int, where: Where | None, namespace: str) -> list[StoreMatch]:
        condition, arguments = to_sql(where, "metadata")
        with self._searching, self._file.connected() as connection, _snapshot(connection):
            metric, dimension = self._settings(connection)
            wanted = check_query(vector, top_k, dimension)
            space = _namespace(connection, namespace)
            if space is None or dimension is None:
                return []
            nearest = Nearest(top_k, metric)
            allowed = None if where is None else _numbers(connection, space, condition, arguments)
            if metric == "cosine":
                wanted = normalised(wanted[None])[0]
            scores = "dotproduct" if metric == "cosine" else metric  # of vectors of norm 1
            for numbers, matrix in self._tables.parts(connection, space, dimension, metric):
                if allowed is not None:
                    kept = np.isin(numbers, allowed, assume_unique=True)
                    numbers, matrix = numbers[kept], matrix[kept]
                nearest.add(numbers, scores_of(matrix, wanted, scores))
            return _matches(connection, nearest)

    def _fetch(self, ids: list[str], namespace: str) -> dict[str, StoreEntry]:
        with self._file.connected() as connection, _snapshot(connection):
            rows = connection.execute(
                "SELECT id, vector, metadata FROM entries JOIN vectors USING (namespace, number) "
                f"WHERE namespace = ? AND id IN {_GIVEN}",
                (_namespace(connection, namespace), json.dumps(ids)),
            ).fetchall()
        return {key: StoreEntry.kept(key, np.frombuffer(blob, "<f4"), json.loads(text)) for key, blob, text in rows}

    def _delete(self, ids: list[str] | None, where: Where | None, namespace: str) -> None:
        condition, arguments = to_sql(where, "metadata")
        if ids is not None:
            condition, arguments = f"id IN {_GIVEN}", [json.dumps(ids)]
        with self._file.connected() as connection, transaction(connection):
            space = _namespace(connection, namespace)
            if space is not None:
                _remove(connection, space, condition, arguments)

    def _list_ids(self, prefix: str, namespace: str) -> list[str]:
        with self._file.connected() as connection:
            rows = connection.execute(
                "SELECT id FROM entries WHERE namespace = ? AND substr(id, 1, ?) = ? ORDER BY id",
                (_namespace(connection, namespace), len(prefix), prefix),
            )
            return [key for (key,) in rows]

    def _describe(self) -> StoreInfo:
        with self._file.connected() as connection, _snapshot(connection):
            metric, dimension = self._settings(connection)
            rows = connection.execute(
                "SELECT name, COUNT(*) FROM namespaces JOIN entries ON namespace = namespaces.id GROUP BY name"
            )
            return StoreInfo(dimension, metric, dict(rows.fetchall()))

    def _settings(self, connection: sqlite3.Connection) -> tuple[Metric, int | None]:
        """The metric and the dimension of the file, or of the one that it is to become.

        Raises:
            StoreError: It was made with others than were asked for.
        """
        stored = dict(connection.execute("SELECT name, value FROM settings").fetchall())
        metric = check_metric(stored.get("metric", self._wanted_metric or "cosine"))
        dimension = int(stored["dimension"]) if stored else self._wanted_dimension
        for name, found, wanted in (
            ("metric", metric, self._wanted_metric),
            ("dimension", dimension, self._wanted_dimension),
        ):
            if wanted is not None and found != wanted:
                raise StoreError(
                    f"the store {self.path} was made with {name}={found!r}, not {wanted!r}; use that, or another file"
                )
        return metric, dimension

    def _settled(self, connection: sqlite3.Connection, first: int) -> int:
        """The dimension, which the first vector decides unless it was given."""
        metric, dimension = self._settings(connection)
        if dimension is None:
            dimension = first
        values = (("metric", metric), ("dimension", str(dimension)))
        connection.executemany("INSERT OR IGNORE INTO settings VALUES (?, ?)", values)
        return dimension


def _snapshot(connection: sqlite3.Connection) -> Any:
    """A transaction that sees the file as it is now, whatever others write meanwhile."""
    return transaction(connection, "DEFERRED")


def _namespace(connection: sqlite3.Connection, name: str, *, make: bool = False) -> int | None:
    """The number of a namespace."""
    if make:
        connection.execute("INSERT OR IGNORE INTO namespaces (name, removals) VALUES (?, 0)", (name,))
    row = connection.execute("SELECT id FROM namespaces WHERE name = ?", (name,)).fetchone()
    return None if row is None else int(row[0])


def _remove(connection: sqlite3.Connection, space: int | None, condition: str, arguments: list[Any]) -> None:
    """Drop a namespace's entries that meet a condition, and note that some are gone."""
    chosen = f"SELECT number FROM entries WHERE namespace = ? AND {condition}"
    gone = [number for (number,) in connection.execute(chosen, (space, *arguments))]
    if not gone:
        return
    given = (space, json.dumps(gone))
    for table in ("vectors", "entries"):
        connection.execute(f"DELETE FROM {table} WHERE namespace = ? AND number IN {_GIVEN}", given)
    connection.execute("UPDATE namespaces SET removals = removals + 1 WHERE id = ?", (space,))


def _numbers(connection: sqlite3.Connection, space: int, condition: str, arguments: list[Any]) -> Any:
    rows = connection.execute(f"SELECT number FROM entries WHERE namespace = ? AND {condition}", (space, *arguments))
    return np.fromiter((number for (number,) in rows), dtype=np.int64)


def _matches(connection: sqlite3.Connection, nearest: Nearest) -> list[StoreMatch]:
    found = nearest.best()
    rows = connection.execute(
        f"SELECT number, id, metadata FROM entries WHERE number IN {_GIVEN}", (json.dumps([n for n, _ in found]),)
    )
    known = {number: (key, text) for number, key, text in rows}
    return [StoreMatch(known[number][0], score, json.loads(known[number][1])) for number, score in found]
