"""Small runs of the trainer: data, settings, models, and backends and loaders that stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from fake_backends import Watched

from qstore_core.backend import Backend
from qstore_core.batch import CircuitBatch
from qstore_core.config import TrainingConfig
from qstore_core.data import ArrayLoader
from qstore_core.model import QuantumModel
from qstore_core.trainer import QuantumTrainer
from qstore_core.training import Loader

X = np.random.default_rng(1).normal(size=(12, 2))
Y = (X[:, 0] + 0.3 * X[:, 1] > 0).astype(np.int64)
BATCHES = [(X[:5], Y[:5]), (X[5:10], Y[5:10]), (X[10:], Y[10:])]
OPTIMIZERS = ["adam", "momentum", "sgd"]


class Stopped(Watched):
    """The simulator, which may stop at its n-th job."""

    def __init__(self, *, stop_at: int | None = None, stop: BaseException | None = None) -> None:
        super().__init__()
        self.stop_at, self.stop = stop_at, stop or KeyboardInterrupt()

    def _note(self, batch: CircuitBatch) -> None:
        if len(self.jobs) + 1 == self.stop_at:
            self.stop_at = None
            raise self.stop
        super()._note(batch)


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
