"""Seeds that follow `numpy.random.seed`, as programs for Q-Store set it."""

from __future__ import annotations

import numpy as np


def program_seed() -> int:
    """A seed drawn from NumPy's global generator.

    Q-Store drew everything from that generator, so `numpy.random.seed(42)` at the top of a program still fixes all of
    its numbers.

    >>> np.random.seed(42)
    >>> first = program_seed()
    >>> np.random.seed(42)
    >>> program_seed() == first
    True
    """
    return int(np.random.randint(2**31))  # noqa: NPY002  the global generator is the point
