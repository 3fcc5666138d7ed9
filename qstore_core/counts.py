"""Measured outcomes of many circuits, stored as arrays: only outcomes that occurred take room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from qstore_core.arrays import FloatArray, IntArray, LabelArray
from qstore_core.errors import CircuitError

MAX_BITS = 63


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """How often each outcome occurred, row by row.

    Attributes:
        n_bits: How many qubits were read, at most 63; the first of them is an outcome's most significant bit.
        outcomes: `(n_entries,)` uint64, outcomes as whole numbers, each row's in one run.
        counts: `(n_entries,)` int64, how often each occurred, at least 1.
        starts: `(n_rows + 1,)` int64; row r owns the entries `starts[r]` to `starts[r + 1]`.
        totals: `(n_rows,)` int64, the shots of each row.

    >>> counts = Counts.from_dicts([{"01": 3, "10": 1}])
    >>> counts.outcomes, counts.totals
    (array([1, 2], dtype=uint64), array([4]))
    """

    n_bits: int
    outcomes: LabelArray
    counts: IntArray
    starts: IntArray
    totals: IntArray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _check_width(self.n_bits)
        if (self.starts[1:] <= self.starts[:-1]).any():
            row = int(np.argmin(np.diff(self.starts)))
            raise CircuitError(f"row {row} has no outcomes: every circuit needs at least one shot")
        if (self.counts < 1).any():
            raise CircuitError(f"outcomes are counted from 1 up; found a count of {int(self.counts.min())}")
        object.__setattr__(self, "totals", self.sum_rows(self.counts))

    @classmethod
    def from_dicts(cls, rows: Sequence[Mapping[str, int]]) -> Counts:
        """From one mapping of bit strings to counts for each row; the leftmost bit is the first qubit read."""
        widths = {len(bits) for row in rows for bits in row}
        if len(widths) != 1:
            raise CircuitError(f"bit strings of one batch have one length; found {sorted(widths)}")
        n_bits = widths.pop()
        _check_width(n_bits)
        for bits in {bits for row in rows for bits in row}:
            if set(bits) - {"0", "1"}:
                raise CircuitError(f"an outcome is a string of 0 and 1, not {bits!r}")
        ordered = [sorted((int(bits, 2), count) for bits, count in row.items() if count) for row in rows]
        entries = np.array([entry for row in ordered for entry in row], dtype=np.int64).reshape(-1, 2)
        starts = np.concatenate([[0], np.cumsum([len(row) for row in ordered])]).astype(np.int64)
        return cls(n_bits, entries[:, 0].astype(np.uint64), entries[:, 1], starts)

    @classmethod
    def from_table(cls, table: IntArray) -> Counts:
        """From a count for each possible outcome, `(n_rows, 2**n_bits)`.

        >>> Counts.from_table(np.array([[0, 3, 1, 0]])).to_dicts()
        [{'01': 3, '10': 1}]
        """
        n_rows, width = table.shape
        places = np.flatnonzero(table != 0)
        starts = np.searchsorted(places, np.arange(n_rows + 1) * width)
        return cls(width.bit_length() - 1, (places % width).astype(np.uint64), table.ravel()[places], starts)

    @property
    def n_rows(self) -> int:
        """How many circuits were measured."""
        return len(self.starts) - 1

    def sum_rows(self, entries: IntArray) -> IntArray:
        """The sum of something given for each entry, `(n_entries,)`, over each row: `(n_rows,)`."""
        return np.add.reduceat(entries, self.starts[:-1])

    def mean(self, values: FloatArray) -> FloatArray:
        """The mean over each row's shots of a value given for each entry: `(n_entries, ...)` to `(n_rows, ...)`."""
        shape = (-1,) + (1,) * (values.ndim - 1)
        sums = np.add.reduceat(values * self.counts.reshape(shape), self.starts[:-1], axis=0)
        means: FloatArray = sums / self.totals.reshape(shape)
        return means

    def rows(self, first: int, last: int) -> Counts:
        """The rows `first` to `last`, the last one not included."""
        begin, end = self.starts[first], self.starts[last]
        starts = self.starts[first : last + 1] - begin
        return Counts(self.n_bits, self.outcomes[begin:end], self.counts[begin:end], starts)

    def take(self, rows: IntArray) -> Counts:
        """The given rows, in that order.

        >>> Counts.from_dicts([{"0": 1}, {"1": 2}]).take(np.array([1, 0])).to_dicts()
        [{'1': 2}, {'0': 1}]
        """
        lengths = np.diff(self.starts)[rows]
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        entries = np.arange(starts[-1]) + np.repeat(self.starts[rows] - starts[:-1], lengths)
        return Counts(self.n_bits, self.outcomes[entries], self.counts[entries], starts)

    @classmethod
    def concatenate(cls, parts: Sequence[Counts]) -> Counts:
        """The rows of several counts, one after the other.

        >>> one = Counts.from_dicts([{"0": 1}])
        >>> Counts.concatenate([one, one]).n_rows
        2
        """
        widths = {part.n_bits for part in parts}
        if len(widths) != 1:
            raise CircuitError(f"counts over {sorted(widths)} qubits cannot be joined; they must read as many")
        lengths = np.concatenate([np.diff(part.starts) for part in parts])
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        outcomes = np.concatenate([part.outcomes for part in parts])
        return cls(widths.pop(), outcomes, np.concatenate([part.counts for part in parts]), starts)

    def to_dicts(self) -> list[dict[str, int]]:
        """One mapping of bit strings to counts for each row."""
        keys = [format(int(outcome), f"0{self.n_bits}b") for outcome in self.outcomes]
        pairs = list(zip(keys, self.counts.tolist(), strict=True))
        return [dict(pairs[begin:end]) for begin, end in zip(self.starts[:-1], self.starts[1:], strict=True)]


def _check_width(n_bits: int) -> None:
    if n_bits > MAX_BITS:
        raise CircuitError(f"outcomes of {n_bits} qubits: at most {MAX_BITS} can be read at once")
