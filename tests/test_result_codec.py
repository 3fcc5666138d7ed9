"""Rows as bytes and back, and the keys that name them."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from qstore_core import (
    BatchResult,
    CacheError,
    CircuitBatch,
    Counts,
    Parameter,
    PauliString,
    QuantumCircuit,
    get_backend,
)
from qstore_core.result_codec import decode_rows, encode_rows, row_keys


def arrays(result: BatchResult) -> list[tuple[str, Any, bytes]]:
    """Every array of a result: its type, shape and bits."""
    found: list[Any] = [result.expectations, result.angle_gradients, *(result.probabilities or ())]
    for counts in result.counts or ():
        found += [np.int64(counts.n_bits), counts.outcomes, counts.counts, counts.starts]
    return [(str(array.dtype), array.shape, array.tobytes()) for array in found if array is not None]


def same(first: BatchResult, second: BatchResult) -> bool:
    forms = [(r.expectations is None, r.probabilities is None, r.counts is None) for r in (first, second)]
    return forms[0] == forms[1] and arrays(first) == arrays(second)


def random_floats(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Any bit patterns at all, so also infinities, denormals and every kind of nan."""
    return rng.integers(0, 2**64, size=shape, dtype=np.uint64).view(np.float64)


def random_counts(rng: np.random.Generator, n_rows: int) -> Counts:
    n_bits = int(rng.integers(1, 64))
    lengths = rng.integers(1, min(2**n_bits, 40) + 1, size=n_rows)
    outcomes = [rng.choice(2**n_bits, size=n, replace=False) if n_bits < 10 else None for n in lengths]
    wide = [rng.integers(0, 2**n_bits, size=n, dtype=np.uint64) for n in lengths]
    joined = np.concatenate([w if o is None else o.astype(np.uint64) for o, w in zip(outcomes, wide, strict=True)])
    highest = 2 ** int(rng.integers(1, 63))
    counts = rng.integers(1, highest, size=lengths.sum(), dtype=np.int64, endpoint=True)
    return Counts(n_bits, joined, counts, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


def random_result(rng: np.random.Generator) -> BatchResult:
    n_rows, n_groups = int(rng.integers(1, 30)), int(rng.integers(1, 4))
    form = rng.integers(4)
    if form == 0:
        return BatchResult(expectations=random_floats(rng, (n_rows, int(rng.integers(1, 6)))))
    if form == 1:
        return BatchResult(angle_gradients=random_floats(rng, (n_rows, int(rng.integers(0, 40)))))
    if form == 2:
        sizes = 2 ** rng.integers(1, 6, size=n_groups)
        return BatchResult(probabilities=tuple(random_floats(rng, (n_rows, int(size))) for size in sizes))
    return BatchResult(counts=tuple(random_counts(rng, n_rows) for _ in range(n_groups)))


@pytest.mark.parametrize("seed", range(100))
def test_any_result_comes_back_bit_for_bit(seed: int) -> None:
    result = random_result(np.random.default_rng(seed))
    rows = encode_rows(result)
    assert len(rows) == result.n_rows
    assert same(decode_rows(rows), result)


@pytest.mark.parametrize("seed", range(20))
def test_each_row_stands_alone(seed: int) -> None:
    result = random_result(np.random.default_rng(seed))
    rows = encode_rows(result)
    alone = [decode_rows([row]) for row in rows]
    assert same(BatchResult.concatenate(alone), result)
    assert [encode_rows(one) for one in alone] == [[row] for row in rows]


@pytest.mark.parametrize("shots", [None, 1, 300])
@pytest.mark.parametrize("measured", [None, ("Z0", "Z1 Z2"), ("X0", "Z0", "Y1 X2")])
def test_results_of_a_simulator_come_back_bit_for_bit(
    shots: int | None, measured: tuple[str, ...] | None, execute: Callable[..., BatchResult]
) -> None:
    batch = sampled(5, measured, shots)
    result = execute(get_backend("mock"), batch)
    assert same(decode_rows(encode_rows(result)), result)


def test_decoded_arrays_can_be_written_to() -> None:
    expectations = decode_rows(encode_rows(BatchResult(expectations=np.zeros((2, 1))))).expectations
    assert expectations is not None
    expectations += 1.0


def test_the_metadata_are_not_part_of_a_row() -> None:
    result = BatchResult(expectations=np.zeros((1, 1)), metadata={"job": "7"})
    assert encode_rows(result) == encode_rows(replace(result, metadata={}))


def test_the_bytes_are_as_documented() -> None:
    counts = Counts.from_dicts([{"000000011": 300, "100000000": 2}])
    (row,) = encode_rows(BatchResult(counts=(counts,)))
    header = b'{"counts":[[9,2,2]]}'
    checked = struct.pack("<H", len(header)) + header + struct.pack("<HHHH", 3, 256, 300, 2)
    assert row == b"qsr1" + struct.pack("<I", zlib.crc32(checked)) + checked


def test_rows_of_counts_are_compact() -> None:
    table = np.full((1, 256), 4)
    (row,) = encode_rows(BatchResult(counts=(Counts.from_table(table),)))
    assert len(row) < 2 * 256 + 40


EXAMPLES = [
    BatchResult(expectations=np.array([[0.25, -0.5]])),
    BatchResult(probabilities=(np.array([[0.25, 0.75]]), np.array([[1.0, 0.0]]))),
    BatchResult(counts=(Counts.from_dicts([{"01": 3, "11": 700}]), Counts.from_dicts([{"0": 1}]))),
    BatchResult(angle_gradients=np.array([[1.0, 2.0, 3.0]])),
]


@pytest.mark.parametrize("result", EXAMPLES)
def test_every_single_wrong_bit_is_noticed(result: BatchResult) -> None:
    (row,) = encode_rows(result)
    for place in range(8 * len(row)):
        damaged = bytearray(row)
        damaged[place // 8] ^= 1 << place % 8
        with pytest.raises(CacheError):
            decode_rows([bytes(damaged)])


@pytest.mark.parametrize("result", EXAMPLES)
def test_every_truncation_is_noticed(result: BatchResult) -> None:
    (row,) = encode_rows(result)
    for length in range(len(row)):
        with pytest.raises(CacheError):
            decode_rows([row[:length]])
    with pytest.raises(CacheError, match="checksum"):
        decode_rows([row + b"\0"])


def sealed(header: bytes, body: bytes = b"") -> bytes:
    """A row whose checksum fits, whatever is in it."""
    checked = struct.pack("<H", len(header)) + header + body
    return b"qsr1" + struct.pack("<I", zlib.crc32(checked)) + checked


@pytest.mark.parametrize(
    "row",
    [
        sealed(b""),
        sealed(b"nonsense"),
        sealed(b"\xff\xfe"),
        sealed(b"[1]"),
        sealed(b"{}"),
        sealed(b'{"expectations":1,"counts":[]}'),
        sealed(b'{"density_matrix":4}', bytes(32)),
        sealed(b'{"expectations":"two"}', bytes(16)),
        sealed(b'{"expectations":3}', bytes(16)),
        sealed(b'{"expectations":-2}', bytes(16)),
        sealed(b'{"probabilities":2}', bytes(16)),
        sealed(b'{"counts":[[1,2]]}', bytes(16)),
        sealed(b'{"counts":[[1,2,3]]}', bytes(16)),
        sealed(b'{"counts":[[1,2,8]]}', bytes(16)),
        sealed(b'{"counts":[[1,1,1]]}', bytes(3)),
        sealed(b'{"counts":[[1,1,1]]}', bytes(2)),
        sealed(b'{"counts":[[99,1,1]]}', bytes(9)),
        sealed(b'{"counts":[[1,0,1]]}'),
        sealed(b'{"counts":7}'),
        sealed(b"[" * 5000),
    ],
)
def test_a_row_that_is_something_else_is_an_error(row: bytes) -> None:
    with pytest.raises(CacheError):
        decode_rows([row])


def test_rows_of_different_forms_are_an_error() -> None:
    rows = [encode_rows(result)[0] for result in EXAMPLES]
    wider = encode_rows(BatchResult(expectations=np.zeros((1, 3))))
    for mixed in ([rows[0], rows[1]], [rows[2], rows[0]], [rows[0], rows[2]], [rows[0], *wider]):
        with pytest.raises(CacheError, match="one form"):
            decode_rows(mixed)


def test_no_rows_have_no_form() -> None:
    assert encode_rows(BatchResult(expectations=np.zeros((0, 2)))) == []
    with pytest.raises(CacheError, match="no rows"):
        decode_rows([])


@pytest.mark.parametrize(
    "result", [BatchResult(), BatchResult(expectations=np.zeros((1, 1)), probabilities=(np.ones((1, 2)),))]
)
def test_a_result_of_no_form_or_of_two_is_an_error(result: BatchResult) -> None:
    with pytest.raises(CacheError, match="one form"):
        encode_rows(result)


def sampled(n_rows: int, measured: Sequence[str] | None, shots: int | None) -> CircuitBatch:
    circuit = QuantumCircuit(3).ry(0, Parameter("a")).cnot(0, 1).rx(2, Parameter("b")).cz(1, 2)
    angles = np.linspace(0.1, 2.0, 2 * n_rows).reshape(n_rows, 2)
    observables = None if measured is None else tuple(PauliString(text) for text in measured)
    return CircuitBatch(circuit.structure, angles, observables, shots, np.arange(n_rows, dtype=np.uint64) + 2**63)


def test_a_key_can_be_recomputed_from_its_description() -> None:
    batch = sampled(1, ("Z0", "X1 Z2"), 100)
    text = json.dumps(
        {
            "backend": "mock(é)",
            "cotangents": True,
            "observables": [[[[[0, "Z"]], 1.0]], [[[[1, "X"], [2, "Z"]], 1.0]]],
            "register": None,
            "shots": 100,
            "structure": batch.structure.digest,
        },
        sort_keys=True,
        separators=(",", ":"),
    )
    numbers = struct.pack("<ddQdd", 0.1, 2.0, 2**63, 0.5, -0.5)
    expected = hashlib.sha256(text.encode("ascii") + b"\n" + numbers).hexdigest()
    assert row_keys("mock(é)", batch, cotangents=np.array([[0.5, -0.5]])) == [expected]


def test_keys_never_change_from_release_to_release() -> None:
    exact, whole = sampled(1, ("Z0", "X1 Z2"), None), sampled(1, None, 100)
    assert row_keys("mock", exact) == ["34787fa74bb40aed492e9322df81528e4640ed75115f52c53e64c5bf809bd96e"]
    assert row_keys("mock", whole) == ["3b847fe627e48cd6b2def946567f797baf8a4f9e2293ae0f1ea1290a1a7350c1"]


def variants() -> dict[str, tuple[str, CircuitBatch, Any]]:
    batch = sampled(2, ("Z0", "Z1"), 100)
    other = QuantumCircuit(3).ry(0, Parameter("a")).cnot(0, 1).ry(2, Parameter("b")).cz(1, 2).structure
    nudged = np.nextafter(batch.angles, np.inf)
    return {
        "base": ("mock", batch, None),
        "fingerprint": ("mock(readout_error=0.1)", batch, None),
        "structure": ("mock", replace(batch, structure=other), None),
        "observables": ("mock", replace(batch, observables=(PauliString("Z0"), PauliString("Z2"))), None),
        "order": ("mock", replace(batch, observables=(PauliString("Z1"), PauliString("Z0"))), None),
        "coefficient": ("mock", replace(batch, observables=(PauliString("Z0", 1 + 2**-52), PauliString("Z1"))), None),
        "register": ("mock", replace(batch, observables=None), None),
        "angles": ("mock", replace(batch, angles=nudged), None),
        "shots": ("mock", replace(batch, shots=101), None),
        "exact": ("mock", replace(batch, shots=None), None),
        "draws": ("mock", replace(batch, draws=batch.draws ^ np.uint64(2**63)), None),  # type: ignore[operator]
        "cotangents": ("mock", batch, np.zeros((2, 2))),
        "other cotangents": ("mock", batch, np.array([[0.0, 1e-300], [0.0, 1e-300]])),
    }


def test_every_ingredient_changes_every_key() -> None:
    keys = [
        key for name, batch, cotangents in variants().values() for key in row_keys(name, batch, cotangents=cotangents)
    ]
    assert len(set(keys)) == len(keys) == 2 * len(variants())


def test_a_key_does_not_depend_on_the_other_rows() -> None:
    for batch in (sampled(6, ("Z0",), 100), sampled(6, None, None)):
        whole = row_keys("mock", batch)
        assert [row_keys("mock", batch.rows(row, row + 1))[0] for row in range(6)] == whole


def test_exact_rows_leave_the_draw_label_out() -> None:
    batch = sampled(2, ("Z0",), None)
    assert row_keys("mock", batch) == row_keys("mock", replace(batch, draws=None))
    assert row_keys("mock", replace(batch, angles=batch.angles[[0, 0]]))[0] == row_keys("mock", batch)[0]


def test_circuits_without_angles_have_keys() -> None:
    circuit = QuantumCircuit(1).x(0)
    batch = CircuitBatch(circuit.structure, np.empty((2, 0)), None, 5, np.array([1, 2], dtype=np.uint64))
    assert len(set(row_keys("mock", batch))) == 2
