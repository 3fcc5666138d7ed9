"""Curves of expectation values: their frequencies, what a few points say of them, and where they are least."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from qstore_core.angles import Parameter
from qstore_core.circuit import QuantumCircuit
from qstore_core.estimators.curves import Curve, frequencies_of

Array = NDArray[np.float64]
SETS = [
    (1.0,),
    (2.5,),
    (0.5, 1.0),
    (1.0, 2.0, 3.0, 4.0, 5.0),
    (0.3, 0.7, 1.0, 1.7),
    (1.0, 3.0, 4.0, 5.0),
    (1.0, float(np.sqrt(2)), float(np.sqrt(2)) - 1, float(np.sqrt(2)) + 1),
    (0.001, 1.0, 1.001, 2.001),
]


def sinusoids(frequencies: Sequence[float], rng: np.random.Generator, size: int = 1) -> Array:
    """Coefficients `(1 + 2 R, size)`."""
    return rng.normal(size=(1 + 2 * len(frequencies), size))


def value(frequencies: Sequence[float], coefficients: Array, t: float | Array) -> Array:
    phases = np.multiply.outer(np.asarray(t), np.array(frequencies))
    cosines, sines = np.split(coefficients[1:], 2)
    result: Array = coefficients[0] + np.cos(phases) @ cosines + np.sin(phases) @ sines
    return result


class TestFrequencies:
    def of(self, gates: Sequence[tuple[str, float]]) -> list[float]:
        """Of a parameter that enters these gates with these weights."""
        a, circuit = Parameter("a"), QuantumCircuit(2)
        for name, weight in gates:
            circuit = circuit.append(name, (0, 1) if name.startswith("c") or len(name) == 3 else (0,), weight * a)
        weights = circuit.affine.parameters.matrix[0]
        return frequencies_of(circuit.structure, weights, most=64).round(9).tolist()

    @pytest.mark.parametrize(
        ("gates", "wanted"),
        [
            ([("rx", 1.0)], [1.0]),
            ([("p", -2.0)], [2.0]),
            ([("rzz", 0.5)], [0.5]),
            ([("crx", 1.0)], [0.5, 1.0]),
            ([("rx", 1.0), ("ry", 1.0)], [1.0, 2.0]),
            ([("rx", 1.0), ("ry", -1.0), ("rz", 1.0)], [1.0, 2.0, 3.0]),
            ([("rx", 1.0), ("ry", 2.0)], [1.0, 2.0, 3.0]),
            ([("rx", 1.0), ("ry", 4.0)], [1.0, 3.0, 4.0, 5.0]),
            ([("rx", 1.0), ("crz", 1.0)], [0.5, 1.0, 1.5, 2.0]),
            ([("rx", 0.1), ("ry", 0.2), ("rz", 0.3)], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]),
        ],
    )
    def test_they_are_sums_and_differences_of_those_of_the_gates(
        self, gates: list[tuple[str, float]], wanted: list[float]
    ) -> None:
        assert self.of(gates) == wanted

    def test_they_are_no_more_than_asked_for_and_one(self) -> None:
        gates = [("rx", float(2.0**k)) for k in range(30)]  # 3^30 sums
        assert len(self.of(gates)) > 64


@pytest.mark.parametrize("frequencies", SETS, ids=str)
class TestCurve:
    def test_two_points_a_frequency_and_one_determine_it(
        self, frequencies: tuple[float, ...], rng: np.random.Generator
    ) -> None:
        curve = Curve.of(frequencies)
        assert (len(curve.points), curve.points[0]) == (2 * len(frequencies) + 1, 0.0)
        coefficients = sinusoids(frequencies, rng)
        measured = value(frequencies, coefficients, curve.points)
        for t in rng.uniform(-curve.period / 2, curve.period / 2, 50):
            assert curve.weights(t) @ measured == pytest.approx(value(frequencies, coefficients, t), abs=1e-8)
        slope = (value(frequencies, coefficients, 1e-5) - value(frequencies, coefficients, -1e-5)) / 2e-5
        assert curve.slope @ measured == pytest.approx(slope, abs=1e-6)

    def test_noise_is_not_amplified_beyond_the_number_of_points(self, frequencies: tuple[float, ...]) -> None:
        curve = Curve.of(frequencies)
        noise = [float(np.sum(curve.weights(t) ** 2)) for t in np.linspace(-curve.period / 2, curve.period / 2, 501)]
        assert max(noise) < len(curve.points)

    def test_the_least_of_a_loss_is_found_as_on_a_fine_grid(
        self, frequencies: tuple[float, ...], rng: np.random.Generator
    ) -> None:
        curve = Curve.of(frequencies)
        coefficients, targets = sinusoids(frequencies, rng, 4), rng.normal(size=4)

        def loss(t: float) -> float:
            return float(np.mean((value(frequencies, coefficients, t) - targets) ** 2))

        found = curve.least(loss)
        assert abs(found) <= curve.period / 2 + 1e-9
        fine = np.linspace(-curve.period / 2, curve.period / 2, 20_001)
        brute = np.mean((value(frequencies, coefficients, fine) - targets) ** 2, axis=1)
        assert loss(found) <= brute.min() + 1e-12


@pytest.mark.parametrize(
    ("frequencies", "period"),
    [((1.0,), 1), ((2.0,), 0.5), ((0.5, 1.0), 2), ((0.3, 0.7, 1.0, 1.7), 10), ((1.0, 3.0, 4.0, 5.0), 1)],
)
def test_the_period_is_the_shortest_that_all_share(frequencies: tuple[float, ...], period: float) -> None:
    assert Curve.of(frequencies).period == pytest.approx(2 * np.pi * period)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_noise_is_the_same_everywhere_where_frequencies_are_multiples_of_the_first(count: int) -> None:
    curve = Curve.of(tuple(0.7 * k for k in range(1, count + 1)))
    for t in np.linspace(-5, 5, 41):
        assert np.sum(curve.weights(t) ** 2) == pytest.approx(1.0)


class TestLeast:
    curve = Curve.of((1.0,))

    def test_a_flat_function_moves_nothing(self) -> None:
        assert self.curve.least(lambda t: 3.0) == 0.0

    def test_where_it_is_least_already_nothing_moves(self) -> None:
        assert self.curve.least(lambda t: -float(np.cos(t))) == 0.0

    def test_a_narrow_valley_beside_a_wide_one_is_found(self) -> None:
        def loss(t: float) -> float:
            return float(-0.9 * np.cos(t) ** 2 - 1.5 * np.exp(-((t - 1.5) ** 2) / 0.02))

        assert self.curve.least(loss) == pytest.approx(1.5, abs=1e-2)

    def test_a_bottom_is_found_to_a_hundred_millionth(self, rng: np.random.Generator) -> None:
        for where, width in product(rng.uniform(-3, 3, 10), (0.5, 1.0)):
            found = self.curve.least(lambda t, w=where, s=width: abs(float(np.sin((t - w) / 2))) ** s)
            assert found == pytest.approx(where, abs=1e-7)
