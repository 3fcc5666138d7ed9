"""What a backend returns is looked at before it is believed: form, shape, and values that can be."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from qstore_core.arrays import FloatArray, all_finite
from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.counts import Counts
from qstore_core.errors import BackendError
from qstore_core.observables import PauliSum

_SUM = 1e-3
"""How far probabilities may be from a sum of 1: wide registers in single precision are not as near as others."""
_BELOW = -1e-5
"""What rounding in single precision may make of a probability of 0."""


def check_result(result: object, batch: CircuitBatch, backend: str) -> None:
    """Raise `BackendError`, naming `backend`, when a result cannot be that of the batch.

    >>> from qstore_core import PauliString, QuantumCircuit
    >>> circuit = QuantumCircuit(1).x(0)
    >>> batch = CircuitBatch(circuit.structure, circuit.angles(), (PauliString("Z0"),))
    >>> check_result(BatchResult(expectations=np.array([[7.0]])), batch, "mine")
    Traceback (most recent call last):
        ...
    qstore_core.errors.BackendError: backend 'mine' returned an expectation value of 7, and |Z0| is at most 1
    """
    if not isinstance(result, BatchResult):
        raise BackendError(f"backend {backend!r} returned a {type(result).__name__}; execute returns a BatchResult")
    if result.n_rows != batch.n_rows:
        raise BackendError(f"backend {backend!r} returned {result.n_rows} rows for a batch of {batch.n_rows}")
    if result.angle_gradients is not None:
        _check_gradients(result.angle_gradients, batch, backend)
        if result.expectations is not None:
            _check_expectations(result.expectations, batch, backend)
        return
    if result.counts is not None or result.probabilities is not None or batch.shots is not None:
        _check_bases(result, batch, backend)
    if result.expectations is not None:
        _check_expectations(result.expectations, batch, backend)


def _check_bases(result: BatchResult, batch: CircuitBatch, backend: str) -> None:
    groups = batch.groups
    if batch.shots is not None and result.counts is None and groups:
        raise BackendError(
            f"backend {backend!r} returned exact values for {batch.shots} shots; a sampled batch needs counts"
        )
    for bases in (result.counts, result.probabilities):
        if bases is not None and len(bases) != len(groups):
            raise BackendError(f"backend {backend!r} returned results in {len(bases)} bases for {len(groups)}")
    for counts, group in zip(result.counts or (), groups, strict=False):
        _check_counts(counts, len(group.basis), batch, backend)
    for table, group in zip(result.probabilities or (), groups, strict=False):
        _check_probabilities(table, len(group.basis), batch, backend)


def _check_counts(counts: Counts, n_bits: int, batch: CircuitBatch, backend: str) -> None:
    if counts.n_rows != batch.n_rows:
        raise BackendError(
            f"backend {backend!r} returned counts of {counts.n_rows} rows in one basis for a batch of {batch.n_rows}"
        )
    if counts.n_bits != n_bits:
        raise BackendError(f"backend {backend!r} returned counts over {counts.n_bits} bits for a basis of {n_bits}")
    largest = int(counts.outcomes.max())
    if largest >> n_bits:
        raise BackendError(f"backend {backend!r} returned the outcome {largest}, and {n_bits} bits hold no such number")
    if batch.shots is not None and ((counts.totals > batch.shots) | (counts.totals < 1)).any():
        row = int(np.argmax((counts.totals > batch.shots) | (counts.totals < 1)))
        raise BackendError(  # a machine may throw some away, and these are paid for all the same
            f"backend {backend!r} returned {counts.totals[row]} shots in row {row}, and {batch.shots} were asked for"
        )


def _check_probabilities(values: object, n_bits: int, batch: CircuitBatch, backend: str) -> None:
    array, shape = np.asarray(values), (batch.n_rows, 2**n_bits)
    if array.shape != shape:
        raise BackendError(f"backend {backend!r} returned probabilities of shape {array.shape}, not {shape}")
    with np.errstate(invalid="ignore"):
        sums = array @ np.ones(shape[1])  # cheaper than array.sum(axis=1)
    if array.min() >= _BELOW and np.abs(sums - 1.0).max() <= _SUM:  # both are false for nan
        return
    _check_finite(array, backend, "a probability")
    if array.min() < _BELOW:
        raise BackendError(f"backend {backend!r} returned a probability of {array.min():.6g}; none is below 0")
    row = int(np.argmax(np.abs(sums - 1.0)))
    raise BackendError(f"backend {backend!r} returned probabilities that add up to {sums[row]:.6g} in row {row}, not 1")


def _check_expectations(values: object, batch: CircuitBatch, backend: str) -> None:
    observables = batch.observables or ()
    array = np.asarray(values)
    shape = (batch.n_rows, len(observables))
    if array.shape != shape:
        raise BackendError(f"backend {backend!r} returned expectation values of shape {array.shape}, not {shape}")
    bounds, limits = _bounds(observables)
    if not (np.abs(array) <= limits).all():
        _check_finite(array, backend, "an expectation value")
        over = np.abs(array) > limits
        row, column = np.argwhere(over)[0]
        raise BackendError(
            f"backend {backend!r} returned an expectation value of {array[row, column]:.6g}, and "
            f"|{observables[column]}| is at most {bounds[column]:.6g}"
        )


@lru_cache(maxsize=256)
def _bounds(observables: tuple[PauliSum, ...]) -> tuple[FloatArray, FloatArray]:
    """The largest values there can be, and those that rounding may make of them."""
    bounds = np.array([sum(abs(term.coefficient) for term in observable.terms) for observable in observables])
    return bounds, bounds * (1 + 1e-6) + 1e-9


def _check_gradients(values: object, batch: CircuitBatch, backend: str) -> None:
    shape = np.shape(np.asarray(values))
    if shape != batch.angles.shape:
        raise BackendError(f"backend {backend!r} returned gradients of shape {shape}, not {batch.angles.shape}")
    _check_finite(values, backend, "a gradient")


def _check_finite(values: object, backend: str, what: str) -> None:
    if not all_finite(np.asarray(values)):
        raise BackendError(f"backend {backend!r} returned nan or infinity as {what}")
