"""How a provider says no."""

from __future__ import annotations


class RefusedError(Exception):
    """A request is answered with an error status and a reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
