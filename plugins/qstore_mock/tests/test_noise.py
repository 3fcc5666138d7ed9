"""Density matrices, depolarising gates and misread bits against Cirq's density-matrix simulator and its channels."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import cirq
import numpy as np
import pytest
from qstore_mock.backend import MockBackend
from qstore_mock.noise import Noise

from qstore_core.arrays import ComplexArray
from qstore_core.batch import BatchResult, CircuitBatch, estimates
from qstore_core.circuit import QuantumCircuit
from qstore_core.errors import ConfigurationError
from qstore_core.gates import GATES
from qstore_core.observables import PauliString, PauliSum
from qstore_core.randomness import StepKey

Execute = Callable[[MockBackend, CircuitBatch], BatchResult]
RandomCircuit = Callable[..., QuantumCircuit]
RandomObservables = Callable[..., tuple[PauliSum, ...]]

PI = np.pi
CIRQ_GATES: dict[str, Callable[[float], cirq.Gate]] = {
    "x": lambda _: cirq.X,
    "y": lambda _: cirq.Y,
    "z": lambda _: cirq.Z,
    "h": lambda _: cirq.H,
    "s": lambda _: cirq.S,
    "sdg": lambda _: cirq.S**-1,
    "t": lambda _: cirq.T,
    "tdg": lambda _: cirq.T**-1,
    "sx": lambda _: cirq.X**0.5,
    "cnot": lambda _: cirq.CNOT,
    "cz": lambda _: cirq.CZ,
    "swap": lambda _: cirq.SWAP,
    "toffoli": lambda _: cirq.TOFFOLI,
    "rx": cirq.rx,
    "ry": cirq.ry,
    "rz": cirq.rz,
    "p": lambda angle: cirq.ZPowGate(exponent=angle / PI),
    "rxx": lambda angle: cirq.XXPowGate(exponent=angle / PI, global_shift=-0.5),
    "ryy": lambda angle: cirq.YYPowGate(exponent=angle / PI, global_shift=-0.5),
    "rzz": lambda angle: cirq.ZZPowGate(exponent=angle / PI, global_shift=-0.5),
    "crx": lambda angle: cirq.rx(angle).controlled(),
    "cry": lambda angle: cirq.ry(angle).controlled(),
    "crz": lambda angle: cirq.rz(angle).controlled(),
}
TO_Z = {"X": cirq.ry(-PI / 2), "Y": cirq.rx(PI / 2), "Z": cirq.I}


def cirq_density(circuit: QuantumCircuit, one_qubit: float = 0.0, many_qubits: float = 0.0) -> ComplexArray:
    """The final density matrix, each gate followed by Cirq's depolarising channel on its qubits.

    Cirq's p is the probability of a Pauli error other than the identity. Replacing the state of d levels by the
    maximally mixed one with probability r is p = r (d^2 - 1) / d^2.
    """
    line = cirq.LineQubit.range(circuit.n_qubits)
    program = cirq.Circuit(cirq.I.on_each(*line))
    for operation in circuit.operations:
        qubits = [line[qubit] for qubit in operation.qubits]
        program.append(CIRQ_GATES[operation.name](operation.angle.offset if operation.angle else 0.0).on(*qubits))
        strength = one_qubit if len(qubits) == 1 else many_qubits
        if strength:
            p = strength * {1: 3 / 4, 2: 15 / 16, 3: 63 / 64}[len(qubits)]
            program.append(cirq.depolarize(p, n_qubits=len(qubits)).on(*qubits))
    return simulate(program, None)


def simulate(program: cirq.Circuit, density: ComplexArray | None) -> ComplexArray:
    simulator = cirq.DensityMatrixSimulator(dtype=np.complex128)
    result = simulator.simulate(program, initial_state=0 if density is None else density)
    final: ComplexArray = result.final_density_matrix
    return final


def cirq_expectation(
    density: ComplexArray, n_qubits: int, observable: PauliSum, read_0_as_1: float = 0.0, read_1_as_0: float = 0.0
) -> float:
    """The expectation value when bits are misread.

    A misread bit is a relaxed qubit: after the rotation into the measurement basis, Cirq's generalised amplitude
    damping takes 1 to 0 with probability `p gamma` and 0 to 1 with `(1 - p) gamma`.
    """
    line = cirq.LineQubit.range(n_qubits)
    order = {qubit: qubit.x for qubit in line}
    gamma = read_0_as_1 + read_1_as_0
    total = 0.0
    for term in observable.terms:
        program = cirq.Circuit(cirq.I.on_each(*line))
        program.append(TO_Z[letter].on(line[qubit]) for qubit, letter in term.letters)
        if gamma:
            misread = cirq.generalized_amplitude_damp(p=read_1_as_0 / gamma, gamma=gamma)
            program.append(misread.on(line[qubit]) for qubit in term.qubits)
        rotated = simulate(program, density)
        word = cirq.PauliString({line[qubit]: cirq.Z for qubit in term.qubits}, coefficient=term.coefficient)
        total += word.expectation_from_density_matrix(rotated, order).real
    return total


def exact(circuit: QuantumCircuit, observables: tuple[PauliSum, ...] | None = None) -> CircuitBatch:
    return CircuitBatch(circuit.structure, circuit.angles(), observables)


def test_depolarised_expectation_values_are_those_of_cirq(
    random_circuit: RandomCircuit, random_observables: RandomObservables, execute: Execute, rng: np.random.Generator
) -> None:
    seen: set[str] = set()
    for number in range(16):
        n_qubits, (one, many) = 1 + number % 4, rng.uniform(0, 0.2, size=2).tolist()
        circuit = random_circuit(rng, n_qubits, 12)
        observables = random_observables(rng, n_qubits)
        values = execute(MockBackend(depolarizing=(one, many)), exact(circuit, observables)).expectations
        density = cirq_density(circuit, one, many)
        expected = [cirq_expectation(density, n_qubits, observable) for observable in observables]
        np.testing.assert_allclose(values, [expected], atol=1e-10)
        seen |= set(circuit.count_gates())
    assert seen == set(GATES)


@pytest.mark.parametrize("name", GATES)
def test_the_noise_of_each_gate_has_the_strength_of_cirqs(name: str, execute: Execute) -> None:
    gate = GATES[name]
    circuit = QuantumCircuit(3).ry(0, 0.4).ry(1, 0.9).ry(2, 1.3).cnot(0, 1).cnot(1, 2)
    circuit = circuit.append(name, (2, 0, 1)[: gate.n_qubits], 0.7 if gate.has_angle else None)
    (probabilities,) = execute(MockBackend(depolarizing=(0.3, 0.4)), exact(circuit)).probabilities or ()
    diagonal = np.diag(cirq_density(circuit, 0.3, 0.4)).real
    np.testing.assert_allclose(probabilities[0], diagonal, atol=1e-10)


@pytest.mark.parametrize("depolarizing", [0.0, (0.05, 0.1)], ids=["on pure states", "on mixed states"])
@pytest.mark.parametrize("readout_error", [0.07, (0.02, 0.15), (0.3, 0.0)], ids=["symmetric", "both", "one way"])
def test_misread_bits_are_relaxed_qubits_in_cirq(
    depolarizing: Any,
    readout_error: Any,
    random_circuit: RandomCircuit,
    random_observables: RandomObservables,
    execute: Execute,
    rng: np.random.Generator,
) -> None:
    noise = Noise.of(depolarizing, readout_error)
    for _ in range(2):
        circuit, observables = random_circuit(rng, 3, 12), random_observables(rng, 3)
        backend = MockBackend(depolarizing=depolarizing, readout_error=readout_error)
        values = execute(backend, exact(circuit, observables)).expectations
        density = cirq_density(circuit, noise.one_qubit, noise.many_qubits)
        expected = [
            cirq_expectation(density, 3, observable, noise.read_0_as_1, noise.read_1_as_0) for observable in observables
        ]
        np.testing.assert_allclose(values, [expected], atol=1e-10)


def test_a_0_and_a_1_are_misread_with_their_own_probabilities(execute: Execute) -> None:
    backend = MockBackend(readout_error=(0.1, 0.25))
    (probabilities,) = execute(backend, exact(QuantumCircuit(2).x(0))).probabilities or ()
    np.testing.assert_allclose(probabilities, [[0.25 * 0.9, 0.25 * 0.1, 0.75 * 0.9, 0.75 * 0.1]], atol=1e-15)


def test_full_strength_forgets_everything_about_the_gates_qubits(execute: Execute) -> None:
    circuit = QuantumCircuit(3).x(0).x(1).x(2).swap(0, 2)
    (probabilities,) = execute(MockBackend(depolarizing=(0.0, 1.0)), exact(circuit)).probabilities or ()
    np.testing.assert_allclose(probabilities, [[0, 0, 1 / 4, 1 / 4, 0, 0, 1 / 4, 1 / 4]], atol=1e-15)


def test_the_rotations_into_a_basis_are_free_of_noise(execute: Execute) -> None:
    circuit = QuantumCircuit(1).h(0)
    values = execute(MockBackend(depolarizing=0.2), exact(circuit, (PauliSum.of("X0"),))).expectations
    np.testing.assert_allclose(values, [[0.8]], atol=1e-14)


def test_density_matrices_without_noise_are_those_of_pure_states(
    random_circuit: RandomCircuit, random_observables: RandomObservables, execute: Execute, rng: np.random.Generator
) -> None:
    circuit, observables = random_circuit(rng, 4), random_observables(rng, 4)
    pure = execute(MockBackend(), exact(circuit, observables)).expectations
    mixed = execute(MockBackend(depolarizing=1e-15), exact(circuit, observables)).expectations
    np.testing.assert_allclose(mixed, pure, atol=1e-12)


def test_stronger_noise_means_smaller_expectation_values(execute: Execute) -> None:
    batch = exact(QuantumCircuit(2).h(0).cnot(0, 1), (PauliSum.of(PauliString("Z0 Z1")),))
    values = [execute(MockBackend(depolarizing=r), batch).expectations for r in (0.0, 0.1, 0.3, 1.0)]
    assert all(first[0, 0] > second[0, 0] for first, second in pairwise(v for v in values if v is not None))


def test_sampled_noisy_expectation_values_scatter_around_the_exact_ones(
    random_circuit: RandomCircuit, execute: Execute, rng: np.random.Generator
) -> None:
    """z-tests over 500 labels; 3 tests with a false-alarm rate of 6e-7 each, at a fixed seed."""
    circuit, backend = random_circuit(rng, 3, 10), MockBackend(depolarizing=0.05, readout_error=(0.02, 0.1))
    observables = tuple(map(PauliSum.of, ["Z0", "X1", "Y0 Z2"]))
    (expected,) = execute(backend, exact(circuit, observables)).expectations  # type: ignore[misc]
    angles, labels = np.repeat(circuit.angles(), 500, axis=0), StepKey(23).draws(sample=np.arange(500))
    batch = CircuitBatch(circuit.structure, angles, observables, 100, labels)
    means = estimates(batch, execute(backend, batch)).values.mean(axis=0)
    assert (np.abs(means - expected) < 5 * np.sqrt((1 - expected**2) / (500 * 100))).all()


@pytest.mark.parametrize("name", ["depolarizing", "readout_error"])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "0.1", None, (0.1,), (0.1, 0.2, 0.3), (0.1, 2.0)], ids=repr)
def test_what_is_no_probability_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is a probability from 0 to 1, or a pair of them, not"):
        MockBackend(**{name: value})


def test_lists_are_pairs_too() -> None:
    assert MockBackend(depolarizing=[0.1, 0.2]).noise == Noise(0.1, 0.2)  # type: ignore[arg-type]
