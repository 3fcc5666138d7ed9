"""Exact derivatives by every gate angle, from one pass forwards and one backwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from qstore_core.arrays import FloatArray
from qstore_core.measurement import MeasurementPlan
from qstore_mock.parts import State
from qstore_mock.program import Program
from qstore_mock.readout import costates, expectations
from qstore_mock.statevector import BoundBlock, bind

Passed: TypeAlias = tuple[Sequence[BoundBlock], Sequence[list[State]]]
"""A pass forwards: the bound blocks, and for each the states to go back along."""

_OTHERS = 6  # the costate, its conjugate and what is made of either


def angle_gradients(
    program: Program,
    plan: MeasurementPlan,
    angles: FloatArray,
    cotangents: FloatArray,
    dtype: Any = np.complex128,
    *,
    fits: int = 2**62,
) -> FloatArray:
    """Derivatives of `sum(cotangents * expectations)` of each row by its angles, `(n_rows, n_angles)`.

    Args:
        program: What to run.
        plan: How the observables are read.
        angles: `(n_rows, n_angles)`, radians.
        cotangents: `(n_rows, n_observables)`.
        dtype: complex64 or complex128.
        fits: How many whole states fit into the memory. If those between all parts of the circuit do not, the states
            are undone on the way back as well.

    >>> from qstore_core import QuantumCircuit
    >>> from qstore_core.measurement import measurement_plan
    >>> from qstore_core.observables import PauliSum
    >>> from qstore_mock.program import compile_program
    >>> circuit, plan = QuantumCircuit(1).ry(0, np.pi / 2), measurement_plan((PauliSum.of("Z0"),))
    >>> program = compile_program(circuit.structure, plan.groups)
    >>> angle_gradients(program, plan, circuit.angles(), np.ones((1, 1))).round(12)
    array([[-1.]])
    """
    blocks = bind(program, angles, dtype)
    kept = len(program.blocks) > 1 or len(angles) * (len(program.blocks[0].parts) + _OTHERS) <= fits
    histories = [block.history() if kept else [block.run()] for block in blocks]
    return gradients_back(program, plan, angles, cotangents, (blocks, histories))


def pass_forwards(
    program: Program, plan: MeasurementPlan, angles: FloatArray, dtype: Any = np.complex128
) -> tuple[FloatArray, Passed]:
    """Expectation values `(n_rows, n_observables)`, and what `gradients_back` goes back along."""
    blocks = bind(program, angles, dtype)
    histories = [block.history() for block in blocks]
    return expectations(program, plan, [states[-1] for states in histories]), (blocks, histories)


def gradients_back(
    program: Program,
    plan: MeasurementPlan,
    angles: FloatArray,
    cotangents: FloatArray,
    passed: Passed,
) -> FloatArray:
    """`angle_gradients` when the pass forwards was done already."""
    blocks, histories = passed
    gradients = np.zeros(angles.shape)
    if plan.groups:
        ends = list(costates(program, plan, [states[-1] for states in histories], cotangents))
        for block, states in zip(blocks, histories, strict=True):
            block.add_gradients(gradients, states, ends)
    return gradients
