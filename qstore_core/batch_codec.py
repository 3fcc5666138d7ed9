"""Batches as bytes: what a journal keeps of a job until its results are in."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qstore_core.batch import CircuitBatch
from qstore_core.errors import CircuitError
from qstore_core.observables import PauliString, PauliSum
from qstore_core.operations import CircuitStructure

FORMAT = "qstore-batches-1"


def encode_batches(batches: Sequence[CircuitBatch]) -> bytes:
    """An .npz with the arrays of the batches and a JSON header; `decode_batches` reads it back bit for bit."""
    arrays: dict[str, NDArray[Any]] = {}
    for index, batch in enumerate(batches):
        arrays[f"angles_{index}"] = batch.angles
        if batch.draws is not None:
            arrays[f"draws_{index}"] = batch.draws
    header = json.dumps({"format": FORMAT, "batches": [_describe(batch) for batch in batches]})
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, header=np.frombuffer(header.encode(), dtype=np.uint8), **arrays)
    return buffer.getvalue()


def decode_batches(data: bytes) -> tuple[CircuitBatch, ...]:
    """The batches that `encode_batches` wrote.

    Raises:
        CircuitError: The bytes are something else, or damaged.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        header = json.loads(arrays["header"].tobytes())
        if header["format"] != FORMAT:
            raise CircuitError(f"these are not batches: their format is {header['format']!r}, expected {FORMAT!r}")
        return tuple(_build(entry, index, arrays) for index, entry in enumerate(header["batches"]))
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, CircuitError):
            raise
        raise CircuitError(f"these are not batches in {FORMAT}: {type(error).__name__}: {error}") from error


def _describe(batch: CircuitBatch) -> dict[str, Any]:
    observables = batch.observables
    return {
        "n_qubits": batch.structure.n_qubits,
        "gates": batch.structure.gates,
        "shots": batch.shots,
        "observables": None
        if observables is None
        else [[[term.letters, term.coefficient] for term in observable.terms] for observable in observables],
    }


def _build(entry: dict[str, Any], index: int, arrays: dict[str, NDArray[Any]]) -> CircuitBatch:
    gates = tuple((name, tuple(qubits)) for name, qubits in entry["gates"])
    observables = entry["observables"]
    return CircuitBatch(
        CircuitStructure(entry["n_qubits"], gates),
        arrays[f"angles_{index}"],
        None if observables is None else tuple(_observable(terms) for terms in observables),
        entry["shots"],
        arrays.get(f"draws_{index}"),
    )


def _observable(terms: list[Any]) -> PauliSum:
    return PauliSum(
        PauliString([(qubit, letter) for qubit, letter in letters], coefficient) for letters, coefficient in terms
    )
