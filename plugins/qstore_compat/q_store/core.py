"""Where Q-Store kept its database: none of it is here, and each name says what to do without it."""

from __future__ import annotations

from typing import Any

from q_store.changes import missing


def __getattr__(name: str) -> Any:
    raise missing("q_store.core", name)
