"""Q-Store's encodings, compared with what they say they are."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import pytest
from q_store import QStoreCompatWarning
from q_store.ml import QuantumDataEncoder, QuantumFeatureMap

from qstore_core import ConfigurationError, UnknownNameError

PAULIS = {"X": np.array([[0, 1], [1, 0]]), "Y": np.array([[0, -1j], [1j, 0]]), "Z": np.diag([1, -1])}
HADAMARD = (PAULIS["X"] + PAULIS["Z"]) / np.sqrt(2)
DATA = np.array([0.3, -1.2, 0.7])


def turn(word: str, first: int, angle: float) -> np.ndarray:
    """exp(-i angle P / 2) for a word on three qubits."""
    letters = [np.eye(2)] * first + [PAULIS[letter] for letter in word]
    whole = reduce(np.kron, letters + [np.eye(2)] * (3 - len(letters)))
    return np.cos(angle / 2) * np.eye(8) - 1j * np.sin(angle / 2) * whole


def spread() -> np.ndarray:
    return reduce(np.kron, [HADAMARD] * 3)


def test_amplitude_encoding_is_exact(state_of: Any) -> None:
    with pytest.warns(QStoreCompatWarning, match="which is another state"):
        circuit = QuantumDataEncoder().encode(DATA)
    assert state_of(circuit) == pytest.approx([*DATA / np.linalg.norm(DATA), 0.0])


def test_amplitudes_are_normalised_on_request_only() -> None:
    with pytest.raises(ConfigurationError, match="normalize=True"):
        QuantumDataEncoder().amplitude_encode(DATA, normalize=False)


def test_angle_encoding_turns_by_half_turns_and_entangles() -> None:
    gates = QuantumDataEncoder("angle").encode(DATA, n_qubits=2).gates
    assert (
        repr(gates)
        == "[ry(0, params={'angle': 0.9424777960769379}), ry(1, params={'angle': -3.7699111843077517}), cnot(0,1)]"
    )


def test_basis_encoding_is_a_basis_state(state_of: Any) -> None:
    circuits = QuantumDataEncoder("basis").encode_batch([[0.9, 0.2, 0.6], [0.0, 0.0, 0.51]])
    assert [int(np.abs(state_of(circuit)).argmax()) for circuit in circuits] == [0b101, 0b001]


def test_the_zz_map_is_its_formula(state_of: Any) -> None:
    step = spread()
    for qubit, x in enumerate(DATA):
        step = turn("Z", qubit, x) @ step
    for qubit in (0, 1):
        step = turn("ZZ", qubit, DATA[qubit] * DATA[qubit + 1]) @ step
    expected = (step @ step)[:, 0]
    for kind in ("ZZFeatureMap", "zz"):
        assert state_of(QuantumFeatureMap(3, kind).map_features(DATA)) == pytest.approx(expected)
    assert state_of(QuantumFeatureMap(3).pauli_feature_map(DATA)) == pytest.approx(expected)


@pytest.mark.parametrize("word", ["Z", "X", "YX", "ZZZ", "XYZ"])
def test_a_pauli_map_rotates_about_its_word(word: str, state_of: Any) -> None:
    expected = spread()[:, 0]
    for first in range(4 - len(word)):
        expected = turn(word, first, np.prod(DATA[first : first + len(word)])) @ expected
    found = state_of(QuantumFeatureMap(3, "pauli").pauli_feature_map(DATA, word))
    assert found == pytest.approx(expected)


def test_missing_entries_count_as_zero(state_of: Any) -> None:
    maps = [state_of(QuantumFeatureMap(3).zz_feature_map(data)) for data in (DATA[:2], [*DATA[:2], 0.0])]
    assert maps[0] == pytest.approx(maps[1])


def test_other_words_than_q_store_had_are_told_once() -> None:
    with pytest.warns(QStoreCompatWarning, match="rotated about Z whatever the word"):
        QuantumFeatureMap(2).pauli_feature_map([0.1, 0.2], "XX")


@pytest.mark.parametrize(("word", "width"), [("", 3), ("ZQ", 3), ("ZZZZ", 3)])
def test_words_that_are_none_are_refused(word: str, width: int) -> None:
    with pytest.raises(ConfigurationError, match="letters X, Y and Z"):
        QuantumFeatureMap(width).pauli_feature_map(DATA, word)


def test_unknown_kinds_are_named() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'amplitude'"):
        QuantumDataEncoder("amplitud")
    with pytest.raises(UnknownNameError, match="ZZFeatureMap"):
        QuantumFeatureMap(2, "ZFeatureMap")
    with pytest.raises(ConfigurationError, match="one row"):
        QuantumDataEncoder("angle").encode([[1.0]])
