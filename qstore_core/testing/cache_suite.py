"""The conformance suite of caches."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import ClassVar, TypeAlias

from qstore_core.cache import Cache, CacheStatistics
from qstore_core.testing.expect import require

Factory: TypeAlias = Callable[[], Cache]


class CacheSuite:
    """Every check of a cache; fill in the fixture `make_cache` with what makes an empty one.

    Attributes:
        room: How many small values it keeps at least; a cache may drop entries, but not the first few.

    >>> from qstore_core import MemoryCache
    >>> from qstore_core.testing import run_suite
    >>> {outcome.state for outcome in run_suite(CacheSuite(), make_cache=MemoryCache)}
    {'passed'}
    """

    room: ClassVar[int] = 20

    def test_what_was_put_is_there(self, make_cache: Factory) -> None:
        """Values come back to the last byte: none, all 256, and a mebibyte of them."""
        cache = make_cache()
        values = {"empty": b"", "all": bytes(range(256)), "large": bytes(range(256)) * 4096}
        asyncio.run(cache.put_many(values))
        found = asyncio.run(cache.get_many(list(values)))
        for key, value in zip(values, found, strict=True):
            require(value == values[key], f"{key!r}: {_short(value)} came back for {_short(values[key])}")

    def test_what_was_not_put_is_none(self, make_cache: Factory) -> None:
        """An unknown key gives None, and no error."""
        found = asyncio.run(make_cache().get_many(["unknown"]))
        require(found == [None], f"get_many(['unknown']) of an empty cache gave {found!r}, expected [None]")

    def test_answers_are_in_the_order_of_the_keys(self, make_cache: Factory) -> None:
        """Known and unknown keys mixed, one of them twice, in another order than they were put."""
        cache = make_cache()
        asyncio.run(cache.put_many({name: name.encode() for name in ("a", "b", "c")}))
        found = asyncio.run(cache.get_many(["c", "x", "a", "c", "b"]))
        require(found == [b"c", None, b"a", b"c", b"b"], f"get_many(c, x, a, c, b) gave {found!r}")

    def test_nothing_asked_is_nothing_answered(self, make_cache: Factory) -> None:
        """No keys and no items are permitted."""
        cache = make_cache()
        asyncio.run(cache.put_many({}))
        require(asyncio.run(cache.get_many([])) == [], "get_many([]) is not an empty list")

    def test_a_later_value_takes_the_place_of_an_earlier_one(self, make_cache: Factory) -> None:
        """Putting a key again replaces what was there."""
        cache = make_cache()
        for value in (b"old and longer", b"new"):
            asyncio.run(cache.put_many({"key": value}))
        found = asyncio.run(cache.get_many(["key"]))
        require(found == [b"new"], f"after b'new' was put in place of another value, {found!r} is there")
        entries = cache.stats().entries
        require(entries == 1, f"one key put twice counts as {entries} entries")

    def test_keys_are_told_apart_by_every_character(self, make_cache: Factory) -> None:
        """Keys as qstore makes them, which differ in one of 64 characters, and in case."""
        keys = ["a" * 64, "a" * 63 + "b", "b" + "a" * 63, "A" * 64]
        cache = make_cache()
        asyncio.run(cache.put_many({key: str(number).encode() for number, key in enumerate(keys)}))
        found = asyncio.run(cache.get_many(keys))
        require(found == [b"0", b"1", b"2", b"3"], f"four keys that differ in one character gave {found!r}")

    def test_clearing_leaves_nothing(self, make_cache: Factory) -> None:
        """After `clear` nothing is there and counts begin at 0."""
        cache = make_cache()
        asyncio.run(cache.put_many({"key": b"value"}))
        asyncio.run(cache.clear())
        stats = cache.stats()
        counted = (stats.hits, stats.misses, stats.entries)
        require(counted == (0, 0, 0), f"after clear, (hits, misses, entries) are {counted}")
        require(asyncio.run(cache.get_many(["key"])) == [None], "a value outlived clear")
        asyncio.run(cache.put_many({"key": b"again"}))
        require(asyncio.run(cache.get_many(["key"])) == [b"again"], "nothing can be put after clear")

    def test_statistics_count_hits_and_misses(self, make_cache: Factory) -> None:
        """Each key that is looked up is a hit or a miss."""
        cache = make_cache()
        require(isinstance(cache.stats(), CacheStatistics), f"stats() gives a {type(cache.stats()).__name__}")
        asyncio.run(cache.put_many({"a": b"1", "b": b"22"}))
        asyncio.run(cache.get_many(["a", "b", "x"]))
        stats = cache.stats()
        counted = (stats.hits, stats.misses, stats.entries)
        require(counted == (2, 1, 2), f"after 2 hits, 1 miss and 2 entries, (hits, misses, entries) are {counted}")
        require(stats.bytes >= 3, f"two values of 3 bytes together take {stats.bytes} bytes")

    def test_it_keeps_a_few_values(self, make_cache: Factory) -> None:
        """A cache may drop entries; one that never keeps any is none."""
        cache, items = make_cache(), {f"key {number}": str(number).encode() for number in range(self.room)}
        asyncio.run(cache.put_many(items))
        found = asyncio.run(cache.get_many(list(items)))
        kept = sum(value is not None for value in found)
        require(kept == self.room, f"of {self.room} small values {kept} were kept; set room to what it holds")

    def test_it_never_gives_a_wrong_value(self, make_cache: Factory) -> None:
        """Many entries, overwritten and dropped: what comes back is None or right."""
        cache = make_cache()
        for turn in range(3):
            items = {f"key {number}": f"{turn} {number}".encode() for number in range(500)}
            asyncio.run(cache.put_many(items))
            for (key, value), found in zip(items.items(), asyncio.run(cache.get_many(list(items))), strict=True):
                require(found in (None, value), f"{key!r} gave {_short(found)}, and {_short(value)} was put last")

    def test_an_empty_cache_is_still_a_cache(self, make_cache: Factory) -> None:
        """It is true, so that `cache or default` keeps it."""
        require(bool(make_cache()), "an empty cache is false; leave out __len__ and __bool__")

    def test_it_lives_through_several_event_loops(self, make_cache: Factory) -> None:
        """Nothing is bound to a loop: it is used by many `asyncio.run`, and at once within one."""
        cache = make_cache()

        async def at_once() -> list[list[bytes | None]]:
            await asyncio.gather(*(cache.put_many({f"key {n}": str(n).encode()}) for n in range(10)))
            return await asyncio.gather(*(cache.get_many([f"key {n}"]) for n in range(10)))

        for _ in range(2):
            found = asyncio.run(at_once())
            require(found == [[str(n).encode()] for n in range(10)], f"ten calls at once gave {found!r}")

    def test_it_is_safe_from_several_threads(self, make_cache: Factory) -> None:
        """Four threads put and get at once, each in an event loop of its own."""
        cache, problems = make_cache(), []

        def work(thread: int) -> None:
            try:
                for turn in range(25):
                    key, value = f"{thread} {turn}", f"value {thread} {turn}".encode()
                    asyncio.run(cache.put_many({key: value, "shared": value}))
                    found = asyncio.run(cache.get_many([key, "shared"]))
                    if found[0] not in (None, value) or not (found[1] is None or found[1].startswith(b"value ")):
                        problems.append(f"{found!r} came back for {key!r}")
                    cache.stats()
            except Exception as error:
                problems.append(f"{type(error).__name__}: {error}")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        require(not problems, f"with four threads: {problems[:1]}")

    def test_two_caches_are_two(self, make_cache: Factory) -> None:
        """A new cache is empty; one that is shared on purpose gets a place of its own from the fixture."""
        first, second = make_cache(), make_cache()
        asyncio.run(first.put_many({"key": b"value"}))
        asyncio.run(second.clear())
        require(asyncio.run(second.get_many(["key"])) == [None], "a new cache holds what another one was given")


def _short(value: bytes | None) -> str:
    return repr(value) if value is None or len(value) < 40 else f"{len(value)} bytes"
