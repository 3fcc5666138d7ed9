"""Schedules: which method has its turn and why, with a state of its own, and how they are written down."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qstore_core.config import TrainingConfig
from qstore_core.data import ArrayLoader
from qstore_core.errors import CapabilityError, ConfigurationError, UnknownNameError
from qstore_core.estimators.adaptive import Adaptive
from qstore_core.estimators.parameter_shift import ParameterShift
from qstore_core.estimators.schedule import Schedule
from qstore_core.estimators.spsa import SPSA
from qstore_core.methods import make_estimator
from qstore_core.model import QuantumModel
from qstore_core.problem import GradientEstimator
from qstore_core.registry import get_backend
from qstore_core.trainer import QuantumTrainer

X = np.random.default_rng(1).normal(size=(12, 2))
Y = (X[:, 0] + 0.3 * X[:, 1] > 0).astype(np.int64)
OLD = {"first": "spsa", "then": "parameter_shift", "every": 10, "stalled": 0.01}
"""What Q-Store v3.3 called adaptive."""


def scheduled(options: dict[str, Any], **changes: Any) -> GradientEstimator:
    return make_estimator(TrainingConfig(gradient_method="schedule", gradient_options=options, **changes))


def turns(schedule: Schedule, losses: list[float]) -> list[tuple[int, str]]:
    """The choice at each step, when the steps have these losses."""
    return [schedule.choice(step, losses[max(0, step - 2) : step]) for step in range(len(losses))]


class TestChoice:
    def test_steps_say_from_where_on(self) -> None:
        schedule = Schedule(steps=((0, SPSA()), (2, ParameterShift()), (3, SPSA(c=0.2))))
        assert turns(schedule, [1.0] * 5) == [
            (0, "from step 0"),
            (0, "from step 0"),
            (1, "from step 2"),
            (2, "from step 3"),
            (2, "from step 3"),
        ]

    def test_every_tenth_is_the_tenth_and_the_twentieth(self) -> None:
        found = turns(Schedule(every=10), [1.0] * 25)
        assert [step for step, (index, _) in enumerate(found) if index] == [9, 19]
        assert (found[9], found[0]) == ((1, "every 10 steps"), (0, "first"))

    def test_a_loss_that_stalled_gives_the_next_step_to_the_other(self) -> None:
        found = turns(Schedule(stalled=0.01), [1.0, 0.9, 0.895, 0.8, 0.85, 0.7, 0.6])
        assert [index for index, _ in found] == [0, 0, 0, 1, 0, 1, 0]
        assert found[3] == (1, "the loss fell by less than 1%")

    def test_a_share_is_of_the_size_of_the_loss_also_below_zero(self) -> None:
        found = turns(Schedule(stalled=0.1), [-1.0, -1.05, -1.3, 0.0])
        assert [index for index, _ in found] == [0, 0, 1, 0]

    def test_both_rules_together_are_the_old_adaptive(self) -> None:
        schedule = scheduled(OLD)
        assert isinstance(schedule, Schedule)
        losses = [0.95**step for step in range(12)]
        losses[4] = losses[3]
        assert [index for index, _ in turns(schedule, losses)] == [0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0]


class TestWriting:
    def test_methods_are_names_or_names_with_options(self) -> None:
        options = {"steps": [[0, "spsa"], [200, {"method": "parameter_shift", "coordinates": 8}]]}
        assert scheduled(options) == Schedule(steps=((0, SPSA()), (200, ParameterShift(coordinates=8))))
        assert scheduled(OLD) == Schedule(every=10, stalled=0.01)
        assert scheduled({"every": 2, "then": "adaptive"}) == Schedule(every=2, then=Adaptive())

    def test_the_settings_of_spsa_reach_it_there(self) -> None:
        options = {"first": "spsa_subsampled", "then": {"method": "spsa", "c": 0.3}, "every": 2}
        wanted = Schedule(first=SPSA(c=0.2, subsample=7), then=SPSA(c=0.3), every=2)
        assert scheduled(options, spsa_c_initial=0.2, gradient_subsample_size=7) == wanted

    def test_a_schedule_may_hold_another(self) -> None:
        inner = {"method": "schedule", "every": 2}
        assert scheduled({"steps": [[0, "spsa"], [9, inner]]}) == Schedule(steps=((0, SPSA()), (9, Schedule(every=2))))

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            (
                {},
                ConfigurationError,
                r"a schedule has either steps, such as \[\[0, 'spsa'\], .*, or every=10 or stalled",
            ),
            ({"first": "spsa"}, ConfigurationError, "a schedule has either steps"),
            ({"steps": [[0, "spsa"]], "every": 3}, ConfigurationError, "a schedule has either steps"),
            ({"steps": []}, ConfigurationError, "a schedule has either steps"),
            ({"steps": 200}, ConfigurationError, "steps is a list of steps and methods such as .*, not 200"),
            ({"steps": [[0, "spsa", 3]]}, ConfigurationError, "steps is a list of steps and methods such as"),
            ({"steps": [["0", "spsa"]]}, ConfigurationError, "a step of a schedule is a whole number, not '0'"),
            ({"steps": [[1, "spsa"]]}, ConfigurationError, r"begin with 0 and rise, unlike \[1\]"),
            ({"steps": [[0, "spsa"], [0, "spsa"]]}, ConfigurationError, r"begin with 0 and rise, unlike \[0, 0\]"),
            ({"steps": [[0, 3]]}, ConfigurationError, "a method of a schedule is a name, or a dict .*, not 3"),
            ({"every": 2, "then": {"c": 1}}, ConfigurationError, "a method of a schedule is a name, or a dict"),
            ({"every": 0}, ConfigurationError, "every is a whole number of at least 1, not 0"),
            ({"stalled": 0}, ConfigurationError, "stalled is a number above 0, not 0"),
            ({"every": 2, "then": "spas"}, UnknownNameError, "'spas'; did you mean 'spsa'"),
            (
                {"every": 2, "then": {"method": "spsa", "d": 1}},
                ConfigurationError,
                "estimator 'spsa' got an unexpected",
            ),
            ({"every": 2, "then": "rotosolve"}, ConfigurationError, "rotosolve makes steps, not gradients"),
            ({"every": 2, "often": 3}, ConfigurationError, "'schedule' got an unexpected keyword argument 'often'; it"),
        ],
        ids=str,
    )
    def test_what_is_no_schedule_is_refused(
        self, options: dict[str, Any], error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            scheduled(options)


class TestTraining:
    def trained(self, options: dict[str, Any], place: Path | None = None, **changes: Any) -> QuantumTrainer:
        defaults = {"epochs": 3, "batch_size": 5, "learning_rate": 0.1, "shots_per_circuit": 20, "seed": 5}
        config = TrainingConfig(
            **(defaults | changes), gradient_method="schedule", gradient_options=options, run_directory=place
        )
        trainer = QuantumTrainer(config, progress=False)
        asyncio.run(trainer.train(QuantumModel(2, 2, 2, get_backend("mock"), depth=1), ArrayLoader(X, Y, 5)))
        return trainer

    def steps(self, place: Path) -> list[dict[str, Any]]:
        records = map(json.loads, (place / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
        return [record for record in records if record["kind"] == "step"]

    def test_metrics_tell_the_method_and_why(self, tmp_path: Path) -> None:
        self.trained({"every": 3}, tmp_path)
        steps = self.steps(tmp_path)
        assert [step["method"] for step in steps] == ["spsa", "spsa", "parameter_shift"] * 3
        assert [step["reason"] for step in steps] == ["first", "first", "every 3 steps"] * 3
        assert [step["circuits"] for step in steps] == [2 * 5, 2 * 5, 5 * 2] * 3

    def test_each_method_counts_its_own_steps(self, tmp_path: Path) -> None:
        self.trained({"first": {"method": "spsa", "c": 0.1, "decay": 1.0}, "every": 2}, tmp_path)
        steps = [step["c"] for step in self.steps(tmp_path) if step["method"] == "spsa"]
        np.testing.assert_allclose(steps, 0.1 / np.arange(1, 6))

    @pytest.mark.parametrize("options", [{"every": 4}, {"steps": [[0, "spsa"], [4, "parameter_shift"]]}], ids=str)
    def test_the_estimate_is_what_the_run_takes(self, options: dict[str, Any]) -> None:
        trainer = self.trained(options)
        model = QuantumModel(2, 2, 2, get_backend("mock"), depth=1)
        assert trainer.estimate_cost(model, 12).total.circuits == trainer.spent.circuits

    def test_a_method_that_cannot_be_is_refused_before_the_first_step(self) -> None:
        with pytest.raises(CapabilityError, match="'adjoint' is exact"):
            self.trained({"steps": [[0, "spsa"], [1000, "adjoint"]]})

    def test_the_old_adaptive_learns(self) -> None:
        trainer = self.trained(OLD, epochs=12)
        convergence = trainer.performance_tracker.get_convergence_data()["loss"]
        assert np.mean(convergence[-3:]) < np.mean(convergence[:3]) - 0.1
