"""Every kind of Aer backend passes qstore's suite."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import pytest
from qstore_aer.backend import AerBackend
from qstore_aer.noisy import NoisyAerBackend

from qstore_core.testing import BackendSuite


class TestAer(BackendSuite):
    @pytest.fixture
    def make_backend(self) -> type[AerBackend]:
        return AerBackend


@pytest.mark.slow
class TestSinglePrecision(BackendSuite):
    exact: ClassVar[float] = 1e-5

    @pytest.fixture
    def make_backend(self) -> Callable[[], AerBackend]:
        return partial(AerBackend, precision="single")


@pytest.mark.slow
class TestMatrixProductStates(BackendSuite):
    @pytest.fixture
    def make_backend(self) -> Callable[[], AerBackend]:
        return partial(AerBackend, method="matrix_product_state")


@pytest.mark.slow
class TestCliffordGates(BackendSuite):
    @pytest.fixture
    def make_backend(self) -> Callable[[], AerBackend]:
        return partial(AerBackend, method="stabilizer")


@pytest.mark.slow
class TestWithNoise(BackendSuite):
    @pytest.fixture(params=[{"depolarizing": 0.005, "readout_error": 0.02}, {"readout_error": 0.05}], ids=str)
    def make_backend(self, request: pytest.FixtureRequest) -> Callable[[], NoisyAerBackend]:
        return partial(NoisyAerBackend, **request.param)


@pytest.mark.slow
class TestAsADevice(BackendSuite):
    @pytest.fixture
    def make_backend(self) -> Callable[[], Any]:
        return partial(NoisyAerBackend, target="line-4")
