"""What a planned circuit is made of: parts that each act on all rows at once, forwards and, for gradients, backwards.

States have shape `(..., n_branches, n_rows, 2**n_qubits)`, qubit 0 the most significant bit; branches are what a cut
register is summed over (see `planning`), and there is one otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeAlias

import numpy as np

from qstore_core.arrays import BoolArray, ComplexArray, FloatArray, IntArray
from qstore_mock.kernels import apply_matrix
from qstore_mock.step import Step
from qstore_mock.turns import Pair, Turns, matrices, turn, turn_back
from qstore_mock.windows import Window, kron

State: TypeAlias = Any
"""Amplitudes, complex64 or complex128."""


class Bound(Protocol):
    """A part with the angles of some rows."""

    def forward(self, state: State) -> State:
        """The states after the part; what is given is not changed."""
        ...

    def backward(self, state: State) -> State:
        """The states after the adjoint of the part; what is given is not changed."""
        ...


class Part(Protocol):
    """Something that acts on a register."""

    def bind(self, angles: FloatArray, shared: BoolArray, dtype: Any) -> Bound:
        """With gate angles `(n_rows, n_angles)`; `shared` says which of them all rows have in common."""
        ...


@dataclass(frozen=True, eq=False)
class Rotations:
    """Runs of one-qubit gates, side by side.

    Attributes:
        n_qubits: The width of the register.
        first: The first qubit of `turns`, which go on without a gap.
        turns: The runs.
        windows: The qubits of `turns` in the groups that they are applied in.
    """

    n_qubits: int
    first: int
    turns: Turns
    windows: tuple[Window, ...]

    def bind(self, angles: FloatArray, shared: BoolArray, dtype: Any) -> BoundRotations:
        """With the first row alone where all rows turn alike."""
        columns = self.turns.columns
        same = len(angles) > 1 and bool(shared[columns].all())
        return BoundRotations(self, self.turns.angles(angles[:1] if same else angles), dtype)


@dataclass(frozen=True, eq=False)
class BoundRotations:
    """Rotations by given angles, `(n_rows, n_places, n_qubits)`, of one row where all rows turn alike."""

    part: Rotations
    turned: FloatArray
    dtype: Any

    @cached_property
    def pair(self) -> Pair:
        """What the runs are together."""
        return self.part.turns.pairs(self.turned)

    @cached_property
    def matrices(self) -> list[Any]:
        """For each window its matrix, `(n_rows, d, d)`."""
        single = matrices(self.pair, self.dtype)
        made: list[Any] = []
        first = 0
        while len(made) < len(self.part.windows):
            width = self.part.windows[len(made)].width
            count = sum(window.width == width for window in self.part.windows)
            block = single[:, first : first + count * width].reshape(-1, count, width, 2, 2)
            made += list(kron(block).swapaxes(0, 1))
            first += count * width
        return made

    @cached_property
    def adjoints(self) -> list[Any]:
        """The adjoints of `matrices`."""
        return [matrix.conj().swapaxes(1, 2) for matrix in self.matrices]

    def start(self, n_rows: int) -> State:
        """What becomes of |0...0>: `(1, n_rows, 2**n_qubits)`, an outer product."""
        part, (a, b) = self.part, self.pair
        vectors = np.empty((*a.shape, 2), dtype=self.dtype)
        vectors[..., 0], vectors[..., 1] = a, b
        product = kron(vectors[:, None, :, :, None]).reshape(len(a), -1)
        width = vectors.shape[1]
        if width < part.n_qubits:
            whole = np.zeros((len(product), 2**part.n_qubits), dtype=self.dtype)
            whole[:, : 2 ** (part.n_qubits - part.first) : 2 ** (part.n_qubits - part.first - width)] = product
            product = whole
        return (product if len(product) == n_rows else np.repeat(product, n_rows, axis=0))[None]

    def forward(self, state: State) -> State:
        """One matrix product for each window."""
        for window, matrix in zip(self.part.windows, self.matrices, strict=True):
            state = window.apply(state, matrix)
        return state

    def backward(self, state: State) -> State:
        """The same with the adjoint matrices."""
        for window, matrix in zip(self.part.windows, self.adjoints, strict=True):
            state = window.apply(state, matrix)
        return state

    def _along(self, place: int, vector: Sequence[FloatArray]) -> FloatArray:
        turns = self.part.turns
        axis, n = turns.common[place], turns.axes[place]
        if axis is not None:
            return vector[axis]
        along: FloatArray = n[0] * vector[0] + n[1] * vector[1] + n[2] * vector[2]
        return along

    def _scatter(self, gradients: FloatArray, found: FloatArray) -> None:
        flat = found.reshape(len(gradients), -1)
        for slots, columns in self.part.turns.entries:
            gradients[:, columns] += flat[:, slots]

    def add_gradients(self, gradients: FloatArray, state: State, conjugate: State) -> None:
        """Add `2 Re <costate| d state>` by each gate angle, both states taken after the part.

        `v = Im <costate| sigma_q |state>` is a vector for each qubit; the derivative by the last turn is its component
        along that turn's axis, and turned back by that turn it serves for the turn before.
        """
        values = [window.pauli_values(state, conjugate) for window in self.part.windows]
        vector = list(np.concatenate(values, axis=2) if len(values) > 1 else values[0])
        turns = self.part.turns
        found = np.empty((len(gradients), *turns.constants.shape))
        for place in reversed(range(len(turns.slots))):
            found[:, place] = self._along(place, vector)
            if place:
                vector = turn_back(turns, place, self.turned[:, place], vector)
        self._scatter(gradients, found)

    def generated(self, state: State, slots: Sequence[tuple[int, int]]) -> State:
        """`n.sigma |state>` for the turns `(place, qubit of the part)`, as they act after the part: a new first axis.

        Shifting such a turn by s makes `cos(s/2) |state> - i sin(s/2) n.sigma |state>` of the state.
        """
        made = np.empty((len(slots), *state.shape), dtype=state.dtype)
        for index, (place, qubit) in enumerate(slots):
            x, y, z = (component[:, None, None].astype(self.turned.dtype) for component in self._axis(place, qubit))
            cut = state.reshape(*state.shape[:-1], 2 ** (self.part.first + qubit), 2, -1)
            out = made[index].reshape(cut.shape)
            low, high = cut[..., 0, :], cut[..., 1, :]
            flip = (x - 1j * y).astype(state.dtype)
            out[..., 0, :] = z.astype(state.real.dtype) * low + flip * high
            out[..., 1, :] = flip.conj() * low - z.astype(state.real.dtype) * high
        return made

    def _axis(self, place: int, qubit: int) -> list[FloatArray]:
        """The axis of a turn as the later turns of its run leave it: three arrays `(n_rows,)`."""
        turns = self.part.turns
        vector = [np.full((len(self.turned), 1), value) for value in turns.axes[place][:, qubit]]
        for later in range(place + 1, len(turns.slots)):
            one = Turns((((turns.slots[later][qubit]),),))
            vector = turn(one, 0, self.turned[:, later, qubit : qubit + 1], vector)
        return [component[:, 0] for component in vector]


@dataclass(frozen=True, eq=False)
class IndexMap:
    """CNOT, SWAP, X and Toffoli gates: every amplitude moves to another place.

    Attributes:
        source: `(2**n_qubits,)`, where each amplitude comes from.
    """

    source: IntArray

    @cached_property
    def target(self) -> IntArray:
        """Where each amplitude goes."""
        target = np.empty_like(self.source)
        target[self.source] = np.arange(len(self.source))
        return target

    def bind(self, angles: FloatArray, shared: BoolArray, dtype: Any) -> IndexMap:
        """Itself: it has no angles."""
        return self

    def forward(self, state: State) -> State:
        """One look-up for each amplitude."""
        return np.take(state, self.source, axis=-1)

    def backward(self, state: State) -> State:
        """The other way."""
        return np.take(state, self.target, axis=-1)


@dataclass(frozen=True, eq=False)
class Signs:
    """CZ gates: some amplitudes change sign; `signs` is `(2**n_qubits,)` of +-1."""

    signs: FloatArray

    def bind(self, angles: FloatArray, shared: BoolArray, dtype: Any) -> Signs:
        """Itself: it has no angles."""
        return self

    def forward(self, state: State) -> State:
        """One multiplication."""
        return state * self.signs.astype(state.real.dtype, copy=False)

    backward = forward


_Entries: TypeAlias = Sequence[tuple[int, complex]]
"""For each row of an operator the column of its one entry, and the entry, which may be 0."""


@dataclass(frozen=True, eq=False)
class Split:
    """One side of a gate across the cut: each branch becomes several, one for each term of the gate.

    A gate is `sum_j L_j (x) R_j`, with `L_j` on one side of the cut and `R_j` on the other.

    Attributes:
        qubit: The qubit of this side.
        operators: `(n_terms, 2, 2)`, with at most one entry in each row and column.
    """

    qubit: int
    operators: ComplexArray

    def bind(self, angles: FloatArray, shared: BoolArray, dtype: Any) -> Split:
        """Itself: it has no angles."""
        return self

    def forward(self, state: State) -> State:
        """As many times the branches; the term is the slower index."""
        return self._applied(state, self._entries)

    def backward(self, state: State) -> State:
        """The branches of before, each the sum over its terms."""
        terms = len(self.operators)
        *lead, branches, rows, size = state.shape
        cut = state.reshape(*lead, terms, branches // terms, rows, size)
        parts = [
            self._applied(cut[..., term, :, :, :], self._adjoint_entries[term : term + 1]) for term in range(terms)
        ]
        return sum(parts[1:], start=parts[0])

    @cached_property
    def _entries(self) -> Sequence[_Entries]:
        return [_entries(operator) for operator in self.operators]

    @cached_property
    def _adjoint_entries(self) -> Sequence[_Entries]:
        return [_entries(operator.conj().T) for operator in self.operators]

    def _applied(self, state: State, operators: Sequence[_Entries]) -> State:
        *lead, branches, rows, size = state.shape
        cut = state.reshape(*lead, branches, rows, 2**self.qubit, 2, -1)
        made = np.empty((*lead, len(operators), *cut.shape[len(lead) :]), dtype=state.dtype)
        for term, entries in enumerate(operators):
            for i, (j, factor) in enumerate(entries):
                target, source = made[..., term, :, :, :, i, :], cut[..., j, :]
                if factor == 0:
                    target[...] = 0
                elif factor == 1:
                    target[...] = source
                else:
                    np.multiply(source, state.dtype.type(factor), out=target)
        return made.reshape(*lead, len(operators) * branches, rows, size)


def _entries(operator: ComplexArray) -> _Entries:
    columns = np.abs(operator).argmax(axis=1)
    return [(int(j), complex(operator[i, j])) for i, j in enumerate(columns)]


@dataclass(frozen=True, eq=False)
class Dense:
    """One gate of any kind, on any qubits."""

    step: Step

    def bind(self, angles: FloatArray, shared: BoolArray, dtype: Any) -> BoundDense:
        """With one matrix where all rows have the same."""
        column = self.step.angle
        if column is None:
            return BoundDense(self.step, self.step.matrix(angles).astype(dtype))
        if len(angles) > 1 and shared[column]:
            return BoundDense(self.step, self.step.matrix(angles[:1])[0].astype(dtype))
        return BoundDense(self.step, self.step.matrix(angles).astype(dtype))


@dataclass(frozen=True, eq=False)
class BoundDense:
    """A gate with its matrix: `(d, d)`, or `(n_rows, d, d)`."""

    step: Step
    matrix: Any

    def forward(self, state: State) -> State:
        """The gate on a copy."""
        return self._applied(state, self.matrix, self.step.pattern)

    def backward(self, state: State) -> State:
        """Its adjoint on a copy."""
        return self._applied(state, self.matrix.conj().swapaxes(-1, -2), self.step.pattern.T)

    def shifted(self, state: State, shifts: FloatArray) -> State:
        """The states `(1, n_rows, size)` after it when its angle is larger by `shifts`, `(n_rows,)`."""
        more = self.step.gate.unitaries(shifts).astype(state.dtype)
        return self._applied(state, more, self.step.pattern)

    def add_gradients(self, gradients: FloatArray, state: State, conjugate: State) -> None:
        """Add `2 Re <costate| d state>` by the gate's angle, both states taken after the gate."""
        if self.step.angle is None:
            return
        generator = self.step.gate.matrix
        generated = self._applied(state, generator.astype(state.dtype), generator != 0)
        products = np.einsum("krs,krs->r", conjugate, generated)
        gradients[:, self.step.angle] += 2 * products.imag

    def _applied(self, state: State, matrix: Any, pattern: BoolArray) -> State:
        flat = state.reshape(-1, state.shape[-1]).copy()
        if matrix.ndim == 3 and len(flat) != len(matrix):
            matrix = np.tile(matrix, (len(flat) // len(matrix), 1, 1))
        apply_matrix(flat, self.step.blocks, matrix, pattern)
        return flat.reshape(state.shape)
