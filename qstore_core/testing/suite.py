"""What every suite of backends shares: its settings, and a backend on the bench for each check."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeAlias

from qstore_core.backend import Backend
from qstore_core.testing.bench import Bench

Factory: TypeAlias = Callable[[], Backend]
"""What the fixture `make_backend` returns: a class or a function that makes a new backend at each call."""


class BackendChecks:
    """The settings of a suite; a subclass sets what differs.

    Attributes:
        shots: Shots of each circuit where values are sampled; tolerances follow them.
        exact: How far exact values may be from the reference: more for single precision.
        noise: How far noise may move a Pauli expectation value of a short circuit, where the backend says it is noisy.
        max_usd: The most US dollars that one check may spend, by the backend's own prices; a check that could cost
            more is skipped. Raise it where nothing is really charged, as on an emulator.
        patience: Seconds to wait for a job.
    """

    shots: ClassVar[int] = 1000
    exact: ClassVar[float] = 1e-9
    noise: ClassVar[float] = 0.25
    max_usd: ClassVar[float] = 0.0
    patience: ClassVar[float] = 600.0

    def bench(self, make_backend: Factory) -> Bench:
        """A new backend, with these settings."""
        return Bench(make_backend, self.shots, self.exact, self.noise, self.max_usd, self.patience)
