"""The emulator that the tests share, and stores on it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from qstore_pinecone.emulator.process import RunningEmulator, emulator
from qstore_pinecone.store import PineconeStore

_names = (f"index-{number}" for number in itertools.count())


@pytest.fixture(scope="session")
def shared_emulator() -> Iterator[RunningEmulator]:
    with emulator(key="a-secret-key") as running:
        yield running


@pytest.fixture
def make_store(shared_emulator: RunningEmulator) -> Iterator[Callable[..., PineconeStore]]:
    """`make_store(dimension, metric="cosine", **options)`: each test has an index of its own."""
    name, made = next(_names), []

    def make(dimension: int | None = None, metric: Any = "cosine", **options: Any) -> PineconeStore:
        given = {"api_key": shared_emulator.key, "host": shared_emulator.url, **options}
        made.append(PineconeStore(given.pop("index_name", name), dimension=dimension, metric=metric, **given))
        return made[-1]

    yield make
    for store in made:
        store._service.close()
