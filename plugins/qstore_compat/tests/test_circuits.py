"""Q-Store's circuits: they change in place, become qstore's, and really run."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from q_store import QStoreCompatWarning
from q_store.backends import (
    BackendManager,
    CircuitBuilder,
    ExecutionResult,
    GateType,
    QuantumCircuit,
    QuantumGate,
    amplitude_encode_to_circuit,
    create_bell_state_circuit,
    create_ghz_state_circuit,
)

from qstore_core import CircuitError, ConfigurationError
from qstore_core import QuantumCircuit as CoreCircuit


def exactly(manager: BackendManager, circuit: Any) -> ExecutionResult:
    return asyncio.run(manager.get_backend().execute_circuit(circuit, shots=None))


def random_circuit(rng: np.random.Generator, n_qubits: int = 3, length: int = 30) -> QuantumCircuit:
    circuit = QuantumCircuit(n_qubits)
    widths = {GateType.CNOT: 2, GateType.CZ: 2, GateType.TOFFOLI: 3}
    kinds = [kind for kind in GateType if kind not in (GateType.MEASURE, GateType.SWAP)]
    turned = (GateType.RX, GateType.RY, GateType.RZ, GateType.PHASE)
    for index in rng.integers(len(kinds), size=length):
        kind = kinds[index]
        qubits = rng.permutation(n_qubits)[: widths.get(kind, 1)].tolist()
        circuit.add_gate(QuantumGate(kind, qubits, {"angle": float(rng.normal())} if kind in turned else None))
    return circuit


def test_every_gate_does_what_it_says(manager: BackendManager, rng: np.random.Generator, probabilities_of: Any) -> None:
    for _ in range(10):
        circuit = random_circuit(rng)
        assert exactly(manager, circuit).probabilities == pytest.approx(probabilities_of(circuit))


def test_a_swap_exchanges(manager: BackendManager) -> None:
    assert exactly(manager, CircuitBuilder(2).x(0).swap(0, 1).build()).probabilities == {"01": 1.0}


def test_bell_and_ghz_states_are_those(manager: BackendManager) -> None:
    assert exactly(manager, create_bell_state_circuit()).probabilities == pytest.approx({"00": 0.5, "11": 0.5})
    assert exactly(manager, create_ghz_state_circuit(4)).probabilities == pytest.approx({"0000": 0.5, "1111": 0.5})


def test_only_measured_qubits_are_read(manager: BackendManager) -> None:
    circuit = CircuitBuilder(3).ry(0, 0.7).cnot(0, 2).measure(2, 1).build()
    assert circuit.measured_qubits == (1, 2)
    found = exactly(manager, circuit).probabilities
    assert found == pytest.approx({"00": np.cos(0.35) ** 2, "01": np.sin(0.35) ** 2})


def test_circuits_of_both_kinds_are_the_same(manager: BackendManager, rng: np.random.Generator) -> None:
    circuit = random_circuit(rng)
    core = circuit.to_core()
    assert QuantumCircuit.from_core(core).to_core() == core
    assert exactly(manager, core).probabilities == exactly(manager, circuit).probabilities


def test_a_gate_after_a_measurement_is_refused() -> None:
    with pytest.raises(CircuitError, match=r"rx\(0.*measure at the end"):
        CircuitBuilder(1).measure(0).rx(0, 0.5).build().to_core()


def test_a_gate_outside_the_circuit_is_refused_as_it_was() -> None:
    with pytest.raises(ValueError, match="qubits 0 to 1"):
        QuantumCircuit(2).add_gate(QuantumGate(GateType.PAULI_X, [2]))


def test_a_gate_that_q_store_lacks_is_named() -> None:
    with pytest.raises(CircuitError, match="no gate 'rxx'"):
        QuantumCircuit.from_core(CoreCircuit(2).rxx(0, 1, 0.5))


def test_an_angle_has_one_name() -> None:
    with pytest.raises(CircuitError, match=r"parameters\['angle'\]"):
        QuantumGate(GateType.RX, [0], {"theta": 1.0, "phi": 2.0}).to_core()


def test_the_depth_is_that_of_layers() -> None:
    circuit = CircuitBuilder(3).h(0).h(1).h(2).cnot(0, 1).measure_all().build()
    with pytest.warns(QStoreCompatWarning, match="number of gates"):
        assert circuit.depth() == 2
    assert circuit.gate_count()[GateType.HADAMARD] == 3


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13])
def test_amplitudes_are_encoded_with_their_signs(size: int, rng: np.random.Generator, state_of: Any) -> None:
    vector = rng.normal(size=size)
    found = state_of(amplitude_encode_to_circuit(vector))
    assert np.allclose(found[:size], vector / np.linalg.norm(vector))
    assert np.allclose(found[size:], 0)


@pytest.mark.parametrize("vector", [[0.0, 0.0], [], [[1.0]], [np.nan, 1.0], ["a"]])
def test_amplitudes_that_cannot_be_are_refused(vector: Any) -> None:
    with pytest.raises(ConfigurationError, match="amplitudes"):
        amplitude_encode_to_circuit(vector)


def test_most_common_orders_by_count() -> None:
    result = ExecutionResult({"00": 1, "01": 5, "11": 3}, {}, 9)
    assert result.most_common(2) == [("01", 5), ("11", 3)]
