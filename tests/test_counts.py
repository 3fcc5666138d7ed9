"""Measured outcomes as arrays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from qstore_core.counts import MAX_BITS, Counts
from qstore_core.errors import CircuitError

ROWS = [{"00": 3, "11": 1}, {"10": 5}, {"01": 2, "10": 1, "11": 4}]


def test_the_first_qubit_read_is_the_most_significant_bit() -> None:
    counts = Counts.from_dicts([{"01": 3, "10": 1}])
    np.testing.assert_array_equal(counts.outcomes, [1, 2])
    np.testing.assert_array_equal(counts.counts, [3, 1])


def test_dictionaries_come_back_as_they_went_in() -> None:
    counts = Counts.from_dicts(ROWS)
    assert counts.to_dicts() == ROWS
    assert counts.n_rows == 3
    np.testing.assert_array_equal(counts.totals, [4, 5, 7])


def test_outcomes_that_did_not_occur_take_no_room() -> None:
    assert len(Counts.from_dicts([{"0" * 60: 5, "1" * 60: 0}]).counts) == 1


def test_a_table_and_dictionaries_give_the_same(rng: np.random.Generator) -> None:
    table = rng.integers(0, 3, size=(20, 8))
    table[:, 5] += 1
    rows = [{format(outcome, "03b"): int(count) for outcome, count in enumerate(row) if count} for row in table]
    counts = Counts.from_table(table)
    assert counts.to_dicts() == rows == Counts.from_dicts(rows).to_dicts()
    assert counts.outcomes.dtype == np.uint64


def test_the_mean_weighs_each_outcome_by_its_count() -> None:
    counts = Counts.from_dicts(ROWS)
    np.testing.assert_allclose(counts.mean(counts.outcomes.astype(float)), [3 / 4, 2, (2 + 2 + 12) / 7])
    pairs = np.stack([counts.outcomes.astype(float), np.ones(len(counts.outcomes))], axis=1)
    np.testing.assert_allclose(counts.mean(pairs), [[3 / 4, 1], [2, 1], [16 / 7, 1]])


def test_rows_are_cut_out_and_put_together_again() -> None:
    counts = Counts.from_dicts(ROWS)
    assert counts.rows(1, 3).to_dicts() == ROWS[1:]
    assert Counts.concatenate([counts.rows(0, 1), counts.rows(1, 3)]).to_dicts() == ROWS
    assert Counts.concatenate([counts.rows(2, 3), counts]).totals.tolist() == [7, 4, 5, 7]


def test_outcomes_may_fill_63_bits() -> None:
    rows = [{"1" * MAX_BITS: 2, "0" * (MAX_BITS - 1) + "1": 1}]
    assert Counts.from_dicts(rows).to_dicts() == rows


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"1" * 64: 1}], "outcomes of 64 qubits: at most 63 can be read at once"),
        ([{"0" * 64: 1}], "outcomes of 64 qubits"),
        ([{"0": 1, "01": 1}], r"bit strings of one batch have one length; found \[1, 2\]"),
        ([{}], r"bit strings of one batch have one length; found \[\]"),
        ([{"0": 1}, {}], "row 1 has no outcomes: every circuit needs at least one shot"),
        ([{"0": 1}, {"1": 0}], "row 1 has no outcomes"),
    ],
)
def test_dictionaries_that_cannot_be_counts_are_refused(rows: list[dict[str, int]], message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        Counts.from_dicts(rows)


def test_a_table_with_an_empty_row_is_refused() -> None:
    with pytest.raises(CircuitError, match="row 1 has no outcomes"):
        Counts.from_table(np.array([[1, 0], [0, 0], [1, 1]]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Counts.from_dicts([{"1_0": 2}]), "an outcome is a string of 0 and 1, not '1_0'"),
        (lambda: Counts.from_dicts([{"10": -2}]), "found a count of -2"),
        (
            lambda: Counts.concatenate([Counts.from_dicts([{"0": 1}]), Counts.from_dicts([{"00": 1}])]),
            r"counts over \[1, 2\] qubits cannot be joined",
        ),
    ],
)
def test_counts_that_cannot_be_are_refused(make: Callable[[], Counts], message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        make()
