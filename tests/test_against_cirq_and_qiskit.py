"""The mock simulator against Cirq and Qiskit: states, bit order, probabilities, counts and expectation values."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import cirq
import numpy as np
import pytest
from qiskit.quantum_info import Operator, SparsePauliOp, Statevector
from qstore_mock.backend import MockBackend
from qstore_mock.program import compile_program
from qstore_mock.statevector import run

from qstore_core.arrays import ComplexArray, FloatArray
from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.circuit import QuantumCircuit
from qstore_core.counts import Counts
from qstore_core.gates import GATES
from qstore_core.observables import PauliString, PauliSum

Translate = Callable[[QuantumCircuit], Any]
Execute = Callable[[MockBackend, CircuitBatch], BatchResult]


def mock_state(circuit: QuantumCircuit) -> ComplexArray:
    return run(compile_program(circuit.structure, ()), circuit.angles())[0]


def cirq_state(circuit: cirq.Circuit) -> ComplexArray:
    state: ComplexArray = cirq.Simulator(dtype=np.complex128).simulate(circuit).final_state_vector
    return state


def qiskit_state(circuit: Any) -> ComplexArray:
    state: ComplexArray = Statevector(circuit).reverse_qargs().data
    return state


def cirq_expectations(circuit: cirq.Circuit, observables: tuple[PauliSum, ...]) -> list[float]:
    state, order = cirq_state(circuit), {qubit: qubit.x for qubit in sorted(circuit.all_qubits())}
    return [
        sum(
            cirq.PauliString(
                {cirq.LineQubit(qubit): letter for qubit, letter in term.letters}, coefficient=term.coefficient
            )
            .expectation_from_state_vector(state, order)
            .real
            for term in observable.terms
        )
        for observable in observables
    ]


def qiskit_expectations(circuit: Any, observables: tuple[PauliSum, ...]) -> list[float]:
    state = Statevector(circuit)
    values = []
    for observable in observables:
        terms = [
            ("".join(letter for _, letter in term.letters), list(term.qubits), term.coefficient)
            for term in observable.terms
        ]
        values.append(state.expectation_value(SparsePauliOp.from_sparse_list(terms, circuit.num_qubits)).real)
    return values


def exact(circuit: QuantumCircuit, observables: tuple[PauliSum, ...] | None = None) -> CircuitBatch:
    return CircuitBatch(circuit.structure, circuit.angles(), observables)


@pytest.mark.parametrize("name", GATES)
def test_each_gate_has_the_matrix_of_both_libraries(name: str, to_cirq: Translate, to_qiskit: Translate) -> None:
    gate = GATES[name]
    circuit = QuantumCircuit(gate.n_qubits).append(name, range(gate.n_qubits), 0.7 if gate.has_angle else None)
    ours = gate.unitaries([0.7])[0] if gate.has_angle else gate.matrix
    np.testing.assert_allclose(ours, cirq.unitary(to_cirq(circuit)), atol=1e-12)
    np.testing.assert_allclose(ours, Operator(to_qiskit(circuit)).reverse_qargs().data, atol=1e-12)


@pytest.mark.parametrize("name", GATES)
def test_each_gate_acts_on_its_qubits_in_every_order(name: str, to_cirq: Translate, to_qiskit: Translate) -> None:
    gate = GATES[name]
    for qubits in permutations(range(4), gate.n_qubits):
        circuit = QuantumCircuit(4)
        for qubit in range(4):  # a state without symmetry
            circuit = circuit.ry(qubit, 0.3 + 0.4 * qubit).rz(qubit, 0.2 - 0.5 * qubit)
        circuit = circuit.append(name, qubits, -1.1 if gate.has_angle else None)
        np.testing.assert_allclose(mock_state(circuit), cirq_state(to_cirq(circuit)), atol=1e-12)
        np.testing.assert_allclose(mock_state(circuit), qiskit_state(to_qiskit(circuit)), atol=1e-12)


def test_expectation_values_of_200_random_circuits_are_those_of_cirq_and_qiskit(
    random_circuit: Callable[..., QuantumCircuit],
    random_observables: Callable[..., tuple[PauliSum, ...]],
    to_cirq: Translate,
    to_qiskit: Translate,
    execute: Execute,
    rng: np.random.Generator,
) -> None:
    seen: set[str] = set()
    for number in range(200):
        n_qubits = 2 + number % 7
        circuit = random_circuit(rng, n_qubits, 30)
        observables = random_observables(rng, n_qubits)
        values = execute(MockBackend(), exact(circuit, observables)).expectations
        np.testing.assert_allclose(values, [cirq_expectations(to_cirq(circuit), observables)], atol=1e-10)
        if number % 4 == 0:
            np.testing.assert_allclose(values, [qiskit_expectations(to_qiskit(circuit), observables)], atol=1e-10)
        seen |= set(circuit.count_gates())
    assert seen == set(GATES)


def test_probabilities_and_counts_have_qubit_0_leftmost_like_cirq(
    random_circuit: Callable[..., QuantumCircuit], to_cirq: Translate, execute: Execute, rng: np.random.Generator
) -> None:
    circuit = random_circuit(rng, 3, 30)
    (ours,) = execute(MockBackend(), exact(circuit)).probabilities or ()
    np.testing.assert_allclose(ours[0], np.abs(cirq_state(to_cirq(circuit))) ** 2, atol=1e-12)
    assert_sampled_from(counts_of(circuit, 10**5, execute), ours[0])


def test_probabilities_and_counts_read_backwards_are_those_of_qiskit(
    random_circuit: Callable[..., QuantumCircuit], to_qiskit: Translate, execute: Execute, rng: np.random.Generator
) -> None:
    circuit = random_circuit(rng, 3, 30)
    theirs = Statevector(to_qiskit(circuit)).probabilities_dict()
    (ours,) = execute(MockBackend(), exact(circuit)).probabilities or ()
    np.testing.assert_allclose(ours[0], [theirs.get(format(i, "03b")[::-1], 0.0) for i in range(8)], atol=1e-12)
    shots = 10**5
    for bits, count in counts_of(circuit, shots, execute).to_dicts()[0].items():
        assert_close_to_binomial(count, shots, theirs[bits[::-1]])


def test_x_on_qubit_0_of_2_gives_10(to_cirq: Translate, to_qiskit: Translate, execute: Execute) -> None:
    circuit = QuantumCircuit(2).x(0)
    assert counts_of(circuit, 7, execute).to_dicts() == [{"10": 7}]
    (probabilities,) = execute(MockBackend(), exact(circuit)).probabilities or ()
    np.testing.assert_allclose(probabilities, [[0, 0, 1, 0]], atol=1e-30)
    measured = to_cirq(circuit) + cirq.measure(*cirq.LineQubit.range(2), key="m")
    assert cirq.Simulator().run(measured, repetitions=7).histogram(key="m") == {0b10: 7}
    assert Statevector(to_qiskit(circuit)).probabilities_dict() == {"01": 1.0}


def test_an_observable_names_qubits_from_the_left(to_cirq: Translate, execute: Execute) -> None:
    circuit = QuantumCircuit(3).x(0).h(2)
    observables = tuple(map(PauliSum.of, ["Z0", "Z1", "X2", PauliString({0: "Z", 2: "X"})]))
    values = execute(MockBackend(), exact(circuit, observables)).expectations
    np.testing.assert_allclose(values, [[-1, 1, 1, -1]], atol=1e-12)
    np.testing.assert_allclose(values, [cirq_expectations(to_cirq(circuit), observables)], atol=1e-12)


def counts_of(circuit: QuantumCircuit, shots: int, execute: Execute) -> Counts:
    labels = np.array([2026], dtype=np.uint64)
    batch = CircuitBatch(circuit.structure, circuit.angles(), None, shots, labels)
    (counts,) = execute(MockBackend(), batch).counts or ()
    return counts


def assert_sampled_from(counts: Counts, probabilities: FloatArray) -> None:
    row = counts.to_dicts()[0]
    for outcome, probability in enumerate(probabilities):
        assert_close_to_binomial(row.get(format(outcome, "03b"), 0), int(counts.totals[0]), probability)


def assert_close_to_binomial(count: int, shots: int, probability: float) -> None:
    """Within 6 standard deviations: for common outcomes a false-alarm rate of 2e-9, at a fixed seed."""
    assert abs(count - shots * probability) <= 6 * np.sqrt(shots * probability * (1 - probability)) + 1e-6
