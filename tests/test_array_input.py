"""What would lose an imaginary part or a mask is refused, wherever data come in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from fake_backends import Watched
from training_runs import X, Y, new_model, settings

from qstore_core.array_input import data_array
from qstore_core.data import ArrayLoader, train_test_split
from qstore_core.errors import DataError
from qstore_core.preprocessing import FeatureScaler
from qstore_core.trainer import QuantumTrainer

COMPLEX_X, COMPLEX_Y = X + 1j, Y + 1j
MASKED_X, MASKED_Y = np.ma.masked_greater(X, 1.0), np.ma.array(Y, mask=np.arange(12) == 3)
COMPLEX = "must be real numbers, not complex128: give .real and .imag"
MASKED = "have masked entries, and training knows no mask: fill or drop them first"
ENTRIES: dict[str, Callable[[QuantumTrainer, Any, Any, Any], Any]] = {
    "fit": lambda trainer, model, x, y: trainer.fit(model, x, y),
    "validation": lambda trainer, model, x, y: trainer.fit(model, X, Y, validation=(x, y)),
    "check": lambda trainer, model, x, y: trainer.check(model, x, y),
    "evaluate": lambda trainer, model, x, y: trainer.evaluate(model, x, y),
    "gradient": lambda trainer, model, x, y: trainer.gradient(model, x, y),
    "train": lambda trainer, model, x, y: asyncio.run(trainer.train(model, [(x, y)])),
    "validate": lambda trainer, model, x, y: asyncio.run(trainer.validate(model, [(x, y)])),
    "loader": lambda trainer, model, x, y: ArrayLoader(x, y),
    "split": lambda trainer, model, x, y: train_test_split(x, y),
}


@pytest.mark.parametrize("enter", ENTRIES.values(), ids=ENTRIES)
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (COMPLEX_X, Y, f"inputs {COMPLEX}"),
        (MASKED_X, Y, f"inputs {MASKED}"),
        (X, COMPLEX_Y, f"labels {COMPLEX}"),
        (X, MASKED_Y, f"labels {MASKED}"),
    ],
    ids=["complex x", "masked x", "complex y", "masked y"],
)
def test_data_with_labels(enter: Any, x: Any, y: Any, message: str) -> None:
    backend = Watched()
    with pytest.raises(DataError, match=message):
        enter(QuantumTrainer(settings()), new_model(backend), x, y)
    assert not backend.jobs


@pytest.mark.parametrize("entry", ["fit", "evaluate", "gradient", "train", "loader", "split"])
def test_objects_that_are_whole_numbers_are_classes(entry: str) -> None:
    trainer = QuantumTrainer(settings(epochs=1))
    ENTRIES[entry](trainer, new_model(Watched()), X.astype(object), Y.astype(object))


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, 2], "int64"),
        ([1, np.float32(2)], "float64"),
        ([Decimal("0.5"), 1], "float64"),
        ([2**70], "float64"),
        ([True, False], "bool"),
        ([np.bool_(True), 2], "int64"),
        (["a", "bcd"], "<U3"),
        ([], "float64"),
    ],
    ids=str,
)
def test_objects_are_what_they_are(values: Any, dtype: str) -> None:
    array = data_array("labels", np.array(values, dtype=object))
    assert array.dtype == dtype
    assert array.tolist() == values


@pytest.mark.parametrize("values", [[None, 1], ["a", 1], [0.5, "red"], [b"a"], [{}], [10**400]], ids=["None", *"abcde"])
def test_other_objects_are_refused(values: Any) -> None:
    with pytest.raises(DataError, match=r"^labels hold "):
        data_array("labels", np.array(values, dtype=object))


def test_complex_numbers_among_objects_are_refused() -> None:
    with pytest.raises(DataError, match=COMPLEX):
        data_array("labels", np.array([1, 2j], dtype=object))


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize(("x", "message"), [(COMPLEX_X, COMPLEX), (MASKED_X, MASKED)], ids=["complex", "masked"])
def test_inputs_alone(scaled: bool, x: Any, message: str) -> None:
    model = new_model(Watched())
    model.scaler = FeatureScaler.fit(X, 2) if scaled else None
    with pytest.raises(DataError, match=message):
        FeatureScaler.fit(x, 2)
    for ask in (QuantumTrainer(settings()).predict, QuantumTrainer(settings()).outputs):
        with pytest.raises(DataError, match=message):
            ask(model, x)
    for forward in (model.forward, model.predict):
        with pytest.raises(DataError, match=message):
            asyncio.run(forward(x))


def test_batches_that_are_cut_keep_no_secret() -> None:
    backend = Watched()
    with pytest.raises(DataError, match=MASKED):
        asyncio.run(
            QuantumTrainer(settings(shots_per_circuit=20)).train(
                new_model(backend), [(X[:5], Y[:5]), (MASKED_X[5:], Y[5:])]
            )
        )


def test_a_masked_array_in_which_nothing_is_masked_is_an_array() -> None:
    whole, plain = new_model(seed=1), new_model(seed=1)
    QuantumTrainer(settings(epochs=1)).fit(whole, np.ma.masked_greater(X, 100.0), np.ma.array(Y))
    QuantumTrainer(settings(epochs=1)).fit(plain, X, Y)
    np.testing.assert_array_equal(whole.parameters, plain.parameters)
