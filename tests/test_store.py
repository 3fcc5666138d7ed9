"""What every store takes and refuses, and filters: in Python and in SQL the same."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from qstore_core.errors import StoreError
from qstore_core.store import MOST_METADATA, StoreEntry, scores_of
from qstore_core.store_filter import checked, matches, to_sql


@pytest.mark.parametrize("name", ["", "x" * 513, "tab\t", "é", 3, None])
def test_a_name_that_cannot_be_an_id_is_refused(name: Any) -> None:
    with pytest.raises(StoreError, match="an id is 1 to 512 printable ASCII characters, not"):
        StoreEntry(name, [1.0])


@pytest.mark.parametrize("vector", [[], [[1.0]], [np.nan], [np.inf], ["a"], None, [[1], [1, 2]], 3.0])
def test_what_is_no_vector_is_refused(vector: Any) -> None:
    with pytest.raises(StoreError, match="entry 'a': a vector is a list of"):
        StoreEntry("a", vector)


@pytest.mark.parametrize("value", [None, np.nan, {"b": 1}, [1, 2], b"x", np.array([1.0])])
def test_metadata_of_other_kinds_are_refused_with_name_and_value(value: Any) -> None:
    with pytest.raises(StoreError, match=r"entry 'a': metadata are text, finite numbers.* 'size'"):
        StoreEntry("a", [1.0], {"size": value})


def test_metadata_are_at_most_as_large_as_pinecone_takes() -> None:
    StoreEntry("a", [1.0], {"text": "x" * (MOST_METADATA - 20)})
    with pytest.raises(
        StoreError, match=f"entry 'a' has {MOST_METADATA + 12} bytes of metadata, and at most 40960 are"
    ):
        StoreEntry("a", [1.0], {"text": "x" * MOST_METADATA})


def test_an_entry_does_not_change_with_what_it_was_made_of() -> None:
    values, metadata = np.ones(2), {"n": 1}
    entry = StoreEntry("a", values, metadata)
    values[0], metadata["n"] = 5, 5
    assert entry.values.tolist() == [1, 1]
    assert entry.metadata == {"n": 1}


@pytest.mark.parametrize("metric", ["cosine", "dotproduct", "euclidean"])
def test_scores_are_those_of_double_precision(metric: Any) -> None:
    rng = np.random.default_rng(1)
    rows, query = rng.normal(size=(200, 30)), rng.normal(size=30)
    wanted = {
        "cosine": rows @ query / np.linalg.norm(rows, axis=1) / np.linalg.norm(query),
        "dotproduct": rows @ query,
        "euclidean": ((rows - query) ** 2).sum(axis=1),
    }[metric]
    found = scores_of(rows.astype(np.float32), query.astype(np.float32), metric)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_a_zero_vector_is_near_to_nothing() -> None:
    assert scores_of(np.zeros((1, 3), np.float32), np.ones(3, np.float32), "cosine").tolist() == [0]


@pytest.mark.parametrize(
    "metadata",
    [{"n": "a\0b"}, {"a\0b": 1}, {"n": ["a", "\0"]}, {"n": "\ud800"}, {"\udfff": 1}, {"n": 2**63}, {"n": -(10**400)}],
)
def test_what_a_store_would_cut_or_round_is_refused(metadata: dict[str, Any]) -> None:
    with pytest.raises(StoreError, match=r"entry 'a': metadata .*(without NUL and lone|whole numbers of 64 bits)"):
        StoreEntry("a", [1.0], metadata)
    assert StoreEntry.kept("a", [1.0], metadata).metadata == metadata  # an older file may have it


TEXTS = ["a", "b", "1", "é", "\\", "", "\t", "😀"]
VALUES: list[Any] = [
    *TEXTS,
    "true",
    0,
    1,
    2,
    2.5,
    -1,
    2**63 - 1,
    -(2**63),
    2**53 + 1,
    2.0**53,
    1e300,
    -0.0,
    True,
    False,
]
NAMES = ["x", "y", "two words", "a.b", "größe", "back\\slash", "tab\t", "line\n", "emoji😀", "it's", "[0]", "", "\x7f"]


def random_metadata(rng: np.random.Generator) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in NAMES:
        kind = rng.integers(4)
        if kind == 1:
            found[name] = [str(text) for text in rng.choice(TEXTS, size=rng.integers(0, 3))]
        elif kind > 1:
            found[name] = VALUES[rng.integers(len(VALUES))]
    return found


def random_filter(rng: np.random.Generator, depth: int = 2) -> dict[str, Any]:
    if depth and rng.random() < 0.3:
        parts = [random_filter(rng, depth - 1) for _ in range(rng.integers(1, 4))]
        return {("$and", "$or")[rng.integers(2)]: parts}
    return {NAMES[rng.integers(len(NAMES))]: random_condition(rng) for _ in range(rng.integers(1, 3))}


def random_condition(rng: np.random.Generator) -> Any:
    operator = ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", ""][rng.integers(9)]
    if operator in ("$in", "$nin"):
        return {operator: [VALUES[place] for place in rng.integers(len(VALUES), size=rng.integers(0, 4))]}
    if operator in ("$eq", "$ne", ""):
        value = VALUES[rng.integers(len(VALUES))]
        return {operator: value} if operator else value
    return {operator: [value for value in VALUES[9:] if not isinstance(value, bool)][rng.integers(10)]}


def test_sql_lets_through_what_python_does() -> None:
    rng = np.random.default_rng(7)
    rows = [random_metadata(rng) for _ in range(150)]
    passed = 0
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE entries (id INTEGER, metadata TEXT)")
        connection.executemany("INSERT INTO entries VALUES (?, ?)", enumerate(map(json.dumps, rows)))
        for _ in range(400):
            where = random_filter(rng)
            condition, arguments = to_sql(where, "metadata")
            found = connection.execute(f"SELECT id FROM entries WHERE {condition} ORDER BY id", arguments)
            wanted = [place for place, metadata in enumerate(rows) if matches(where, metadata)]
            assert [place for (place,) in found] == wanted, where
            passed += 0 < len(wanted) < len(rows)
    assert passed > 200  # filters that tell entries apart


@pytest.mark.parametrize(
    "where",
    [
        [],
        {"$not": [{}]},
        {"$and": {}},
        {"$or": []},
        {3: 1},
        {'a"b': 1},
        {"a": {"$exists": True}},
        {"a": {"$gt": "x"}},
        {"a": {"$lte": True}},
        {"a": {"$in": "x"}},
        {"a": {"$in": [None]}},
        {"a": None},
        {"a": [1]},
        {"$and": [{"a": {"$near": 1}}]},
        {"a": "a\0"},
        {"a\0": 1},
        {"\ud800": 1},
        {"a": {"$in": ["\ud800"]}},
        {"a": {"$gt": 2**63}},
    ],
    ids=ascii,
)
def test_a_filter_that_means_nothing_is_refused(where: Any) -> None:
    with pytest.raises(StoreError):
        checked(where)


def test_a_value_cannot_leave_its_place_in_sql() -> None:
    where = {"x') OR 1 --": "'; DROP TABLE entries; --"}
    condition, arguments = to_sql(where, "metadata")
    assert "DROP" not in condition
    assert "--" not in condition
    assert arguments == ['$."x\') OR 1 --"', "'; DROP TABLE entries; --"]
