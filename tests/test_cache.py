"""Caches in memory: what goes when they are full or old, and what they count."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from qstore_core import Cache, CacheStatistics, ConfigurationError, MemoryCache
from qstore_core.cache import RecentlyUsed
from qstore_core.registry import Registry


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def put(cache: Cache, items: Mapping[str, bytes]) -> None:
    asyncio.run(cache.put_many(items))


def get(cache: Cache, *keys: str) -> list[bytes | None]:
    return asyncio.run(cache.get_many(keys))


def test_values_come_back_in_the_order_of_the_keys_over_several_event_loops() -> None:
    cache = MemoryCache()
    put(cache, {"a": b"1", "b": b"2"})
    assert get(cache, "b", "missing", "a", "b") == [b"2", None, b"1", b"2"]
    assert get(cache) == []
    assert cache.stats() == CacheStatistics(hits=3, misses=1, evictions=0, entries=2, bytes=2)
    assert cache.stats().hit_rate == 0.75


def test_the_entry_used_longest_ago_goes_first() -> None:
    cache = MemoryCache(max_entries=3)
    put(cache, {"a": b"1", "b": b"2", "c": b"3"})
    get(cache, "a")
    put(cache, {"d": b"4"})
    assert get(cache, "a", "b", "c", "d") == [b"1", None, b"3", b"4"]
    assert cache.stats().evictions == 1


def test_putting_a_key_again_replaces_its_value_and_counts_as_a_use() -> None:
    cache = MemoryCache(max_entries=2)
    put(cache, {"a": b"1", "b": b"2"})
    put(cache, {"a": b"longer"})
    put(cache, {"c": b"3"})
    assert get(cache, "a", "b", "c") == [b"longer", None, b"3"]
    assert cache.stats().bytes == 7


def test_an_entry_is_gone_when_its_time_is_over_however_often_it_was_used() -> None:
    clock = Clock()
    cache = MemoryCache(ttl=10.0, clock=clock)
    put(cache, {"a": b"1"})
    clock.now += 9.999
    assert get(cache, "a") == [b"1"]
    clock.now += 0.001
    assert get(cache, "a") == [None]
    assert cache.stats() == CacheStatistics(hits=1, misses=1, evictions=1)


def test_statistics_do_not_count_entries_that_are_too_old() -> None:
    clock = Clock()
    cache = MemoryCache(ttl=10.0, clock=clock)
    put(cache, {"a": b"1"})
    clock.now += 5.0
    put(cache, {"b": b"2"})
    clock.now += 5.0
    assert cache.stats() == CacheStatistics(evictions=1, entries=1, bytes=1)


def test_putting_again_renews_the_time() -> None:
    clock = Clock()
    cache = MemoryCache(ttl=10.0, clock=clock)
    put(cache, {"a": b"1"})
    clock.now += 8.0
    put(cache, {"a": b"1"})
    clock.now += 8.0
    assert get(cache, "a") == [b"1"]


def test_the_values_together_stay_under_the_bound() -> None:
    cache = MemoryCache(max_bytes=100)
    put(cache, {str(index): bytes(30) for index in range(10)})
    assert cache.stats() == CacheStatistics(evictions=7, entries=3, bytes=90)


def test_a_value_larger_than_the_bound_is_not_kept_and_costs_the_others_nothing() -> None:
    cache = MemoryCache(max_bytes=100)
    put(cache, {"a": bytes(50), "b": bytes(50)})
    put(cache, {"b": bytes(101)})
    assert get(cache, "a", "b") == [bytes(50), None]


def test_a_cache_of_no_entries_keeps_nothing() -> None:
    cache = MemoryCache(max_entries=0)
    put(cache, {"a": b"1"})
    assert get(cache, "a") == [None]
    assert cache.stats() == CacheStatistics(misses=1)


def test_clearing_drops_entries_and_counts() -> None:
    cache = MemoryCache()
    put(cache, {"a": b"1"})
    get(cache, "a", "b")
    asyncio.run(cache.clear())
    assert cache.stats() == CacheStatistics()
    assert cache.stats().hit_rate == 0.0
    assert get(cache, "a") == [None]


def test_an_empty_cache_is_not_falsy() -> None:
    assert MemoryCache()


def test_threads_lose_nothing_and_counts_add_up() -> None:
    cache = MemoryCache(max_entries=10_000)

    def work(number: int) -> int:
        for index in range(200):
            put(cache, {f"{number}-{index}": b"value"})
        return sum(get(cache, f"{number}-{index}") == [b"value"] for index in range(200))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [200] * 4
    assert cache.stats() == CacheStatistics(hits=800, entries=800, bytes=4000)


def test_a_full_table_used_by_threads_stays_within_its_bound() -> None:
    table = RecentlyUsed[int](50)

    def work(number: int) -> None:
        for index in range(2000):
            table.put(index % 97, number)
            assert table.get((index * number) % 97, 0) in range(4)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert table.stats().entries == 50


def test_a_lookup_makes_a_value_once_even_if_it_is_none() -> None:
    table = RecentlyUsed[object](2)
    made: list[str] = []

    def make() -> None:
        made.append("made")

    assert [table.lookup("key", make), table.lookup("key", make)] == [None, None]
    assert made == ["made"]
    assert (table.stats().hits, table.stats().misses) == (1, 1)


def test_what_fails_to_be_made_is_not_kept() -> None:
    table = RecentlyUsed[int](2)
    with pytest.raises(ZeroDivisionError):
        table.lookup("key", lambda: 1 // 0)
    assert table.lookup("key", lambda: 7) == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_entries": -1}, "max_entries is a whole number of at least 0, not -1"),
        ({"max_entries": 1.5}, "max_entries is a whole number"),
        ({"max_entries": True}, "max_entries is a whole number"),
        ({"max_bytes": "1"}, "max_bytes is a whole number"),
        ({"ttl": 0}, "ttl is a number of seconds above 0, or None to keep entries, not 0"),
        ({"ttl": float("nan")}, "ttl is a number of seconds"),
        ({"ttl": True}, "ttl is a number of seconds"),
    ],
)
def test_limits_are_checked(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        MemoryCache(**options)  # type: ignore[arg-type]


def test_an_endless_time_to_live_is_none() -> None:
    clock = Clock()
    cache = MemoryCache(ttl=float("inf"), clock=clock)
    put(cache, {"a": b"1"})
    clock.now += 1e12
    assert get(cache, "a") == [b"1"]


def test_caches_are_registered_by_name(tmp_path: object) -> None:
    registry = Registry(distributions=list)
    assert registry.names("cache") == ("memory", "sqlite")
    assert registry.create("cache", "memory", max_entries=3, ttl=1.0).stats() == CacheStatistics()
    sqlite = registry.create("cache", "sqlite", path=f"{tmp_path}/results.sqlite")
    assert sqlite.stats().entries == 0
    sqlite.close()
