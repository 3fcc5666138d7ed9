"""Expectation values as functions of one parameter: trigonometric polynomials that a few circuits determine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import pi, sqrt

import numpy as np

from qstore_core.arrays import FloatArray, IntArray
from qstore_core.gates import GATES
from qstore_core.operations import CircuitStructure

_CLOSE = 1e-6
"""Frequencies that differ by less are one."""
_LONGEST = 64
"""The most wavelengths of the highest frequency in a period; beyond them a function counts as having none."""
_GRID = 32
"""Points of a grid for each wavelength of the highest frequency."""
_DIPS = 8
"""How many dips of a grid are looked into, the lowest first."""


def frequencies_of(structure: CircuitStructure, weights: FloatArray, *, most: int) -> FloatArray:
    """The positive frequencies of expectation values in a parameter, ascending.

    A gate angle has the frequencies of its gate; a parameter that enters several angles has every sum and difference of
    theirs, each times its weight (Wierichs et al., arXiv 2107.12390).

    Args:
        structure: The gates.
        weights: `(n_angles,)`, how the parameter enters each angle.
        most: Stop when there are more than this many; the rest is left out.

    >>> from qstore_core import Parameter, QuantumCircuit
    >>> a = Parameter("a")
    >>> circuit = QuantumCircuit(2).ry(0, a).crx(0, 1, a)
    >>> frequencies_of(circuit.structure, circuit.affine.parameters.matrix[0], most=64)
    array([0.5, 1. , 1.5, 2. ])
    """
    gates = [GATES[name] for name, _ in structure.gates if GATES[name].has_angle]
    sums = np.zeros(1)
    for index in np.flatnonzero(weights):
        own = abs(weights[index]) * np.array((0.0, *gates[index].frequencies))
        sums = _distinct((sums[:, None] + np.concatenate([-own, own])).ravel())
        if np.sum(sums > _CLOSE) > most:
            break
    return sums[sums > _CLOSE]


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Where a function with known frequencies is measured, and what it is elsewhere.

    `f(t) = a_0 + sum_r (b_r cos w_r t + c_r sin w_r t)` has `2 R + 1` coefficients, and as many points determine it.
    For the frequencies w, 2 w, ..., R w they are equally spaced over the period: then what is found at any t is as
    noisy as what was measured, and no more. Other frequencies get points chosen one by one from a grid over the period,
    each where the ones before it tell least (approximate Fekete points: Bos et al., SIAM J. Numer. Anal. 48, 1984,
    2010).

    Attributes:
        frequencies: `(R,)`, positive, ascending.
        period: Of the function; where there is none, or a very long one, 64 wavelengths of the highest frequency.
        points: `(2 R + 1,)`, where it is measured; the first is 0.
        inverse: `(2 R + 1, 2 R + 1)`, from the values there to the coefficients.

    >>> curve = Curve.of((1.0,))
    >>> curve.points.round(4)
    array([ 0.    ,  2.0944, -2.0944])
    >>> float(curve.weights(0.3) @ np.sin(curve.points)).__round__(6) == float(np.sin(0.3)).__round__(6)
    True
    """

    frequencies: FloatArray
    period: float
    points: FloatArray
    inverse: FloatArray

    @staticmethod
    @lru_cache(maxsize=256)
    def of(frequencies: tuple[float, ...]) -> Curve:
        """The curve for positive frequencies in ascending order, at least one."""
        omega = np.array(frequencies)
        period, count = _period(omega), 2 * len(omega) + 1
        points = np.linspace(0.0, period, count, endpoint=False)
        if np.allclose(omega, 2 * pi / period * np.arange(1, len(omega) + 1), rtol=0, atol=_CLOSE):
            points = points - period * (points > period / 2)
        else:
            points = _spread_points(omega, period)
        inverse: FloatArray = np.linalg.solve(_basis(omega, points), np.eye(count)).astype(np.float64)
        return Curve(omega, period, points, inverse)

    def weights(self, t: float) -> FloatArray:
        """`(2 R + 1,)`: the function at `t` is their sum over the values at the points."""
        weights: FloatArray = _basis(self.frequencies, np.array([t]))[0] @ self.inverse
        return weights

    @property
    def slope(self) -> FloatArray:
        """The same for the function's derivative at 0."""
        still = np.zeros(1 + len(self.frequencies))
        slope: FloatArray = np.concatenate([still, self.frequencies]) @ self.inverse
        return slope

    def least(self, function: Callable[[float], float]) -> float:
        """Where a function of such functions is least within half a period of 0, and 0 where it is least nowhere else.

        A grid finds its dips, and golden sections their bottoms, to about 1e-8 of the grid's step.

        >>> round(Curve.of((1.0,)).least(lambda t: float(np.cos(t - 0.5))) - (0.5 - pi), 6) == 0
        True
        """
        grid = _grid(self.frequencies, self.period)
        values = np.array([function(t) for t in grid.tolist()])
        step, scale = float(grid[1] - grid[0]), 1e-12 * float(np.abs(values).max())
        if np.ptp(values) <= scale:
            return 0.0
        found = [_golden_section(function, t - step, t + step) for t in grid[_dips(values)].tolist()]
        least, where = min(found)
        if least >= values[len(grid) // 2] - scale:
            return 0.0
        return where - self.period * round(where / self.period)


def _grid(omega: FloatArray, period: float) -> FloatArray:
    """Points over a period around 0, with 0 in the middle."""
    half = round(_GRID * period * float(omega[-1]) / (4 * pi))
    grid: FloatArray = period / (2 * half) * np.arange(-half, half, dtype=np.float64)
    return grid


def _dips(values: FloatArray) -> IntArray:
    """The places of the lowest values of a periodic sequence that are no higher than their neighbours."""
    dips = np.flatnonzero((values <= np.roll(values, 1)) & (values <= np.roll(values, -1)))
    return dips[np.argsort(values[dips], kind="stable")][:_DIPS]


def _distinct(values: FloatArray) -> FloatArray:
    """The values in order, without those that are next to equal to the one before."""
    ordered = np.sort(values)
    return ordered[np.diff(ordered, prepend=-np.inf) > _CLOSE]


def _basis(omega: FloatArray, points: FloatArray) -> FloatArray:
    phases = np.multiply.outer(points, omega)
    return np.hstack([np.ones((len(points), 1)), np.cos(phases), np.sin(phases)])


def _period(omega: FloatArray) -> float:
    """The shortest common period."""
    for count in range(len(omega), _LONGEST):
        multiples = omega * count / omega[-1]
        if np.allclose(multiples, multiples.round(), rtol=0, atol=_CLOSE):
            return float(2 * pi * count / omega[-1])
    return float(2 * pi * _LONGEST / omega[-1])


def _spread_points(omega: FloatArray, period: float) -> FloatArray:
    """0, and one by one the points of a grid whose row of the basis lies farthest from the span of the rows so far."""
    grid = _grid(omega, period)
    left, chosen = _basis(omega, grid), len(grid) // 2
    points = []
    for _ in range(2 * len(omega) + 1):
        points.append(grid[chosen])
        direction = left[chosen] / np.linalg.norm(left[chosen])
        left = left - np.outer(left @ direction, direction)
        chosen = int(np.argmax(np.sum(left**2, axis=1)))
    return np.array(points)


def _golden_section(function: Callable[[float], float], low: float, high: float) -> tuple[float, float]:
    """The least value of a function with one dip between two points, and where it is."""
    ratio = (sqrt(5) - 1) / 2
    tolerance = 1e-8 * (high - low)
    inner, outer = high - ratio * (high - low), low + ratio * (high - low)
    at_inner, at_outer = function(inner), function(outer)
    while high - low > tolerance:
        if at_inner <= at_outer:
            high, outer, at_outer = outer, inner, at_inner
            inner = high - ratio * (high - low)
            at_inner = function(inner)
        else:
            low, inner, at_inner = inner, outer, at_outer
            outer = low + ratio * (high - low)
            at_outer = function(outer)
    return min((at_inner, inner), (at_outer, outer))
