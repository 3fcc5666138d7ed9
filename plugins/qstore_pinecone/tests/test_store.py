"""Pinecone's own client against the emulator: the suite of every store, and what only a service has."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from qstore_pinecone import store as module
from qstore_pinecone.emulator.process import RunningEmulator, emulator
from qstore_pinecone.store import PineconeStore

from qstore_core.errors import ConfigurationError, StoreError, StoreUnavailableError
from qstore_core.store import StoreEntry
from qstore_core.testing import StoreSuite
from qstore_core.testing.store_suite import labelled

MakeStore = Callable[..., PineconeStore]


class TestPineconeStore(StoreSuite):
    @pytest.fixture
    def make_store(self, make_store: MakeStore) -> MakeStore:
        return make_store


def run(work: Any) -> Any:
    return asyncio.run(work)


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PINECONE_API_KEY", raising=False)


@pytest.mark.parametrize("key", [None, "", " ", "key\n", "ké"])
def test_a_key_that_cannot_be_one_is_refused_at_once(key: str | None) -> None:
    with pytest.raises(ConfigurationError, match="set PINECONE_API_KEY, or pinecone_api_key"):
        PineconeStore(api_key=key)


def test_a_key_comes_from_the_environment_and_is_shown_nowhere(
    make_store: MakeStore, shared_emulator: RunningEmulator, monkeypatch: Any, caplog: Any
) -> None:
    monkeypatch.setenv("PINECONE_API_KEY", shared_emulator.key)
    caplog.set_level(logging.DEBUG)
    store = make_store(api_key=None)
    run(store.upsert(labelled(2)))
    assert run(store.describe()).counts == {"": 2}
    assert shared_emulator.key not in f"{store!r} {store._service!r} {caplog.text}"


def test_a_wrong_key_is_refused_without_being_shown(make_store: MakeStore) -> None:
    store = make_store(api_key="another-key")
    for work in (store.upsert(labelled(1)), store.query([1, 0, 0, 0]), store.describe()):
        with pytest.raises(StoreError, match=r"Pinecone refuses the key.*check pinecone_api_key or PINEC") as refused:
            run(work)
        assert "another-key" not in str(refused.value)
        assert not isinstance(refused.value, StoreUnavailableError)


def test_reading_makes_no_index_and_writing_does(make_store: MakeStore, shared_emulator: RunningEmulator) -> None:
    store = make_store(environment="eu-west-1")
    before = shared_emulator.requests()["requests"].get("create", 0)
    assert run(store.query([1, 2, 3])) == []
    assert run(store.describe()).dimension is None
    assert shared_emulator.requests()["requests"].get("create", 0) == before
    run(store.upsert([StoreEntry("a", [1, 2, 3])]))
    model = store._service._control().indexes.describe(store.index_name)
    assert (model.dimension, model.metric, model.deployment.region) == (3, "cosine", "eu-west-1")
    assert model.deployment.cloud == "aws"


def test_a_missing_index_is_an_error_where_it_must_be_there(make_store: MakeStore) -> None:
    store = make_store(create=False)
    for work in (store.upsert(labelled(1)), store.query([1, 0, 0, 0]), store.list_ids()):
        with pytest.raises(StoreError, match=r"no index 'index-.*' for this key; check the name"):
            run(work)


def test_an_index_that_goes_away_is_told_and_then_made_again(make_store: MakeStore) -> None:
    store = make_store()
    run(store.upsert(labelled(3)))
    store._service._control().indexes.delete(store.index_name)
    with pytest.raises(StoreError, match=r"has no index 'index-.*' any more, asked to keep entries; 0 of 3 entries"):
        run(store.upsert(labelled(3)))
    run(store.upsert(labelled(2)))
    assert run(store.list_ids()) == ["entry-000", "entry-001"]


def test_entries_go_in_requests_of_a_size_that_pinecone_takes(
    make_store: MakeStore, shared_emulator: RunningEmulator
) -> None:
    before = shared_emulator.requests()["requests"].get("upsert", 0)
    text = "x" * 30_000
    run(make_store().upsert([StoreEntry(f"{n}", [1, n], {"text": text}) for n in range(120)]))
    assert shared_emulator.requests()["requests"]["upsert"] - before == 3
    for batch in module._batches(labelled(2500)):
        assert len(batch) <= 1000
        assert len(json.dumps(batch)) < 2 * 2**20


@pytest.mark.parametrize("what", [503, 429, "drop", "drop_after"])
def test_a_request_that_fails_for_a_while_is_sent_again(
    make_store: MakeStore, shared_emulator: RunningEmulator, what: str | int
) -> None:
    store = make_store()
    run(store.upsert(labelled(1)))
    shared_emulator.fail("upsert", what, times=2)
    run(store.upsert(labelled(12)))
    assert run(store.describe()).counts == {"": 12}


def test_a_connection_that_is_lost_half_way_says_how_much_was_written(
    make_store: MakeStore, shared_emulator: RunningEmulator, monkeypatch: Any
) -> None:
    monkeypatch.setattr(module, "_MOST_ENTRIES", 5)
    store = make_store()
    shared_emulator.fail("upsert", "drop", after=1, times=4)
    with pytest.raises(StoreUnavailableError, match="5 of 12 entries were written, each of them whole, and to send"):
        run(store.upsert(labelled(12)))
    assert run(store.list_ids()) == [entry.id for entry in labelled(5)]
    assert run(store.fetch(["entry-004"]))["entry-004"].metadata == labelled(5)[4].metadata
    run(store.upsert(labelled(12)))
    assert run(store.describe()).counts == {"": 12}


def test_a_service_that_is_gone_is_told_and_used_again_when_it_is_back() -> None:
    with emulator() as running:
        store = PineconeStore("runs", api_key=running.key, host=running.url)
        run(store.upsert(labelled(2)))
        running.stop()
        for work in (store.upsert(labelled(2)), store.query([1, 0, 0, 0])):
            with pytest.raises(StoreUnavailableError, match="Pinecone cannot be reached to"):
                run(work)
        running.start()
        with pytest.raises(StoreError, match="any more"):  # it is a new, empty one
            run(store.upsert(labelled(2)))
        run(store.upsert(labelled(2)))
        assert run(store.list_ids()) == ["entry-000", "entry-001"]
        run(store.close())


def test_what_was_fetched_can_be_kept_again_though_its_number_is_large(make_store: MakeStore) -> None:
    store = make_store(2)
    run(store.upsert([StoreEntry("a", [1, 2], {"large": 1e25, "n": 3})]))
    entry = run(store.fetch(["a"]))["a"]
    assert repr(dict(sorted(entry.metadata.items()))) == "{'large': 1e+25, 'n': 3}"
    run(store.upsert([StoreEntry("b", entry.vector, entry.metadata)]))
