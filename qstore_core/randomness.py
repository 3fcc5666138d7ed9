"""Where every random number comes from: one run seed, and labels that name what each number is for.

A **draw label** is a 64-bit hash of (run seed, stage, step, round, sample, term, sign). It names one circuit's
randomness whatever job it travels in and however often it is retried, so that results do not depend on splitting or
order.
"""

from __future__ import annotations

import secrets
import zlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from qstore_core.arrays import FloatArray, LabelArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def mix64(values: ArrayLike) -> LabelArray:
    """The output function of SplitMix64 (Steele, Lea, Flood 2014), elementwise: a bijection that scrambles 64 bits.

    >>> hex(int(mix64(np.uint64(0))))
    '0xe220a8397b1dcdaf'
    """
    with np.errstate(over="ignore"):
        z = np.asarray(values, dtype=np.uint64) + _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * _MULTIPLIERS[0]
        z = (z ^ (z >> np.uint64(27))) * _MULTIPLIERS[1]
    return z ^ (z >> np.uint64(31))


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
    with np.errstate(over="ignore"):
        states = labels[:, None] + np.arange(n, dtype=np.uint64) * _GOLDEN
    numbers: FloatArray = (mix64(states) >> np.uint64(11)) * np.float64(2.0**-53)
    return numbers


def fresh_seed() -> int:
    """A seed from the operating system's entropy, for runs that were given none."""
    return secrets.randbits(63)


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
        label: LabelArray = combine(self._root(), round)
        for field in (sample, term, sign):
            label = combine(label, field)
        return label

    def generator(self, purpose: str) -> np.random.Generator:
        """A NumPy generator for a classical choice of this step, such as SPSA's directions."""
        label = combine(self._root(), zlib.crc32(purpose.encode()))
        return np.random.Generator(np.random.Philox(key=int(label)))

    def _root(self) -> LabelArray:
        label = combine(np.uint64(self.seed % 2**64), zlib.crc32(self.stage.encode()))
        return combine(label, self.step)
