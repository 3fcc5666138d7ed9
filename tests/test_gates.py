"""The gate set: matrices, generators and frequencies."""

from __future__ import annotations

import numpy as np
import pytest

from qstore_core.arrays import ComplexArray
from qstore_core.errors import CircuitError, UnknownNameError
from qstore_core.gates import GATES, Gate, get_gate

FIXED = [gate for gate in GATES.values() if not gate.has_angle]
ROTATIONS = [gate for gate in GATES.values() if gate.has_angle]


def named(gate: Gate) -> str:
    return gate.name


def test_the_gate_set_is_the_documented_one() -> None:
    assert " ".join(sorted(GATES)) == ("cnot crx cry crz cz h p rx rxx ry ryy rz rzz s sdg swap sx t tdg toffoli x y z")


@pytest.mark.parametrize("gate", FIXED, ids=named)
def test_a_fixed_gate_is_unitary(gate: Gate) -> None:
    assert gate.matrix.shape == (2**gate.n_qubits, 2**gate.n_qubits)
    np.testing.assert_allclose(gate.matrix @ gate.matrix.conj().T, np.eye(len(gate.matrix)), atol=1e-15)


@pytest.mark.parametrize("gate", ROTATIONS, ids=named)
def test_a_generator_is_hermitian_and_its_spectrum_rebuilds_it(gate: Gate) -> None:
    levels, projectors = gate.spectrum
    np.testing.assert_array_equal(gate.matrix, gate.matrix.conj().T)
    np.testing.assert_allclose(np.einsum("k,kij->ij", levels, projectors), gate.matrix, atol=1e-15)
    np.testing.assert_allclose(projectors.sum(axis=0), np.eye(len(gate.matrix)), atol=1e-15)


@pytest.mark.parametrize("gate", ROTATIONS, ids=named)
def test_angles_give_the_matrix_exponential_of_the_generator(gate: Gate, rng: np.random.Generator) -> None:
    angles = rng.normal(scale=4.0, size=5)
    for angle, unitary in zip(angles, gate.unitaries(angles), strict=True):
        np.testing.assert_allclose(unitary, taylor_exponential(-1j * angle * gate.matrix), atol=1e-12)


def taylor_exponential(matrix: ComplexArray) -> ComplexArray:
    small, term, total = matrix / 2**10, np.eye(len(matrix)), np.eye(len(matrix), dtype=complex)
    for order in range(1, 15):
        term = term @ small / order
        total = total + term
    return np.linalg.matrix_power(total, 2**10)


@pytest.mark.parametrize(
    ("name", "frequencies"),
    [
        *((name, (1.0,)) for name in ["rx", "ry", "rz", "p", "rxx", "ryy", "rzz"]),
        *((name, (0.5, 1.0)) for name in ["crx", "cry", "crz"]),
    ],
)
def test_frequencies_are_the_differences_of_eigenvalues(name: str, frequencies: tuple[float, ...]) -> None:
    assert GATES[name].frequencies == frequencies


def test_diagonal_gates_are_known_as_such() -> None:
    assert {name for name, gate in GATES.items() if gate.is_diagonal} == set("z s sdg t tdg cz rz p rzz crz".split())


def test_the_control_is_the_first_and_most_significant_qubit() -> None:
    ket = np.eye(4)
    np.testing.assert_array_equal(GATES["cnot"].matrix @ ket[0b10], ket[0b11])
    np.testing.assert_array_equal(GATES["cnot"].matrix @ ket[0b01], ket[0b01])


def test_the_target_of_a_toffoli_is_its_last_qubit() -> None:
    ket = np.eye(8)
    np.testing.assert_array_equal(GATES["toffoli"].matrix @ ket[0b110], ket[0b111])
    np.testing.assert_array_equal(GATES["toffoli"].matrix @ ket[0b011], ket[0b011])


def test_a_fixed_gate_has_no_generator() -> None:
    with pytest.raises(CircuitError, match="gate 'h' has no angle, so it has no generator"):
        _ = GATES["h"].spectrum


def test_an_unknown_gate_suggests_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="unknown gate 'cnto'; did you mean 'cnot'"):
        get_gate("cnto")


def test_the_gate_set_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        GATES["mine"] = GATES["x"]  # type: ignore[index]
