"""How to differentiate on the mock simulator; what every simulator's tests share is in `plugins/conftest.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from qstore_mock.backend import MockBackend

from qstore_core.arrays import FloatArray
from qstore_core.batch import CircuitBatch


@pytest.fixture(scope="session")
def differentiate() -> Callable[[MockBackend, CircuitBatch, FloatArray], FloatArray]:
    """`differentiate(backend, batch, cotangents)`: compile and take the gradient."""

    def run(backend: MockBackend, batch: CircuitBatch, cotangents: FloatArray) -> FloatArray:
        return asyncio.run(backend.gradient(batch, backend.compile(batch.structure, batch.groups), cotangents))

    return run
