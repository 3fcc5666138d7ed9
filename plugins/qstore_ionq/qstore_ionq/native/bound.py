"""Circuits with their numbers filled in, rows of arrays until somebody asks for one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np

from qstore_core.arrays import BoolArray, FloatArray, IntArray
from qstore_ionq.native.documents import Document, Slot

_Writing = tuple[str, IntArray]
"""The JSON of a circuit with `%r` for its numbers, and which numbers of a row these are."""


@dataclass(frozen=True, eq=False)
class BoundCircuits:
    """The circuits of one measurement group, for many rows.

    Attributes:
        slots: The gates that a circuit can have, in order.
        numbers: `(n_rows, n_numbers)` float64, those of all slots, one slot after the other.
        present: `(n_rows, len(slots))` bool, which of the gates each row has.
    """

    slots: tuple[Slot, ...]
    numbers: FloatArray
    present: BoolArray

    @cached_property
    def _first(self) -> list[int]:
        """Where the numbers of each slot begin."""
        return list(accumulate((slot.n_numbers for slot in self.slots), initial=0))

    @cached_property
    def _writings(self) -> Mapping[bytes, _Writing]:
        """How each set of gates that occurs is written."""
        kept = {row.tobytes(): np.flatnonzero(row) for row in self.present}
        return {row: self._writing([int(place) for place in places]) for row, places in kept.items()}

    def _writing(self, places: list[int]) -> _Writing:
        text = ",".join(self.slots[place].template for place in places)
        numbers = [n for place in places for n in range(self._first[place], self._first[place + 1])]
        return f"[{text}]", np.array(numbers, dtype=np.int64)

    def json(self, row: int) -> str:
        """The gate list of a row as JSON text."""
        text, numbers = self._writings[self.present[row].tobytes()]
        return text % tuple(self.numbers[row, numbers].tolist())

    def circuit(self, row: int) -> list[Document]:
        """The gate list of a row."""
        numbers = self.numbers[row].tolist()
        return [
            self.slots[place].document(numbers[self._first[place] : self._first[place + 1]])
            for place in np.flatnonzero(self.present[row]).tolist()
        ]

    def gate_counts(self) -> IntArray:
        """How many one-qubit and two-qubit gates each row has, `(n_rows, 2)`."""
        on_two = np.array([len(slot.qubits) == 2 for slot in self.slots], dtype=bool)
        counts = [self.present[:, ~on_two].sum(axis=1), self.present[:, on_two].sum(axis=1)]
        return np.stack(counts, axis=1).astype(np.int64)


@dataclass(frozen=True, eq=False)
class BoundProgram:
    """The circuits of many rows of angles, for each row one to every measurement group.

    Attributes:
        n_rows: The rows of angles.
        groups: The circuits of each group.

    >>> from qstore_core import QuantumCircuit, Parameter, MeasurementGroup
    >>> from qstore_ionq.native import compile_native
    >>> structure = QuantumCircuit(1).ry(0, Parameter("a")).structure
    >>> program = compile_native(structure, (MeasurementGroup(((0, "Z"),)),), family="zz")
    >>> bound = program.bind(np.array([[np.pi / 2], [np.pi]]))
    >>> bound.circuit(1, 0), bound.gate_counts()[:, 0].tolist()
    ([{'gate': 'gpi', 'target': 0, 'phase': 0.0}], [[2, 0], [1, 0]])
    """

    n_rows: int
    groups: tuple[BoundCircuits, ...]

    def circuit(self, row: int, group: int) -> list[Document]:
        """The gate list of one circuit, as the API's JSON has it."""
        return self.groups[group].circuit(row)

    def circuits(self) -> Iterator[list[Document]]:
        """The gate lists of all circuits, row after row, in each row group after group."""
        return (bound.circuit(row) for row in range(self.n_rows) for bound in self.groups)

    def json(self, row: int, group: int) -> str:
        """The gate list of one circuit as JSON text: the same as `json.dumps(circuit(row, group))`, made faster."""
        return self.groups[group].json(row)

    def gate_counts(self) -> IntArray:
        """How many gates on one and on two qubits each circuit really has, `(n_rows, n_groups, 2)`."""
        counts = np.zeros((self.n_rows, len(self.groups), 2), dtype=np.int64)
        for group, bound in enumerate(self.groups):
            counts[:, group] = bound.gate_counts()
        return counts
