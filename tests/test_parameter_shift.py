"""The shift rule, which angles it is applied to, and random coordinates."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from estimator_problems import KEY, draw, drive, gradients_of, layered, problem_of
from fake_backends import Watched

from qstore_core.angles import Feature, Parameter
from qstore_core.circuit import QuantumCircuit
from qstore_core.errors import ConfigurationError
from qstore_core.estimators.adjoint import Adjoint
from qstore_core.estimators.parameter_shift import ParameterShift, ShiftTable, shift_rule
from qstore_core.gates import GATES


class TestShiftRule:
    @pytest.mark.parametrize("frequencies", [(1.0,), (0.5, 1.0), (1.0, 2.0, 3.0)])
    def test_it_differentiates_every_sum_of_its_frequencies(
        self, frequencies: tuple[float, ...], rng: np.random.Generator
    ) -> None:
        amplitudes, phases = rng.normal(size=(2, len(frequencies)))

        def f(t: float) -> float:
            return float(sum(a * np.cos(w * t + p) for w, a, p in zip(frequencies, amplitudes, phases, strict=True)))

        shifts, weights = shift_rule(frequencies)
        found = sum(y * (f(0.7 + x) - f(0.7 - x)) for x, y in zip(shifts, weights, strict=True))
        slope = sum(-w * a * np.sin(w * 0.7 + p) for w, a, p in zip(frequencies, amplitudes, phases, strict=True))
        assert found == pytest.approx(slope, abs=1e-12)

    def test_a_controlled_rotation_takes_the_four_term_rule_of_the_literature(self) -> None:
        # Anselmetti et al., arXiv 2104.05695: shifts of pi/2 and 3 pi/2, weights (sqrt 2 +- 1) / (4 sqrt 2)
        shifts, weights = shift_rule(GATES["crx"].frequencies)
        np.testing.assert_allclose(shifts, [np.pi / 2, 3 * np.pi / 2])
        np.testing.assert_allclose(weights, [(np.sqrt(2) + 1) / (4 * np.sqrt(2)), -(np.sqrt(2) - 1) / (4 * np.sqrt(2))])

    def test_only_angles_that_depend_on_a_trained_parameter_are_shifted(self, rng: np.random.Generator) -> None:
        a, b, x = Parameter("a"), Parameter("b"), Feature("x")
        circuit = QuantumCircuit(2).rx(0, 0.3).ry(0, a).rz(0, x).crz(0, 1, a + b).ry(1, b)
        problem = problem_of(circuit, ["Z0"], rng, frozen=[1])
        active = (problem.affine.parameters.matrix[problem.active] != 0).any(axis=0)
        assert active.tolist() == [False, True, False, True, False]
        table = ShiftTable.of(circuit.structure, active)
        assert table.angles.tolist() == [1, 1, 3, 3, 3, 3]
        backend = Watched()
        drive(ParameterShift(), problem, np.ones(2), backend=backend)
        assert backend.circuits == problem.n_samples * (1 + len(table.angles))


class TestCoordinates:
    def test_the_mean_over_every_choice_is_the_gradient(self, rng: np.random.Generator) -> None:
        """Of four active parameters two at a time: 200 exact steps meet each of the six pairs, whose mean is exact.

        A pair is missed with probability (5/6)^200, 10^-16.
        """
        problem, parameters = problem_of(layered(5), ["Z0", "Z1"], rng, frozen=[1]), rng.normal(size=5)
        gradient = drive(Adjoint(), problem, parameters).gradients
        found = {
            tuple(np.flatnonzero(result.gradients)): result.gradients
            for result in draw(ParameterShift(coordinates=2), problem, parameters, 200)
        }
        assert sorted(found) == list(combinations([0, 2, 3, 4], 2))
        np.testing.assert_allclose(np.mean(list(found.values()), axis=0), gradient, rtol=0, atol=1e-12)

    def test_every_choice_is_as_likely_as_the_others(self, rng: np.random.Generator) -> None:
        """Each of ten pairs comes 200 times of 2,000, give or take 13.4: five times that is passed once in 170,000."""
        problem = problem_of(layered(5), ["Z0 Z1"], rng, n_samples=1)
        results = draw(ParameterShift(coordinates=2), problem, rng.normal(size=5), 2000)
        counts = Counter(tuple(np.flatnonzero(result.gradients)) for result in results)
        assert len(counts) == 10
        assert all(abs(count - 200) < 5 * 13.4 for count in counts.values())

    def test_the_variance_of_exact_values_is_that_over_the_choices(self, rng: np.random.Generator) -> None:
        problem, parameters = problem_of(layered(4), ["Z0", "Z1"], rng), rng.normal(size=4)
        gradient = drive(Adjoint(), problem, parameters).gradients
        results = draw(ParameterShift(coordinates=1), problem, parameters, 200)
        chosen = {int(np.flatnonzero(result.gradients)[0]): result for result in results}
        assert sorted(chosen) == [0, 1, 2, 3]
        total = np.mean([np.sum((result.gradients - gradient) ** 2) for result in chosen.values()])
        assert np.mean([result.variance for result in chosen.values()]) == pytest.approx(total)

    def test_as_many_as_there_are_is_all_of_them(self, rng: np.random.Generator) -> None:
        problem, parameters = problem_of(layered(4), ["Z0"], rng, shots=10), rng.normal(size=4)
        whole = drive(ParameterShift(), problem, parameters)
        for coordinates in (4, 50):
            found = drive(ParameterShift(coordinates=coordinates), problem, parameters)
            np.testing.assert_array_equal(found.gradients, whole.gradients)
            assert found.variance == whole.variance
            assert found.metadata == {**whole.metadata, "coordinates": 4}

    def test_they_change_with_the_step_and_repeat_with_the_key(self, rng: np.random.Generator) -> None:
        problem, parameters = problem_of(layered(6), ["Z0"], rng), rng.normal(size=6)
        estimator = ParameterShift(coordinates=3)
        first, second = (gradients_of(draw(estimator, problem, parameters, 10)) for _ in range(2))
        np.testing.assert_array_equal(first, second)
        assert len({tuple(np.flatnonzero(row)) for row in first}) > 3

    @pytest.mark.parametrize("coordinates", [0, -1, 1.5, True], ids=repr)
    def test_they_are_a_whole_number(self, coordinates: Any) -> None:
        with pytest.raises(ConfigurationError, match="coordinates is a whole number of at least 1, not"):
            ParameterShift(coordinates=coordinates)


def test_steps_and_seeds_have_draws_of_their_own(rng: np.random.Generator) -> None:
    problem = problem_of(layered(3), ["Z0 Z1"], rng, shots=20)
    one, same, next_step, other_seed = (
        drive(ParameterShift(), problem, np.zeros(3), key=key).gradients.tolist()
        for key in (KEY, KEY, KEY.at(4), replace(KEY, seed=8))
    )
    assert one == same
    assert one != next_step != other_seed != one


def test_one_shot_says_nothing_of_its_variance(rng: np.random.Generator) -> None:
    problem = problem_of(layered(3), ["Z0"], rng, shots=1)
    for estimator in (ParameterShift(), ParameterShift(coordinates=1)):
        result = drive(estimator, problem, np.ones(3))
        assert result.variance is None
        assert np.isfinite(result.gradients).all()
