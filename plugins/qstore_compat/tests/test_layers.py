"""Q-Store's layers and model: their shapes, their outputs, and parameters that change in place."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from q_store import QStoreCompatWarning
from q_store.backends import BackendManager
from q_store.ml import (
    HardwareEfficientQuantumLayer,
    LayerConfig,
    QuantumConvolutionalLayer,
    QuantumLayer,
    QuantumModel,
    QuantumPoolingLayer,
)

from qstore_core import ConfigurationError, UnknownNameError

X = np.array([0.1, -0.4, 0.8])
LAYERS = [QuantumLayer, HardwareEfficientQuantumLayer]
every_layer = pytest.mark.parametrize("kind", LAYERS)


def z_values(amplitudes: np.ndarray, n_qubits: int) -> np.ndarray:
    """The expectation value of Z on every qubit."""
    table = (np.abs(amplitudes) ** 2).reshape((2,) * n_qubits)
    halves = [table.sum(axis=tuple(other for other in range(n_qubits) if other != q)) for q in range(n_qubits)]
    return np.array([half[0] - half[1] for half in halves])


@every_layer
def test_a_layer_gives_the_expectation_value_of_every_qubit(kind: Any, manager: BackendManager, state_of: Any) -> None:
    layer = kind(n_qubits=3, depth=2, backend=manager.get_backend(), entanglement="circular")
    circuit = layer.build_circuit(X)
    assert [gate.parameters["angle"] for gate in circuit.gates[:3]] == pytest.approx(np.pi * X)
    found = asyncio.run(layer.forward(X, shots=None))
    assert found == pytest.approx(z_values(state_of(circuit), 3))
    assert asyncio.run(layer.forward([X, X], shots=100)).shape == (2, 3)


@every_layer
def test_the_hadamard_basis_reads_x(kind: Any, manager: BackendManager, state_of: Any) -> None:
    layer = kind(3, 1, manager.get_backend(), measurement_basis="hadamard")
    assert asyncio.run(layer.forward(X, shots=None)) == pytest.approx(z_values(state_of(layer.build_circuit(X)), 3))
    with pytest.raises(UnknownNameError, match="computational"):
        kind(3, 1, manager.get_backend(), measurement_basis="hadamrd")


@every_layer
def test_missing_inputs_turn_nothing(kind: Any, manager: BackendManager) -> None:
    layer = kind(3, 1, manager.get_backend())
    short, long = (asyncio.run(layer.forward(x, shots=None)) for x in ([0.3], [0.3, 0.0, 0.0]))
    assert np.array_equal(short, long)
    assert layer.build_circuit().to_core() == layer.build_circuit([0.0, 0.0, 0.0]).to_core()
    with pytest.raises(ConfigurationError, match="one input"):
        layer.build_circuit([X, X])


@every_layer
def test_parameters_change_in_place_and_may_be_frozen(kind: Any) -> None:
    layer = kind(2, 1)
    layer.parameters[0] = 0.5
    assert layer.get_parameters()[0] == 0.5
    layer.freeze_parameters([0])
    layer.update_parameters(np.zeros(layer.n_parameters))
    assert layer.parameters.tolist() == [0.5, *[0.0] * (layer.n_parameters - 1)]
    assert layer.get_trainable_parameter_count() == layer.get_parameter_count() - 1
    layer.unfreeze_parameters()
    layer.parameters -= 1.0
    assert layer.parameters[0] == -0.5
    with pytest.raises(ConfigurationError, match="parameters, not an array"):
        layer.update_parameters([1.0])


@every_layer
def test_a_state_comes_back(kind: Any) -> None:
    first, second = kind(2, 1), kind(2, 1)
    first.freeze_parameters([1])
    second.load_state(first.save_state())
    assert np.array_equal(first.parameters, second.parameters)
    assert second.get_trainable_parameter_count() == second.n_parameters - 1
    assert first.get_config() == LayerConfig(2, 1)
    with pytest.raises(ConfigurationError, match="frozen_params"):
        second.load_state({"parameters": [0.0] * second.n_parameters})


def test_a_hardware_efficient_layer_becomes_a_dict_and_back() -> None:
    layer = HardwareEfficientQuantumLayer(3, 2, entanglement="full")
    copy = HardwareEfficientQuantumLayer.from_dict(layer.to_dict())
    assert copy.to_dict() == layer.to_dict()
    assert layer.estimate_circuit_depth() > 2 * 3
    with pytest.raises(UnknownNameError, match="standard"):
        HardwareEfficientQuantumLayer(2, 1, ansatz_type="rotations")


def test_the_old_outputs_of_a_hardware_efficient_layer_are_said_to_be_gone(manager: BackendManager) -> None:
    layer = HardwareEfficientQuantumLayer(2, 1, manager.get_backend())
    with pytest.warns(QStoreCompatWarning, match="expectation value of each qubit"):
        asyncio.run(layer.forward([0.1, 0.2]))


@pytest.mark.parametrize(("hardware_efficient", "n_parameters"), [(False, 36), (True, 24)])
def test_a_model_has_the_defaults_of_q_store(
    hardware_efficient: bool, n_parameters: int, manager: BackendManager
) -> None:
    model = QuantumModel(3, 3, 2, manager.get_backend(), hardware_efficient=hardware_efficient)
    assert (model.depth, model.n_parameters, len(model.parameters)) == (4, n_parameters, n_parameters)
    assert type(model.quantum_layer) is LAYERS[hardware_efficient]


def test_a_models_outputs_are_means_of_its_layers(manager: BackendManager) -> None:
    model = QuantumModel(3, 3, 2, manager.get_backend(), depth=1)
    by_qubit = asyncio.run(model.quantum_layer.forward(X, shots=None))
    outputs = asyncio.run(model.forward(X, shots=None))
    assert outputs == pytest.approx([(by_qubit[0] + by_qubit[2]) / 2, by_qubit[1]])
    assert asyncio.run(model.forward(X)).shape == (2,)


def test_a_model_and_its_layer_share_parameters() -> None:
    model = QuantumModel(2, 2, 1, depth=1)
    model.quantum_layer.parameters[3] = 9.0
    model.quantum_layer.freeze_parameters([2])
    assert model.parameters[3] == 9.0
    assert not model.trainable[2]
    model.parameters = np.ones(6)
    assert model.quantum_layer.parameters.tolist() == [1.0] * 6


def test_a_models_state_comes_back() -> None:
    first, second = QuantumModel(2, 2, 1, depth=1), QuantumModel(2, 2, 1, depth=1)
    second.load_state(first.save_state())
    assert np.array_equal(first.parameters, second.parameters)
    assert first.save_state()["config"] == {"input_dim": 2, "n_qubits": 2, "output_dim": 1, "depth": 1}
    with pytest.raises(ConfigurationError, match="quantum_layer"):
        second.load_state({})


def test_a_convolution_is_the_same_circuit_on_every_window(manager: BackendManager, ran: Any) -> None:
    layer = QuantumConvolutionalLayer(4, 1, manager.get_backend(), kernel_size=2, stride=2)
    layer.parameters = np.arange(6) / 10
    x = np.array([0.1, -0.4, 0.8, 0.3])
    found = asyncio.run(layer.forward(x, shots=None))
    # RX, RY, RZ turn the vector (sin x pi, 0, cos x pi), of which Z is left
    angles = np.array([layer.parameters[[0, 1]], layer.parameters[[3, 4]]])
    z = np.cos(angles[:, 1]) * np.cos(angles[:, 0]) * np.cos(np.pi * x.reshape(2, 2)) - np.sin(angles[:, 1]) * np.sin(
        np.pi * x.reshape(2, 2)
    )
    assert found == pytest.approx(z.mean(axis=1))
    assert (ran.circuits, ran.jobs) == (2, 1)
    layer.freeze_parameters([0])
    assert not layer.model.trainable[0]
    with pytest.raises(ConfigurationError, match="4 inputs"):
        asyncio.run(layer.forward([0.1]))
    with pytest.raises(ConfigurationError, match="kernel_size"):
        QuantumConvolutionalLayer(2, 1, kernel_size=3)


def test_pooling_takes_the_largest_or_the_mean() -> None:
    x = [1.0, 4.0, 2.0]
    assert asyncio.run(QuantumPoolingLayer().forward(x)).tolist() == [4.0, 2.0]
    assert asyncio.run(QuantumPoolingLayer(3, "average").forward(x)).tolist() == [pytest.approx(7 / 3)]
    with pytest.raises(UnknownNameError, match="average"):
        QuantumPoolingLayer(method="median")


def test_the_seed_of_numpy_is_that_of_the_parameters() -> None:
    models = []
    for _ in range(2):
        np.random.seed(5)  # noqa: NPY002
        models.append(QuantumModel(2, 2, 1))
    assert np.array_equal(models[0].parameters, models[1].parameters)
    assert not np.array_equal(models[0].parameters, QuantumModel(2, 2, 1).parameters)
