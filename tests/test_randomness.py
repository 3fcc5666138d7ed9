"""Draw labels, and the random numbers that follow from them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from qstore_core.randomness import StepKey, combine, fresh_seed, mix64, uniforms

KEY = StepKey(seed=7, stage="train", step=3)


class TestPinned:
    """What every release must give, or runs could not be repeated with a newer one."""

    def test_the_stream_of_a_label_is_splitmix64(self) -> None:
        published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
        numbers = uniforms(np.array([1234567], dtype=np.uint64), 4)
        np.testing.assert_array_equal(numbers, [[(value >> 11) / 2**53 for value in published]])

    def test_labels(self) -> None:
        assert int(combine(1, 2)) == 16171810823986729605
        assert int(KEY.draws()) == 4586359651663947268
        assert KEY.draws(sample=[0, 1]).tolist() == [4586359651663947268, 17355937603148147837]
        labels = KEY.draws(round=1, sample=2, term=5, sign=[1, -1])
        assert labels.tolist() == [6303005725290163048, 11884787286994662484]
        assert int(StepKey(-1, "validate", 2**40).draws()) == 12577589874169889641

    def test_generators(self) -> None:
        drawn = KEY.generator("directions").integers(2**32, size=3)
        assert drawn.tolist() == [3058701075, 1930293351, 1421414589]


class TestLabels:
    def test_fields_broadcast_against_each_other(self) -> None:
        grid = KEY.draws(sample=np.arange(4), term=np.arange(3)[:, None], sign=np.array([1, -1])[:, None, None])
        assert grid.shape == (2, 3, 4)
        assert grid.dtype == np.uint64
        assert grid[1, 2, 3] == KEY.draws(sample=3, term=2, sign=-1)

    @pytest.mark.parametrize(
        "other",
        [
            StepKey(seed=8, stage="train", step=3).draws(),
            StepKey(seed=7, stage="validate", step=3).draws(),
            KEY.at(4).draws(),
            KEY.draws(round=1),
            KEY.draws(sample=1),
            KEY.draws(term=1),
            KEY.draws(sign=1),
        ],
        ids=["seed", "stage", "step", "round", "sample", "term", "sign"],
    )
    def test_every_field_changes_the_label(self, other: np.uint64) -> None:
        assert other != KEY.draws()

    def test_fields_do_not_stand_in_for_each_other(self) -> None:
        labels = [KEY.draws(round=1), KEY.draws(sample=1), KEY.draws(term=1), KEY.draws(sign=1), KEY.at(1).draws()]
        assert len({int(label) for label in labels}) == len(labels)

    def test_a_million_labels_differ(self) -> None:
        """Were they random, two would coincide for one seed in 30 million."""
        labels = KEY.draws(
            round=np.arange(2)[:, None, None, None],
            sample=np.arange(500)[:, None, None],
            term=np.arange(500)[:, None],
            sign=[1, -1],
        )
        assert labels.size == 10**6
        assert len(np.unique(labels)) == 10**6

    def test_mixing_is_a_bijection_on_what_it_is_tried_on(self, rng: np.random.Generator) -> None:
        values = np.unique(rng.integers(0, 2**64, size=10**5, dtype=np.uint64))
        assert len(np.unique(mix64(values))) == len(values)


class TestUniforms:
    def test_they_lie_from_0_to_below_1(self) -> None:
        numbers = uniforms(KEY.draws(sample=np.arange(1000)), 100)
        assert numbers.shape == (1000, 100)
        assert 0 <= numbers.min() < numbers.max() < 1

    def test_a_row_is_the_same_whatever_other_rows_there_are(self) -> None:
        labels = KEY.draws(sample=np.arange(5))
        np.testing.assert_array_equal(uniforms(labels, 7)[2:3], uniforms(labels[2:3], 7))
        np.testing.assert_array_equal(uniforms(labels, 9)[:, :7], uniforms(labels, 7))

    @pytest.mark.parametrize("along", ["shots", "labels"])
    def test_they_are_uniform(self, along: str) -> None:
        """A chi-square test with 256 bins; false-alarm rate 1e-6, at a fixed seed."""
        shape = (1, 10**6) if along == "shots" else (10**6, 1)
        numbers = uniforms(KEY.draws(sample=np.arange(shape[0])), shape[1])
        observed = np.bincount((numbers.ravel() * 256).astype(int), minlength=256)
        assert stats.chisquare(observed).pvalue > 1e-6

    def test_neighbouring_labels_are_independent(self) -> None:
        """A chi-square test on pairs with 16 * 16 bins; false-alarm rate 1e-6, at a fixed seed."""
        bins = (uniforms(KEY.draws(sample=np.arange(10**5)), 5) * 16).astype(int)
        pairs = bins[:-1:2] * 16 + bins[1::2]
        assert stats.chisquare(np.bincount(pairs.ravel(), minlength=256)).pvalue > 1e-6


class TestGenerators:
    def test_a_purpose_and_a_step_have_their_own_numbers(self) -> None:
        keys = [(KEY, "directions"), (KEY, "batch"), (KEY.at(4), "directions"), (StepKey(8), "directions")]
        assert len({key.generator(purpose).integers(2**62) for key, purpose in keys}) == len(keys)

    def test_asking_again_gives_the_same_numbers(self) -> None:
        first, second = (KEY.generator("directions").normal(size=5) for _ in range(2))
        np.testing.assert_array_equal(first, second)


def test_fresh_seeds_differ_and_fit_63_bits() -> None:
    seeds = {fresh_seed() for _ in range(100)}
    assert len(seeds) == 100
    assert all(0 <= seed < 2**63 for seed in seeds)
