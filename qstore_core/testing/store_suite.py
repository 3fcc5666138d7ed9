"""The conformance suite of stores."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np

from qstore_core.errors import StoreError
from qstore_core.store import Metric, Store, StoreEntry, Vectors
from qstore_core.store_filter import matches
from qstore_core.testing.expect import must_refuse, require, require_close

Factory: TypeAlias = Callable[..., Store]

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

_MEANINGLESS: tuple[dict[str, Any], ...] = (
    {"a": {"$near": 1}},
    {"$not": []},
    {"$and": []},
    {"a": {"$gt": "b"}},
    {"a": None},
)
_NAMES = ("größe", "back\\slash", "two words", "a.b", "it's", "[0]", "tab\t", "line\n", "emoji😀", "")
_NEVER_KEPT: tuple[Any, ...] = ("a\0b", "\ud800", 2**63, -(2**63) - 1)
_QUERY = [1.0, 0.0, 0.0, 0.0]


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
    """Every check of a store; fill in the fixture `make_store`.

    `make_store(dimension, metric="cosine")` makes a store of vectors of that dimension. A second call within a check
    gives another object on the same content, which is empty when the check begins.

    >>> import tempfile
    >>> from qstore_core import SqliteStore
    >>> with tempfile.TemporaryDirectory() as place:
    ...     StoreSuite().test_an_id_is_there_once(lambda n, metric="cosine": SqliteStore(f"{place}/file", dimension=n))
    """

    def test_an_empty_store_finds_nothing(self, make_store: Factory) -> None:
        """Nor does a namespace that was never written."""
        with _opened(make_store(4)) as store:
            _same(asyncio.run(store.query(_QUERY)), [], "a query of an empty store")
            _same(asyncio.run(store.fetch(["a"])), {}, "fetch(['a']) of an empty store")
            _same(asyncio.run(store.list_ids()), [], "list_ids() of an empty store")
            asyncio.run(store.delete(["a"], namespace="other"))
            require(not asyncio.run(store.describe()).counts, "an empty store counts entries")

    def test_the_nearest_by_cosine_come_first(self, make_store: Factory) -> None:
        """In the order and with the scores of a plain loop."""
        _check_nearest(make_store, "cosine")

    def test_the_nearest_by_dotproduct_come_first(self, make_store: Factory) -> None:
        """In the order and with the scores of a plain loop."""
        _check_nearest(make_store, "dotproduct")

    def test_the_nearest_by_euclidean_come_first(self, make_store: Factory) -> None:
        """In the order and with the squared distances of a plain loop."""
        _check_nearest(make_store, "euclidean")

    def test_it_tells_what_it_holds(self, make_store: Factory) -> None:
        """The dimension, the metric, and the entries of each namespace."""
        with _opened(make_store(4, "euclidean")) as store:
            asyncio.run(store.upsert(labelled()))
            asyncio.run(store.upsert(labelled(3), namespace="other"))
            info = asyncio.run(store.describe())
            _same((info.dimension, info.metric), (4, "euclidean"), "the dimension and the metric")
            _same(dict(info.counts), {"": 12, "other": 3}, "the counts")

    def test_what_was_kept_comes_back(self, make_store: Factory) -> None:
        """Vectors in single precision, metadata as they were, flags as flags."""
        entry = labelled()[5]
        with _filled(make_store) as store:
            fetched = asyncio.run(store.fetch(["entry-005", "missing"]))
            _same(list(fetched), ["entry-005"], "fetch(entry-005, missing)")
            require(np.array_equal(fetched["entry-005"].values, entry.values), "another vector came back")
            _same_metadata(fetched["entry-005"].metadata, entry.metadata, "the metadata")
            (match,) = asyncio.run(store.query(entry.vector, top_k=1))
            _same(match.id, entry.id, "the nearest to an entry's own vector")
            _same_metadata(match.metadata, entry.metadata, "the metadata of the nearest")

    def test_a_filter_lets_through_what_it_says(self, make_store: Factory) -> None:
        """Every operator, as evaluated on each entry's metadata."""
        with _filled(make_store) as store:
            for where in FILTERS:
                wanted = {entry.id for entry in labelled() if matches(where, entry.metadata)}
                found = asyncio.run(store.query(_QUERY, top_k=100, where=where))
                _same({match.id for match in found}, wanted, f"the filter {where}")

    def test_a_filter_that_means_nothing_is_refused(self, make_store: Factory) -> None:
        """An unknown operator, an empty list, a comparison with text, None."""
        with _filled(make_store) as store:
            for where in _MEANINGLESS:
                with must_refuse(StoreError, f"the filter {where}"):
                    asyncio.run(store.query(_QUERY, where=where))

    def test_a_name_of_any_letters_is_met_by_filters(self, make_store: Factory) -> None:
        """Letters that are no ASCII, a backslash, a tab: in queries, and in deletions, which would else drop all."""
        entries = [
            StoreEntry(f"n{n}", [n, 1, 0, 0], dict.fromkeys(_NAMES, (n, "é\\", ["é", "\t"])[n])) for n in range(3)
        ]
        with _opened(make_store(4)) as store:
            asyncio.run(store.upsert(entries))
            for name in _NAMES:
                for where in ({name: 0}, {name: "é\\"}, {name: "\t"}, {name: {"$ne": "é"}}, {name: {"$lt": 1}}):
                    wanted = {entry.id for entry in entries if matches(where, entry.metadata)}
                    found = asyncio.run(store.query(_QUERY, where=where))
                    _same({match.id for match in found}, wanted, f"the filter {where}")
                asyncio.run(store.delete(where={name: {"$nin": [0, "é\\", "é"]}}))
                _same(len(asyncio.run(store.list_ids())), 3, f"the entries left after a deletion by {name!r} of none")

    def test_what_no_store_keeps_is_refused(self, make_store: Factory) -> None:
        """A filter with a NUL, a lone surrogate or a number beyond 64 bits; a namespace that is no Unicode."""
        with _filled(make_store) as store:
            for value in _NEVER_KEPT:
                named = [{value: 1}] if isinstance(value, str) else []
                for where in ({"group": value}, {"group": {"$in": ["a", value]}}, *named):
                    with must_refuse(StoreError, f"the filter {where}"):
                        asyncio.run(store.query(_QUERY, where=where))
                    with must_refuse(StoreError, f"the deletion by {where}"):
                        asyncio.run(store.delete(where=where))
            for attempt in (store.list_ids, store.delete):
                with must_refuse(StoreError, "a lone surrogate as a namespace"):
                    asyncio.run(attempt(namespace="\ud800"))
            with must_refuse(StoreError, "an entry in a namespace that is a lone surrogate"):
                asyncio.run(store.upsert(labelled(1), namespace="\ud800"))
            _same(len(asyncio.run(store.list_ids())), 12, "the entries left when none was to be deleted")

    def test_an_id_is_there_once(self, make_store: Factory) -> None:
        """The later entry counts, also within one call."""
        with _filled(make_store) as store:
            asyncio.run(store.query(_QUERY))  # so that whatever is remembered of the content is there
            new = [StoreEntry("entry-003", [9, 9, 9, 9], {"n": n}) for n in (1, 2)]
            asyncio.run(store.upsert(new))
            _same(asyncio.run(store.fetch(["entry-003"]))["entry-003"].metadata, {"n": 2}, "an entry put three times")
            _same(asyncio.run(store.describe()).counts, {"": 12}, "the count")
            (match,) = asyncio.run(store.query([9, 9, 9, 9], top_k=1))
            _same((match.id, match.metadata), ("entry-003", {"n": 2}), "the nearest to its new vector")

    def test_entries_are_deleted_by_id_by_filter_and_all(self, make_store: Factory) -> None:
        """And are found no more."""
        left = [entry.id for entry in labelled() if entry.id != "entry-000" and entry.metadata["group"] != "b"]
        with _filled(make_store) as store:
            asyncio.run(store.query(_QUERY))
            asyncio.run(store.delete([]))
            with must_refuse(StoreError, "a deletion by ids and by a filter at once"):
                asyncio.run(store.delete(["entry-000"], where={"group": "b"}))
            _same(len(asyncio.run(store.list_ids())), 12, "the entries left when none was to be deleted")
            asyncio.run(store.delete(["entry-000", "missing"]))
            asyncio.run(store.delete(where={"group": "b"}))
            _same(asyncio.run(store.list_ids()), left, "the ids that are left")
            found = asyncio.run(store.query(_QUERY, top_k=100))
            _same({match.id for match in found}, set(left), "what is still found")
            asyncio.run(store.delete())
            _same(asyncio.run(store.query(_QUERY)), [], "a query after everything was deleted")

    def test_namespaces_are_apart(self, make_store: Factory) -> None:
        """Queries, ids and deletions stay in theirs."""
        with _filled(make_store) as store:
            for drop in ({"ids": ["entry-001"]}, {"where": {"number": 1}}):
                asyncio.run(store.upsert(labelled(2)[1:], namespace="other"))
                asyncio.run(store.delete(namespace="other", **drop))
                _same(asyncio.run(store.list_ids(namespace="other")), [], f"the ids left after delete({drop})")
            _same(len(asyncio.run(store.list_ids())), 12, "the entries left when another namespace lost the same one")
            asyncio.run(store.upsert([StoreEntry("entry-000", [1, 1, 1, 1])], namespace="other"))
            _same(list(asyncio.run(store.fetch(["entry-001"], namespace="other"))), [], "fetch() of another namespace")
            _same(asyncio.run(store.list_ids(namespace="other")), ["entry-000"], "the ids of another namespace")
            found = asyncio.run(store.query(_QUERY, namespace="other"))
            _same([match.metadata for match in found], [{}], "the metadata in another namespace")
            _same(asyncio.run(store.describe()).counts, {"": 12, "other": 1}, "the counts")
            asyncio.run(store.delete(namespace="other"))
            _same(len(asyncio.run(store.list_ids())), 12, "the entries left when another namespace was deleted")

    def test_ids_are_told_apart_by_every_character(self, make_store: Factory) -> None:
        """Long ones, quotes, blanks and the case of letters."""
        ids = sorted(["a b", "A b", "a'b", 'a"b', "a/b", "a%b", "a?b=c&d#e", "x" * 511 + "1", "x" * 511 + "2"])
        with _opened(make_store(2)) as store:
            asyncio.run(store.upsert([StoreEntry(key, [1, place], {"n": place}) for place, key in enumerate(ids)]))
            _same(asyncio.run(store.list_ids()), ids, "the ids")
            fetched = asyncio.run(store.fetch(ids))
            _same([entry.metadata for entry in fetched.values()], [{"n": n} for n in range(len(ids))], "the entries")
            asyncio.run(store.delete(ids[:-1]))
            _same(asyncio.run(store.list_ids()), ids[-1:], "the id that was not deleted")

    def test_ids_are_listed_by_prefix(self, make_store: Factory) -> None:
        """Sorted, and `_` and `%` are letters like others."""
        with _filled(make_store) as store:
            asyncio.run(store.upsert([StoreEntry("run_1", [1, 1, 1, 1]), StoreEntry("run%2", [1, 1, 1, 1])]))
            _same(asyncio.run(store.list_ids(prefix="entry-01")), ["entry-010", "entry-011"], "prefix entry-01")
            _same(asyncio.run(store.list_ids(prefix="run_")), ["run_1"], "prefix run_")

    def test_another_dimension_is_refused_and_nothing_is_written(self, make_store: Factory) -> None:
        """Not even the right ones before it."""
        right, wrong = StoreEntry("right", [1, 2, 3, 4]), StoreEntry("wrong", [1, 2, 3])
        with _filled(make_store) as store:
            with must_refuse(StoreError, "an entry of 3 dimensions in a store of 4"):
                asyncio.run(store.upsert([right, wrong]))
            _same(asyncio.run(store.fetch(["right", "wrong"])), {}, "what was written of a refused call")
            with must_refuse(StoreError, "a query of 3 dimensions"):
                asyncio.run(store.query([1, 2, 3]))

    def test_another_metric_or_dimension_than_it_was_made_with_is_refused(self, make_store: Factory) -> None:
        """When it is first used, before anything is written."""
        with _opened(make_store(4)) as store, _opened(make_store(4, "euclidean")) as other:
            asyncio.run(store.upsert(labelled(1)))
            with must_refuse(StoreError, "euclidean entries for a store by cosine"):
                asyncio.run(other.upsert(labelled(1)))
            with _opened(make_store(5)) as wider, must_refuse(StoreError, "5 dimensions for a store of 4"):
                asyncio.run(wider.query([1, 0, 0, 0, 0]))

    def test_ten_thousand_vectors_are_upserted_queried_and_deleted(self, make_store: Factory) -> None:
        """In batches, with filters."""
        entries, query = labelled(10_000, 16), labelled(1, 16, seed=2)[0].values
        where = {"group": "b", "number": {"$gte": 5000}}
        with _opened(make_store(16)) as store:
            for first in range(0, len(entries), 2500):
                asyncio.run(store.upsert(entries[first : first + 2500]))
            _same(asyncio.run(store.describe()).counts, {"": 10_000}, "the count")
            found = asyncio.run(store.query(query, top_k=20, where=where))
            wanted = expected([entry for entry in entries if matches(where, entry.metadata)], query, "cosine")[:20]
            _same([match.id for match in found], [key for key, _ in wanted], "the nearest under a filter")
            asyncio.run(store.delete(where={"number": {"$lt": 4000}}))
            asyncio.run(store.delete([entry.id for entry in entries[4000:9000]]))
            _same(asyncio.run(store.list_ids()), sorted(entry.id for entry in entries[9000:]), "the ids left")

    def test_others_see_what_one_wrote(self, make_store: Factory) -> None:
        """Additions, replacements and deletions, though both have searched before."""
        with _opened(make_store(4)) as one, _opened(make_store(4)) as other:
            for step in ("added", "replaced"):
                asyncio.run(one.upsert([StoreEntry(each.id, each.vector, {"step": step}) for each in labelled(3)]))
                _same(_steps(other), [step] * 3, f"what another object sees of entries that were {step}")
            asyncio.run(one.delete(["entry-000"]))
            _same(_steps(other), ["replaced"] * 2, "what another object sees after a deletion")

    def test_a_closed_store_opens_again(self, make_store: Factory) -> None:
        """At its next use, with what it held."""
        with _filled(make_store) as store:
            for _ in range(2):
                asyncio.run(store.close())
            _same(len(asyncio.run(store.list_ids())), 12, "the entries of a store that was closed")

    def test_calls_at_once_do_not_disturb_one_another(self, make_store: Factory) -> None:
        """In one event loop, and in one after another."""

        async def everything(store: Store) -> list[Any]:
            writes = [store.upsert([StoreEntry(f"new-{n}", [n, 1, 0, 0])]) for n in range(8)]
            return list(await asyncio.gather(*writes, *(store.query(_QUERY, top_k=3) for _ in range(8))))

        with _filled(make_store) as store:
            answers = asyncio.run(everything(store))[8:]
            _same([len(answer) for answer in answers], [3] * 8, "the matches of queries beside writes")
            _same(len(asyncio.run(store.list_ids(prefix="new-"))), 8, "the entries written at once")

    def test_a_number_of_matches_that_cannot_be_is_refused(self, make_store: Factory) -> None:
        """0, negative, a fraction, a flag, more than 10,000."""
        with _filled(make_store) as store:
            for top_k in (0, -1, 2.0, True, 10_001):
                with must_refuse(StoreError, f"top_k={top_k!r}"):
                    asyncio.run(store.query(_QUERY, top_k=top_k))  # type: ignore[arg-type]


@contextmanager
def _opened(store: Store) -> Iterator[Store]:
    try:
        yield store
    finally:
        asyncio.run(store.close())


@contextmanager
def _filled(make_store: Factory) -> Iterator[Store]:
    """A store with twelve entries of four dimensions."""
    with _opened(make_store(4)) as store:
        asyncio.run(store.upsert(labelled()))
        yield store


def _same(found: Any, wanted: Any, what: str) -> None:
    require(found == wanted, f"{what}: {found!r}, expected {wanted!r}")


def _same_metadata(found: Mapping[str, Any], wanted: Mapping[str, Any], what: str) -> None:
    _same(found, wanted, what)
    flags, others = ({name for name, value in each.items() if isinstance(value, bool)} for each in (found, wanted))
    require(flags == others, f"{what}: {found!r}, expected {wanted!r}; a flag is no number")


def _steps(store: Store) -> list[Any]:
    return [match.metadata.get("step") for match in asyncio.run(store.query(_QUERY))]


def _check_nearest(make_store: Factory, metric: Metric) -> None:
    entries, query = labelled(50), labelled(1, seed=2)[0].values
    with _opened(make_store(4, metric)) as store:
        asyncio.run(store.upsert(entries))
        found = asyncio.run(store.query(query, top_k=7))
    wanted = expected(entries, query, metric)[:7]
    _same([match.id for match in found], [key for key, _ in wanted], f"the nearest by {metric}")
    require_close([match.score for match in found], [score for _, score in wanted], 1e-5, f"the scores by {metric}")
