"""What every store must do, as tests: a subclass in a plugin's tests gives the fixture `store`.

    from qstore_core.testing_store import StoreSuite

    class TestMyStore(StoreSuite):
        @pytest.fixture
        def make_store(self, tmp_path):
            return lambda dimension, metric="cosine": MyStore(tmp_path / "file", dimension=dimension, metric=metric)

`make_store` makes a store of vectors of some dimension; a second call gives another object on the same content.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from qstore_core.errors import StoreError
from qstore_core.store import Metric, Store, StoreEntry, Vectors
from qstore_core.store_filter import matches

MakeStore = Callable[..., Store]

FILTERS: tuple[dict[str, Any], ...] = (
    {"group": "a"},
    {"group": {"$ne": "a"}},
    {"number": {"$gt": 3, "$lte": 7}},
    {"number": {"$gte": 8}},
    {"number": {"$lt": 2.5}},
    {"even": True},
    {"even": {"$ne": True}},
    {"even": 1},
    {"group": {"$in": ["a", "c"]}},
    {"group": {"$nin": ["a", "c"]}},
    {"tags": "odd"},
    {"tags": {"$in": ["none", "third"]}},
    {"number": {"$in": [1, 2, "3"]}},
    {"absent": "x"},
    {"absent": {"$ne": "x"}},
    {"$or": [{"number": 1}, {"$and": [{"group": "b"}, {"even": False}]}]},
    {"group": "b", "number": {"$lt": 6}},
)
"""Filters in every operator, for the entries of `labelled`."""


def labelled(count: int = 12, dimension: int = 4, seed: int = 1) -> list[StoreEntry]:
    """Entries with metadata of every kind.

    >>> labelled(2)[1].metadata["group"]
    'b'
    """
    vectors = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    return [StoreEntry(f"entry-{index:03d}", vectors[index], _metadata(index)) for index in range(count)]


def _metadata(index: int) -> dict[str, Any]:
    tags = ["odd"] * (index % 2) + ["third"] * (index % 3 == 0)
    some = {"tags": tags} if tags else {}
    return {"group": "abc"[index % 3], "number": index, "even": index % 2 == 0, "share": index / 4, **some}


def expected(entries: list[StoreEntry], query: Vectors, metric: Metric) -> list[tuple[str, float]]:
    """Ids and scores in a plain loop over double-precision numbers: the reference."""
    scored = [(entry.id, _score(entry.values.astype(float), query.astype(float), metric)) for entry in entries]
    return sorted(scored, key=lambda pair: pair[1] if metric == "euclidean" else -pair[1])


def _score(row: Any, query: Any, metric: Metric) -> float:
    if metric == "euclidean":
        return float(sum((a - b) ** 2 for a, b in zip(row, query, strict=True)))
    product = sum(a * b for a, b in zip(row, query, strict=True))
    return float(product / np.sqrt(sum(row**2) * sum(query**2)) if metric == "cosine" else product)


class StoreSuite:
    """The tests; a subclass has the fixture `make_store`."""

    @pytest.fixture
    def make_store(self) -> MakeStore:
        """`make_store(dimension, metric="cosine")`."""
        raise NotImplementedError("give the fixture make_store")

    @pytest.fixture
    def store(self, make_store: MakeStore) -> Iterator[Store]:
        """An empty store of four dimensions, closed afterwards."""
        store = make_store(4)
        yield store
        asyncio.run(store.close())

    @pytest.fixture
    def filled(self, store: Store) -> Store:
        """The store with twelve entries."""
        asyncio.run(store.upsert(labelled()))
        return store

    def test_an_empty_store_finds_nothing(self, store: Store) -> None:
        """Nor does a namespace that was never written."""
        assert asyncio.run(store.query([1, 0, 0, 0])) == []
        assert asyncio.run(store.fetch(["a"])) == {}
        assert asyncio.run(store.list_ids()) == []
        asyncio.run(store.delete(["a"], namespace="other"))
        assert not asyncio.run(store.describe()).counts

    @pytest.mark.parametrize("metric", ["cosine", "dotproduct", "euclidean"])
    def test_the_nearest_come_first(self, make_store: MakeStore, metric: Metric) -> None:
        """In the order and with the scores of a plain loop."""
        store, entries = make_store(4, metric), labelled(50)
        query = labelled(1, seed=2)[0].values
        asyncio.run(store.upsert(entries))
        found = asyncio.run(store.query(query, top_k=7))
        asyncio.run(store.close())
        wanted = expected(entries, query, metric)[:7]
        assert [match.id for match in found] == [key for key, _ in wanted]
        assert [match.score for match in found] == pytest.approx([score for _, score in wanted], abs=1e-5)

    def test_what_was_kept_comes_back(self, filled: Store) -> None:
        """Vectors in single precision, metadata as they were."""
        entry = labelled()[5]
        fetched = asyncio.run(filled.fetch(["entry-005", "missing"]))
        assert list(fetched) == ["entry-005"]
        assert np.array_equal(fetched["entry-005"].values, entry.values)
        assert fetched["entry-005"].metadata == entry.metadata
        (match,) = asyncio.run(filled.query(entry.vector, top_k=1))
        assert (match.id, match.metadata) == (entry.id, entry.metadata)

    @pytest.mark.parametrize("where", FILTERS, ids=str)
    def test_a_filter_lets_through_what_it_says(self, filled: Store, where: dict[str, Any]) -> None:
        """As evaluated on each entry's metadata."""
        wanted = {entry.id for entry in labelled() if matches(where, entry.metadata)}
        assert {match.id for match in asyncio.run(filled.query([1, 0, 0, 0], top_k=100, where=where))} == wanted

    @pytest.mark.parametrize(
        "where", [{"a": {"$near": 1}}, {"$not": []}, {"$and": []}, {"a": {"$gt": "b"}}, {"a": None}]
    )
    def test_a_filter_that_means_nothing_is_refused(self, filled: Store, where: dict[str, Any]) -> None:
        """With the name and the value."""
        with pytest.raises(StoreError, match=r"\$|text"):
            asyncio.run(filled.query([1, 0, 0, 0], where=where))

    def test_an_id_is_there_once(self, filled: Store) -> None:
        """The later entry counts, also within one call."""
        asyncio.run(filled.query([1, 0, 0, 0]))  # so that whatever is remembered of the content is there
        new = [StoreEntry("entry-003", [9, 9, 9, 9], {"n": n}) for n in (1, 2)]
        asyncio.run(filled.upsert(new))
        assert asyncio.run(filled.fetch(["entry-003"]))["entry-003"].metadata == {"n": 2}
        assert asyncio.run(filled.describe()).counts == {"": 12}
        (match,) = asyncio.run(filled.query([9, 9, 9, 9], top_k=1))
        assert (match.id, match.metadata) == ("entry-003", {"n": 2})

    def test_entries_are_deleted_by_id_by_filter_and_all(self, filled: Store) -> None:
        """And are found no more."""
        asyncio.run(filled.query([1, 0, 0, 0]))
        asyncio.run(filled.delete(["entry-000", "missing"]))
        asyncio.run(filled.delete(where={"group": "b"}))
        left = [entry.id for entry in labelled() if entry.id != "entry-000" and entry.metadata["group"] != "b"]
        assert asyncio.run(filled.list_ids()) == left
        assert {match.id for match in asyncio.run(filled.query([1, 0, 0, 0], top_k=100))} == set(left)
        asyncio.run(filled.delete())
        assert asyncio.run(filled.query([1, 0, 0, 0])) == []

    def test_namespaces_are_apart(self, filled: Store) -> None:
        """Queries, ids and deletions stay in theirs."""
        asyncio.run(filled.upsert([StoreEntry("entry-000", [1, 1, 1, 1])], namespace="other"))
        assert asyncio.run(filled.list_ids(namespace="other")) == ["entry-000"]
        assert [match.metadata for match in asyncio.run(filled.query([1, 0, 0, 0], namespace="other"))] == [{}]
        assert asyncio.run(filled.describe()).counts == {"": 12, "other": 1}
        asyncio.run(filled.delete(namespace="other"))
        assert len(asyncio.run(filled.list_ids())) == 12

    def test_ids_are_listed_by_prefix(self, filled: Store) -> None:
        """Sorted."""
        asyncio.run(filled.upsert([StoreEntry("run_1", [1, 1, 1, 1]), StoreEntry("run%2", [1, 1, 1, 1])]))
        assert asyncio.run(filled.list_ids(prefix="entry-01")) == ["entry-010", "entry-011"]
        assert asyncio.run(filled.list_ids(prefix="run_")) == ["run_1"]

    def test_another_dimension_is_refused_and_nothing_is_written(self, filled: Store) -> None:
        """Not even the right ones before it."""
        right, wrong = StoreEntry("right", [1, 2, 3, 4]), StoreEntry("wrong", [1, 2, 3])
        with pytest.raises(StoreError, match="entry 'wrong' has 3 dimensions and the store's vectors 4; nothing was"):
            asyncio.run(filled.upsert([right, wrong]))
        assert asyncio.run(filled.fetch(["right", "wrong"])) == {}
        with pytest.raises(StoreError, match="the query has 3 dimensions"):
            asyncio.run(filled.query([1, 2, 3]))

    def test_another_metric_or_dimension_than_it_was_made_with_is_refused(self, make_store: MakeStore) -> None:
        """With both values."""
        asyncio.run(make_store(4).upsert(labelled(1)))
        with pytest.raises(StoreError, match="'cosine', not 'euclidean'"):
            asyncio.run(make_store(4, "euclidean").upsert(labelled(1)))
        with pytest.raises(StoreError, match="4, not 5"):
            asyncio.run(make_store(5).query([1, 0, 0, 0, 0]))

    def test_ten_thousand_vectors_are_upserted_queried_and_deleted(self, make_store: MakeStore) -> None:
        """In batches, with filters."""
        store, entries = make_store(16), labelled(10_000, 16)
        for first in range(0, len(entries), 2500):
            asyncio.run(store.upsert(entries[first : first + 2500]))
        assert asyncio.run(store.describe()).counts == {"": 10_000}
        where = {"group": "b", "number": {"$gte": 5000}}
        query = labelled(1, 16, seed=2)[0].values
        found = asyncio.run(store.query(query, top_k=20, where=where))
        wanted = expected([entry for entry in entries if matches(where, entry.metadata)], query, "cosine")[:20]
        assert [match.id for match in found] == [key for key, _ in wanted]
        asyncio.run(store.delete(where={"number": {"$lt": 4000}}))
        asyncio.run(store.delete([entry.id for entry in entries[4000:9000]]))
        assert asyncio.run(store.list_ids()) == sorted(entry.id for entry in entries[9000:])
        asyncio.run(store.close())

    def test_others_see_what_one_wrote(self, make_store: MakeStore) -> None:
        """Additions, replacements and deletions, though both have searched before."""
        one, other = make_store(4), make_store(4)
        for step in ("added", "replaced", "deleted"):
            if step == "deleted":
                asyncio.run(one.delete(["entry-000"]))
            else:
                asyncio.run(one.upsert([StoreEntry(each.id, each.vector, {"step": step}) for each in labelled(3)]))
            found = asyncio.run(other.query([1, 0, 0, 0]))
            assert len(found) == (2 if step == "deleted" else 3)
            assert all(match.metadata["step"] == ("replaced" if step == "deleted" else step) for match in found)
        for store in (one, other):
            asyncio.run(store.close())

    def test_calls_at_once_do_not_disturb_one_another(self, filled: Store) -> None:
        """In one event loop, and in one after another."""

        async def everything() -> list[Any]:
            writes = [filled.upsert([StoreEntry(f"new-{n}", [n, 1, 0, 0])]) for n in range(8)]
            return list(await asyncio.gather(*writes, *(filled.query([1, 0, 0, 0], top_k=3) for _ in range(8))))

        answers = asyncio.run(everything())[8:]
        assert all(len(answer) == 3 for answer in answers)
        assert len(asyncio.run(filled.list_ids(prefix="new-"))) == 8

    @pytest.mark.parametrize("top_k", [0, -1, 2.0, True, 10_001])
    def test_a_number_of_matches_that_cannot_be_is_refused(self, filled: Store, top_k: Any) -> None:
        """With the number."""
        with pytest.raises(StoreError, match=f"not {top_k}"):
            asyncio.run(filled.query([1, 0, 0, 0], top_k=top_k))
