"""How good a model is on given data."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from qstore_core.arrays import FloatArray
from qstore_core.config import TrainingConfig
from qstore_core.data import ArrayLoader
from qstore_core.data_check import check_labelled
from qstore_core.executor import Executor
from qstore_core.losses import is_classes, make_loss
from qstore_core.model import QuantumModel
from qstore_core.randomness import StepKey
from qstore_core.training import Loader, batches_of


async def outputs_of(
    model: QuantumModel, executor: Executor, x: ArrayLike, config: TrainingConfig, key: StepKey
) -> FloatArray:
    """The outputs `(n_samples, output_dim)` for inputs in radians, batch by batch so that a job stays small."""
    inputs = model.check_inputs(x)
    parts = []
    for index, first in enumerate(range(0, len(inputs), config.batch_size)):
        part = StepKey(key.seed, f"{key.stage} {index}", key.step)
        rows = inputs[first : first + config.batch_size]
        parts.append(await model.run(executor, rows, shots=config.shots_per_circuit, key=part, reduce=config.reduce))
    return np.concatenate(parts)


async def evaluate(
    model: QuantumModel,
    executor: Executor,
    loader: Loader,
    config: TrainingConfig,
    key: StepKey,
    loss_parameters: FloatArray | None,
) -> dict[str, float]:
    """The loss over a loader's data, and for class labels the accuracy.

    Args:
        model: The model.
        executor: Where its circuits run.
        loader: The data, inputs in radians.
        config: The loss, the shots and how circuits are reduced.
        key: The randomness; each batch has its own.
        loss_parameters: The loss's trained parameters; None: its initial ones.
    """
    regression = None if loss_parameters is None and not model.regression else model.regression
    if isinstance(loader, ArrayLoader):
        check_labelled(model, loader.x, loader.y, regression=regression)
    outputs, targets, classes = [], [], True
    index = 0
    async for x, y in batches_of(loader, 0, key.seed):
        goal = check_labelled(model, x, y, regression=regression)
        part = StepKey(key.seed, f"{key.stage} {index}", key.step)
        outputs.append(await model.run(executor, x, shots=config.shots_per_circuit, key=part, reduce=config.reduce))
        targets.append(goal)
        classes = classes and is_classes(y)
        index += 1
    found, wanted = np.concatenate(outputs), np.concatenate(targets)
    loss = make_loss(config.loss, labels_are_classes=classes)
    parameters = loss.initial_parameters if loss_parameters is None else loss_parameters
    result = {"loss": loss(found, wanted, parameters).value}
    if classes:
        result["accuracy"] = float(np.mean(model.classes_of(found) == model.classes_of(wanted)))
    return result
