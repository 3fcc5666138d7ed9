"""Q-Store's gradient estimators, compared with differences of exact probabilities."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from q_store import QStoreCompatWarning
from q_store.backends import BackendManager, CircuitBuilder, ExecutionResult, QuantumCircuit
from q_store.ml import (
    AdaptiveGradientOptimizer,
    CircuitBatchManager,
    FiniteDifferenceGradient,
    GradientMethodScheduler,
    NaturalGradientComputer,
    ParallelSPSAEstimator,
    QuantumGradientComputer,
    QuantumLayer,
    QuantumModel,
    SPSAGradientEstimator,
    SPSAOptimizerWithAdaptiveGains,
    SubsampledSPSAEstimator,
)

from qstore_core import CircuitError, ConfigurationError, UnknownNameError

POINT = np.array([0.3, -0.7, 1.1])


def build(p: Any) -> QuantumCircuit:
    """Three parameters, one of them in two gates and one with a weight."""
    builder = CircuitBuilder(2).ry(0, p[0]).rx(1, 2 * p[1]).cnot(0, 1).ry(1, p[0] + 0.2).rz(0, p[2]).h(0)
    return builder.measure_all().build()


def entropy_like(result: ExecutionResult) -> float:
    """Far from linear in the probabilities."""
    return sum(p**3 for p in result.probabilities.values()) + result.probabilities.get("01", 0.0)


def by_counts(result: ExecutionResult) -> float:
    return (result.counts.get("11", 0) / result.total_shots) ** 2


def differences(loss: Callable[[ExecutionResult], float], probabilities_of: Any, step: float = 1e-5) -> np.ndarray:
    def value(point: np.ndarray) -> float:
        return loss(ExecutionResult({}, probabilities_of(build(point)), 0))

    moves = step * np.eye(len(POINT))
    return np.array([(value(POINT + move) - value(POINT - move)) / (2 * step) for move in moves])


def test_the_gradient_of_a_loss_that_is_not_linear_is_exact(manager: BackendManager, probabilities_of: Any) -> None:
    computer = QuantumGradientComputer(manager.get_backend())
    with pytest.warns(QStoreCompatWarning, match="not its gradient unless"):
        result = asyncio.run(computer.compute_gradients(build, entropy_like, POINT, shots=None))
    assert result.gradients == pytest.approx(differences(entropy_like, probabilities_of), abs=1e-7)
    assert result.function_value == pytest.approx(entropy_like(ExecutionResult({}, probabilities_of(build(POINT)), 0)))
    assert result.n_circuit_executions == 1 + 2 * 4  # four rotations depend on a parameter


def test_losses_of_counts_have_gradients_too(manager: BackendManager, probabilities_of: Any) -> None:
    result = asyncio.run(
        QuantumGradientComputer(manager.get_backend()).compute_gradients(build, by_counts, POINT, shots=100_000)
    )
    exact = differences(lambda r: r.probabilities.get("11", 0.0) ** 2, probabilities_of)
    # a probability has standard deviation 0.0016, its square and sums of up to four of them at most 0.006
    assert np.abs(result.gradients - exact).max() < 0.03
    assert (result.n_circuit_executions, result.n_shots, result.n_jobs) == (9, 900_000, 1)


def test_shifting_the_loss_itself_would_have_been_wrong(probabilities_of: Any) -> None:
    def value(point: np.ndarray) -> float:
        return entropy_like(ExecutionResult({}, probabilities_of(build(point)), 0))

    shifted = [(value(POINT + move) - value(POINT - move)) / 2 for move in np.pi / 2 * np.eye(3)]
    assert np.abs(shifted - differences(entropy_like, probabilities_of)).max() > 0.1


def test_the_natural_gradient_undoes_a_change_of_scale(manager: BackendManager) -> None:
    def scaled(p: Any) -> QuantumCircuit:
        return CircuitBuilder(2).ry(0, 2 * p[0]).ry(1, 0.5 * p[1]).build()

    computer = NaturalGradientComputer(manager.get_backend())
    with pytest.warns(QStoreCompatWarning, match="Fisher information of the outcomes"):
        found = asyncio.run(computer.compute_natural_gradients(scaled, entropy_like, POINT[:2], shots=None))
    plain = asyncio.run(
        QuantumGradientComputer(manager.get_backend()).compute_gradients(scaled, entropy_like, POINT[:2], shots=None)
    )
    # the Fisher information of RY(w t) on a qubit of its own is w squared
    assert found.gradients == pytest.approx(plain.gradients / [4.0, 0.25], rel=1e-5)
    assert (found.method, found.n_circuit_executions) == ("natural_gradient", 5)


def test_finite_differences_take_any_builder_and_count(manager: BackendManager, ran: Any) -> None:
    def bent(p: Any) -> QuantumCircuit:
        return CircuitBuilder(1).ry(0, np.sin(p[0]) + p[1] ** 2).build()

    differences = FiniteDifferenceGradient(manager.get_backend())
    with pytest.warns(QStoreCompatWarning, match="exact probabilities"):
        found = asyncio.run(differences.compute_gradients(bent, lambda r: r.probabilities.get("1", 0.0), POINT[:2]))
    slope = np.sin(np.sin(0.3) + 0.49) / 2
    assert found.gradients == pytest.approx([slope * np.cos(0.3), slope * 2 * -0.7], abs=1e-3)
    assert found.n_circuit_executions == ran.circuits == 3


def test_adaptive_gains_follow_their_rule(manager: BackendManager) -> None:
    optimizer = SPSAOptimizerWithAdaptiveGains(manager.get_backend(), adapt_every=2)

    async def flat() -> None:
        for _ in range(3):
            await optimizer.estimate_gradient(build, lambda result: 1.0, POINT, shots=10)

    asyncio.run(flat())
    assert (optimizer.spsa.c_initial, optimizer.spsa.a_initial) == pytest.approx((0.09, 0.011))
    assert optimizer.get_statistics()["gradient_history_length"] == 3
    optimizer.reset()
    assert optimizer.get_statistics()["loss_history_length"] == optimizer.spsa.iteration == 0


def test_frozen_parameters_cost_nothing(manager: BackendManager) -> None:
    computer = QuantumGradientComputer(manager.get_backend())
    result = asyncio.run(computer.compute_gradients(build, entropy_like, POINT, frozen_indices=[0, 2]))
    assert result.gradients[[0, 2]].tolist() == [0.0, 0.0]
    assert result.n_circuit_executions == 3
    some = asyncio.run(computer.compute_gradient_stochastic(build, entropy_like, POINT, batch_size=1))
    assert np.count_nonzero(some.gradients) <= 1


@pytest.mark.parametrize(
    ("builder", "reason"),
    [
        (lambda p: CircuitBuilder(1).ry(0, p[0] ** 2 + p[1] + p[2]).build(), "not sums of parameters"),
        (lambda p: CircuitBuilder(1).ry(0, p[0]).build() if p[0] < 1 else CircuitBuilder(1).build(), "gates depend"),
        (lambda p: 3, "not a int"),
    ],
)
def test_builders_that_cannot_be_shifted_are_refused(builder: Any, reason: str, manager: BackendManager) -> None:
    computer = QuantumGradientComputer(manager.get_backend())
    with pytest.raises(CircuitError, match=reason):
        asyncio.run(computer.compute_gradients(builder, entropy_like, POINT))


def test_only_the_shift_of_rotations_is_right(manager: BackendManager) -> None:
    with pytest.raises(ConfigurationError, match="pi / 2"):
        QuantumGradientComputer(manager.get_backend(), shift_amount=0.1)


def test_spsa_is_right_in_the_mean(manager: BackendManager, probabilities_of: Any) -> None:
    estimator = SPSAGradientEstimator(manager.get_backend(), c_initial=0.01, c_decay=0.0)

    async def mean() -> np.ndarray:
        found = [await estimator.estimate_gradient(build, entropy_like, POINT, shots=None) for _ in range(2000)]
        return np.mean([result.gradients for result in found], axis=0)

    exact = differences(entropy_like, probabilities_of)
    # an entry's variance is the sum of the other entries' squares, here below 1: 5 standard deviations of the mean,
    # and a bias of the order of c squared
    assert np.abs(asyncio.run(mean()) - exact).max() < 5 / np.sqrt(2000) + 1e-3
    assert estimator.get_statistics()["total_circuits_executed"] == 4000


def test_spsa_keeps_its_gains_and_counts(manager: BackendManager, ran: Any) -> None:
    estimator = SPSAGradientEstimator(manager.get_backend(), c_initial=0.2, min_perturbation=0.19)
    first = asyncio.run(estimator.estimate_gradient(build, entropy_like, POINT, 50, {1}))
    assert (first.metadata["c_k"], first.metadata["a_k"], first.metadata["iteration"]) == (0.2, 0.01, 1)
    assert first.gradients[1] == 0
    assert first.function_value == pytest.approx((first.metadata["loss_plus"] + first.metadata["loss_minus"]) / 2)
    estimator.c_initial = 0.1
    assert asyncio.run(estimator.estimate_gradient(build, entropy_like, POINT, 50)).metadata["c_k"] == 0.19
    assert estimator.get_statistics()["total_circuits_executed"] == ran.circuits == 4
    estimator.reset()
    assert estimator.iteration == 0


def test_momentum_averages_the_estimates(manager: BackendManager) -> None:
    estimator, twin = (SPSAGradientEstimator(manager.get_backend()) for _ in range(2))
    twin.core.seed = estimator.core.seed

    async def both() -> tuple[list[np.ndarray], list[np.ndarray]]:
        smooth = [await estimator.estimate_gradient_with_momentum(build, entropy_like, POINT, 0.8) for _ in range(2)]
        plain = [await twin.estimate_gradient(build, entropy_like, POINT) for _ in range(2)]
        return [result.gradients for result in smooth], [result.gradients for result in plain]

    (first, second), (one, two) = asyncio.run(both())
    assert np.array_equal(first, one)
    assert second == pytest.approx(0.8 * one + 0.2 * two)


def test_a_builder_that_takes_numbers_only_works(manager: BackendManager) -> None:
    layer = QuantumLayer(2, 1, manager.get_backend())

    def with_layer(p: Any) -> QuantumCircuit:
        layer.parameters = p
        return layer.build_circuit([0.1, 0.2])

    estimator = SPSAGradientEstimator(manager.get_backend())
    result = asyncio.run(estimator.estimate_gradient(with_layer, entropy_like, np.zeros(6), shots=100))
    assert result.n_circuit_executions == 2


def squared(output: np.ndarray, target: np.ndarray) -> float:
    return float(np.mean((output - target) ** 2))


X, Y = np.array([[0.1, 0.2], [0.3, -0.4], [-0.2, 0.5]]), np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])


@pytest.mark.parametrize("kind", [ParallelSPSAEstimator, SubsampledSPSAEstimator])
def test_batch_estimators_are_right_in_the_mean(kind: Any, manager: BackendManager) -> None:
    model = QuantumModel(2, 2, 2, manager.get_backend(), depth=1)
    estimator = kind(manager.get_backend(), c_initial=0.02, c_decay=0.0)
    if kind is SubsampledSPSAEstimator:
        estimator.subsample_size = 2

    async def loss(parameters: np.ndarray) -> float:
        model.parameters = parameters
        outputs = await model.forward(X, shots=None)
        return float(np.mean([squared(output, target) for output, target in zip(outputs, Y, strict=True)]))

    async def compare() -> tuple[np.ndarray, np.ndarray]:
        start, moves = model.parameters.copy(), 1e-5 * np.eye(6)
        exact = np.array([(await loss(start + move) - await loss(start - move)) / 2e-5 for move in moves])
        model.parameters = start
        found = [
            (await estimator.estimate_batch_gradient(model, X, Y, squared, shots=None)).gradients for _ in range(800)
        ]
        return np.array(found), exact

    found, exact = asyncio.run(compare())
    # six entries outside 5 standard deviations of their means once in 290,000 runs, and a bias of order c squared
    error = found.std(axis=0) / np.sqrt(len(found))
    assert np.all(np.abs(found.mean(axis=0) - exact) < 5 * error + 2e-3)


def test_batch_estimators_run_on_the_manager_they_are_given(manager: BackendManager, ran: Any) -> None:
    batches = CircuitBatchManager(manager.get_backend())
    layer = QuantumLayer(2, 1, manager.get_backend())
    whole = ParallelSPSAEstimator(manager.get_backend(), batches)
    some = SubsampledSPSAEstimator(manager.get_backend(), batches, subsample_size=2, c_initial=0.3)
    results = [asyncio.run(e.estimate_batch_gradient(layer, X, Y, squared, shots=50)) for e in (whole, some)]
    assert [result.n_circuit_executions for result in results] == [6, 4]
    assert results[1].metadata["c_k"] == 0.3
    assert batches.get_statistics()["total_circuits"] == ran.circuits == 10
    with pytest.raises(ConfigurationError, match="QuantumModel or a layer"):
        asyncio.run(whole.estimate_batch_gradient("model", X, Y, squared))  # type: ignore[arg-type]


def test_a_subsample_follows_the_variance(manager: BackendManager) -> None:
    estimator = SubsampledSPSAEstimator(manager.get_backend(), subsample_size=3)
    for variance, size in ((0.2, 4), (0.07, 4), (0.01, 3), (0.01, 2), (0.01, 2)):
        estimator.adjust_subsample_size(variance)
        assert estimator.subsample_size == size


def test_the_adaptive_optimizer_follows_its_rule(manager: BackendManager) -> None:
    optimizer = AdaptiveGradientOptimizer(manager.get_backend())

    async def flat() -> None:
        for _ in range(12):
            await optimizer.compute_gradients(build, lambda result: 1.0, POINT, shots=10)

    asyncio.run(flat())
    assert optimizer.method_history == ["spsa"] * 10 + ["parameter_shift"] * 2
    assert optimizer.get_statistics()["method_counts"] == {"spsa": 10, "parameter_shift": 2}
    assert optimizer.get_statistics()["convergence_rate"] == pytest.approx(0.0)
    optimizer.force_method("spsa")
    assert asyncio.run(optimizer.estimate_gradient(build, entropy_like, POINT, 10)).method == "spsa"
    optimizer.enable_auto_adaptation()
    optimizer.reset()
    assert (optimizer.iteration, optimizer.enable_adaptation) == (0, True)
    with pytest.raises(UnknownNameError, match="parameter_shift"):
        optimizer.force_method("newton")


def test_the_scheduler_follows_its_schedule(manager: BackendManager) -> None:
    scheduler = GradientMethodScheduler(manager.get_backend())
    assert [scheduler.method_at(call) for call in (0, 49, 50, 99, 100)] == [
        *["spsa"] * 2,
        *["parameter_shift"] * 2,
        "spsa",
    ]
    scheduler.add_schedule_point(1, "parameter_shift")
    methods = [asyncio.run(scheduler.compute_gradients(build, entropy_like, POINT, shots=10)).method for _ in range(2)]
    assert methods == ["spsa", "parameter_shift"]
