"""Circuits as OpenQASM 3 programs, read back by Qiskit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from qstore_core.angles import Feature, Parameter, Symbol
from qstore_core.arrays import ComplexArray
from qstore_core.circuit import QuantumCircuit
from qstore_core.gates import GATES

SYMBOLS = Parameter.vector("theta", 4) + Feature.vector("x", 4)

Translate = Callable[[QuantumCircuit], Any]


@pytest.fixture(scope="module")
def parsed() -> Callable[[str], Any]:
    """The program as a Qiskit circuit."""
    from qiskit import qasm3

    return qasm3.loads


def unitary(circuit: Any) -> ComplexArray:
    from qiskit.quantum_info import Operator

    matrix: ComplexArray = Operator(circuit).reverse_qargs().data
    return matrix


def assert_equal_up_to_phase(first: ComplexArray, second: ComplexArray) -> None:
    overlap = np.trace(first.conj().T @ second) / len(first)
    np.testing.assert_allclose(abs(overlap), 1, atol=1e-10)
    np.testing.assert_allclose(first * overlap, second, atol=1e-10)


def input_name(symbol: Symbol) -> str:
    """What `theta[3]` is called in a program: `theta_3`; `x` is a gate, but `x[3]` becomes `x_3`."""
    return symbol.name.replace("[", "_").rstrip("]")


@pytest.mark.parametrize("name", GATES)
def test_each_gate_has_the_unitary_that_qiskit_reads(
    name: str, parsed: Callable[[str], Any], to_qiskit: Translate
) -> None:
    gate = GATES[name]
    circuit = QuantumCircuit(3).append(name, [2, 0, 1][: gate.n_qubits], 0.7 if gate.has_angle else None)
    assert_equal_up_to_phase(unitary(parsed(circuit.to_qasm3())), unitary(to_qiskit(circuit)))


def test_random_circuits_have_the_unitary_that_qiskit_reads(
    parsed: Callable[[str], Any],
    to_qiskit: Translate,
    random_circuit: Callable[..., QuantumCircuit],
    rng: np.random.Generator,
) -> None:
    for n_qubits in (1, 2, 3, 4, 5):
        for _ in range(4):
            circuit = random_circuit(rng, n_qubits, 40)
            assert_equal_up_to_phase(unitary(parsed(circuit.to_qasm3())), unitary(to_qiskit(circuit)))


def test_inputs_take_the_values_of_the_symbols(
    parsed: Callable[[str], Any],
    to_qiskit: Translate,
    random_circuit: Callable[..., QuantumCircuit],
    rng: np.random.Generator,
) -> None:
    for _ in range(10):
        circuit = random_circuit(rng, 3, 30, SYMBOLS)
        values = {symbol: float(rng.normal()) for symbol in (*circuit.features, *circuit.parameters)}
        program = parsed(circuit.to_qasm3())
        bound = program.assign_parameters({input_name(symbol): value for symbol, value in values.items()})
        assert_equal_up_to_phase(unitary(bound), unitary(to_qiskit(circuit.bind(values))))


def test_a_program_is_pinned() -> None:
    circuit = QuantumCircuit(3).ry(0, Parameter("a[0]") - 2 * Feature("x") - 0.5).cnot(0, 2).rzz(1, 2, -1.5)
    assert circuit.to_qasm3().splitlines() == [
        "OPENQASM 3.0;",
        'include "stdgates.inc";',
        "gate rzz(t) a, b { cx a, b; rz(t) b; cx a, b; }",
        "input float[64] feature_x;",
        "input float[64] a_0;",
        "qubit[3] q;",
        "ry(a_0 - 2.0*feature_x - 0.5) q[0];",
        "cx q[0], q[2];",
        "rzz(-1.5) q[1], q[2];",
    ]


def test_very_small_and_very_large_angles_survive(parsed: Callable[[str], Any]) -> None:
    program = parsed(QuantumCircuit(1).rx(0, 1.25e-17).rx(0, -3e20).to_qasm3())
    assert [float(instruction.operation.params[0]) for instruction in program.data] == [1.25e-17, -3e20]


KEYWORDS = (
    "OPENQASM include defcalgrammar def cal defcal gate extern box let break continue if else end return for while in "
    "switch case default pragma input output const readonly mutable qreg qubit creg bool bit int uint float angle "
    "complex array void duration stretch gphase inv pow ctrl negctrl dim durationof delay reset measure barrier true "
    "false im pi tau euler U CX sin cos tan arcsin arccos arctan exp log sqrt mod ceiling floor popcount rotl rotr "
    "sizeof real imag nop q x y z h s sdg t tdg sx rx ry rz p cx cy cz cp crx cry crz ch ccx cswap cu u1 u2 u3 id "
    "phase cphase swap rzz rxx ryy toffoli cnot opaque a b"
).split()


@pytest.mark.parametrize("name", [*KEYWORDS, "2nd", "a b", "θ", "_", "w[1][2]", "weiß", "φ_1"])
def test_any_name_becomes_an_input_that_can_be_declared(name: str, parsed: Callable[[str], Any]) -> None:
    circuit = QuantumCircuit(2).rx(0, Parameter(name)).rxx(0, 1, 0.3).ryy(0, 1, 0.3).rzz(0, 1, 0.3)
    assert len(parsed(circuit.to_qasm3()).parameters) == 1


def test_symbols_whose_names_become_alike_stay_apart(parsed: Callable[[str], Any]) -> None:
    names = ["w[1]", "w_1", "w 1", "α", "β"]
    circuit = QuantumCircuit(1)
    for symbol in (*map(Parameter, names), *map(Feature, names)):
        circuit = circuit.rx(0, symbol)
    assert len(parsed(circuit.to_qasm3()).parameters) == 2 * len(names)
