"""Scaling of inputs to angles: fitted once, saved with the run, the same for every sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from qstore_core.arrays import FloatArray
from qstore_core.errors import DataError

_ROUNDING = 1e-9
"""A spread below this is rounding, not data; columns have a spread of 1 by then."""


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
        """
        data = _table(x)
        if data.shape[1] < n_features:
            raise DataError(f"the data has {data.shape[1]} column(s) and the model input_dim={n_features}")
        mean, deviation = data.mean(axis=0), data.std(axis=0)
        rounding = len(data) * np.finfo(np.float64).eps * np.abs(mean)  # the mean of n equal numbers is off by this
        deviation = np.where(deviation > rounding, deviation, 1.0)
        standard = (data - mean) / deviation
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
        scaled = ((data - self.mean) / self.deviation) @ self.components * self.scale
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

    `transform(y) = (y - centre) / width`, so that the training targets run from -0.5 to 0.5.

    >>> scaler = TargetScaler.fit([10.0, 30.0])
    >>> scaler.transform([10.0, 25.0]), scaler.inverse(scaler.transform([12.0]))
    (array([-0.5 ,  0.25]), array([12.]))
    """

    centre: float
    width: float

    @classmethod
    def fit(cls, y: ArrayLike) -> Self:
        """The scaler of training targets."""
        values = np.asarray(y, dtype=np.float64)
        low, high = float(values.min()), float(values.max())
        if not np.isfinite(high - low) or high == low:
            raise DataError(f"target values from {low} to {high} cannot be learned; they must be finite and differ")
        return cls((low + high) / 2, high - low)

    def transform(self, y: ArrayLike) -> FloatArray:
        """Targets for training."""
        scaled: FloatArray = (np.asarray(y, dtype=np.float64) - self.centre) / self.width
        return scaled

    def inverse(self, outputs: ArrayLike) -> FloatArray:
        """Outputs in the units of the targets."""
        values: FloatArray = np.asarray(outputs, dtype=np.float64) * self.width + self.centre
        return values


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
    try:
        data = np.asarray(x, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"inputs must be numbers: {error}") from error
    if data.ndim != 2 or not data.size:
        raise DataError(f"inputs need shape (n_samples, n_columns) with at least one of each, not {data.shape}")
    if not np.isfinite(data).all():
        row, column = np.argwhere(~np.isfinite(data))[0]
        raise DataError(f"inputs must be finite; row {row}, column {column} holds {data[row, column]}")
    return data
