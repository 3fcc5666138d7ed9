"""From final states to what is asked of them: expectation values, probabilities, and the observables as operators.

A register that was cut is `|psi> = sum_k |A_k> |B_k>` over its branches, and a Pauli string in its basis is a sign for
each outcome of either side, so that `<psi|S|psi> = sum_kl <A_k|S_A|A_l> <B_k|S_B|B_l>`: products of small matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from qstore_core.arrays import FloatArray, IntArray
from qstore_core.measurement import MeasurementPlan
from qstore_mock.kernels import marginal
from qstore_mock.parts import State
from qstore_mock.planning import Block
from qstore_mock.program import Program
from qstore_mock.statevector import joined, turn_bases

_TABLE_ENTRIES = 2**18  # larger tables are made part by part, each time


def probabilities(program: Program, group: int, states: Sequence[State]) -> FloatArray:
    """The outcome probabilities of a measurement group, `(n_rows, 2**n_bits)` float64."""
    turned = [turn_bases(part, state) for part, state in zip(program.turned[group], states, strict=True)]
    qubits = program.groups[group].qubits
    if len(turned) == 1:
        return _read(turned[0][0], program, qubits)
    left, right = program.blocks
    if qubits and max(qubits) < right.first:
        return _read_side(left, turned, qubits)
    if qubits and min(qubits) >= right.first:
        return _read_side(right, turned[::-1], [qubit - right.first for qubit in qubits])
    return _read(joined(turned), program, qubits)


def expectations(program: Program, plan: MeasurementPlan, states: Sequence[State]) -> FloatArray:
    """The expectation values of the observables, `(n_rows, n_observables)` float64."""
    total = np.tile(plan.constants, (states[0].shape[1], 1))
    for group, parts in enumerate(program.turned):
        turned = [turn_bases(part, state) for part, state in zip(parts, states, strict=True)]
        total += _readout(program, plan, group).expectations(turned)
    return total


def costates(
    program: Program, plan: MeasurementPlan, states: Sequence[State], cotangents: FloatArray
) -> tuple[State, ...]:
    """For each block the derivative of `sum(cotangents * expectations)` by the conjugates of its states.

    With one block that is the weighted observable applied to the state, but for its multiple of the identity, which no
    gate changes. `cotangents` is `(n_rows, n_observables)`.
    """
    total: list[State] = []
    for group, parts in enumerate(program.turned):
        turned = [turn_bases(part, state) for part, state in zip(parts, states, strict=True)]
        found = _readout(program, plan, group).costates(turned, cotangents)
        back = [turn_bases(part, costate, back=True) for part, costate in zip(parts, found, strict=True)]
        total = [mine + more for mine, more in zip(total, back, strict=True)] if total else back
    return tuple(total)


class _Readout(Protocol):
    def expectations(self, states: Sequence[State]) -> FloatArray: ...

    def costates(self, states: Sequence[State], cotangents: FloatArray) -> tuple[State, ...]: ...


@lru_cache(maxsize=64)
def _readout(program: Program, plan: MeasurementPlan, group: int) -> _Readout:
    if len(program.blocks) == 1:
        return _Whole.of(program, plan, group)
    return _Cut.of(program.blocks, plan, group)


@dataclass(frozen=True, slots=True, eq=False)
class _Whole:
    """A register in one piece: a table of what each outcome contributes, `(2**n_qubits, n_observables)`.

    Attributes:
        doubled: The table with each row twice, for the real and the imaginary part; None where it would be large.
    """

    program: Program
    plan: MeasurementPlan
    group: int
    doubled: FloatArray | None

    @classmethod
    def of(cls, program: Program, plan: MeasurementPlan, group: int) -> _Whole:
        if 2**program.n_qubits * len(plan.constants) > _TABLE_ENTRIES:
            return cls(program, plan, group, None)
        outcomes = _outcomes(program.n_qubits, plan.groups[group].qubits)
        if program.tail is not None:
            outcomes = outcomes[program.tail.target]
        return cls(program, plan, group, np.repeat(plan.values(group, outcomes.astype(np.uint64)), 2, axis=0))

    def expectations(self, states: Sequence[State]) -> FloatArray:
        (state,) = states[0]
        if self.doubled is None:
            return self.plan.fold(self.group, _read(state, self.program, self.plan.groups[self.group].qubits))
        parts = state.view(state.real.dtype)
        squares = parts * parts
        table = self.doubled if squares.dtype == np.float64 else self.doubled.astype(squares.dtype)
        found: FloatArray = squares @ table
        return found

    def costates(self, states: Sequence[State], cotangents: FloatArray) -> tuple[State, ...]:
        (state,) = states[0]
        if self.doubled is not None:
            diagonals = cotangents @ self.doubled[::2].T
            return ((state * diagonals.astype(state.real.dtype, copy=False))[None],)
        diagonals = self.plan.diagonals(self.group, cotangents).astype(state.real.dtype, copy=False)
        moved = state if self.program.tail is None else self.program.tail.forward(state)
        qubits, n_qubits = self.plan.groups[self.group].qubits, self.program.n_qubits
        shape = [2 if qubit in qubits else 1 for qubit in range(n_qubits)]
        found = (moved.reshape(-1, *(2,) * n_qubits) * diagonals.reshape(-1, *shape)).reshape(state.shape)
        return ((found if self.program.tail is None else self.program.tail.backward(found))[None],)


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    """A register in two blocks: for each the signs of the Pauli strings there, and which strings go together.

    Attributes:
        signs: For each block `(n_signs, 2**n_qubits)` of +-1; the first are those of the identity.
        terms: `(n_terms, 2)`, which signs of the two blocks each Pauli string is made of.
        weights: `(n_terms, n_observables)`.
    """

    signs: tuple[FloatArray, FloatArray]
    terms: IntArray
    weights: FloatArray

    @classmethod
    def of(cls, blocks: Sequence[Block], plan: MeasurementPlan, group: int) -> _Cut:
        masks, weights = plan.terms[group]
        qubits = plan.groups[group].qubits
        words = [_qubits_of(int(mask), qubits) for mask in masks]
        known: tuple[dict[tuple[int, ...], int], ...] = ({(): 0}, {(): 0})
        terms = np.empty((len(words), 2), dtype=np.int64)
        for row, word in enumerate(words):
            for side, block in enumerate(blocks):
                part = tuple(q - block.first for q in word if block.first <= q < block.first + block.n_qubits)
                terms[row, side] = known[side].setdefault(part, len(known[side]))
        left, right = (
            np.array([_word_signs(block.n_qubits, word) for word in found])
            for block, found in zip(blocks, known, strict=True)
        )
        return cls((left, right), terms, weights)

    def expectations(self, states: Sequence[State]) -> FloatArray:
        left, right = (self._overlaps(side, state) for side, state in enumerate(states))
        found = np.empty((states[0].shape[1], len(self.terms)))
        for term, (first, second) in enumerate(self.terms):
            found[:, term] = np.sum((left[first] * right[second]).real, axis=(1, 2))
        return found @ self.weights

    def costates(self, states: Sequence[State], cotangents: FloatArray) -> tuple[State, ...]:
        weights = cotangents @ self.weights.T
        overlaps = [self._overlaps(side, state) for side, state in enumerate(states)]
        return tuple(self._costate(side, states[side], overlaps[1 - side], weights) for side in (0, 1))

    def _costate(self, side: int, state: State, others: Sequence[Any], weights: FloatArray) -> State:
        """Strings that are alike on this side are one matrix on the branches, from the other side."""
        rows = np.moveaxis(state, 0, 1)
        total = np.zeros_like(rows)
        for index, signs in enumerate(self.signs[side]):
            chosen = np.flatnonzero(self.terms[:, side] == index)
            if len(chosen):
                matrix = sum(weights[:, term, None, None] * others[self.terms[term, 1 - side]] for term in chosen)
                total += (matrix.astype(state.dtype) @ rows) * signs.astype(state.real.dtype)
        return np.moveaxis(total, 1, 0)

    def _overlaps(self, side: int, state: State) -> list[Any]:
        """`<state_k| signs |state_l>` for each of a side's signs: `(n_rows, n_branches, n_branches)`."""
        rows = np.ascontiguousarray(np.moveaxis(state, 0, 1))
        conjugate = rows.conj()
        found = []
        for index, signs in enumerate(self.signs[side]):
            signed = rows if index == 0 else rows * signs.astype(state.real.dtype)
            found.append(conjugate @ signed.swapaxes(1, 2))
        return found


def _read(state: Any, program: Program, qubits: Sequence[int]) -> FloatArray:
    squares = state.real**2 + state.imag**2
    squares = squares if program.tail is None else program.tail.forward(squares)
    return marginal(squares, program.n_qubits, qubits).astype(np.float64, copy=False)


def _read_side(block: Block, states: Sequence[State], qubits: Sequence[int]) -> FloatArray:
    """Outcomes of one side of a cut, given its states and then the other's."""
    rows, other = (np.moveaxis(state, 0, 1) for state in states)
    overlaps = other.conj() @ other.swapaxes(1, 2)
    outcomes = np.sum((rows.conj() * (overlaps @ rows)).real, axis=1)
    return marginal(outcomes, block.n_qubits, qubits).astype(np.float64, copy=False)


def _outcomes(n_qubits: int, qubits: Sequence[int]) -> IntArray:
    """The outcome on some qubits of each outcome of the register."""
    register = np.arange(2**n_qubits)
    found = np.zeros_like(register)
    for qubit in qubits:
        found = found << 1 | (register >> (n_qubits - 1 - qubit) & 1)
    return found


def _qubits_of(mask: int, measured: Sequence[int]) -> tuple[int, ...]:
    return tuple(qubit for place, qubit in enumerate(reversed(measured)) if mask >> place & 1)[::-1]


def _word_signs(n_qubits: int, word: Sequence[int]) -> FloatArray:
    signs: FloatArray = 1.0 - 2.0 * (np.bitwise_count(_outcomes(n_qubits, word)) & 1)
    return signs
