"""Optimisers against a literal transcription of their papers, and their purity."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import sqrt
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qstore_core.errors import ConfigurationError, UnknownNameError
from qstore_core.optimizers import (
    OPTIMIZERS,
    SGD,
    Adam,
    Decaying,
    Momentum,
    NoStep,
    Optimizer,
    clip_by_norm,
    make_optimizer,
)
from qstore_core.spall import Spall

ALL = [
    SGD(0.1, 0.05),
    Momentum(0.1, 0.8, 0.05),
    Adam(0.1, 0.05),
    Adam(0.1, 0.05, amsgrad=True),
    Decaying(Momentum(0.1, 0.8, 0.05), 0.3),
]


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


def adam_of_the_paper(steps: int, *, alpha: float, decay: float, amsgrad: bool = False) -> list[float]:
    """Algorithm 1 of arXiv 1412.6980 on one number, with the decay of arXiv 1711.05101, algorithm 2, line 12.

    `amsgrad` keeps the largest `v` (arXiv 1904.09237, algorithm 2), and the corrections of Adam.
    """
    theta, m, v, largest, t = 1.0, 0.0, 0.0, 0.0, 0
    beta1, beta2, epsilon = 0.9, 0.999, 1e-8
    way = []
    for _ in range(steps):
        t = t + 1
        g = float(wavy(np.array([theta]))[0])
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        largest = max(largest, v) if amsgrad else v
        m_hat = m / (1 - beta1**t)
        v_hat = largest / (1 - beta2**t)
        theta = theta - alpha * (m_hat / (sqrt(v_hat) + epsilon) + decay * theta)
        way.append(theta)
    return way


@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adam_is_the_papers(decay: float, amsgrad: bool) -> None:
    way = follow(Adam(0.05, decay, amsgrad=amsgrad), wavy, 60)
    wanted = adam_of_the_paper(60, alpha=0.05, decay=decay, amsgrad=amsgrad)
    np.testing.assert_allclose(way, wanted, rtol=0, atol=1e-13)


def test_amsgrad_does_not_forget_a_large_gradient() -> None:
    after = []
    for rule in (Adam(0.1, beta2=0.5), Adam(0.1, beta2=0.5, amsgrad=True)):
        parameters, state = rule.update(np.array([100.0]), rule.init(np.zeros(1)), np.zeros(1))
        for _ in range(30):
            parameters, state = rule.update(np.array([1.0]), state, parameters)
        before = parameters
        parameters, state = rule.update(np.array([1.0]), state, parameters)
        after.append(float(np.abs(parameters - before)[0]))
    assert after[1] < after[0] / 10


@pytest.mark.parametrize("rule", [SGD(0.1, 0.05), Momentum(0.1, 0.8, 0.05), Adam(0.1, 0.05)], ids=repr)
def test_a_decaying_rule_is_the_rule_with_the_rate_of_each_step(rule: SGD | Momentum | Adam) -> None:
    parameters, state = np.array([1.0]), rule.init(np.ones(1))
    way = []
    for step in range(20):
        now = replace(rule, learning_rate=0.1 / (1 + 0.3 * step))
        parameters, state = now.update(wavy(parameters), state, parameters)
        way.append(float(parameters[0]))
    assert follow(Decaying(rule, 0.3), wavy, 20) == way


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


@pytest.mark.parametrize("rule", ALL, ids=repr)
def test_decay_alone_shrinks_parameters(rule: Optimizer) -> None:
    moved, _ = rule.update(np.zeros(2), rule.init(np.ones(2)), np.ones(2))
    np.testing.assert_allclose(moved, [0.995, 0.995])


@pytest.mark.parametrize("rule", ALL, ids=repr)
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


class TestNames:
    @pytest.mark.parametrize(
        ("name", "wanted"),
        [
            ("sgd", SGD(0.2, 0.01)),
            ("momentum", Momentum(0.2, 0.6, 0.01)),
            ("adam", Adam(0.2, 0.01)),
            ("spall", Spall(0.3, 4.0, 0.01)),
            ("rotosolve", NoStep()),
        ],
    )
    def test_every_name_makes_its_rule_with_the_settings(self, name: str, wanted: Optimizer) -> None:
        rates = {"learning_rate": 0.2, "momentum": 0.6, "weight_decay": 0.01}
        assert make_optimizer(name, **rates, first_move=0.3, n_steps=40) == wanted

    def test_every_name_is_there(self) -> None:
        assert sorted(OPTIMIZERS) == ["adam", "momentum", "rotosolve", "sgd", "spall"]

    def test_a_decay_is_put_around_the_rule(self) -> None:
        assert make_optimizer("sgd", learning_rate=0.2, learning_rate_decay=0.1) == Decaying(SGD(0.2), 0.1)

    def test_options_reach_the_rule(self) -> None:
        options = {"amsgrad": True, "beta1": 0.8, "beta2": 0.99, "epsilon": 1e-6}
        assert make_optimizer("adam", learning_rate=0.2, options=options) == Adam(0.2, 0.0, 0.8, 0.99, 1e-6, True)
        spall = make_optimizer("spall", n_steps=40, options={"stability": 7, "exponent": 1, "first_move": 0.2})
        assert spall == Spall(0.2, 7, 0.0, 1)

    def test_an_unknown_name_lists_the_known_ones(self) -> None:
        with pytest.raises(
            UnknownNameError, match=r"'adan'; did you mean 'adam'.*Known: adam, momentum, rotosolve, sgd, spall"
        ):
            make_optimizer("adan")

    @pytest.mark.parametrize(
        ("name", "options", "message"),
        [
            ("adam", {"amsgard": True}, "has no option 'amsgard'; it accepts: amsgrad, beta1, beta2, epsilon"),
            ("sgd", {"amsgrad": True}, "optimizer 'sgd' has no option 'amsgrad'; it accepts: no options"),
            ("adam", {"beta1": 1.0}, "beta1 is a number from 0 to below 1, not 1.0"),
            ("adam", {"beta2": "much"}, "beta2 is a number from 0 to below 1, not 'much'"),
            ("adam", {"epsilon": 0}, "epsilon is a number above 0, not 0"),
            ("adam", {"amsgrad": 1}, "amsgrad is True or False, not 1"),
            ("spall", {"stability": -1}, "stability is a number above 0, not -1"),
            ("spall", {"exponent": None}, "exponent is a number above 0, not None"),
        ],
    )
    def test_an_option_that_cannot_be_is_refused(self, name: str, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigurationError, match=message):
            make_optimizer(name, options=options)


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
    return {
        key: _copied(value) if isinstance(value, Mapping) else np.array(value).tolist() for key, value in state.items()
    }
