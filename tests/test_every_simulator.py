"""Gradient estimators on every simulator there is, exact and noisy: what holds for one must hold for all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from estimator_problems import (
    KEY,
    Array,
    all_signs,
    differences,
    drive,
    every_gate,
    exact_outputs,
    problem_of,
    z_scores,
)

from qstore_core.angles import Feature, Parameter
from qstore_core.backend import LocalBackend
from qstore_core.circuit import QuantumCircuit
from qstore_core.circuit_cache import QuantumCircuitCache
from qstore_core.estimators.parameter_shift import ParameterShift
from qstore_core.estimators.spsa import SPSA
from qstore_core.executor import Executor
from qstore_core.observables import PauliSum
from qstore_core.problem import GradientEstimator, Problem
from qstore_core.registry import get_backend

SIMULATORS: dict[str, tuple[str, dict[str, Any]]] = {
    "mock": ("mock", {}),
    "mock with noise": ("mock", {"depolarizing": 0.02, "readout_error": 0.05}),
    "aer": ("aer", {}),
    "aer with noise": ("aer.noisy", {"depolarizing": 0.02, "readout_error": 0.05}),
    "aer as a device": ("aer.noisy", {"target": "line-3"}),
}


@pytest.fixture(params=SIMULATORS.values(), ids=SIMULATORS)
def simulator(request: pytest.FixtureRequest) -> LocalBackend:
    name, options = request.param
    backend = get_backend(name, **options)
    assert isinstance(backend, LocalBackend)
    return backend


@pytest.fixture
def sampled(rng: np.random.Generator) -> Problem:
    w, x = Parameter.vector("w", 3), Feature("x")
    circuit = QuantumCircuit(2).ry(0, w[0] + x).ry(1, 2 * w[1]).crx(0, 1, w[2]).rx(1, w[0])
    return problem_of(circuit, ["Z1", "Z0 Z1"], rng, n_samples=2, shots=20)


def repeat(
    estimator: GradientEstimator, problem: Problem, parameters: Array, times: int, backend: LocalBackend
) -> Array:
    """The estimates of many steps, `(times, n_parameters)`."""

    async def all_of_them() -> list[Array]:
        executor = Executor(backend, cache=QuantumCircuitCache())  # which keeps what was compiled
        state = estimator.start(problem, parameters)
        keys = [KEY.at(step) for step in range(times)]
        return [
            (await executor.drive(estimator.gradient(problem, parameters, state, key)))[0].gradients for key in keys
        ]

    return np.array(asyncio.run(all_of_them()))


def test_parameter_shift_is_the_derivative(
    simulator: LocalBackend, rng: np.random.Generator, random_observables: Callable[..., tuple[PauliSum, ...]]
) -> None:
    problem, theta = problem_of(every_gate(rng), random_observables(rng, 3, size=3), rng), rng.normal(size=6)
    found = drive(ParameterShift(), problem, theta, backend=simulator).gradients
    np.testing.assert_allclose(found, differences(problem, theta, simulator), rtol=0, atol=1e-6)
    assert (np.abs(found - differences(problem, theta)).max() > 1e-3) == simulator.capabilities.noisy


class TestSampled:
    """A z-score of 5 is passed by chance once in 1.7 million comparisons; each test makes three."""

    def test_parameter_shift_is_unbiased_for_a_mean_squared_error(
        self, simulator: LocalBackend, sampled: Problem, rng: np.random.Generator
    ) -> None:
        parameters = rng.normal(size=3)
        gradient = drive(ParameterShift(), replace(sampled, shots=None), parameters, backend=simulator).gradients
        assert np.abs(z_scores(repeat(ParameterShift(), sampled, parameters, 400, simulator), gradient)).max() < 5

    def test_spsa_has_the_expectation_of_exact_spsa(
        self, simulator: LocalBackend, sampled: Problem, rng: np.random.Generator
    ) -> None:
        parameters, c = rng.normal(size=3), 0.4

        def loss(at: Array) -> float:
            return sampled.loss_of(exact_outputs(sampled, at, simulator)[0]).value

        slopes = [(loss(parameters + c * s) - loss(parameters - c * s)) / (2 * c) for s in all_signs(3)]
        expected = np.mean(np.array(slopes)[:, None] * all_signs(3), axis=0)
        assert np.abs(z_scores(repeat(SPSA(c=c), sampled, parameters, 600, simulator), expected)).max() < 5
