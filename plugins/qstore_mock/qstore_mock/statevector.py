"""Exact simulation of pure states: run a program, read it out, and differentiate it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qstore_core.arrays import ComplexArray, FloatArray
from qstore_core.measurement import MeasurementPlan
from qstore_mock.kernels import apply_matrix, marginal, probabilities, zero_state
from qstore_mock.program import Program, Step

# How many arrays as large as the states exist at once, at the most.
COPIES = 5
GRADIENT_COPIES = 6


def run(program: Program, angles: FloatArray) -> ComplexArray:
    """The final states of the rows of `angles`: `(n_rows, 2**n_qubits)`."""
    state = zero_state(len(angles), program.n_qubits)
    for step in program.steps:
        step.apply(state, angles)
    return state


def group_probabilities(program: Program, state: ComplexArray) -> Iterator[FloatArray]:
    """The outcome probabilities of each measurement group, one after the other, `(n_rows, 2**n_bits)`."""
    for group, rotations in zip(program.groups, program.rotations, strict=True):
        yield marginal(probabilities(_rotated(state, rotations)), program.n_qubits, group.qubits)


def angle_gradients(program: Program, plan: MeasurementPlan, angles: FloatArray, cotangents: FloatArray) -> FloatArray:
    """The adjoint method (Jones and Gacon, arXiv 2009.02823), for all rows at once.

    With `|lambda> = O |psi>` for the observable `O = sum_k cotangent_k O_k`, and a gate `exp(-i t H)`, the derivative
    of `<psi|O|psi>` by `t` is `2 Im <lambda|H|psi>`, both states taken right after the gate. One backward pass that
    undoes gate after gate on both states gives every derivative.

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
    for index, rotations in enumerate(program.rotations):
        total += _weighted_group(program, index, rotations, state, plan.diagonals(index, cotangents))
    return total


def _weighted_group(
    program: Program, index: int, rotations: tuple[Step, ...], state: ComplexArray, diagonals: FloatArray
) -> ComplexArray:
    """The part of one measurement group in `_weighted_observable`; in its basis it is diagonal."""
    part = state.copy()
    no_angles = np.empty((len(state), 0))
    for step in rotations:
        step.apply(part, no_angles)
    _scale(part, diagonals, program.n_qubits, program.groups[index].qubits)
    for step in reversed(rotations):
        step.apply(part, no_angles, adjoint=True)
    return part


def _scale(state: ComplexArray, factors: FloatArray, n_qubits: int, qubits: tuple[int, ...]) -> None:
    """Multiply amplitudes by factors `(n_rows, 2**len(qubits))` of some qubits' outcomes, in place."""
    shape = [2 if qubit in qubits else 1 for qubit in range(n_qubits)]
    tensor = state.reshape(-1, *(2,) * n_qubits)
    tensor *= factors.reshape(-1, *shape)


def _generator_overlap(step: Step, costate: ComplexArray, state: ComplexArray) -> ComplexArray:
    """`<costate|H|state>` of each row for the generator H of a gate."""
    generated = state.copy()
    generator = step.gate.matrix
    apply_matrix(generated, step.blocks, generator, generator != 0)
    overlap: ComplexArray = np.einsum("ra,ra->r", costate.conj(), generated)
    return overlap
