"""Keyword arguments that nobody takes, told with the nearest that somebody does."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import ParamSpec, TypeVar

from qstore_core.errors import UnknownArgumentError

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C")


def known_keywords(function: Callable[P, R], *, more: Iterable[str] = ()) -> Callable[P, R]:
    """The function, whose unknown keyword arguments are refused with those that there are.

    Args:
        function: A function, method or constructor; of a constructor the class is told that was called.
        more: What it takes as `**` besides its own.

    >>> @known_keywords
    ... def turn(qubit, angle=0.0): ...
    >>> turn(1, angel=0.5)
    Traceback (most recent call last):
        ...
    qstore_core.errors.UnknownArgumentError: unknown argument of turn 'angel'; did you mean 'angle'? Known: angle, qubit
    """
    parameters = inspect.signature(function).parameters.values()
    known = [each.name for each in parameters if each.name not in ("self", "cls") and each.kind != each.VAR_KEYWORD]
    known.extend(more)
    constructs = function.__name__ == "__init__"
    shown = function.__qualname__.rpartition("<locals>.")[2]

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in kwargs:
            if name not in known:
                called = type(args[0]).__name__ if constructs else shown
                raise UnknownArgumentError.of(f"argument of {called}", name, known)
        return function(*args, **kwargs)

    return checked


def known_fields(cls: type[C]) -> type[C]:
    """`known_keywords` for the constructor that `dataclass` made; goes above `@dataclass`."""
    name = "__init__"
    setattr(cls, name, known_keywords(getattr(cls, name)))
    return cls
