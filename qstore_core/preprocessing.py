"""Scaling of inputs to angles: fitted once, saved with the run, the same for every sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from qstore_core.array_input import float_array
from qstore_core.arrays import FloatArray
from qstore_core.errors import DataError
from qstore_core.problem import require_positive, require_whole

_ROUNDING = 1e-9
"""A spread below this is rounding, not data; columns have a spread of 1 by then."""
_LEAST, _MOST = 1e-300, 1e300
"""Columns whose largest number is outside these have no deviation and no differences in float64."""
_FAR = 1e150
"""Standard deviations that are far beyond a full turn, and that a matrix product does not overflow with."""


@dataclass(frozen=True, slots=True, eq=False)
class FeatureScaler:
    """Standardise each column, keep the directions of largest variance if there are too many, and scale to radians.

    `transform(x) = clip(((x - mean) / deviation) . components * scale, -pi, pi)`

    Attributes:
        mean: `(n_columns,)`.
        deviation: `(n_columns,)`, 1 where a column is constant.
        components: `(n_columns, n_features)`: the principal components (PCA), or the identity.
        scale: `(n_features,)`, radians for each unit.

    >>> scaler = FeatureScaler.fit([[0.0, 5.0], [2.0, 5.0]], n_features=2)
    >>> scaler.transform([[1.0, 5.0]])
    array([[0., 0.]])
    """

    mean: FloatArray
    deviation: FloatArray
    components: FloatArray
    scale: FloatArray

    @classmethod
    def fit(cls, x: ArrayLike, n_features: int, *, radians_per_deviation: float = 1.0) -> Self:
        """The scaler of training data.

        Args:
            x: `(n_samples, n_columns)`.
            n_features: Columns to make; fewer than there are means PCA.
            radians_per_deviation: The angle of one standard deviation.

        Raises:
            DataError: Fewer columns than features, or values that are not finite numbers.
            ConfigurationError: `n_features` below 1, or an angle that is not a number above 0.
        """
        require_whole("n_features", n_features)
        require_positive("radians_per_deviation", radians_per_deviation)
        data = _table(x)
        if data.shape[1] < n_features:
            raise DataError(f"the data has {data.shape[1]} column(s) and the model input_dim={n_features}")
        mean, deviation = _moments(data)
        standard = _standard(data, mean, deviation)
        components = np.eye(data.shape[1])
        if n_features < data.shape[1]:
            components = _principal(standard, n_features)
        spread = (standard @ components).std(axis=0)
        scale = radians_per_deviation / np.where(spread > _ROUNDING, spread, 1.0)
        return cls(mean, deviation, components, scale)

    def transform(self, x: ArrayLike) -> FloatArray:
        """The angles of samples, `(n_samples, n_features)`, radians within [-pi, pi]."""
        data = _table(x)
        if data.shape[1] != len(self.mean):
            raise DataError(f"the data has {data.shape[1]} column(s); the scaler was fitted to {len(self.mean)}")
        scaled = _standard(data, self.mean, self.deviation) @ self.components * self.scale
        return np.clip(scaled, -np.pi, np.pi)

    def to_arrays(self) -> dict[str, FloatArray]:
        """What `from_arrays` needs, for a checkpoint."""
        return {
            "mean": self.mean,
            "deviation": self.deviation,
            "components": self.components,
            "scale": self.scale,
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, FloatArray]) -> Self:
        """The scaler that `to_arrays` described."""
        return cls(**arrays)


@dataclass(frozen=True, slots=True)
class TargetScaler:
    """Target values brought into the middle of what outputs can reach, and back.

    `transform(y) = (y - centre) / width`, so that the training targets run from -0.5 to 0.5, each column by itself.

    Attributes:
        centre: The middle of the training targets; of several columns one for each.
        width: Their range, likewise.

    >>> scaler = TargetScaler.fit([10.0, 30.0])
    >>> scaler.transform([10.0, 25.0]), scaler.inverse(scaler.transform([12.0]))
    (array([-0.5 ,  0.25]), array([12.]))
    >>> TargetScaler.fit([[0.0, 100.0], [1.0, 500.0]])
    TargetScaler(centre=(0.5, 300.0), width=(1.0, 400.0))
    """

    centre: float | tuple[float, ...]
    width: float | tuple[float, ...]

    @classmethod
    def fit(cls, y: ArrayLike) -> Self:
        """The scaler of training targets, `(n_samples,)` or `(n_samples, n_columns)`.

        Raises:
            DataError: No targets, targets that are not finite numbers, or a column of equal ones.
        """
        values = float_array("targets", y)
        if values.ndim not in (1, 2) or not values.size:
            raise DataError(f"targets need shape (n_samples,) or (n_samples, n_columns), not {values.shape}")
        columns = values.reshape(len(values), -1).T
        ranges = [_range(column, f" in column {place}" * (len(columns) > 1)) for place, column in enumerate(columns)]
        if len(ranges) == 1:
            return cls(*ranges[0])
        return cls(tuple(centre for centre, _ in ranges), tuple(width for _, width in ranges))

    def transform(self, y: ArrayLike) -> FloatArray:
        """Targets for training."""
        scaled: FloatArray = (self._columns("targets", y) - self.centre) / self.width
        return scaled

    def inverse(self, outputs: ArrayLike) -> FloatArray:
        """Outputs in the units of the targets."""
        values: FloatArray = self._columns("outputs", outputs) * self.width + self.centre
        return values

    def _columns(self, name: str, given: ArrayLike) -> FloatArray:
        values = float_array(name, given)
        n_columns = np.size(self.centre)
        if n_columns > 1 and values.shape[-1:] != (n_columns,):
            raise DataError(f"the scaler was fitted to {n_columns} columns; these {name} have shape {values.shape}")
        return values


def _range(column: FloatArray, where: str) -> tuple[float, float]:
    """The middle and the range of targets."""
    low, high = float(column.min()), float(column.max())
    if not np.isfinite(high - low) or high == low:
        raise DataError(f"target values from {low} to {high}{where} cannot be learned; they must be finite and differ")
    return (low + high) / 2, high - low


def _moments(data: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The mean and the standard deviation of each column, 1 where it is constant."""
    largest = np.abs(data).max(axis=0)
    _, exponent = np.frexp(largest)
    near_one = np.ldexp(data, -exponent)  # exact, and the squares of what is left neither overflow nor vanish
    mean, deviation = near_one.mean(axis=0), near_one.std(axis=0)
    rounding = len(data) * np.finfo(np.float64).eps * np.abs(mean)  # the mean of n equal numbers is off by this
    varies = deviation > rounding
    for column in np.flatnonzero(varies & ((largest < _LEAST) | (largest > _MOST))):
        raise DataError(
            f"column {column} holds numbers up to {largest[column]:g}, which cannot be scaled; give it in a unit that "
            f"leaves them between {_LEAST:g} and {_MOST:g}"
        )
    return np.ldexp(mean, exponent), np.where(varies, np.ldexp(deviation, np.where(varies, exponent, 0)), 1.0)


def _standard(data: FloatArray, mean: FloatArray, deviation: FloatArray) -> FloatArray:
    with np.errstate(over="ignore"):
        return np.clip((data - mean) / deviation, -_FAR, _FAR)


def _principal(standard: FloatArray, n_features: int) -> FloatArray:
    """The leading right singular vectors, each with its largest entry positive so that the sign is settled."""
    _, _, rows = np.linalg.svd(standard, full_matrices=False)
    if len(rows) < n_features:
        raise DataError(f"{len(standard)} samples cannot give {n_features} principal components; use fewer features")
    leading = rows[:n_features]
    largest = leading[np.arange(n_features), np.abs(leading).argmax(axis=1)]
    components: FloatArray = (leading * np.sign(largest)[:, None]).T
    return components


def _table(x: ArrayLike) -> FloatArray:
    data = float_array("inputs", x)
    if data.ndim != 2 or not data.size:
        raise DataError(f"inputs need shape (n_samples, n_columns) with at least one of each, not {data.shape}")
    if not np.isfinite(data).all():
        row, column = np.argwhere(~np.isfinite(data))[0]
        raise DataError(f"inputs must be finite; row {row}, column {column} holds {data[row, column]}")
    return data
