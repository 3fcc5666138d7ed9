"""Whether shots are drawn as they should be: as many as asked, independently, and by their labels."""

from __future__ import annotations

from unittest import SkipTest

import numpy as np

from qstore_core.arrays import FloatArray, LabelArray
from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.circuit import QuantumCircuit
from qstore_core.randomness import StepKey
from qstore_core.result_codec import encode_rows
from qstore_core.testing.bench import Bench
from qstore_core.testing.expect import require, skip
from qstore_core.testing.suite import BackendChecks, Factory

_ROWS = 64
_SPREAD = (15.0, 180.0)
"""A sum of 64 squared z-scores is outside by chance less than once in 1e9 (chi-squared, Wilson and Hilferty 1931)."""


class ShotChecks(BackendChecks):
    """Counts of sampled batches; skipped where the backend has exact values only."""

    def test_every_row_has_exactly_the_shots_asked_for(self, make_backend: Factory) -> None:
        """One shot, a few, and the usual number, in every basis."""
        bench = self.bench(make_backend)
        batches = [_coins(bench, rows=3, shots=shots) for shots in (1, 7, bench.sampled_shots)]
        for batch, result in zip(batches, bench.run(*batches), strict=True):
            require(result.counts is not None, "a sampled batch needs counts")
            for counts in result.counts or ():
                totals = counts.totals.tolist()
                require(set(totals) == {batch.shots}, f"{batch.shots} shots were asked for, and rows have {totals}")

    def test_sampled_values_are_near_the_exact_ones(self, make_backend: Factory) -> None:
        """A random circuit in three bases, to what the shots allow."""
        bench = self.bench(make_backend)
        rng = np.random.default_rng(41)
        circuit = bench.random_circuit(rng, bench.width(3))
        angles = rng.normal(size=(4, circuit.structure.n_angles))
        letters = [f"{letter}{qubit}" for qubit in range(circuit.n_qubits) for letter in "XYZ"]
        batches = [
            bench.batch(circuit, measured, shots=bench.sampled_shots, angles=angles) for measured in (letters, None)
        ]
        for batch, result in zip(batches, bench.run(*batches), strict=True):
            bench.compare(batch, result, "sampled values of a random circuit")

    def test_shots_are_spread_like_independent_ones(self, make_backend: Factory) -> None:
        """The numbers of ones of 64 equal rows scatter as a binomial distribution does, neither more nor less."""
        bench = self.bench(make_backend)
        shots = min(100, bench.sampled_shots)
        ones = _ones(*_ran(bench, _coins(bench, rows=_ROWS, shots=shots)))[:, 0]
        mean = ones.mean() / shots
        require(0.2 < mean < 0.8, f"a qubit that is 1 half of the time was 1 in {mean:.0%} of the shots")
        squares = float(np.sum((ones - shots * mean) ** 2) / (shots * mean * (1 - mean)))
        low, high = _SPREAD
        what = "less than they should: the noise is reused" if squares < low else "more than they should"
        require(low < squares < high, f"{_ROWS} equal rows scatter {what}; chi-squared is {squares:.0f}, not {_ROWS}")

    def test_rows_with_different_labels_differ(self, make_backend: Factory) -> None:
        """Equal circuits under different draw labels are drawn independently."""
        bench = self.bench(make_backend)
        shots = min(200, bench.sampled_shots)
        _, result = _ran(bench, _coins(bench, rows=40, shots=shots))
        require(len(set(encode_rows(result))) > 1, f"40 rows with labels of their own all have the same {shots} shots")

    def test_bases_of_one_row_have_noise_of_their_own(self, make_backend: Factory) -> None:
        """One label serves several bases, whose outcomes are nevertheless independent."""
        bench = self.bench(make_backend)
        gates = bench.able.gates
        if not gates & {"rx", "sx"}:
            skip("capabilities.gates has neither rx nor sx, which turn |0> into a state along Y")
        along_y = QuantumCircuit(1)
        along_y = along_y.append("sx", 0) if "sx" in gates else along_y.append("rx", 0, np.pi / 2)
        batch = _repeated(bench, along_y, ("X0", "Z0"), rows=40, shots=min(200, bench.sampled_shots))
        ones = _ones(*_ran(bench, batch))
        require(
            (ones[:, 0] != ones[:, 1]).any(), "X and Z of the same row have the same outcomes: one noise for both bases"
        )

    def test_equal_labels_give_equal_outcomes(self, make_backend: Factory) -> None:
        """The same batch again, and on a backend made anew, has the same counts: the label is the seed."""
        bench = self.bench(make_backend)
        shots = min(200, bench.sampled_shots)
        _need_seeds(bench)
        batch = _coins(bench, rows=5, shots=shots)
        again = self.bench(make_backend)
        (first,), (second,), (third,) = bench.run(batch), bench.run(batch), again.run(batch)
        require(encode_rows(first) == encode_rows(second), "the same batch with the same labels has other counts")
        require(encode_rows(first) == encode_rows(third), "a backend made anew has other counts for the same labels")

    def test_the_label_decides_and_not_the_place(self, make_backend: Factory) -> None:
        """Equal circuits whose labels change places change their outcomes with them."""
        bench = self.bench(make_backend)
        shots = min(200, bench.sampled_shots)
        _need_seeds(bench)
        batch = _coins(bench, rows=6, shots=shots)
        (forwards,), (backwards,) = bench.run(batch), bench.run(batch.take(np.arange(6)[::-1]))
        require(
            encode_rows(forwards) == encode_rows(backwards)[::-1], "outcomes follow a row's place, not its draw label"
        )

    def test_equal_labels_in_one_batch_give_equal_rows(self, make_backend: Factory) -> None:
        """Two rows with one label and the same angles are one circuit."""
        bench = self.bench(make_backend)
        shots = min(200, bench.sampled_shots)
        _need_seeds(bench)
        labels = StepKey(43).draws(sample=np.array([0, 1, 0]))
        rows = encode_rows(_ran(bench, _coins(bench, rows=3, shots=shots, draws=labels))[1])
        require(rows[0] == rows[2], "two rows with one label and the same angles have different outcomes")


def _need_seeds(bench: Bench) -> None:
    if not bench.able.seedable:
        skip("capabilities.seedable is False: outcomes are no function of the labels")


def _coins(bench: Bench, *, rows: int, shots: int, draws: LabelArray | None = None) -> CircuitBatch:
    """Equal rows of a qubit that is 1 half of the time."""
    gates, circuit = bench.able.gates, QuantumCircuit(1)
    for name, angle in (("h", None), ("ry", np.pi / 2), ("rx", np.pi / 2), ("sx", None)):
        if name in gates:
            circuit = circuit.append(name, 0, angle)
            return _repeated(bench, circuit, ("Z0",), rows=rows, shots=shots, draws=draws)
    raise SkipTest("capabilities.gates has none of h, ry, rx, sx")


def _repeated(
    bench: Bench,
    circuit: QuantumCircuit,
    observables: tuple[str, ...],
    *,
    rows: int,
    shots: int,
    draws: LabelArray | None = None,
) -> CircuitBatch:
    angles = np.array([[each.angle.offset for each in circuit.operations if each.angle is not None]] * rows)
    return bench.batch(circuit, observables, shots=shots, angles=angles.reshape(rows, -1), draws=draws, seed=42)


def _ran(bench: Bench, batch: CircuitBatch) -> tuple[CircuitBatch, BatchResult]:
    (result,) = bench.run(batch)
    return batch, result


def _ones(batch: CircuitBatch, result: BatchResult) -> FloatArray:
    """How often the one qubit that is measured was 1, `(n_rows, n_bases)`."""
    require(result.counts is not None, "a sampled batch needs counts")
    means = [counts.mean(counts.outcomes.astype(np.float64)) for counts in result.counts or ()]
    return np.stack(means, axis=1) * (batch.shots or 0)
