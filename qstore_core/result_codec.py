"""Results as bytes, each row alone, and the keys that name rows: what caches and journals keep.

A row is four parts, one after the other: the mark `qsr1`; the CRC-32 of all that follows and the length of the header,
in four and two bytes; the header, JSON text that says which arrays follow; and the arrays, without gaps. All numbers
are little-endian. The headers are

    {"expectations":2}                  2 float64
    {"angle_gradients":24}              24 float64
    {"probabilities":[4,2]}             as many float64 for each basis
    {"counts":[[8,103,2],[1,2,4]]}      for each basis the bits, the number of outcomes and the bytes of a count: then
                                        come the outcomes, in the fewest of 1, 2, 4 and 8 bytes that hold the bits, and
                                        after them their counts
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qstore_core.arrays import FloatArray
from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.counts import Counts
from qstore_core.errors import CacheError, CircuitError
from qstore_core.observables import PauliSum

_MARK = b"qsr1"
_START = struct.Struct("<4sIH")
_CHECKED = 8  # the CRC is of what lies behind it
_FORMS = ("expectations", "angle_gradients", "probabilities", "counts")
_WIDTHS = (1, 2, 4, 8)  # bytes of a whole number
_LIMITS = np.array([2**8, 2**16, 2**32], dtype=np.int64)

"""What the header says of one basis of a row of counts: bits, number of outcomes, bytes of a count."""


def encode_rows(result: BatchResult) -> list[bytes]:
    """Each row of a result as bytes; `decode_rows` reads them back bit for bit.

    The metadata is not kept: it is about the call that brought the rows, not about a row.

    Raises:
        CacheError: The result has none of the four forms, or several.

    >>> (row,) = encode_rows(BatchResult(expectations=np.array([[0.5, -1.0]])))
    >>> row[10:28], len(row)
    (b'{"expectations":2}', 44)
    """
    present = [form for form in _FORMS if getattr(result, form) is not None]
    if len(present) != 1:
        raise CacheError(f"a result to keep has one form; this one has {', '.join(present) or 'none'}")
    (form,) = present
    if form == "counts":
        return _encode_counts(result.counts or ())
    if form == "probabilities":
        return _encode_floats(form, [rows.shape[1] for rows in result.probabilities or ()], result.probabilities or ())
    values = getattr(result, form)
    return _encode_floats(form, values.shape[1], (values,))


def decode_rows(rows: Sequence[bytes]) -> BatchResult:
    """The result whose rows `encode_rows` wrote, in one call or in several.

    Raises:
        CacheError: A row is damaged or is something else, the rows differ in form, or there are none.

    >>> rows = encode_rows(BatchResult(expectations=np.array([[0.5], [0.25]])))
    >>> decode_rows(rows[::-1]).expectations
    array([[0.25],
           [0.5 ]])
    """
    if not rows:
        raise CacheError("no rows to decode, so nothing says what form the result has")
    headers, bodies = zip(*map(_open, rows), strict=True)
    try:
        form, shape = _parse(headers[0])
        if form == "counts":
            return BatchResult(counts=tuple(_decode_counts([_parse(header) for header in headers], bodies)))
        if headers.count(headers[0]) != len(headers):
            raise _mixed(headers)
        if form == "probabilities":
            return BatchResult(probabilities=tuple(_decode_floats(shape, bodies)))
        (values,) = _decode_floats((shape,), bodies)
        return BatchResult(expectations=values) if form == "expectations" else BatchResult(angle_gradients=values)
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError, CircuitError) as error:
        raise CacheError(f"a stored row is no result of qstore: {type(error).__name__}: {error}") from error


def row_keys(fingerprint: str, batch: CircuitBatch, *, cotangents: FloatArray | None = None) -> list[str]:
    """What names the result of each row: SHA-256, in hexadecimal, of everything that decides it.

    Hashed are a JSON text in ASCII, without spaces and with sorted keys; a line feed; the row's angles as little-endian
    float64, exactly as they are; where there are shots the row's draw label, as a little-endian uint64; and where
    there are cotangents the row's. The text has the keys

        backend         the fingerprint
        cotangents      whether the answer is derivatives instead of values
        observables     for each observable its terms, as [[[qubit, letter], ...], coefficient]; or null
        register        the qubits that are read, where observables is null; else null
        shots           a number, or null
        structure       the digest of the structure

    Args:
        fingerprint: That of the backend.
        batch: The rows.
        cotangents: `(n_rows, n_observables)`, for the keys of the answers to a `VectorJacobianProduct`.

    >>> from qstore_core import QuantumCircuit
    >>> batch = CircuitBatch(QuantumCircuit(1).ry(0, 0.5).structure, np.array([[0.5]]), ("Z0",))
    >>> text = (
    ...     '{"backend":"mock","cotangents":false,"observables":[[[[[0,"Z"]],1.0]]],"register":null,"shots":null,'
    ...     '"structure":"' + batch.structure.digest + '"}'
    ... )
    >>> row_keys("mock", batch) == [hashlib.sha256(text.encode() + b"\\n" + struct.pack("<d", 0.5)).hexdigest()]
    True
    """
    register = None if batch.observables is not None else batch.structure.n_qubits
    text = (
        f'{{"backend":{json.dumps(fingerprint)},"cotangents":{json.dumps(cotangents is not None)},'
        f'"observables":{_observables_text(batch.observables)},"register":{json.dumps(register)},'
        f'"shots":{json.dumps(batch.shots)},"structure":"{batch.structure.digest}"}}\n'
    )
    parts = [_row_bytes(batch.angles, "<f8")]
    if batch.shots is not None and batch.draws is not None:
        parts.append(_row_bytes(batch.draws, "<u8"))
    if cotangents is not None:
        parts.append(_row_bytes(cotangents, "<f8"))
    common = hashlib.sha256(text.encode("ascii"))
    keys = []
    for pieces in zip(*parts, strict=True):
        row = common.copy()
        row.update(b"".join(pieces))
        keys.append(row.hexdigest())
    return keys


@lru_cache(maxsize=256)
def _observables_text(observables: tuple[PauliSum, ...] | None) -> str:
    if observables is None:
        return "null"
    described = [
        [[[[int(qubit), letter] for qubit, letter in term.letters], term.coefficient] for term in observable.terms]
        for observable in observables
    ]
    return json.dumps(described, separators=(",", ":"))


def _row_bytes(array: NDArray[Any], dtype: str) -> list[bytes]:
    data = array.astype(dtype, copy=False).tobytes()
    width = len(data) // len(array)
    return [data[row * width : (row + 1) * width] for row in range(len(array))]


def _row(header: bytes, body: bytes) -> bytes:
    checked = len(header).to_bytes(2, "little") + header + body
    return _MARK + zlib.crc32(checked).to_bytes(4, "little") + checked


def _open(row: bytes) -> tuple[bytes, bytes]:
    if len(row) < _START.size or row[:4] != _MARK:
        raise CacheError(f"a stored row does not begin like one: {row[:16]!r}; it was not written by encode_rows")
    _, crc, length = _START.unpack_from(row)
    if zlib.crc32(memoryview(row)[_CHECKED:]) != crc:
        raise CacheError("a stored row is damaged: its checksum does not fit")
    begin = _START.size + length
    return row[_START.size : begin], row[begin:]


@lru_cache(maxsize=1024)
def _parse(header: bytes) -> tuple[str, Any]:
    ((form, shape),) = json.loads(header).items()
    if form not in _FORMS:
        raise CacheError(f"a stored row has the form {form!r}, which this version of qstore does not know")
    return form, shape


def _mixed(headers: Sequence[bytes]) -> CacheError:
    found = ", ".join(sorted({header.decode(errors="replace") for header in headers}))
    return CacheError(f"rows of one result have one form; these have {found}")


def _encode_floats(form: str, shape: int | list[int], groups: Sequence[FloatArray]) -> list[bytes]:
    header = json.dumps({form: shape}, separators=(",", ":")).encode()
    if not groups or not len(groups[0]):
        return []
    return [
        _row(header, b"".join(pieces)) for pieces in zip(*(_row_bytes(rows, "<f8") for rows in groups), strict=True)
    ]


def _decode_floats(widths: Sequence[int], bodies: Sequence[bytes]) -> Iterator[FloatArray]:
    if any(len(body) != 8 * sum(widths) for body in bodies):
        raise ValueError(f"{sum(widths)} numbers were announced")
    table = np.frombuffer(b"".join(bodies), dtype="<f8").astype(np.float64).reshape(len(bodies), sum(widths))
    for first, last in pairwise(accumulate(widths, initial=0)):
        yield np.ascontiguousarray(table[:, first:last])


def _encode_counts(groups: Sequence[Counts]) -> list[bytes]:
    rows = []
    for pieces in zip(*(_count_pieces(counts) for counts in groups), strict=True):
        header = ",".join(shape for shape, _ in pieces)
        rows.append(_row(f'{{"counts":[{header}]}}'.encode(), b"".join(body for _, body in pieces)))
    return rows


def _count_pieces(counts: Counts) -> Iterator[tuple[str, bytes]]:
    """Each row's shape, as JSON, and bytes."""
    bounds = counts.starts.tolist()
    highest = np.maximum.reduceat(counts.counts, counts.starts[:-1]) if counts.n_rows else counts.counts
    classes = np.searchsorted(_LIMITS, highest, side="right")
    narrowed = {_WIDTHS[index]: _narrow(counts.counts, _WIDTHS[index]) for index in set(classes.tolist())}
    outcome_width = _outcome_width(counts.n_bits)
    outcomes = _narrow(counts.outcomes, outcome_width)
    for (first, last), index in zip(pairwise(bounds), classes.tolist(), strict=True):
        width = _WIDTHS[index]
        body = outcomes[first * outcome_width : last * outcome_width] + narrowed[width][first * width : last * width]
        yield f"[{counts.n_bits},{last - first},{width}]", body


def _decode_counts(parsed: Sequence[tuple[str, Any]], bodies: Sequence[bytes]) -> Iterator[Counts]:
    bits = [shape[0] for shape in parsed[0][1]]
    outcomes: list[list[NDArray[Any]]] = [[] for _ in bits]
    counts: list[list[NDArray[Any]]] = [[] for _ in bits]
    for (form, shapes), body in zip(parsed, bodies, strict=True):
        if form != "counts" or [shape[0] for shape in shapes] != bits:
            raise CacheError(
                f"rows of one result have one form; these have counts over {bits} bits and {form} {shapes}"
            )
        offset = 0
        for group, (n_bits, size, width) in enumerate(shapes):
            outcome_width = _outcome_width(n_bits)
            outcomes[group].append(np.frombuffer(body, f"<u{outcome_width}", size, offset))
            offset += size * outcome_width
            counts[group].append(np.frombuffer(body, f"<u{width}", size, offset))
            offset += size * width
        if offset != len(body):
            raise ValueError(f"{offset} bytes were announced, there are {len(body)}")
    for group, n_bits in enumerate(bits):
        starts = np.array([0, *accumulate(map(len, counts[group]))], dtype=np.int64)
        joined = np.concatenate(outcomes[group], dtype=np.uint64, casting="unsafe")
        yield Counts(n_bits, joined, np.concatenate(counts[group], dtype=np.int64, casting="unsafe"), starts)


def _narrow(values: NDArray[Any], width: int) -> bytes:
    return values.astype(f"<u{width}").tobytes()


def _outcome_width(n_bits: int) -> int:
    return next((width for width in _WIDTHS if n_bits <= 8 * width), 8)
