"""Ansatze: parameter counts, entanglement patterns and where the encoding goes."""

from __future__ import annotations

from itertools import combinations

import pytest

from qstore_core.ansatz import ANSATZ_KINDS, HardwareEfficientAnsatz, RotationAnsatz, entangling_pairs
from qstore_core.backend import BackendCapabilities
from qstore_core.circuit import QuantumCircuit
from qstore_core.encoding import ZZEncoding
from qstore_core.errors import CapabilityError, ConfigurationError, UnknownNameError

EVERYTHING = BackendCapabilities(max_qubits=100)


def connected(*pairs: tuple[int, int]) -> BackendCapabilities:
    return BackendCapabilities(max_qubits=100, connectivity=frozenset(pairs))


def names(circuit: QuantumCircuit) -> list[str]:
    return [op.name for op in circuit.operations]


@pytest.mark.parametrize(
    ("n_qubits", "depth", "efficient", "rotations"), [(8, 2, 32, 48), (16, 3, 96, 144), (1, 1, 2, 3)]
)
def test_there_are_two_or_three_parameters_a_qubit_and_layer(
    n_qubits: int, depth: int, efficient: int, rotations: int
) -> None:
    for ansatz, expected in ((HardwareEfficientAnsatz(), efficient), (RotationAnsatz(), rotations)):
        circuit = ansatz.circuit(n_qubits, depth, n_qubits, EVERYTHING)
        assert len(circuit.parameters) == expected
        assert sum(len(op.angle.terms) for op in circuit.operations if op.angle) == expected + n_qubits


@pytest.mark.parametrize("kind", ANSATZ_KINDS)
def test_parameters_are_numbered_in_the_order_of_the_gates(kind: str) -> None:
    circuit = ANSATZ_KINDS[kind]().circuit(3, 2, 0, EVERYTHING)
    used = [repr(op.angle) for op in circuit.operations if op.angle is not None]
    assert used == [f"theta[{index}]" for index in range(len(used))]
    assert [parameter.name for parameter in circuit.parameters] == used


def test_a_layer_is_rotations_on_every_qubit_then_entanglers() -> None:
    assert names(HardwareEfficientAnsatz().circuit(2, 2, 0, EVERYTHING)) == ["ry", "rz", "ry", "rz", "cnot"] * 2
    assert names(RotationAnsatz().circuit(2, 1, 0, EVERYTHING)) == ["rx", "ry", "rz"] * 2 + ["cnot"]


def test_the_encoding_comes_once_or_before_every_layer() -> None:
    once = names(HardwareEfficientAnsatz().circuit(1, 3, 1, EVERYTHING))
    again = names(HardwareEfficientAnsatz(reuploading=True).circuit(1, 3, 1, EVERYTHING))
    assert once == ["ry", *["ry", "rz"] * 3]
    assert again == ["ry", "ry", "rz"] * 3


def test_features_are_those_of_the_encoding() -> None:
    encoding = ZZEncoding(2, 2)
    circuit = HardwareEfficientAnsatz(encoding=encoding).circuit(2, 1, encoding.n_features, EVERYTHING)
    assert circuit.features == encoding.circuit().features
    assert not HardwareEfficientAnsatz().circuit(2, 1, 0, EVERYTHING).features


class TestEntanglement:
    @pytest.mark.parametrize(
        ("pattern", "n_qubits", "pairs"),
        [
            ("linear", 4, [(0, 1), (1, 2), (2, 3)]),
            ("circular", 4, [(0, 1), (1, 2), (2, 3), (3, 0)]),
            ("circular", 2, [(0, 1)]),
            ("full", 4, list(combinations(range(4), 2))),
            ("hardware_aware", 3, [(0, 1), (1, 2)]),
        ],
    )
    def test_patterns_where_all_qubits_are_connected(
        self, pattern: str, n_qubits: int, pairs: list[tuple[int, int]]
    ) -> None:
        assert list(entangling_pairs(pattern, n_qubits, EVERYTHING)) == pairs

    @pytest.mark.parametrize("pattern", ["linear", "circular", "full", "hardware_aware"])
    def test_one_qubit_is_never_entangled(self, pattern: str) -> None:
        assert entangling_pairs(pattern, 1, EVERYTHING) == ()

    def test_hardware_aware_is_a_tree_over_the_coupling_map(self) -> None:
        ring = connected((0, 1), (1, 2), (2, 3), (3, 4), (4, 0))
        assert entangling_pairs("hardware_aware", 5, ring) == ((0, 1), (0, 4), (1, 2), (4, 3))

    def test_hardware_aware_takes_pairs_in_either_order(self) -> None:
        assert entangling_pairs("hardware_aware", 3, connected((2, 1), (1, 0))) == ((0, 1), (1, 2))

    def test_hardware_aware_stays_within_the_qubits_of_the_circuit(self) -> None:
        star = connected((0, 9), (1, 9))  # qubits 0 and 1 meet only in qubit 9
        with pytest.raises(CapabilityError, match=r"does not connect qubit\(s\) 1 to qubit 0 within the first 2"):
            entangling_pairs("hardware_aware", 2, star)

    def test_all_qubits_that_cannot_be_reached_are_named(self) -> None:
        with pytest.raises(CapabilityError, match=r"qubit\(s\) 2, 3 to qubit 0 within the first 4"):
            entangling_pairs("hardware_aware", 4, connected((0, 1), (2, 3)))

    def test_an_unknown_pattern_lists_the_known_ones(self) -> None:
        with pytest.raises(UnknownNameError, match=r"'lineer'; did you mean 'linear'.*Known: circular, full"):
            entangling_pairs("lineer", 3, EVERYTHING)


def test_depth_is_at_least_one() -> None:
    with pytest.raises(ConfigurationError, match="depth is at least 1, not 0"):
        HardwareEfficientAnsatz().circuit(2, 0, 0, EVERYTHING)
