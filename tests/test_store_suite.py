"""The suite of stores passes the built-in one, and says by name what is wrong with each of many wrong stores."""

from __future__ import annotations

from pathlib import Path

import pytest
from store_mutants import MUTANTS

from qstore_core import SqliteStore
from qstore_core.store import Metric
from qstore_core.testing import Outcome, StoreSuite
from qstore_core.testing.runner import checks_of, iterate_suite


def verdict(check: str, kind: type[SqliteStore], folder: Path) -> Outcome:
    """What one check says of a kind of store."""

    def make_store(dimension: int, metric: Metric = "cosine") -> SqliteStore:
        return kind(folder / "store.sqlite", dimension=dimension, metric=metric)

    (outcome,) = iterate_suite(StoreSuite(), only=check, make_store=make_store)
    return outcome


@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_store_is_caught_by_the_check_of_its_fault(name: str, tmp_path: Path) -> None:
    assert verdict(MUTANTS[name].caught_by, MUTANTS[name], tmp_path).state == "failed"


def test_every_check_catches_a_wrong_store_and_passes_the_right_one(tmp_path: Path) -> None:
    checks = [name for name, _ in checks_of(StoreSuite())]
    assert {mutant.caught_by for mutant in MUTANTS.values()} == set(checks)
    for check in checks:
        (tmp_path / check).mkdir()
        assert verdict(check, SqliteStore, tmp_path / check).state == "passed"
