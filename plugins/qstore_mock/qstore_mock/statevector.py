"""Exact simulation of pure states: the parts of a program run one after the other, forwards and backwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qstore_core.arrays import BoolArray, ComplexArray, FloatArray
from qstore_mock.parts import Bound, BoundDense, BoundRotations, Rotations, State
from qstore_mock.planning import Block
from qstore_mock.program import Program

DTYPES = {"double": np.complex128, "single": np.complex64}
"""The precisions by name."""


@dataclass(frozen=True, slots=True, eq=False)
class BoundBlock:
    """A block with the angles of some rows.

    Attributes:
        block: The block.
        parts: Its parts with their angles.
        n_rows: How many rows.
        dtype: complex64 or complex128.
    """

    block: Block
    parts: tuple[Bound, ...]
    n_rows: int
    dtype: Any

    @classmethod
    def of(cls, block: Block, angles: FloatArray, shared: BoolArray, dtype: Any) -> BoundBlock:
        """With gate angles `(n_rows, n_angles)`; `shared` says which of them all rows have in common."""
        return cls(block, tuple(part.bind(angles, shared, dtype) for part in block.parts), len(angles), dtype)

    def history(self) -> list[State]:
        """The states before the first part and after each of them."""
        states = [self._zeros()]
        for place, part in enumerate(self.parts):
            states.append(self._after(place, part, states[-1]))
        return states

    def run(self) -> State:
        """The final states, `(n_branches, n_rows, 2**n_qubits)`."""
        state = self._zeros()
        for place, part in enumerate(self.parts):
            state = self._after(place, part, state)
        return state

    def go_on(self, state: State, place: int) -> State:
        """The final states from those after the part at `place`."""
        for part in self.parts[place + 1 :]:
            state = part.forward(state)
        return state

    def add_gradients(self, gradients: FloatArray, states: list[State], ends: list[State]) -> None:
        """One pass backwards: add `2 Re <costate| d state>` by every gate angle.

        This is the adjoint method (Jones and Gacon, arXiv 2009.02823), which undoes part after part on the costate.

        Args:
            gradients: `(n_rows, n_angles)`, what is added to.
            states: What `history` gave; or the final states alone, which are taken and then undone as well.
            ends: Derivatives by the conjugates of final states; the first, which is this block's, is taken.
        """
        costate, kept = ends.pop(0), len(states) > 1
        state = states[-1] if kept else states.pop()  # taken, so that no more states are held than are worked on
        for place in reversed(range(len(self.parts))):
            part = self.parts[place]
            if isinstance(part, BoundRotations | BoundDense):
                part.add_gradients(gradients, state, costate.conj())
            if place:
                costate = part.backward(costate)
                state = states[place] if kept else part.backward(state)

    def _zeros(self) -> State:
        if self.parts and isinstance(self.parts[0], BoundRotations):
            return np.empty((1, 0, 0), dtype=self.dtype)  # the first rotations make the state themselves
        state = np.zeros((1, self.n_rows, 2**self.block.n_qubits), dtype=self.dtype)
        state[..., 0] = 1
        return state

    def _after(self, place: int, part: Bound, state: State) -> State:
        if place == 0 and isinstance(part, BoundRotations):
            return part.start(self.n_rows)
        return part.forward(state)


def bind(program: Program, angles: FloatArray, dtype: Any) -> tuple[BoundBlock, ...]:
    """The blocks of a program with the angles of some rows, `(n_rows, n_angles)`."""
    shared: BoolArray = (angles == angles[:1]).all(axis=0) if len(angles) > 1 else np.zeros(angles.shape[1], dtype=bool)
    return tuple(BoundBlock.of(block, angles, shared, dtype) for block in program.blocks)


def turn_bases(rotations: Rotations | None, state: State, *, back: bool = False) -> State:
    """States in the basis that they are measured in, or from there `back`."""
    if rotations is None:
        return state
    bound = rotations.bind(np.zeros((1, 0)), np.zeros(0, dtype=bool), state.dtype)
    return bound.backward(state) if back else bound.forward(state)


def run(program: Program, angles: FloatArray, dtype: Any = np.complex128) -> ComplexArray:
    """The final states of the rows of `angles`, whole: `(n_rows, 2**n_qubits)`.

    >>> from qstore_core import QuantumCircuit
    >>> from qstore_mock.program import compile_program
    >>> circuit = QuantumCircuit(2).h(0).cnot(0, 1)
    >>> run(compile_program(circuit.structure, ()), circuit.angles()).round(4) + 0
    array([[0.7071+0.j, 0.    +0.j, 0.    +0.j, 0.7071+0.j]])
    """
    states = joined([block.run() for block in bind(program, angles, dtype)])
    states = states if program.tail is None else program.tail.forward(states)
    phases = sum(block.phase[0] + angles[:, block.phase[1]].sum(axis=1) / 2 for block in program.blocks)
    found: ComplexArray = (states * np.exp(1j * phases)[:, None]).astype(dtype, copy=False)
    return found


def joined(states: Sequence[State]) -> ComplexArray:
    """The states of the whole register from those of its blocks: `(n_rows, 2**n_qubits)`."""
    if len(states) == 1:
        whole: ComplexArray = states[0][0]
        return whole
    left, right = (np.moveaxis(state, 0, -1) for state in states)
    product: ComplexArray = left @ right.swapaxes(1, 2)
    return product.reshape(len(product), -1)
