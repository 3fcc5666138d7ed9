"""Training is repeatable and, wherever it was cut short, resumable to the last bit."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_backends import Watched
from run_files import lines, state_without_cost
from training_runs import BATCHES, OPTIMIZERS, Stopped, Stopping, X, Y, loader, new_model, settings, trained

from qstore_core.backend import Backend
from qstore_core.checkpoint import load_checkpoint, save_checkpoint
from qstore_core.cost import Cost
from qstore_core.errors import CheckpointError, ConfigurationError
from qstore_core.manager import BackendManager
from qstore_core.trainer import QuantumTrainer

METHODS = ["spsa", "parameter_shift", "adjoint"]


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
        assert state_without_cost(tmp_path / "parts") == state_without_cost(tmp_path / "whole")

    @pytest.mark.parametrize("stop", [KeyboardInterrupt(), asyncio.CancelledError(), MemoryError()], ids=repr)
    @pytest.mark.parametrize("steps", [0, 1, 4, 8])
    def test_after_an_interruption_within_an_epoch(
        self, tmp_path: Path, method: str, optimizer: str, stop: BaseException, steps: int
    ) -> None:
        self.run(tmp_path / "whole", method, optimizer)
        jobs_a_step = 2 if method == "adjoint" else 1
        broken = Stopped(stop_at=steps * jobs_a_step + 1, stop=stop)
        with pytest.raises(type(stop)):
            self.run(tmp_path / "parts", method, optimizer, backend=broken)
        kept = load_checkpoint(tmp_path / "parts" / "checkpoint.npz")
        samples = (0, 5, 10)[steps % 3]
        assert (kept.step, kept.epoch, kept.samples_done) == (steps, steps // 3, samples)
        self.run(tmp_path / "parts", method, optimizer, resume=True)
        assert state_without_cost(tmp_path / "parts") == state_without_cost(tmp_path / "whole")
        assert [line["step"] for line in lines(tmp_path / "parts", "step")] == list(range(1, 10))
        assert [line["epoch"] for line in lines(tmp_path / "parts", "epoch")] == [1, 2, 3]


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
    assert state_without_cost(tmp_path / "parts") == state_without_cost(tmp_path / "whole")
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
        assert state_without_cost(tmp_path / "parts") == state_without_cost(tmp_path / "whole")

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
        trainer, model = QuantumTrainer(config), new_model(Stopped(stop_at=5))
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
    before = state_without_cost(tmp_path), (tmp_path / "config.json").read_bytes()
    model = new_model(seed=1)
    parameters = model.parameters
    with pytest.raises(CheckpointError, match=message):
        asyncio.run(QuantumTrainer(settings(run_directory=tmp_path, **change)).train(model, loader(), resume=True))
    assert (state_without_cost(tmp_path), (tmp_path / "config.json").read_bytes()) == before
    np.testing.assert_array_equal(model.parameters, parameters)


def powered(power: float) -> Any:
    return lambda outputs, targets: float(np.mean(np.abs(outputs - targets) ** power))


class TestLossFunctions:
    def test_a_run_goes_on_with_the_same_function_made_anew(self, tmp_path: Path) -> None:
        trained(settings(epochs=1, run_directory=tmp_path, loss=powered(2)))
        config = settings(epochs=2, run_directory=tmp_path, loss=powered(2))
        assert len(asyncio.run(QuantumTrainer(config).train(new_model(), loader(), resume=True))) == 2

    @pytest.mark.parametrize("other", [powered(4), lambda o, t: float(np.mean(o - t))], ids=["held", "code"])
    def test_a_run_does_not_go_on_with_another(self, tmp_path: Path, other: Any) -> None:
        trained(settings(epochs=1, run_directory=tmp_path, loss=powered(2)))
        before = state_without_cost(tmp_path)
        with pytest.raises(
            CheckpointError, match=r"with the loss function powered.<locals>.<lambda> \(\w{8}\), not .*its code"
        ):
            asyncio.run(
                QuantumTrainer(settings(run_directory=tmp_path, loss=other)).train(new_model(), loader(), resume=True)
            )
        assert state_without_cost(tmp_path) == before

    @pytest.mark.parametrize("python", ["cpython-310", None], ids=["another Python", "a checkpoint without"])
    def test_what_cannot_be_told_is_let_through(
        self, tmp_path: Path, python: str | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        trained(settings(epochs=1, run_directory=tmp_path, loss=powered(2)))
        path = tmp_path / "checkpoint.npz"
        state = load_checkpoint(path)
        kept = dict(state.settings)
        loss = kept.pop("loss_function")
        save_checkpoint(
            replace(state, settings=kept if python is None else {**kept, "loss_function": loss | {"python": python}}),
            path,
        )
        config = settings(epochs=2, run_directory=tmp_path, loss=powered(4))
        assert len(asyncio.run(QuantumTrainer(config).train(new_model(), loader(), resume=True))) == 2
        assert ("whether it is the same cannot be told" in caplog.text) == (python is not None)
