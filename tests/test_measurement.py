"""Expectation values and their covariance, from probabilities and from counts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from qstore_core.arrays import FloatArray
from qstore_core.counts import Counts
from qstore_core.measurement import MeasurementPlan, measurement_plan, register_group
from qstore_core.observables import PauliString, PauliSum

# Three bases; the third observable shares one with each of the first two, which share none and so are independent.
OBSERVABLES = (
    PauliString("Z0 Z1") - 0.5 * PauliString("Z2") + 0.25 * PauliString("I"),
    0.7 * PauliString("Z1") + PauliString("X0 X2"),
    PauliString("Y1 Z2") + 2 * PauliString("X0") - 0.3 * PauliString("Z0"),
    3 * PauliSum.of("I"),
)


def outcome_values(plan: MeasurementPlan, observables: tuple[PauliSum, ...], group: int) -> FloatArray:
    """What each outcome of a group adds to each observable, bit by bit: `(2**n_bits, n_observables)`."""
    qubits = plan.groups[group].qubits
    values = np.zeros((2 ** len(qubits), len(observables)))
    for outcome in range(len(values)):
        bits = dict(zip(qubits, format(outcome, f"0{len(qubits)}b"), strict=True))
        for column, observable in enumerate(observables):
            for term in observable.terms:
                homes = [index for index, other in enumerate(plan.groups) if other.covers(term.letters)]
                if term.letters and homes[0] == group:
                    ones = sum(bits[qubit] == "1" for qubit in term.qubits)
                    values[outcome, column] += term.coefficient * (-1) ** ones
    return values


def identities(observables: tuple[PauliSum, ...]) -> FloatArray:
    return np.array([sum(term.coefficient for term in total.terms if not term.letters) for total in observables])


def random_probabilities(plan: MeasurementPlan, rng: np.random.Generator, n_rows: int) -> list[FloatArray]:
    return [rng.dirichlet(np.ones(2 ** len(group.basis)), size=n_rows) for group in plan.groups]


def exact_moments(
    plan: MeasurementPlan, observables: tuple[PauliSum, ...], probabilities: list[FloatArray], shots: int
) -> tuple[FloatArray, FloatArray]:
    """Means and the covariance of estimates from `shots` shots a group, of one row of probabilities."""
    mean, covariance = identities(observables), np.zeros((len(observables),) * 2)
    for group, (row,) in enumerate(probabilities):
        values = outcome_values(plan, observables, group)
        mean = mean + row @ values
        covariance += (np.einsum("o,oi,oj->ij", row, values, values) - np.outer(row @ values, row @ values)) / shots
    return mean, covariance


def test_probabilities_fold_into_expectation_values(
    random_observables: Callable[..., tuple[PauliSum, ...]], rng: np.random.Generator
) -> None:
    for _ in range(20):
        observables = random_observables(rng, int(rng.integers(1, 6)))
        plan = measurement_plan(observables)
        probabilities = random_probabilities(plan, rng, 3)
        expected = identities(observables) + sum(
            rows @ outcome_values(plan, observables, group) for group, rows in enumerate(probabilities)
        )
        np.testing.assert_allclose(plan.from_probabilities(probabilities), expected, atol=1e-12)


def test_wide_groups_are_folded_part_by_part_to_the_same_values(rng: np.random.Generator) -> None:
    n_qubits = 15
    observables = tuple(PauliSum.of(PauliString({qubit: "Z"})) for qubit in range(n_qubits))
    plan = measurement_plan(observables)
    (rows,) = random_probabilities(plan, rng, 2)
    assert len(list(plan.tables(0))) > 1
    bits = (np.arange(2**n_qubits)[:, None] >> np.arange(n_qubits)[::-1]) & 1
    np.testing.assert_allclose(plan.from_probabilities([rows]), rows @ (1 - 2 * bits), atol=1e-12)
    weights = rng.normal(size=(3, n_qubits))
    np.testing.assert_allclose(plan.diagonals(0, weights), weights @ (1 - 2 * bits).T, atol=1e-12)


def test_counts_fold_into_means_and_their_covariance(rng: np.random.Generator) -> None:
    plan = measurement_plan(OBSERVABLES)
    assert len(plan.groups) == 3
    tables = [rng.multinomial(17, rows) for rows in random_probabilities(plan, rng, 6)]
    means, covariance = plan.from_counts([Counts.from_table(table) for table in tables])
    for row in range(6):
        shots = [
            np.repeat(outcome_values(plan, OBSERVABLES, group), table[row], axis=0)
            for group, table in enumerate(tables)
        ]
        expected = identities(OBSERVABLES) + sum(each.mean(axis=0) for each in shots)
        np.testing.assert_allclose(means[row], expected, atol=1e-12)
        brute_force = sum(np.cov(each, rowvar=False, ddof=1) / len(each) for each in shots)
        np.testing.assert_allclose(covariance[row], brute_force, atol=1e-12)


def test_the_covariance_of_estimates_is_right_on_average(rng: np.random.Generator) -> None:
    """Both the estimated covariance and the scatter of the estimates, over 20 000 repeats, against the exact one.

    Each of 2 * 9 entries is a z-test with a false-alarm rate of 6e-7, so the test fails by chance once in 90 000 seeds.
    """
    shots, repeats, observables = 12, 20_000, OBSERVABLES[:3]
    plan = measurement_plan(observables)
    probabilities = random_probabilities(plan, rng, 1)
    mean, covariance = exact_moments(plan, observables, probabilities, shots)
    assert covariance[0, 1] == 0 != covariance[0, 2]
    tables = [rng.multinomial(shots, row, size=repeats) for (row,) in probabilities]
    means, estimated = plan.from_counts([Counts.from_table(table) for table in tables])
    deviations = means - mean
    scatter = deviations[:, :, None] * deviations[:, None, :]
    for samples in (estimated, scatter):
        error = np.abs(samples.mean(axis=0) - covariance)
        assert (error <= 5 * samples.std(axis=0) / np.sqrt(repeats) + 1e-12).all()


def test_a_certain_outcome_has_no_variance_at_all() -> None:
    plan = measurement_plan((PauliSum.of(PauliString("Z0", 0.1)), PauliSum.of(PauliString("X1", 0.3))))
    for shots in range(2, 30):
        _, covariance = plan.from_counts([Counts.from_dicts([{"01": shots}])])
        assert np.diagonal(covariance, axis1=1, axis2=2).min() >= 0
        np.testing.assert_allclose(covariance, 0, atol=1e-16)


def test_a_single_shot_tells_nothing_of_the_variance() -> None:
    means, covariance = measurement_plan((PauliSum.of("Z0"),)).from_counts([Counts.from_dicts([{"1": 1}])])
    np.testing.assert_array_equal(means, [[-1.0]])
    assert np.isnan(covariance).all()


def test_identities_are_constants_that_need_no_group() -> None:
    plan = measurement_plan((2 * PauliSum.of("I"), PauliSum()))
    assert plan.groups == ()
    np.testing.assert_array_equal(plan.constants, [2.0, 0.0])
    np.testing.assert_array_equal(plan.from_probabilities([]), [2.0, 0.0])


def test_groups_are_shared_between_observables() -> None:
    observables = (PauliSum.of("Z0"), PauliSum.of("Z1"), PauliString("Z0 Z1") + PauliString("X2"))
    assert len(measurement_plan(observables).groups) == 1


def test_qubits_that_are_far_apart_keep_their_bits() -> None:
    word = PauliString(dict.fromkeys(range(63), "Z"))
    plan = measurement_plan((PauliSum.of("Z0"), PauliSum.of("Z62"), PauliSum.of(word)))
    means, _ = plan.from_counts([Counts.from_dicts([{"1" + "0" * 62: 1}, {"0" * 62 + "1": 1}, {"1" * 63: 1}])])
    np.testing.assert_array_equal(means, [[-1, 1, -1], [1, -1, -1], [-1, -1, -1]])


def test_the_register_is_read_in_the_computational_basis() -> None:
    assert register_group(3).basis == ((0, "Z"), (1, "Z"), (2, "Z"))


@pytest.mark.parametrize("group", [0, 1, 2])
def test_values_are_those_of_the_outcomes_bit_by_bit(group: int) -> None:
    plan = measurement_plan(OBSERVABLES)
    outcomes = np.arange(2 ** len(plan.groups[group].basis), dtype=np.uint64)
    np.testing.assert_allclose(plan.values(group, outcomes), outcome_values(plan, OBSERVABLES, group), atol=1e-15)
