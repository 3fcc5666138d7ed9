"""What callers give as data, as arrays, or an error that says what would be lost."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qstore_core.arrays import FloatArray
from qstore_core.errors import ConfigurationError, DataError


def data_array(name: str, values: ArrayLike) -> NDArray[Any]:
    """`values` as an array of the type they come in, unless an imaginary part or a mask would be lost.

    Args:
        name: What the values are, in the plural.
        values: The data.

    Raises:
        DataError: Complex numbers, masked entries, or rows of different lengths.

    >>> data_array("inputs", [[1, 2]])
    array([[1, 2]])
    """
    if np.ma.is_masked(values):
        raise DataError(f"{name} have masked entries, and training knows no mask: fill or drop them first")
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise DataError(f"{name} must be numbers: {error}") from error
    if array.dtype.kind == "c":
        raise DataError(
            f"{name} must be real numbers, not {array.dtype}: give .real and .imag as columns of their own, or abs()"
        )
    return array


def float_array(name: str, values: ArrayLike) -> FloatArray:
    """`data_array` as float64.

    Raises:
        DataError: What is no number, too.

    >>> float_array("inputs", [[1, 2]])
    array([[1., 2.]])
    """
    array = data_array(name, values)
    try:
        return np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} must be numbers: {error}") from error


def parameter_indices(indices: Iterable[Any], n_parameters: int) -> list[int]:
    """The places of parameters, if there are such parameters; a mask `(n_parameters,)` of booleans will do too.

    >>> parameter_indices([0, -1], 4), parameter_indices([True, False, True], 3)
    ([0, -1], [0, 2])
    """
    chosen = list(indices)
    if len(chosen) == n_parameters and all(isinstance(each, bool | np.bool_) for each in chosen):
        return [place for place, each in enumerate(chosen) if each]
    for index in chosen:
        whole = isinstance(index, int | np.integer) and not isinstance(index, bool)
        if not whole or not -n_parameters <= index < n_parameters:
            raise ConfigurationError(f"parameter {index}: this model has parameters 0 to {n_parameters - 1}")
    return [int(index) for index in chosen]
