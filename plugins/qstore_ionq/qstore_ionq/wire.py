"""Batches as the service takes them: one list of circuits, and metadata that suffices to read what comes back."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from operator import index
from typing import Any

import numpy as np

from qstore_core.arrays import LabelArray
from qstore_core.batch import CircuitBatch
from qstore_core.randomness import combine
from qstore_ionq.choice import Compiled

MAX_CIRCUITS, MAX_GATES = 5_000, 150_000
"""The most circuits of a job, and the most gates of all of them together."""
MAX_METADATA_KEYS, MAX_METADATA_VALUE = 10, 40_000
"""The most keys of a job's metadata, and the most characters of a value."""
_DRAWS = "draws"
_KEYS_OF_THE_CLIENT = ("shots",)

Readouts = list[list[tuple[int, ...]]]
"""For each batch and each of its bases: the device's qubit that holds each bit, most significant bit first."""


def circuits_of(batches: Sequence[CircuitBatch], compiled: Sequence[Compiled]) -> dict[str, Any]:
    """The `input` of a job: the circuits of all batches, row after row, in each row basis after basis."""
    pairs = zip(compiled, batches, strict=True)
    bound = [each.program.bind(batch.angles) for each, batch in pairs if each.program.n_circuits_per_row]
    return {
        "gateset": compiled[0].program.gateset,
        "qubits": max(each.program.n_qubits for each in compiled),
        "circuits": [{"circuit": circuit} for program in bound for circuit in program.circuits()],
    }


def metadata_of(batches: Sequence[CircuitBatch], compiled: Sequence[Compiled], token: str) -> dict[str, str]:
    """What travels with a job: its token, where each result bit is, why this gate set, and each circuit's draw label.

    Where the bits are is written down because a later process may compile otherwise than the one that sent the job.
    """
    readouts = [[each.program.readout(group) for group in range(each.program.n_circuits_per_row)] for each in compiled]
    texts = {
        "token": token,
        "readout": json.dumps(readouts, separators=(",", ":")),
        "gateset": "; ".join(dict.fromkeys(each.reason for each in compiled)),
    }
    labels = draws_of(batches)
    if labels is not None:
        text = base64.b64encode(labels.astype("<u8").tobytes()).decode()
        for number, first in enumerate(range(0, len(text), MAX_METADATA_VALUE)):
            texts[f"{_DRAWS}{number}"] = text[first : first + MAX_METADATA_VALUE]
    return texts


def metadata_fits(metadata: Mapping[str, str]) -> bool:
    """Whether the service takes this metadata, together with what cirq-ionq adds to it.

    >>> metadata_fits({"token": "t"}), metadata_fits({"readout": "1" * 40_001})
    (True, False)
    """
    few = len({*metadata, *_KEYS_OF_THE_CLIENT}) <= MAX_METADATA_KEYS
    return few and all(len(text) <= MAX_METADATA_VALUE for text in metadata.values())


def readouts_of(metadata: Mapping[str, Any]) -> Readouts:
    """Where the bits are, from a job's metadata.

    Raises:
        ValueError, KeyError, TypeError: It is not the metadata of a job of ours.
    """
    return [[tuple(map(index, bits)) for bits in bases] for bases in json.loads(metadata["readout"])]


def draws_of(batches: Sequence[CircuitBatch]) -> LabelArray | None:
    """The label of each circuit's randomness, `(n_circuits,)`, in the order of `circuits_of`; None for exact ones."""
    labels = [labels_of(batch) for batch in batches]
    if any(each is None for each in labels):
        return None
    return np.concatenate([each.ravel() for each in labels if each is not None])


def labels_of(batch: CircuitBatch) -> LabelArray | None:
    """The label of each circuit's randomness, `(n_rows, n_groups)`; None where nothing is sampled."""
    if batch.shots is None or batch.draws is None:
        return None
    return combine(batch.draws[:, None], np.arange(len(batch.groups)))


def noise_seed(labels: LabelArray | None) -> int:
    """A seed for the service's noise that follows from the labels: equal jobs ask for equal noise.

    >>> noise_seed(None)
    0
    """
    if labels is None:
        return 0
    return int.from_bytes(hashlib.sha256(labels.astype("<u8").tobytes()).digest()[:4], "little") >> 1
