"""The array form of a circuit's angles: one sparse affine map from features and parameters to gate angles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from qstore_core.angles import Angle, Symbol
from qstore_core.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """At most one term of every angle: `angles[:, targets] += weights * values[:, sources]`."""

    targets: IntArray
    sources: IntArray
    weights: FloatArray


@dataclass(frozen=True, eq=False)
class LinearMap:
    """A sparse matrix `(n_symbols, n_angles)` that weighs the values of some symbols into gate angles.

    Each product and sum is done elementwise in a fixed order, so a row's angles are the same to the last bit whatever
    other rows are computed with it: they are parts of cache keys.
    """

    n_symbols: int
    n_angles: int
    layers: tuple[_Layer, ...]

    @classmethod
    def of(cls, angles: Sequence[Angle], symbols: Sequence[Symbol]) -> LinearMap:
        """The map that gives `angles` from the values of `symbols`; other symbols and offsets are left out."""
        index = {symbol: position for position, symbol in enumerate(symbols)}
        terms = [[(index[s], w) for s, w in angle.terms if s in index] for angle in angles]
        layers = []
        for depth in range(max(map(len, terms), default=0)):
            rows = [(target, *row[depth]) for target, row in enumerate(terms) if depth < len(row)]
            targets, sources, weights = zip(*rows, strict=True)
            layers.append(_Layer(np.array(targets), np.array(sources), np.array(weights, dtype=np.float64)))
        return cls(len(symbols), len(angles), tuple(layers))

    @cached_property
    def matrix(self) -> FloatArray:
        """The same map, dense: `(n_symbols, n_angles)`."""
        matrix = np.zeros((self.n_symbols, self.n_angles))
        for layer in self.layers:
            matrix[layer.sources, layer.targets] = layer.weights
        return matrix

    @cached_property
    def used(self) -> BoolArray:
        """Which symbols enter an angle, `(n_symbols,)`."""
        used: BoolArray = (self.matrix != 0).any(axis=1)
        return used

    def take(self, angles: IntArray) -> LinearMap:
        """The map to some of the angles, in the given order."""
        places = np.full(self.n_angles, -1)
        places[angles] = np.arange(len(angles))
        layers = []
        for layer in self.layers:
            kept = places[layer.targets] >= 0
            if kept.any():
                layers.append(_Layer(places[layer.targets[kept]], layer.sources[kept], layer.weights[kept]))
        return LinearMap(self.n_symbols, len(angles), tuple(layers))

    def add_to(self, angles: FloatArray, values: FloatArray) -> None:
        """Add what `values`, `(n_rows, n_symbols)` or `(n_symbols,)`, give to `angles`, `(n_rows, n_angles)`."""
        for layer in self.layers:
            angles[:, layer.targets] += values[..., layer.sources] * layer.weights


@dataclass(frozen=True, eq=False)
class AffineMap:
    """All angles of a circuit: `features . F + parameters . A + offsets`."""

    features: LinearMap
    parameters: LinearMap
    offsets: FloatArray

    def take(self, angles: IntArray) -> AffineMap:
        """The map to some of the angles, in the given order."""
        return AffineMap(self.features.take(angles), self.parameters.take(angles), self.offsets[angles])

    @cached_property
    def _columns(self) -> IntArray | None:
        """The symbol of each angle, features first, where every angle is one symbol and nothing else."""
        columns = np.full(len(self.offsets), -1)
        for start, linear in ((0, self.features), (self.features.n_symbols, self.parameters)):
            for layer in linear.layers:
                if (layer.weights != 1.0).any() or (columns[layer.targets] >= 0).any():
                    return None
                columns[layer.targets] = start + layer.sources
        return None if (columns < 0).any() or self.offsets.any() else columns

    def angles(self, features: FloatArray, parameters: FloatArray, n_rows: int) -> FloatArray:
        """The angles of `n_rows` rows, `(n_rows, n_angles)` float64, radians.

        Args:
            features: `(n_rows, n_features)`, or `(n_features,)` to share them between rows.
            parameters: `(n_rows, n_parameters)`, or `(n_parameters,)` to share them between rows.
            n_rows: How many rows to make.
        """
        if self._columns is not None:
            values = np.empty((n_rows, self.features.n_symbols + self.parameters.n_symbols))
            values[:, : self.features.n_symbols] = features
            values[:, self.features.n_symbols :] = parameters
            return values.take(self._columns, axis=1)
        angles = np.repeat(self.offsets[None, :], n_rows, axis=0)
        self.features.add_to(angles, features)
        self.parameters.add_to(angles, parameters)
        return angles
