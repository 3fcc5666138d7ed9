"""Where training starts."""

from __future__ import annotations

import numpy as np

from qstore_core.arrays import FloatArray

SPREAD = 0.1


def initial_parameters(n_parameters: int, generator: np.random.Generator) -> FloatArray:
    """Small normal angles, radians: layers close to their entanglers alone, so that the gradient survives depth.

    `benchmarks/readout_and_initialisation.py` compares the spread with uniform angles.

    >>> initial_parameters(3, np.random.default_rng(0)).shape
    (3,)
    """
    return generator.normal(0.0, SPREAD, n_parameters)
