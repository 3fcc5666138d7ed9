"""Results that do not fit what was asked for are the backend's error, and were paid for."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from priced_batches import Priced, batch, run

from qstore_core.batch import BatchResult, CircuitBatch, VectorJacobianProduct
from qstore_core.counts import Counts
from qstore_core.errors import BackendError
from qstore_core.executor import Executor


class Odd(Priced):
    """A simulator whose results are of one's choice."""

    def __init__(self, result: BatchResult, **limits: Any) -> None:
        super().__init__(**limits)
        self.result = result

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        return self.result

    async def gradient(self, batch: CircuitBatch, compiled: Any, cotangents: NDArray[np.float64]) -> Any:
        return self.result.angle_gradients


def tallies(n_rows: int) -> Counts:
    return Counts.from_dicts([{"00": 10}] * n_rows)


class TestResultsThatDoNotFit:
    @pytest.mark.parametrize(
        ("result", "message"),
        [
            (BatchResult(expectations=np.zeros((4, 2))), "backend 'watched' returned 4 rows for a batch of 5"),
            (BatchResult(expectations=np.zeros((6, 2))), "returned 6 rows for a batch of 5"),
            (BatchResult(counts=(tallies(4),)), "returned 4 rows for a batch of 5"),
            (BatchResult(probabilities=(np.full((3, 4), 0.25),)), "returned 3 rows for a batch of 5"),
            (BatchResult(), "returned 0 rows for a batch of 5"),
            (
                BatchResult(expectations=np.zeros((5, 1))),
                r"returned expectation values of shape \(5, 1\), not \(5, 2\)",
            ),
            (BatchResult(expectations=np.zeros(5)), r"returned expectation values of shape \(5,\), not \(5, 2\)"),
            (BatchResult(counts=(tallies(5), tallies(5))), "returned results in 2 bases for 1"),
            (BatchResult(probabilities=(np.full((5, 4), 0.25),) * 3), "returned results in 3 bases for 1"),
        ],
        ids=lambda value: "" if isinstance(value, BatchResult) else value,
    )
    def test_they_are_a_backend_error_that_says_how(self, result: BatchResult, message: str) -> None:
        with pytest.raises(BackendError, match=message):
            run(Odd(result), batch())

    @pytest.mark.parametrize(
        ("counts", "message"),
        [
            (Counts.from_dicts([{"0": 10}] * 5), "backend 'watched' returned counts over 1 bits for a basis of 2"),
            (Counts.from_dicts([{"000": 10}] * 5), "returned counts over 3 bits for a basis of 2"),
            (Counts.from_dicts([{"00": 10}, {"01": 11}, *[{"00": 10}] * 3]), "returned 11 shots in row 1, and 10 were"),
            (replace(tallies(5), outcomes=np.full(5, 4, np.uint64)), "returned the outcome 4, and 2 bits hold no such"),
        ],
        ids=["narrow", "wide", "many", "outcome"],
    )
    @pytest.mark.parametrize("observables", [("Z0", "Z1"), None], ids=repr)
    def test_counts_that_cannot_be_are_noticed(self, counts: Counts, message: str, observables: Any) -> None:
        with pytest.raises(BackendError, match=message):
            run(Odd(BatchResult(counts=(counts,))), batch(shots=10, observables=observables))

    def test_shots_that_a_machine_threw_away_are_missed_by_nobody(self) -> None:
        fewer = Counts.from_dicts([{"00": 10}, {"01": 9}, *[{"00": 10}] * 3])
        (result,) = run(Odd(BatchResult(counts=(fewer,))), batch(shots=10, observables=("Z0", "Z1")))
        assert result.counts is not None
        assert result.counts[0].totals.tolist() == [10, 9, 10, 10, 10]

    def test_counts_of_every_basis_are_looked_at(self) -> None:
        wanted = batch(shots=10, observables=("Z0 Z1", "X0 Z1"))
        for second in (tallies(4), Counts.from_dicts([{"0": 10}] * 5)):
            with pytest.raises(
                BackendError, match=r"counts of 4 rows in one basis .* of 5|over 1 bits for a basis of 2"
            ):
                run(Odd(BatchResult(counts=(tallies(5), second))), wanted)

    @pytest.mark.parametrize(
        ("table", "message"),
        [
            (np.full((5, 2), 0.5), r"returned probabilities of shape \(5, 2\), not \(5, 4\)"),
            (np.full((5, 4), np.nan), "returned nan or infinity as a probability"),
            (np.full((5, 4), [np.inf, -np.inf, 1, 0]), "returned nan or infinity as a probability"),
            (np.full((5, 4), [1.25, -0.25, 0, 0]), "returned a probability of -0.25; none is below 0"),
            (np.eye(5, 4), "returned probabilities that add up to 0 in row 4, not 1"),
            (np.full((5, 4), 0.5), "returned probabilities that add up to 2 in row 0, not 1"),
        ],
        ids=["shape", "nan", "infinity", "negative", "none", "twice"],
    )
    @pytest.mark.parametrize("observables", [("Z0", "Z1"), None], ids=repr)
    def test_probabilities_that_cannot_be_are_noticed(
        self, table: NDArray[np.float64], message: str, observables: Any
    ) -> None:
        with pytest.raises(BackendError, match=message):
            run(Odd(BatchResult(probabilities=(table,))), batch(observables=observables))

    def test_the_rounding_of_single_precision_is_none_of_that(self) -> None:
        table = np.full((5, 4), [0.50001, 0.5, -1e-7, 0.0], dtype=np.float32)
        (result,) = run(Odd(BatchResult(probabilities=(table,))), batch(observables=None))  # type: ignore[arg-type]
        assert result.probabilities is not None

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            (7.0, r"returned an expectation value of 7, and \|Z0\| is at most 1"),
            (-1.01, r"returned an expectation value of -1.01, and \|Z0\| is at most 1"),
            (float("nan"), "returned nan or infinity as an expectation value"),
        ],
    )
    def test_values_that_cannot_be_are_noticed(self, values: float, message: str) -> None:
        with pytest.raises(BackendError, match=message):
            run(Odd(BatchResult(expectations=np.full((5, 2), values))), batch())

    def test_exact_values_for_shots_are_noticed(self) -> None:
        with pytest.raises(BackendError, match="returned exact values for 10 shots; a sampled batch needs counts"):
            run(Odd(BatchResult(expectations=np.zeros((5, 2)))), batch(shots=10))

    def test_something_else_is_noticed(self) -> None:
        with pytest.raises(BackendError, match="returned a list; execute returns a BatchResult"):
            run(Odd([1.0]), batch())  # type: ignore[arg-type]

    def test_a_missing_basis_is_noticed(self) -> None:
        with pytest.raises(BackendError, match="returned results in 1 bases for 2"):
            run(Odd(BatchResult(counts=(tallies(5),))), batch(observables=("Z0 Z1", "X0"), shots=10))

    def test_derivatives_of_the_wrong_number_of_rows_too(self) -> None:
        with pytest.raises(BackendError, match="returned 4 rows for a batch of 5"):
            run(Odd(BatchResult(angle_gradients=np.zeros((4, 2)))), VectorJacobianProduct(batch(), np.ones((5, 2))))

    def test_derivatives_by_the_wrong_number_of_angles_too(self) -> None:
        with pytest.raises(BackendError, match=r"returned gradients of shape \(5, 7\), not \(5, 2\)"):
            run(Odd(BatchResult(angle_gradients=np.zeros((5, 7)))), VectorJacobianProduct(batch(), np.ones((5, 2))))

    def test_they_were_paid_for(self) -> None:
        executor = Executor(Odd(BatchResult()))
        with pytest.raises(BackendError):
            asyncio.run(executor.run((batch(),)))
        assert executor.spent.circuits == 5
