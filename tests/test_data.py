"""Mini-batches and splits of arrays."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from qstore_core.data import ArrayLoader, train_test_split
from qstore_core.errors import ConfigurationError, DataError

X = np.arange(14.0).reshape(7, 2)
Y = np.arange(7)


def labels(loader: ArrayLoader) -> list[list[int]]:
    return [y.tolist() for _, y in loader]


class TestArrayLoader:
    def test_it_gives_every_sample_once_with_its_label(self) -> None:
        batches = list(ArrayLoader(X, Y, batch_size=3, seed=1))
        assert [len(y) for _, y in batches] == [3, 3, 1]
        x, y = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        assert sorted(y.tolist()) == Y.tolist()
        np.testing.assert_array_equal(x, X[y])

    def test_its_length_is_the_number_of_batches(self) -> None:
        assert [len(ArrayLoader(X, Y, batch_size=size)) for size in (1, 3, 7, 100)] == [7, 3, 1, 1]
        assert ArrayLoader(X, Y).n_samples == 7

    def test_each_epoch_has_an_order_of_its_own(self) -> None:
        loader = ArrayLoader(X, Y, batch_size=7, seed=1)
        orders = [labels(loader) for _ in range(4)]
        assert all(one != other for one, other in pairwise(orders))

    def test_a_seed_repeats_the_orders(self) -> None:
        first, second, other = (ArrayLoader(X, Y, batch_size=2, seed=seed) for seed in (5, 5, 6))
        ours = [labels(first) for _ in range(3)]
        assert [labels(second) for _ in range(3)] == ours
        assert [labels(other) for _ in range(3)] != ours

    def test_without_a_seed_orders_are_fresh(self) -> None:
        big = np.arange(100)
        first, second = (labels(ArrayLoader(big, big, batch_size=100)) for _ in range(2))
        assert first != second  # by chance equal once in 100! times

    def test_without_shuffling_the_order_stays(self) -> None:
        loader = ArrayLoader(X, Y, batch_size=4, shuffle=False)
        assert labels(loader) == labels(loader) == [[0, 1, 2, 3], [4, 5, 6]]

    def test_an_epoch_can_be_asked_for_by_its_number(self) -> None:
        loader = ArrayLoader(X, Y, batch_size=2)
        first, again, next_one = ([y.tolist() for _, y in loader.epoch(index, seed=9)] for index in (0, 0, 1))
        assert first == again != next_one

    def test_its_own_seed_comes_before_the_trainers(self) -> None:
        loader = ArrayLoader(X, Y, batch_size=2, seed=3)
        assert [y.tolist() for _, y in loader.epoch(0, seed=1)] == [y.tolist() for _, y in loader.epoch(0, seed=2)]

    def test_an_epoch_that_was_broken_off_is_begun_again(self) -> None:
        loader = ArrayLoader(X, Y, batch_size=2, seed=3)
        first = next(iter(loader))[1].tolist()
        assert labels(loader)[0] == first

    @pytest.mark.parametrize("size", [0, -1, 1.5, "3", True, None])
    def test_a_batch_size_below_one_is_refused(self, size: Any) -> None:
        with pytest.raises(ConfigurationError, match="batch_size is a whole number of at least 1, not"):
            ArrayLoader(X, Y, batch_size=size)

    def test_numpys_whole_numbers_are_whole_numbers(self) -> None:
        assert len(ArrayLoader(X, Y, batch_size=np.int64(3))) == 3

    @pytest.mark.parametrize("x", [[], np.zeros((0, 4)), 3.0])
    def test_no_samples_are_refused(self, x: Any) -> None:
        with pytest.raises(DataError, match="there are no samples in the data"):
            ArrayLoader(x, [])

    def test_lengths_that_differ_are_refused(self) -> None:
        with pytest.raises(DataError, match="x has 7 samples and y 6; they must be as many"):
            ArrayLoader(X, Y[:6])

    def test_objects_are_the_numbers_that_they_are(self) -> None:
        loaders = [ArrayLoader(np.array((X + 0.1).tolist(), dtype=object), Y.astype(object)) for _ in range(2)]
        plain = ArrayLoader(X + 0.1, Y)
        assert [loader.digest for loader in loaders] == [plain.digest] * 2
        assert (loaders[0].x.dtype, loaders[0].y.dtype) == (np.float64, np.int64)

    @pytest.mark.parametrize("kind", [bool, int, float, str])
    def test_labels_that_are_objects_keep_their_kind(self, kind: type) -> None:
        labels = [kind(value) for value in Y]
        loader = ArrayLoader(X, np.array(labels, dtype=object))
        assert loader.y.dtype == np.array(labels).dtype
        assert loader.y.tolist() == labels
        assert loader.digest == ArrayLoader(X, np.array(labels, dtype=object)).digest

    def test_objects_that_are_no_numbers_are_refused(self) -> None:
        with pytest.raises(DataError, match="inputs hold what is no number, such as 'red'; number it, or leave it out"):
            ArrayLoader(np.array([[0.1, "red"]] * 7, dtype=object), Y)
        with pytest.raises(DataError, match="labels hold what is no number, such as None; number it"):
            ArrayLoader(X, np.array([None, *range(6)], dtype=object))


class TestSplit:
    def test_every_sample_is_on_one_side_with_its_label(self) -> None:
        split = train_test_split(X, Y * 1.0, test_fraction=0.3, seed=1)
        assert sorted([*split.y_train, *split.y_test]) == Y.tolist()
        np.testing.assert_array_equal(split.x_train[:, 0], 2 * split.y_train)
        np.testing.assert_array_equal(split.x_test[:, 0], 2 * split.y_test)

    def test_classes_keep_their_shares(self) -> None:
        y = np.array([0] * 40 + [1] * 20 + [2] * 10)
        split = train_test_split(np.zeros((70, 1)), y, test_fraction=0.2, seed=4)
        assert np.bincount(split.y_test).tolist() == [8, 4, 2]

    def test_a_seed_repeats_the_split(self) -> None:
        one, same, other = (train_test_split(np.arange(50), np.zeros(50), seed=seed) for seed in (1, 1, 2))
        assert one.x_test.tolist() == same.x_test.tolist() != other.x_test.tolist()

    @pytest.mark.parametrize("fraction", [0, 1, -0.1, float("nan")])
    def test_the_fraction_is_between_zero_and_one(self, fraction: float) -> None:
        with pytest.raises(ConfigurationError, match="test_fraction is a number between 0 and 1, not"):
            train_test_split(X, Y, test_fraction=fraction)

    @pytest.mark.parametrize("fraction", [0.01, 0.99])
    def test_a_side_without_samples_is_refused(self, fraction: float) -> None:
        with pytest.raises(DataError, match=f"3 samples are too few to hold out {fraction} of them for testing"):
            train_test_split(X[:3], np.zeros(3), test_fraction=fraction)

    @pytest.mark.parametrize(("n_x", "n_y"), [(7, 6), (6, 7)])
    def test_lengths_that_differ_are_refused(self, n_x: int, n_y: int) -> None:
        with pytest.raises(DataError, match=f"x has {n_x} samples and y {n_y}; they must be as many"):
            train_test_split(X[:n_x], Y[:n_y])
