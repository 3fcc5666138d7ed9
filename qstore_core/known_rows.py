"""What the result cache has of some rows, and which of them must be run."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from qstore_core.arrays import IntArray
from qstore_core.batch import BatchResult
from qstore_core.circuit_cache import QuantumCircuitCache
from qstore_core.errors import CacheError
from qstore_core.result_codec import decode_rows

_log = logging.getLogger("qstore")


@dataclass(frozen=True, slots=True)
class KnownRows:
    """The result cache, which is disposable: what it cannot say, or says damaged, is run.

    Attributes:
        cache: Where results are kept; None: nowhere.
    """

    cache: QuantumCircuitCache | None = None

    async def find(self, batches: Sequence[Sequence[str]]) -> tuple[dict[str, bytes], list[BatchResult | None]]:
        """What there is for the keys of several batches' rows, and the results of those batches that are all there."""
        keys = list(dict.fromkeys(chain.from_iterable(batches)))
        found = await self._look_up(keys) if keys else {}
        return found, [_read(row_keys, found) for row_keys in batches]

    async def keep(self, rows: Mapping[str, bytes]) -> None:
        """Put rows under their keys, in place of what was there."""
        if self.cache is None:
            return
        try:
            await self.cache.results.put_many(rows)
        except CacheError as error:
            _log.warning("the result cache cannot be written: %s", error)

    async def _look_up(self, keys: Sequence[str]) -> dict[str, bytes]:
        if self.cache is None:
            return {}
        try:
            values = await self.cache.results.get_many(keys)
        except CacheError as error:
            _log.warning("the result cache cannot be read: %s", error)
            return {}
        return {key: value for key, value in zip(keys, values, strict=True) if value is not None}


def missing_rows(batches: Mapping[int, Sequence[str]], known: Collection[str]) -> dict[int, IntArray]:
    """Which rows of each batch must be run, where there are any: equal ones once, and none that is known.

    Args:
        batches: The keys of each batch's rows, by its place among the requests.
        known: The keys that need not be run.

    >>> missing_rows({0: ["a", "b", "a"], 1: ["a", "b"], 3: ["b", "c"]}, {"b"})
    {0: array([0]), 3: array([1])}
    """
    missing: dict[int, IntArray] = {}
    taken = set(known)
    for place, keys in batches.items():
        first: dict[str, int] = {}
        for row, key in enumerate(keys):
            if key not in taken:
                first.setdefault(key, row)
        if first:
            missing[place] = np.array(list(first.values()), dtype=np.int64)
            taken.update(first)
    return missing


def _read(keys: Sequence[str], found: dict[str, bytes]) -> BatchResult | None:
    """The result of a batch whose rows were all found; rows that cannot be read are taken out of `found`."""
    rows = [found[key] for key in keys if key in found]
    if not rows:
        return None
    try:
        result = decode_rows(rows)
    except CacheError as error:
        present = [key for key in dict.fromkeys(keys) if key in found]
        # rows that can be read one by one do not fit together, and nothing says which of them are right
        damaged = [key for key in present if not _is_readable(found[key])] or present
        for key in damaged:
            del found[key]
        _log.warning("%d row(s) of the result cache are of no use and are run again: %s", len(damaged), error)
        return None
    return result if len(rows) == len(keys) else None


def _is_readable(row: bytes) -> bool:
    try:
        decode_rows([row])
    except CacheError:
        return False
    return True
