"""Optimisers against a literal transcription of their papers, and their purity."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import sqrt
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qstore_core.errors import UnknownNameError
from qstore_core.optimizers import OPTIMIZERS, SGD, Adam, Momentum, Optimizer, clip_by_norm, make_optimizer

ALL = [SGD(0.1, 0.05), Momentum(0.1, 0.8, 0.05), Adam(0.1, 0.05)]


def follow(rule: Optimizer, slope: Callable[[NDArray[np.float64]], NDArray[np.float64]], steps: int) -> list[float]:
    """One parameter's way from 1."""
    parameters = np.array([1.0])
    state = rule.init(parameters)
    way = []
    for _ in range(steps):
        parameters, state = rule.update(slope(parameters), state, parameters)
        way.append(float(parameters[0]))
    return way


def wavy(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sin(3 * parameters) + parameters


def adam_of_the_paper(steps: int, *, alpha: float, decay: float) -> list[float]:
    """Algorithm 1 of arXiv 1412.6980 on one number, with the decay of arXiv 1711.05101, algorithm 2, line 12."""
    theta, m, v, t = 1.0, 0.0, 0.0, 0
    beta1, beta2, epsilon = 0.9, 0.999, 1e-8
    way = []
    for _ in range(steps):
        t = t + 1
        g = float(wavy(np.array([theta]))[0])
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        theta = theta - alpha * (m_hat / (sqrt(v_hat) + epsilon) + decay * theta)
        way.append(theta)
    return way


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adam_is_the_papers(decay: float) -> None:
    np.testing.assert_allclose(
        follow(Adam(0.05, decay), wavy, 30), adam_of_the_paper(30, alpha=0.05, decay=decay), rtol=0, atol=1e-13
    )


def test_momentum_is_polyaks_heavy_ball() -> None:
    # theta(k+1) = theta(k) - lr g + m (theta(k) - theta(k-1)), without the velocity
    way = follow(Momentum(0.05, 0.7), wavy, 20)
    points = [1.0, 1.0, *way]
    for before, now, after in zip(points, points[1:], points[2:], strict=False):
        expected = now - 0.05 * float(wavy(np.array([now]))[0]) + 0.7 * (now - before)
        assert after == pytest.approx(expected, abs=1e-13)


def test_momentum_zero_is_sgd() -> None:
    assert follow(Momentum(0.05, 0.0, 0.1), wavy, 10) == follow(SGD(0.05, 0.1), wavy, 10)


def test_sgd_goes_down_the_gradient_and_decays() -> None:
    moved, _ = SGD(0.1, 0.5).update(np.array([2.0]), {}, np.array([4.0]))
    np.testing.assert_allclose(moved, [4.0 - 0.1 * (2.0 + 0.5 * 4.0)])


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: type(rule).__name__)
def test_decay_alone_shrinks_parameters(rule: Optimizer) -> None:
    moved, _ = rule.update(np.zeros(2), rule.init(np.ones(2)), np.ones(2))
    np.testing.assert_allclose(moved, [0.995, 0.995])


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: type(rule).__name__)
def test_an_update_changes_none_of_its_arguments(rule: Optimizer) -> None:
    parameters, gradient = np.array([1.0, 2.0]), np.array([0.3, -0.4])
    _, state = rule.update(gradient, rule.init(parameters), parameters)
    copies = parameters.copy(), gradient.copy(), _copied(state)
    first = rule.update(gradient, state, parameters)
    second = rule.update(gradient, state, parameters)
    np.testing.assert_array_equal(parameters, copies[0])
    np.testing.assert_array_equal(gradient, copies[1])
    assert _copied(state) == copies[2]
    np.testing.assert_array_equal(first[0], second[0])
    assert _copied(first[1]) == _copied(second[1])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_name_makes_its_rule_with_the_settings(name: str) -> None:
    rule = make_optimizer(name, learning_rate=0.2, momentum=0.6, weight_decay=0.01)
    assert rule in (SGD(0.2, 0.01), Momentum(0.2, 0.6, 0.01), Adam(0.2, 0.01))
    assert type(rule).__name__.lower() == name


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"'adan'; did you mean 'adam'.*Known: adam, momentum, sgd"):
        make_optimizer("adan", learning_rate=0.1, momentum=0.9, weight_decay=0.0)


class TestClipping:
    def test_a_long_gradient_keeps_its_direction(self, rng: np.random.Generator) -> None:
        gradient = rng.normal(size=10) * 5
        clipped = clip_by_norm(gradient, 1.5)
        assert np.linalg.norm(clipped) == pytest.approx(1.5)
        np.testing.assert_allclose(clipped / 1.5, gradient / np.linalg.norm(gradient))

    def test_a_short_gradient_stays_to_the_last_bit(self) -> None:
        gradient = np.array([0.6, 0.8])
        np.testing.assert_array_equal(clip_by_norm(gradient, 1.0), gradient)
        np.testing.assert_array_equal(clip_by_norm(np.zeros(3), 1.0), np.zeros(3))


def _copied(state: Mapping[str, Any]) -> dict[str, Any]:
    return {key: np.array(value).tolist() for key, value in state.items()}
