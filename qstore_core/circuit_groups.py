"""Circuits that come one by one, grouped by structure into batches, and their results in the order they came in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from qstore_core.arrays import FloatArray, IntArray, LabelArray
from qstore_core.batch import BatchResult, CircuitBatch, ExecutionResult
from qstore_core.circuit import QuantumCircuit
from qstore_core.errors import BackendError, CircuitError
from qstore_core.operations import CircuitStructure

_SMALLEST = 1e-15  # an exact probability that is not larger is rounding


@dataclass(frozen=True, slots=True, eq=False)
class CircuitGroup:
    """The circuits of one structure, read over their whole registers.

    Attributes:
        batch: Their rows; exact circuits that are equal share one.
        positions: `(n_circuits,)`, where each stands in the list.
        rows: `(n_circuits,)`, which row of the batch is its own.
    """

    batch: CircuitBatch
    positions: IntArray
    rows: IntArray

    @classmethod
    def of(
        cls,
        structure: CircuitStructure,
        angles: FloatArray,
        positions: IntArray,
        *,
        shots: int | None,
        labels: LabelArray,
    ) -> CircuitGroup:
        """The group of circuits with these angles.

        Args:
            structure: Their gates.
            angles: `(n_circuits, n_angles)`, radians.
            positions: `(n_circuits,)`.
            shots: How often each is run; None for exact probabilities.
            labels: The draw label of every position in the list.

        >>> flips = CircuitStructure(1, (("rx", (0,)),))
        >>> angles, labels = np.array([[0.5], [0.7], [0.5]]), np.arange(3)
        >>> group = CircuitGroup.of(flips, angles, np.arange(3), shots=None, labels=labels)
        >>> group.batch.n_rows, group.rows
        (2, array([0, 1, 0]))
        """
        if shots is not None:
            return cls(
                CircuitBatch(structure, angles, None, shots, labels[positions]), positions, np.arange(len(angles))
            )
        # the executor merges rows by their keys, which it makes only where there is somewhere to look them up
        distinct, rows = np.unique(angles, axis=0, return_inverse=True)
        return cls(CircuitBatch(structure, distinct), positions, rows.reshape(-1))


def grouped(circuits: Sequence[QuantumCircuit], shots: int | None, labels: LabelArray) -> list[CircuitGroup]:
    """One group for each structure among circuits without open symbols, in the order of their first circuits.

    >>> circuits = [QuantumCircuit(1).rx(0, 0.5), QuantumCircuit(1).x(0), QuantumCircuit(1).rx(0, 0.7)]
    >>> [group.positions.tolist() for group in grouped(circuits, 100, np.arange(3))]
    [[0, 2], [1]]
    """
    angles = [bound_angles(circuit, f"circuits[{position}]") for position, circuit in enumerate(circuits)]
    members: dict[CircuitStructure, list[int]] = {}
    for position, circuit in enumerate(circuits):
        members.setdefault(circuit.structure, []).append(position)
    return [
        CircuitGroup.of(
            structure,
            np.array([angles[position] for position in positions]).reshape(len(positions), structure.n_angles),
            np.array(positions),
            shots=shots,
            labels=labels,
        )
        for structure, positions in members.items()
    ]


def bound_angles(circuit: QuantumCircuit, name: str) -> FloatArray:
    """The gate angles `(n_angles,)` of a circuit without open symbols.

    Raises:
        CircuitError: It has open symbols; the message calls it `name`.

    >>> bound_angles(QuantumCircuit(1).rx(0, 0.5).h(0).rz(0, 0.25), "the circuit")
    array([0.5 , 0.25])
    """
    symbols = (*circuit.parameters, *circuit.features)
    if symbols:
        raise CircuitError(f"{name} has open symbols: {', '.join(map(repr, symbols))}; give them values with bind")
    return np.array([operation.angle.offset for operation in circuit.operations if operation.angle is not None])


def in_order(groups: Sequence[CircuitGroup], results: Sequence[BatchResult], *, backend: str) -> list[ExecutionResult]:
    """The result of every circuit, in the order of the list.

    Args:
        groups: What was run.
        results: Counts or exact probabilities of each group.
        backend: The backend's name, for the metadata.

    >>> groups = grouped([QuantumCircuit(1).x(0), QuantumCircuit(1)], None, np.arange(2))
    >>> tables = [BatchResult(probabilities=(np.array([row]),)) for row in ([0.0, 1.0], [1.0, 0.0])]
    >>> [result.probabilities for result in in_order(groups, tables, backend="mock")]
    [{'1': 1.0}, {'0': 1.0}]
    """
    found: dict[int, ExecutionResult] = {}
    for group, result in zip(groups, results, strict=True):
        values = execution_results(result, backend=backend)
        found.update((position, values[row]) for position, row in zip(group.positions, group.rows, strict=True))
    return [found[position] for position in sorted(found)]


def execution_results(result: BatchResult, *, backend: str) -> list[ExecutionResult]:
    """Each row of a batch that reads the whole register, as a value of its own.

    Args:
        result: Counts or exact probabilities.
        backend: Its name, for the metadata.

    >>> (row,) = execution_results(BatchResult(probabilities=(np.array([[0.25, 0.75]]),)), backend="mock")
    >>> row.probabilities, row.total_shots, row.metadata
    ({'0': 0.25, '1': 0.75}, 0, {'backend': 'mock'})
    """
    metadata = {**result.metadata, "backend": backend}
    if result.counts is not None:
        (counts,) = result.counts
        totals = counts.totals.tolist()
        return [
            ExecutionResult(row, {bits: count / total for bits, count in row.items()}, total, metadata)
            for row, total in zip(counts.to_dicts(), totals, strict=True)
        ]
    if result.probabilities is not None:
        (table,) = result.probabilities
        return [ExecutionResult({}, row, 0, metadata) for row in _by_bits(table)]
    raise BackendError(f"backend {backend!r} returned neither counts nor probabilities of the whole register")


def _by_bits(table: FloatArray) -> list[dict[str, float]]:
    """The entries of each row that are more than rounding, by their bit strings."""
    n_bits = int(table.shape[1]).bit_length() - 1
    rows, outcomes = np.nonzero(table > _SMALLEST)
    values = table[rows, outcomes].tolist()
    pairs = [(format(outcome, f"0{n_bits}b"), value) for outcome, value in zip(outcomes.tolist(), values, strict=True)]
    bounds = np.searchsorted(rows, np.arange(len(table) + 1)).tolist()
    return [dict(pairs[first:last]) for first, last in pairwise(bounds)]
