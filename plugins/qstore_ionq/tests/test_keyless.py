"""Prices without a key: nothing is asked of the service, so no account is needed."""

from __future__ import annotations

import asyncio

import pytest
from click.testing import CliRunner

from qstore_core import ConfigurationError, QuantumModel, QuantumTrainer, RemoteBackend, TrainingConfig, get_backend
from qstore_core.cli import main


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IONQ_API_KEY", raising=False)


def test_estimate_needs_no_key_and_train_does() -> None:
    command = ["iris", "--qubits", "4", "--shots", "20", "--backend", "ionq.qpu", "--epochs", "1"]
    estimated = CliRunner().invoke(main, ["estimate", *command])
    assert estimated.exit_code == 0, estimated.stderr
    assert "steps wait for their jobs, one after another: " in estimated.stdout
    assert "103.16" in estimated.stdout  # four circuits at the least price, on the dearer reading
    trained = CliRunner().invoke(main, ["train", *command, "--budget", "usd=900"])
    assert trained.exit_code == 2
    assert "IonQ needs an API key" in trained.stderr


def test_without_a_key_prices_are_those_with_one() -> None:
    config = TrainingConfig(gradient_method="spsa", shots_per_circuit=100, epochs=1)
    prices = [
        QuantumTrainer(config).estimate_cost(QuantumModel(2, 2, 2, get_backend("ionq.qpu", **options)), 32).total
        for options in ({"keyless": True}, {"api_key": "secret"})
    ]
    assert prices[0] == prices[1]
    assert prices[0].usd_low > 0


@pytest.mark.parametrize("name", ["ionq", "ionq.simulator", "ionq.qpu"])
def test_without_a_key_every_request_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = get_backend(name, keyless=True)
    assert isinstance(backend, RemoteBackend)
    assert backend.account.endswith("#keyless")
    monkeypatch.setenv("IONQ_API_KEY", "secret")  # too late: it was asked to do without
    with pytest.raises(ConfigurationError, match="IonQ needs an API key"):
        asyncio.run(backend.status("job"))
