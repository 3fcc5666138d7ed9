"""A store whose work blocks, such as a file's or a client's, and so is done in threads."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from numpy.typing import ArrayLike

from qstore_core.errors import StoreError
from qstore_core.store import Store, StoreEntry, StoreInfo, StoreMatch, Where
from qstore_core.store_values import check_namespace, is_unicode


class ThreadedStore(Store, ABC):
    """The calls of a store, each in a thread; a subclass does the work of each in the method with `_`.

    >>> class Empty(ThreadedStore):
    ...     def _upsert(self, entries, namespace): ...
    ...     def _query(self, vector, top_k, where, namespace):
    ...         return []
    ...     def _fetch(self, ids, namespace):
    ...         return {}
    ...     def _delete(self, ids, where, namespace): ...
    ...     def _list_ids(self, prefix, namespace):
    ...         return []
    ...     def _describe(self):
    ...         return StoreInfo(None, "cosine", {})
    ...     def _close(self): ...
    >>> asyncio.run(Empty().query([1.0, 0.0]))
    []
    """

    async def upsert(self, entries: Sequence[StoreEntry], *, namespace: str = "") -> None:
        given, space = list(entries), check_namespace(namespace)
        if given:
            await asyncio.to_thread(self._upsert, given, space)

    async def query(
        self, vector: ArrayLike, *, top_k: int = 10, where: Where | None = None, namespace: str = ""
    ) -> list[StoreMatch]:
        return await asyncio.to_thread(self._query, vector, top_k, where, check_namespace(namespace))

    async def fetch(self, ids: Sequence[str], *, namespace: str = "") -> dict[str, StoreEntry]:
        wanted = list(ids)
        found = await asyncio.to_thread(self._fetch, wanted, check_namespace(namespace))
        return {key: found[key] for key in wanted if key in found}

    async def delete(
        self, ids: Sequence[str] | None = None, *, where: Where | None = None, namespace: str = ""
    ) -> None:
        if ids is not None and where is not None:
            raise StoreError("delete takes ids or a filter, not both")
        given = None if ids is None else list(ids)
        await asyncio.to_thread(self._delete, given, where, check_namespace(namespace))

    async def list_ids(self, *, prefix: str = "", namespace: str = "") -> list[str]:
        if not is_unicode(prefix):
            return []  # ids are ASCII
        return await asyncio.to_thread(self._list_ids, prefix, check_namespace(namespace))

    async def describe(self) -> StoreInfo:
        return await asyncio.to_thread(self._describe)

    async def close(self) -> None:
        await asyncio.to_thread(self._close)

    @abstractmethod
    def _upsert(self, entries: list[StoreEntry], namespace: str) -> None:
        """Keep entries, of which there is at least one; of two with one id the later counts."""

    @abstractmethod
    def _query(self, vector: ArrayLike, top_k: int, where: Where | None, namespace: str) -> list[StoreMatch]:
        """The nearest entries."""

    @abstractmethod
    def _fetch(self, ids: list[str], namespace: str) -> Mapping[str, StoreEntry]:
        """The entries that there are, in any order."""

    @abstractmethod
    def _delete(self, ids: list[str] | None, where: Where | None, namespace: str) -> None:
        """Drop entries by their ids, by a filter, or all of them."""

    @abstractmethod
    def _list_ids(self, prefix: str, namespace: str) -> list[str]:
        """The ids, sorted."""

    @abstractmethod
    def _describe(self) -> StoreInfo:
        """What there is."""

    @abstractmethod
    def _close(self) -> None:
        """Give up connections."""


def latest(entries: Sequence[StoreEntry]) -> dict[str, StoreEntry]:
    """The entries by id; of two with one id the later counts.

    >>> latest([StoreEntry("a", [1.0]), StoreEntry("a", [2.0])])["a"].values.tolist()
    [2.0]
    """
    return {entry.id: entry for entry in entries}
