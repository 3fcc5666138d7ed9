"""The classes of Q-Store v3.3: what they share, and the programs of their documentation."""

from __future__ import annotations

import asyncio
import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from facade_problems import THETA, build, gradient, loss, spsa
from fake_backends import Remote, Yielding, mock

from qstore_core import (
    AdaptiveGradientEstimator,
    Budget,
    BudgetExceededError,
    ConfigurationError,
    ExecutionResult,
    Executor,
    GradientResult,
    ParameterShiftGradientEstimator,
    PerformanceTracker,
    QuantumCircuitCache,
    SPSAGradientEstimator,
)
from qstore_core.facades.calls import Resources


class TestResources:
    def test_every_facade_outlives_its_event_loop(self) -> None:
        for backend in (mock(), Remote()):
            for estimator in (
                SPSAGradientEstimator(backend, seed=1),
                ParameterShiftGradientEstimator(backend, "Z0", seed=1),
                AdaptiveGradientEstimator(backend, "Z0", seed=1),
            ):
                chosen = loss if isinstance(estimator, SPSAGradientEstimator) else None
                results = [gradient(estimator, build, chosen, THETA, shots=10) for _ in range(3)]
                assert all(result.n_circuit_executions for result in results)

    @pytest.mark.parametrize("backend", [Yielding, Remote])
    def test_calls_that_overlap_are_counted_each_by_itself(self, backend: Callable[[], Any]) -> None:
        estimator = SPSAGradientEstimator(backend(), directions=2, seed=1)

        async def together() -> list[GradientResult]:
            calls = [estimator.estimate_gradient(build, loss, THETA, shots) for shots in (10, 20, 30)]
            return await asyncio.gather(*calls)

        results = asyncio.run(together())
        counts = [(each.n_circuit_executions, each.n_shots, each.n_jobs) for each in results]
        assert counts == [(4, 40, 1), (4, 80, 1), (4, 120, 1)]
        assert [each.metadata["call"] for each in results] == [1, 2, 3]
        assert estimator.executor.tracker.total.circuits == 12

    def test_what_a_journal_has_is_not_paid_twice(self, tmp_path: Path) -> None:
        remote, path = Remote(), tmp_path / "journal.sqlite"
        first, second = (
            [gradient(estimator, build, loss, THETA, shots=20) for _ in range(2)]
            for estimator in (spsa(remote, journal_path=path), spsa(remote, journal_path=path))
        )
        assert remote.circuits_paid == 4
        assert [result.n_circuit_executions for result in first + second] == [2, 2, 0, 0]
        for one, same in zip(first, second, strict=True):
            np.testing.assert_array_equal(one.gradients, same.gradients)

    def test_a_loss_that_fails_costs_nothing_more(self) -> None:
        remote, failing = Remote(), True

        def sometimes(result: ExecutionResult) -> float:
            if failing:
                raise KeyError("a mistake")
            return loss(result)

        estimator = spsa(remote)
        with pytest.raises(KeyError):
            gradient(estimator, build, sometimes, THETA, shots=20)
        failing = False
        result = gradient(estimator, build, sometimes, THETA, shots=20)
        assert remote.circuits_paid == 2
        np.testing.assert_array_equal(result.gradients, gradient(spsa(), build, loss, THETA, shots=20).gradients)

    def test_a_budget_holds(self) -> None:
        remote = Remote()
        estimator = spsa(remote, budget=Budget(usd=0.05))
        gradient(estimator, build, loss, THETA)
        gradient(estimator, build, loss, THETA)
        with pytest.raises(BudgetExceededError, match=r"the budget is 0\.05 USD: 0\.04 spent or reserved"):
            gradient(estimator, build, loss, THETA)
        assert remote.circuits_paid == 4

    def test_a_structure_is_compiled_once(self) -> None:
        backend = Yielding()
        estimator = spsa(backend)
        for _ in range(3):
            gradient(estimator, build, loss, THETA)
        assert len(backend.compiled) == 1
        anew = spsa(backend, cache=None)
        for _ in range(3):
            gradient(anew, build, loss, THETA)
        assert len(backend.compiled) == 4

    def test_an_executor_is_shared(self) -> None:
        executor = Executor(Yielding(), cache=QuantumCircuitCache())
        one = SPSAGradientEstimator(executor, seed=7)
        assert one.executor is executor
        shared, alone = (gradient(each, build, loss, THETA).gradients for each in (one, spsa()))
        np.testing.assert_array_equal(shared, alone)
        assert executor.tracker.total.circuits == 2
        with pytest.raises(ConfigurationError, match="budget: an executor was given, which has its own"):
            SPSAGradientEstimator(executor, budget=Budget(usd=1))

    def test_a_tracker_is_added_to(self) -> None:
        tracker = PerformanceTracker()
        gradient(spsa(tracker=tracker), build, loss, THETA, shots=10)
        assert tracker.total.circuits == 2
        assert tracker.spans["plan"] > 0

    def test_the_resources_are_those_of_an_executor(self) -> None:
        accepted = set(inspect.signature(Executor.on).parameters) - {"backend"}
        assert set(Resources.__annotations__) == accepted


PROGRAMS = re.findall(
    r"```python\n(.*?)```",
    (Path(__file__).parents[1] / "docs" / "facades.md").read_text(encoding="utf-8"),
    flags=re.DOTALL,
)


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_each_program_of_the_documentation_runs(program: str, tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout
