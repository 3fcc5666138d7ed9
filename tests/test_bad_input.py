"""What a user may get wrong: each mistake is one line that says what, and leaves nothing half written."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qstore_core.backend import LocalBackend
from qstore_core.config import TrainingConfig
from qstore_core.data import ArrayLoader
from qstore_core.errors import (
    CapabilityError,
    CheckpointError,
    ConfigurationError,
    DataError,
    QStoreError,
    RunDirectoryError,
    UnknownNameError,
)
from qstore_core.manager import BackendManager
from qstore_core.model import QuantumModel
from qstore_core.registry import get_backend
from qstore_core.trainer import QuantumTrainer

X = np.random.default_rng(1).normal(size=(8, 2))
Y = np.array([0, 1] * 4)
NAN = np.where(np.arange(16).reshape(8, 2) == 5, np.nan, X)
INF = np.where(np.arange(16).reshape(8, 2) == 5, -np.inf, X)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where a run directory would be made."""
    return tmp_path / "run"


def settings(place: Path | None, **changes: Any) -> TrainingConfig:
    defaults = {"epochs": 1, "batch_size": 4, "shots_per_circuit": None, "seed": 5, "run_directory": place}
    return TrainingConfig(**(defaults | changes))


def new_model(**changes: Any) -> QuantumModel:
    return QuantumModel(**({"input_dim": 2, "n_qubits": 2, "output_dim": 2, "depth": 1} | changes))


def train(config: TrainingConfig, data: Any = None, **options: Any) -> None:
    model = options.pop("model", None) or new_model()
    asyncio.run(QuantumTrainer(config).train(model, ArrayLoader(X, Y) if data is None else data, **options))


def contents(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()
    }


@contextmanager
def refusal(kind: type[QStoreError], message: str, *, unchanged: Path) -> Iterator[None]:
    """One line of that kind with that text in it, and no file made, changed or removed below a directory."""
    before = contents(unchanged), sorted(unchanged.rglob("*"))
    with pytest.raises(kind) as caught:
        yield
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert (contents(unchanged), sorted(unchanged.rglob("*"))) == before


class TestUnknownNames:
    def test_a_backend(self, tmp_path: Path, place: Path) -> None:
        known = r"unknown backend 'mok'; did you mean 'mock'\? Known: .*mock"
        with refusal(UnknownNameError, known, unchanged=tmp_path):
            get_backend("mok")
        with refusal(UnknownNameError, known, unchanged=tmp_path):
            train(settings(place, quantum_sdk="mok"))
        with refusal(UnknownNameError, known, unchanged=tmp_path):
            asyncio.run(BackendManager().initialize(sdk="mok"))

    def test_an_estimator(self, tmp_path: Path, place: Path) -> None:
        known = (
            "unknown gradient estimator 'spas'; did you mean 'spsa'.*"
            "Known: adaptive, adjoint, finite_difference, parameter_shift, rotosolve, schedule, spsa"
        )
        with refusal(UnknownNameError, known, unchanged=tmp_path):
            train(settings(place, gradient_method="spas"))

    def test_an_optimiser(self, tmp_path: Path, place: Path) -> None:
        known = (
            "unknown TrainingConfig optimizer 'adma'; did you mean 'adam'.*Known: adam, momentum, rotosolve, sgd, spall"
        )
        with refusal(UnknownNameError, known, unchanged=tmp_path):
            settings(place, optimizer="adma")

    def test_a_loss(self, tmp_path: Path, place: Path) -> None:
        known = "unknown TrainingConfig loss 'crossentropy'; did you mean 'cross_entropy'.*Known: cross_entropy, mse"
        with refusal(UnknownNameError, known, unchanged=tmp_path):
            settings(place, loss="crossentropy")


def test_more_qubits_than_the_backend_has(tmp_path: Path, place: Path) -> None:
    small = get_backend("mock", memory_bytes=2**9)
    width = small.capabilities.max_qubits
    with refusal(CapabilityError, f"n_qubits={width + 1}, and backend 'mock' has at most {width}", unchanged=tmp_path):
        new_model(n_qubits=width + 1, backend=small)
    late = new_model(n_qubits=width + 1)
    late.backend = small
    with refusal(CapabilityError, f"has {width + 1} qubits and backend 'mock' at most {width}", unchanged=tmp_path):
        train(settings(place), model=late)


class TestData:
    @pytest.mark.parametrize(
        ("x", "y", "message"),
        [
            (X[:, :1], Y, r"inputs need shape \(n_samples, 2\), the model's input_dim, not \(8, 1\)"),
            (np.hstack([X, X]), Y, r"inputs need shape \(n_samples, 2\), the model's input_dim, not \(8, 4\)"),
            (NAN, Y, "inputs must be finite; row 2 holds nan or inf: drop or fill it first"),
            (INF, Y, "inputs must be finite; row 2 holds nan or inf"),
            (X.astype(str) + "m", Y, "inputs must be numbers"),
            (X, Y + 1, "labels run from 1 to 2, but output_dim=2 takes classes 0 to 1; renumber the labels or change"),
            (X, Y - 1, "labels run from -1 to 0, but output_dim=2"),
            (X, Y.astype(str), r"labels are integers \(classes\) or floats \(targets\), not <U"),
            (X, Y * 1.0, r"targets have 1 column\(s\) and the model output_dim=2"),
            (X, np.column_stack([X[:, 0], NAN[:, 1]]), "targets must be finite; found nan or inf"),
        ],
        ids=["few", "many", "nan", "inf", "text", "high", "low", "names", "columns", "nan target"],
    )
    def test_a_batch_that_does_not_fit_the_model(
        self, tmp_path: Path, place: Path, x: Any, y: Any, message: str
    ) -> None:
        model = new_model(seed=1)
        before = model.parameters
        with refusal(DataError, message, unchanged=tmp_path):
            train(settings(place), [(x, y)], model=model)
        np.testing.assert_array_equal(model.parameters, before)

    @pytest.mark.parametrize(
        ("x", "y", "message"),
        [
            (X[:, :1], Y, r"the data has 1 column\(s\) and the model input_dim=2"),
            (NAN, Y, "inputs must be finite; row 2, column 1 holds nan"),
            (INF, Y, "inputs must be finite; row 2, column 1 holds -inf"),
            (X, Y + 1, "labels run from 1 to 2, but output_dim=2 takes classes 0 to 1"),
            (X, Y[:5], "x has 8 samples and y 5; they must be as many"),
            (np.zeros((0, 2)), [], "there are no samples in the data"),
            ([], [], "there are no samples in the data"),
            (X[:0], Y[:0], "there are no samples in the data"),
            (X, Y * 0, "all labels are of one class"),
        ],
        ids=["columns", "nan", "inf", "labels", "lengths", "no rows", "nothing", "no classes", "one class"],
    )
    def test_arrays_that_do_not_fit_the_model(self, tmp_path: Path, place: Path, x: Any, y: Any, message: str) -> None:
        model = new_model()
        with refusal(DataError, message, unchanged=tmp_path):
            QuantumTrainer(settings(place)).fit(model, x, y)
        assert model.scaler is None

    @pytest.mark.parametrize("data", [[], [(np.zeros((0, 2)), np.zeros(0, dtype=int))]], ids=["batches", "samples"])
    def test_no_data(self, tmp_path: Path, place: Path, data: Any) -> None:
        with refusal(DataError, "there are no samples in the", unchanged=tmp_path):
            train(settings(place), data)

    def test_no_data_to_validate(self, tmp_path: Path) -> None:
        trainer = QuantumTrainer(settings(None))
        for data in ([], [(np.zeros((0, 2)), [])]):
            with refusal(DataError, "there are no (samples|labels) in the", unchanged=tmp_path):
                asyncio.run(trainer.validate(new_model(), data))

    def test_an_empty_loader(self, tmp_path: Path) -> None:
        with refusal(DataError, "there are no samples in the data", unchanged=tmp_path):
            ArrayLoader([], [])

    def test_float_labels_for_cross_entropy(self, tmp_path: Path, place: Path) -> None:
        with refusal(DataError, "'cross_entropy' needs integer class labels; these are floats", unchanged=tmp_path):
            train(settings(place, loss="cross_entropy"), [(X, np.zeros((8, 2)))])


class TestNumbers:
    def test_a_batch_size_of_zero(self, tmp_path: Path, place: Path) -> None:
        with refusal(
            ConfigurationError, r"TrainingConfig\(batch_size=0\): must be a whole number of at", unchanged=tmp_path
        ):
            settings(place, batch_size=0)
        with refusal(ConfigurationError, "batch_size is a whole number of at least 1, not 0", unchanged=tmp_path):
            ArrayLoader(X, Y, batch_size=0)

    @pytest.mark.parametrize("shots", [0, -100])
    def test_negative_shots(self, tmp_path: Path, place: Path, shots: int) -> None:
        message = (
            rf"TrainingConfig\(shots_per_circuit={shots}\): must be a whole number of at least 1, or None for exact"
        )
        with refusal(ConfigurationError, message, unchanged=tmp_path):
            settings(place, shots_per_circuit=shots)
        model = new_model(backend=get_backend("mock"))
        with pytest.raises(QStoreError, match=f"shots is a whole number of at least 1, or None .*, not {shots}"):
            asyncio.run(model.forward(X, shots=shots))

    def test_no_shots_on_a_backend_that_only_samples(self, tmp_path: Path, place: Path) -> None:
        backend = get_backend("mock")
        assert isinstance(backend, LocalBackend)
        backend.capabilities = replace(backend.capabilities, exact=False, adjoint=False)
        message = "backend 'mock' only samples: set shots_per_circuit to a number instead of None"
        model = new_model(backend=backend)
        with refusal(CapabilityError, message, unchanged=tmp_path):
            train(settings(place), model=model)
        with refusal(CapabilityError, message, unchanged=tmp_path):
            asyncio.run(QuantumTrainer(settings(place)).validate(model, [(X, Y)]))
        with refusal(CapabilityError, message, unchanged=tmp_path):
            asyncio.run(model.forward(X))

    def test_more_shots_than_the_backend_takes(self, tmp_path: Path, place: Path) -> None:
        backend = get_backend("mock")
        backend.capabilities = replace(backend.capabilities, max_shots=50)
        with refusal(CapabilityError, "51 shots a circuit; backend 'mock' allows at most 50", unchanged=tmp_path):
            train(settings(place, shots_per_circuit=51), model=new_model(backend=backend))


class TestCheckpoints:
    @pytest.fixture
    def run(self, place: Path) -> Path:
        """A run directory that holds a finished run."""
        train(settings(place))
        return place

    @pytest.mark.parametrize(
        "damage",
        [lambda whole: b"", lambda whole: whole[: len(whole) // 2], lambda whole: b"\0" * len(whole)],
        ids=["empty", "half", "zeros"],
    )
    def test_a_damaged_one(self, tmp_path: Path, run: Path, damage: Callable[[bytes], bytes]) -> None:
        checkpoint = run / "checkpoint.npz"
        checkpoint.write_bytes(damage(checkpoint.read_bytes()))
        model = new_model(seed=1)
        before = model.parameters
        with refusal(
            CheckpointError, r"the checkpoint .*is damaged \(.*\); remove it to start afresh", unchanged=tmp_path
        ):
            train(settings(run), model=model, resume=True)
        with refusal(CheckpointError, "is damaged", unchanged=tmp_path):
            QuantumTrainer(settings(run)).fit(model, X, Y, resume=True)
        np.testing.assert_array_equal(model.parameters, before)
        assert model.scaler is None

    @pytest.mark.parametrize(
        "change",
        [{"depth": 2}, {"n_qubits": 3}, {"readout": ["X0", "Z1"]}, {"input_dim": 1}],
        ids=lambda c: next(iter(c)),
    )
    def test_one_of_another_model(self, tmp_path: Path, run: Path, change: dict[str, Any]) -> None:
        model = new_model(seed=1, **change)
        before, data = model.parameters, [(X[:, : model.input_dim], Y)]
        message = "belongs to another model: its circuit or readout differs; build the same model, or choose another"
        with refusal(CheckpointError, message, unchanged=tmp_path):
            train(settings(run), data, model=model, resume=True)
        np.testing.assert_array_equal(model.parameters, before)

    def test_one_of_another_model_with_a_scaler_of_another_width(self, tmp_path: Path, place: Path) -> None:
        QuantumTrainer(settings(place)).fit(new_model(), X, Y)
        with refusal(CheckpointError, "belongs to another model", unchanged=tmp_path):
            QuantumTrainer(settings(place)).fit(new_model(input_dim=1), X[:, :1], Y, resume=True)

    def test_a_directory_that_already_holds_a_run(self, tmp_path: Path, run: Path) -> None:
        message = "already holds a run: go on with it .*resume=True.*, or choose another run directory"
        with refusal(RunDirectoryError, message, unchanged=tmp_path):
            train(settings(run))
        with refusal(RunDirectoryError, message, unchanged=tmp_path):
            QuantumTrainer(settings(run)).fit(new_model(), X, Y)
        with refusal(RunDirectoryError, message, unchanged=tmp_path):
            train(settings(None, checkpoint_directory=run))


def test_a_run_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    for place in (tmp_path / "file" / "run", tmp_path / "file"):
        with refusal(RunDirectoryError, f"cannot write to {place}: ", unchanged=tmp_path):
            train(settings(place))
        with refusal(RunDirectoryError, f"cannot write to {place}: ", unchanged=tmp_path):
            QuantumTrainer(settings(place)).fit(new_model(), X, Y, resume=True)


def test_a_run_that_was_refused_leaves_no_mark_on_the_model(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    model, fresh = new_model(), new_model()
    with pytest.raises(RunDirectoryError):
        train(settings(tmp_path / "file" / "run", seed=1), model=model)
    for each in (model, fresh):
        train(settings(None, seed=2), model=each)
    np.testing.assert_array_equal(model.parameters, fresh.parameters)
