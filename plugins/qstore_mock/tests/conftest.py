"""How to differentiate on the mock simulator, and a provider; what all simulators' tests share is at the root."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
from qstore_mock.backend import MockBackend
from qstore_mock.remote.process import RunningProvider, provider
from remote_batches import PRICES

from qstore_core.arrays import FloatArray
from qstore_core.batch import CircuitBatch


@pytest.fixture(scope="session")
def differentiate() -> Callable[[MockBackend, CircuitBatch, FloatArray], FloatArray]:
    """`differentiate(backend, batch, cotangents)`: compile and take the gradient."""

    def run(backend: MockBackend, batch: CircuitBatch, cotangents: FloatArray) -> FloatArray:
        return asyncio.run(backend.gradient(batch, backend.compile(batch.structure, batch.groups), cotangents))

    return run


@pytest.fixture(scope="module")
def running() -> Iterator[RunningProvider]:
    """A provider that answers at once."""
    with provider(**PRICES) as process:
        yield process
