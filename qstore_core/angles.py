"""Symbols for the numbers a circuit leaves open, and the affine expressions that gate angles are made of.

A gate's angle is a sum of symbols with fixed weights plus a constant. Anything further, such as the product of two
features, belongs in an encoder, which computes new features with NumPy before the circuit sees them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from numbers import Real
from typing import Self, TypeAlias

from qstore_core.errors import CircuitError


class _Arithmetic:
    """Addition, subtraction and scaling, shared by symbols and by the expressions built from them."""

    __slots__ = ()
    __array_ufunc__ = None  # NumPy scalars leave the arithmetic to us

    def __add__(self, other: AngleLike) -> Angle:
        return Angle.of(self)._plus(Angle.of(other))

    __radd__ = __add__

    def __neg__(self) -> Angle:
        return self * -1.0

    def __sub__(self, other: AngleLike) -> Angle:
        return self + Angle.of(other) * -1.0

    def __rsub__(self, other: AngleLike) -> Angle:
        return -self + other

    def __mul__(self, factor: object) -> Angle:
        if isinstance(factor, _Arithmetic):
            raise CircuitError(
                f"cannot multiply {self} by {factor}: angles are affine in their symbols; compute products of features "
                "in an encoder"
            )
        return Angle.of(self)._times(_finite(factor))

    __rmul__ = __mul__

    def __truediv__(self, divisor: object) -> Angle:
        if isinstance(divisor, _Arithmetic) or _finite(divisor) == 0:
            raise CircuitError(f"cannot divide {self} by {divisor!r}: only by a number that is not 0")
        return self * (1.0 / _finite(divisor))


@dataclass(frozen=True, slots=True, repr=False)
class Symbol(_Arithmetic):
    """A named number that a circuit leaves open; use `Parameter` or `Feature`."""

    name: str

    def __post_init__(self) -> None:
        if type(self) is Symbol:
            raise CircuitError(f"{self.name!r} is a Parameter, which training adjusts, or a Feature, which data fills")
        if not isinstance(self.name, str) or not self.name:
            raise CircuitError(f"a {type(self).__name__} needs a name that is not empty, not {self.name!r}")

    def __repr__(self) -> str:
        return self.name

    @classmethod
    def vector(cls, name: str, length: int) -> tuple[Self, ...]:
        """`length` symbols called `name[0]`, `name[1]`, ...

        >>> Parameter.vector("theta", 2)
        (theta[0], theta[1])
        """
        return tuple(cls(f"{name}[{index}]") for index in range(length))


class Parameter(Symbol):
    """A number that training adjusts.

    >>> theta = Parameter("theta")
    >>> 0.5 * theta + 1.2
    0.5*theta + 1.2
    """

    __slots__ = ()


class Feature(Symbol):
    """A number that comes from the data: one column of the encoded inputs.

    >>> Feature("x") - Parameter("a") / 2
    x - 0.5*a
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True, repr=False)
class Angle(_Arithmetic):
    """An affine expression in radians: `sum(weight * symbol) + offset`.

    Attributes:
        terms: Each symbol once with its weight, which is not 0, in order of first use.
        offset: The constant part.

    >>> (2 * Parameter("a") + 0.5).terms
    ((a, 2.0),)
    """

    terms: tuple[tuple[Symbol, float], ...] = ()
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not all(map(isfinite, (self.offset, *(weight for _, weight in self.terms)))):
            raise CircuitError(f"an angle's weights and offset are finite; {self!r} has one that is not")

    @classmethod
    def of(cls, value: object) -> Angle:
        """`value`, a number, symbol or expression, as an expression.

        >>> Angle.of(1.5).offset
        1.5
        """
        if isinstance(value, Angle):
            return value
        if isinstance(value, Symbol):
            return cls(((value, 1.0),))
        return cls((), _finite(value))

    def substitute(self, values: Mapping[Symbol, float]) -> Angle:
        """The expression with some symbols replaced by numbers.

        >>> a, b = Parameter("a"), Parameter("b")
        >>> (a + 2 * b).substitute({b: 0.25})
        a + 0.5
        """
        kept = tuple((symbol, weight) for symbol, weight in self.terms if symbol not in values)
        known = sum(weight * _finite(values[symbol]) for symbol, weight in self.terms if symbol in values)
        return Angle(kept, self.offset + known)

    def _plus(self, other: Angle) -> Angle:
        weights = dict(self.terms)
        for symbol, weight in other.terms:
            weights[symbol] = weights.get(symbol, 0.0) + weight
        return Angle(tuple((s, w) for s, w in weights.items() if w != 0), self.offset + other.offset)

    def _times(self, factor: float) -> Angle:
        return Angle(tuple((s, w * factor) for s, w in self.terms if w * factor != 0), self.offset * factor)

    def __repr__(self) -> str:
        parts = [_signed(weight, symbol.name) for symbol, weight in self.terms]
        if self.offset or not parts:
            parts.append(_signed(self.offset))
        first, *rest = parts
        return ("-" if first[0] == "-" else "") + first[1] + "".join(f" {sign} {text}" for sign, text in rest)


AngleLike: TypeAlias = float | Symbol | Angle
"""What a gate accepts as its angle: a number of radians, a symbol, or an expression of symbols."""


def sorted_symbols(symbols: Iterable[Symbol]) -> tuple[Symbol, ...]:
    """Each symbol once, sorted by name with the numbers in it read as numbers; the order is total.

    >>> sorted_symbols(Parameter(name) for name in ["w[10]", "w[2]", "b", "w[2]"])
    (b, w[2], w[10])
    """
    return tuple(sorted(set(symbols), key=lambda symbol: (_natural(symbol.name), symbol.name, type(symbol).__name__)))


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _signed(value: float, name: str = "") -> tuple[str, str]:
    size = f"{abs(value):.6g}"
    text = size if not name else (name if abs(value) == 1 else f"{size}*{name}")
    return ("-" if value < 0 else "+"), text


def _finite(value: object) -> float:
    if isinstance(value, Real) and not isinstance(value, bool):
        with suppress(OverflowError):  # a whole number too large for a float
            number = float(value)
            if isfinite(number):
                return number
    raise CircuitError(f"an angle is built from finite real numbers and symbols, not {value!r}")
