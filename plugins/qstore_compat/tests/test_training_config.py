"""Q-Store's settings and what they mean to qstore."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest
from q_store import QStoreCompatWarning
from q_store.ml import TrainingConfig

from qstore_core import ConfigurationError
from qstore_core import TrainingConfig as CoreConfig


def test_the_defaults_are_those_of_qstore_but_for_the_loss() -> None:
    core = TrainingConfig().to_core()
    assert core == CoreConfig(loss="mse")


def test_settings_may_come_in_q_stores_order() -> None:
    config = TrainingConfig("mock-key", "us-east-1", "index", "mock", None, "simulator", 0.5)
    assert config.learning_rate == 0.5


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("optimizer", "sgd", "momentum"),
        ("optimizer", "natural_gradient", "sgd"),
        ("gradient_method", "finite_diff", "finite_difference"),
        ("quantum_sdk", "cirq", "ionq"),
        ("pinecone_api_key", "mock-key", "mock-key"),
        ("quantum_api_key", "mock-key", None),
        ("enable_circuit_batching", False, None),
    ],
)
def test_old_words_are_translated(name: str, value: Any, meant: Any) -> None:
    core = TrainingConfig(**{name: value}).to_core()
    if name == "enable_circuit_batching":
        assert core.enable_batch_execution is False
    else:
        assert getattr(core, name) == meant


PINECONE = find_spec("qstore_pinecone") is not None


def test_a_mock_key_means_no_store() -> None:
    assert TrainingConfig(pinecone_api_key="mock-key", pinecone_index_name="runs").to_core().store_name is None


@pytest.mark.skipif(not PINECONE, reason="qstore-pinecone is not installed")
def test_a_pinecone_key_means_that_store() -> None:
    assert TrainingConfig(pinecone_api_key="pc-123").to_core().store_name == "pinecone"


@pytest.mark.skipif(PINECONE, reason="qstore-pinecone is installed")
def test_a_real_store_is_not_silently_left_out() -> None:
    with pytest.raises(ConfigurationError, match="pinecone_api_key"):
        TrainingConfig(pinecone_api_key="pc-123")


def test_a_value_is_checked_when_it_is_set_and_the_old_one_kept() -> None:
    config = TrainingConfig()
    with pytest.raises(ConfigurationError, match="learning_rate=-1"):
        config.learning_rate = -1.0
    assert config.learning_rate == 0.01
    with pytest.raises(ConfigurationError, match="did you mean 'learning_rate'"):
        config.learning_rte = 0.1  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError, match="batch_size"):
        TrainingConfig(batch_size=0)


def test_secrets_are_not_shown() -> None:
    config = TrainingConfig("mock-key", quantum_sdk="ionq", quantum_api_key="secret-key")
    assert "key'" not in repr(config)


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_parallel_circuits", 10), ("batch_submission_timeout", 5.0), ("track_gradients", False)],
)
def test_settings_without_use_say_so(name: str, value: Any) -> None:
    with pytest.warns(QStoreCompatWarning, match=rf"TrainingConfig\({name}=...\): is not used"):
        TrainingConfig(**{name: value})


def test_what_natural_gradient_was_is_told() -> None:
    with pytest.warns(QStoreCompatWarning, match="plain gradient descent"):
        TrainingConfig(optimizer="natural_gradient")
