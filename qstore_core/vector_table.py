"""The vectors of an SQLite store in memory: read once, brought up to date by what is new, and searched in parts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qstore_core.errors import ConfigurationError
from qstore_core.store import Metric, Vectors, normalised

MEBIBYTE = 2**20
PART_BYTES = 2 * MEBIBYTE
"""About how large a part is: small beside the whole, and large enough that NumPy's own overhead does not count."""

Part: TypeAlias = tuple[NDArray[np.int64], Vectors]
"""The numbers of some entries, rising, and their vectors, a row each."""


class Nearest:
    """The best few of all scores that it is shown; of equal scores the earlier entry comes first.

    >>> nearest = Nearest(2, "cosine")
    >>> nearest.add(np.array([1, 2, 3]), np.array([0.1, 0.9, 0.5], dtype=np.float32))
    >>> [number for number, _ in nearest.best()]
    [2, 3]
    """

    def __init__(self, top_k: int, metric: Metric) -> None:
        self._top_k = top_k
        self._sign = 1.0 if metric == "euclidean" else -1.0
        self._numbers = np.empty(0, dtype=np.int64)
        self._scores = np.empty(0, dtype=np.float32)

    def add(self, numbers: NDArray[np.int64], scores: Vectors) -> None:
        """Take in the scores of some entries, whose numbers are above those of all before."""
        if len(self._scores) == self._top_k:
            worst = self._scores[-1]
            better = np.flatnonzero(scores < worst if self._sign > 0 else scores > worst)
            if not len(better):
                return
            numbers, scores = numbers[better], scores[better]
        if len(scores) > self._top_k:
            least = np.partition(self._sign * scores, self._top_k - 1)[self._top_k - 1]
            kept = self._sign * scores <= least  # equal ones too, so that the order decides between them
            numbers, scores = numbers[kept], scores[kept]
        numbers, scores = np.concatenate([self._numbers, numbers]), np.concatenate([self._scores, scores])
        order = np.lexsort((numbers, self._sign * scores))[: self._top_k]
        self._numbers, self._scores = numbers[order], scores[order]

    def best(self) -> list[tuple[int, float]]:
        """The numbers and scores, the best first."""
        return list(zip(self._numbers.tolist(), self._scores.tolist(), strict=True))


@dataclass(slots=True, eq=False)
class _Table:
    """What is in memory of one namespace: its entries from the first on, as far as there was room."""

    removals: int = -1
    parts: list[Part] = field(default_factory=list)

    @property
    def last(self) -> int:
        """The number of the last entry in memory; 0: there is none."""
        return int(self.parts[-1][0][-1]) if self.parts else 0


class VectorTables:
    """The vectors of every namespace that was searched.

    Args:
        max_memory: How many bytes of vectors stay in memory in all.
    """

    def __init__(self, max_memory: int) -> None:
        if not isinstance(max_memory, int) or isinstance(max_memory, bool) or max_memory < 0:
            raise ConfigurationError(f"max_memory is a whole number of bytes of at least 0, not {max_memory!r}")
        self._max_memory = max_memory
        self._tables: dict[int, _Table] = {}

    def clear(self) -> None:
        """Drop everything from memory."""
        self._tables.clear()

    def parts(self, connection: sqlite3.Connection, space: int, dimension: int, metric: Metric) -> Iterator[Part]:
        """All vectors of a namespace as the connection's transaction sees them; for the cosine scaled to norm 1."""
        table = self._fresh_table(connection, space)
        yield from table.parts
        rows = max(1, PART_BYTES // (4 * dimension))
        room = True
        for numbers, matrix in _read(connection, space, dimension, after=table.last, rows=rows):
            part = numbers, normalised(matrix) if metric == "cosine" else matrix
            room = room and self._make_room(space, part[1].nbytes)  # once it is full, no later part: there are no gaps
            if room:
                self._keep(table, part, rows)
            yield part

    def _fresh_table(self, connection: sqlite3.Connection, space: int) -> _Table:
        (removals,) = connection.execute("SELECT removals FROM namespaces WHERE id = ?", (space,)).fetchone()
        table = self._tables.pop(space, None)
        if table is None or table.removals != removals:
            table = _Table(removals)
        self._tables[space] = table  # last: the one used longest ago is the first
        return table

    def _keep(self, table: _Table, part: Part, rows: int) -> None:
        """Add a part to those in memory, joined with the last if both are small."""
        if table.parts and len(table.parts[-1][0]) + len(part[0]) <= rows:
            numbers, matrix = table.parts.pop()
            part = np.concatenate([numbers, part[0]]), np.concatenate([matrix, part[1]])
        table.parts.append(part)

    def _make_room(self, space: int, size: int) -> bool:
        """Whether so many bytes fit, after other namespaces were dropped, the one used longest ago first."""
        others = [key for key in self._tables if key != space]
        while others and self._bytes() + size > self._max_memory:
            del self._tables[others.pop(0)]
        return self._bytes() + size <= self._max_memory

    def _bytes(self) -> int:
        return sum(matrix.nbytes for table in self._tables.values() for _, matrix in table.parts)


def _read(connection: sqlite3.Connection, space: int, dimension: int, *, after: int, rows: int) -> Iterator[Part]:
    """The entries after a number, in parts of so many rows."""
    statement = "SELECT number, vector FROM vectors WHERE namespace = ? AND number > ? ORDER BY number LIMIT ?"
    while True:
        found: list[tuple[int, bytes]] = connection.execute(statement, (space, after, rows)).fetchall()
        if not found:
            return
        numbers = np.array([number for number, _ in found], dtype=np.int64)
        blob: Any = b"".join(vector for _, vector in found)
        after = int(numbers[-1])
        yield numbers, np.frombuffer(blob, dtype="<f4").astype(np.float32, copy=False).reshape(-1, dimension)
