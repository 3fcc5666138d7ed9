"""Training with methods that choose the samples of a step: each once an epoch, and resumable within a batch."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_backends import Watched
from run_files import state_of, steps_of

from qstore_core import registry
from qstore_core.arrays import FloatArray
from qstore_core.backend import LocalBackend
from qstore_core.batch import CircuitBatch
from qstore_core.checkpoint import load_checkpoint
from qstore_core.config import TrainingConfig
from qstore_core.data import ArrayLoader
from qstore_core.errors import ConfigurationError
from qstore_core.estimators.spsa import SPSA
from qstore_core.hookspecs import Register, hookimpl
from qstore_core.model import QuantumModel
from qstore_core.problem import Problem, Rounds, State
from qstore_core.randomness import StepKey
from qstore_core.registry import Registry, get_backend
from qstore_core.trainer import QuantumTrainer

X = np.random.default_rng(1).normal(size=(12, 2))
Y = (X[:, 0] + 0.3 * X[:, 1] > 0).astype(np.int64)
EPOCHS = 3


class Changing(SPSA):
    """SPSA whose steps take one sample, then two, three and so on, and again one after five."""

    def wanted_samples(self, state: State) -> int | None:
        return 1 + int(state) % 5


class Idle(SPSA):
    """An estimator with a mistake."""

    def wanted_samples(self, state: State) -> int | None:
        return 0


class Alternating:
    """SPSA on three samples, and every third step on a batch of the loader."""

    def start(self, problem: Problem, parameters: FloatArray) -> State:
        return {"steps": 0}

    def wanted_samples(self, state: State) -> int | None:
        return None if state["steps"] % 3 == 2 else 3

    def gradient(self, problem: Problem, parameters: FloatArray, state: State, key: StepKey) -> Rounds:
        result, _ = yield from SPSA().gradient(problem, parameters, 0, key)
        return result, {"steps": state["steps"] + 1}


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The estimators above under their names, beside what is installed."""

    class OwnPlugin:
        @hookimpl
        def register_gradient_estimators(self, register: Register) -> None:
            for name in ("changing", "idle", "alternating"):
                register(f"own.{name}", f"{__name__}:{name.capitalize()}")

    extended = Registry()
    extended.register(OwnPlugin(), name="own")
    monkeypatch.setattr(registry, "_default", extended)


class Stopping(Watched):
    """The simulator, with a note of what it ran; it is interrupted at its n-th job, once."""

    def __init__(self, stop_at: int = 0) -> None:
        super().__init__()
        self.stop_at = stop_at
        self.calls = 0

    def _note(self, batch: CircuitBatch) -> None:
        self.calls += 1
        if self.calls == self.stop_at:
            raise KeyboardInterrupt
        super()._note(batch)


def run(place: Path, backend: LocalBackend | None = None, *, resume: bool = False, **changes: Any) -> QuantumTrainer:
    defaults = {"epochs": EPOCHS, "learning_rate": 0.05, "shots_per_circuit": 30, "seed": 5, "run_directory": place}
    trainer = QuantumTrainer(TrainingConfig(**(defaults | changes)), progress=False)
    model = QuantumModel(2, 2, 2, backend or get_backend("mock"), depth=1)
    asyncio.run(trainer.train(model, ArrayLoader(X, Y, batch_size=7), resume=resume))
    return trainer


def within_a_batch(steps: list[dict[str, Any]]) -> list[int]:
    """How many steps were done where a batch of the loader was begun and not finished."""
    done, found = 0, []
    for number, step in enumerate(steps, start=1):
        done += step["samples"]
        if done % 12 not in (0, 7):
            found.append(number)
    return found


def simplest(step: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in step.items() if name != "seconds"}


METHODS = ["adaptive", "own.changing", "own.alternating"]


@pytest.mark.parametrize("method", METHODS)
def test_every_epoch_has_every_sample_once(tmp_path: Path, method: str) -> None:
    backend = Stopping()
    trainer = run(tmp_path, backend, gradient_method=method)
    steps = steps_of(tmp_path)
    assert [step["step"] for step in steps] == list(range(1, len(steps) + 1))
    for epoch in range(1, EPOCHS + 1):
        assert sum(step["samples"] for step in steps if step["epoch"] == epoch) == len(X)
    assert len(backend.jobs) == len(steps) > 2 * EPOCHS
    place = 0
    for epoch in range(EPOCHS):
        order = np.concatenate([x for x, _ in ArrayLoader(X, Y, batch_size=7).epoch(epoch, 5)])[:, 0]
        seen: list[float] = []
        while len(seen) < len(X):
            batch, samples = backend.jobs[place], steps[place]["samples"]
            assert batch.n_rows % samples == 0
            seen += [float(angle) for angle in batch.angles[:samples, 0]]
            place += 1
        assert seen == order.tolist()
    assert sum(step["circuits"] for step in steps) == trainer.spent.circuits
    assert trainer.spent.circuits == sum(batch.n_circuits for batch in backend.jobs)
    assert sum(step["shots"] for step in steps) == trainer.spent.shots
    assert trainer.spent.shots == sum(batch.n_shots for batch in backend.jobs)


def test_steps_have_the_sizes_that_were_chosen(tmp_path: Path) -> None:
    run(tmp_path, gradient_method="own.changing", epochs=2)
    sizes = [step["samples"] for step in steps_of(tmp_path)]
    assert sizes == [1, 2, 3, 4, 2, 1, 2, 3, 4, 2]  # what is left of an epoch is its last step


def test_a_batch_of_the_loader_is_what_is_left_of_it(tmp_path: Path) -> None:
    run(tmp_path, gradient_method="own.alternating", epochs=1)
    assert [step["samples"] for step in steps_of(tmp_path)] == [3, 3, 1, 3, 2]


def test_no_samples_are_no_step(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="wanted_samples is a whole number of at least 1, not 0"):
        run(tmp_path, gradient_method="own.idle")


@pytest.mark.parametrize("method", METHODS)
class TestResuming:
    @pytest.mark.parametrize("place", [0.0, 0.3, 0.6, 1.0])
    def test_within_a_batch_of_the_loader_it_goes_on_to_the_last_bit(
        self, tmp_path: Path, method: str, place: float
    ) -> None:
        run(tmp_path / "whole", gradient_method=method)
        steps = steps_of(tmp_path / "whole")
        candidates = within_a_batch(steps)
        done = candidates[round(place * (len(candidates) - 1))]
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "parts", Stopping(stop_at=done + 1), gradient_method=method)
        kept = load_checkpoint(tmp_path / "parts" / "checkpoint.npz")
        assert kept.step == done
        assert kept.samples_done == sum(step["samples"] for step in steps[:done]) % len(X)
        assert kept.samples_done not in (0, 7)
        run(tmp_path / "parts", gradient_method=method, resume=True)
        assert state_of(tmp_path / "parts") == state_of(tmp_path / "whole")
        assert list(map(simplest, steps_of(tmp_path / "parts"))) == list(map(simplest, steps))

    def test_before_the_first_step_and_after_each_epoch_too(self, tmp_path: Path, method: str) -> None:
        run(tmp_path / "whole", gradient_method=method)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "parts", Stopping(stop_at=1), gradient_method=method)
        for epochs in range(1, EPOCHS + 1):
            run(tmp_path / "parts", gradient_method=method, epochs=epochs, resume=True)
        assert state_of(tmp_path / "parts") == state_of(tmp_path / "whole")

    def test_as_often_as_it_is_interrupted(self, tmp_path: Path, method: str) -> None:
        """Every process does two steps; the last one finds nothing left to do."""
        run(tmp_path / "whole", gradient_method=method)
        interruptions = 0
        while True:
            try:
                run(tmp_path / "parts", Stopping(stop_at=3), gradient_method=method, resume=True)
            except KeyboardInterrupt:
                interruptions += 1
            else:
                break
        assert interruptions == (len(steps_of(tmp_path / "whole")) - 1) // 2
        assert state_of(tmp_path / "parts") == state_of(tmp_path / "whole")


@pytest.mark.parametrize("done", [0, 1, 4])
def test_exact_steps_of_the_default_method_are_the_loaders_batches_and_go_on_too(tmp_path: Path, done: int) -> None:
    run(tmp_path / "whole", shots_per_circuit=None)
    assert len(steps_of(tmp_path / "whole")) == 2 * EPOCHS
    with pytest.raises(KeyboardInterrupt):
        run(
            tmp_path / "parts", Stopping(stop_at=2 * done + 2), shots_per_circuit=None
        )  # between the two passes of a step
    kept = load_checkpoint(tmp_path / "parts" / "checkpoint.npz")
    assert (kept.step, kept.samples_done) == (done, (0, 7)[done % 2])
    run(tmp_path / "parts", shots_per_circuit=None, resume=True)
    parts, whole = state_of(tmp_path / "parts"), state_of(tmp_path / "whole")
    assert parts.pop("spent") == whole.pop("spent")  # what was interrupted on this machine costs nothing
    assert parts == whole


PROGRAM = """
import asyncio, os, sys
import numpy as np
from qstore_core import ArrayLoader, QuantumModel, QuantumTrainer, TrainingConfig, get_backend

directory, stop_at, way = sys.argv[1], int(sys.argv[2]), sys.argv[3]
x = np.random.default_rng(1).normal(size=(12, 2))
backend = get_backend("mock")
inner, jobs = backend.execute, 0

async def execute(batch, compiled):
    global jobs
    jobs += 1
    if jobs == stop_at:
        if way == "kill":
            os._exit(9)  # as kill -9: nothing is cleaned up
        raise KeyboardInterrupt
    return await inner(batch, compiled)

backend.execute = execute
config = TrainingConfig(epochs=4, learning_rate=0.05, shots_per_circuit=30, seed=5, run_directory=directory)
model = QuantumModel(2, 2, 2, backend, depth=1)
loader = ArrayLoader(x, (x[:, 0] > 0).astype(int), batch_size=7)
try:
    asyncio.run(QuantumTrainer(config, progress=False).train(model, loader, resume=True))
except KeyboardInterrupt:
    sys.exit(9)
"""


@pytest.mark.parametrize("way", ["kill", "interrupt"])
def test_another_process_goes_on_with_the_default_method_to_the_last_bit(tmp_path: Path, way: str) -> None:
    def start(place: str, stop_at: int) -> int:
        command = [sys.executable, "-c", PROGRAM, str(tmp_path / place), str(stop_at), way]
        return subprocess.run(command, timeout=60, check=False).returncode

    assert start("whole", 0) == 0
    steps = steps_of(tmp_path / "whole")
    done = next(number for number in within_a_batch(steps) if number > len(steps) / 2)
    assert start("parts", done + 1) == 9
    kept = load_checkpoint(tmp_path / "parts" / "checkpoint.npz")
    assert (kept.samples_done in (0, 7), kept.step == done) == (way == "kill", way == "interrupt")
    assert len(steps_of(tmp_path / "parts")) == done
    assert start("parts", 0) == 0
    assert state_of(tmp_path / "parts") == state_of(tmp_path / "whole")
    assert [step["step"] for step in steps_of(tmp_path / "parts")] == list(range(1, len(steps) + 1))
