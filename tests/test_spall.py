"""Spall's gains: the sequence of his paper, its calibration, and that the calibration is counted."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from qstore_core.config import TrainingConfig
from qstore_core.data import ArrayLoader
from qstore_core.errors import ConfigurationError
from qstore_core.estimators.spsa import SPSA
from qstore_core.methods import make_estimator
from qstore_core.model import QuantumModel
from qstore_core.registry import get_backend
from qstore_core.spall import Spall
from qstore_core.trainer import QuantumTrainer
from qstore_core.training import make_recipe

X = np.random.default_rng(1).normal(size=(12, 2))
Y = (X[:, 0] > 0).astype(np.int64)


def test_the_gains_are_those_of_the_paper() -> None:
    rule = Spall(0.2, stability=5.0)
    parameters, state = np.zeros(2), rule.init(np.zeros(2))
    rng = np.random.default_rng(2)
    first = rng.normal(size=2)
    parameters, state = rule.update(first, state, parameters)
    a = 0.2 * (5 + 1) ** 0.602 / np.mean(np.abs(first))
    for k in range(1, 20):
        gradient = rng.normal(size=2)
        moved, state = rule.update(gradient, state, parameters)
        np.testing.assert_allclose(moved, parameters - a / (5 + k + 1) ** 0.602 * gradient, rtol=1e-13)
        parameters = moved


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_first_step_moves_what_it_moves_by_the_given_angle_on_average(scale: float) -> None:
    gradient = scale * np.array([1.0, -3.0, 0.0, 2.0, 0.0])  # two parameters are frozen
    moved, _ = (rule := Spall(0.05, stability=100.0)).update(gradient, rule.init(np.zeros(5)), np.zeros(5))
    assert np.mean(np.abs(moved[[0, 1, 3]])) == pytest.approx(0.05)
    assert (moved[[2, 4]] == 0).all()


def test_a_gradient_of_zero_calibrates_nothing() -> None:
    rule = Spall(0.05, stability=0.0, weight_decay=0.1)
    parameters, state = rule.update(np.zeros(2), rule.init(np.ones(2)), np.ones(2))
    assert (parameters.tolist(), state["gain"]) == ([1.0, 1.0], None)
    parameters, state = rule.update(np.ones(2), state, np.zeros(2))
    np.testing.assert_allclose(parameters, [-0.05, -0.05])


def test_weight_decay_shrinks_at_the_rate_of_the_step() -> None:
    rule, plain = Spall(0.05, 3.0, weight_decay=0.5), Spall(0.05, 3.0)
    start, gradient = np.array([2.0, -1.0]), np.array([0.3, 0.1])
    moved, _ = rule.update(gradient, rule.init(start), start)
    without, _ = plain.update(gradient, plain.init(start), start)
    np.testing.assert_allclose(moved, without - (start - without)[0] / 0.3 * 0.5 * start, rtol=1e-12)


class TestInTraining:
    def run(self, **changes: object) -> tuple[QuantumTrainer, QuantumModel, np.ndarray]:  # type: ignore[type-arg]
        config = TrainingConfig(
            **({"epochs": 2, "batch_size": 4, "shots_per_circuit": None, "optimizer": "spall", "seed": 3} | changes)  # type: ignore[arg-type]
        )
        model = QuantumModel(2, 2, 2, get_backend("mock"), seed=1)
        before = model.parameters
        trainer = QuantumTrainer(config, progress=False)
        asyncio.run(trainer.train(model, ArrayLoader(X, Y, 4)))
        return trainer, model, before

    def test_the_first_step_takes_more_directions_and_they_are_counted(self) -> None:
        trainer, model, _ = self.run(shots_per_circuit=20)
        assert trainer.spent.circuits == 2 * 4 * (10 + 5)  # six steps of four samples, the first ten times over
        assert trainer.spent.jobs == 6
        assert trainer.estimate_cost(model, 12).total.circuits == trainer.spent.circuits

    def test_a_run_of_one_step_moves_active_parameters_by_the_given_angle(self) -> None:
        config = TrainingConfig(optimizer="spall", spsa_a_initial=0.03, shots_per_circuit=20, epochs=1, seed=3)
        model = QuantumModel(2, 2, 2, get_backend("mock"), seed=1)
        before = model.parameters
        asyncio.run(QuantumTrainer(config).train(model, [(X, Y)]))
        moved = np.abs(model.parameters - before)[model.active_parameters]
        assert np.mean(moved) == pytest.approx(0.03)

    def test_the_stability_is_a_tenth_of_the_steps_unless_it_is_given(self) -> None:
        config, model = TrainingConfig(optimizer="spall"), QuantumModel(2, 2, 2)
        assert make_recipe(model, config, labels_are_classes=True, n_steps=80).optimizer == Spall(0.01, 8.0)
        given = TrainingConfig(optimizer="spall", optimizer_options={"stability": 3})
        assert make_recipe(model, given, labels_are_classes=True).optimizer == Spall(0.01, 3)

    def test_a_loader_without_a_length_needs_it(self) -> None:
        class Again:
            def __iter__(self) -> object:
                return iter([(X, Y)])

        model, config = QuantumModel(2, 2, 2, get_backend("mock")), TrainingConfig(optimizer="spall", epochs=1)
        with pytest.raises(ConfigurationError, match=r"this loader has no length: give it one \(__len__\), or optim"):
            asyncio.run(QuantumTrainer(config).train(model, Again()))  # type: ignore[arg-type]
        given = TrainingConfig(optimizer="spall", epochs=1, optimizer_options={"stability": 1})
        asyncio.run(QuantumTrainer(given).train(model, Again()))  # type: ignore[arg-type]

    def test_it_learns(self) -> None:
        trainer, model, before = self.run(epochs=40, spsa_a_initial=0.1)
        after = trainer.evaluate(model, X, Y)
        model.parameters = before
        assert after["loss"] < trainer.evaluate(model, X, Y)["loss"] - 0.1
        assert after["accuracy"] >= 0.9


class TestEstimator:
    """What the settings mean for the estimator."""

    def test_spall_takes_the_step_as_it_is_and_lets_it_fall(self) -> None:
        calibrated = SPSA(c=0.1, decay=0.101, first_directions=10)
        for method in ("adaptive", "spsa", "spsa_parallel"):
            assert make_estimator(TrainingConfig(optimizer="spall", gradient_method=method)) == calibrated
        config = TrainingConfig(optimizer="spall", spsa_c_initial=0.2, gradient_options={"first_directions": 30})
        assert make_estimator(config) == SPSA(c=0.2, decay=0.101, first_directions=30)
        config = TrainingConfig(optimizer="spall", gradient_method="spsa_subsampled")
        assert make_estimator(config) == SPSA(c=0.1, decay=0.101, first_directions=10, subsample=5)

    def test_without_it_the_step_follows_the_parameters_unless_it_is_set(self) -> None:
        assert make_estimator(TrainingConfig(gradient_method="spsa")) == SPSA(c=None)
        assert make_estimator(TrainingConfig(gradient_method="spsa", spsa_c_initial=0.2)) == SPSA(c=0.2)
        assert make_estimator(TrainingConfig(gradient_method="spsa", gradient_options={"c": 0.1})) == SPSA(c=0.1)
