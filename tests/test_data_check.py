"""What a trainer is given is looked through before the first circuit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fake_backends import Watched
from training_runs import BATCHES, X, Y, new_model, settings

from qstore_core.circuit import Feature, Parameter, QuantumCircuit
from qstore_core.data import ArrayLoader
from qstore_core.errors import ConfigurationError, DataError
from qstore_core.model import QuantumModel
from qstore_core.trainer import QuantumTrainer

VALUES = np.linspace(-0.5, 0.5, 12)


def with_last(values: Any, last: float) -> Any:
    return np.append(values[:-1], np.array(last, dtype=values.dtype))


BAD_ENDS = [
    (2, X, with_last(Y, 2), "labels run from 0 to 2, but output_dim=2"),
    (1, X, with_last(VALUES, np.nan), "targets must be finite"),
    (1, X, with_last(VALUES, 50.0), "a target of 50 is out of reach"),
    (2, np.vstack([X[:-1], [[0.0, np.nan]]]), Y, "inputs must be finite; row 11"),
]
ENDS = ["label", "nan", "out of reach", "input"]


class TestAllSamples:
    @pytest.mark.parametrize(("output_dim", "x", "y", "message"), BAD_ENDS, ids=ENDS)
    @pytest.mark.parametrize("call", ["fit", "train", "check"])
    def test_the_last_sample_is_looked_at_before_the_first_circuit(
        self, output_dim: int, x: Any, y: Any, message: str, call: str
    ) -> None:
        backend, trainer = Watched(), QuantumTrainer(settings(batch_size=4))
        model = new_model(backend, output_dim=output_dim)
        calls: dict[str, Callable[[], object]] = {
            "fit": lambda: trainer.fit(model, x, y),
            "check": lambda: trainer.check(model, x, y),
            "train": lambda: asyncio.run(trainer.train(model, ArrayLoader(x, y, 4))),
        }
        with pytest.raises(DataError, match=message):
            calls[call]()
        assert not backend.jobs

    @pytest.mark.parametrize(("output_dim", "x", "y", "message"), [BAD_ENDS[k] for k in (0, 1, 3)], ids=["l", "n", "i"])
    def test_so_is_that_of_validation_and_evaluation(self, output_dim: int, x: Any, y: Any, message: str) -> None:
        backend, trainer = Watched(), QuantumTrainer(settings(batch_size=4))
        model, good = new_model(backend, output_dim=output_dim), Y if output_dim == 2 else VALUES
        with pytest.raises(DataError, match=message):
            trainer.fit(model, X, good, validation=(x, y))
        with pytest.raises(DataError, match=message):
            asyncio.run(trainer.train(model, BATCHES if output_dim == 2 else [(X, good)], ArrayLoader(x, y, 4)))
        with pytest.raises(DataError, match=message):
            trainer.evaluate(model, x, y)
        assert not backend.jobs

    @pytest.mark.parametrize("make", [lambda x, y: [(x, y)], ArrayLoader], ids=["batches", "arrays"])
    def test_validation_data_of_another_width_are_refused_at_once(self, make: Callable[[Any, Any], Any]) -> None:
        backend = Watched()
        for x, y in ((X[:, :1], Y), (X, Y + 1), (X, Y * 0.1)):
            with pytest.raises(DataError):
                asyncio.run(QuantumTrainer(settings()).train(new_model(backend), BATCHES, make(x, y)))
        assert not backend.jobs

    def test_a_validation_target_may_lie_outside_of_what_outputs_reach(self) -> None:
        trainer = QuantumTrainer(settings(epochs=1))
        (epoch,) = trainer.fit(new_model(output_dim=1), X, VALUES, validation=(X, VALUES * 10))
        assert epoch.val_loss is not None

    def test_a_hundred_thousand_samples_take_a_moment(self) -> None:
        x, y = np.random.default_rng(0).normal(size=(100_000, 2)), np.arange(100_000) % 2
        trainer, model = QuantumTrainer(settings(shots_per_circuit=100)), new_model(Watched())
        begin = time.perf_counter()
        trainer.check(model, x, y)
        assert time.perf_counter() - begin < 2  # about 0.05


class TestKindOfLabels:
    @pytest.mark.parametrize(
        ("first", "then", "message"),
        [
            (VALUES, Y, r"this run was trained on values, and these labels are integers.*y\.astype\(float\)"),
            (Y, VALUES, r"this run was trained on classes, and these labels are floats.*y\.astype\(int\)"),
        ],
        ids=["values", "classes"],
    )
    def test_it_stays(self, first: Any, then: Any, message: str) -> None:
        backend = Watched()
        trainer, model = QuantumTrainer(settings(epochs=1)), new_model(backend, output_dim=1)
        trainer.fit(model, X, first)
        before, n_jobs, regression = model.parameters, len(backend.jobs), model.regression
        for call in (
            lambda: trainer.fit(model, X, then),
            lambda: trainer.fit(model, X, first, validation=(X, then)),
            lambda: trainer.evaluate(model, X, then),
            lambda: trainer.gradient(model, X, then),
            lambda: asyncio.run(trainer.train(model, [(X, then)])),
            lambda: asyncio.run(trainer.validate(model, [(X, then)])),
        ):
            with pytest.raises(DataError, match=message):
                call()
        assert (len(backend.jobs), model.regression) == (n_jobs, regression)
        np.testing.assert_array_equal(model.parameters, before)

    def test_it_does_not_change_from_batch_to_batch(self) -> None:
        with pytest.raises(DataError, match="this run was trained on values"):
            asyncio.run(QuantumTrainer(settings()).train(new_model(output_dim=1), [(X, VALUES), (X, Y)]))

    def test_another_trainer_knows_of_a_model_that_predicts_values(self) -> None:
        model = new_model(output_dim=1)
        QuantumTrainer(settings(epochs=1)).fit(model, X, VALUES)
        with pytest.raises(DataError, match="trained on values"):
            QuantumTrainer(settings()).evaluate(model, X, Y)
        QuantumTrainer(settings(epochs=1)).fit(model, X, Y)  # a run of its own
        assert not model.regression


CIRCUIT = QuantumCircuit(2).ry(0, Feature("x[0]")).ry(1, Feature("x[1]"))


class TestNothingToTrain:
    @pytest.mark.parametrize(
        ("circuit", "frozen", "message"),
        [
            (CIRCUIT, [], "the circuit has no parameters"),
            (CIRCUIT.rz(0, Parameter("a")), [], "no parameter that is not frozen can influence an output"),
            (CIRCUIT.rx(0, Parameter("a")), [0], "every parameter is frozen; call model.unfreeze_all()"),
            (CIRCUIT.rx(0, Parameter("a")).rz(0, Parameter("b")), [0], "no parameter that is not frozen"),
        ],
        ids=["none", "inactive", "frozen", "both"],
    )
    def test_training_is_refused_and_the_rest_is_not(
        self, circuit: QuantumCircuit, frozen: list[int], message: str
    ) -> None:
        backend = Watched()
        model, trainer = new_model(backend, ansatz=circuit), QuantumTrainer(settings())
        model.freeze_parameters(frozen)
        for call in (trainer.fit, trainer.check):
            with pytest.raises(ConfigurationError, match=f"there is nothing to train: {message}"):
                call(model, X, Y)
        assert not backend.jobs
        assert trainer.predict(model, X).shape == (12,)
        assert "loss" in trainer.evaluate(model, X, Y)


class TestArguments:
    def test_data_in_place_of_the_model_is_told(self) -> None:
        trainer: Any = QuantumTrainer(settings())
        for call in (
            lambda: trainer.fit(X, Y, new_model()),
            lambda: trainer.evaluate(X, Y, new_model()),
            lambda: trainer.check(X, Y, new_model()),
            lambda: trainer.predict(X, new_model()),
            lambda: trainer.gradient(X, Y, new_model()),
            lambda: asyncio.run(trainer.train(BATCHES, new_model())),
        ):
            with pytest.raises(ConfigurationError, match=r"model is a QuantumModel, not (ndarray|list); the order is"):
                call()

    def test_a_class_in_place_of_the_model_is_told(self) -> None:
        trainer: Any = QuantumTrainer(settings())
        with pytest.raises(ConfigurationError, match="model is a QuantumModel, not the class QuantumModel: make one"):
            trainer.fit(QuantumModel, X, Y)

    def test_what_is_kept_back_is_a_cost(self) -> None:
        with pytest.raises(ConfigurationError, match=r"keep is a Cost, such as Cost\(usd_high=5.0\), not 5.0"):
            QuantumTrainer(keep=5.0)  # type: ignore[arg-type]
