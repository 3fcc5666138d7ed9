"""What callers give as data, as arrays, or an error that says what would be lost."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from numbers import Integral, Number, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qstore_core.arrays import FloatArray
from qstore_core.errors import ConfigurationError, DataError


def data_array(name: str, values: ArrayLike) -> NDArray[Any]:
    """`values` as an array of the type they come in, unless an imaginary part or a mask would be lost.

    Python objects, as mixed tables have them, become what they are: whole numbers, numbers or text.

    Args:
        name: What the values are, in the plural.
        values: The data.

    Raises:
        DataError: Complex numbers, masked entries, other objects, or rows of different lengths.

    >>> data_array("inputs", [[1, 2]])
    array([[1, 2]])
    """
    if np.ma.is_masked(values):
        raise DataError(f"{name} have masked entries, and training knows no mask: fill or drop them first")
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise DataError(f"{name} must be numbers: {error}") from error
    if array.dtype == object and array.ndim:  # a single object is no data, which callers tell
        array = _of_objects(name, array)
    if array.dtype.kind == "c":
        raise DataError(
            f"{name} must be real numbers, not {array.dtype}: give .real and .imag as columns of their own, or abs()"
        )
    return array


def _of_objects(name: str, array: NDArray[Any]) -> NDArray[Any]:
    entries = array.ravel().tolist()
    if entries and all(isinstance(each, str) for each in entries):
        return array.astype(np.str_)
    for wrong in entries:
        if not isinstance(wrong, Number | np.bool_):
            raise DataError(f"{name} hold what is no number, such as {wrong!r}; number it, or leave it out")
    if not all(isinstance(each, Real | Decimal | np.bool_) for each in entries):
        return array.astype(np.complex128)
    if entries and all(isinstance(each, bool | np.bool_) for each in entries):
        return array.astype(np.bool_)
    if entries and all(isinstance(each, Integral | np.bool_) for each in entries):
        try:
            return array.astype(np.int64)
        except OverflowError:
            pass
    try:
        return array.astype(np.float64)
    except (ValueError, OverflowError) as error:
        raise DataError(f"{name} hold numbers that are too large: {error}") from error


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
