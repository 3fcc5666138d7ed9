"""The layers of Q-Store v3: trained gates with Z on every qubit as outputs."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest

from qstore_core.backend import LocalBackend
from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.circuit import QuantumCircuit
from qstore_core.errors import ConfigurationError, DataError, UnknownNameError
from qstore_core.layers import HardwareEfficientQuantumLayer, QuantumLayer
from qstore_core.registry import get_backend

Layer = HardwareEfficientQuantumLayer | QuantumLayer


@pytest.fixture(params=[HardwareEfficientQuantumLayer, QuantumLayer], ids=lambda kind: kind.__name__)
def layer(request: pytest.FixtureRequest) -> Layer:
    """A layer of 3 qubits and depth 2 on the simulator."""
    made: Layer = request.param(3, 2, get_backend("mock"), seed=5)
    return made


@pytest.mark.parametrize(("n_qubits", "depth"), [(8, 2), (16, 3), (1, 1)])
def test_there_are_two_or_three_parameters_a_qubit_and_layer(n_qubits: int, depth: int) -> None:
    assert HardwareEfficientQuantumLayer(n_qubits, depth).n_parameters == 2 * n_qubits * depth
    assert QuantumLayer(n_qubits, depth).n_parameters == 3 * n_qubits * depth
    other = HardwareEfficientQuantumLayer(n_qubits, depth, ansatz_type="rotations")
    assert other.n_parameters == 3 * n_qubits * depth


def test_forward_is_z_on_every_qubit_of_the_built_circuit(layer: Layer) -> None:
    x = np.array([0.3, -1.0, 2.0])
    outputs = asyncio.run(layer.forward(x))
    circuit = layer.build_circuit(x)
    assert (circuit.features, circuit.parameters) == ((), ())
    assert outputs.shape == (3,)
    np.testing.assert_allclose(outputs, measured(layer, circuit), rtol=0, atol=1e-12)


def measured(layer: Layer, circuit: QuantumCircuit) -> list[float]:
    """Z of every qubit, from the probabilities of the whole register."""
    backend = layer.model.backend
    assert isinstance(backend, LocalBackend)
    batch = CircuitBatch(circuit.structure, circuit.angles())
    result: BatchResult = asyncio.run(backend.execute(batch, backend.compile(batch.structure, batch.groups)))
    assert result.probabilities is not None
    tensor = result.probabilities[0][0].reshape((2,) * circuit.n_qubits)
    return [float(np.subtract(*np.moveaxis(tensor, qubit, 0).reshape(2, -1).sum(axis=1))) for qubit in range(3)]


def test_forward_takes_many_rows_and_shots(layer: Layer) -> None:
    x = np.linspace(-1, 1, 12).reshape(4, 3)
    exact = asyncio.run(layer.forward(x))
    sampled = asyncio.run(layer.forward(x, shots=10_000))
    assert exact.shape == sampled.shape == (4, 3)
    # twelve means of 10,000 shots stay within 6 standard deviations but once in 4e7 runs
    assert np.abs(exact - sampled).max() < 6 / np.sqrt(10_000)


def test_the_entangler_can_be_chosen() -> None:
    linear, ring = (QuantumLayer(4, 1, entanglement=name) for name in ("linear", "circular"))
    assert (linear.model.circuit.count_gates()["cnot"], ring.model.circuit.count_gates()["cnot"]) == (3, 4)


def test_a_seed_repeats_the_parameters() -> None:
    one, same, other = (HardwareEfficientQuantumLayer(3, 2, seed=seed).parameters.tolist() for seed in (1, 1, 2))
    assert one == same != other


class TestUpdating:
    def test_frozen_parameters_stay(self, layer: Layer) -> None:
        before = layer.parameters
        layer.freeze_parameters([0, 4])
        layer.update_parameters(before + 1)
        assert np.flatnonzero(layer.parameters == before).tolist() == [0, 4]
        np.testing.assert_array_equal(layer.trainable, layer.parameters != before)

    def test_unfreezing_lets_all_move(self, layer: Layer) -> None:
        layer.freeze_parameters([0, 4])
        layer.unfreeze_all()
        layer.update_parameters(np.full(layer.n_parameters, 9.0))
        assert set(layer.parameters) == {9.0}

    def test_assigning_replaces_frozen_ones_too(self, layer: Layer) -> None:
        layer.freeze_parameters([0])
        layer.parameters = np.full(layer.n_parameters, 9.0)
        assert set(layer.parameters) == {9.0}

    def test_a_state_is_json_and_restores_another_layer(self, layer: Layer) -> None:
        layer.freeze_parameters([1, 2])
        other = type(layer)(3, 2, seed=6)
        other.freeze_parameters([5])
        other.load_state(json.loads(json.dumps(layer.save_state())))
        np.testing.assert_array_equal(other.parameters, layer.parameters)
        np.testing.assert_array_equal(other.trainable, layer.trainable)


class TestRefusals:
    def test_another_number_of_parameters(self, layer: Layer) -> None:
        with pytest.raises(ConfigurationError, match=rf"this layer has {layer.n_parameters} parameters, not an array"):
            layer.update_parameters([1.0])
        with pytest.raises(ConfigurationError, match=rf"parameters are {layer.n_parameters} finite numbers"):
            layer.load_state({"parameters": [1.0], "frozen": []})

    @pytest.mark.parametrize("frozen", [[999], [0.5]])
    def test_a_state_that_is_refused_changes_nothing(self, layer: Layer, frozen: list[float]) -> None:
        layer.freeze_parameters([1])
        before, state = layer.parameters, layer.save_state()
        with pytest.raises(ConfigurationError, match=f"parameter {frozen[0]}: this model has parameters 0 to"):
            layer.load_state({"parameters": (before + 1).tolist(), "frozen": frozen})
        with pytest.raises(ConfigurationError, match="finite numbers"):
            layer.load_state({"parameters": [1.0], "frozen": [2]})
        assert layer.save_state() == state

    def test_a_state_of_something_else(self, layer: Layer) -> None:
        with pytest.raises(
            ConfigurationError, match=r"a layer's state has 'parameters' and 'frozen', not \['weights'\]"
        ):
            layer.load_state({"weights": []})

    def test_an_unknown_ansatz(self) -> None:
        with pytest.raises(
            UnknownNameError, match=r"unknown ansatz_type 'ising'.*Known: hardware_efficient, rotations"
        ):
            HardwareEfficientQuantumLayer(2, 1, ansatz_type="ising")

    def test_more_than_one_input_for_a_circuit(self, layer: Layer) -> None:
        with pytest.raises(ConfigurationError, match="build_circuit takes one input, not 2"):
            layer.build_circuit(np.zeros((2, 3)))

    def test_inputs_of_another_width(self, layer: Layer) -> None:
        with pytest.raises(DataError, match=r"inputs need shape \(n_samples, 3\)"):
            asyncio.run(layer.forward([0.1, 0.2]))

    def test_forward_without_a_backend(self) -> None:
        with pytest.raises(ConfigurationError, match="this model has no backend yet"):
            asyncio.run(QuantumLayer(2, 1).forward([0.0, 0.0]))
