"""From what a circuit yields to expectation values: which groups to measure, and how outcomes fold into observables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from qstore_core.arrays import FloatArray, IntArray, LabelArray
from qstore_core.counts import Counts
from qstore_core.observables import Letters, MeasurementGroup, PauliString, PauliSum, group_commuting

_TABLE_ENTRIES = 2**16
_KEPT_ENTRIES = 2**12  # a table as small is made once: shots have many outcomes that are alike


@dataclass(frozen=True, slots=True, eq=False)
class MeasurementPlan:
    """How some observables are measured: each of their terms is read from one group.

    Attributes:
        groups: The bases to measure in; none when every observable is a multiple of the identity.
        terms: For each group its Pauli strings as a bit mask over the measured qubits, `(n_terms,)` uint64, and their
            weight in each observable, `(n_terms, n_observables)`.
        constants: `(n_observables,)`, the identity parts.
    """

    groups: tuple[MeasurementGroup, ...]
    terms: tuple[tuple[LabelArray, FloatArray], ...]
    constants: FloatArray

    def values(self, group: int, outcomes: LabelArray) -> FloatArray:
        """What each outcome of a group contributes to each observable, `(n_outcomes, n_observables)`."""
        if 2 ** len(self.groups[group].basis) * len(self.constants) <= _KEPT_ENTRIES:
            return _values(self, group).take(outcomes.view(np.int64), axis=0)
        return self._values(group, outcomes)

    def _values(self, group: int, outcomes: LabelArray) -> FloatArray:
        masks, weights = self.terms[group]
        total = np.zeros((len(outcomes), weights.shape[1]))
        for mask, weight in zip(masks, weights, strict=True):
            odd = np.bitwise_count(outcomes & mask) & 1
            total += np.where(odd, -1.0, 1.0)[:, None] * weight
        return total

    def tables(self, group: int) -> Iterator[tuple[slice, FloatArray]]:
        """`values` of every possible outcome of a group, part by part: a range of outcomes and their values.

        The whole table, `(2**n_bits, n_observables)`, would be larger than the state of a wide register.
        """
        size = max(1, _TABLE_ENTRIES // len(self.constants))
        total = 2 ** len(self.groups[group].basis)
        for first in range(0, total, size):
            part = slice(first, min(first + size, total))
            yield part, self.values(group, np.arange(part.start, part.stop, dtype=np.uint64))

    def diagonals(self, group: int, weights: FloatArray) -> FloatArray:
        """`values` of every possible outcome, summed over observables with `weights` `(n_rows, n_observables)`.

        Returns:
            `(n_rows, 2**n_bits)`, the diagonals of the weighted observables in the group's basis.
        """
        diagonals = np.empty((len(weights), 2 ** len(self.groups[group].basis)))
        for part, table in self.tables(group):
            np.matmul(weights, table.T, out=diagonals[:, part])
        return diagonals

    def alike(self, group: int, counts: Counts) -> Counts:
        """The same counts with outcomes that contribute the same taken as one, where a group has few outcomes."""
        if 2**counts.n_bits * len(self.constants) > _KEPT_ENTRIES:
            return counts
        first, place = _kinds(self, group)
        if len(first) == len(place):
            return counts
        places = place.take(counts.outcomes.view(np.int64))
        places += np.repeat(np.arange(counts.n_rows) * len(first), counts.starts[1:] - counts.starts[:-1])
        table = np.bincount(places, counts.counts, counts.n_rows * len(first))  # floats, but of whole numbers
        present = np.flatnonzero(table > 0)
        starts = np.searchsorted(present, np.arange(counts.n_rows + 1) * len(first))
        return Counts(counts.n_bits, first[present % len(first)], table[present].astype(np.int64), starts)

    def from_probabilities(self, probabilities: Iterable[FloatArray]) -> FloatArray:
        """Expectation values `(n_rows, n_observables)` from each group's probabilities `(n_rows, 2**n_bits)`."""
        return self.constants + sum(self.fold(group, rows) for group, rows in enumerate(probabilities))

    def fold(self, group: int, rows: FloatArray) -> FloatArray:
        """What a group adds to the expectation values, from its probabilities `(n_rows, 2**n_bits)`."""
        total = np.zeros((len(rows), len(self.constants)))
        for part, table in self.tables(group):
            total += rows[:, part] @ table
        return total

    def deviations(self, group: int, counts: Counts) -> tuple[FloatArray, FloatArray]:
        """What a group adds to each observable in the mean of a row, and how far each outcome is from that.

        Returns:
            Means `(n_rows, n_observables)`, and for each entry of the counts `(n_entries, n_observables)`.
        """
        values = self.values(group, counts.outcomes)
        mean = counts.mean(values)
        return mean, values - np.repeat(mean, np.diff(counts.starts), axis=0)  # rounding leaves no negative variance

    def means(self, counts: Sequence[Counts]) -> FloatArray:
        """The estimates of `from_counts` alone, `(n_rows, n_observables)`."""
        total = np.tile(self.constants, (counts[0].n_rows, 1))
        for group, measured in enumerate(counts):
            total += measured.mean(self.values(group, measured.outcomes))
        return total

    def from_counts(self, counts: Sequence[Counts]) -> tuple[FloatArray, FloatArray]:
        """Estimates `(n_rows, n_observables)` and their covariance `(n_rows, n_observables, n_observables)`.

        The covariance is the unbiased estimate from the joint outcomes: observables read from the same shots are
        correlated, different groups are independent. With a single shot it is nan.
        """
        means, covariance, _ = self.spread(counts)
        return means, covariance

    def spread(self, counts: Sequence[Counts]) -> tuple[FloatArray, FloatArray, tuple[FloatArray, ...]]:
        """What `from_counts` gives, and the distances that `deviations` has for each group."""
        n_rows, size = counts[0].n_rows, len(self.constants)
        means = np.tile(self.constants, (n_rows, 1))
        covariance = np.zeros((n_rows, size, size))
        distances = []
        for group, measured in enumerate(counts):
            mean, apart = self.deviations(group, measured)
            second = measured.mean(apart[:, :, None] * apart[:, None, :])
            with np.errstate(divide="ignore", invalid="ignore"):
                covariance += second / (measured.totals[:, None, None] - 1.0)
            means += mean
            distances.append(apart)
        return means, covariance, tuple(distances)


@lru_cache(maxsize=256)
def measurement_plan(observables: tuple[PauliSum, ...]) -> MeasurementPlan:
    """The plan for measuring `observables` with as few circuits as qubit-wise commuting groups allow.

    >>> plan = measurement_plan((PauliSum.of("Z0") + PauliSum.of("Z1"), PauliSum.of("X0")))
    >>> len(plan.groups)
    2
    """
    strings = [term for observable in observables for term in observable.terms]
    groups = group_commuting(strings)
    weights: list[dict[Letters, FloatArray]] = [{} for _ in groups]
    constants = np.zeros(len(observables))
    for column, observable in enumerate(observables):
        for term in observable.terms:
            if not term.letters:
                constants[column] += term.coefficient
                continue
            home = next(index for index, group in enumerate(groups) if group.covers(term.letters))
            row = weights[home].setdefault(term.letters, np.zeros(len(observables)))
            row[column] += term.coefficient
    terms = tuple(_arrays(group, rows) for group, rows in zip(groups, weights, strict=True))
    return MeasurementPlan(groups, terms, constants)


@lru_cache(maxsize=256)
def _values(plan: MeasurementPlan, group: int) -> FloatArray:
    """`MeasurementPlan.values` of every outcome of a group of few qubits."""
    return plan._values(group, np.arange(2 ** len(plan.groups[group].basis), dtype=np.uint64))


@lru_cache(maxsize=256)
def _kinds(plan: MeasurementPlan, group: int) -> tuple[LabelArray, IntArray]:
    """The first outcome of each kind that contributes the same, and the kind of every outcome."""
    _, first, place = np.unique(_values(plan, group), axis=0, return_index=True, return_inverse=True)
    return first.astype(np.uint64), place.reshape(-1)


def register_group(n_qubits: int) -> MeasurementGroup:
    """The group that reads every qubit in the computational basis.

    >>> register_group(2).basis
    ((0, 'Z'), (1, 'Z'))
    """
    return MeasurementGroup(tuple((qubit, "Z") for qubit in range(n_qubits)))


def _arrays(group: MeasurementGroup, rows: dict[Letters, FloatArray]) -> tuple[LabelArray, FloatArray]:
    masks = np.array([_mask(group.qubits, PauliString(word).qubits) for word in rows], dtype=np.uint64)
    return masks, np.stack(list(rows.values()))


def _mask(measured: tuple[int, ...], qubits: tuple[int, ...]) -> int:
    return sum(1 << (len(measured) - 1 - measured.index(qubit)) for qubit in qubits)
