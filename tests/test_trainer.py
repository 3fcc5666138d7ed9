"""Training: repeatable and resumable to the last bit, counted, and open to any loader, loss and backend."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qstore_core import registry
from qstore_core.angles import Parameter
from qstore_core.backend import Backend, LocalBackend
from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.checkpoint import Checkpoint, load_checkpoint
from qstore_core.circuit import QuantumCircuit
from qstore_core.config import TrainingConfig
from qstore_core.cost import Cost
from qstore_core.data import ArrayLoader
from qstore_core.errors import CapabilityError, CheckpointError, ConfigurationError, DataError, RunDirectoryError
from qstore_core.hookspecs import Register, hookimpl
from qstore_core.losses import CrossEntropy
from qstore_core.manager import BackendManager
from qstore_core.model import QuantumModel
from qstore_core.preprocessing import FeatureScaler
from qstore_core.registry import Registry, get_backend
from qstore_core.run_directory import RunDirectory
from qstore_core.trainer import QuantumTrainer
from qstore_core.training import Loader

X = np.random.default_rng(1).normal(size=(12, 2))
Y = (X[:, 0] + 0.3 * X[:, 1] > 0).astype(np.int64)
BATCHES = [(X[:5], Y[:5]), (X[5:10], Y[5:10]), (X[10:], Y[10:])]
METHODS = ["spsa", "parameter_shift", "adjoint"]
OPTIMIZERS = ["adam", "momentum", "sgd"]


class Watched(LocalBackend):
    """The simulator, with a note of what it saw; it may stop at its n-th job."""

    def __init__(self, *, stop_at: int | None = None, stop: BaseException | None = None, **changes: Any) -> None:
        inner = get_backend("mock")
        assert isinstance(inner, LocalBackend)
        self.inner = inner
        self.capabilities = replace(inner.capabilities, **changes)
        self.fingerprint = inner.fingerprint
        self.compiled = 0
        self.events: list[str] = []
        self.jobs: list[CircuitBatch] = []
        self.stop_at, self.stop = stop_at, stop or KeyboardInterrupt()

    async def open(self) -> None:
        self.events.append("open")

    def compile(self, *arguments: Any) -> Any:
        self.compiled += 1
        return self.inner.compile(*arguments)

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        self._note(batch)
        return await self.inner.execute(batch, compiled)

    async def gradient(self, batch: CircuitBatch, compiled: Any, cotangents: NDArray[np.float64]) -> Any:
        self._note(batch)
        return await self.inner.gradient(batch, compiled, cotangents)

    def _note(self, batch: CircuitBatch) -> None:
        if len(self.jobs) + 1 == self.stop_at:
            self.stop_at = None
            raise self.stop
        self.jobs.append(batch)


def settings(**changes: Any) -> TrainingConfig:
    defaults = {"epochs": 3, "batch_size": 5, "learning_rate": 0.1, "shots_per_circuit": None, "seed": 5}
    return TrainingConfig(**(defaults | changes))


def new_model(backend: Backend | None = None, **changes: Any) -> QuantumModel:
    return QuantumModel(**({"input_dim": 2, "n_qubits": 2, "output_dim": 2, "depth": 1, "backend": backend} | changes))


def loader() -> ArrayLoader:
    return ArrayLoader(X, Y, batch_size=5)


def trained(config: TrainingConfig, data: Loader | None = None, *, backend: Backend | None = None) -> QuantumModel:
    model = new_model(backend)
    asyncio.run(QuantumTrainer(config).train(model, loader() if data is None else data))
    return model


def state_of(directory: Path) -> dict[str, Any]:
    """A checkpoint as values that `==` compares to the last bit, without what it cost."""

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return value.dtype.str, value.shape, value.tobytes()
        return {key: plain(entry) for key, entry in value.items()} if isinstance(value, dict) else value

    checkpoint = load_checkpoint(directory / "checkpoint.npz")
    return {each.name: plain(getattr(checkpoint, each.name)) for each in fields(Checkpoint) if each.name != "spent"}


def lines(directory: Path, kind: str) -> list[dict[str, Any]]:
    records = map(json.loads, (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [record for record in records if record["kind"] == kind]


class TestRepeating:
    @pytest.mark.parametrize("shots", [None, 20])
    @pytest.mark.parametrize("method", ["adaptive", "spsa", "parameter_shift", "spsa_subsampled"])
    def test_one_seed_gives_the_same_parameters_to_the_last_bit(self, method: str, shots: int | None) -> None:
        config = settings(gradient_method=method, shots_per_circuit=shots, gradient_subsample_size=2)
        np.testing.assert_array_equal(trained(config).parameters, trained(config).parameters)

    @pytest.mark.parametrize("shots", [None, 20])
    def test_another_seed_gives_others(self, shots: int | None) -> None:
        one, other = (trained(settings(shots_per_circuit=shots, seed=seed)).parameters for seed in (1, 2))
        assert not (one == other).any()

    def test_without_a_seed_each_run_has_its_own_and_records_it(self, tmp_path: Path) -> None:
        runs = [settings(seed=None, run_directory=tmp_path / name) for name in ("a", "b")]
        parameters = [trained(config).parameters.tolist() for config in runs]
        assert parameters[0] != parameters[1]
        recorded = json.loads((tmp_path / "a" / "config.json").read_text(encoding="utf-8"))["seed"]
        assert trained(settings(seed=recorded)).parameters.tolist() == parameters[0]

    def test_the_models_own_seed_chooses_where_it_starts(self) -> None:
        starts = [new_model(seed=9), new_model(seed=9)]
        before = starts[0].parameters
        asyncio.run(QuantumTrainer(settings(epochs=0)).train(starts[0], loader()))
        np.testing.assert_array_equal(starts[0].parameters, before)
        asyncio.run(QuantumTrainer(settings(epochs=0)).train(starts[1], loader()))
        np.testing.assert_array_equal(starts[1].parameters, before)

    def test_assigned_parameters_are_where_it_starts(self) -> None:
        model = new_model()
        model.parameters = [0.5, -0.5, 0.25, 1.0]
        asyncio.run(QuantumTrainer(settings(epochs=0)).train(model, loader()))
        assert model.parameters.tolist() == [0.5, -0.5, 0.25, 1.0]


def shots_of(method: str) -> int | None:
    return None if method == "adjoint" else 20


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("method", METHODS)
class TestResuming:
    """A run that stopped and went on ends as one that did not, to the last bit of every state."""

    def run(self, place: Path, method: str, optimizer: str, *, backend: Backend | None = None, **more: Any) -> None:
        config = settings(
            gradient_method=method, optimizer=optimizer, shots_per_circuit=shots_of(method), run_directory=place
        )
        asyncio.run(QuantumTrainer(config).train(new_model(backend), loader(), **more))

    def test_after_some_epochs(self, tmp_path: Path, method: str, optimizer: str) -> None:
        self.run(tmp_path / "whole", method, optimizer)
        self.run(tmp_path / "parts", method, optimizer, epochs=1)
        self.run(tmp_path / "parts", method, optimizer, resume=True)
        assert state_of(tmp_path / "parts") == state_of(tmp_path / "whole")

    @pytest.mark.parametrize("stop", [KeyboardInterrupt(), asyncio.CancelledError(), MemoryError()], ids=repr)
    @pytest.mark.parametrize("steps", [0, 1, 4, 8])
    def test_after_an_interruption_within_an_epoch(
        self, tmp_path: Path, method: str, optimizer: str, stop: BaseException, steps: int
    ) -> None:
        self.run(tmp_path / "whole", method, optimizer)
        jobs_a_step = 2 if method == "adjoint" else 1
        broken = Watched(stop_at=steps * jobs_a_step + 1, stop=stop)
        with pytest.raises(type(stop)):
            self.run(tmp_path / "parts", method, optimizer, backend=broken)
        kept = load_checkpoint(tmp_path / "parts" / "checkpoint.npz")
        samples = (0, 5, 10)[steps % 3]
        assert (kept.step, kept.epoch, kept.samples_done) == (steps, steps // 3, samples)
        self.run(tmp_path / "parts", method, optimizer, resume=True)
        assert state_of(tmp_path / "parts") == state_of(tmp_path / "whole")
        assert [line["step"] for line in lines(tmp_path / "parts", "step")] == list(range(1, 10))
        assert [line["epoch"] for line in lines(tmp_path / "parts", "epoch")] == [1, 2, 3]


class Stopping:
    """Gives the batches until it has given so many, then calls `stop` once."""

    def __init__(self, given: int, stop: Callable[[], None]) -> None:
        self.left, self.stop = given, stop

    def __iter__(self) -> Iterator[Any]:
        for batch in BATCHES:
            if self.left == 0:
                self.stop()
            self.left -= 1
            yield batch


def interrupt() -> None:
    raise KeyboardInterrupt


def cancel() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


@pytest.mark.parametrize(
    ("stop", "raised", "steps"), [(interrupt, KeyboardInterrupt, 4), (cancel, asyncio.CancelledError, 5)]
)
def test_a_loader_that_stops_and_a_task_that_is_cancelled_leave_a_checkpoint(
    tmp_path: Path, stop: Callable[[], None], raised: type[BaseException], steps: int
) -> None:
    config = settings(gradient_method="spsa", shots_per_circuit=20, run_directory=tmp_path)
    with pytest.raises(raised):
        trained(config, Stopping(1 + 4, stop))  # the first batch is looked at before the run begins
    assert load_checkpoint(tmp_path / "checkpoint.npz").step == steps  # a task is cancelled when it next waits
    model = new_model()
    asyncio.run(QuantumTrainer(config).train(model, BATCHES, resume=True))
    np.testing.assert_array_equal(model.parameters, trained(replace(config, run_directory=None), BATCHES).parameters)


PROGRAM = """
import asyncio, os, sys
import numpy as np
from qstore_core import ArrayLoader, QuantumModel, QuantumTrainer, TrainingConfig, get_backend

directory, die_after, resume = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "resume"
x = np.random.default_rng(1).normal(size=(12, 2))
backend = get_backend("mock")
inner, jobs = backend.execute, 0

async def execute(batch, compiled):
    global jobs
    jobs += 1
    if jobs == die_after:
        os._exit(9)  # as kill -9: nothing is cleaned up
    return await inner(batch, compiled)

backend.execute = execute
config = TrainingConfig(
    epochs=4, learning_rate=0.1, shots_per_circuit=20, gradient_method="spsa", seed=5, checkpoint_interval=2,
    run_directory=directory,
)
model = QuantumModel(2, 2, 2, backend, depth=1)
loader = ArrayLoader(x, (x[:, 0] > 0).astype(int), batch_size=5)
asyncio.run(QuantumTrainer(config).train(model, loader, resume=resume))
"""


def test_a_killed_process_is_resumed_by_another_to_the_last_bit(tmp_path: Path) -> None:
    def start(place: str, die_after: int, mode: str) -> int:
        command = [sys.executable, "-c", PROGRAM, str(tmp_path / place), str(die_after), mode]
        return subprocess.run(command, timeout=60, check=False).returncode

    assert start("whole", 0, "start") == 0
    assert start("parts", 9, "start") == 9
    assert load_checkpoint(tmp_path / "parts" / "checkpoint.npz").step == 6
    assert [line["step"] for line in lines(tmp_path / "parts", "step")][-1] == 8
    assert start("parts", 0, "resume") == 0
    assert state_of(tmp_path / "parts") == state_of(tmp_path / "whole")
    assert [line["step"] for line in lines(tmp_path / "parts", "step")] == list(range(1, 13))
    assert [line["epoch"] for line in lines(tmp_path / "parts", "epoch")] == [1, 2, 3, 4]


class TestGoingOn:
    def test_a_second_call_goes_on_where_the_first_stopped(self, tmp_path: Path) -> None:
        whole, parts = (settings(shots_per_circuit=20, run_directory=tmp_path / name) for name in ("whole", "parts"))
        asyncio.run(QuantumTrainer(whole).train(new_model(), loader()))

        async def twice() -> list[int]:
            trainer, model = QuantumTrainer(parts), new_model()
            history = await trainer.train(model, loader(), epochs=1)
            history += await trainer.train(model, loader(), epochs=2)
            return [metrics.epoch for metrics in history]

        assert asyncio.run(twice()) == [1, 2, 3]
        assert state_of(tmp_path / "parts") == state_of(tmp_path / "whole")

    def test_a_second_event_loop_does_too(self) -> None:
        manager = BackendManager()
        asyncio.run(manager.initialize(sdk="mock"))
        trainer, model = QuantumTrainer(settings(), manager), new_model()
        for _ in range(3):
            asyncio.run(trainer.train(model, loader(), epochs=1))
        np.testing.assert_array_equal(model.parameters, trained(settings()).parameters)

    def test_it_goes_on_from_parameters_that_were_assigned_in_between(self) -> None:
        trainer, model = QuantumTrainer(settings(optimizer="sgd", learning_rate=1e-6)), new_model()
        asyncio.run(trainer.train(model, loader(), epochs=1))
        model.parameters = [3.0, 2.0, 1.0, 0.0]
        asyncio.run(trainer.train(model, loader(), epochs=1))
        np.testing.assert_allclose(model.parameters, [3.0, 2.0, 1.0, 0.0], rtol=0, atol=1e-4)

    def test_after_an_interruption_the_same_trainer_goes_on(self) -> None:
        config = settings(gradient_method="spsa", shots_per_circuit=20)
        trainer, model = QuantumTrainer(config), new_model(Watched(stop_at=5))
        with pytest.raises(KeyboardInterrupt):
            asyncio.run(trainer.train(model, loader()))
        asyncio.run(trainer.train(model, loader(), epochs=2))
        np.testing.assert_array_equal(model.parameters, trained(config).parameters)

    def test_reset_starts_afresh_and_repeats_the_run_to_the_last_bit(self) -> None:
        trainer, model = QuantumTrainer(settings(shots_per_circuit=20)), new_model()
        first = asyncio.run(trainer.train(model, loader()))
        parameters = model.parameters
        trainer.reset()
        assert trainer.performance_tracker.get_statistics()["total_circuits"] == 0
        assert trainer.spent == Cost()
        again = asyncio.run(trainer.train(model, loader()))
        np.testing.assert_array_equal(model.parameters, parameters)
        assert [metrics.loss for metrics in again] == [metrics.loss for metrics in first]
        assert [metrics.epoch for metrics in again] == [1, 2, 3]

    def test_reset_before_any_run_is_no_error(self) -> None:
        QuantumTrainer(settings()).reset()

    def test_another_model_is_another_run(self) -> None:
        trainer = QuantumTrainer(settings())
        asyncio.run(trainer.train(new_model(), loader()))
        other = new_model()
        assert [metrics.epoch for metrics in asyncio.run(trainer.train(other, loader()))] == [1, 2, 3]
        np.testing.assert_array_equal(other.parameters, trained(settings()).parameters)

    def test_resuming_where_there_is_no_run_starts_one(self, tmp_path: Path) -> None:
        config = settings(run_directory=tmp_path / "deep" / "run")
        model = new_model()
        asyncio.run(QuantumTrainer(config).train(model, loader(), resume=True))
        np.testing.assert_array_equal(model.parameters, trained(settings()).parameters)

    def test_resuming_a_finished_run_does_nothing(self, tmp_path: Path) -> None:
        config = settings(run_directory=tmp_path)
        parameters = trained(config).parameters
        backend = Watched()
        model = new_model(backend)
        history = asyncio.run(QuantumTrainer(config).train(model, loader(), resume=True))
        assert [metrics.epoch for metrics in history] == [1, 2, 3]
        np.testing.assert_array_equal(model.parameters, parameters)
        assert backend.jobs == []

    def test_resuming_without_a_seed_takes_the_runs(self, tmp_path: Path) -> None:
        wanted = trained(settings()).parameters
        trained(settings(epochs=1, run_directory=tmp_path))
        model = new_model()
        asyncio.run(QuantumTrainer(settings(seed=None, run_directory=tmp_path)).train(model, loader(), resume=True))
        np.testing.assert_array_equal(model.parameters, wanted)

    def test_no_epochs_train_nothing_but_keep_the_run(self, tmp_path: Path) -> None:
        backend = Watched()
        model = new_model(backend)
        assert asyncio.run(QuantumTrainer(settings(run_directory=tmp_path)).train(model, loader(), epochs=0)) == []
        assert backend.jobs == []
        assert load_checkpoint(tmp_path / "checkpoint.npz").step == 0

    @pytest.mark.parametrize("epochs", [-1, 1.5, "3", True], ids=repr)
    def test_epochs_are_a_whole_number(self, tmp_path: Path, epochs: Any) -> None:
        trainer = QuantumTrainer(settings(run_directory=tmp_path / "run"))
        with pytest.raises(ConfigurationError, match="epochs is a whole number of at least 0, not"):
            asyncio.run(trainer.train(new_model(), loader(), epochs=epochs))
        assert not (tmp_path / "run").exists()

    def test_numpys_whole_numbers_are_whole_numbers(self) -> None:
        config = settings(epochs=np.int64(2), batch_size=np.int64(5))
        assert len(QuantumTrainer(config).fit(new_model(), X, Y)) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "sgd"}, "was made with optimizer='adam', not 'sgd'"),
        ({"gradient_method": "spsa"}, "was made with gradient_method='adaptive', not 'spsa'"),
        ({"loss": "mse"}, "was made with loss='cross_entropy', not 'mse'"),
        ({"loss": lambda outputs, targets: 0.0}, "was made with loss='cross_entropy', not 'function'"),
        ({"seed": 6}, "was started with seed=5, not 6; use that seed"),
    ],
    ids=["optimizer", "gradient method", "loss", "function", "seed"],
)
def test_a_run_is_not_resumed_with_other_settings(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    trained(settings(epochs=1, run_directory=tmp_path))
    before = state_of(tmp_path), (tmp_path / "config.json").read_bytes()
    model = new_model(seed=1)
    parameters = model.parameters
    with pytest.raises(CheckpointError, match=message):
        asyncio.run(QuantumTrainer(settings(run_directory=tmp_path, **change)).train(model, loader(), resume=True))
    assert (state_of(tmp_path), (tmp_path / "config.json").read_bytes()) == before
    np.testing.assert_array_equal(model.parameters, parameters)


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
            DataError, match=r"a loader is iterated again in every epoch, and a \w+ only once: give a list"
        ):
            trained(settings(run_directory=tmp_path / "run"), make())
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (3, r"a loader gives \(x, y\) batches, and a int cannot be iterated"),
            ([X], r"a loader gives \(x, y\) pairs, not ndarray"),
            ([(X, Y, Y)], r"a loader gives \(x, y\) pairs, not tuple"),
            ([], "there are no samples in the data: the loader gave no batches"),
            (Again([]), "there are no samples in the data: the loader gave no batches"),
            (AgainAsync([]), "there are no samples in the data: the loader gave no batches"),
            ([(X, Y[:3])], "a batch has 12 samples and 3 labels; they must be as many"),
        ],
        ids=["number", "array", "triple", "nothing", "nothing sync", "nothing async", "lengths"],
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


class TestValidation:
    def test_it_is_the_loss_and_accuracy_of_the_outputs(self) -> None:
        model = new_model(get_backend("mock"), seed=3)
        found = asyncio.run(QuantumTrainer(settings(loss="mse")).validate(model, BATCHES))
        outputs = asyncio.run(model.forward(X))
        targets = np.where(Y[:, None] == [0, 1], 1.0, -1.0)
        assert found["loss"] == pytest.approx(np.mean((outputs - targets) ** 2), abs=1e-12)
        assert found["accuracy"] == pytest.approx(np.mean(outputs.argmax(axis=1) == Y))

    def test_float_targets_have_no_accuracy(self) -> None:
        model = new_model(output_dim=1)
        found = asyncio.run(QuantumTrainer(settings()).validate(model, [(X, X[:, 0] / 5)]))
        assert set(found) == {"loss"}

    def test_history_has_it_after_each_epoch(self) -> None:
        model = new_model()
        trainer = QuantumTrainer(settings())
        history = asyncio.run(trainer.train(model, loader(), val_loader=BATCHES))
        now = asyncio.run(trainer.validate(model, BATCHES))
        assert (history[-1].val_loss, history[-1].val_accuracy) == (now["loss"], now["accuracy"])
        assert len({metrics.val_loss for metrics in history}) == 3

    def test_it_uses_the_trained_scale_of_the_loss(self, tmp_path: Path) -> None:
        model = new_model()
        trainer = QuantumTrainer(settings(run_directory=tmp_path))
        asyncio.run(trainer.train(model, loader()))
        scale = load_checkpoint(tmp_path / "checkpoint.npz").loss_parameters
        outputs = asyncio.run(model.forward(X))
        wanted = CrossEntropy()(outputs, np.where(Y[:, None] == [0, 1], 1.0, -1.0), scale).value
        assert asyncio.run(trainer.validate(model, BATCHES))["loss"] == pytest.approx(wanted, abs=1e-12)

    def test_it_does_not_change_the_run(self) -> None:
        model = new_model()
        asyncio.run(QuantumTrainer(settings(shots_per_circuit=20)).train(model, loader(), val_loader=BATCHES))
        np.testing.assert_array_equal(model.parameters, trained(settings(shots_per_circuit=20)).parameters)

    def test_sampled_validation_repeats_with_the_seed(self) -> None:
        config, model = settings(shots_per_circuit=5), new_model(seed=3)
        one, same = (asyncio.run(QuantumTrainer(config).validate(model, BATCHES)) for _ in range(2))
        assert one == same
        batches = [batch for batch in BATCHES for _ in range(2)]  # equal batches have draws of their own
        backend = Watched()
        asyncio.run(QuantumTrainer(config).validate(new_model(backend, seed=3), batches))
        draws = np.concatenate([job.draws for job in backend.jobs if job.draws is not None])
        assert len(set(draws.tolist())) == len(draws) == 24

    def test_an_epoch_whose_validation_was_interrupted_is_still_in_the_metrics(self, tmp_path: Path) -> None:
        config = settings(run_directory=tmp_path, gradient_method="spsa")
        broken = new_model(Watched(stop_at=3 + 1))  # three steps, then the first batch of validation
        with pytest.raises(KeyboardInterrupt):
            asyncio.run(QuantumTrainer(config).train(broken, loader(), val_loader=BATCHES))
        model = new_model()
        asyncio.run(QuantumTrainer(config).train(model, loader(), val_loader=BATCHES, resume=True))
        assert [line["epoch"] for line in lines(tmp_path, "epoch")] == [1, 2, 3]
        steps = [line for line in lines(tmp_path, "step") if line["epoch"] == 1]
        mean = np.average([line["loss"] for line in steps], weights=[line["samples"] for line in steps])
        assert lines(tmp_path, "epoch")[0]["loss"] == pytest.approx(mean)
        assert all(line["val_loss"] is not None for line in lines(tmp_path, "epoch"))
        np.testing.assert_array_equal(model.parameters, trained(settings(gradient_method="spsa")).parameters)


class TestMetrics:
    @pytest.mark.parametrize("method", ["spsa", "parameter_shift", "finite_difference"])
    def test_their_lines_add_up_to_the_trackers_totals_and_to_what_the_backend_saw(
        self, tmp_path: Path, method: str
    ) -> None:
        backend = Watched()
        trainer = QuantumTrainer(settings(gradient_method=method, shots_per_circuit=20, run_directory=tmp_path))
        history = asyncio.run(trainer.train(new_model(backend), loader(), val_loader=BATCHES))
        steps, epochs = lines(tmp_path, "step"), lines(tmp_path, "epoch")
        statistics = trainer.performance_tracker.get_statistics()
        seen = {
            "circuits": sum(job.n_circuits for job in backend.jobs),
            "shots": sum(job.n_shots for job in backend.jobs),
            "jobs": len(backend.jobs),
        }
        for name, total in seen.items():
            assert statistics[f"total_{name}"] == total
            assert sum(line[name] for line in epochs) == total
            assert sum(getattr(metrics, name) for metrics in history) == total
        validated = 3 * len(X)
        assert sum(line["circuits"] for line in steps) == seen["circuits"] - validated
        assert sum(line["shots"] for line in steps) == seen["shots"] - validated * 20
        assert [line["step"] for line in steps] == list(range(1, 10)) == list(range(1, statistics["total_batches"] + 1))
        assert [line["epoch"] for line in steps] == [1] * 3 + [2] * 3 + [3] * 3
        assert {line["method"] for line in steps} == {method}
        assert steps[-1]["loss"] == statistics["final_loss"]

    def test_an_epochs_loss_is_weighted_by_samples(self, tmp_path: Path) -> None:
        (history,) = asyncio.run(QuantumTrainer(settings(run_directory=tmp_path, epochs=1)).train(new_model(), BATCHES))
        steps = lines(tmp_path, "step")
        assert history.loss == pytest.approx(np.average([line["loss"] for line in steps], weights=[5, 5, 2]))
        assert history.gradient_norm == pytest.approx(np.mean([line["gradient_norm"] for line in steps]))
        (line,) = lines(tmp_path, "epoch")
        assert (line["loss"], line["step"], line["val_loss"]) == (history.loss, 3, None)

    def test_what_a_run_cost_includes_earlier_processes(self, tmp_path: Path) -> None:
        config = settings(run_directory=tmp_path, gradient_method="spsa", shots_per_circuit=20)
        trained(replace(config, epochs=1))
        trainer = QuantumTrainer(config)
        asyncio.run(trainer.train(new_model(), loader(), resume=True))
        assert trainer.spent.circuits == 3 * 2 * len(X)
        assert trainer.performance_tracker.total.circuits == 2 * 2 * len(X)
        assert load_checkpoint(tmp_path / "checkpoint.npz").spent == trainer.spent

    def test_a_run_begun_where_a_checkpoint_was_removed_has_only_its_own_lines(self, tmp_path: Path) -> None:
        trained(settings(run_directory=tmp_path))
        (tmp_path / "checkpoint.npz").unlink()
        trained(settings(run_directory=tmp_path, epochs=1))
        assert [line["step"] for line in lines(tmp_path, "step")] == [1, 2, 3]

    def test_they_go_to_the_log_every_so_many_steps(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO, logger="qstore"):
            trained(settings(log_interval=4))
        assert [record.getMessage().split(":")[0] for record in caplog.records] == ["step 4", "step 8"]

    def test_a_bar_shows_them_when_asked_for(self, capsys: pytest.CaptureFixture[str]) -> None:
        config = settings(gradient_method="spsa", shots_per_circuit=20)
        asyncio.run(QuantumTrainer(config, progress=True).train(new_model(), loader()))
        shown = capsys.readouterr().err
        assert "72 circuits, 1,440 shots, $0.00" in shown
        assert "9/9 [" in shown
        trained(settings())
        assert capsys.readouterr().err == ""

    @pytest.mark.parametrize(("shots", "known"), [(None, True), (20, False)], ids=["exact", "sampled"])
    def test_a_bar_has_an_end_where_steps_are_the_loaders_batches(
        self, capsys: pytest.CaptureFixture[str], shots: int | None, known: bool
    ) -> None:
        trainer = QuantumTrainer(settings(shots_per_circuit=shots), progress=True)
        asyncio.run(trainer.train(new_model(), loader()))
        steps = trainer.performance_tracker.get_statistics()["total_batches"]
        last = capsys.readouterr().err.rstrip().split("\r")[-1]
        assert f"{steps}/9 [" in last if known else f"{steps}step [" in last


class TestRunDirectory:
    def test_it_holds_config_metrics_and_checkpoint(self, tmp_path: Path) -> None:
        model = trained(settings(run_directory=tmp_path, quantum_api_key=None))
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "checkpoint.npz",
            "config.json",
            "metrics.jsonl",
            "run.lock",
        ]
        config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
        assert (config["seed"], config["backend"], config["epochs"]) == (5, "mock", 3)
        assert config["model"] == model.fingerprint
        checkpoint = load_checkpoint(tmp_path / "checkpoint.npz")
        assert (checkpoint.step, checkpoint.epoch, checkpoint.settings["loss"]) == (9, 3, "cross_entropy")
        np.testing.assert_array_equal(checkpoint.parameters, model.parameters)

    @pytest.mark.parametrize(("interval", "saved"), [(1, [0, 3, 6, 9, 12, 15]), (2, [0, 6, 12, 15]), (10, [0, 15])])
    def test_checkpoints_come_every_so_many_epochs_and_at_the_end(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interval: int, saved: list[int]
    ) -> None:
        steps = []
        save = RunDirectory.save

        def noted(self: RunDirectory, checkpoint: Checkpoint) -> None:
            steps.append(checkpoint.step)
            save(self, checkpoint)

        monkeypatch.setattr(RunDirectory, "save", noted)
        trained(settings(run_directory=tmp_path, checkpoint_interval=interval, epochs=5))
        assert steps == saved

    def test_only_one_may_write_to_it_at_a_time(self, tmp_path: Path) -> None:
        backend = Watched()
        with (
            RunDirectory(tmp_path).locked(),
            pytest.raises(RunDirectoryError, match="another process is writing to the run in"),
        ):
            trained(settings(run_directory=tmp_path), backend=backend)
        assert backend.jobs == []
        trained(settings(run_directory=tmp_path))

    def test_lines_of_steps_and_epochs_that_will_be_done_again_are_dropped(self, tmp_path: Path) -> None:
        directory = RunDirectory(tmp_path)
        for line in (
            {"kind": "step", "step": 3},
            {"kind": "epoch", "step": 3, "epoch": 1},
            {"kind": "step", "step": 4},
        ):
            directory.append_metrics(line)
        with directory.metrics_path.open("a", encoding="utf-8") as stream:
            stream.write('{"kind": "st')  # the process died here
        assert [line["epoch"] for line in directory.epochs()] == [1]
        directory.drop_metrics_after(3, 1)
        assert [line["kind"] for line in map(json.loads, directory.metrics_path.read_text("utf-8").splitlines())] == [
            "step",
            "epoch",
        ]
        directory.drop_metrics_after(3, 0)  # the epoch's last step is done, its validation is not
        assert lines(tmp_path, "epoch") == []
        assert len(lines(tmp_path, "step")) == 1

    def test_without_one_nothing_is_written(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        trained(settings())
        assert list(tmp_path.iterdir()) == []

    def test_the_last_epochs_scale_of_the_loss_is_kept(self, tmp_path: Path) -> None:
        trained(settings(run_directory=tmp_path))
        scale = load_checkpoint(tmp_path / "checkpoint.npz").loss_parameters
        assert scale.shape == (1,)
        assert scale[0] != 4.0


class TestPerformanceLog:
    def test_a_summary_is_written_at_the_end(self, tmp_path: Path) -> None:
        trainer = QuantumTrainer(settings(performance_log_dir=tmp_path / "logs"))
        asyncio.run(trainer.train(new_model(), loader()))
        document = json.loads((tmp_path / "logs" / "performance.json").read_text(encoding="utf-8"))
        assert document["statistics"] == trainer.performance_tracker.get_statistics()
        assert len(document["convergence"]["loss"]) == 9
        assert {"execute", "plan", "fold", "optimise", "compile"} == {
            entry["phase"] for entry in document["bottlenecks"]
        }

    def test_it_can_be_left_out(self, tmp_path: Path) -> None:
        trained(settings(performance_log_dir=tmp_path / "logs", enable_performance_tracking=False))
        assert not (tmp_path / "logs").exists()

    def test_a_place_that_cannot_be_written_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(RunDirectoryError, match=r"cannot write performance_log_dir .*file.logs: Not a directory"):
            trained(settings(performance_log_dir=tmp_path / "file" / "logs"))


class TestLoss:
    def test_a_function_is_followed(self) -> None:
        own = trained(settings(loss=lambda outputs, targets: float(np.mean((outputs - targets) ** 2))))
        np.testing.assert_allclose(own.parameters, trained(settings(loss="mse")).parameters, rtol=0, atol=1e-6)

    def test_float_targets_use_the_mean_squared_error(self, tmp_path: Path) -> None:
        targets = np.where(Y[:, None] == [0, 1], 1.0, -1.0)
        by_floats = trained(settings(run_directory=tmp_path), ArrayLoader(X, targets, batch_size=5))
        assert load_checkpoint(tmp_path / "checkpoint.npz").settings["loss"] == "mse"
        np.testing.assert_array_equal(by_floats.parameters, trained(settings(loss="mse")).parameters)

    def test_a_function_that_fails_stops_with_a_checkpoint(self, tmp_path: Path) -> None:
        calls = []

        def flaky(outputs: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
            calls.append(1)
            return float("nan") if len(calls) > 60 else float(np.mean(outputs - targets))

        with pytest.raises(ConfigurationError, match="the loss function returned nan"):
            trained(settings(loss=flaky, run_directory=tmp_path))
        assert load_checkpoint(tmp_path / "checkpoint.npz").step == len(lines(tmp_path, "step")) > 0


class TestSteps:
    def test_frozen_parameters_stay_to_the_last_bit(self) -> None:
        for optimizer in OPTIMIZERS:
            model = new_model(seed=1)
            before = model.parameters
            model.freeze_parameters([0, 2])
            asyncio.run(QuantumTrainer(settings(optimizer=optimizer, weight_decay=0.1)).train(model, loader()))
            assert (model.parameters == before).tolist() == [True, False, True, False]

    def test_decay_shrinks_the_parameters_but_not_the_scale_of_the_loss(self, tmp_path: Path) -> None:
        scales = []
        for decay in (0.0, 0.5):
            model = new_model(seed=1)
            model.freeze_parameters(range(model.n_parameters))
            config = settings(optimizer="sgd", weight_decay=decay, run_directory=tmp_path / str(decay))
            asyncio.run(QuantumTrainer(config).train(model, loader()))
            scales.append(load_checkpoint(tmp_path / str(decay) / "checkpoint.npz").loss_parameters.tolist())
        assert scales[0] == scales[1] != [4.0]
        loose, tight = (trained(settings(weight_decay=decay)).parameters for decay in (0.0, 2.0))
        assert np.linalg.norm(tight) < np.linalg.norm(loose)

    def test_gradients_are_clipped_unless_told_otherwise(self) -> None:
        config = settings(
            epochs=1, optimizer="sgd", learning_rate=0.01, loss=lambda outputs, targets: float(100 * np.mean(outputs))
        )
        moves = []
        for changes in ({}, {"gradient_clip_value": 0.5}, {"use_gradient_clipping": False}):
            model = new_model(seed=1)
            before = model.parameters
            asyncio.run(QuantumTrainer(replace(config, **changes)).train(model, [(X, Y)]))
            moves.append(np.linalg.norm(model.parameters - before))
        assert moves[0] == pytest.approx(0.01)
        assert moves[1] == pytest.approx(0.005)
        assert moves[2] > 0.02

    @pytest.mark.parametrize(
        ("method", "shots"),
        [
            ("adaptive", None),
            ("adaptive", 100),
            ("spsa", None),
            ("spsa_parallel", 100),
            ("spsa_subsampled", None),
            ("parameter_shift", None),
            ("parameter_shift", 100),
            ("finite_difference", None),
            ("finite_difference", 100),
            ("adjoint", None),
        ],
    )
    def test_every_method_brings_the_loss_down(self, method: str, shots: int | None) -> None:
        config = settings(gradient_method=method, shots_per_circuit=shots, epochs=12)
        exact, model = QuantumTrainer(settings()), new_model(seed=1)
        before = exact.evaluate(model, X, Y)
        QuantumTrainer(config).fit(model, X, Y)
        after = exact.evaluate(model, X, Y)
        assert after["loss"] < before["loss"] - 0.05

    def test_spsa_parallel_is_spsa(self) -> None:
        np.testing.assert_array_equal(
            trained(settings(gradient_method="spsa_parallel")).parameters,
            trained(settings(gradient_method="spsa")).parameters,
        )

    def test_the_settings_of_spsa_reach_it(self, tmp_path: Path) -> None:
        config = settings(
            gradient_method="spsa_subsampled", gradient_subsample_size=2, spsa_c_initial=0.3, run_directory=tmp_path
        )
        trained(config)
        assert {(line["c"], line["samples"], line["circuits"]) for line in lines(tmp_path, "step")} == {(0.3, 2, 4)}

    def test_compiled_circuits_are_kept_unless_told_otherwise(self) -> None:
        for enabled, compiled in ((True, 1), (False, 9)):
            backend = Watched()
            trained(settings(gradient_method="spsa", enable_circuit_cache=enabled), backend=backend)
            assert backend.compiled == compiled

    def test_every_circuit_can_have_a_job_of_its_own(self) -> None:
        backend = Watched()
        trained(settings(gradient_method="spsa", enable_batch_execution=False), backend=backend)
        assert {job.n_circuits for job in backend.jobs} == {1}
        assert len(backend.jobs) == 3 * 2 * len(X)

    def test_a_circuit_without_parameters_trains_the_scale_alone(self, tmp_path: Path) -> None:
        model = new_model(ansatz=QuantumCircuit(2).cnot(0, 1), backend=get_backend("mock"))
        asyncio.run(QuantumTrainer(settings(run_directory=tmp_path)).train(model, loader()))
        assert load_checkpoint(tmp_path / "checkpoint.npz").loss_parameters[0] != 4.0


class Lab(Watched):
    """What the name `lab` stands for; takes a key as a provider would."""

    def __init__(self, api_key: str = "", target: str = "") -> None:
        super().__init__()
        self.fingerprint = f"lab({target})"
        self.api_key, self.target = api_key, target


class TestBackends:
    @pytest.fixture
    def installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Only the backends `lab` and `ionq.qpu` are installed, beside what was made before."""

        class LabPlugin:
            @hookimpl
            def register_backends(self, register: Register) -> None:
                register("lab", f"{__name__}:Lab")

        class QPUPlugin:
            @hookimpl
            def register_backends(self, register: Register) -> None:
                register("ionq.qpu", f"{__name__}:Lab")

        inner = get_backend("mock")
        alone = Registry(lambda: ())
        alone.register(LabPlugin(), name="lab")
        alone.register(QPUPlugin(), name="ionq")
        monkeypatch.setattr(registry, "_default", alone)
        monkeypatch.setattr(f"{__name__}.get_backend", lambda name: inner)

    def test_the_models_own_comes_first(self) -> None:
        own, default = Watched(), Watched()
        manager = BackendManager()
        manager.register_backend("default", default)
        asyncio.run(QuantumTrainer(settings(quantum_sdk="no.such"), manager).train(new_model(own), loader()))
        assert own.jobs
        assert not default.jobs

    def test_then_the_managers_default(self) -> None:
        first, default = Watched(), Watched()
        manager = BackendManager()
        manager.register_backend("first", first)
        manager.register_backend("second", default)
        manager.set_default_backend("second")
        model = new_model()
        asyncio.run(QuantumTrainer(settings(quantum_sdk="no.such"), manager).train(model, loader()))
        assert default.jobs
        assert not first.jobs
        assert model.backend is default

    @pytest.mark.usefixtures("installed")
    def test_then_the_configurations_which_is_opened(self, tmp_path: Path) -> None:
        model = new_model()
        config = settings(quantum_sdk="lab", quantum_api_key="hush", run_directory=tmp_path)
        asyncio.run(QuantumTrainer(config, BackendManager()).train(model, loader()))
        assert isinstance(model.backend, Lab)
        assert (model.backend.api_key, model.backend.events) == ("hush", ["open"])
        assert not any(b"hush" in path.read_bytes() for path in tmp_path.iterdir())

    @pytest.mark.usefixtures("installed")
    def test_a_target_reaches_the_backend_that_it_means(self) -> None:
        model = new_model()
        config = settings(quantum_sdk="ionq", quantum_target="qpu.forte-1")
        asyncio.run(QuantumTrainer(config).train(model, loader()))
        assert isinstance(model.backend, Lab)
        assert model.backend.target == "qpu.forte-1"

    def test_a_sampling_only_backend_needs_shots(self, tmp_path: Path) -> None:
        backend = Watched(exact=False, adjoint=False)
        with pytest.raises(CapabilityError, match="'mock' only samples: set shots_per_circuit to a number instead"):
            trained(settings(run_directory=tmp_path / "run"), backend=backend)
        assert backend.jobs == []
        assert not (tmp_path / "run").exists()
        trained(settings(gradient_method="spsa", shots_per_circuit=20), backend=backend)
        assert len(backend.jobs) == 9

    @pytest.mark.parametrize(
        ("options", "shots", "message"),
        [({}, 20, "'adjoint' is exact"), ({"adjoint": False}, None, "'adjoint' needs a noiseless simulator")],
        ids=["shots", "noise"],
    )
    def test_adjoint_is_refused_before_anything_is_written(
        self, tmp_path: Path, options: dict[str, Any], shots: int | None, message: str
    ) -> None:
        config = settings(gradient_method="adjoint", shots_per_circuit=shots, run_directory=tmp_path / "run")
        with pytest.raises(CapabilityError, match=message):
            trained(config, backend=Watched(**options))
        assert not (tmp_path / "run").exists()


def test_a_parameter_without_influence_keeps_its_value() -> None:
    circuit = QuantumCircuit(2).ry(0, Parameter("a")).rz(0, Parameter("b"))  # the last RZ is dead under Z
    model = new_model(ansatz=circuit, seed=1)
    before = model.parameters
    asyncio.run(QuantumTrainer(settings(gradient_method="parameter_shift")).train(model, loader()))
    assert abs(model.parameters - before)[1] < 1e-9 < abs(model.parameters - before)[0]


class TestBatchManager:
    def test_it_runs_circuits_on_the_backend_of_the_run(self) -> None:
        trainer = QuantumTrainer(settings(), progress=False)
        with pytest.raises(ConfigurationError, match="batch_manager belongs to a run: train first"):
            _ = trainer.batch_manager
        model = new_model()
        asyncio.run(trainer.train(model, loader()))
        before = trainer.spent
        manager = trainer.batch_manager
        assert manager is trainer.batch_manager
        (result,) = asyncio.run(manager.execute_batch([QuantumCircuit(2).x(0)], shots=10))
        assert result.counts == {"10": 10}
        assert (trainer.spent - before).circuits == 1
