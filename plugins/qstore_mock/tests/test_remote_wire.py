"""Batches and results as JSON: the same bits come out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from qstore_mock.backend import MockBackend
from qstore_mock.remote.wire import (
    batches_from_json,
    batches_to_json,
    circuit_digests,
    results_from_json,
    results_to_json,
)

from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.circuit import QuantumCircuit
from qstore_core.errors import CircuitError
from qstore_core.observables import PauliString, PauliSum
from qstore_core.randomness import StepKey

AWKWARD = [0.1, -0.0, 5e-324, np.nextafter(1.0, 2.0), 1e308, -np.pi]


def bits(array: np.ndarray[Any, Any] | None) -> tuple[Any, ...] | None:
    return None if array is None else (array.dtype, array.shape, array.tobytes())


def there_and_back(batch: CircuitBatch) -> CircuitBatch:
    (read,) = batches_from_json(json.loads(json.dumps(batches_to_json([batch]))))
    return read


def simple_batch(**changes: Any) -> CircuitBatch:
    circuit = QuantumCircuit(2).ry(0, 0.1).rz(1, 0.2).cnot(0, 1)
    angles = np.array([[0.1, 0.2], [0.3, 0.4]])
    draws = StepKey(1).draws(sample=np.arange(2))
    observables = (PauliSum.of("Z0"), PauliSum.of("X0 X1"))
    return replace(CircuitBatch(circuit.structure, angles, observables, 100, draws), **changes)


def simple_document() -> Any:
    return json.loads(json.dumps(batches_to_json([simple_batch()])))


@pytest.mark.parametrize("shots", [None, 7])
@pytest.mark.parametrize("whole", [False, True], ids=["observables", "register"])
def test_random_batches_come_back_bit_for_bit(
    shots: int | None,
    whole: bool,
    random_circuit: Callable[..., QuantumCircuit],
    random_observables: Callable[..., tuple[PauliSum, ...]],
    rng: np.random.Generator,
) -> None:
    for n_qubits in (1, 3, 5):
        structure = random_circuit(rng, n_qubits).structure
        angles = rng.normal(size=(4, structure.n_angles))
        draws = None if shots is None else StepKey(3).draws(sample=np.arange(4))
        observables = None if whole else random_observables(rng, n_qubits)
        batch = CircuitBatch(structure, angles, observables, shots, draws)
        read = there_and_back(batch)
        assert read.structure == structure
        assert read.structure.digest == structure.digest
        assert read.observables == observables
        assert read.shots == shots
        assert bits(read.angles) == bits(angles)
        assert bits(read.draws) == bits(draws)


def test_awkward_numbers_keep_their_bits() -> None:
    structure = QuantumCircuit(1).ry(0, 0.0).structure
    angles = np.array(AWKWARD)[:, None]
    draws = np.array([0, 1, 2**63, 2**64 - 1, 7, 9], dtype=np.uint64)
    factors = (PauliSum.of(PauliString("Z0", value)) for value in AWKWARD if value)
    read = there_and_back(CircuitBatch(structure, angles, tuple(factors), 1, draws))
    assert bits(read.angles) == bits(angles)
    assert bits(read.draws) == bits(draws)
    assert read.observables is not None
    assert [sum_.terms[0].coefficient for sum_ in read.observables] == [value for value in AWKWARD if value]


@pytest.mark.parametrize("shots", [None, 50])
@pytest.mark.parametrize("whole", [False, True], ids=["observables", "register"])
def test_results_come_back_bit_for_bit(
    shots: int | None, whole: bool, execute: Callable[[MockBackend, CircuitBatch], BatchResult]
) -> None:
    batch = simple_batch(shots=shots, **({"observables": None} if whole else {}))
    result = replace(execute(MockBackend(), batch), metadata={"device": "none"})
    (read,) = results_from_json(json.loads(json.dumps(results_to_json([result]))))
    assert read.metadata == result.metadata
    assert bits(read.expectations) == bits(result.expectations)
    for ours, theirs in zip(read.probabilities or (), result.probabilities or (), strict=True):
        assert bits(ours) == bits(theirs)
    for counts, expected in zip(read.counts or (), result.counts or (), strict=True):
        assert counts.n_bits == expected.n_bits
        assert bits(counts.outcomes) == bits(expected.outcomes)
        assert bits(counts.counts) == bits(expected.counts)
        assert bits(counts.starts) == bits(expected.starts)


def test_what_is_read_can_be_written_to() -> None:
    read = there_and_back(simple_batch())
    read.angles[0, 0] = 1.0
    assert read.angles[0, 0] == 1.0


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ((), None, "these are no batches: TypeError"),
        ((0,), {}, "these are no batches: KeyError: 'observables'"),
        ((0, "structure", "gates", 0), ["nope", [0]], "nope"),
        ((0, "structure", "gates", 0), ["ry", [5]], "ry on qubit 5"),
        ((0, "structure", "gates", 0), ["ry", [0, 1]], "acts on 1 different"),
        ((0, "structure", "n_qubits"), 0, "n_qubits is a whole number"),
        ((0, "angles", "dtype"), "<f4", "an array of '<f4' where '<f8' is expected"),
        ((0, "angles", "data"), "?", "these are no batches"),
        ((0, "angles", "shape"), [3, 3], "these are no batches: ValueError"),
        ((0, "shots"), 0, "shots is a whole number"),
        ((0, "shots"), 1.5, "shots is a whole number"),
        ((0, "draws"), None, "one draw label for each"),
        ((0, "observables", 0), [[[[9, "Z"]], 1.0]], "an observable acts on qubit 9"),
        ((0, "observables", 0), [[[[0, "Q"]], 1.0]], "found 'Q'"),
    ],
)
def test_what_a_stranger_sends_is_checked(path: tuple[Any, ...], value: Any, message: str) -> None:
    document = simple_document()
    if path:
        place = document
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = value
    else:
        document = value
    with pytest.raises(CircuitError, match=message):
        batches_from_json(document)


class TestDigests:
    def test_there_is_one_for_each_circuit(self) -> None:
        for batch in (simple_batch(), simple_batch(shots=None), simple_batch(observables=None)):
            digests = circuit_digests(batch)
            assert len(digests) == batch.n_circuits == len(set(digests))

    def test_they_do_not_depend_on_the_way_a_batch_is_split(self) -> None:
        batch = simple_batch()
        assert circuit_digests(batch) == circuit_digests(batch.rows(0, 1)) + circuit_digests(batch.rows(1, 2))

    def test_they_change_with_everything_that_makes_a_circuit_another(self) -> None:
        batch = simple_batch()
        assert batch.draws is not None
        others = [
            batch,
            replace(batch, structure=QuantumCircuit(2).ry(0, 0.1).rz(1, 0.2).cnot(1, 0).structure),
            replace(batch, angles=np.nextafter(batch.angles, 9.0)),
            replace(batch, observables=(PauliSum.of("Y0"), PauliSum.of("X0 Z1"))),
            replace(batch, shots=101),
            replace(batch, draws=batch.draws + np.uint64(1)),
        ]
        digests = [digest for other in others for digest in circuit_digests(other)]
        assert len(digests) == len(set(digests)) == sum(other.n_circuits for other in others)

    def test_the_draws_of_exact_circuits_do_not_count(self) -> None:
        exact = simple_batch(shots=None)
        assert circuit_digests(exact) == circuit_digests(replace(exact, draws=None))
