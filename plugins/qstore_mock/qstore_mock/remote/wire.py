"""Batches and results as JSON, bit for bit: an array travels as base64 of its little-endian bytes."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from qstore_core.angles import Angle
from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.circuit import QuantumCircuit
from qstore_core.counts import Counts
from qstore_core.errors import CircuitError
from qstore_core.gates import get_gate
from qstore_core.observables import PauliString, PauliSum
from qstore_core.operations import CircuitStructure, Operation

_Kind = Literal["<f8", "<u8", "<i8"]


def batches_to_json(batches: Sequence[CircuitBatch]) -> list[dict[str, Any]]:
    """JSON values that `batches_from_json` reads back to the same bits.

    >>> circuit = QuantumCircuit(1).ry(0, 0.1)
    >>> (batch,) = batches_from_json(batches_to_json([CircuitBatch(circuit.structure, circuit.angles())]))
    >>> batch.angles
    array([[0.1]])
    """
    return [_batch_to_json(batch) for batch in batches]


def batches_from_json(document: Any) -> tuple[CircuitBatch, ...]:
    """The batches of a job, checked: this is where what a stranger sent comes in.

    Raises:
        CircuitError: It is not what `batches_to_json` makes.
    """
    try:
        return tuple(_batch_from_json(entry) for entry in document)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        if isinstance(error, CircuitError):
            raise
        raise CircuitError(f"these are no batches: {type(error).__name__}: {error}") from error


def results_to_json(results: Sequence[BatchResult]) -> list[dict[str, Any]]:
    """JSON values that `results_from_json` reads back to the same bits."""
    return [_result_to_json(result) for result in results]


def results_from_json(document: Any) -> tuple[BatchResult, ...]:
    """The results that `results_to_json` wrote.

    >>> (result,) = results_from_json(results_to_json([BatchResult(expectations=np.array([[0.1]]))]))
    >>> result.expectations
    array([[0.1]])

    Raises:
        ValueError, KeyError, TypeError: It is something else.
    """
    return tuple(_result_from_json(entry) for entry in document)


def circuit_digests(batch: CircuitBatch) -> tuple[str, ...]:
    """What tells each circuit of a batch from every other, SHA-256 in hexadecimal; `batch.n_circuits` of them.

    A circuit is a structure, the bytes of its angles, the bases it is measured in, its shots and its draw label. With
    shots each basis is a circuit of its own.

    >>> circuit = QuantumCircuit(1).ry(0, 0.1)
    >>> batch = CircuitBatch(circuit.structure, circuit.angles())
    >>> len(circuit_digests(batch)) == batch.n_circuits
    True
    """
    return tuple(hashlib.sha256(json.dumps(each).encode()).hexdigest() for each in _circuits(batch))


def _circuits(batch: CircuitBatch) -> Iterator[list[Any]]:
    bases = [group.basis for group in batch.groups]
    for row, angles in enumerate(batch.angles.astype("<f8")):
        draw = None if batch.shots is None or batch.draws is None else int(batch.draws[row])
        for measured in [bases] if batch.shots is None else [[basis] for basis in bases]:
            yield [batch.structure.digest, angles.tobytes().hex(), measured, batch.shots, draw]


def _batch_to_json(batch: CircuitBatch) -> dict[str, Any]:
    observables = batch.observables
    return {
        "structure": {"n_qubits": batch.structure.n_qubits, "gates": batch.structure.gates},
        "angles": _array_to_json(batch.angles, "<f8"),
        "observables": None if observables is None else [_sum_to_json(observable) for observable in observables],
        "shots": batch.shots,
        "draws": None if batch.draws is None else _array_to_json(np.asarray(batch.draws), "<u8"),
    }


def _batch_from_json(entry: Any) -> CircuitBatch:
    observables, draws = entry["observables"], entry["draws"]
    return CircuitBatch(
        _structure_from_json(entry["structure"]),
        _array_from_json(entry["angles"], "<f8"),
        None if observables is None else tuple(_sum_from_json(terms) for terms in observables),
        entry["shots"],
        None if draws is None else _array_from_json(draws, "<u8"),
    )


def _structure_from_json(entry: Any) -> CircuitStructure:
    """The structure, by way of a circuit, which checks names and qubits."""
    operations = tuple(
        Operation(name, tuple(qubits), Angle() if get_gate(name).has_angle else None) for name, qubits in entry["gates"]
    )
    return QuantumCircuit(entry["n_qubits"], operations).structure


def _sum_to_json(observable: PauliSum) -> list[Any]:
    return [[term.letters, term.coefficient] for term in observable.terms]


def _sum_from_json(terms: Any) -> PauliSum:
    return PauliSum(PauliString([(q, letter) for q, letter in letters], factor) for letters, factor in terms)


def _result_to_json(result: BatchResult) -> dict[str, Any]:
    values, probabilities, counts = result.expectations, result.probabilities, result.counts
    return {
        "expectations": None if values is None else _array_to_json(values, "<f8"),
        "probabilities": None if probabilities is None else [_array_to_json(rows, "<f8") for rows in probabilities],
        "counts": None if counts is None else [_counts_to_json(rows) for rows in counts],
        "metadata": dict(result.metadata),
    }


def _result_from_json(entry: Any) -> BatchResult:
    values, probabilities, counts = entry["expectations"], entry["probabilities"], entry["counts"]
    return BatchResult(
        expectations=None if values is None else _array_from_json(values, "<f8"),
        probabilities=None if probabilities is None else tuple(_array_from_json(rows, "<f8") for rows in probabilities),
        counts=None if counts is None else tuple(_counts_from_json(rows) for rows in counts),
        metadata=entry["metadata"],
    )


def _counts_to_json(counts: Counts) -> dict[str, Any]:
    return {
        "n_bits": counts.n_bits,
        "outcomes": _array_to_json(counts.outcomes, "<u8"),
        "counts": _array_to_json(counts.counts, "<i8"),
        "starts": _array_to_json(counts.starts, "<i8"),
    }


def _counts_from_json(entry: Any) -> Counts:
    return Counts(
        entry["n_bits"],
        _array_from_json(entry["outcomes"], "<u8"),
        _array_from_json(entry["counts"], "<i8"),
        _array_from_json(entry["starts"], "<i8"),
    )


def _array_to_json(array: NDArray[Any], kind: _Kind) -> dict[str, Any]:
    data = base64.b64encode(array.astype(kind).tobytes()).decode()
    return {"dtype": kind, "shape": array.shape, "data": data}


def _array_from_json(entry: Any, kind: _Kind) -> NDArray[Any]:
    if entry["dtype"] != kind:
        raise CircuitError(f"an array of {entry['dtype']!r} where {kind!r} is expected")
    data = base64.b64decode(entry["data"], validate=True)
    # a copy, in the machine's own byte order: what comes from a buffer cannot be written to
    return np.frombuffer(data, dtype=kind).reshape(entry["shape"]).astype(np.dtype(kind).newbyteorder("="))
