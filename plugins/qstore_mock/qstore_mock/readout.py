"""From final states to what is asked of them: expectation values, probabilities, and the observables as operators.

A register that was cut is `|psi> = sum_k |A_k> |B_k>` over its branches, and a Pauli string in its basis is a sign for
each outcome of either side, so that `<psi|S|psi> = sum_kl <A_k|S_A|A_l> <B_k|S_B|B_l>`: products of small matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from qstore_core.arrays import FloatArray, IntArray
from qstore_core.measurement import MeasurementPlan
from qstore_mock.kernels import marginal
from qstore_mock.parts import State
from qstore_mock.planning import Block
from qstore_mock.program import Program
from qstore_mock.statevector import joined, turn_bases

_KEPT_READOUTS = 64
_TABLE_ENTRIES = 2**14  # larger tables take longer to read than products of halves do


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
        found = list(_readout(program, plan, group).costates(turned, cotangents))
        del turned
        for index, part in enumerate(parts):
            found[index] = turn_bases(part, found[index], back=True)
            if total:
                total[index] += found[index]
        total = total or found
    return tuple(total)


def outcomes_of(program: Program, group: int) -> IntArray:
    """The outcome of a group that each amplitude of a register in one piece belongs to, `(2**n_qubits,)`."""
    outcomes = _outcomes(program.n_qubits, program.groups[group].qubits)
    return outcomes if program.tail is None else outcomes[program.tail.target]


class _Readout(Protocol):
    def expectations(self, states: Sequence[State]) -> FloatArray: ...

    def costates(self, states: Sequence[State], cotangents: FloatArray) -> tuple[State, ...]: ...


def _readout(program: Program, plan: MeasurementPlan, group: int) -> _Readout:
    """Kept with the program, for its last few plans."""
    kept = program.readouts
    if (plan, group) not in kept:
        if len(kept) >= _KEPT_READOUTS:
            kept.clear()
        kept[plan, group] = _make_readout(program, plan, group)
    found: _Readout = kept[plan, group]
    return found


def _make_readout(program: Program, plan: MeasurementPlan, group: int) -> _Readout:
    if len(program.blocks) == 1:
        return _Whole.of(program, plan, group)
    left, right = program.blocks
    return _Cut(_Words.of(program, plan, group, (left.n_qubits, right.n_qubits)))


@dataclass(frozen=True, slots=True, eq=False)
class _Words:
    """Pauli strings, in the basis they are measured in, as products of signs of two sides of the register.

    Attributes:
        signs: For each side `(n_signs, 2**n_qubits)` of +-1; the first are those of the identity.
        terms: `(n_terms, 2)`, which signs of the two sides each string is made of.
        weights: `(n_terms, n_observables)`.
    """

    signs: tuple[FloatArray, FloatArray]
    terms: IntArray
    weights: FloatArray

    @classmethod
    def of(cls, program: Program, plan: MeasurementPlan, group: int, widths: tuple[int, int]) -> _Words:
        """The strings of a group, for sides of so many qubits."""
        masks, weights = plan.terms[group]
        known: tuple[dict[tuple[int, ...], int], ...] = ({(): 0}, {(): 0})
        terms = np.empty((len(masks), 2), dtype=np.int64)
        for row, mask in enumerate(masks):
            word = _qubits_of(int(mask), program.groups[group].qubits)
            for side, first in enumerate((0, widths[0])):
                part = tuple(qubit - first for qubit in word if first <= qubit < first + widths[side])
                terms[row, side] = known[side].setdefault(part, len(known[side]))
        left, right = (
            np.array([_word_signs(width, word) for word in found]) for width, found in zip(widths, known, strict=True)
        )
        return cls((left, right), terms, weights)

    def matrix(self, values: FloatArray) -> FloatArray:
        """`(n_rows, n_terms)` placed by the signs of both sides: `(n_rows, n_signs, n_signs)`."""
        placed = np.zeros((len(values), len(self.signs[0]), len(self.signs[1])))
        placed[:, self.terms[:, 0], self.terms[:, 1]] = values
        return placed


@dataclass(frozen=True, slots=True, eq=False)
class _Whole:
    """A register in one piece.

    Attributes:
        program: The program.
        words: The strings, for the two halves of the register.
        doubled: For few qubits, what each outcome contributes, twice, for the real and the imaginary part of an
            amplitude: `(2 * 2**n_qubits, n_observables)`.
    """

    program: Program
    words: _Words
    doubled: FloatArray | None

    @classmethod
    def of(cls, program: Program, plan: MeasurementPlan, group: int) -> _Whole:
        n_qubits = program.n_qubits
        words = _Words.of(program, plan, group, (n_qubits // 2, n_qubits - n_qubits // 2))
        if 2**n_qubits * len(plan.constants) > _TABLE_ENTRIES:
            return cls(program, words, None)
        outcomes = outcomes_of(program, group).astype(np.uint64)
        return cls(program, words, np.repeat(plan.values(group, outcomes), 2, axis=0))

    def expectations(self, states: Sequence[State]) -> FloatArray:
        (state,) = states[0]
        if self.doubled is not None:
            parts = state.view(state.real.dtype)
            squares = parts * parts
            table = self.doubled if squares.dtype == np.float64 else self.doubled.astype(squares.dtype)
            found: FloatArray = squares @ table
            return found
        left, right = (signs.astype(state.real.dtype, copy=False) for signs in self.words.signs)
        squares = _squares(state, self.program).reshape(len(state), left.shape[1], -1)
        values = left @ (squares @ right.T)
        chosen: FloatArray = values[:, self.words.terms[:, 0], self.words.terms[:, 1]] @ self.words.weights
        return chosen

    def costates(self, states: Sequence[State], cotangents: FloatArray) -> tuple[State, ...]:
        (state,) = states[0]
        if self.doubled is not None:
            diagonals = cotangents @ self.doubled[::2].T
            return ((state * diagonals.astype(state.real.dtype, copy=False))[None],)
        left, right = self.words.signs
        diagonals = left.T @ (self.words.matrix(cotangents @ self.words.weights.T) @ right)
        diagonals = diagonals.astype(state.real.dtype, copy=False).reshape(state.shape)
        if self.program.tail is not None:
            diagonals = self.program.tail.backward(diagonals)
        return ((state * diagonals)[None],)


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    """A register in two blocks.

    Attributes:
        words: The strings, for the two blocks.
    """

    words: _Words

    def expectations(self, states: Sequence[State]) -> FloatArray:
        left, right = (self._overlaps(side, state) for side, state in enumerate(states))
        found = np.empty((states[0].shape[1], len(self.words.terms)))
        for term, (first, second) in enumerate(self.words.terms):
            found[:, term] = np.sum((left[first] * right[second]).real, axis=(1, 2))
        return found @ self.words.weights

    def costates(self, states: Sequence[State], cotangents: FloatArray) -> tuple[State, ...]:
        weights = cotangents @ self.words.weights.T
        overlaps = [self._overlaps(side, state) for side, state in enumerate(states)]
        return tuple(self._costate(side, states[side], overlaps[1 - side], weights) for side in (0, 1))

    def _costate(self, side: int, state: State, others: Sequence[Any], weights: FloatArray) -> State:
        """Strings that are alike on this side are one matrix on the branches, from the other side."""
        rows = np.moveaxis(state, 0, 1)
        total = np.zeros_like(rows)
        for index, signs in enumerate(self.words.signs[side]):
            chosen = np.flatnonzero(self.words.terms[:, side] == index)
            if len(chosen):
                matrix = sum(weights[:, term, None, None] * others[self.words.terms[term, 1 - side]] for term in chosen)
                total += (matrix.astype(state.dtype) @ rows) * signs.astype(state.real.dtype)
        return np.moveaxis(total, 1, 0)

    def _overlaps(self, side: int, state: State) -> list[Any]:
        """`<state_k| signs |state_l>` for each of a side's signs: `(n_rows, n_branches, n_branches)`."""
        rows = np.ascontiguousarray(np.moveaxis(state, 0, 1))
        conjugate = rows.conj()
        found = []
        for index, signs in enumerate(self.words.signs[side]):
            signed = rows if index == 0 else rows * signs.astype(state.real.dtype)
            found.append(conjugate @ signed.swapaxes(1, 2))
        return found


def _read(state: Any, program: Program, qubits: Sequence[int]) -> FloatArray:
    return marginal(_squares(state, program), program.n_qubits, qubits).astype(np.float64, copy=False)


def _squares(state: Any, program: Program) -> FloatArray:
    """The probabilities of the register, `(n_rows, 2**n_qubits)`."""
    squares: FloatArray = state.real**2
    squares += state.imag**2
    if program.tail is not None:
        squares = program.tail.forward(squares)
    return squares


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
    return 1.0 - 2.0 * (np.bitwise_count(_outcomes(n_qubits, word)) & 1).astype(np.float64)
