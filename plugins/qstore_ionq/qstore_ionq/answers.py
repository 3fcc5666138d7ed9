"""The service's answers, looked at before they are believed: what is malformed is an error and never a result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from qstore_core.batch import CircuitBatch
from qstore_core.errors import BackendError
from qstore_ionq import wire
from qstore_ionq.results import Histogram

ROUNDING = 1e-3
"""How far the probabilities of a circuit may be from a sum of 1.

IonQ documents a sum of 1 and no precision. Others saw answers rounded to nine digits, and sums off by about 1e-5; a
hundred times that is far less than any outcome that is left out of a few hundred shots.
"""
_DUST = 1e-9
_ADVICE = "nothing of it was used; resuming the run reads it again, and IonQ's support knows jobs by their ids"


def histograms_of(
    job_id: str, document: Mapping[str, Any], answer: Mapping[str, Any], batches: Sequence[CircuitBatch]
) -> list[Histogram]:
    """The histogram of each circuit of a job, in the order in which they were sent.

    Args:
        job_id: The job.
        document: The job as the service shows it.
        answer: The histograms as they came, by the circuits' ids.
        batches: What was sent.

    Raises:
        BackendError: The service says something that cannot be of these batches.
    """
    order, wanted = _children(job_id, document), sum(batch.n_rows * len(batch.groups) for batch in batches)
    missing = [child for child in order if not answer.get(child)]
    if len(order) != wanted or missing:
        raise BackendError(
            f"job {job_id} has results of {len(order) - len(missing)} circuits, and {wanted} were sent; it is "
            "another's job, or IonQ left some out"
        )
    n_qubits = max((batch.structure.n_qubits for batch in batches), default=0)
    try:
        return [_histogram(child, answer[child], n_qubits) for child in order]
    except ValueError as error:
        raise BackendError(f"job {job_id}, {error}; {_ADVICE}") from error


def readouts_of(job_id: str, document: Mapping[str, Any], batches: Sequence[CircuitBatch]) -> wire.Readouts:
    """Where the bits of each batch are, as the job's own metadata says.

    Raises:
        BackendError: The metadata is not that of a job with these batches.
    """
    try:
        readouts = wire.readouts_of(document["metadata"])
    except (KeyError, TypeError, ValueError) as error:
        raise BackendError(f"job {job_id} was not sent by qstore: its metadata holds no readout") from error
    widths = [[len(bits) for bits in bases] for bases in readouts]
    if widths != [[len(group.basis) for group in batch.groups] for batch in batches]:
        raise BackendError(f"job {job_id} measured other bases than these batches: it is another's job")
    for bases, batch in zip(readouts, batches, strict=True):
        n_qubits = batch.structure.n_qubits
        for bits in bases:
            if len(set(bits)) != len(bits) or not all(0 <= qubit < n_qubits for qubit in bits):
                raise BackendError(
                    f"job {job_id}: its metadata says that the bits of a basis are at the qubits {list(bits)} of "
                    f"{n_qubits}, each another from 0 to {n_qubits - 1}; {_ADVICE}"
                )
    return readouts


def amount(value: object) -> float:
    """A finite number of at least 0, such as money is.

    Raises:
        ValueError: It is none.

    >>> amount(25.79)
    25.79
    """
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise ValueError(f"{str(value)[:50]!r} is not a number of at least 0")
    return number


def _children(job_id: str, document: Mapping[str, Any]) -> Sequence[str]:
    children = document.get("child_job_ids") or []
    if not isinstance(children, list) or not all(isinstance(child, str) for child in children):
        raise BackendError(f"job {job_id}: its child_job_ids are {str(children)[:100]!r}, no list of ids; {_ADVICE}")
    if len(set(children)) != len(children):
        twice = next(child for child in children if children.count(child) > 1)
        raise BackendError(f"job {job_id}: its child_job_ids hold {twice!r} more than once; {_ADVICE}")
    return children


def _histogram(child: str, answer: object, n_qubits: int) -> Histogram:
    if not isinstance(answer, Mapping):
        raise ValueError(f"circuit {child}: {str(answer)[:100]!r} is no mapping from outcomes to probabilities")
    for outcome, chance in answer.items():
        if not _is_outcome(outcome) or int(outcome) >> n_qubits:
            raise ValueError(
                f"circuit {child}: {str(outcome)[:50]!r} is no outcome of {n_qubits} qubits, a decimal number below "
                f"{2**n_qubits}"
            )
        if isinstance(chance, bool) or not isinstance(chance, int | float) or not -_DUST <= chance <= 1 + ROUNDING:
            raise ValueError(f"circuit {child}: {str(chance)[:50]!r} is no probability of the outcome {outcome}")
    total = math.fsum(answer.values())
    if abs(total - 1) > ROUNDING:
        raise ValueError(f"circuit {child}: its probabilities sum to {total:.6g}, not to 1")
    return {outcome: max(0.0, float(chance)) for outcome, chance in answer.items()}


def _is_outcome(text: str) -> bool:
    """Whether a key is a number as the service writes it; a text of bits, such as "01", is not."""
    return text.isascii() and text.isdecimal() and len(text) <= 20 and (text == "0" or text[0] != "0")
