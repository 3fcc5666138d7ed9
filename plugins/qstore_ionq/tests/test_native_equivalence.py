"""What would be sent does what the circuit says: the JSON is simulated from the published matrices of its gates."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from qstore_ionq.native import Program, compile_native, compile_qis

from qstore_core.arrays import ComplexArray, FloatArray
from qstore_core.gates import GATES
from qstore_core.measurement import register_group
from qstore_core.observables import MeasurementGroup
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
    names = [name for name, gate in GATES.items() if gate.n_qubits <= n_qubits]
    chosen = map(str, rng.choice(names, size=length))
    return CircuitStructure(
        n_qubits,
        tuple((name, tuple(map(int, rng.permutation(n_qubits)[: GATES[name].n_qubits]))) for name in chosen),
    )


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
