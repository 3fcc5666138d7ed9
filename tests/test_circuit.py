"""Circuits as values, their structure, and the map from symbols to gate angles."""

from __future__ import annotations

import copy
import hashlib
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from qstore_core.angles import Feature, Parameter, Symbol
from qstore_core.arrays import FloatArray
from qstore_core.circuit import QuantumCircuit
from qstore_core.errors import CircuitError, UnknownNameError
from qstore_core.gates import GATES
from qstore_core.operations import CircuitStructure, Operation

PARAMETERS = Parameter.vector("w", 12)
FEATURES = Feature.vector("x", 11)


def angles_one_by_one(circuit: QuantumCircuit, features: FloatArray, parameters: FloatArray) -> list[float]:
    """The gate angles of one row, from the expressions themselves."""
    values: dict[Symbol, float] = dict(zip(circuit.features, features, strict=True))
    values |= dict(zip(circuit.parameters, parameters, strict=True))
    angles = [operation.angle for operation in circuit.operations if operation.angle is not None]
    return [angle.offset + sum(weight * values[symbol] for symbol, weight in angle.terms) for angle in angles]


def random_inputs(circuit: QuantumCircuit, rng: np.random.Generator, n_rows: int) -> tuple[FloatArray, FloatArray]:
    return rng.normal(size=(n_rows, len(circuit.features))), rng.normal(size=(n_rows, len(circuit.parameters)))


class TestValues:
    def test_chaining_leaves_the_circuit_as_it_was(self) -> None:
        circuit = QuantumCircuit(2)
        longer = circuit.h(0).cnot(0, 1)
        assert circuit.operations == ()
        assert longer.operations == (Operation("h", (0,)), Operation("cnot", (0, 1)))

    def test_a_circuit_cannot_be_changed(self) -> None:
        circuit = QuantumCircuit(2).h(0)
        with pytest.raises(FrozenInstanceError):
            circuit.n_qubits = 3  # type: ignore[misc]
        with pytest.raises(FrozenInstanceError):
            circuit.operations[0].qubits = (1,)  # type: ignore[misc]

    def test_equal_circuits_are_equal_and_hash_alike(self) -> None:
        one = QuantumCircuit(2).ry(0, 2 * Parameter("a")).cnot(0, 1)
        other = QuantumCircuit(2).append("ry", [0], Parameter("a") * 2).append("cnot", (0, 1))
        assert one == other
        assert hash(one) == hash(other)
        assert one != one.x(0)
        assert one != QuantumCircuit(3, one.operations)

    def test_every_gate_has_a_method_that_appends_it(self) -> None:
        for name, gate in GATES.items():
            qubits = [2, 0, 1][: gate.n_qubits]
            angle = [0.3] if gate.has_angle else []
            circuit = getattr(QuantumCircuit(3), name)(*qubits, *angle)
            assert circuit == QuantumCircuit(3).append(name, qubits, *angle)

    def test_a_circuit_can_be_copied_and_pickled(self) -> None:
        circuit = QuantumCircuit(2).ry(0, Parameter("a")).cnot(0, 1)
        assert circuit.parameters == (Parameter("a"),)
        assert copy.deepcopy(circuit) == circuit
        assert pickle.loads(pickle.dumps(circuit)) == circuit

    def test_numpy_integers_are_qubits_too(self) -> None:
        circuit = QuantumCircuit(3).append("cnot", np.array([2, 0])).x(np.int64(1))
        circuit = circuit.compose(QuantumCircuit(2).cz(0, 1), qubits=np.array([1, 2]))
        assert circuit == QuantumCircuit(3).cnot(2, 0).x(1).cz(1, 2)
        assert all(type(qubit) is int for operation in circuit.operations for qubit in operation.qubits)

    def test_gates_are_counted(self) -> None:
        assert QuantumCircuit(2).h(0).cnot(0, 1).h(1).count_gates() == {"h": 2, "cnot": 1}


class TestStructure:
    def test_the_structure_has_no_angles(self) -> None:
        one = QuantumCircuit(2).ry(0, 0.1).cnot(0, 1)
        other = QuantumCircuit(2).ry(0, Parameter("a")).cnot(0, 1)
        assert one.structure == other.structure == CircuitStructure(2, (("ry", (0,)), ("cnot", (0, 1))))
        assert one.structure.n_angles == 1
        assert one.structure.two_qubit_gates == 1

    def test_the_digest_never_changes_between_releases(self) -> None:
        structure = QuantumCircuit(3).ry(0, 0.1).cnot(0, 2).toffoli(2, 1, 0).structure
        text = '{"gates":[["ry",[0]],["cnot",[0,2]],["toffoli",[2,1,0]]],"n_qubits":3}'
        assert structure.digest == hashlib.sha256(text.encode()).hexdigest()
        assert structure.digest == "4a22367cb5332cf9ed0c7d05129bfe2c96fc831fc44e003591b8147fa6ea1205"

    @pytest.mark.parametrize(
        "other",
        [
            QuantumCircuit(3).ry(0, 1.0).cnot(0, 1),
            QuantumCircuit(2).rx(0, 1.0).cnot(0, 1),
            QuantumCircuit(2).ry(1, 1.0).cnot(0, 1),
            QuantumCircuit(2).ry(0, 1.0).cnot(1, 0),
            QuantumCircuit(2).cnot(0, 1).ry(0, 1.0),
            QuantumCircuit(2).ry(0, 1.0),
        ],
        ids=["width", "gate", "qubit", "order of qubits", "order of gates", "length"],
    )
    def test_the_digest_tells_structures_apart(self, other: QuantumCircuit) -> None:
        assert other.structure.digest != QuantumCircuit(2).ry(0, 1.0).cnot(0, 1).structure.digest

    def test_depth_is_the_longest_chain_of_gates(self) -> None:
        assert QuantumCircuit(3).depth() == 0
        assert QuantumCircuit(3).h(0).h(1).h(2).depth() == 1
        assert QuantumCircuit(3).cnot(0, 1).cnot(1, 2).depth() == 2
        assert QuantumCircuit(3).cnot(0, 2).x(1).depth() == 1
        assert QuantumCircuit(3).h(0).toffoli(0, 1, 2).x(2).h(0).h(0).depth() == 4


class TestSymbols:
    def test_symbols_are_sorted_by_name_with_numbers_read_as_numbers(self) -> None:
        circuit = QuantumCircuit(1)
        for index in (10, 2, 0):
            circuit = circuit.rx(0, PARAMETERS[index] + FEATURES[index])
        assert [symbol.name for symbol in circuit.parameters] == ["w[0]", "w[2]", "w[10]"]
        assert [symbol.name for symbol in circuit.features] == ["x[0]", "x[2]", "x[10]"]

    def test_a_symbol_used_twice_is_listed_once(self) -> None:
        theta = Parameter("theta")
        assert QuantumCircuit(1).rx(0, theta).ry(0, 2 * theta).parameters == (theta,)

    def test_bind_replaces_some_symbols_and_keeps_the_others(self) -> None:
        a, b = Parameter("a"), Parameter("b")
        circuit = QuantumCircuit(2).rx(0, a + 2 * b).h(1).ry(1, a)
        assert circuit.bind({b: 0.5}) == QuantumCircuit(2).rx(0, a + 1.0).h(1).ry(1, a)
        assert circuit.bind({a: 1.0, b: 0.5}) == QuantumCircuit(2).rx(0, 2.0).h(1).ry(1, 1.0)

    def test_binding_gives_the_angles_that_the_symbols_give(
        self, random_circuit: Callable[..., QuantumCircuit], rng: np.random.Generator
    ) -> None:
        circuit = random_circuit(rng, 4, 40, PARAMETERS + FEATURES)
        features, parameters = random_inputs(circuit, rng, 1)
        values: dict[Symbol, float] = dict(zip(circuit.features, features[0], strict=True))
        values |= dict(zip(circuit.parameters, parameters[0], strict=True))
        np.testing.assert_allclose(circuit.bind(values).angles(), circuit.angles(features, parameters), atol=1e-13)


class TestAngles:
    def test_they_are_what_the_expressions_give(
        self, random_circuit: Callable[..., QuantumCircuit], rng: np.random.Generator
    ) -> None:
        for _ in range(20):
            circuit = random_circuit(rng, 4, 40, PARAMETERS + FEATURES)
            features, parameters = random_inputs(circuit, rng, 3)
            expected = [angles_one_by_one(circuit, *row) for row in zip(features, parameters, strict=True)]
            np.testing.assert_allclose(circuit.angles(features, parameters), expected, atol=1e-13)

    def test_they_are_the_dense_affine_map(
        self, random_circuit: Callable[..., QuantumCircuit], rng: np.random.Generator
    ) -> None:
        circuit = random_circuit(rng, 4, 40, PARAMETERS + FEATURES)
        features, parameters = random_inputs(circuit, rng, 5)
        affine = circuit.affine
        dense = features @ affine.features.matrix + parameters @ affine.parameters.matrix + affine.offsets
        np.testing.assert_allclose(circuit.angles(features, parameters), dense, atol=1e-13)

    def test_a_row_is_the_same_to_the_last_bit_whatever_other_rows_there_are(
        self, random_circuit: Callable[..., QuantumCircuit], rng: np.random.Generator
    ) -> None:
        circuit = random_circuit(rng, 4, 60, PARAMETERS + FEATURES)
        features, parameters = random_inputs(circuit, rng, 37)
        together = circuit.angles(features, parameters)
        for size in (1, 2, 5, 17):
            parts = [
                circuit.angles(features[row : row + size], parameters[row : row + size]) for row in range(0, 37, size)
            ]
            assert np.concatenate(parts).tobytes() == together.tobytes()

    def test_one_row_of_symbols_is_shared_by_all_rows_of_the_others(
        self, random_circuit: Callable[..., QuantumCircuit], rng: np.random.Generator
    ) -> None:
        circuit = random_circuit(rng, 4, 40, PARAMETERS + FEATURES)
        features, parameters = random_inputs(circuit, rng, 3)
        repeated = np.repeat(parameters[:1], 3, axis=0)
        shared, spelled_out = circuit.angles(features, parameters[0]), circuit.angles(features, repeated)
        assert shared.tobytes() == spelled_out.tobytes()

    def test_a_circuit_without_symbols_has_one_row(self) -> None:
        np.testing.assert_array_equal(QuantumCircuit(2).rx(0, 0.5).h(1).rz(1, -1.0).angles(), [[0.5, -1.0]])
        assert QuantumCircuit(2).h(0).angles().shape == (1, 0)

    @pytest.mark.parametrize(
        ("features", "parameters", "message"),
        [
            ([1.0], [], r"parameters need shape \(2,\) or \(n_rows, 2\), not \(0,\)"),
            ([[1.0, 2.0]], [0.0, 0.0], r"features need shape \(1,\) or \(n_rows, 1\), not \(1, 2\)"),
            ([1.0], [[[0.0, 0.0]]], r"not \(1, 1, 2\)"),
            ([[1.0], [1.0]], [[0.0, 0.0]], "features have 2 rows and parameters 1; give as many of each"),
            ([np.nan], [0.0, 0.0], "features must be finite; found nan or inf"),
            ([1.0], [0.0, np.inf], "parameters must be finite; found nan or inf"),
        ],
    )
    def test_values_of_the_wrong_shape_or_kind_are_refused(self, features: Any, parameters: Any, message: str) -> None:
        circuit = QuantumCircuit(1).rx(0, Feature("x") + Parameter("a") - Parameter("b"))
        with pytest.raises(CircuitError, match=message):
            circuit.angles(features, parameters)


class TestCompose:
    def test_the_other_circuit_follows_on_the_same_qubits(self) -> None:
        assert QuantumCircuit(3).h(0).compose(QuantumCircuit(2).cnot(0, 1)) == QuantumCircuit(3).h(0).cnot(0, 1)

    def test_the_other_circuit_is_laid_on_the_given_qubits(self) -> None:
        other = QuantumCircuit(2).cnot(0, 1).ry(1, Parameter("a"))
        assert QuantumCircuit(3).compose(other, qubits=[2, 0]) == QuantumCircuit(3).cnot(2, 0).ry(0, Parameter("a"))

    @pytest.mark.parametrize(
        ("qubits", "message"),
        [
            ([0], r"compose needs 2 different qubits for the other circuit, not \(0,\)"),
            ([1, 1], r"compose needs 2 different qubits for the other circuit, not \(1, 1\)"),
            ([0, 1.5], r"compose: qubits are whole numbers, not \[0, 1.5\]"),
            ([0, 3], "cnot on qubit 3: this circuit has qubits 0 to 2"),
        ],
    )
    def test_qubits_that_do_not_fit_are_refused(self, qubits: Any, message: str) -> None:
        with pytest.raises(CircuitError, match=message):
            QuantumCircuit(3).compose(QuantumCircuit(2).cnot(0, 1), qubits=qubits)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: QuantumCircuit(0), "n_qubits is a whole number of at least 1, not 0"),
        (lambda: QuantumCircuit(2.0), "n_qubits is a whole number of at least 1, not 2.0"),
        (lambda: QuantumCircuit(True), "n_qubits is a whole number of at least 1, not True"),
        (lambda: QuantumCircuit(1, (Operation("x", (1,)),)), "x on qubit 1: this circuit has qubits 0 to 0"),
        (lambda: QuantumCircuit(2).x(2), "x on qubit 2: this circuit has qubits 0 to 1"),
        (lambda: QuantumCircuit(2).cnot(0, -1), "cnot on qubit -1: this circuit has qubits 0 to 1"),
        (lambda: QuantumCircuit(2).cnot(1, 1), r"gate 'cnot' acts on 2 different qubit\(s\), not on \(1, 1\)"),
        (lambda: QuantumCircuit(2).append("x", (0, 1)), r"gate 'x' acts on 1 different qubit\(s\), not on \(0, 1\)"),
        (lambda: QuantumCircuit(2).x("0"), "x: qubits are whole numbers, not '0'"),
        (lambda: QuantumCircuit(2).x(0.0), r"x: qubits are whole numbers, not \(0.0,\)"),
        (lambda: Operation("x", (0.0,)), r"gate 'x': qubits are whole numbers, not \(0.0,\)"),
        (lambda: QuantumCircuit(2).append("rx", 0), "gate 'rx' needs an angle"),
        (lambda: QuantumCircuit(2).append("x", 0, 0.5), "gate 'x' takes no angle"),
        (lambda: QuantumCircuit(2).rx(0, float("inf")), "finite real numbers and symbols, not inf"),
        (lambda: QuantumCircuit(2).rx(0, "theta"), "finite real numbers and symbols, not 'theta'"),
        (lambda: QuantumCircuit(1).rx(0, Parameter("a")).bind({Parameter("a"): np.nan}), "and symbols, not nan"),
    ],
)
def test_what_cannot_be_a_circuit_is_refused(build: Callable[[], object], message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        build()


def test_an_unknown_gate_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown gate 'crq'; did you mean 'cr[xyz]'"):
        QuantumCircuit(2).append("crq", (0, 1))


def test_binding_a_symbol_that_the_circuit_lacks_is_refused() -> None:
    with pytest.raises(CircuitError, match="this circuit has no b to fill in"):
        QuantumCircuit(1).rx(0, Parameter("a")).bind({Parameter("b"): 1.0})
