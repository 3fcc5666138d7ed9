"""The progress bar of a run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from qstore_core.cost import Cost


class Progress(Protocol):
    """What a trainer tells about its progress."""

    def step(self, loss: float, spent: Cost) -> None:
        """A step is done."""
        ...


class _Silent:
    def step(self, loss: float, spent: Cost) -> None:
        """Say nothing."""


@contextmanager
def progress_bar(total: int | None, done: int, *, show: bool | None) -> Iterator[Progress]:
    """A bar on standard error with loss, circuits, shots, cost and the time left.

    Args:
        total: Steps of the whole run, where known.
        done: Steps done before this call.
        show: Whether to show it; None: when standard error is a terminal.
    """
    if show is False or (show is None and not sys.stderr.isatty()):
        yield _Silent()
        return
    from tqdm.auto import tqdm  # here, because importing it takes longer than a short run

    with tqdm(total=total, initial=done, unit="step", disable=False) as bar:

        class Bar:
            def step(self, loss: float, spent: Cost) -> None:
                """Move the bar by one."""
                bar.set_postfix_str(
                    f"loss {loss:.4f}, {spent.circuits:,} circuits, {spent.shots:,} shots, ${spent.usd_high:.2f}",
                    refresh=False,
                )
                bar.update()

        yield Bar()
