"""Every test, and every example in a docstring, is told what changed anew, and may use what changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from q_store.changes import forget


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore::q_store.changes.QStoreCompatWarning"))


@pytest.fixture(autouse=True)
def _told_anew() -> Iterator[None]:
    forget()
    yield
    forget()
