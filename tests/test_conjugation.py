"""What gates do to Pauli words, against matrices that are multiplied here."""

from __future__ import annotations

from functools import reduce
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from qstore_core.conjugation import clifford_images, keeps_zeros, marks_before
from qstore_core.gates import GATES

Matrix = NDArray[np.complex128]

PAULI: dict[str, Matrix] = {
    "I": np.eye(2, dtype=np.complex128),
    "X": np.array([[0, 1], [1, 0]], dtype=np.complex128),
    "Y": np.array([[0, -1j], [1j, 0]]),
    "Z": np.diag([1, -1]).astype(np.complex128),
}
CLIFFORD = {"x", "y", "z", "h", "s", "sdg", "sx", "cnot", "cz", "swap"}
MARKS = ["", "X", "Y", "Z", "XY", "XZ", "YZ", "XYZ"]


def matrix_of(word: str) -> Matrix:
    return reduce(np.kron, (PAULI[letter] for letter in word)).astype(np.complex128)


def unitary(name: str, angle: float) -> Matrix:
    """`exp(-i angle H)` as a power series, or the fixed matrix."""
    matrix = GATES[name].matrix
    if not GATES[name].has_angle:
        return matrix
    term = total = np.eye(len(matrix), dtype=np.complex128)
    for order in range(1, 60):
        term = term @ (-1j * angle * matrix) / order
        total = total + term
    return total


def words_in(matrix: Matrix, n_qubits: int) -> set[str]:
    words = map("".join, product("IXYZ", repeat=n_qubits))
    return {word for word in words if abs(np.trace(matrix_of(word) @ matrix)) > 1e-9 * len(matrix)}


class TestCliffordImages:
    def test_the_clifford_gates_are_found(self) -> None:
        assert {name for name in GATES if clifford_images(name) is not None} == CLIFFORD

    @pytest.mark.parametrize("name", sorted(CLIFFORD))
    def test_every_word_becomes_the_word_that_the_matrices_give(self, name: str) -> None:
        gate, images = GATES[name], clifford_images(name)
        assert images is not None
        assert set(images) == {"".join(word) for word in product("IXYZ", repeat=gate.n_qubits)}
        for word, (image, sign) in images.items():
            conjugated = gate.matrix.conj().T @ matrix_of(word) @ gate.matrix
            np.testing.assert_allclose(sign * matrix_of(image), conjugated, rtol=0, atol=1e-12)


class TestMarks:
    @pytest.mark.parametrize("name", sorted(GATES))
    def test_they_hold_exactly_the_letters_that_the_gate_can_make(self, name: str) -> None:
        n_qubits = GATES[name].n_qubits
        matrices = [unitary(name, angle) for angle in (0.4, 1.7, -2.9)]
        images = {
            word: [u.conj().T @ matrix_of(word) @ u for u in matrices]
            for word in map("".join, product("IXYZ", repeat=n_qubits))
        }
        made = {word: set().union(*(words_in(each, n_qubits) for each in images[word])) for word in images}
        still = {word: all(np.allclose(each, matrix_of(word)) for each in images[word]) for word in images}
        for marks in product(MARKS, repeat=n_qubits):
            words = list(map("".join, product(*("I" + mark for mark in marks))))
            found = marks_before(name, marks)
            assert (found is None) == all(still[word] for word in words)
            letters = [{image[qubit] for word in words for image in made[word]} - {"I"} for qubit in range(n_qubits)]
            assert found is None or [set(mark) for mark in found] == letters

    @pytest.mark.parametrize(
        ("name", "marks"),
        [
            ("rz", ("Z",)),
            ("rx", ("X",)),
            ("ry", ("Y",)),
            ("sx", ("X",)),
            ("p", ("Z",)),
            ("t", ("Z",)),
            ("cz", ("Z", "Z")),
            ("crz", ("Z", "Z")),
            ("cnot", ("Z", "X")),
            ("cnot", ("Z", "")),
            ("crx", ("Z", "X")),
            ("rxx", ("X", "X")),
            ("ryy", ("Y", "Y")),
            ("rzz", ("Z", "Z")),
            ("toffoli", ("Z", "Z", "X")),
            ("swap", ("", "")),
        ],
    )
    def test_gates_commute_with_what_they_are_diagonal_in(self, name: str, marks: tuple[str, ...]) -> None:
        assert marks_before(name, marks) is None

    @pytest.mark.parametrize(
        ("name", "marks"),
        [("rz", ("XZ",)), ("x", ("Z",)), ("cnot", ("Z", "Z")), ("cz", ("Z", "X")), ("swap", ("Z", ""))],
    )
    def test_gates_that_change_a_word_stay(self, name: str, marks: tuple[str, ...]) -> None:
        assert marks_before(name, marks) is not None


class TestZeros:
    @pytest.mark.parametrize("name", sorted(GATES))
    def test_a_gate_keeps_zeros_when_it_does_nothing_but_a_phase_to_any_such_state(self, name: str) -> None:
        rng = np.random.default_rng(5)
        n_qubits = GATES[name].n_qubits
        for touched in product((False, True), repeat=n_qubits):
            factors = [rng.normal(size=2) + 1j * rng.normal(size=2) if each else np.array([1, 0]) for each in touched]
            state = reduce(np.kron, factors)
            state = state / np.linalg.norm(state)
            kept = [abs(np.vdot(state, unitary(name, angle) @ state)) for angle in (0.4, 1.7, -2.9)]
            assert keeps_zeros(name, touched) == np.allclose(kept, 1, rtol=0, atol=1e-9)
