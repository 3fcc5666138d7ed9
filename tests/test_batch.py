"""Batches of circuits and their results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qstore_core.angles import Parameter
from qstore_core.batch import BatchResult, CircuitBatch, ExecutionResult, estimates
from qstore_core.circuit import QuantumCircuit
from qstore_core.counts import Counts
from qstore_core.errors import CircuitError
from qstore_core.observables import PauliString, PauliSum

CIRCUIT = QuantumCircuit(2).ry(0, Parameter("a")).cnot(0, 1).ry(1, Parameter("b"))
OBSERVABLES = (PauliString("Z0") + PauliString("X1"), PauliSum.of("Z1"))
LABELS = np.arange(3, dtype=np.uint64)


def batch(**changes: Any) -> CircuitBatch:
    settings: dict[str, Any] = {
        "structure": CIRCUIT.structure,
        "angles": np.arange(6.0).reshape(3, 2),
        "observables": OBSERVABLES,
    }
    return CircuitBatch(**(settings | changes))


class TestCircuitBatch:
    def test_an_exact_batch_is_one_circuit_for_each_row(self) -> None:
        exact = batch()
        assert (exact.n_rows, exact.n_circuits, exact.n_shots) == (3, 3, 0)
        assert [group.basis for group in exact.groups] == [((0, "Z"), (1, "X")), ((1, "Z"),)]

    def test_with_shots_it_is_one_circuit_for_each_row_and_basis(self) -> None:
        sampled = batch(shots=np.int64(100), draws=LABELS)
        assert (sampled.n_circuits, sampled.n_shots, type(sampled.shots)) == (6, 600, int)

    def test_without_observables_the_whole_register_is_read(self) -> None:
        whole = batch(observables=None, shots=10, draws=LABELS)
        assert whole.plan is None
        assert [group.basis for group in whole.groups] == [((0, "Z"), (1, "Z"))]
        assert whole.n_circuits == 3

    def test_observables_may_be_text_or_strings(self) -> None:
        assert batch(observables=["Z0", PauliString("X1")]).observables == (PauliSum.of("Z0"), PauliSum.of("X1"))

    def test_identities_need_no_circuits_with_shots(self) -> None:
        assert batch(observables=("I",), shots=10, draws=LABELS).n_circuits == 0

    def test_arrays_become_contiguous_in_the_documented_types(self) -> None:
        made = batch(angles=np.arange(6).reshape(2, 3).T, shots=1, draws=[5, 6, 7])
        assert made.angles.flags.c_contiguous
        assert made.angles.dtype == np.float64
        assert made.draws is not None
        assert made.draws.dtype == np.uint64

    def test_rows_keeps_everything_else(self) -> None:
        whole = batch(shots=7, draws=LABELS)
        part = whole.rows(1, 3)
        np.testing.assert_array_equal(part.angles, [[2.0, 3.0], [4.0, 5.0]])
        np.testing.assert_array_equal(part.draws, [1, 2])
        assert (part.structure, part.observables, part.shots) == (whole.structure, whole.observables, 7)
        assert batch().rows(0, 1).draws is None

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"angles": np.zeros(2)}, r"angles need shape \(n_rows, 2\), at least one row, not \(2,\)"),
            ({"angles": np.zeros((3, 1))}, r"angles need shape \(n_rows, 2\), at least one row, not \(3, 1\)"),
            ({"angles": np.zeros((0, 2))}, r"at least one row, not \(0, 2\)"),
            ({"angles": [[0.0, np.nan]]}, "angles must be finite; found nan or inf"),
            ({"angles": [[np.inf, 0.0]]}, "angles must be finite; found nan or inf"),
            ({"observables": ()}, "at least one observable, or None for the whole register"),
            ({"observables": ("Z0", 3)}, "an observable is a PauliString, a sum of them or text like 'Z0 Z1', not 3"),
            ({"observables": ("Z0", "X2 Z1")}, "an observable acts on qubit 2 of a 2-qubit circuit"),
            ({"shots": 0, "draws": LABELS}, "shots is a whole number of at least 1, or None for exact values, not 0"),
            ({"shots": 1.5, "draws": LABELS}, "shots is a whole number of at least 1, or None .*, not 1.5"),
            ({"shots": True, "draws": LABELS}, "shots is a whole number of at least 1, or None .*, not True"),
            ({"shots": 10}, "a batch with shots needs one draw label for each of its 3 rows"),
            ({"shots": 10, "draws": LABELS[:2]}, "needs one draw label for each of its 3 rows"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(CircuitError, match=message):
            batch(**changes)


class TestBatchResult:
    def test_expectations_are_concatenated(self) -> None:
        parts = [BatchResult(expectations=np.full((rows, 2), float(rows))) for rows in (1, 2)]
        result = BatchResult.concatenate(parts)
        np.testing.assert_array_equal(result.expectations, [[1, 1], [2, 2], [2, 2]])
        assert result.n_rows == 3

    def test_probabilities_are_concatenated_basis_by_basis(self) -> None:
        parts = [BatchResult(probabilities=(np.full((rows, 2), 0.5), np.full((rows, 4), 0.25))) for rows in (1, 2)]
        result = BatchResult.concatenate(parts)
        assert result.probabilities is not None
        assert [rows.shape for rows in result.probabilities] == [(3, 2), (3, 4)]
        assert result.n_rows == 3

    def test_counts_are_concatenated_basis_by_basis(self) -> None:
        parts = [
            BatchResult(counts=(Counts.from_dicts([{"0": 1}]), Counts.from_dicts([{"01": 2}]))),
            BatchResult(counts=(Counts.from_dicts([{"1": 3}]), Counts.from_dicts([{"11": 4}]))),
        ]
        result = BatchResult.concatenate(parts)
        assert result.counts is not None
        assert [counts.to_dicts() for counts in result.counts] == [[{"0": 1}, {"1": 3}], [{"01": 2}, {"11": 4}]]
        assert result.n_rows == 2

    def test_gradients_are_concatenated(self) -> None:
        parts = [BatchResult(angle_gradients=np.zeros((rows, 5))) for rows in (1, 2)]
        result = BatchResult.concatenate(parts)
        assert result.angle_gradients is not None
        assert result.angle_gradients.shape == (3, 5)
        assert result.n_rows == 3

    def test_a_single_part_is_returned_as_it_is(self) -> None:
        part = BatchResult(expectations=np.zeros((1, 1)), metadata={"note": "kept"})
        assert BatchResult.concatenate([part]) is part
        assert BatchResult.concatenate([part, part]).metadata == {"note": "kept"}

    def test_a_result_without_values_has_no_rows(self) -> None:
        assert BatchResult().n_rows == 0


class TestEstimates:
    """Every form of result of the same distribution has the same expectation values."""

    TABLES = (np.array([[4, 2, 1, 1]] * 3), np.array([[6, 2]] * 3))
    VALUES = np.array([[0.5 + 0.25, 0.5]] * 3)

    def test_expectations_are_taken_as_they_are(self) -> None:
        found = estimates(batch(), BatchResult(expectations=self.VALUES))
        np.testing.assert_array_equal(found.values, self.VALUES)
        assert found.covariance is None

    def test_probabilities_are_folded(self) -> None:
        found = estimates(batch(), BatchResult(probabilities=tuple(table / 8 for table in self.TABLES)))
        np.testing.assert_allclose(found.values, self.VALUES)
        assert found.covariance is None

    def test_counts_are_folded_with_their_covariance(self) -> None:
        sampled = batch(shots=8, draws=LABELS)
        found = estimates(sampled, BatchResult(counts=tuple(map(Counts.from_table, self.TABLES))))
        np.testing.assert_allclose(found.values, self.VALUES)
        assert found.covariance is not None
        z0, x1 = np.repeat([1, 1, -1, -1], [4, 2, 1, 1]), np.repeat([1, -1, 1, -1], [4, 2, 1, 1])
        z1 = np.repeat([1, -1], [6, 2])
        expected = np.diag([np.var(z0 + x1, ddof=1), np.var(z1, ddof=1)]) / 8
        np.testing.assert_allclose(found.covariance, [expected] * 3, atol=1e-15)

    def test_identities_are_known_without_any_result(self) -> None:
        found = estimates(batch(observables=(2 * PauliString("I"),)), BatchResult(counts=()))
        np.testing.assert_array_equal(found.values, [[2.0]] * 3)

    def test_a_register_without_observables_has_no_estimates(self) -> None:
        with pytest.raises(CircuitError, match="it has no observables to estimate"):
            estimates(batch(observables=None), BatchResult(expectations=self.VALUES))

    def test_a_result_of_no_form_is_refused(self) -> None:
        with pytest.raises(CircuitError, match="needs expectations, probabilities or counts; this one has none"):
            estimates(batch(), BatchResult(angle_gradients=np.zeros((3, 2))))


class TestExecutionResult:
    RESULT = ExecutionResult({"010": 3, "101": 1}, {"010": 0.75, "101": 0.25}, 4)

    @pytest.mark.parametrize(
        ("observable", "value"),
        [
            ("Z0", 0.5),
            ("Z1", -0.5),
            ("Z0 Z2", 1.0),
            (PauliString("Z2") - 2 * PauliString("Z0 Z1"), 0.5 + 2.0),
            (PauliString("I", 1.5), 1.5),
        ],
    )
    def test_observables_of_z_are_read_from_its_bit_strings(self, observable: Any, value: float) -> None:
        assert self.RESULT.expectation(observable) == pytest.approx(value, abs=1e-15)

    @pytest.mark.parametrize(
        ("observable", "message"),
        [
            ("X0", "X0 cannot be read from outcomes in the computational basis"),
            ("Z0 Y1", "Z0 Y1 cannot be read from outcomes"),
            ("Z3", "Z3 acts on a qubit outside the register that was read"),
        ],
    )
    def test_others_are_refused(self, observable: str, message: str) -> None:
        with pytest.raises(CircuitError, match=message):
            self.RESULT.expectation(observable)
