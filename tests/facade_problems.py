"""Circuit builders and losses as the classes of Q-Store v3.3 take them: small enough for a formula."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
from estimator_problems import Array
from fake_backends import mock

from qstore_core import (
    AdaptiveGradientEstimator,
    Backend,
    ExecutionResult,
    Feature,
    GradientResult,
    ParameterShiftGradientEstimator,
    QuantumCircuit,
    SPSAGradientEstimator,
)

Facade = SPSAGradientEstimator | ParameterShiftGradientEstimator | AdaptiveGradientEstimator
THETA = np.array([0.7, -0.4, 0.6])


def build(p: Any) -> QuantumCircuit:
    return QuantumCircuit(2).ry(0, p[0]).ry(1, 2 * p[1] + p[2] - 0.3).cnot(0, 1)


def build_from_numbers(p: Any) -> QuantumCircuit:
    return build([float(value) for value in p])


def loss(result: ExecutionResult) -> float:
    """Not linear in the probabilities."""
    found = result.probabilities
    return (found.get("11", 0.0) - 0.2) ** 2 + found.get("01", 0.0)


def loss_by_formula(theta: Array) -> float:
    first, second = np.sin(theta[0] / 2) ** 2, np.sin((2 * theta[1] + theta[2] - 0.3) / 2) ** 2
    return float((first * (1 - second) - 0.2) ** 2 + (1 - first) * second)


def spsa_by_formula(theta: Array, signs: Array, c: float) -> Array:
    return (loss_by_formula(theta + c * signs) - loss_by_formula(theta - c * signs)) / (2 * c) * signs


def differences(function: Callable[[Array], float], theta: Array, step: float = 1e-5) -> Array:
    sides = np.stack([theta + step * np.eye(len(theta)), theta - step * np.eye(len(theta))])
    above, below = [[function(point) for point in side] for side in sides]
    return (np.array(above) - np.array(below)) / (2 * step)


class Called:
    """A builder that notes what it was called with."""

    def __init__(self, builder: Callable[[Any], QuantumCircuit]) -> None:
        self.builder = builder
        self.symbolic = 0
        self.points: list[Array] = []

    def __call__(self, p: Any) -> QuantumCircuit:
        if p.dtype == object:
            self.symbolic += 1
        else:
            self.points.append(p.copy())
        return self.builder(p)


def gradient(estimator: Facade, *arguments: Any, **options: Any) -> GradientResult:
    return asyncio.run(estimator.estimate_gradient(*arguments, **options))


def spsa(backend: Backend | None = None, **options: Any) -> SPSAGradientEstimator:
    return SPSAGradientEstimator(backend or mock(), **{"seed": 7, **options})


def repeated(estimator: SPSAGradientEstimator, times: int, shots: int | None) -> list[GradientResult]:
    async def all_of_them() -> list[GradientResult]:
        return [await estimator.estimate_gradient(build, loss, THETA, shots) for _ in range(times)]

    return asyncio.run(all_of_them())


def loss_of_one(result: ExecutionResult) -> float:
    return result.probabilities.get("1", 0.0)


def with_matrix(p: Any) -> QuantumCircuit:
    first, second = np.array([[1.0, 0.0, 0.0], [0.0, 2.0, 1.0]]) @ p - np.array([0.0, 0.3])
    return QuantumCircuit(2).ry(0, first).ry(1, second).cnot(0, 1)


def with_array_arithmetic(p: Any) -> QuantumCircuit:
    angles = (p * [1.0, 4.0, 2.0] / [1, 2, 2]).reshape(3, 1)
    return QuantumCircuit(2).ry(0, angles[0, 0]).ry(1, sum(angles[1:, 0]) - 0.3).cnot(0, 1)


def with_a_sine(p: Any) -> QuantumCircuit:
    return QuantumCircuit(2).ry(0, np.arcsin(np.sin(p[0]))).ry(1, 2 * p[1] + p[2] - 0.3).cnot(0, 1)


def with_a_branch(p: Any) -> QuantumCircuit:
    return build(p if p[0] > 0 else np.abs(p))


def with_a_product(p: Any) -> QuantumCircuit:
    return build([p[0] * p[0] / p[0], p[1], p[2]])


def with_a_quiet_branch(p: Any) -> QuantumCircuit:
    return build([value if isinstance(value, float) else 0.0 for value in p])


def with_other_gates_for_symbols(p: Any) -> QuantumCircuit:
    return build(p) if isinstance(p[0], float) else build(p).x(0)


def with_features_for_symbols(p: Any) -> QuantumCircuit:
    return build(p) if isinstance(p[0], float) else build([Feature("x"), *p[1:]])


def with_nothing_for_symbols(p: Any) -> Any:
    return build(p) if isinstance(p[0], float) else None


def with_a_list(p: Any) -> QuantumCircuit:
    return build(p.tolist())


def with_a_float_array(p: Any) -> QuantumCircuit:
    return build(np.asarray(p, dtype=float))


def with_a_clipped_array(p: Any) -> QuantumCircuit:
    return build(np.clip(p, -9, 9))


AFFINE = [build, with_matrix, with_array_arithmetic, with_a_list]
NUMERIC = [
    build_from_numbers,
    with_a_sine,
    with_a_branch,
    with_a_product,
    with_a_quiet_branch,
    with_other_gates_for_symbols,
    with_features_for_symbols,
    with_nothing_for_symbols,
    with_a_float_array,
    with_a_clipped_array,
]
