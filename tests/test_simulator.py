"""`SimulatorBackend`: what its author's `probabilities` may give."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from qstore_core import (
    BackendCapabilities,
    BackendError,
    CircuitBatch,
    PauliString,
    QuantumCircuit,
    SimulatorBackend,
)


class Given(SimulatorBackend):
    """A simulator that gives what it is told, whatever the circuit."""

    capabilities = BackendCapabilities(max_qubits=2)
    fingerprint = "given"

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def probabilities(self, structure: Any, angles: Any) -> Any:
        return self.answer


def counts_of(answer: Any) -> Any:
    circuit = QuantumCircuit(2).h(0)
    batch = CircuitBatch(
        circuit.structure, circuit.angles(), (PauliString("Z0"),), shots=100, draws=np.zeros(1, dtype=np.uint64)
    )
    backend = Given(answer)
    return asyncio.run(backend.execute(batch, backend.compile(batch.structure, batch.groups))).counts


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (np.full(4, np.nan), "with the sum nan; probabilities are at least 0 and sum to 1"),
        (np.full(4, 0.5), "numbers from 0.5 up, with the sum 2; "),
        ([1.5, -0.5, 0.0, 0.0], "numbers from -0.5 up"),
        ([0.5, 0.5, 0.0], "float64 of shape (3,); it gives real numbers, (4,) for 2 qubits"),
        (np.eye(4), "float64 of shape (4, 4)"),
        (np.array([1, 0, 0, 0], dtype=complex), "complex128 of shape (4,)"),
        (None, "object of shape ()"),
    ],
)
def test_what_cannot_be_probabilities_is_refused_and_no_shots_are_drawn_from_it(answer: Any, told: str) -> None:
    with pytest.raises(BackendError) as caught:
        counts_of(answer)

    assert told in str(caught.value)
    assert "backend 'given'" in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        [0.25, 0.25, 0.25, 0.25],
        [[0.5, 0.5], [0.0, 0.0]],
        [1, 0, 0, 0],
        np.array([0.5, 0.5 + 1e-6, -1e-7, 0.0], dtype=np.float32),
    ],
)
def test_probabilities_may_be_lists_arrays_by_qubit_whole_numbers_and_rounded(answer: Any) -> None:
    (counts,) = counts_of(answer)

    assert counts.counts.sum() == 100
