"""Stores that are wrong on purpose, each in one way; `caught_by` names the check of the suite that must say so."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from qstore_core import SqliteStore, StoreEntry, StoreError, StoreInfo, StoreMatch
from qstore_core.store import Metric

MUTANTS: dict[str, type[StoreMutant]] = {}


class StoreMutant(SqliteStore):
    """A store with a fault."""

    caught_by: ClassVar[str]

    def __init_subclass__(cls) -> None:
        MUTANTS[cls.__name__] = cls


def changed(entry: StoreEntry, **changes: Any) -> StoreEntry:
    return StoreEntry(**{"id": entry.id, "vector": entry.vector, "metadata": entry.metadata, **changes})


class RaisesWhereThereIsNothing(StoreMutant):
    caught_by = "test_an_empty_store_finds_nothing"

    def _query(self, *arguments: Any) -> list[StoreMatch]:
        if not self._describe().counts:
            raise StoreError("nothing was ever written")
        return super()._query(*arguments)


class FurthestFirst(StoreMutant):
    caught_by = "test_the_nearest_by_cosine_come_first"

    def _query(self, *arguments: Any) -> list[StoreMatch]:
        return super()._query(*arguments)[::-1]


class IgnoresHowManyAreWanted(StoreMutant):
    caught_by = "test_the_nearest_by_cosine_come_first"

    def _query(self, vector: Any, top_k: int, where: Any, namespace: str) -> list[StoreMatch]:
        return super()._query(vector, 100, where, namespace)


class ScoresByTheDotProduct(StoreMutant):
    """The right order for vectors of norm 1, and a score that is no cosine."""

    caught_by = "test_the_nearest_by_cosine_come_first"

    def _query(self, vector: Any, *arguments: Any) -> list[StoreMatch]:
        norm = float(np.linalg.norm(vector))
        return [replace(match, score=norm * match.score) for match in super()._query(vector, *arguments)]


class AlwaysGoesByTheCosine(StoreMutant):
    caught_by = "test_the_nearest_by_dotproduct_come_first"

    def __init__(self, path: Path, *, metric: Metric, **options: Any) -> None:
        super().__init__(path, metric="cosine", **options)


class TellsDistancesThatAreNotSquared(StoreMutant):
    caught_by = "test_the_nearest_by_euclidean_come_first"

    def _query(self, *arguments: Any) -> list[StoreMatch]:
        return [replace(match, score=abs(match.score) ** 0.5) for match in super()._query(*arguments)]


class DescribesNothing(StoreMutant):
    caught_by = "test_it_tells_what_it_holds"

    def _describe(self) -> StoreInfo:
        return StoreInfo(None, "cosine", super()._describe().counts)


class CountsAllNamespacesTogether(StoreMutant):
    caught_by = "test_it_tells_what_it_holds"

    def _describe(self) -> StoreInfo:
        info = super()._describe()
        return replace(info, counts={"": sum(info.counts.values())})


class HalvesThePrecision(StoreMutant):
    caught_by = "test_what_was_kept_comes_back"

    def _upsert(self, entries: list[StoreEntry], namespace: str) -> None:
        super()._upsert([changed(each, vector=each.values.astype(np.float16)) for each in entries], namespace)


class KeepsFlagsAsNumbers(StoreMutant):
    caught_by = "test_what_was_kept_comes_back"

    def _upsert(self, entries: list[StoreEntry], namespace: str) -> None:
        def plain(metadata: Mapping[str, Any]) -> dict[str, Any]:
            return {name: int(value) if isinstance(value, bool) else value for name, value in metadata.items()}

        super()._upsert([changed(each, metadata=plain(each.metadata)) for each in entries], namespace)


class KeepsNumbersAsText(StoreMutant):
    caught_by = "test_what_was_kept_comes_back"

    def _fetch(self, ids: list[str], namespace: str) -> dict[str, StoreEntry]:
        found = super()._fetch(ids, namespace).items()
        texts = {key: {name: str(value) for name, value in entry.metadata.items()} for key, entry in found}
        return {key: changed(entry, metadata=texts[key]) for key, entry in found}


class ForgetsMetadataInSearches(StoreMutant):
    caught_by = "test_what_was_kept_comes_back"

    def _query(self, *arguments: Any) -> list[StoreMatch]:
        return [replace(match, metadata={}) for match in super()._query(*arguments)]


class IgnoresFilters(StoreMutant):
    caught_by = "test_a_filter_lets_through_what_it_says"

    def _query(self, vector: Any, top_k: int, where: Any, namespace: str) -> list[StoreMatch]:
        return super()._query(vector, top_k, None if where is None else {}, namespace)


class TakesAnyOfSeveralConditions(StoreMutant):
    caught_by = "test_a_filter_lets_through_what_it_says"

    def _query(self, vector: Any, top_k: int, where: Any, namespace: str) -> list[StoreMatch]:
        loose = where if where is None or len(where) < 2 else {"$or": [{name: where[name]} for name in where]}
        return super()._query(vector, top_k, loose, namespace)


class TakesAFilterThatMeansNothing(StoreMutant):
    caught_by = "test_a_filter_that_means_nothing_is_refused"

    def _query(self, vector: Any, top_k: int, where: Any, namespace: str) -> list[StoreMatch]:
        try:
            return super()._query(vector, top_k, where, namespace)
        except StoreError:
            return super()._query(vector, top_k, None, namespace)


class FiltersWhatItFound(StoreMutant):
    """The nearest first and the filter afterwards, so that fewer come back than there are."""

    caught_by = "test_ten_thousand_vectors_are_upserted_queried_and_deleted"

    def _query(self, vector: Any, top_k: int, where: Any, namespace: str) -> list[StoreMatch]:
        nearest = {match.id for match in super()._query(vector, top_k, None, namespace)}
        return [match for match in super()._query(vector, top_k, where, namespace) if match.id in nearest]


class WritesAThousandAtTheMost(StoreMutant):
    caught_by = "test_ten_thousand_vectors_are_upserted_queried_and_deleted"

    def _upsert(self, entries: list[StoreEntry], namespace: str) -> None:
        super()._upsert(entries[:1000], namespace)


class AddsInsteadOfReplacing(StoreMutant):
    caught_by = "test_an_id_is_there_once"

    def _upsert(self, entries: list[StoreEntry], namespace: str) -> None:
        known = self._fetch([entry.id for entry in entries], namespace)
        super()._upsert([*(changed(each, id=f"{key} again") for key, each in known.items()), *entries], namespace)


class KeepsTheFirst(StoreMutant):
    caught_by = "test_an_id_is_there_once"

    def _upsert(self, entries: list[StoreEntry], namespace: str) -> None:
        known = self._fetch([entry.id for entry in entries], namespace)
        new = [entry for entry in entries if entry.id not in known]
        if new:
            super()._upsert(new, namespace)


class AddsToTheMetadata(StoreMutant):
    caught_by = "test_an_id_is_there_once"

    def _upsert(self, entries: list[StoreEntry], namespace: str) -> None:
        known = self._fetch([entry.id for entry in entries], namespace)
        old = {key: entry.metadata for key, entry in known.items()}
        super()._upsert(
            [changed(each, metadata={**old.get(each.id, {}), **each.metadata}) for each in entries], namespace
        )


class DeletesNothing(StoreMutant):
    caught_by = "test_entries_are_deleted_by_id_by_filter_and_all"

    def _delete(self, *arguments: Any) -> None:
        pass


class StillFindsWhatWasDeleted(StoreMutant):
    caught_by = "test_entries_are_deleted_by_id_by_filter_and_all"

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.found: list[StoreMatch] = []

    def _query(self, *arguments: Any) -> list[StoreMatch]:
        self.found.extend(super()._query(*arguments))
        return self.found


class DeletesAllForAnEmptyList(StoreMutant):
    caught_by = "test_entries_are_deleted_by_id_by_filter_and_all"

    def _delete(self, ids: list[str] | None, where: Any, namespace: str) -> None:
        super()._delete(ids or None, where, namespace)


class DeletesByIdsOrAFilter(StoreMutant):
    """Both at once are taken for the ids alone, and what the filter meant is lost."""

    caught_by = "test_entries_are_deleted_by_id_by_filter_and_all"

    async def delete(self, ids: Any = None, *, where: Any = None, namespace: str = "") -> None:
        await super().delete(ids, where=None if ids is not None else where, namespace=namespace)


class HasOneNamespace(StoreMutant):
    caught_by = "test_namespaces_are_apart"

    def _query(self, vector: Any, top_k: int, where: Any, namespace: str) -> list[StoreMatch]:
        return super()._query(vector, top_k, where, "")


class DeletesInEveryNamespace(StoreMutant):
    caught_by = "test_namespaces_are_apart"

    def _delete(self, ids: list[str] | None, where: Any, namespace: str) -> None:
        everywhere = ids is not None or where is not None
        for each in self._describe().counts if everywhere else [namespace]:
            super()._delete(ids, where, each)


class FetchesFromEveryNamespace(StoreMutant):
    caught_by = "test_namespaces_are_apart"

    def _fetch(self, ids: list[str], namespace: str) -> dict[str, StoreEntry]:
        return {**super()._fetch(ids, ""), **super()._fetch(ids, namespace)}


class IgnoresTheCaseOfIds(StoreMutant):
    caught_by = "test_ids_are_told_apart_by_every_character"

    def _upsert(self, entries: list[StoreEntry], namespace: str) -> None:
        super()._upsert([changed(each, id=each.id.lower()) for each in entries], namespace)


class CutsIds(StoreMutant):
    caught_by = "test_ids_are_told_apart_by_every_character"

    def _upsert(self, entries: list[StoreEntry], namespace: str) -> None:
        super()._upsert([changed(each, id=each.id[:256]) for each in entries], namespace)


class ListsBackwards(StoreMutant):
    caught_by = "test_ids_are_told_apart_by_every_character"

    def _list_ids(self, prefix: str, namespace: str) -> list[str]:
        return super()._list_ids(prefix, namespace)[::-1]


class TakesAPrefixForAPattern(StoreMutant):
    caught_by = "test_ids_are_listed_by_prefix"

    def _list_ids(self, prefix: str, namespace: str) -> list[str]:
        with self._file.connected() as connection:
            rows = connection.execute("SELECT id FROM entries WHERE id LIKE ? ORDER BY id", (f"{prefix}%",))
            return [key for (key,) in rows]


class WritesTheRightOnesOfARefusedCall(StoreMutant):
    caught_by = "test_another_dimension_is_refused_and_nothing_is_written"

    def _upsert(self, entries: list[StoreEntry], namespace: str) -> None:
        for entry in entries:
            super()._upsert([entry], namespace)


class FillsShortVectorsUp(StoreMutant):
    caught_by = "test_another_dimension_is_refused_and_nothing_is_written"

    def _upsert(self, entries: list[StoreEntry], namespace: str) -> None:
        longest = max(len(entry.values) for entry in entries)
        full = [changed(each, vector=np.pad(each.values, (0, longest - len(each.values)))) for each in entries]
        super()._upsert(full, namespace)


class GoesByTheMetricOfTheFile(StoreMutant):
    caught_by = "test_another_metric_or_dimension_than_it_was_made_with_is_refused"

    def _settings(self, connection: sqlite3.Connection) -> tuple[Metric, int | None]:
        if connection.execute("SELECT * FROM settings").fetchone():
            self._wanted_metric = None
        return super()._settings(connection)


class RemembersAnswers(StoreMutant):
    caught_by = "test_others_see_what_one_wrote"

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.answers: dict[str, list[StoreMatch]] = {}

    def _query(self, *arguments: Any) -> list[StoreMatch]:
        if repr(arguments) not in self.answers:
            self.answers[repr(arguments)] = super()._query(*arguments)
        return self.answers[repr(arguments)]


class ClosesForEver(StoreMutant):
    caught_by = "test_a_closed_store_opens_again"
    closed = False

    def _close(self) -> None:
        super()._close()
        self.closed = True

    def _list_ids(self, prefix: str, namespace: str) -> list[str]:
        if self.closed:
            raise StoreError("the store is closed")
        return super()._list_ids(prefix, namespace)


class LosesOneOfTwoAtOnce(StoreMutant):
    """A write is dropped without a word while another is under way."""

    caught_by = "test_calls_at_once_do_not_disturb_one_another"
    busy: ClassVar[threading.Lock] = threading.Lock()

    def _upsert(self, entries: list[StoreEntry], namespace: str) -> None:
        if self.busy.acquire(blocking=False):
            try:
                time.sleep(0.05)
                super()._upsert(entries, namespace)
            finally:
                self.busy.release()


class BelongsToAnEventLoop(StoreMutant):
    caught_by = "test_calls_at_once_do_not_disturb_one_another"
    loop: asyncio.AbstractEventLoop | None = None

    async def list_ids(self, *, prefix: str = "", namespace: str = "") -> list[str]:
        if self.loop not in (None, asyncio.get_running_loop()):
            raise RuntimeError("this store was opened in another event loop")
        return await super().list_ids(prefix=prefix, namespace=namespace)

    async def upsert(self, *arguments: Any, **options: Any) -> None:
        self.loop = asyncio.get_running_loop()
        await super().upsert(*arguments, **options)


class TakesAnyNumberOfMatches(StoreMutant):
    caught_by = "test_a_number_of_matches_that_cannot_be_is_refused"

    def _query(self, vector: Any, top_k: Any, where: Any, namespace: str) -> list[StoreMatch]:
        return super()._query(vector, min(max(1, int(top_k)), 10_000), where, namespace)


class KnowsNamesInAsciiAlone(StoreMutant):
    caught_by = "test_a_name_of_any_letters_is_met_by_filters"

    def _delete(self, ids: Any, where: Any, namespace: str) -> None:
        known = {name: condition for name, condition in (where or {}).items() if name.isascii()}
        super()._delete(ids, where if where is None else known, namespace)


class CutsTextAtNul(StoreMutant):
    caught_by = "test_what_no_store_keeps_is_refused"

    def _query(self, vector: Any, top_k: int, where: Any, namespace: str) -> list[StoreMatch]:
        cut = {name: value.split("\0")[0] if isinstance(value, str) else value for name, value in (where or {}).items()}
        return super()._query(vector, top_k, where if where is None else cut, namespace)


class FailsByItsDriversWords(StoreMutant):
    caught_by = "test_what_no_store_keeps_is_refused"

    async def list_ids(self, *, prefix: str = "", namespace: str = "") -> list[str]:
        return await super().list_ids(prefix=prefix, namespace=namespace.encode().decode())
