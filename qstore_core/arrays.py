"""Names for the array types that appear in signatures."""

from __future__ import annotations

from math import isfinite
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
ComplexArray: TypeAlias = NDArray[np.complex128]
IntArray: TypeAlias = NDArray[np.int64]
LabelArray: TypeAlias = NDArray[np.uint64]
BoolArray: TypeAlias = NDArray[np.bool_]


def all_finite(values: FloatArray) -> bool:
    """Whether no value is nan or infinite; for arrays that are looked at in every step, where calls outweigh work.

    >>> all_finite(np.zeros((2, 3))), all_finite(np.array([1.0, np.nan])), all_finite(np.array([1e300]))
    (True, False, True)
    """
    # a square that overflows only means that the values have to be looked at one by one
    return isfinite(np.vdot(values, values)) or bool(np.isfinite(values).all())
