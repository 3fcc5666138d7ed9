"""Every target passes qstore's suite, against the emulator."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import pytest
from qstore_ionq.emulator.process import RunningEmulator

from qstore_core import get_backend
from qstore_core.testing import BackendSuite


def on(running: RunningEmulator, name: str, **options: Any) -> Callable[[], Any]:
    """What makes a backend, in this process and in a fresh one."""
    return partial(get_backend, f"ionq.{name}", remote_host=running.url, api_key="emulator-key", **options)


class TestSimulator(BackendSuite):
    @pytest.fixture
    def make_backend(self, running: RunningEmulator) -> Callable[[], Any]:
        return on(running, "simulator")

    @pytest.mark.slow  # a fresh process imports Cirq
    def test_results_are_fetched_in_a_fresh_process(self, make_backend: Callable[[], Any]) -> None:
        super().test_results_are_fetched_in_a_fresh_process(make_backend)

    @pytest.mark.slow
    def test_a_job_is_found_by_its_token(self, make_backend: Callable[[], Any]) -> None:
        super().test_a_job_is_found_by_its_token(make_backend)


@pytest.mark.slow
class TestSimulatorWithNoise(BackendSuite):
    @pytest.fixture(params=["aria-1", "forte-1"])
    def make_backend(self, running: RunningEmulator, request: pytest.FixtureRequest) -> Callable[[], Any]:
        return on(running, "simulator", noise_model=request.param)


@pytest.mark.slow
class TestQPU(BackendSuite):
    max_usd: ClassVar[float] = 1e9  # the emulator charges nobody

    @pytest.fixture(
        params=[{"target": "qpu.forte-1"}, {"target": "qpu.aria-2", "gateset": "qis"}],
        ids=lambda options: options["target"],
    )
    def make_backend(self, running: RunningEmulator, request: pytest.FixtureRequest) -> Callable[[], Any]:
        return on(running, "qpu", **request.param)
