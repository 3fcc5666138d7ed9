"""The samples of steps: each sample of an epoch once and in order, in whatever sizes steps and batches come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from qstore_core.data import Batch
from qstore_core.errors import DataError
from qstore_core.stream import mini_batches, size_of

Wanted = Callable[[Any, Any], int | None]


def batches(*sizes: int) -> list[Batch]:
    """Batches of those sizes: sample k has the inputs (k, -k) and the label k."""
    ends = np.cumsum(sizes)
    ranges = [np.arange(end - size, end) for size, end in zip(sizes, ends, strict=True)]
    return [(np.stack([numbers, -numbers], axis=1).astype(float), numbers) for numbers in ranges]


async def given(data: Sequence[Any]) -> AsyncIterator[Any]:
    for batch in data:
        yield batch


def steps(data: Sequence[Any], wanted: Wanted, skip: int = 0) -> list[Batch]:
    async def collected() -> list[Batch]:
        return [batch async for batch in mini_batches(given(data), wanted, skip=skip)]

    return asyncio.run(collected())


def always(size: int | None) -> Wanted:
    return lambda x, y: size


def numbers(data: Sequence[Batch]) -> list[list[int]]:
    """The samples of each step, whose inputs and labels must be those of the same samples."""
    for x, y in data:
        np.testing.assert_array_equal(x, np.stack([y, -y], axis=1))
    return [y.tolist() for _, y in data]


class TestSizes:
    @pytest.mark.parametrize(
        ("sizes", "size", "expected"),
        [
            ((4, 4), 2, [[0, 1], [2, 3], [4, 5], [6, 7]]),
            ((5,), 2, [[0, 1], [2, 3], [4]]),
            ((2, 2, 2), 4, [[0, 1, 2, 3], [4, 5]]),
            ((3, 3), 2, [[0, 1], [2, 3], [4, 5]]),
            ((1, 1, 1), 3, [[0, 1, 2]]),
            ((3, 1, 2), 3, [[0, 1, 2], [3, 4, 5]]),
            ((2, 1), 128, [[0, 1, 2]]),
            ((3,), 1, [[0], [1], [2]]),
        ],
        ids=[
            "cut",
            "a last remainder",
            "joined",
            "cut and joined",
            "all in one",
            "as they come",
            "more than there are",
            "singly",
        ],
    )
    def test_batches_are_cut_and_joined(self, sizes: tuple[int, ...], size: int, expected: list[list[int]]) -> None:
        assert numbers(steps(batches(*sizes), always(size))) == expected

    @pytest.mark.parametrize("order", [(2, 3, 1), (1, 4), (3, None, 1), (None, 2)], ids=str)
    @pytest.mark.parametrize("sizes", [(4, 3, 5), (1, 1, 1, 1, 1, 1), (12,)], ids=str)
    def test_each_sample_comes_once_and_in_order_when_sizes_change(
        self, sizes: tuple[int, ...], order: tuple[int | None, ...]
    ) -> None:
        asked: list[int | None] = []

        def wanted(x: Any, y: Any) -> int | None:
            return order[len(asked) % len(order)]

        async def collected() -> list[Batch]:
            taken = []
            async for batch in mini_batches(given(batches(*sizes)), wanted):
                asked.append(wanted(*batch))  # what this step wanted; the next one wants something else
                taken.append(batch)
            return taken

        found = numbers(asyncio.run(collected()))
        assert [number for step in found for number in step] == list(range(sum(sizes)))
        pairs = list(zip(found, asked, strict=True))
        assert all(len(step) == size for step, size in pairs[:-1] if size is not None)

    def test_a_change_from_cutting_to_the_loaders_own_gives_what_is_left_of_its_batch(self) -> None:
        sizes = iter([2, None, None])
        assert numbers(steps(batches(5, 4), lambda x, y: next(sizes))) == [[0, 1], [2, 3, 4], [5, 6, 7, 8]]

    def test_it_is_asked_before_each_step_with_the_samples_at_hand(self) -> None:
        seen: list[list[int]] = []

        def wanted(x: Any, y: Any) -> int:
            seen.append(y.tolist())
            return 3

        steps(batches(2, 2, 3), wanted)
        assert seen == [[0, 1], [0, 1, 2, 3], [3], [3, 4, 5, 6], [6]]

    def test_a_step_is_given_before_the_next_is_asked_for(self) -> None:
        events: list[str] = []

        def wanted(x: Any, y: Any) -> int:
            events.append("asked")
            return 2

        async def consumed() -> None:
            async for _, y in mini_batches(given(batches(4)), wanted):
                events.append(f"step {y.tolist()}")

        asyncio.run(consumed())
        assert events == ["asked", "step [0, 1]", "asked", "step [2, 3]"]


class TestTheLoadersOwn:
    def test_batches_pass_through_untouched(self) -> None:
        data = [([[0.0, 1.0]], [0]), (np.zeros((2, 2)), [1, 0]), ("anything", [1, 2, 3])]
        found = steps(data, always(None))
        assert [(x is data[k][0], y is data[k][1]) for k, (x, y) in enumerate(found)] == [(True, True)] * 3

    def test_an_empty_one_is_passed_on_to_be_refused(self) -> None:
        assert [size_of(batch) for batch in steps([([], []), *batches(2)], always(None))] == [0, 2]


class TestSkipping:
    @pytest.mark.parametrize("skip", range(11))
    @pytest.mark.parametrize("size", [1, 2, 3, 5])
    def test_what_was_used_is_left_out(self, skip: int, size: int) -> None:
        """From where steps of that size end, the rest is the same as without the interruption."""
        whole = numbers(steps(batches(4, 1, 5), always(size)))
        rest = numbers(steps(batches(4, 1, 5), always(size), skip))
        assert [number for step in rest for number in step] == list(range(skip, 10))
        if skip % size == 0:
            assert rest == whole[skip // size :]

    def test_whole_batches_that_were_used_leave_the_others_untouched(self) -> None:
        data = batches(3, 3, 2)
        assert [y for _, y in steps(data, always(None), skip=3)] == [data[1][1], data[2][1]]

    def test_a_part_of_a_batch_too(self) -> None:
        assert numbers(steps(batches(3, 3, 2), always(None), skip=4)) == [[4, 5], [6, 7]]

    def test_more_than_there_is_leaves_nothing(self) -> None:
        assert steps(batches(3, 3), always(2), skip=6) == []
        assert steps(batches(3, 3), always(2), skip=9) == []


class TestKindsOfBatches:
    def test_lists_are_cut_as_arrays_are(self) -> None:
        data = [(x.tolist(), y.tolist()) for x, y in batches(3, 4)]
        assert numbers(steps(data, always(2))) == [[0, 1], [2, 3], [4, 5], [6]]

    def test_several_targets_stay_together(self) -> None:
        targets = [np.arange(6.0).reshape(3, 2), np.arange(6.0, 10.0).reshape(2, 2)]
        data = [(np.zeros((3, 1)), targets[0]), (np.zeros((2, 1)), targets[1])]
        found = [y.tolist() for _, y in steps(data, always(4))]
        assert found == [[[0, 1], [2, 3], [4, 5], [6, 7]], [[8, 9]]]

    def test_one_sample_without_a_dimension_of_its_own(self) -> None:
        data = [([0.0, 1.0], [4]), ([2.0, 3.0], [5]), ([4.0, 5.0], [6])]
        found = [(np.asarray(x).tolist(), list(y)) for x, y in steps(data, always(2))]
        assert found == [([[0, 1], [2, 3]], [4, 5]), ([4, 5], [6])]

    def test_labels_keep_their_type(self) -> None:
        data: list[Any] = [(np.zeros((2, 1)), np.array([0, 1], dtype=np.int32)), (np.zeros((1, 1)), [1])]
        assert {y.dtype.kind for _, y in steps(data, always(3))} == {"i"}

    @pytest.mark.parametrize(
        ("second", "message"),
        [
            (([[0.0]], [0]), r"inputs need shape \(n_samples, 2\), as in the batch before, not \(1, 1\)"),
            (([[0.0, 0.0]], [0.5]), r"labels are int64 of shape \(1,\) in one batch, float64 of shape \(1,\) in the"),
            (([[0.0, 0.0]], [[0, 1]]), r"labels are int64 of shape \(1,\) in one batch, int64 of shape \(1, 2\)"),
            (([[0.0, 0.0], [1.0, 1.0]], [0]), "a batch has 2 samples and 1 labels; they must be as many"),
            ((np.zeros((0, 2)), np.zeros(0)), "there are no samples in a batch"),
            (([[0.0], [1.0, 1.0]], [0, 1]), "inputs must be numbers: setting an array element"),
            (([[0.0, 0.0], [1.0, 1.0]], [0, [1, 1]]), "labels must be numbers: setting an array element"),
        ],
        ids=["columns", "kind of label", "labels", "lengths", "nothing", "ragged inputs", "ragged labels"],
    )
    def test_what_does_not_go_together_is_refused(self, second: Any, message: str) -> None:
        with pytest.raises(DataError, match=message):
            steps([*batches(3), second], always(2))

    def test_a_batch_whose_lengths_differ_is_not_cut(self) -> None:
        with pytest.raises(DataError, match="a batch has 3 samples and 4 labels; they must be as many"):
            steps([(np.zeros((3, 2)), np.arange(4))], always(2))


@pytest.mark.parametrize("size", [2, 5, 8])
def test_a_loader_may_fill_the_same_arrays_again(size: int) -> None:
    async def refilled() -> AsyncIterator[Batch]:
        inputs, labels = np.empty((3, 2)), np.empty(3, dtype=np.int64)
        for x, y in batches(3, 3, 3):
            inputs[:], labels[:] = x, y
            yield inputs, labels

    async def collected() -> list[list[int]]:
        return [y.tolist() async for _, y in mini_batches(refilled(), always(size))]

    assert asyncio.run(collected()) == numbers(steps(batches(3, 3, 3), always(size)))


def test_a_loader_that_fails_does_so_after_the_steps_before() -> None:
    def failing() -> Iterator[Batch]:
        yield from batches(5)
        raise FileNotFoundError("no such table")

    async def loader() -> AsyncIterator[Batch]:
        for batch in failing():
            yield batch

    taken: list[int] = []

    async def consumed() -> None:
        async for batch in mini_batches(loader(), always(2)):
            taken.append(size_of(batch))  # noqa: PERF401, what came before the failure is kept

    with pytest.raises(FileNotFoundError, match="no such table"):
        asyncio.run(consumed())
    assert taken == [2, 2]
