"""The cache in a file, shared by threads and processes that write, evict, fork and are killed."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cache_files import finish, get, integrity, put, start, value

from qstore_core import SqliteCache


def test_one_event_loop_may_have_many_calls_under_way(open_cache: Callable[..., SqliteCache]) -> None:
    cache = open_cache()

    async def use() -> list[list[bytes | None]]:
        await asyncio.gather(*(cache.put_many({f"k-{index}": value(f"k-{index}")}) for index in range(50)))
        return await asyncio.gather(*(cache.get_many([f"k-{index}"]) for index in range(50)))

    assert asyncio.run(use()) == [[value(f"k-{index}")] for index in range(50)]


def test_threads_share_one_object_or_have_each_their_own(open_cache: Callable[..., SqliteCache]) -> None:
    shared = open_cache()

    def work(number: int) -> bool:
        cache = shared if number % 2 else open_cache()
        for index in range(50):
            put(cache, {f"{number}-{index}": value(f"{number}-{index}")})
        keys = [f"{number}-{index}" for index in range(50)]
        return get(cache, *keys) == list(map(value, keys))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))
    assert shared.stats().entries == 200


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


def test_two_processes_at_once_lose_nothing_and_corrupt_nothing(
    cache_path: Path, open_cache: Callable[..., SqliteCache]
) -> None:
    processes = [start(SHARE, cache_path, *names) for names in (("left", "right"), ("right", "left"))]
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
    cache = open_cache()
    assert get(cache, *keys) == list(map(value, keys))
    assert cache.stats().entries == len(keys)
    cache.close()
    assert integrity(cache_path) == "ok"


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


def test_processes_that_evict_shrink_and_close_at_once_corrupt_nothing(cache_path: Path) -> None:
    for process in [start(SMALL, cache_path, str(number)) for number in range(3)]:
        finish(process)
    assert integrity(cache_path) == "ok"
    assert cache_path.stat().st_size <= 2**17


MAKE = """
sys.stdin.readline()
cache = SqliteCache(path)
asyncio.run(cache.put_many({f"{sys.argv[2]}-1": b"1"}))
"""


def test_processes_that_make_the_file_at_once_make_one(
    cache_path: Path, open_cache: Callable[..., SqliteCache]
) -> None:
    processes = [start(MAKE, cache_path, str(number)) for number in range(4)]
    for process in processes:
        finish(process)
    assert get(open_cache(), *(f"{number}-1" for number in range(4))) == [b"1"] * 4


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
def test_a_kill_at_any_instant_leaves_a_sound_file_with_all_that_was_put(cache_path: Path, delay: float) -> None:
    process = start(WRITE_ON, cache_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    output, _ = process.communicate()
    cache = SqliteCache(cache_path, max_bytes=2**18)
    written = output.split("\n")[:-1]
    if written:
        assert get(cache, written[-1]) == [value(written[-1])]
    keys = [f"k-{number}" for number in range(7 * len(written) + 7)]
    assert all(found in (None, value(key)) for key, found in zip(keys, get(cache, *keys), strict=True))
    put(cache, {"after-1": b"1"})
    cache.close()
    assert integrity(cache_path) == "ok"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_shares_the_file_like_any_other_process(
    cache_path: Path, open_cache: Callable[..., SqliteCache]
) -> None:
    cache = open_cache()
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
    assert integrity(cache_path) == "ok"
