"""The cache in a file: shared by threads and processes, bounded, and unharmed by crashes and by what is not a cache."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from qstore_core import CacheError, ConfigurationError, SqliteCache

KIBIBYTE = 1024

# What the processes below run: every value follows from its key, so that a wrong one is noticed.
PRELUDE = """
import asyncio, hashlib, os, sqlite3, sys
from qstore_core.sqlite_cache import SqliteCache
path = sys.argv[1]
def value(key):
    return hashlib.sha256(key.encode()).digest() * (1 + len(key) * int(key.split("-")[-1]) % 60)
"""


def value(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest() * (1 + len(key) * int(key.split("-")[-1]) % 60)


def start(script: str, path: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PRELUDE + script, str(path), *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return output


class Clock:
    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.sqlite"


@pytest.fixture
def opened(path: Path) -> Iterator[Callable[..., SqliteCache]]:
    """`opened(**options)`: a cache at `path`, closed at the end."""
    caches: list[SqliteCache] = []

    def build(**options: object) -> SqliteCache:
        caches.append(SqliteCache(path, **options))  # type: ignore[arg-type]
        return caches[-1]

    yield build
    for cache in caches:
        cache.close()


def put(cache: SqliteCache, items: Mapping[str, bytes]) -> None:
    asyncio.run(cache.put_many(items))


def get(cache: SqliteCache, *keys: str) -> list[bytes | None]:
    return asyncio.run(cache.get_many(keys))


def integrity(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


def bytes_on_disk(path: Path) -> int:
    return sum(file.stat().st_size for file in path.parent.iterdir() if not file.name.endswith("-shm"))


def contents(path: Path) -> dict[str, bytes]:
    """The file, and what lies beside it and is not empty; the shared memory is no content."""
    files = [file for file in path.parent.iterdir() if file.is_file() and not file.name.endswith("-shm")]
    return {file.name: data for file in files if (data := file.read_bytes()) or file == path}


def test_values_come_back_in_the_order_of_the_keys(opened: Callable[..., SqliteCache]) -> None:
    cache = opened()
    put(cache, {"a": b"1", "b": b"", "c": bytes(range(256)) * 100})
    assert get(cache, "c", "missing", "a", "b", "a") == [bytes(range(256)) * 100, None, b"1", b"", b"1"]
    assert get(cache) == []
    put(cache, {})
    stats = cache.stats()
    assert (stats.hits, stats.misses, stats.evictions, stats.entries) == (4, 1, 0, 3)


def test_any_text_is_a_key_and_a_batch_may_be_large(opened: Callable[..., SqliteCache]) -> None:
    cache = opened()
    keys = ["", "'); DROP TABLE entries; --", '"', "\\", "ключ", "a\nb", *map(str, range(40_000))]
    put(cache, {key: key.encode() for key in keys})
    assert get(cache, *keys) == [key.encode() for key in keys]


def test_a_value_can_be_replaced(opened: Callable[..., SqliteCache]) -> None:
    cache = opened()
    put(cache, {"a": b"1", "b": b"2"})
    put(cache, {"a": b"longer", "c": b"3"})
    assert get(cache, "a", "b", "c") == [b"longer", b"2", b"3"]
    assert cache.stats().entries == 3


def test_entries_outlive_the_object_and_counts_do_not(path: Path, opened: Callable[..., SqliteCache]) -> None:
    first = opened()
    put(first, {"a": b"1"})
    get(first, "a")
    first.close()
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    second = opened()
    assert second.stats().hits == 0
    assert get(second, "a") == [b"1"]


def test_a_closed_cache_opens_again_when_it_is_used(opened: Callable[..., SqliteCache]) -> None:
    cache = opened()
    put(cache, {"a": b"1"})
    cache.close()
    cache.close()
    assert get(cache, "a") == [b"1"]


def test_an_empty_cache_is_not_falsy(opened: Callable[..., SqliteCache]) -> None:
    assert opened()


def test_a_missing_directory_is_made_and_a_link_is_followed(tmp_path: Path) -> None:
    path, link = tmp_path / "a" / "b" / "results #1?.sqlite", tmp_path / "link"
    link.symlink_to(path)
    for place in (link, path):
        cache = SqliteCache(place)
        put(cache, {"a": b"1"})
        cache.close()
        assert get(SqliteCache(place), "a") == [b"1"]
        assert path.is_file()


def test_a_file_system_without_links_will_do(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(Path, "hardlink_to", fail)
    put(SqliteCache(path), {"a": b"1"})
    assert get(SqliteCache(path), "a") == [b"1"]


def test_one_event_loop_may_have_many_calls_under_way(opened: Callable[..., SqliteCache]) -> None:
    cache = opened()

    async def use() -> list[list[bytes | None]]:
        await asyncio.gather(*(cache.put_many({f"k-{index}": value(f"k-{index}")}) for index in range(50)))
        return await asyncio.gather(*(cache.get_many([f"k-{index}"]) for index in range(50)))

    assert asyncio.run(use()) == [[value(f"k-{index}")] for index in range(50)]


def test_threads_share_one_object_or_have_each_their_own(opened: Callable[..., SqliteCache]) -> None:
    shared = opened()

    def work(number: int) -> bool:
        cache = shared if number % 2 else opened()
        for index in range(50):
            put(cache, {f"{number}-{index}": value(f"{number}-{index}")})
        keys = [f"{number}-{index}" for index in range(50)]
        return get(cache, *keys) == list(map(value, keys))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))
    assert shared.stats().entries == 200


def test_clearing_empties_the_file_and_the_counts(path: Path, opened: Callable[..., SqliteCache]) -> None:
    cache = opened()
    put(cache, {f"k-{index}": bytes(5000) for index in range(500)})
    get(cache, "k-1", "missing")
    asyncio.run(cache.clear())
    assert get(cache, "k-1") == [None]
    stats = cache.stats()
    assert (stats.hits, stats.misses, stats.evictions, stats.entries) == (0, 1, 0, 0)
    assert bytes_on_disk(path) < 64 * KIBIBYTE
    put(cache, {"k-1": b"1"})
    assert get(cache, "k-1") == [b"1"]


def test_an_entry_is_gone_when_its_time_is_over(opened: Callable[..., SqliteCache]) -> None:
    clock = Clock()
    cache = opened(ttl=10.0, clock=clock)
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


def test_the_file_stays_near_its_bound_and_keeps_what_is_new(path: Path, opened: Callable[..., SqliteCache]) -> None:
    bound = 1024 * KIBIBYTE
    cache = opened(max_bytes=bound)
    for step in range(150):
        keys = [f"{step}-{index}" for index in range(20)]
        put(cache, {key: value(key) * (1 + step % 5) for key in keys})
        assert bytes_on_disk(path) < 1.5 * bound
        assert get(cache, *keys) == [value(key) * (1 + step % 5) for key in keys]
    stats = cache.stats()
    assert stats.bytes <= bound
    assert stats.evictions + stats.entries == 3000
    assert stats.entries > 200
    cache.close()
    assert path.stat().st_size <= bound
    assert integrity(path) == "ok"


def test_a_file_that_had_a_larger_bound_shrinks(path: Path, opened: Callable[..., SqliteCache]) -> None:
    cache = opened()
    put(cache, {f"k-{index}": bytes(3000) for index in range(1000)})
    cache.close()
    assert path.stat().st_size > 3_000_000
    smaller = opened(max_bytes=256 * KIBIBYTE)
    put(smaller, {"new": b"1"})
    smaller.close()
    assert path.stat().st_size <= 256 * KIBIBYTE
    assert get(smaller, "new") == [b"1"]


def test_what_was_used_longest_ago_goes_first(opened: Callable[..., SqliteCache]) -> None:
    cache = opened(max_bytes=512 * KIBIBYTE)
    put(cache, {f"old-{index}": bytes(2000) for index in range(150)})
    favourites = [f"old-{index}" for index in range(0, 150, 10)]
    for step in range(100):
        assert None not in get(cache, *favourites)
        put(cache, {f"new-{step}": bytes(8000)})
    assert cache.stats().evictions > 100
    assert get(cache, "old-1", "old-2", "new-0") == [None] * 3


def test_the_order_of_use_outlives_the_object(opened: Callable[..., SqliteCache]) -> None:
    first = opened(max_bytes=256 * KIBIBYTE)
    put(first, {f"k-{index}": bytes(4000) for index in range(40)})
    get(first, "k-0")
    first.close()
    second = opened(max_bytes=256 * KIBIBYTE)
    put(second, {f"n-{index}": bytes(4000) for index in range(20)})
    assert get(second, "k-0", "k-1") == [bytes(4000), None]


def test_many_look_ups_are_noted_without_any_writing(path: Path, opened: Callable[..., SqliteCache]) -> None:
    reader, other = opened(), opened()
    put(reader, {f"k-{index}": b"1" for index in range(1001)})
    get(reader, *(f"k-{index}" for index in range(1, 1001)))
    with closing(sqlite3.connect(path)) as connection:
        oldest = connection.execute("SELECT key FROM entries ORDER BY used LIMIT 1").fetchone()
    assert oldest == ("k-0",)
    assert other.stats().entries == 1001


def test_a_value_too_large_for_the_file_is_not_kept_and_costs_the_others_nothing(
    opened: Callable[..., SqliteCache],
) -> None:
    cache = opened(max_bytes=256 * KIBIBYTE)
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
def test_limits_are_checked_before_a_file_is_made(path: Path, options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        SqliteCache(path, **options)  # type: ignore[arg-type]
    assert not path.exists()


SHARE = """
mine, other = sys.argv[2:]
cache = SqliteCache(path)
print("ready", flush=True)
sys.stdin.readline()
for index in range(500):
    own, common = f"{mine}-{index}", f"common-{index % 50}"
    asyncio.run(cache.put_many({own: value(own), common: value(common)}))
    keys = [own, common, f"{mine}-{index // 2}", f"{other}-{index}", f"{other}-{index // 2}"]
    found = asyncio.run(cache.get_many(keys))
    assert all(each == value(key) for key, each in zip(keys[:3], found))
    assert all(each in (None, value(key)) for key, each in zip(keys, found))
cache.close()
"""


def test_two_processes_at_once_lose_nothing_and_corrupt_nothing(path: Path, opened: Callable[..., SqliteCache]) -> None:
    processes = [start(SHARE, path, *names) for names in (("left", "right"), ("right", "left"))]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        finish(process)
    keys = [f"{name}-{index}" for name in ("left", "right") for index in range(500)]
    keys += [f"common-{index}" for index in range(50)]
    cache = opened()
    assert get(cache, *keys) == list(map(value, keys))
    assert cache.stats().entries == len(keys)
    cache.close()
    assert integrity(path) == "ok"


SMALL = """
mine = sys.argv[2]
cache = SqliteCache(path, max_bytes=2**17)
for index in range(300):
    key = f"{mine}-{index}"
    asyncio.run(cache.put_many({key: value(key)}))
    for key, found in zip([key, "0-7"], asyncio.run(cache.get_many([key, "0-7"]))):
        assert found in (None, value(key))
    if index % 100 == 50:
        cache.close()
"""


def test_processes_that_evict_shrink_and_close_at_once_corrupt_nothing(path: Path) -> None:
    for process in [start(SMALL, path, str(number)) for number in range(3)]:
        finish(process)
    assert integrity(path) == "ok"
    assert path.stat().st_size <= 2**17


MAKE = """
sys.stdin.readline()
cache = SqliteCache(path)
asyncio.run(cache.put_many({f"{sys.argv[2]}-1": b"1"}))
"""


def test_processes_that_make_the_file_at_once_make_one(path: Path, opened: Callable[..., SqliteCache]) -> None:
    processes = [start(MAKE, path, str(number)) for number in range(4)]
    for process in processes:
        finish(process)
    assert get(opened(), *(f"{number}-1" for number in range(4))) == [b"1"] * 4


WRITE_ON = """
print("ready", flush=True)
cache = SqliteCache(path, max_bytes=2**18)
index = 0
while True:
    keys = [f"k-{number}" for number in range(index, index + 7)]
    asyncio.run(cache.put_many({key: value(key) for key in keys}))
    print(keys[-1], flush=True)
    index += 7
"""


@pytest.mark.skipif(os.name != "posix", reason="needs kill -9")
@pytest.mark.parametrize("delay", [0.0, 0.001, 0.003, 0.006, 0.012, 0.05, 0.11, 0.23])
def test_a_kill_at_any_instant_leaves_a_sound_file_with_all_that_was_put(path: Path, delay: float) -> None:
    process = start(WRITE_ON, path)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    output, _ = process.communicate()
    cache = SqliteCache(path, max_bytes=2**18)
    written = output.split("\n")[:-1]
    if written:
        assert get(cache, written[-1]) == [value(written[-1])]
    keys = [f"k-{number}" for number in range(7 * len(written) + 7)]
    assert all(found in (None, value(key)) for key, found in zip(keys, get(cache, *keys), strict=True))
    put(cache, {"after-1": b"1"})
    cache.close()
    assert integrity(path) == "ok"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_shares_the_file_like_any_other_process(path: Path, opened: Callable[..., SqliteCache]) -> None:
    cache = opened()
    put(cache, {"a-1": value("a-1")})
    child = os.fork()
    if not child:
        status = 1
        try:
            for index in range(100):
                cache._put({f"child-{index}": value(f"child-{index}")})
            cache.close()
            status = 0
        finally:
            os._exit(status)
    for index in range(100):
        put(cache, {f"parent-{index}": value(f"parent-{index}")})
    assert os.waitpid(child, 0)[1] == 0
    keys = ["a-1", *(f"{name}-{index}" for name in ("child", "parent") for index in range(100))]
    assert get(cache, *keys) == list(map(value, keys))
    cache.close()
    assert integrity(path) == "ok"


def refused(path: Path, *, match: str) -> None:
    """That a cache cannot be opened at `path`, which the message names, and that nothing there changes."""
    before = contents(path)
    with pytest.raises(CacheError, match=match) as caught:
        SqliteCache(path)
    assert str(path) in str(caught.value)
    assert contents(path) == before


def filled(path: Path) -> int:
    """Make a cache with entries at `path`; returns how many pages it has."""
    cache = SqliteCache(path)
    put(cache, {f"k-{index}": value(f"k-{index}") for index in range(300)})
    cache.close()
    return path.stat().st_size // 4096


@pytest.mark.parametrize(
    "content", [b"", b"hi", b"not a database\n" * 1000, bytes(5000), b"SQLite format 3\0", b"PK\3\4" * 99]
)
def test_a_foreign_file_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    refused(path, match="is no cache of qstore: .* choose another path")


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
@pytest.mark.parametrize("owner", [0, 0x71736A31])
def test_a_foreign_database_is_refused(path: Path, mode: str, owner: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute(f"PRAGMA application_id = {owner}")
        connection.execute("CREATE TABLE entries (key TEXT)")
    refused(path, match="is a database, but no cache of qstore; .* choose another path")


ABANDON = """
connection = sqlite3.connect(path, isolation_level=None)
if sys.argv[3] == "ours":
    from qstore_core.sqlite_cache import KIND
    marks = f"PRAGMA application_id = {KIND.application}", f"PRAGMA user_version = {KIND.version}"
    for statement in ("PRAGMA auto_vacuum = INCREMENTAL", "PRAGMA journal_mode = WAL", *KIND.schema, *marks):
        connection.execute(statement)
else:
    connection.execute("CREATE TABLE payloads (id INTEGER PRIMARY KEY, value BLOB NOT NULL)")
connection.execute(f"PRAGMA journal_mode = {sys.argv[2]}")
connection.execute("PRAGMA cache_size = 1")
if sys.argv[3] == "ours":
    connection.execute("INSERT INTO entries VALUES (1, 'whole-1', 0, 1)")
    connection.execute("INSERT INTO payloads VALUES (1, ?)", (value("whole-1"),))
connection.execute("BEGIN")
for _ in range(2000):
    connection.execute("INSERT INTO payloads (value) VALUES (randomblob(900))")
os._exit(0)  # without closing: the log stays beside the file
"""


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_foreign_database_whose_program_died_is_left_to_that_program(path: Path, mode: str) -> None:
    finish(start(ABANDON, path, mode, "foreign"))
    assert len(contents(path)) == 2
    refused(path, match="cannot use the cache" if mode == "DELETE" else "no cache of qstore")


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_an_unfinished_transaction_of_a_dead_process_is_taken_back(
    path: Path, mode: str, opened: Callable[..., SqliteCache]
) -> None:
    finish(start(ABANDON, path, mode, "ours"))
    assert len(contents(path)) == 2
    cache = opened()
    assert get(cache, "whole-1") == [value("whole-1")]
    put(cache, {"a": b"1"})
    assert get(cache, "a") == [b"1"]
    cache.close()
    assert integrity(path) == "ok"


@pytest.mark.parametrize("version", [0, 2, 2**31 - 1])
def test_another_version_is_refused(path: Path, version: int) -> None:
    filled(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    refused(path, match=rf"{'a newer' if version else 'another'} version \({version}, not 1\); install")


def test_a_cache_without_its_tables_is_refused(path: Path) -> None:
    filled(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE payloads")
    refused(path, match="is damaged: it lacks a table; delete it")


@pytest.mark.parametrize("where", ["schema", "map", "first", "middle", "last"])
def test_a_damaged_page_is_noticed(path: Path, where: str) -> None:
    pages = filled(path)
    offset = {"schema": 100, "map": 4096, "first": 8192, "middle": 4096 * (pages // 2), "last": 4096 * (pages - 1)}
    with path.open("r+b") as stream:
        stream.seek(offset[where])
        stream.write(b"\xa5" * (3996 if where == "schema" else 4096))
    refused(path, match="is damaged: .*delete it")


@pytest.mark.parametrize("kept", [0.5, 0.9, 0.99])
def test_a_truncated_file_is_noticed(path: Path, kept: float) -> None:
    filled(path)
    os.truncate(path, int(path.stat().st_size * kept))
    refused(path, match="is damaged: .*delete it")


def test_damage_under_a_log_that_a_dead_process_left_is_noticed_and_nothing_is_merged(path: Path) -> None:
    pages = filled(path)
    finish(start("cache = SqliteCache(path); cache._put({'late-1': b'1'}); os._exit(0)", path))
    with path.open("r+b") as stream:
        stream.seek(4096 * (pages // 2))
        stream.write(b"\xa5" * 4096)
    assert len(contents(path)) == 2
    refused(path, match="is damaged: .*delete it")


def test_damage_that_comes_later_is_an_error_too(path: Path, opened: Callable[..., SqliteCache]) -> None:
    filled(path)
    cache = opened()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE payloads")
    with pytest.raises(CacheError, match=f"cannot use the cache {path}: no such table"):
        get(cache, "k-1")
    with pytest.raises(CacheError, match="no such table"):
        put(cache, {"k-1": b"1"})


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match=f"the cache {tmp_path} is a directory; give the path of a file"):
        SqliteCache(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_device_is_refused() -> None:
    with pytest.raises(CacheError, match="is not a regular file"):
        SqliteCache(os.devnull)


def test_a_place_under_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("content")
    with pytest.raises(CacheError, match=r"cannot use the cache .* that can be written"):
        SqliteCache(file / "results.sqlite")
    assert file.read_text() == "content"


@contextmanager
def without_privileges() -> Iterator[None]:
    """As somebody for whom permissions hold, which they do not for root."""
    root = os.geteuid() == 0
    if root:
        try:
            os.seteuid(65534)
        except OSError:
            pytest.skip("nothing is unwritable for root, and this root cannot become somebody else")
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
@pytest.mark.parametrize("folder", [0o777, 0o555])
@pytest.mark.parametrize("file", [0o444, 0o000])
def test_a_file_that_cannot_be_written_is_refused(folder: int, file: int) -> None:
    with TemporaryDirectory() as place:  # pytest's own are closed to others
        path = Path(place).resolve() / "results.sqlite"
        filled(path)
        before = path.read_bytes()
        path.chmod(file)
        path.parent.chmod(folder)
        with without_privileges(), pytest.raises(CacheError, match=f"cannot use the cache {path}.* can be written"):
            SqliteCache(path)
        path.parent.chmod(0o755)
        path.chmod(0o644)
        assert path.read_bytes() == before


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
@pytest.mark.parametrize("name", ["results.sqlite", "deeper/results.sqlite"])
def test_a_directory_that_cannot_be_written_is_refused(name: str) -> None:
    with TemporaryDirectory() as place:
        path = Path(place).resolve()
        path.chmod(0o555)
        with without_privileges(), pytest.raises(CacheError, match=f"cannot use the cache {path}.* can be written"):
            SqliteCache(path / name)
        path.chmod(0o755)
        assert not list(path.iterdir())
