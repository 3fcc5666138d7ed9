"""Where every random number comes from: one run seed, and labels that name what each number is for.

A **draw label** is a 64-bit hash of (run seed, stage, step, round, sample, term, sign). It names one circuit's
randomness whatever job it travels in and however often it is retried, so that results do not depend on splitting or
order.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from numpy.typing import ArrayLike

from qstore_core.arrays import FloatArray, LabelArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_WHOLE = 2**64 - 1
_FEW = 4  # numbers that are mixed one by one sooner than as an array


def mix64(values: ArrayLike) -> LabelArray:
    """The output function of SplitMix64 (Steele, Lea, Flood 2014), elementwise: a bijection that scrambles 64 bits.

    >>> hex(int(mix64(np.uint64(0))))
    '0xe220a8397b1dcdaf'
    """
    shape = np.shape(values)
    if prod(shape) <= _FEW:
        few = [_mixed(int(value)) for value in np.ravel(values)]
        return np.array(few, dtype=np.uint64).reshape(shape)
    z = np.array(values, dtype=np.uint64, ndmin=1)  # whole arrays wrap around without a warning, single numbers do not
    z += _GOLDEN
    _scramble(z)
    return z.reshape(shape)


def _scramble(z: LabelArray) -> None:
    """The rest of `mix64` once the constant is added, in place: arrays of shots are long."""
    shifted = np.empty_like(z)
    for shift, multiplier in zip((30, 27), _MULTIPLIERS, strict=True):
        np.right_shift(z, np.uint64(shift), out=shifted)
        z ^= shifted
        z *= multiplier
    np.right_shift(z, np.uint64(31), out=shifted)
    z ^= shifted


def _mixed(value: int) -> int:
    """`mix64` of one number, which arrays would take ten times as long for."""
    z = value + int(_GOLDEN) & _WHOLE
    z = (z ^ z >> 30) * int(_MULTIPLIERS[0]) & _WHOLE
    z = (z ^ z >> 27) * int(_MULTIPLIERS[1]) & _WHOLE
    return z ^ z >> 31


def _combined(label: int, field: int) -> int:
    """`combine` of one number each."""
    return _mixed(label ^ _mixed(field & _WHOLE))


def combine(label: ArrayLike, field: ArrayLike) -> LabelArray:
    """The labels that name `field` under `label`; arrays broadcast.

    >>> combine(np.uint64(7), np.arange(2)).shape
    (2,)
    """
    return mix64(np.asarray(label, dtype=np.uint64) ^ mix64(np.asarray(field).astype(np.uint64)))


def uniforms(labels: LabelArray, n: int) -> FloatArray:
    """`n` numbers in [0, 1) for each label, `(len(labels), n)`: the SplitMix64 stream seeded with the label.

    >>> numbers = uniforms(np.array([1, 1, 2], dtype=np.uint64), 3)
    >>> bool((numbers[0] == numbers[1]).all()), bool((numbers[0] == numbers[2]).any())
    (True, False)
    """
    words = stream(labels, n)
    words >>= np.uint64(11)
    numbers: FloatArray = words * np.float64(2.0**-53)
    return numbers


def stream(labels: LabelArray, n: int) -> LabelArray:
    """The first `n` words of 64 bits of each label's SplitMix64 stream, `(len(labels), n)`.

    >>> int(stream(np.array([0], dtype=np.uint64), 2)[0, 0]) == int(mix64(np.uint64(0)))
    True
    """
    words: LabelArray = labels[:, None] + np.arange(1, n + 1, dtype=np.uint64) * _GOLDEN
    _scramble(words)
    return words


def fresh_seed() -> int:
    """A seed from the operating system's entropy, for runs that were given none."""
    return int.from_bytes(os.urandom(8), "little") >> 1


@dataclass(frozen=True, slots=True)
class StepKey:
    """The randomness of one step of a run.

    Attributes:
        seed: The run's seed.
        stage: What is being run, such as "train" or "validate", so that one does not reuse the other's numbers.
        step: The number of the step.

    >>> key = StepKey(seed=7, stage="train", step=3)
    >>> key.draws(sample=[0, 1], sign=[[1], [-1]]).shape
    (2, 2)
    >>> int(key.generator("directions").integers(100)) == int(key.generator("directions").integers(100))
    True
    """

    seed: int
    stage: str = "train"
    step: int = 0

    def at(self, step: int) -> StepKey:
        """The key of another step of the same stage."""
        return replace(self, step=step)

    def draws(
        self, *, round: int = 0, sample: ArrayLike = 0, term: ArrayLike = 0, sign: ArrayLike = 0
    ) -> LabelArray:  # the fields are ArrayLike and broadcast against each other
        """The draw labels of circuits, uint64, in the shape that the fields broadcast to."""
        label: LabelArray = np.array(self._root(), dtype=np.uint64)
        for field in (round, sample, term, sign):
            label = combine(label, field)
        return label

    def generator(self, purpose: str) -> np.random.Generator:
        """A NumPy generator for a classical choice of this step, such as SPSA's directions."""
        return np.random.Generator(np.random.Philox(key=self._purpose(purpose)))

    def signs(self, purpose: str, n: int) -> FloatArray:
        """`n` random signs, +-1, for a classical choice of this step.

        >>> set(StepKey(7).signs("directions", 100).tolist()) == {-1.0, 1.0}
        True
        """
        label = np.array([self._purpose(purpose)], dtype=np.uint64)
        bits = np.unpackbits(stream(label, -(-n // 64)).astype("<u8").view(np.uint8), count=n)
        return 1.0 - 2.0 * bits.astype(np.float64)

    def _purpose(self, purpose: str) -> int:
        return _combined(self._root(), zlib.crc32(purpose.encode()))

    def _root(self) -> int:
        label = _combined(int(self.seed) & _WHOLE, zlib.crc32(self.stage.encode()))
        return _combined(label, int(self.step))
