"""What training takes for data: any loader, and arrays that `fit` splits and scales."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_backends import Watched
from run_files import lines
from training_runs import BATCHES, Stopping, X, Y, new_model, settings, trained

from qstore_core.checkpoint import load_checkpoint
from qstore_core.data import ArrayLoader
from qstore_core.errors import CheckpointError, DataError
from qstore_core.model import QuantumModel
from qstore_core.preprocessing import FeatureScaler
from qstore_core.trainer import QuantumTrainer
from qstore_core.training import Loader


class Again:
    """A re-iterable that is neither a list nor sized."""

    def __init__(self, batches: Sequence[Any]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Any]:
        yield from self.batches


class AgainAsync(Again):
    async def __aiter__(self) -> AsyncIterator[Any]:
        for batch in self.batches:
            await asyncio.sleep(0)
            yield batch

    __iter__ = None  # type: ignore[assignment]


def generator() -> Iterator[Any]:
    yield from BATCHES


async def async_generator() -> AsyncIterator[Any]:
    for batch in BATCHES:
        yield batch


class TestLoaders:
    @pytest.mark.parametrize(
        "data",
        [
            tuple(BATCHES),
            [list(batch) for batch in BATCHES],
            [(x.tolist(), y.tolist()) for x, y in BATCHES],
            Again(BATCHES),
            AgainAsync(BATCHES),
            ArrayLoader(X, Y, batch_size=5, shuffle=False),
        ],
        ids=["tuple", "pairs as lists", "numbers as lists", "sync", "async", "arrays"],
    )
    @pytest.mark.parametrize("shots", [None, 20])
    def test_any_that_can_be_iterated_again_will_do(self, data: Loader, shots: int | None) -> None:
        config = settings(shots_per_circuit=shots)
        np.testing.assert_array_equal(trained(config, data).parameters, trained(config, BATCHES).parameters)

    @pytest.mark.parametrize(
        "make", [generator, async_generator, lambda: iter(BATCHES)], ids=["sync", "async", "iterator"]
    )
    def test_one_that_can_be_iterated_only_once_is_refused(self, make: Callable[[], Any], tmp_path: Path) -> None:
        with pytest.raises(
            DataError,
            match=r"a loader is iterated again in every epoch, and a \w+ only once: give a list .*__aiter__ begins",
        ):
            trained(settings(run_directory=tmp_path / "run"), make())
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (3, r"a loader gives \(x, y\) batches, and a int cannot be iterated$"),
            (
                async_generator,
                r"a function cannot be iterated: give an object of a class whose __iter__ or __aiter__ is",
            ),
            ([X], r"a loader gives \(x, y\) pairs, not ndarray"),
            ([(X, Y, Y)], r"a loader gives \(x, y\) pairs, not tuple"),
            ([], "there are no samples in the data: the loader gave no batches"),
            (Again([]), "there are no samples in the data: the loader gave no batches"),
            (AgainAsync([]), "there are no samples in the data: the loader gave no batches"),
            ([(X, Y[:3])], "a batch has 12 samples and 3 labels; they must be as many"),
        ],
        ids=["number", "function", "array", "triple", "nothing", "nothing sync", "nothing async", "lengths"],
    )
    def test_what_is_not_a_batch_is_refused(self, data: Any, message: str) -> None:
        with pytest.raises(DataError, match=message):
            trained(settings(), data)

    def test_every_epoch_has_an_order_of_its_own_that_the_seed_repeats(self, tmp_path: Path) -> None:
        orders = []
        for name in ("one", "same"):
            backend = Watched()
            trained(settings(epochs=2, run_directory=tmp_path / name), backend=backend)
            orders.append([job.angles[:, :2].tolist() for job in backend.jobs])
        assert orders[0] == orders[1]
        assert orders[0][:6] != orders[0][6:]

    @pytest.mark.parametrize("failure", [FileNotFoundError(2, "no such table"), TimeoutError("too slow")], ids=repr)
    def test_a_failure_of_the_loader_is_the_callers(self, tmp_path: Path, failure: Exception) -> None:
        def fail() -> None:
            raise failure

        with pytest.raises(type(failure)) as caught:
            trained(settings(run_directory=tmp_path), Stopping(1 + 2, fail))
        assert caught.value is failure
        assert load_checkpoint(tmp_path / "checkpoint.npz").step == 2

    @pytest.mark.parametrize(
        ("odd", "message"),
        [
            ((X[:3, :1], Y[:3]), "inputs need shape"),
            ((X[:3], Y[:4]), "a batch has 3 samples and 4 labels; they must be as many"),
            ((X[:3] * np.nan, Y[:3]), "inputs must be finite"),
            ((X[:0], Y[:0]), "there are no"),
        ],
        ids=["columns", "lengths", "nan", "nothing"],
    )
    @pytest.mark.parametrize("shots", [None, 20])
    def test_an_odd_batch_later_on_stops_with_a_checkpoint(
        self, tmp_path: Path, odd: Any, message: str, shots: int | None
    ) -> None:
        with pytest.raises(DataError, match=message):
            trained(settings(run_directory=tmp_path, shots_per_circuit=shots), [BATCHES[0], odd])
        kept = load_checkpoint(tmp_path / "checkpoint.npz")
        assert kept.step == len(lines(tmp_path, "step")) > 0
        assert 0 < kept.samples_done <= 5
        assert kept.step == 1 or shots is not None


class TestFit:
    def test_it_scales_and_trains(self) -> None:
        one, other = new_model(), new_model()
        QuantumTrainer(settings()).fit(one, 100 * X, Y)
        other.scaler = FeatureScaler.fit(100 * X, 2)
        angles = ArrayLoader(other.scaler.transform(100 * X), Y, batch_size=5)
        asyncio.run(QuantumTrainer(settings()).train(other, angles))
        np.testing.assert_array_equal(one.parameters, other.parameters)

    def test_it_works_inside_a_running_event_loop(self) -> None:
        async def notebook() -> QuantumModel:
            model = new_model()
            QuantumTrainer(settings()).fit(model, X, Y)
            return model

        outside = new_model()
        QuantumTrainer(settings()).fit(outside, X, Y)
        np.testing.assert_array_equal(asyncio.run(notebook()).parameters, outside.parameters)

    def test_an_error_inside_a_running_loop_is_the_callers(self) -> None:
        async def notebook() -> None:
            QuantumTrainer(settings()).fit(new_model(), X, Y + 5)

        with pytest.raises(DataError, match="labels run from 5 to 6"):
            asyncio.run(notebook())

    def test_more_columns_than_inputs_are_reduced(self) -> None:
        model = new_model()
        wide = np.hstack([X, X @ [[1.0], [2.0]], X**2])
        QuantumTrainer(settings()).fit(model, wide, Y)
        assert model.scaler is not None
        assert model.scaler.components.shape == (5, 2)
        assert set(QuantumTrainer(settings()).evaluate(model, wide, Y)) == {"loss", "accuracy"}

    def test_a_second_call_keeps_the_scaler(self) -> None:
        model = new_model()
        QuantumTrainer(settings()).fit(model, X, Y)
        scaler = model.scaler
        QuantumTrainer(settings()).fit(model, X[:6] * 7, Y[:6])
        assert model.scaler is scaler

    def test_a_call_that_was_refused_leaves_no_scaler(self) -> None:
        model = new_model()
        with pytest.raises(DataError, match="labels run from"):
            QuantumTrainer(settings()).fit(model, X * 1000, Y + 5)
        assert model.scaler is None

    def test_a_resumed_run_brings_its_own_scaler(self, tmp_path: Path) -> None:
        config = settings(run_directory=tmp_path)
        first, backend = new_model(), Watched()
        first.scaler = FeatureScaler.fit(X, 2, radians_per_deviation=0.5)
        QuantumTrainer(config).fit(first, X, Y, epochs=1)
        model = new_model(backend)
        QuantumTrainer(config).fit(model, X, Y, epochs=2, resume=True)
        assert model.scaler is not None
        np.testing.assert_array_equal(model.scaler.scale, first.scaler.scale)
        used = {angle for job in backend.jobs for angle in job.angles[:, 0]}
        assert used == set(first.scaler.transform(X)[:, 0])

    def test_a_run_is_not_resumed_with_other_data(self, tmp_path: Path) -> None:
        config = settings(run_directory=tmp_path)
        QuantumTrainer(config).fit(new_model(), X, Y, epochs=1)
        for x, y, changes in ((X * 7, Y, {}), (X, 1 - Y, {}), (X, Y, {"batch_size": 4})):
            model = new_model()
            with pytest.raises(CheckpointError, match="was started with other data, or other batches of it"):
                QuantumTrainer(replace(config, **changes)).fit(model, x, y, resume=True)
            assert model.scaler is None

    def test_a_run_that_is_resumed_by_train_brings_its_scaler_too(self, tmp_path: Path) -> None:
        config = settings(run_directory=tmp_path)
        first, model = new_model(), new_model()
        QuantumTrainer(config).fit(first, X, Y, epochs=1)
        asyncio.run(QuantumTrainer(config).train(model, BATCHES, epochs=1, resume=True))
        assert first.scaler is not None
        assert model.scaler is not None
        np.testing.assert_array_equal(model.scaler.transform(X), first.scaler.transform(X))

    def test_validation_data_are_scaled_alike(self) -> None:
        model, trainer = new_model(), QuantumTrainer(settings(epochs=1))
        (history,) = trainer.fit(model, X, Y, validation=(X[:4] * 2, Y[:4]))
        assert history.val_loss == trainer.evaluate(model, X[:4] * 2, Y[:4])["loss"]


def test_a_scaler_of_other_data_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    model = new_model()
    QuantumTrainer(settings(epochs=1), progress=False).fit(model, X, Y)
    assert caplog.text == ""
    QuantumTrainer(settings(epochs=1), progress=False).fit(model, 100 * X + 50, Y)
    assert "96% of the scaled inputs are beyond half a turn and were cut to it" in caplog.text


def test_loaders_are_closed_and_those_for_validation_are_not_begun_before() -> None:
    events: list[str] = []

    class Reader:
        def __init__(self, name: str) -> None:
            self.name = name

        async def __aiter__(self) -> AsyncIterator[Any]:
            events.append(f"open {self.name}")
            try:
                yield X[:6], Y[:6]
                yield X[6:], Y[6:]
            finally:
                events.append(f"close {self.name}")

    trainer = QuantumTrainer(settings(epochs=1), progress=False)
    asyncio.run(trainer.train(new_model(), Reader("x"), Reader("v")))
    assert events == [f"{what} {name}" for name in "xxv" for what in ("open", "close")]
