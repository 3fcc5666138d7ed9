"""Encodings: where inputs go, and the ZZ feature map against Qiskit's."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from qstore_core.circuit import QuantumCircuit
from qstore_core.encoding import ENCODINGS, AngleEncoding, ZZEncoding, make_encoding
from qstore_core.errors import ConfigurationError, UnknownNameError
from qstore_core.gates import GATES


def placement(circuit: QuantumCircuit) -> list[tuple[str, int, str]]:
    """Which rotation of which qubit takes which input."""
    return [(op.name, op.qubits[0], repr(op.angle)) for op in circuit.operations]


def statevector(circuit: QuantumCircuit, features: NDArray[np.float64]) -> NDArray[np.complex128]:
    """The final state, qubit 0 most significant, by multiplying the gates' matrices into a tensor."""
    bound = circuit.bind(dict(zip(circuit.features, features, strict=True)))
    state = np.zeros((2,) * circuit.n_qubits, dtype=np.complex128)
    state[(0,) * circuit.n_qubits] = 1
    for op in bound.operations:
        gate, width = GATES[op.name], len(op.qubits)
        matrix = gate.matrix if op.angle is None else gate.unitaries([op.angle.offset])[0]
        product = np.tensordot(matrix.reshape((2,) * (2 * width)), state, axes=(range(width, 2 * width), op.qubits))
        state = np.moveaxis(product, range(width), op.qubits)
    return state.ravel()


class TestAngleEncoding:
    def test_input_i_is_an_ry_angle_of_qubit_i(self) -> None:
        assert placement(AngleEncoding(3, 3).circuit()) == [("ry", 0, "x[0]"), ("ry", 1, "x[1]"), ("ry", 2, "x[2]")]

    def test_more_inputs_than_qubits_go_into_further_layers_of_rz_and_ry_in_turn(self) -> None:
        assert placement(AngleEncoding(5, 2).circuit()) == [
            ("ry", 0, "x[0]"),
            ("ry", 1, "x[1]"),
            ("rz", 0, "x[2]"),
            ("rz", 1, "x[3]"),
            ("ry", 0, "x[4]"),
        ]

    def test_fewer_inputs_than_qubits_repeat(self) -> None:
        encoding = AngleEncoding(2, 5)
        assert placement(encoding.circuit()) == [("ry", qubit, f"x[{qubit % 2}]") for qubit in range(5)]
        assert encoding.n_features == 2

    def test_the_columns_keep_their_order_beyond_ten_inputs(self) -> None:
        names = [feature.name for feature in AngleEncoding(12, 12).circuit().features]
        assert names == [f"x[{index}]" for index in range(12)]

    def test_inputs_are_taken_as_radians(self) -> None:
        inputs = np.array([[0.1, -4.0], [7.0, 0.0]])
        np.testing.assert_array_equal(AngleEncoding(2, 2).encode(inputs), inputs)


class TestZZEncoding:
    @pytest.mark.parametrize("n_qubits", [2, 3, 4])
    def test_it_is_qiskits_feature_map_up_to_a_global_phase(self, n_qubits: int, rng: np.random.Generator) -> None:
        from qiskit.circuit.library import zz_feature_map
        from qiskit.quantum_info import Statevector

        encoding = ZZEncoding(n_qubits, n_qubits)
        inputs = rng.normal(size=(3, n_qubits))
        for row, features in zip(inputs, encoding.encode(inputs), strict=True):
            reference = zz_feature_map(n_qubits, reps=1, entanglement="linear").assign_parameters(row)
            wanted = Statevector(reference).reverse_qargs().data  # Qiskit's qubit 0 is the least significant
            overlap = np.vdot(wanted, statevector(encoding.circuit(), features))
            assert abs(overlap) == pytest.approx(1.0, abs=1e-12)

    def test_one_qubit_has_no_products(self) -> None:
        encoding = ZZEncoding(1, 1)
        assert encoding.circuit().count_gates() == {"h": 1, "p": 1}
        assert encoding.encode(np.array([[0.5]])).tolist() == [[0.5]]

    def test_a_product_is_made_for_each_pair_of_neighbours(self) -> None:
        x = np.array([[0.5, 1.0, 2.0]])
        products = [2 * (np.pi - 0.5) * (np.pi - 1.0), 2 * (np.pi - 1.0) * (np.pi - 2.0)]
        np.testing.assert_allclose(ZZEncoding(3, 3).encode(x), [[0.5, 1.0, 2.0, *products]])

    def test_fewer_inputs_than_qubits_repeat(self) -> None:
        encoding = ZZEncoding(2, 3)
        assert encoding.n_features == 2 + 2
        features = encoding.encode(np.array([[0.5, 1.0]]))
        np.testing.assert_array_equal(features[0, 2], features[0, 3])
        assert [repr(op.angle) for op in encoding.circuit().operations if op.name == "p"] == [
            "2*x[0]",
            "2*x[1]",
            "2*x[0]",
        ]

    def test_features_are_in_the_order_of_the_circuits(self) -> None:
        names = [feature.name for feature in ZZEncoding(3, 3).circuit().features]
        assert names == ["x[0]", "x[1]", "x[2]", "zz[0]", "zz[1]"]

    def test_more_inputs_than_qubits_are_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="at most one input a qubit: 3 inputs, 2 qubits"):
            ZZEncoding(3, 2)


@pytest.mark.parametrize("name", ENCODINGS)
def test_every_encoding_makes_as_many_features_as_its_circuit_takes(name: str, rng: np.random.Generator) -> None:
    encoding = make_encoding(name, 3, 4)
    assert encoding.encode(rng.normal(size=(2, 3))).shape == (2, encoding.n_features)


def test_an_unknown_encoding_lists_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="unknown encoding 'amplitude'; Known: angle, zz"):
        make_encoding("amplitude", 2, 2)
