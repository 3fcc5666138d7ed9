"""Both backends pass qstore's suite: the simulator, exact and noisy, and the provider's jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any, ClassVar

import pytest
from qstore_mock.backend import MockBackend
from qstore_mock.remote.backend import RemoteMockBackend
from qstore_mock.remote.process import RunningProvider, provider

from qstore_core import get_backend
from qstore_core.testing import BackendSuite, GradientEstimatorSuite


class TestMock(BackendSuite):
    @pytest.fixture
    def make_backend(self) -> type[MockBackend]:
        return MockBackend


@pytest.mark.slow
@pytest.mark.skipif(find_spec("numba") is None, reason="numba is not installed")
class TestMockAccelerated(BackendSuite):
    @pytest.fixture
    def make_backend(self) -> Callable[[], MockBackend]:
        return partial(MockBackend, accelerator="numba")


class TestMockWithNoise(BackendSuite):
    @pytest.fixture
    def make_backend(self) -> Callable[[], MockBackend]:
        return partial(MockBackend, depolarizing=(0.002, 0.01), readout_error=0.02)


class TestAdjoint(GradientEstimatorSuite):
    backend: ClassVar[Any] = MockBackend
    steps: ClassVar[int] = 3

    @pytest.fixture
    def make_estimator(self) -> Callable[[], Any]:
        from qstore_core.estimators.adjoint import Adjoint

        return Adjoint


@pytest.fixture(scope="module")
def running() -> Iterator[RunningProvider]:
    """A provider whose jobs wait a moment, with small limits and prices on two readings."""
    limits = {"max_circuits": 60, "max_shots": 3000, "max_qubits": 6}
    with provider(queue=1, time_scale=0.02, price_circuit="0.2:0.3", minimum="0.1:0.5", **limits) as process:
        yield process


class TestMockRemote(BackendSuite):
    max_usd: ClassVar[float] = 1e6  # the provider charges nobody

    @pytest.fixture
    def make_backend(self, running: RunningProvider) -> Callable[[], RemoteMockBackend]:
        return partial(get_backend, "mock.remote", url=running.url)  # type: ignore[return-value]
