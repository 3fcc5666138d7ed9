"""Shots: a function of each row's label, and distributed as the exact probabilities say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from qstore_mock.backend import MockBackend
from scipy import stats

from qstore_core.batch import BatchResult, CircuitBatch, estimates
from qstore_core.circuit import QuantumCircuit
from qstore_core.counts import Counts
from qstore_core.observables import PauliString, PauliSum
from qstore_core.randomness import StepKey, uniforms
from qstore_core.sampling import sample

Execute = Callable[[MockBackend, CircuitBatch], BatchResult]
RandomCircuit = Callable[..., QuantumCircuit]

OBSERVABLES = (PauliSum.of("Z0"), PauliSum.of("X1"), PauliSum.of("Y0 Z2"))


def counts_of(result: BatchResult) -> tuple[Counts, ...]:
    assert result.counts is not None
    return result.counts


class TestLabels:
    def test_a_row_depends_on_its_label_alone(
        self, random_circuit: RandomCircuit, execute: Execute, rng: np.random.Generator
    ) -> None:
        circuit = random_circuit(rng, 3)
        angles = rng.normal(size=(6, circuit.structure.n_angles))
        labels = StepKey(1).draws(sample=np.arange(6))
        whole = CircuitBatch(circuit.structure, angles, OBSERVABLES, 200, labels)
        together = counts_of(execute(MockBackend(), whole))
        backwards = CircuitBatch(circuit.structure, angles[::-1], OBSERVABLES, 200, labels[::-1])
        mirrored = counts_of(execute(MockBackend(), backwards))
        for group in range(len(whole.groups)):
            expected = together[group].to_dicts()
            assert mirrored[group].to_dicts() == expected[::-1]
            for row in range(6):
                alone = counts_of(execute(MockBackend(), whole.rows(row, row + 1)))
                assert alone[group].to_dicts() == expected[row : row + 1]

    def test_chunks_change_no_outcome(
        self, random_circuit: RandomCircuit, execute: Execute, rng: np.random.Generator
    ) -> None:
        circuit = random_circuit(rng, 4)
        angles = rng.normal(size=(20, circuit.structure.n_angles))
        batch = CircuitBatch(circuit.structure, angles, None, 50, StepKey(1).draws(sample=np.arange(20)))
        expected = counts_of(execute(MockBackend(), batch))[0].to_dicts()
        for memory_bytes in (2_000, 10_000, 30_000):
            assert counts_of(execute(MockBackend(memory_bytes=memory_bytes), batch))[0].to_dicts() == expected

    def test_more_shots_begin_with_the_same_ones(self) -> None:
        probabilities, labels = np.full((1, 4), 0.25), np.array([7], dtype=np.uint64)
        few = sample(probabilities, 100, labels, 2).to_dicts()[0]
        many = sample(probabilities, 150, labels, 2).to_dicts()[0]
        assert all(many[bits] >= count for bits, count in few.items())

    def test_bases_of_one_row_have_numbers_of_their_own(self, execute: Execute) -> None:
        structure, labels = QuantumCircuit(1).h(0).structure, StepKey(3).draws(sample=np.arange(10))
        batch = CircuitBatch(structure, np.zeros((10, 0)), (PauliSum.of("Y0"), PauliSum.of("Z0")), 1000, labels)
        y, z = (counts.to_dicts() for counts in counts_of(execute(MockBackend(), batch)))
        assert all(row != other for row, other in zip(y, z, strict=True))  # both are fair coins

    def test_different_labels_give_independent_outcomes(self, execute: Execute) -> None:
        """Fair coins: the joint outcomes of neighbouring labels, and their sums; false-alarm rate 1e-6 each."""
        structure, n_labels, shots = QuantumCircuit(1).h(0).structure, 4000, 100
        labels = StepKey(5).draws(sample=np.arange(n_labels))
        batch = CircuitBatch(structure, np.zeros((n_labels, 0)), None, shots, labels)
        ones = np.array([row.get("1", 0) for row in counts_of(execute(MockBackend(), batch))[0].to_dicts()])
        scatter = np.sum((ones - shots / 2) ** 2) / (shots / 4)
        low, high = stats.chi2.ppf([0.5e-6, 1 - 0.5e-6], n_labels)
        assert low < scatter < high
        assert stats.pearsonr(ones[:-1], ones[1:]).pvalue > 1e-6


class TestDistribution:
    def test_frequencies_follow_the_exact_probabilities(
        self, random_circuit: RandomCircuit, execute: Execute, rng: np.random.Generator
    ) -> None:
        """Chi-square tests of 10 circuits, each with a false-alarm rate of 1e-7: together 1e-6, at a fixed seed."""
        shots = 10**5
        for number in range(10):
            circuit = random_circuit(rng, 4)
            exact = CircuitBatch(circuit.structure, circuit.angles())
            (probabilities,) = execute(MockBackend(), exact).probabilities or ()
            label = StepKey(11).draws(sample=[number])
            sampled = CircuitBatch(circuit.structure, circuit.angles(), None, shots, label)
            (row,) = counts_of(execute(MockBackend(), sampled))[0].to_dicts()
            observed = np.array([row.get(format(outcome, "04b"), 0) for outcome in range(16)])
            common = probabilities[0] * shots >= 5
            observed = np.append(observed[common], observed[~common].sum())
            expected = np.append(probabilities[0][common], probabilities[0][~common].sum()) * shots
            kept = expected > 1e-9
            assert observed[~kept].sum() == 0
            assert stats.chisquare(observed[kept], expected[kept]).pvalue > 1e-7

    def test_sampled_expectation_values_are_unbiased_with_the_stated_variance(
        self, random_circuit: RandomCircuit, execute: Execute, rng: np.random.Generator
    ) -> None:
        """z-tests over 2000 labels; 6 tests with a false-alarm rate of 6e-7 each, at a fixed seed."""
        shots, n_labels = 40, 2000
        circuit = random_circuit(rng, 3)
        angles = np.repeat(circuit.angles(), n_labels, axis=0)
        labels = StepKey(13).draws(sample=np.arange(n_labels))
        batch = CircuitBatch(circuit.structure, angles, OBSERVABLES, shots, labels)
        found = estimates(batch, execute(MockBackend(), batch))
        exact = execute(MockBackend(), CircuitBatch(circuit.structure, circuit.angles(), OBSERVABLES)).expectations
        variance = (1 - exact[0] ** 2) / shots  # of a Pauli string's mean
        assert (variance > 1e-3).all()
        errors = found.values - exact
        assert found.covariance is not None
        estimated = np.diagonal(found.covariance, axis1=1, axis2=2)
        assert (np.abs(errors.mean(axis=0)) < 5 * np.sqrt(variance / n_labels)).all()
        assert (np.abs(estimated.mean(axis=0) - variance) < 5 * estimated.std(axis=0) / np.sqrt(n_labels)).all()

    def test_outcomes_of_probability_0_never_occur(self, execute: Execute) -> None:
        structure = QuantumCircuit(3).h(0).cnot(0, 1).structure
        labels = StepKey(17).draws(sample=np.arange(50))
        batch = CircuitBatch(structure, np.zeros((50, 0)), None, 1000, labels)
        seen = {bits for row in counts_of(execute(MockBackend(), batch))[0].to_dicts() for bits in row}
        assert seen == {"000", "110"}

    def test_a_random_number_of_exactly_0_draws_no_outcome_of_probability_0(self) -> None:
        label = np.array([2**64 - 0x9E3779B97F4A7C15], dtype=np.uint64)
        assert uniforms(label, 1) == 0
        assert sample(np.array([[0.0, 1.0]]), 1, label, 1).to_dicts() == [{"1": 1}]

    def test_probabilities_whose_sum_misses_1_lose_no_shot(self) -> None:
        labels = StepKey(19).draws(sample=np.arange(3))
        expected = sample(np.full((3, 4), 1 / 4), 10_000, labels, 2).to_dicts()
        for total in (0.5, 1 - 2**-52, 1 + 2**-51, 2.0):
            assert sample(np.full((3, 4), total / 4), 10_000, labels, 2).to_dicts() == expected


def test_each_observable_is_read_from_the_basis_of_its_group(execute: Execute) -> None:
    circuit = QuantumCircuit(3).h(0).x(1).rx(2, -np.pi / 2)
    observables = (PauliSum.of("X0"), PauliSum.of("Z1"), PauliSum.of("Y2"), PauliString("X0 Z1") + PauliString("Y2"))
    batch = CircuitBatch(circuit.structure, circuit.angles(), observables, 10, np.array([1], dtype=np.uint64))
    np.testing.assert_array_equal(estimates(batch, execute(MockBackend(), batch)).values, [[1, -1, 1, 0]])
