"""Misspelt keyword arguments, told with the nearest that there is."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from qstore_core import (
    AdaptiveGradientEstimator,
    ArrayLoader,
    BackendCapabilities,
    Budget,
    ConfigurationError,
    ParameterShiftGradientEstimator,
    QuantumModel,
    QuantumTrainer,
    SPSAGradientEstimator,
    TrainingConfig,
    UnknownArgumentError,
    get_backend,
    train_test_split,
)
from qstore_core.layers import QuantumLayer

X, Y = [[0.0, 1.0], [1.0, 0.0]], [0, 1]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: TrainingConfig(learning_rte=0.1), "of TrainingConfig 'learning_rte'; did you mean 'learning_rate'?"),  # type: ignore[call-arg]
        (lambda: replace(TrainingConfig(), epoch=3), "of TrainingConfig 'epoch'; did you mean 'epochs'?"),  # type: ignore[call-arg]
        (lambda: QuantumModel(2, 2, 1, dept=3), "of QuantumModel 'dept'; did you mean 'depth'?"),  # type: ignore[call-arg]
        (
            lambda: QuantumModel.from_config(TrainingConfig(n_qubits=2), 2, 1, dept=3),  # type: ignore[call-arg]
            "of QuantumModel.from_config 'dept'; Known: backend, config, input_dim, output_dim",
        ),
        (lambda: Budget(dollars=5.0), "of Budget 'dollars'; Known: circuits, jobs, seconds, shots, usd"),  # type: ignore[call-arg]
        (
            lambda: BackendCapabilities(max_qubit=3),  # type: ignore[call-arg]
            "of BackendCapabilities 'max_qubit'; did you mean 'max_qubits'?",
        ),
        (lambda: QuantumTrainer(progres=False), "of QuantumTrainer 'progres'; did you mean 'progress'?"),  # type: ignore[call-arg]
        (
            lambda: QuantumTrainer().fit(QuantumModel(2, 2, 2), X, Y, validate=(X, Y)),  # type: ignore[call-arg]
            "of QuantumTrainer.fit 'validate'; did you mean 'validation'?",
        ),
        (lambda: QuantumLayer(2, 1, dpth=2), "of QuantumLayer 'dpth'; did you mean 'depth'?"),  # type: ignore[call-arg]
        (
            lambda: SPSAGradientEstimator(get_backend("mock"), c_initial=0.1),  # type: ignore[call-arg]
            "of SPSAGradientEstimator 'c_initial'; Known: a, alpha, backend, budget, c, cache,",
        ),
        (
            lambda: AdaptiveGradientEstimator(get_backend("mock"), observable="Z0"),  # type: ignore[call-arg]
            "of AdaptiveGradientEstimator 'observable'; did you mean 'observables'?",
        ),
        (
            lambda: ParameterShiftGradientEstimator(get_backend("mock"), coordinate=1),  # type: ignore[call-arg]
            "of ParameterShiftGradientEstimator 'coordinate'; did you mean 'coordinates'?",
        ),
        (
            lambda: train_test_split(X, Y, test_size=0.2),  # type: ignore[call-arg]
            "of train_test_split 'test_size'; Known: seed, test_fraction, x, y",
        ),
        (lambda: ArrayLoader(X, Y, batchsize=2), "of ArrayLoader 'batchsize'; did you mean 'batch_size'?"),  # type: ignore[call-arg]
        (lambda: QuantumTrainer().train(QuantumModel(2, 2, 2), [], epoch=1), "'epoch'; did you mean 'epochs'?"),  # type: ignore[call-arg]
    ],
)
def test_a_misspelt_argument_is_told_the_nearest(call: Callable[[], Any], told: str) -> None:
    with pytest.raises(UnknownArgumentError) as caught:
        call()

    assert told in str(caught.value)
    assert isinstance(caught.value, ConfigurationError)
    assert isinstance(caught.value, TypeError)


def test_a_facade_takes_what_its_executor_takes() -> None:
    estimator = SPSAGradientEstimator(get_backend("mock"), budget=Budget(circuits=7), max_concurrent_jobs=2)
    assert estimator.executor.account.remaining == Budget(circuits=7)


def test_every_setting_is_listed() -> None:
    with pytest.raises(UnknownArgumentError, match=r"Known: batch_size, batch_timeout, budget, .* weight_decay"):
        TrainingConfig(colour="red")  # type: ignore[call-arg]


def test_a_checked_class_keeps_its_signature_and_its_values() -> None:
    config = TrainingConfig(seed=3, epochs=2)

    assert "learning_rate" in inspect.signature(TrainingConfig).parameters
    assert pickle.loads(pickle.dumps(config)) == config == replace(config)
