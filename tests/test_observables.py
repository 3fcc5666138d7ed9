"""Pauli strings, their sums, and groups that one circuit can measure."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from qstore_core.errors import CircuitError
from qstore_core.observables import MeasurementGroup, PauliString, PauliSum, group_commuting


class TestPauliString:
    @pytest.mark.parametrize(
        "same",
        [
            PauliString("X3 Z0"),
            PauliString(" Z0  X3 I5 "),
            PauliString({3: "X", 0: "Z", 1: "I"}),
            PauliString([(3, "X"), (0, "Z")]),
            PauliString(pair for pair in [(3, "X"), (0, "Z")]),
        ],
        ids=["other order", "identities and blanks", "mapping", "pairs", "iterator"],
    )
    def test_it_has_one_form_however_it_is_written(self, same: PauliString) -> None:
        assert same == PauliString("Z0 X3")
        assert hash(same) == hash(PauliString("Z0 X3"))
        assert same.letters == ((0, "Z"), (3, "X"))
        assert same.qubits == (0, 3)

    def test_the_identity_acts_on_no_qubit(self) -> None:
        assert PauliString() == PauliString("I") == PauliString("I0 I4") == PauliString({})
        assert PauliString().qubits == ()

    @pytest.mark.parametrize(
        "two", [2, 2.0, np.float64(2), np.float32(2), np.int64(2)], ids=lambda two: type(two).__name__
    )
    def test_any_real_number_scales_it_from_either_side(self, two: Any) -> None:
        assert two * PauliString("Z0") == PauliString("Z0") * two == PauliString("Z0", 2.0)
        assert -PauliString("Z0") == PauliString("Z0", -1.0)

    @pytest.mark.parametrize(
        ("string", "text"),
        [
            (PauliString("Z0 X12"), "Z0 X12"),
            (-PauliString("Z0"), "-Z0"),
            (0.5 * PauliString("Y1"), "0.5*Y1"),
            (2 * PauliString(), "2*I"),
        ],
    )
    def test_it_reads_as_it_is_written(self, string: PauliString, text: str) -> None:
        assert repr(string) == text

    @pytest.mark.parametrize(
        ("build", "message"),
        [
            (lambda: PauliString("Z0 Z0"), "names each qubit once; 'Z0 Z0' repeats one"),
            (lambda: PauliString([(0, "X"), (0, "Z")]), "names each qubit once"),
            (
                lambda: PauliString("Z0X1"),
                "cannot read 'Z0X1' as a Pauli string: write letters with qubits, like 'Z0 X3'",
            ),
            (lambda: PauliString("ZZ"), "cannot read 'ZZ'"),
            (lambda: PauliString("z0"), "cannot read 'z0'"),
            (lambda: PauliString("Z-1"), "cannot read 'Z-1'"),
            (lambda: PauliString({0: "W"}), "made of X, Y, Z on qubits 0, 1, ...; found 'W' on 0"),
            (lambda: PauliString({-1: "X"}), "found 'X' on -1"),
            (lambda: PauliString({"0": "X"}), "found 'X' on '0'"),
            (lambda: PauliString("Z0", 1j), "coefficient is a finite real number, not 1j"),
            (lambda: PauliString("Z0", float("nan")), "coefficient is a finite real number, not nan"),
            (lambda: PauliString("Z0") * PauliString("X1"), "coefficient is a finite real number, not "),
        ],
    )
    def test_what_cannot_be_a_pauli_string_is_refused(self, build: Callable[[], object], message: str) -> None:
        with pytest.raises(CircuitError, match=message):
            build()


class TestPauliSum:
    def test_equal_sums_are_equal_in_whatever_order_they_are_added(self) -> None:
        one = 0.5 * PauliString("Z0") + PauliString("X1") - 2 * PauliString("I")
        other = PauliString("I") * -2.0 + (PauliString("X1") + 0.25 * PauliString("Z0")) + 0.25 * PauliString("Z0")
        assert one == other
        assert hash(one) == hash(other)

    def test_what_cancels_is_gone(self) -> None:
        assert PauliString("Z0") + PauliString("X1") - PauliString("Z0") == PauliSum.of("X1")
        assert 0 * PauliSum.of("X1") == PauliSum()

    def test_it_can_be_scaled_and_negated(self) -> None:
        total = PauliString("Z0") + 2 * PauliString("X1")
        assert 0.5 * total == total * 0.5 == PauliString("Z0", 0.5) + PauliString("X1")
        assert -total == PauliString("Z0", -1.0) + PauliString("X1", -2.0)
        assert np.float64(2) * total == total + total

    def test_anything_that_names_an_observable_becomes_a_sum(self) -> None:
        assert PauliSum.of("Z0") == PauliSum.of(PauliString("Z0")) == PauliSum.of(PauliSum.of("Z0"))
        assert PauliSum.of("").terms == (PauliString(),)

    def test_it_knows_its_qubits(self) -> None:
        assert (PauliString("Z4 X2") + PauliString("Y0") + PauliString("I")).qubits == (0, 2, 4)

    @pytest.mark.parametrize(
        ("total", "text"),
        [
            (PauliString("Z0") - PauliString("X1"), "Z0 - X1"),
            (PauliString("I") + 0.5 * PauliString("Z0"), "I + 0.5*Z0"),
            (PauliSum(), "0"),
        ],
    )
    def test_it_reads_like_the_formula_it_is(self, total: PauliSum, text: str) -> None:
        assert repr(total) == text

    def test_other_things_are_not_observables(self) -> None:
        with pytest.raises(
            CircuitError, match="an observable is a PauliString, a sum of them or text like 'Z0 Z1', not 3"
        ):
            PauliSum.of(3)  # type: ignore[arg-type]


class TestGroups:
    def test_strings_that_agree_on_shared_qubits_are_measured_together(self) -> None:
        strings = [PauliString(text) for text in ["Z0", "Z1", "Z0 Z1", "X2", "X3 Z0"]]
        assert group_commuting(strings) == (MeasurementGroup(((0, "Z"), (1, "Z"), (2, "X"), (3, "X"))),)

    def test_strings_that_commute_but_not_qubit_by_qubit_are_measured_apart(self) -> None:
        assert len(group_commuting([PauliString("X0 X1"), PauliString("Z0 Z1")])) == 2

    def test_the_identity_needs_no_measurement(self) -> None:
        assert group_commuting([PauliString("I")]) == ()

    def test_the_groups_do_not_depend_on_the_order_or_the_weights(self, rng: np.random.Generator) -> None:
        strings = [PauliString(text) for text in ["X0", "Z0 Z1", "X0 Z1", "Y2", "X1 X2", "Z0"]]
        groups = group_commuting(strings)
        for _ in range(10):
            mixed = [strings[index] * float(rng.normal()) for index in rng.permutation(len(strings))]
            assert group_commuting(mixed) == groups

    def test_every_term_is_covered_and_all_members_of_a_group_commute(
        self, random_observables: Callable[..., tuple[PauliSum, ...]], rng: np.random.Generator
    ) -> None:
        for _ in range(50):
            n_qubits = int(rng.integers(1, 7))
            words = {term.letters for total in random_observables(rng, n_qubits) for term in total.terms} - {()}
            groups = group_commuting(PauliString(word) for word in words)
            members = [[word for word in words if group.covers(word)] for group in groups]
            assert set().union(*members) == words
            for first, second in (pair for group in members for pair in combinations(group, 2)):
                agreed = dict(first) | dict(second)
                assert set(first) | set(second) == set(agreed.items())

    def test_a_group_covers_only_what_its_outcomes_determine(self) -> None:
        group = MeasurementGroup(((0, "X"), (2, "Z")))
        assert group.covers(((2, "Z"),))
        assert not group.covers(((0, "Z"),))
        assert not group.covers(((1, "X"),))
        assert group.qubits == (0, 2)


def test_the_built_in_sum_adds_strings_and_sums() -> None:
    assert sum([PauliString("Z0"), PauliString("Z1")]) == PauliString("Z0") + PauliString("Z1")
    assert sum([PauliSum.of("X0"), PauliSum.of("X0")]) == 2 * PauliSum.of("X0")
