"""How many pulses and two-qubit gates circuits take, whatever their angles are."""

from __future__ import annotations

import cirq
import cirq_ionq
import numpy as np
import pytest
from qstore_ionq.native import compile_native, compile_qis
from qstore_ionq.native.poles import Family

from qstore_core.lightcone import reduce_circuit
from qstore_core.measurement import measurement_plan, register_group
from qstore_core.observables import MeasurementGroup, PauliSum
from qstore_core.operations import CircuitStructure

FAMILIES: tuple[Family, Family] = ("zz", "ms")


def layers(n_qubits: int, depth: int) -> CircuitStructure:
    """RY and RZ on every qubit and a CNOT chain, `depth` times."""
    layer = [(name, (qubit,)) for qubit in range(n_qubits) for name in ("ry", "rz")]
    chain = [("cnot", (qubit, qubit + 1)) for qubit in range(n_qubits - 1)]
    return CircuitStructure(n_qubits, (*layer, *chain) * depth)


def structure_of(text: str, n_qubits: int) -> CircuitStructure:
    """`"rzz 0 1, rx 2"` as a structure."""
    gates = [gate.split() for gate in text.split(",")]
    return CircuitStructure(n_qubits, tuple((name, tuple(map(int, qubits))) for name, *qubits in gates))


def counts(text: str, family: Family, basis: str = "ZZZ") -> tuple[int, int]:
    """The gates of a circuit of as many qubits as there are letters in `basis`; "-" is not measured."""
    structure = structure_of(text, len(basis))
    group = MeasurementGroup(tuple((qubit, letter) for qubit, letter in enumerate(basis) if letter != "-"))
    return compile_native(structure, (group,), family=family).gate_counts(0)


@pytest.mark.parametrize(
    ("n_qubits", "depth", "family", "whole", "free_tails"),
    [
        (8, 2, "zz", (45, 14), (38, 7)),
        (8, 2, "ms", (29, 14), (24, 7)),
        (16, 3, "zz", (139, 45), (124, 30)),
        (16, 3, "ms", (91, 45), (78, 30)),
    ],
)
def test_layers_of_rotations_and_cnots(
    n_qubits: int, depth: int, family: Family, whole: tuple[int, int], free_tails: tuple[int, int]
) -> None:
    structure = layers(n_qubits, depth)
    program = compile_native(structure, (register_group(n_qubits),), family=family)
    assert program.gate_counts(0) == whole
    angles = np.random.default_rng(0).normal(size=(20, structure.n_angles))
    assert (program.bind(angles).gate_counts() == whole).all()

    observables = tuple(PauliSum.of(f"Z{qubit}") for qubit in range(n_qubits))
    reduced = reduce_circuit(structure, observables, "auto")
    groups = measurement_plan(reduced.observables).groups
    assert compile_native(reduced.structure, groups, family=family).gate_counts(0) == free_tails


@pytest.mark.parametrize(
    ("gateset", "n_qubits", "depth", "expected"),
    [
        (cirq_ionq.ForteNativeGateset(), 8, 2, (222, 14)),
        (cirq_ionq.AriaNativeGateset(), 8, 2, (264, 14)),
        (cirq_ionq.ForteNativeGateset(), 16, 3, (693, 45)),
        (cirq_ionq.AriaNativeGateset(), 16, 3, (828, 45)),
    ],
)
def test_what_cirq_ionq_takes_for_the_same(
    gateset: cirq.TwoQubitCompilationTargetGateset, n_qubits: int, depth: int, expected: tuple[int, int]
) -> None:
    structure = layers(n_qubits, depth)
    angles = iter(np.random.default_rng(0).normal(size=structure.n_angles))
    qubits = cirq.LineQubit.range(n_qubits)
    circuit = cirq.Circuit()
    for name, places in structure.gates:
        on = [qubits[place] for place in places]
        circuit.append(cirq.CNOT(*on) if name == "cnot" else getattr(cirq, name)(next(angles))(*on))
    compiled = cirq.optimize_for_target_gateset(circuit, gateset=gateset)
    sizes = [len(operation.qubits) for operation in compiled.all_operations()]
    assert (sizes.count(1), sizes.count(2)) == expected


@pytest.mark.parametrize(
    ("text", "zz", "ms"),
    [
        ("ry 0", (2, 0), (2, 0)),
        ("rx 0, ry 0, rz 0, rx 0, h 0, t 0, ry 0", (2, 0), (2, 0)),
        ("h 0", (1, 0), (1, 0)),
        ("x 0", (1, 0), (1, 0)),
        ("sx 0, sx 0", (1, 0), (1, 0)),
        ("rz 0, s 0, t 0, p 0", (0, 0), (0, 0)),
        ("ry 0, ry 1, swap 0 1", (4, 0), (4, 0)),
        ("ry 0, x 0, ry 0", (2, 0), (2, 0)),
    ],
)
def test_a_run_of_one_qubit_gates_is_two_pulses_one_or_none(
    text: str, zz: tuple[int, int], ms: tuple[int, int]
) -> None:
    assert (counts(text, "zz"), counts(text, "ms")) == (zz, ms)


@pytest.mark.parametrize(
    ("text", "zz", "ms"),
    [
        # H, ZZ, H; the last GPI of MS is for angles beyond a quarter turn, and not every row has it
        ("h 0, h 1, rzz 0 1, h 0, h 1", (4, 1), (2, 1)),
        ("rxx 0 1", (4, 1), (2, 1)),
        ("h 0, h 1, cz 0 1, h 0, h 1", (4, 1), (2, 1)),
        ("ry 0, ry 1, cnot 0 1, ry 0, ry 1", (8, 1), (6, 1)),
        ("ry 0, ry 1, crz 0 1, ry 0, ry 1", (8, 1), (5, 1)),
        ("ry 0, ry 1, rzz 0 1, ryy 0 1, rxx 0 1, ry 0, ry 1", (12, 3), (8, 3)),
        ("h 0, h 1, rzz 0 1, rx 0, rx 1, rzz 0 1, rx 0, rx 1", (10, 2), (2, 2)),
    ],
)
def test_rotations_of_two_qubits_take_one_gate(text: str, zz: tuple[int, int], ms: tuple[int, int]) -> None:
    assert (counts(text, "zz", "ZZ"), counts(text, "ms", "ZZ")) == (zz, ms)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("text", "n_two_qubit_gates"),
    [
        ("cnot 0 1, rz 1, cnot 0 1", 1),  # an RZZ written with CNOTs
        ("cnot 0 1, rz 0, rz 1, cnot 0 1", 1),
        ("ry 1, cnot 0 1, ry 1, cnot 0 1", 1),  # a controlled RY written with CNOTs
        ("cz 0 1, cz 1 0", 0),
        ("rzz 0 1, rz 0, rzz 1 0, cz 0 1", 1),
        ("rxx 0 1, ryy 0 1, rxx 0 1", 2),
        ("cnot 0 1, rz 1, rx 1, cnot 0 1", 1),
        ("cnot 0 1, rz 1, rx 0, cnot 0 1", 2),
        ("swap 0 1, swap 1 2", 0),
        ("toffoli 0 1 2", 5),
        ("crx 0 1, cry 1 2, crz 2 0", 3),
    ],
)
def test_two_qubit_gates_that_can_be_merged_are(text: str, n_two_qubit_gates: int, family: Family) -> None:
    generic = "ry 0, ry 1, ry 2, "
    assert counts(generic + text + ", ry 0, ry 1, ry 2", family)[1] == n_two_qubit_gates


@pytest.mark.parametrize("family", FAMILIES)
def test_a_basis_is_part_of_the_last_pulses(family: Family) -> None:
    assert counts("ry 0, rz 0", family, "X") == counts("ry 0, rz 0", family, "Y") == (2, 0)
    assert counts("ry 0, cz 0 1, rx 1", family, "-Z") == (2, 0)  # CZ does nothing to |0>, and qubit 0 is not read
    assert counts("h 0", family, "X") == (0, 0)


def test_a_sign_that_no_pulse_can_choose_takes_a_gpi_in_the_rows_that_need_it() -> None:
    structure = structure_of("h 0, h 1, h 2, rzz 0 1, rzz 1 2, rzz 2 0, h 0, h 1, h 2", 3)
    program = compile_native(structure, (register_group(3),), family="zz")
    assert program.gate_counts(0) == (7, 3)
    counted = program.bind([[1.0, 1.0, 1.0], [-1.0, 1.0, 1.0], [-1.0, -1.0, 1.0]]).gate_counts()
    assert counted[:, 0].tolist() == [[6, 3], [7, 3], [6, 3]]


def test_rows_with_special_angles_take_fewer_gates() -> None:
    structure = CircuitStructure(2, (("ry", (0,)), ("ry", (1,)), ("rzz", (0, 1)), ("ry", (0,)), ("ry", (1,))))
    bound = compile_native(structure, (register_group(2),), family="zz").bind(
        [[0.3, 0.3, 0.3, 0.3, 0.3], [0.0, np.pi, 0.3, 0.3, 0.3], [0.3, 0.3, 0.0, 0.3, 0.3], [0.0] * 5]
    )
    assert bound.gate_counts()[:, 0].tolist() == [[8, 1], [5, 1], [8, 0], [0, 0]]


def test_abstract_circuits_have_the_gates_as_written() -> None:
    for n_qubits, depth, n_two_qubit_gates in ((8, 2, 14), (16, 3, 45)):
        structure = layers(n_qubits, depth)
        program = compile_qis(structure, (register_group(n_qubits),))
        # the last RZ are outside the light cone of what is measured
        assert program.gate_counts(0) == (2 * n_qubits * depth - n_qubits, n_two_qubit_gates)
