"""The adjoint gradient against finite differences and analytic results."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from qstore_mock.backend import MockBackend
from qstore_mock.program import compile_program
from qstore_mock.statevector import run

from qstore_core.arrays import FloatArray
from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.circuit import QuantumCircuit
from qstore_core.gates import GATES
from qstore_core.observables import PauliString, PauliSum

Execute = Callable[[MockBackend, CircuitBatch], BatchResult]
Differentiate = Callable[[MockBackend, CircuitBatch, FloatArray], FloatArray]
RandomCircuit = Callable[..., QuantumCircuit]
RandomObservables = Callable[..., tuple[PauliSum, ...]]

ROTATIONS = [name for name, gate in GATES.items() if gate.has_angle]
STEP = 1e-4  # the error of central differences is about STEP**2 / 6


def central_differences(batch: CircuitBatch, cotangents: FloatArray, execute: Execute) -> FloatArray:
    """The gradients of each row, from exact expectation values at shifted angles."""
    n_angles = batch.structure.n_angles
    shifts = STEP * np.concatenate([np.eye(n_angles), -np.eye(n_angles)])
    gradients = []
    for angles, weights in zip(batch.angles, cotangents, strict=True):
        shifted = CircuitBatch(batch.structure, angles + shifts, batch.observables)
        losses = execute(MockBackend(), shifted).expectations @ weights
        gradients.append((losses[:n_angles] - losses[n_angles:]) / (2 * STEP))
    return np.array(gradients)


def test_gradients_of_random_circuits_are_those_of_central_differences(
    random_circuit: RandomCircuit,
    random_observables: RandomObservables,
    execute: Execute,
    differentiate: Differentiate,
    rng: np.random.Generator,
) -> None:
    seen: set[str] = set()
    for n_qubits in (1, 2, 3, 4, 5):
        for _ in range(4):
            circuit = random_circuit(rng, n_qubits, 25).rx(0, 0.3)
            observables = random_observables(rng, n_qubits)
            angles = rng.normal(scale=2.0, size=(2, circuit.structure.n_angles))
            batch = CircuitBatch(circuit.structure, angles, observables)
            cotangents = rng.normal(size=(2, len(observables)))
            gradients = differentiate(MockBackend(), batch, cotangents)
            np.testing.assert_allclose(gradients, central_differences(batch, cotangents, execute), atol=1e-6)
            seen |= set(circuit.count_gates())
    assert seen == set(GATES)


@pytest.mark.parametrize("name", ROTATIONS)
def test_the_gradient_of_each_gate_is_that_of_central_differences(
    name: str,
    random_observables: RandomObservables,
    execute: Execute,
    differentiate: Differentiate,
    rng: np.random.Generator,
) -> None:
    qubits = (2, 0)[: GATES[name].n_qubits]
    circuit = QuantumCircuit(3)
    for qubit in range(3):
        circuit = circuit.h(qubit).ry(qubit, 0.4 + qubit)
    circuit = circuit.append(name, qubits, 0.0).cnot(0, 1).rx(2, 0.8)
    observables = random_observables(rng, 3)
    angles = np.repeat(circuit.angles(), 8, axis=0)
    angles[:, 3] = np.linspace(-7, 7, 8)
    batch = CircuitBatch(circuit.structure, angles, observables)
    cotangents = rng.normal(size=(8, len(observables)))
    gradients = differentiate(MockBackend(), batch, cotangents)
    assert np.abs(gradients[:, 3]).max() > 0.01
    np.testing.assert_allclose(gradients, central_differences(batch, cotangents, execute), atol=1e-6)


def test_the_gradient_of_a_rotation_is_the_analytic_one(differentiate: Differentiate) -> None:
    angles = np.linspace(-4, 4, 9)[:, None]
    structure = QuantumCircuit(1).ry(0, 0.0).structure
    batch = CircuitBatch(structure, angles, (PauliSum.of("Z0"), PauliSum.of("X0")))
    cotangents = np.tile([2.0, -3.0], (9, 1))
    expected = -2 * np.sin(angles) - 3 * np.cos(angles)
    np.testing.assert_allclose(differentiate(MockBackend(), batch, cotangents), expected, atol=1e-14)


def test_identities_have_no_gradient(differentiate: Differentiate) -> None:
    circuit = QuantumCircuit(2).ry(0, 0.4).rxx(0, 1, 0.3)
    batch = CircuitBatch(circuit.structure, circuit.angles(), (PauliSum.of(PauliString("I", 3.0)),))
    np.testing.assert_allclose(differentiate(MockBackend(), batch, np.ones((1, 1))), [[0, 0]], atol=1e-14)


def test_a_circuit_without_angles_has_an_empty_gradient(differentiate: Differentiate) -> None:
    circuit = QuantumCircuit(1).h(0)
    batch = CircuitBatch(circuit.structure, circuit.angles(), (PauliSum.of("Z0"),))
    assert differentiate(MockBackend(), batch, np.ones((1, 1))).shape == (1, 0)


def test_states_stay_normalised(random_circuit: RandomCircuit, rng: np.random.Generator) -> None:
    circuit = random_circuit(rng, 6, 200)
    state = run(compile_program(circuit.structure, ()), circuit.angles())
    np.testing.assert_allclose(np.sum(np.abs(state) ** 2), 1, atol=1e-12)


def test_undoing_every_step_gives_back_the_zero_state(random_circuit: RandomCircuit, rng: np.random.Generator) -> None:
    circuit = random_circuit(rng, 5, 100)
    program = compile_program(circuit.structure, ())
    state = run(program, circuit.angles())
    for step in reversed(program.steps):
        step.apply(state, circuit.angles(), adjoint=True)
    np.testing.assert_allclose(state, [[1] + [0] * 31], atol=1e-13)
