"""The store in a file: the suite of every store, and what only a file has."""

from __future__ import annotations

import asyncio
import multiprocessing
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qstore_core import vector_table
from qstore_core.errors import ConfigurationError, StoreError
from qstore_core.sqlite_store import SqliteStore
from qstore_core.store import StoreEntry
from qstore_core.testing import StoreSuite
from qstore_core.testing.store_suite import expected, labelled


class TestSqliteStore(StoreSuite):
    @pytest.fixture
    def make_store(self, tmp_path: Path) -> Callable[..., SqliteStore]:
        def make(dimension: int, metric: Any = "cosine") -> SqliteStore:
            return SqliteStore(tmp_path / "store.sqlite", dimension=dimension, metric=metric)

        return make


def run(work: Any) -> Any:
    return asyncio.run(work)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


def test_the_first_vector_decides_the_dimension_and_the_file_knows_it(path: Path) -> None:
    run(SqliteStore(path, metric="euclidean").upsert([StoreEntry("a", [1, 2, 3])]))
    info = run(SqliteStore(path).describe())
    assert (info.dimension, info.metric) == (3, "euclidean")


@pytest.mark.parametrize(
    "options", [{"metric": "manhattan"}, {"dimension": 0}, {"max_memory": -1}, {"dimension": True}]
)
def test_options_that_cannot_be_are_refused(path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        SqliteStore(path, **options)


@pytest.mark.parametrize("max_memory", [0, 50_000, 10**6, 10**9])
def test_memory_bounds_what_is_kept_and_not_what_is_found(path: Path, max_memory: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(vector_table, "PART_BYTES", 16_000)
    store, entries = SqliteStore(path, max_memory=max_memory), labelled(3000, 16)
    for first in range(0, 3000, 700):
        run(store.upsert(entries[first : first + 700]))
        run(store.upsert(entries[:50], namespace="other"))
        query = labelled(1, 16, seed=first)[0].values
        for namespace, content in (("", entries[: first + 700]), ("other", entries[:50])):
            found = run(store.query(query, top_k=5, namespace=namespace))
            assert [match.id for match in found] == [key for key, _ in expected(content, query, "cosine")[:5]]
        kept = sum(matrix.nbytes for table in store._tables._tables.values() for _, matrix in table.parts)
        assert kept <= max_memory


def test_what_is_refused_today_and_was_kept_once_comes_back(path: Path) -> None:
    run(SqliteStore(path).upsert([StoreEntry("a", [1, 2], {"größe": 1})]))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE entries SET metadata = ?", (r'{"gr\u00f6\u00dfe": 1, "n": "a\u0000b"}',))
    store = SqliteStore(path)
    assert run(store.fetch(["a"]))["a"].metadata == {"größe": 1, "n": "a\0b"}
    assert [match.metadata["n"] for match in run(store.query([1, 2], where={"größe": 1}))] == ["a\0b"]


WRITE = """
import asyncio, os, sys
from qstore_core import SqliteStore, StoreEntry
store = SqliteStore(sys.argv[1])
for index in range(40):
    asyncio.run(store.upsert([StoreEntry(f"{sys.argv[2]}-{index}-{part}", [index, part, 1.0]) for part in range(3)]))
    assert len(asyncio.run(store.query([1, 0, 0], top_k=10_000))) % 3 == 0
"""


def test_processes_write_and_search_at_once(path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITE, str(path), str(number)]) for number in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert run(SqliteStore(path).describe()).counts == {"": 360}


KILLED = """
import asyncio, os, sys
from qstore_core import sqlite_store, SqliteStore, StoreEntry
store = SqliteStore(sys.argv[1])
class Entries(dict):
    def values(self):
        for index, entry in enumerate(super().values()):
            if index == int(sys.argv[2]):
                os.kill(os.getpid(), 9)
            yield entry
sqlite_store.latest = lambda entries: Entries((entry.id, entry) for entry in entries)
asyncio.run(store.upsert([StoreEntry(str(n), [n, 1.0], {"text": "x" * 2000}) for n in range(8000)]))
"""


@pytest.mark.parametrize("after", [0, 1, 7999])
def test_an_upsert_whose_process_is_killed_leaves_nothing_of_itself(path: Path, after: int) -> None:
    run(SqliteStore(path).upsert([StoreEntry("before", [1, 2])]))
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path), str(after)], check=False)
    assert killed.returncode == -9
    store = SqliteStore(path)
    assert run(store.list_ids()) == ["before"]
    assert [match.id for match in run(store.query([1, 2]))] == ["before"]


def test_closing_makes_no_file(path: Path) -> None:
    run(SqliteStore(path).close())
    assert not path.exists()


def test_a_write_that_fails_leaves_nothing_of_itself(path: Path) -> None:
    store = SqliteStore(path)
    run(store.upsert([StoreEntry("a", [1, 2])]))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE TRIGGER stop BEFORE INSERT ON vectors WHEN NEW.number > 3 BEGIN SELECT RAISE(FAIL, 'x'); END"
        )
    with pytest.raises(StoreError, match="cannot use the store"):
        run(store.upsert([StoreEntry(name, [1, 2]) for name in "abcd"]))
    assert run(store.list_ids()) == ["a"]


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 100])
def test_a_file_that_is_none_of_ours_is_left_as_it_is(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreError, match="is no store of qstore"):
        run(SqliteStore(path).list_ids())
    assert path.read_bytes() == content


def test_a_cache_is_no_store(path: Path) -> None:
    from qstore_core import SqliteCache

    SqliteCache(path).close()
    with pytest.raises(StoreError, match="is a database, but no store of qstore"):
        run(SqliteStore(path).list_ids())


def test_a_place_that_cannot_be_written_is_named() -> None:
    with pytest.raises(StoreError, match="cannot use the store /proc/nowhere/store"):
        run(SqliteStore("/proc/nowhere/store.sqlite").list_ids())


def _count_in_child(store: SqliteStore, answers: Any) -> None:
    answers.put(len(run(store.query([1, 0], top_k=10))))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_opens_the_file_for_itself(path: Path) -> None:
    store = SqliteStore(path)
    run(store.upsert([StoreEntry(name, [1, 2]) for name in "abc"]))
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=_count_in_child, args=(store, answers))
    child.start()
    assert answers.get() == 3
    child.join()
    assert len(run(store.query(np.array([1.0, 0.0]), top_k=10))) == 3
