"""Caches in files, and programs that use them in processes of their own."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from qstore_core import SqliteCache

# What the processes below run: every value follows from its key, so that a wrong one is noticed.
PRELUDE = """
import asyncio, hashlib, os, sqlite3, sys
from qstore_core.sqlite_cache import SqliteCache
path = sys.argv[1]
def value(key):
    return hashlib.sha256(key.encode()).digest() * (1 + len(key) * int(key.split("-")[-1]) % 60)
"""


def value(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest() * (1 + len(key) * int(key.split("-")[-1]) % 60)


def start(script: str, path: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PRELUDE + script, str(path), *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return output


def put(cache: SqliteCache, items: Mapping[str, bytes]) -> None:
    asyncio.run(cache.put_many(items))


def get(cache: SqliteCache, *keys: str) -> list[bytes | None]:
    return asyncio.run(cache.get_many(keys))


def integrity(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


def contents(path: Path) -> dict[str, bytes]:
    """The file, and what lies beside it and is not empty; the shared memory is no content."""
    files = [file for file in path.parent.iterdir() if file.is_file() and not file.name.endswith("-shm")]
    return {file.name: data for file in files if (data := file.read_bytes()) or file == path}


def filled(path: Path) -> int:
    """Make a cache with entries at `path`; returns how many pages it has."""
    cache = SqliteCache(path)
    put(cache, {f"k-{index}": value(f"k-{index}") for index in range(300)})
    cache.close()
    return path.stat().st_size // 4096
