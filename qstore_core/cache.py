"""Caches of results: what a cache promises, and the one that lives in memory.

A cache is disposable: it saves work that could be done again, and the journal is the record of what was paid. Keys are
text that names the content, such as `row_keys` makes, and values are bytes, so that a cache can lie anywhere.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from numbers import Real
from typing import Any, Generic, Protocol, TypeVar

from qstore_core.errors import ConfigurationError

MEBIBYTE = 2**20

V = TypeVar("V")
_MISSING: Any = object()


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """What a cache did and what it holds.

    Attributes:
        hits: Look-ups that found something, since the cache was made or cleared.
        misses: Look-ups that did not.
        evictions: Entries that were dropped for want of room, or because they were too old.
        entries: How many entries it holds.
        bytes: The size of the values in memory, of the whole file on disk.

    >>> (CacheStatistics(hits=3) + CacheStatistics(misses=1)).hit_rate
    0.75
    """

    hits: int = 0
    misses: int = 0
    evictions: int = 0
    entries: int = 0
    bytes: int = 0

    @property
    def hit_rate(self) -> float:
        """The share of look-ups that found something; 0 before the first."""
        return self.hits / (self.hits + self.misses or 1)

    def __add__(self, other: CacheStatistics) -> CacheStatistics:
        return CacheStatistics(
            self.hits + other.hits,
            self.misses + other.misses,
            self.evictions + other.evictions,
            self.entries + other.entries,
            self.bytes + other.bytes,
        )


class Cache(Protocol):
    """Keeps bytes under keys, and may drop any of them at any time.

    Calls may come from several threads and several event loops, so nothing is bound to one. A cache has no length and
    is never falsy: an empty cache is still a cache.

    >>> import asyncio
    >>> cache: Cache = MemoryCache()
    >>> asyncio.run(cache.put_many({"key": b"value"}))
    >>> asyncio.run(cache.get_many(["key", "other"]))
    [b'value', None]
    """

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """What is there for each key, in the order of the keys, None where there is nothing."""
        ...

    async def put_many(self, items: Mapping[str, bytes]) -> None:
        """Keep values under their keys, in place of what was there."""
        ...

    async def clear(self) -> None:
        """Drop every entry and count from 0 again."""
        ...

    def stats(self) -> CacheStatistics:
        """What the cache did and what it holds."""
        ...


class RecentlyUsed(Generic[V]):
    """A table in memory that drops what was used longest ago when it is full. Safe to use from several threads.

    Args:
        max_entries: How many entries it holds; 0: none.
        ttl: Seconds after which an entry is too old; None: never.
        max_bytes: How much the sizes given to `put` may add up to; None: no limit.
        clock: The time in seconds.

    >>> table = RecentlyUsed[int](2)
    >>> for key in "abc":
    ...     table.put(key, ord(key))
    >>> table.get("a"), table.get("c")
    (None, 99)
    """

    def __init__(
        self,
        max_entries: int,
        *,
        ttl: float | None = None,
        max_bytes: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_entries = require_whole("max_entries", max_entries, least=0)
        self._max_bytes = None if max_bytes is None else require_whole("max_bytes", max_bytes, least=0)
        self._ttl = require_ttl(ttl)
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, tuple[V, int, float]] = OrderedDict()  # value, size, when it was put
        self._bytes = 0
        self._hits = self._misses = self._evictions = 0

    def get(self, key: Hashable, default: Any = None) -> V | Any:
        """The value under a key, or `default`."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and self._too_old(entry[2]):
                self._drop(key)
                self._evictions += 1
                entry = None
            if entry is None:
                self._misses += 1
                return default
            self._hits += 1
            self._entries.move_to_end(key)
            return entry[0]

    def put(self, key: Hashable, value: V, *, size: int = 0) -> None:
        """Keep a value that takes `size` bytes."""
        with self._lock:
            if key in self._entries:
                self._drop(key)
            if not self._max_entries or (self._max_bytes is not None and size > self._max_bytes):
                return  # rather than drop everything else for it
            self._entries[key] = (value, size, self._clock())
            self._bytes += size
            while self._over_full():
                self._drop(next(iter(self._entries)))
                self._evictions += 1

    def lookup(self, key: Hashable, make: Callable[[], V]) -> V:
        """The value under a key, made and kept if there is none. Two threads may both make it."""
        value = self.get(key, _MISSING)
        if value is _MISSING:
            value = make()
            self.put(key, value)
        return value

    def clear(self) -> None:
        """Drop every entry and count from 0 again."""
        with self._lock:
            self._entries.clear()
            self._bytes = self._hits = self._misses = self._evictions = 0

    def stats(self) -> CacheStatistics:
        """What the table did and what it holds."""
        with self._lock:
            if self._ttl is not None:
                self._drop_old()
            return CacheStatistics(self._hits, self._misses, self._evictions, len(self._entries), self._bytes)

    def _too_old(self, put: float) -> bool:
        return self._ttl is not None and self._clock() - put >= self._ttl

    def _drop_old(self) -> None:
        old = [key for key, entry in self._entries.items() if self._too_old(entry[2])]
        for key in old:
            self._drop(key)
        self._evictions += len(old)

    def _over_full(self) -> bool:
        too_large = self._max_bytes is not None and self._bytes > self._max_bytes
        return too_large or len(self._entries) > self._max_entries

    def _drop(self, key: Hashable) -> None:
        self._bytes -= self._entries.pop(key)[1]


class MemoryCache(Cache):
    """A cache in this process's memory, which drops what was used longest ago when it is full.

    Args:
        max_entries: How many entries it holds; 0: none.
        ttl: Seconds after which an entry is too old; None: never.
        max_bytes: How large its values are together; a larger value is not kept at all.
        clock: The time in seconds.

    Raises:
        ConfigurationError: A limit that is not a number, or below 0.

    >>> import asyncio
    >>> cache = MemoryCache(max_entries=1)
    >>> asyncio.run(cache.put_many({"first": b"1", "second": b"2"}))
    >>> cache.stats()
    CacheStatistics(hits=0, misses=0, evictions=1, entries=1, bytes=1)
    """

    def __init__(
        self,
        max_entries: int = 5000,
        ttl: float | None = None,
        *,
        max_bytes: int = 256 * MEBIBYTE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._table = RecentlyUsed[bytes](max_entries, ttl=ttl, max_bytes=max_bytes, clock=clock)

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        return [self._table.get(key) for key in keys]

    async def put_many(self, items: Mapping[str, bytes]) -> None:
        for key, value in items.items():
            self._table.put(key, value, size=len(value))

    async def clear(self) -> None:
        self._table.clear()

    def stats(self) -> CacheStatistics:
        return self._table.stats()


def require_whole(name: str, value: int, *, least: int) -> int:
    """`value`, if it is a whole number of at least `least`.

    >>> require_whole("max_entries", 5, least=0)
    5
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigurationError(f"{name} is a whole number of at least {least}, not {value!r}")
    return value


def require_ttl(ttl: float | None) -> float | None:
    """`ttl`, if it is a number of seconds above 0 or None; infinitely many are None.

    >>> require_ttl(float("inf")) is None
    True
    """
    if ttl is None:
        return None
    if not isinstance(ttl, Real) or isinstance(ttl, bool) or not ttl > 0:
        raise ConfigurationError(f"ttl is a number of seconds above 0, or None to keep entries, not {ttl!r}")
    return float(ttl) if isfinite(ttl) else None
