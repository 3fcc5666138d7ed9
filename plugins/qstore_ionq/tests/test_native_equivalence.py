"""What would be sent does what the circuit says: the JSON is simulated from the published matrices of its gates."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from typing import Any

import cirq
import cirq_ionq
import numpy as np
import pytest
from qstore_ionq.native import Program, compile_native, compile_qis
from qstore_ionq.native.qis import GATE_PARTS
from qstore_ionq.native.rotations import GATE_ROTATIONS

from qstore_core.arrays import ComplexArray, FloatArray
from qstore_core.gates import GATES
from qstore_core.lightcone import reduce_circuit
from qstore_core.measurement import register_group
from qstore_core.observables import MeasurementGroup, PauliSum
from qstore_core.operations import CircuitStructure

X, Y, Z = (GATES[name].matrix for name in "xyz")
MATRICES = {
    "h": (X + Z) / np.sqrt(2),
    "s": np.diag([1, 1j]),
    "si": np.diag([1, -1j]),
    "t": np.diag([1, np.exp(0.25j * np.pi)]),
    "ti": np.diag([1, np.exp(-0.25j * np.pi)]),
    "v": np.array([[1 + 1j, 1 - 1j], [1 - 1j, 1 + 1j]]) / 2,
    "vi": np.array([[1 - 1j, 1 + 1j], [1 + 1j, 1 - 1j]]) / 2,
    "x": X,
    "y": Y,
    "z": Z,
    "cnot": np.eye(4)[[0, 1, 3, 2]],
}
GENERATORS = {"rx": X, "ry": Y, "rz": Z, "xx": np.kron(X, X), "yy": np.kron(Y, Y), "zz": np.kron(Z, Z)}
TO_Z = {"X": ("h",), "Y": ("sdg", "h"), "Z": ()}


def phase(turns: float) -> complex:
    return complex(np.exp(2j * np.pi * turns))


def native_matrix(gate: dict[str, Any]) -> ComplexArray:
    assert all(0 <= p < 1 for p in [gate.get("phase", 0), *gate.get("phases", [])])
    match gate:
        case {"gate": "gpi", "target": _, "phase": p, **rest} if not rest:
            return np.array([[0, phase(-p)], [phase(p), 0]])
        case {"gate": "gpi2", "target": _, "phase": p, **rest} if not rest:
            return np.array([[1, -1j * phase(-p)], [-1j * phase(p), 1]]) / np.sqrt(2)
        case {"gate": "zz", "targets": _, "angle": a, **rest} if not rest and 0 <= a <= 0.25:
            return np.diag([phase(-a / 2), phase(a / 2), phase(a / 2), phase(-a / 2)])
        case {"gate": "ms", "targets": _, "phases": [p, q], "angle": a, **rest} if not rest and 0 <= a <= 0.25:
            c, s = np.cos(np.pi * a), -1j * np.sin(np.pi * a)
            return np.array(
                [
                    [c, 0, 0, s * phase(-p - q)],
                    [0, c, s * phase(q - p), 0],
                    [0, s * phase(p - q), c, 0],
                    [s * phase(p + q), 0, 0, c],
                ]
            )
    raise AssertionError(f"not a native gate: {gate}")


def qis_matrix(gate: dict[str, Any]) -> ComplexArray:
    if gate["gate"] in MATRICES:
        assert "rotation" not in gate
        return MATRICES[gate["gate"]]
    generator, half = GENERATORS[gate["gate"]], gate["rotation"] / 2
    return np.cos(half) * np.eye(len(generator)) - 1j * np.sin(half) * generator


def qubits_of(gate: dict[str, Any]) -> tuple[int, ...]:
    if "targets" in gate:
        return tuple(gate["targets"])
    return (gate["control"], gate["target"]) if "control" in gate else (gate["target"],)


def applied(state: ComplexArray, matrix: ComplexArray, qubits: tuple[int, ...]) -> ComplexArray:
    k = len(qubits)
    tensor = matrix.reshape((2,) * 2 * k)
    return np.moveaxis(np.tensordot(tensor, state, axes=(range(k, 2 * k), qubits)), range(k), qubits)


def zeros(n_qubits: int) -> ComplexArray:
    state = np.zeros((2,) * n_qubits, dtype=complex)
    state[(0,) * n_qubits] = 1
    return state


def read(state: ComplexArray, qubits: tuple[int, ...]) -> FloatArray:
    """The distribution of some qubits' bits, the first qubit most significant."""
    probabilities = np.abs(state) ** 2
    others = tuple(qubit for qubit in range(state.ndim) if qubit not in qubits)
    left = sorted(qubits)
    return probabilities.sum(axis=others).transpose([left.index(qubit) for qubit in qubits]).ravel()


def source_distribution(structure: CircuitStructure, angles: FloatArray, group: MeasurementGroup) -> FloatArray:
    state, values = zeros(structure.n_qubits), iter(angles)
    for name, qubits in structure.gates:
        gate = GATES[name]
        state = applied(state, gate.unitaries([next(values)])[0] if gate.has_angle else gate.matrix, qubits)
    for qubit, letter in group.basis:
        for name in TO_Z[letter]:
            state = applied(state, GATES[name].matrix, (qubit,))
    return read(state, group.qubits)


def sent_distribution(
    circuit: list[dict[str, Any]], n_qubits: int, gateset: str, readout: tuple[int, ...]
) -> FloatArray:
    state = zeros(n_qubits)
    for gate in circuit:
        matrix = native_matrix(gate) if gateset == "native" else qis_matrix(gate)
        state = applied(state, matrix, qubits_of(gate))
    return read(state, readout)


def programs(structure: CircuitStructure, groups: tuple[MeasurementGroup, ...]) -> Iterator[Program]:
    yield compile_native(structure, groups, family="zz")
    yield compile_native(structure, groups, family="ms")
    yield compile_qis(structure, groups)


def check(structure: CircuitStructure, groups: tuple[MeasurementGroup, ...], angles: FloatArray) -> None:
    expected = [[source_distribution(structure, row, group) for group in groups] for row in angles]
    for program in programs(structure, groups):
        bound = program.bind(angles)
        circuits = bound.circuits()
        for row in range(len(angles)):
            for group in range(len(groups)):
                circuit = bound.circuit(row, group)
                assert next(circuits) == circuit == json.loads(bound.json(row, group))
                counts = [sum(len(qubits_of(gate)) == width for gate in circuit) for width in (1, 2)]
                assert counts == bound.gate_counts()[row, group].tolist()
                assert all(n <= most for n, most in zip(counts, program.gate_counts(group), strict=True))
                found = sent_distribution(circuit, program.n_qubits, program.gateset, program.readout(group))
                np.testing.assert_allclose(found, expected[row][group], rtol=0, atol=1e-10)


def random_structure(rng: np.random.Generator, n_qubits: int, length: int) -> CircuitStructure:
    """Any gates anywhere; a third of them repeats one of the last four, so that there is something to merge."""
    names = [name for name, gate in GATES.items() if gate.n_qubits <= n_qubits]
    gates: list[tuple[str, tuple[int, ...]]] = []
    for name in map(str, rng.choice(names, size=length)):
        qubits = tuple(map(int, rng.permutation(n_qubits)[: GATES[name].n_qubits]))
        again = gates and rng.random() < 1 / 3
        gates.append(gates[-int(rng.integers(1, 1 + min(4, len(gates))))] if again else (name, qubits))
    return CircuitStructure(n_qubits, tuple(gates))


def random_group(rng: np.random.Generator, n_qubits: int) -> MeasurementGroup:
    qubits = sorted(rng.permutation(n_qubits)[: rng.integers(1, n_qubits + 1)])
    return MeasurementGroup(tuple((int(qubit), "XYZ"[rng.integers(3)]) for qubit in qubits))


def random_angles(rng: np.random.Generator, n_angles: int) -> FloatArray:
    """A row of generic angles, one of multiples of a quarter turn, one of both, and one of large or tiny ones."""
    generic, quarters = rng.normal(scale=2, size=n_angles), rng.integers(-5, 6, size=n_angles) * (np.pi / 2)
    extreme = rng.choice([0.0, 1e-9, -1e-14, 1e5, -12345.678, 2 * np.pi, -np.pi], size=n_angles)
    return np.array([generic, quarters, np.where(rng.random(n_angles) < 0.5, generic, quarters), extreme])


@pytest.mark.parametrize("seed", range(300))
def test_what_is_sent_has_the_distribution_of_the_circuit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_qubits = 1 + seed % 6
    structure = random_structure(rng, n_qubits, length=int(rng.integers(1, 8 * n_qubits)))
    groups = (register_group(n_qubits), random_group(rng, n_qubits))
    check(structure, groups, random_angles(rng, structure.n_angles))


def structure_of(text: str, n_qubits: int) -> CircuitStructure:
    """`"rzz 0 1, rx 2"` as a structure."""
    gates = [gate.split() for gate in text.split(",")]
    return CircuitStructure(n_qubits, tuple((name, tuple(map(int, qubits))) for name, *qubits in gates))


SIGNS = np.array(list(product((-1.0, 0.0, 1.0), repeat=3)))


@pytest.mark.parametrize("scale", [0.7, 2.0, np.pi / 2, np.pi, 5.0])
@pytest.mark.parametrize(
    "text",
    [
        "ry 0, ry 1, ry 2, rzz 0 1, rzz 1 2, rzz 2 0",
        "h 0, h 1, h 2, rzz 0 1, rzz 1 2, rzz 2 0, sx 0, sx 1, sx 2",
        "rxx 0 1, rxx 1 2, rzz 0 2",
        "h 0, rzz 0 1, rzz 0 2, rzz 0 1, h 0",
        "rxx 0 1, ryy 1 2, crx 2 0, swap 0 1, h 1",
        "h 0, ry 1, cnot 0 1, rz 1, cnot 0 1, ry 1, sx 0",
        "h 0, ry 1, cz 0 1, rx 0, t 1, cz 1 0, ry 1, sx 0",
        "sx 0, ry 1, cnot 1 0, sdg 0, crz 0 1, ry 1, rz 0, cnot 1 0, sx 1, sx 0",
        "rx 0, ry 1, h 2, cnot 0 1, rzz 1 2, cnot 0 1, sx 0, sx 1, sx 2",
    ],
)
def test_every_combination_of_signs_and_half_turns_is_right(text: str, scale: float) -> None:
    structure = structure_of(text, 3)
    free = np.hstack([np.ones((27, 3)), SIGNS])[:, -structure.n_angles :]
    groups = (register_group(3), MeasurementGroup(((0, "X"), (1, "Y"), (2, "Z"))))
    check(structure, groups, scale * free)


@pytest.mark.parametrize(
    "text", ["cnot 0 1, {} 1, cnot 0 1", "cz 0 1, {} 0, rz 1, cz 0 1", "cnot 1 0, cnot 0 1, {} 1, cnot 0 1"]
)
@pytest.mark.parametrize("between", ["rx", "ry", "rz", "t", "tdg"])
@pytest.mark.parametrize("after", ["sx 0, sx 1", "h 0, h 1", "t 0, sx 0, h 1"])
def test_rotations_between_equal_cnots_are_right(text: str, between: str, after: str) -> None:
    structure = structure_of(f"ry 0, ry 1, t 0, t 1, sx 0, h 1, {text.format(between)}, {after}", 2)
    angles = np.random.default_rng(4).normal(size=(2, structure.n_angles))
    check(structure, (register_group(2), MeasurementGroup(((0, "X"), (1, "Y")))), angles)


def test_layers_of_eight_qubits_and_what_is_left_of_them_with_free_tails() -> None:
    layer = [(name, (qubit,)) for qubit in range(8) for name in ("ry", "rz")]
    structure = CircuitStructure(8, (*layer, *(("cnot", (qubit, qubit + 1)) for qubit in range(7))) * 2)
    reduced = reduce_circuit(structure, tuple(PauliSum.of(f"Z{qubit}") for qubit in range(8)), "auto")
    rng = np.random.default_rng(1)
    for each in (structure, reduced.structure):
        check(each, (register_group(8),), rng.normal(size=(3, each.n_angles)))


def test_qubits_that_are_not_read_and_circuits_without_gates() -> None:
    groups = (MeasurementGroup(()), MeasurementGroup(((1, "Z"),)), MeasurementGroup(((0, "X"), (2, "Z"))))
    check(structure_of("ry 0, cnot 0 1, rz 0, rx 1, rz 2", 3), groups, np.array([[0.3, 1.0, 2.0, 3.0]]))
    check(CircuitStructure(2, ()), groups[:2], np.empty((2, 0)))


@pytest.mark.parametrize("name", sorted(set(GATES) - {"swap"}))
def test_every_gate_is_the_product_of_its_parts(name: str) -> None:
    gate, angle = GATES[name], 0.7321
    expected = gate.unitaries([angle])[0] if gate.has_angle else gate.matrix
    rotated = parts = np.eye(2**gate.n_qubits).reshape((2,) * 2 * gate.n_qubits).astype(complex)
    for word, weight, turns in GATE_ROTATIONS[name]:
        pauli = np.eye(1)
        for letter in word:
            pauli = np.kron(pauli, {"I": np.eye(2), "X": X, "Y": Y, "Z": Z}[letter])
        half = (weight * angle + 2 * np.pi * turns) / 2
        rotated = applied(
            rotated, np.cos(half) * np.eye(len(pauli)) - 1j * np.sin(half) * pauli, tuple(range(gate.n_qubits))
        )
    for part, places, weight, turns in GATE_PARTS[name]:
        document = {"gate": part} | ({"rotation": weight * angle + 2 * np.pi * turns} if part in GENERATORS else {})
        parts = applied(parts, qis_matrix(document), places)
    for made in (rotated, parts):
        matrix = made.reshape(expected.shape)
        assert cirq.equal_up_to_global_phase(matrix, expected, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_two_pulses_are_any_gate_of_one_qubit(seed: int) -> None:
    """The closed form that `qstore_ionq.native.poles` states."""
    a, b, t = np.random.default_rng(seed).normal(scale=3, size=3)
    turn = 2 * np.pi

    def pulse(phase: float) -> ComplexArray:
        return native_matrix({"gate": "gpi2", "target": 0, "phase": phase % 1})

    rz, rx = (lambda angle, name=name: GATES[name].unitaries([angle])[0] for name in ("rz", "rx"))
    two = rz(a + b - t) @ pulse((t - b) / turn - 0.25) @ pulse(0.25 - b / turn)
    assert cirq.equal_up_to_global_phase(two, rz(a) @ rx(t) @ rz(b), atol=1e-12)


def test_the_matrices_of_these_tests_are_those_of_cirq_ionq() -> None:
    p, q, a = 0.17, 0.81, 0.13
    pairs = [
        ({"gate": "gpi", "target": 0, "phase": p}, cirq_ionq.GPIGate(phi=p)),
        ({"gate": "gpi2", "target": 0, "phase": p}, cirq_ionq.GPI2Gate(phi=p)),
        ({"gate": "ms", "targets": [0, 1], "phases": [p, q], "angle": a}, cirq_ionq.MSGate(phi0=p, phi1=q, theta=a)),
        ({"gate": "zz", "targets": [0, 1], "angle": a}, cirq_ionq.ZZGate(theta=a)),
    ]
    for document, gate in pairs:
        np.testing.assert_allclose(native_matrix(document), cirq.unitary(gate), rtol=0, atol=1e-12)
