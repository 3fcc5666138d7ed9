"""What a backend returns is looked at before it is believed: form, shape, and values that can be."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from qstore_core.arrays import FloatArray, all_finite
from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.errors import BackendError
from qstore_core.observables import PauliSum


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
    if batch.shots is not None and result.counts is None and batch.groups:
        raise BackendError(
            f"backend {backend!r} returned exact values for {batch.shots} shots; a sampled batch needs counts"
        )
    bases = result.probabilities if result.counts is None else result.counts
    if bases is not None and len(bases) != len(batch.groups):
        raise BackendError(f"backend {backend!r} returned results in {len(bases)} bases for {len(batch.groups)}")
    if result.expectations is not None:
        _check_expectations(result.expectations, batch, backend)


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
