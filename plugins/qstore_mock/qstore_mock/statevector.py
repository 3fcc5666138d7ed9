"""Exact simulation of pure states: run a program, read it out, and differentiate it."""

from __future__ import annotations

import numpy as np

from qstore_core.arrays import ComplexArray, FloatArray
from qstore_core.measurement import MeasurementPlan
from qstore_mock.kernels import apply_matrix, marginal, probabilities, zero_state
from qstore_mock.program import Program, Step

COPIES = 4  # arrays as large as the state that exist at once, at the most


def run(program: Program, angles: FloatArray) -> ComplexArray:
    """The final states of the rows of `angles`: `(n_rows, 2**n_qubits)`."""
    state = zero_state(len(angles), program.n_qubits)
    for step in program.steps:
        step.apply(state, angles)
    return state


def group_probabilities(program: Program, state: ComplexArray) -> list[FloatArray]:
    """The outcome probabilities of each measurement group, `(n_rows, 2**n_bits)`."""
    results = []
    for group, rotations in zip(program.groups, program.rotations, strict=True):
        rotated = _rotated(state, rotations)
        results.append(marginal(probabilities(rotated), program.n_qubits, group.qubits))
    return results


def angle_gradients(
    program: Program, plan: MeasurementPlan, angles: FloatArray, cotangents: FloatArray
) -> FloatArray:
    """The adjoint method (Jones and Gacon, arXiv 2009.02823), for all rows at once.

    With `|lambda> = O |psi>` for the observable `O = sum_k cotangent_k O_k`, and a gate `exp(-i t H)`, the derivative of
    `<psi|O|psi>` by `t` is `2 Im <lambda|H|psi>`, both states taken right after the gate. One backward pass that undoes
    gate after gate on both states gives every derivative.

    Returns:
        `(n_rows, n_angles)`: derivatives of `sum(cotangents * expectations)` of each row.
    """
    state = run(program, angles)
    costate = _weighted_observable(program, plan, state, cotangents)
    gradients = np.zeros(angles.shape)
    for step in reversed(program.steps):
        if step.angle is not None:
            gradients[:, step.angle] = 2 * _generator_overlap(step, costate, state).imag
        step.apply(state, angles, adjoint=True)
        step.apply(costate, angles, adjoint=True)
    return gradients


def _rotated(state: ComplexArray, rotations: tuple[Step, ...]) -> ComplexArray:
    if not rotations:
        return state
    rotated = state.copy()
    for step in rotations:
        step.apply(rotated, np.empty((len(state), 0)))
    return rotated


def _weighted_observable(
    program: Program, plan: MeasurementPlan, state: ComplexArray, cotangents: FloatArray
) -> ComplexArray:
    """`sum_k cotangents[:, k] * O_k |state>` for each row."""
    total = (cotangents @ plan.constants)[:, None] * state
    no_angles = np.empty((len(state), 0))
    for index, (group, rotations) in enumerate(zip(program.groups, program.rotations, strict=True)):
        diagonal = _spread(plan.table(index) @ cotangents.T, program.n_qubits, group.qubits)
        part = _rotated(state, rotations) * diagonal
        for step in reversed(rotations):
            step.apply(part, no_angles, adjoint=True)
        total += part
    return total


def _spread(values: FloatArray, n_qubits: int, qubits: tuple[int, ...]) -> FloatArray:
    """A function of some qubits' outcomes, `(2**len(qubits), n_rows)`, as one of the register's: `(n_rows, 2**n)`."""
    if len(qubits) == n_qubits:
        return values.T
    shape = [2 if qubit in qubits else 1 for qubit in range(n_qubits)]
    tensor = values.T.reshape(-1, *shape)
    return np.broadcast_to(tensor, (len(tensor), *(2,) * n_qubits)).reshape(len(tensor), -1)


def _generator_overlap(step: Step, costate: ComplexArray, state: ComplexArray) -> ComplexArray:
    """`<costate|H|state>` of each row for the generator H of a gate."""
    generated = state.copy()
    generator = step.gate.matrix
    apply_matrix(generated, step.blocks, generator, generator != 0)
    overlap: ComplexArray = np.einsum("ra,ra->r", costate.conj(), generated)
    return overlap
