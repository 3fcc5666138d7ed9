"""The SPSA of Q-Store v3.3: against formulas and finite differences, and its randomness."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from estimator_problems import Array, all_signs
from facade_problems import (
    THETA,
    build,
    build_from_numbers,
    differences,
    gradient,
    loss,
    loss_by_formula,
    loss_of_one,
    repeated,
    spsa,
    spsa_by_formula,
)
from fake_backends import Yielding, mock

from qstore_core import ExecutionResult, QuantumCircuit, SPSAGradientEstimator


class TestSPSA:
    @pytest.mark.parametrize("builder", [build, build_from_numbers])
    def test_every_estimate_is_spalls_difference_for_one_of_the_sign_vectors(
        self, builder: Callable[[Any], QuantumCircuit]
    ) -> None:
        estimator = spsa(c=0.2, gamma=0.0)
        possible = np.array([spsa_by_formula(THETA, signs, 0.2) for signs in all_signs(3)])
        for _ in range(20):
            found = gradient(estimator, builder, loss, THETA, shots=None).gradients
            assert np.abs(possible - found).max(axis=1).min() < 1e-12

    def test_its_mean_is_that_over_all_sign_vectors(self) -> None:
        found = np.array([result.gradients for result in repeated(spsa(c=0.3, gamma=0.0), 800, None)])
        expected = np.mean([spsa_by_formula(THETA, signs, 0.3) for signs in all_signs(3)], axis=0)
        error = found.std(axis=0, ddof=1) / np.sqrt(len(found))
        assert (np.abs(found.mean(axis=0) - expected) < 5 * error).all()  # fails by chance once in 500,000 seeds

    def test_with_a_small_step_that_is_the_gradient(self) -> None:
        mean = np.mean([spsa_by_formula(THETA, signs, 1e-4) for signs in all_signs(3)], axis=0)
        np.testing.assert_allclose(mean, differences(loss_by_formula, THETA), rtol=0, atol=1e-6)

    def test_directions_are_averaged(self) -> None:
        backend = Yielding()
        result = gradient(spsa(backend, c=0.2, directions=4), build, loss, THETA, shots=50)
        assert result.n_circuit_executions == backend.circuits == 8
        assert result.n_shots == backend.shots == 400
        assert result.n_jobs == len(backend.jobs) == 1
        # a rotation's angle tells the sign of its parameter
        signs = np.sign(backend.jobs[0].angles.reshape(4, 2, 2)[:, 0, 0] - THETA[0])
        losses = np.array(result.metadata["losses"])
        assert result.gradients[0] == pytest.approx(np.mean(signs * (losses[:, 0] - losses[:, 1]) / 0.4), abs=1e-12)

    def test_the_function_value_is_the_mean_of_the_losses(self) -> None:
        result = gradient(spsa(c=0.2), build, loss, THETA, shots=None)
        losses = result.metadata["losses"][0]
        assert result.function_value == pytest.approx(np.mean(losses), abs=1e-15)
        expected = {
            tuple(sorted(round(loss_by_formula(THETA + sign * 0.2 * signs), 12) for sign in (1, -1)))
            for signs in all_signs(3)
        }
        assert tuple(sorted(round(value, 12) for value in losses)) in expected

    def test_one_direction_tells_no_variance(self) -> None:
        assert gradient(spsa(), build, loss, THETA).variance is None

    @pytest.mark.parametrize("shots", [None, 50])
    def test_the_variance_is_that_of_directions_and_shots(self, shots: int | None) -> None:
        results = repeated(spsa(c=0.3, gamma=0.0, directions=3), 600, shots)
        true = np.array([result.gradients for result in results]).var(axis=0, ddof=1).sum()
        told = np.array([result.variance for result in results])
        # over 20 seeds the ratio was 1 with a standard deviation of 0.04
        assert told.mean() == pytest.approx(true, rel=0.2)

    def test_the_step_decays_over_the_calls(self) -> None:
        backend = Yielding()
        estimator = spsa(backend, c=0.4, gamma=0.5)
        for call in range(3):
            result = gradient(estimator, build, loss, THETA, shots=None)
            c = 0.4 / (call + 1) ** 0.5
            assert result.metadata["c"] == pytest.approx(c)
            np.testing.assert_allclose(np.abs(backend.jobs[-1].angles[:, 0] - THETA[0]), c)

    @pytest.mark.parametrize(("n", "c"), [(1, 0.3), (4, 0.3), (25, 0.2)])
    def test_without_a_choice_it_follows_the_number_of_parameters(self, n: int, c: float) -> None:
        def wide(p: Any) -> QuantumCircuit:
            return QuantumCircuit(1).ry(0, np.sum(p))

        assert gradient(spsa(), wide, loss_of_one, np.zeros(n)).metadata["c"] == pytest.approx(c)

    def test_spalls_step_comes_with_its_size(self) -> None:
        estimator = spsa(a=0.5, alpha=0.8)
        for call in range(2):
            result = gradient(estimator, build, loss, THETA)
            np.testing.assert_allclose(result.move, -0.5 / (call + 1) ** 0.8 * result.gradients, rtol=1e-15)
        default = gradient(spsa(a=0.5), build, loss, THETA)
        np.testing.assert_allclose(default.move, -0.5 * default.gradients)
        assert gradient(spsa(), build, loss, THETA).move is None

    def test_following_it_finds_the_minimum(self) -> None:
        estimator, theta = spsa(a=0.8, c=0.2, directions=2), np.array([0.3, 0.2, 0.1])

        def not_11(result: ExecutionResult) -> float:
            return 1 - result.probabilities.get("11", 0.0)

        async def train() -> Array:
            moved = theta
            for _ in range(150):
                result = await estimator.estimate_gradient(build, not_11, moved, shots=100)
                assert result.move is not None
                moved = moved + result.move
            return moved

        end = asyncio.run(train())
        first, second = np.sin(end[0] / 2) ** 2, np.sin((2 * end[1] + end[2] - 0.3) / 2) ** 2
        assert first * (1 - second) > 0.95

    def test_frozen_parameters_do_not_move(self) -> None:
        backend = Yielding()
        result = gradient(spsa(backend), build, loss, THETA, shots=None, frozen_indices={0, -1})
        assert result.gradients[[0, 2]].tolist() == [0.0, 0.0]
        assert not np.signbit(result.gradients[[0, 2]]).any()
        assert (backend.jobs[0].angles[:, 0] == THETA[0]).all()
        # with one parameter left the difference is that of the loss along it
        c = result.metadata["c"]
        along = np.array([0.0, 1.0, 0.0])
        assert result.gradients[1] == pytest.approx(spsa_by_formula(THETA, along, c)[1], abs=1e-12)

    def test_a_parameter_that_enters_no_angle_has_gradient_0(self) -> None:
        result = gradient(spsa(directions=2), build, loss, [*THETA, 5.0], shots=20)
        assert result.gradients[3] == 0.0
        assert (result.gradients[:3] != 0).all()

    def test_equal_exact_circuits_run_once(self) -> None:
        backend = Yielding()
        result = gradient(
            spsa(backend, directions=5), lambda p: QuantumCircuit(1).ry(0, p[0]), loss_of_one, [0.3], None
        )
        assert result.n_circuit_executions == backend.circuits == 2
        assert result.variance == pytest.approx(0.0, abs=1e-30)

    def test_the_loss_sees_counts_and_both_sides_of_each_direction(self) -> None:
        seen: list[ExecutionResult] = []

        def watching(result: ExecutionResult) -> float:
            seen.append(result)
            return loss(result)

        result = gradient(spsa(directions=2), build, watching, THETA, shots=30)
        assert [each.total_shots for each in seen] == [30] * 4
        assert [loss(each) for each in seen] == np.ravel(result.metadata["losses"]).tolist()


class TestRandomness:
    def test_a_seed_repeats_every_call(self) -> None:
        first, second = (repeated(spsa(seed=3), 3, 40) for _ in range(2))
        for one, same in zip(first, second, strict=True):
            np.testing.assert_array_equal(one.gradients, same.gradients)
            assert one.function_value == same.function_value
        assert (first[0].gradients != first[1].gradients).any()
        assert (repeated(spsa(seed=4), 1, 40)[0].gradients != first[0].gradients).any()

    def test_without_a_seed_it_is_fresh(self) -> None:
        assert SPSAGradientEstimator(mock()).seed != SPSAGradientEstimator(mock()).seed

    def test_a_reset_begins_anew(self) -> None:
        estimator = spsa()
        before = [gradient(estimator, build, loss, THETA).gradients for _ in range(2)]
        estimator.reset()
        after = [gradient(estimator, build, loss, THETA).gradients for _ in range(2)]
        np.testing.assert_array_equal(before, after)

    def test_it_does_not_matter_how_the_builder_is_called(self) -> None:
        results = [gradient(spsa(directions=3), each, loss, THETA, shots=60) for each in (build, build_from_numbers)]
        assert [result.metadata["numeric_because"] is None for result in results] == [True, False]
        np.testing.assert_array_equal(results[0].gradients, results[1].gradients)
