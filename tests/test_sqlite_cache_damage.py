"""The cache in a file refuses, untouched, what is no cache, what is damaged, and what cannot be written."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cache_files import contents, filled, finish, get, integrity, put, start, value

from qstore_core import CacheError, SqliteCache


def refused(path: Path, *, match: str) -> None:
    """That a cache cannot be opened at `path`, which the message names, and that nothing there changes."""
    before = contents(path)
    with pytest.raises(CacheError, match=match) as caught:
        SqliteCache(path)
    assert str(path) in str(caught.value)
    assert contents(path) == before


@pytest.mark.parametrize(
    "content", [b"", b"hi", b"not a database\n" * 1000, bytes(5000), b"SQLite format 3\0", b"PK\3\4" * 99]
)
def test_a_foreign_file_is_refused(cache_path: Path, content: bytes) -> None:
    cache_path.write_bytes(content)
    refused(cache_path, match="is no cache of qstore: .* choose another path")


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
@pytest.mark.parametrize("owner", [0, 0x71736A31])
def test_a_foreign_database_is_refused(cache_path: Path, mode: str, owner: int) -> None:
    with closing(sqlite3.connect(cache_path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute(f"PRAGMA application_id = {owner}")
        connection.execute("CREATE TABLE entries (key TEXT)")
    refused(cache_path, match="is a database, but no cache of qstore; .* choose another path")


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
def test_a_foreign_database_whose_program_died_is_left_to_that_program(cache_path: Path, mode: str) -> None:
    finish(start(ABANDON, cache_path, mode, "foreign"))
    assert len(contents(cache_path)) == 2
    refused(cache_path, match="cannot use the cache" if mode == "DELETE" else "no cache of qstore")


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_an_unfinished_transaction_of_a_dead_process_is_taken_back(
    cache_path: Path, mode: str, open_cache: Callable[..., SqliteCache]
) -> None:
    finish(start(ABANDON, cache_path, mode, "ours"))
    assert len(contents(cache_path)) == 2
    cache = open_cache()
    assert get(cache, "whole-1") == [value("whole-1")]
    put(cache, {"a": b"1"})
    assert get(cache, "a") == [b"1"]
    cache.close()
    assert integrity(cache_path) == "ok"


@pytest.mark.parametrize("version", [0, 2, 2**31 - 1])
def test_another_version_is_refused(cache_path: Path, version: int) -> None:
    filled(cache_path)
    with closing(sqlite3.connect(cache_path)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    refused(cache_path, match=rf"{'a newer' if version else 'another'} version \({version}, not 1\); install")


def test_a_cache_without_its_tables_is_refused(cache_path: Path) -> None:
    filled(cache_path)
    with closing(sqlite3.connect(cache_path)) as connection:
        connection.execute("DROP TABLE payloads")
    refused(cache_path, match="is damaged: it lacks a table; delete it")


@pytest.mark.parametrize("where", ["schema", "map", "first", "middle", "last"])
def test_a_damaged_page_is_noticed(cache_path: Path, where: str) -> None:
    pages = filled(cache_path)
    offset = {"schema": 100, "map": 4096, "first": 8192, "middle": 4096 * (pages // 2), "last": 4096 * (pages - 1)}
    with cache_path.open("r+b") as stream:
        stream.seek(offset[where])
        stream.write(b"\xa5" * (3996 if where == "schema" else 4096))
    refused(cache_path, match="is damaged: .*delete it")


@pytest.mark.parametrize("kept", [0.5, 0.9, 0.99])
def test_a_truncated_file_is_noticed(cache_path: Path, kept: float) -> None:
    filled(cache_path)
    os.truncate(cache_path, int(cache_path.stat().st_size * kept))
    refused(cache_path, match="is damaged: .*delete it")


def test_damage_under_a_log_that_a_dead_process_left_is_noticed_and_nothing_is_merged(cache_path: Path) -> None:
    pages = filled(cache_path)
    finish(start("cache = SqliteCache(path); cache._put({'late-1': b'1'}); os._exit(0)", cache_path))
    with cache_path.open("r+b") as stream:
        stream.seek(4096 * (pages // 2))
        stream.write(b"\xa5" * 4096)
    assert len(contents(cache_path)) == 2
    refused(cache_path, match="is damaged: .*delete it")


def test_damage_that_comes_later_is_an_error_too(cache_path: Path, open_cache: Callable[..., SqliteCache]) -> None:
    filled(cache_path)
    cache = open_cache()
    with closing(sqlite3.connect(cache_path)) as connection:
        connection.execute("DROP TABLE payloads")
    with pytest.raises(CacheError, match=f"cannot use the cache {cache_path}: no such table"):
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
