"""Which function something is: its name, and a digest of what it computes that is the same in every process."""

from __future__ import annotations

import dis
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis), slice, range)


def described(function: Callable[..., Any]) -> dict[str, str]:
    """The name of a function, a digest of its code, and the Python whose bytecode that is.

    The digest covers the code with that of functions inside it, and the numbers, texts, arrays and functions among its
    defaults and in its closure; of an object the class's `__call__`, or the method's function. Left out is what may
    change as it runs: attributes, lists and dicts, variables that code rebinds, and what is found by a global name.

    >>> def scaled(factor):
    ...     return lambda outputs, targets: factor * float(np.mean(outputs - targets))
    >>> described(scaled(2.0))["name"]
    'scaled.<locals>.<lambda>'
    >>> described(scaled(2.0)) == described(scaled(2.0)), described(scaled(2.0)) == described(scaled(3.0))
    (True, False)
    """
    name = getattr(function, "__qualname__", type(function).__qualname__)
    first = _Walk({})
    first.object(function)
    tree = _Walk(first.stored).object(function)
    digest = hashlib.sha256(repr(tree).encode()).hexdigest()
    return {"name": name, "digest": digest, "python": sys.implementation.cache_tag or "unknown"}


class _Walk:
    """What a function is, as nested tuples of text and bytes, whose `repr` has no address; each function just once."""

    def __init__(self, rebound: Mapping[int, CellType], seen: Mapping[int, tuple[int, Any]] | None = None) -> None:
        self.rebound = rebound
        self.seen = dict(seen or {})
        self.stored: dict[int, CellType] = {}
        """The cells that functions met on the way store to, by id."""

    def tree(self, value: Any) -> Any:
        if type(value) in _PLAIN:
            return type(value).__name__, repr(value)
        if isinstance(value, np.ndarray | np.generic):
            return _array(np.asarray(value))
        if isinstance(value, CodeType):
            return self.code(value, value.co_consts)
        if type(value) is tuple:
            return "tuple", *(self.tree(each) for each in value)
        if type(value) is frozenset:
            return "frozenset", *sorted(repr(_Walk(self.rebound, self.seen).tree(each)) for each in value)
        if isinstance(value, type | BuiltinFunctionType | ModuleType | np.ufunc):
            return "name", _name(value)
        if not callable(value):
            return "object", _name(type(value))
        return self.object(value)

    def object(self, value: Any) -> Any:
        if isinstance(value, type | BuiltinFunctionType | np.ufunc):
            return "name", _name(value)
        if isinstance(value, MethodType):
            owner = value.__self__
            return "method", self.tree(value.__func__), _name(owner if isinstance(owner, type) else type(owner))
        if id(value) in self.seen:
            return "again", self.seen[id(value)][0]
        self.seen[id(value)] = len(self.seen), value
        if isinstance(value, FunctionType):
            return self.function(value)
        if isinstance(value, partial):
            return "partial", self.tree(value.func), self.tree(value.args), self.named(value.keywords)
        work = inspect.getattr_static(type(value), "__call__", None), getattr(value, "__dict__", {}).get("__wrapped__")
        called = [each for each in work if isinstance(each, FunctionType)]
        return "object", _name(type(value)), tuple(self.tree(each) for each in called)

    def code(self, code: CodeType, constants: tuple[Any, ...]) -> Any:
        taken = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount
        body = code.co_code, code.co_names, code.co_exceptiontable
        return "code", taken, body, tuple(self.tree(each) for each in constants)

    def function(self, function: FunctionType) -> Any:
        code, constants = function.__code__, function.__code__.co_consts
        if function.__doc__ is not None and constants and constants[0] == function.__doc__:
            constants = (None, *constants[1:])
        defaults = self.tree(function.__defaults__), self.named(function.__kwdefaults__ or {})
        return "function", self.code(code, constants), defaults, tuple(self.cells(function))

    def cells(self, function: FunctionType) -> Iterator[Any]:
        cells = function.__closure__ or ()
        names = set(_stored(function.__code__)) if cells else ()
        for name, cell in zip(function.__code__.co_freevars, cells, strict=True):
            if name in names:
                self.stored[id(cell)] = cell
            if id(cell) in self.rebound:
                yield "rebound"
                continue
            try:
                content = cell.cell_contents
            except ValueError:
                yield "empty"
            else:
                yield self.tree(content)

    def named(self, values: Mapping[str, Any]) -> Any:
        return tuple((name, self.tree(values[name])) for name in sorted(values))


def _stored(code: CodeType) -> Iterator[str]:
    """The variables of functions around `code` that it, or code inside it, binds again."""
    for each in dis.get_instructions(code):
        if each.opname in ("STORE_DEREF", "DELETE_DEREF") and each.argval in code.co_freevars:
            yield each.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _stored(constant)


def _array(array: np.ndarray[Any, Any]) -> Any:
    if array.dtype.hasobject:
        return "array", str(array.dtype), array.shape
    return "array", str(array.dtype), array.shape, hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def _name(named: Any) -> str:
    if isinstance(named, type):
        return named.__qualname__  # not its module, which for a program that is run is another than when it is imported
    return f"{getattr(named, '__module__', '')}.{getattr(named, '__qualname__', named.__name__)}"
