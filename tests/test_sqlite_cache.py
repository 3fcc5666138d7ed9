"""The cache in a file: what was put comes back, and it stays within its bounds."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from cache_files import get, integrity, put, value

from qstore_core import ConfigurationError, SqliteCache

KIBIBYTE = 1024


class Clock:
    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now


def bytes_on_disk(path: Path) -> int:
    return sum(file.stat().st_size for file in path.parent.iterdir() if not file.name.endswith("-shm"))


def test_values_come_back_in_the_order_of_the_keys(open_cache: Callable[..., SqliteCache]) -> None:
    cache = open_cache()
    put(cache, {"a": b"1", "b": b"", "c": bytes(range(256)) * 100})
    assert get(cache, "c", "missing", "a", "b", "a") == [bytes(range(256)) * 100, None, b"1", b"", b"1"]
    assert get(cache) == []
    put(cache, {})
    stats = cache.stats()
    assert (stats.hits, stats.misses, stats.evictions, stats.entries) == (4, 1, 0, 3)


def test_any_text_is_a_key_and_a_batch_may_be_large(open_cache: Callable[..., SqliteCache]) -> None:
    cache = open_cache()
    keys = ["", "'); DROP TABLE entries; --", '"', "\\", "ключ", "a\nb", *map(str, range(40_000))]
    put(cache, {key: key.encode() for key in keys})
    assert get(cache, *keys) == [key.encode() for key in keys]


def test_a_value_can_be_replaced(open_cache: Callable[..., SqliteCache]) -> None:
    cache = open_cache()
    put(cache, {"a": b"1", "b": b"2"})
    put(cache, {"a": b"longer", "c": b"3"})
    assert get(cache, "a", "b", "c") == [b"longer", b"2", b"3"]
    assert cache.stats().entries == 3


def test_entries_outlive_the_object_and_counts_do_not(cache_path: Path, open_cache: Callable[..., SqliteCache]) -> None:
    first = open_cache()
    put(first, {"a": b"1"})
    get(first, "a")
    first.close()
    assert [file.name for file in cache_path.parent.iterdir()] == [cache_path.name]
    second = open_cache()
    assert second.stats().hits == 0
    assert get(second, "a") == [b"1"]


def test_a_closed_cache_opens_again_when_it_is_used(open_cache: Callable[..., SqliteCache]) -> None:
    cache = open_cache()
    put(cache, {"a": b"1"})
    cache.close()
    cache.close()
    assert get(cache, "a") == [b"1"]


def test_an_empty_cache_is_not_falsy(open_cache: Callable[..., SqliteCache]) -> None:
    assert open_cache()


def test_a_missing_directory_is_made_and_a_link_is_followed(tmp_path: Path) -> None:
    path, link = tmp_path / "a" / "b" / "results #1?.sqlite", tmp_path / "link"
    link.symlink_to(path)
    for place in (link, path):
        cache = SqliteCache(place)
        put(cache, {"a": b"1"})
        cache.close()
        assert get(SqliteCache(place), "a") == [b"1"]
        assert path.is_file()


def test_a_file_system_without_links_will_do(cache_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(Path, "hardlink_to", fail)
    put(SqliteCache(cache_path), {"a": b"1"})
    assert get(SqliteCache(cache_path), "a") == [b"1"]


def test_clearing_empties_the_file_and_the_counts(cache_path: Path, open_cache: Callable[..., SqliteCache]) -> None:
    cache = open_cache()
    put(cache, {f"k-{index}": bytes(5000) for index in range(500)})
    get(cache, "k-1", "missing")
    asyncio.run(cache.clear())
    assert get(cache, "k-1") == [None]
    stats = cache.stats()
    assert (stats.hits, stats.misses, stats.evictions, stats.entries) == (0, 1, 0, 0)
    assert bytes_on_disk(cache_path) < 64 * KIBIBYTE
    put(cache, {"k-1": b"1"})
    assert get(cache, "k-1") == [b"1"]


def test_an_entry_is_gone_when_its_time_is_over(open_cache: Callable[..., SqliteCache]) -> None:
    clock = Clock()
    cache = open_cache(ttl=10.0, clock=clock)
    put(cache, {"a": b"1", "b": b"2"})
    clock.now += 6.0
    put(cache, {"b": b"2", "c": b"3"})
    clock.now += 3.999
    assert get(cache, "a") == [b"1"]
    clock.now += 0.001
    assert get(cache, "a", "b", "c") == [None, b"2", b"3"]
    put(cache, {"d": b"4"})
    assert (cache.stats().entries, cache.stats().evictions) == (3, 1)
    clock.now += 10.0
    put(cache, {"e": b"5"})
    assert (cache.stats().entries, cache.stats().evictions) == (1, 4)


def test_the_file_stays_near_its_bound_and_keeps_what_is_new(
    cache_path: Path, open_cache: Callable[..., SqliteCache]
) -> None:
    bound = 1024 * KIBIBYTE
    cache = open_cache(max_bytes=bound)
    for step in range(150):
        keys = [f"{step}-{index}" for index in range(20)]
        put(cache, {key: value(key) * (1 + step % 5) for key in keys})
        assert bytes_on_disk(cache_path) < 1.5 * bound
        assert get(cache, *keys) == [value(key) * (1 + step % 5) for key in keys]
    stats = cache.stats()
    assert stats.bytes <= bound
    assert stats.evictions + stats.entries == 3000
    assert stats.entries > 200
    cache.close()
    assert cache_path.stat().st_size <= bound
    assert integrity(cache_path) == "ok"


def test_a_file_that_had_a_larger_bound_shrinks(cache_path: Path, open_cache: Callable[..., SqliteCache]) -> None:
    cache = open_cache()
    put(cache, {f"k-{index}": bytes(3000) for index in range(1000)})
    cache.close()
    assert cache_path.stat().st_size > 3_000_000
    smaller = open_cache(max_bytes=256 * KIBIBYTE)
    put(smaller, {"new": b"1"})
    smaller.close()
    assert cache_path.stat().st_size <= 256 * KIBIBYTE
    assert get(smaller, "new") == [b"1"]


def test_what_was_used_longest_ago_goes_first(open_cache: Callable[..., SqliteCache]) -> None:
    cache = open_cache(max_bytes=512 * KIBIBYTE)
    put(cache, {f"old-{index}": bytes(2000) for index in range(150)})
    favourites = [f"old-{index}" for index in range(0, 150, 10)]
    for step in range(100):
        assert None not in get(cache, *favourites)
        put(cache, {f"new-{step}": bytes(8000)})
    assert cache.stats().evictions > 100
    assert get(cache, "old-1", "old-2", "new-0") == [None] * 3


def test_the_order_of_use_outlives_the_object(open_cache: Callable[..., SqliteCache]) -> None:
    first = open_cache(max_bytes=256 * KIBIBYTE)
    put(first, {f"k-{index}": bytes(4000) for index in range(40)})
    get(first, "k-0")
    first.close()
    second = open_cache(max_bytes=256 * KIBIBYTE)
    put(second, {f"n-{index}": bytes(4000) for index in range(20)})
    assert get(second, "k-0", "k-1") == [bytes(4000), None]


def test_many_look_ups_are_noted_without_any_writing(cache_path: Path, open_cache: Callable[..., SqliteCache]) -> None:
    reader, other = open_cache(), open_cache()
    put(reader, {f"k-{index}": b"1" for index in range(1001)})
    get(reader, *(f"k-{index}" for index in range(1, 1001)))
    with closing(sqlite3.connect(cache_path)) as connection:
        oldest = connection.execute("SELECT key FROM entries ORDER BY used LIMIT 1").fetchone()
    assert oldest == ("k-0",)
    assert other.stats().entries == 1001


def test_a_value_too_large_for_the_file_is_not_kept_and_costs_the_others_nothing(
    open_cache: Callable[..., SqliteCache],
) -> None:
    cache = open_cache(max_bytes=256 * KIBIBYTE)
    put(cache, {"a": bytes(60 * KIBIBYTE), "b": b"2"})
    put(cache, {"b": bytes(65 * KIBIBYTE), "c": b"3"})
    assert get(cache, "a", "b", "c") == [bytes(60 * KIBIBYTE), None, b"3"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_bytes": 65535}, "max_bytes is a whole number of at least 65536, not 65535"),
        ({"max_bytes": 1e9}, "max_bytes is a whole number"),
        ({"ttl": -1.0}, "ttl is a number of seconds above 0"),
    ],
)
def test_limits_are_checked_before_a_file_is_made(cache_path: Path, options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        SqliteCache(cache_path, **options)  # type: ignore[arg-type]
    assert not cache_path.exists()
