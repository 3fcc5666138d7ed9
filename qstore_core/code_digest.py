"""Which function something is: its name, and a digest of what it computes that is the same in every process."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis), slice, range)


def described(function: Callable[..., Any]) -> dict[str, str]:
    """The name of a function, a digest of its code, and the Python whose bytecode that is.

    The digest covers the code with that of functions inside it, and the numbers, texts, arrays and functions among its
    defaults and in its closure; of a callable object the class's `__call__` and the public attributes. Lists and dicts,
    which functions fill as they run, and what is found by a global name, are left out.

    >>> def scaled(factor):
    ...     return lambda outputs, targets: factor * float(np.mean(outputs - targets))
    >>> described(scaled(2.0))["name"]
    'scaled.<locals>.<lambda>'
    >>> described(scaled(2.0)) == described(scaled(2.0)), described(scaled(2.0)) == described(scaled(3.0))
    (True, False)
    """
    name = getattr(function, "__qualname__", type(function).__qualname__)
    digest = hashlib.sha256(repr(_tree(function, ())).encode()).hexdigest()
    return {"name": name, "digest": digest, "python": sys.implementation.cache_tag or "unknown"}


def _tree(value: Any, above: tuple[Any, ...]) -> Any:
    """`value` as nested tuples of text and bytes, whose `repr` has no address; `above` is what it was found in."""
    if type(value) in _PLAIN:
        return type(value).__name__, repr(value)
    if isinstance(value, np.ndarray | np.generic):
        return _array(np.asarray(value))
    if any(value is each for each in above):
        return "again"
    inside = (*above, value)
    if isinstance(value, CodeType):
        return _code(value, value.co_consts, inside)
    if type(value) is tuple:
        return "tuple", *(_tree(each, inside) for each in value)
    if type(value) is frozenset:
        return "frozenset", *sorted(repr(_tree(each, inside)) for each in value)
    if isinstance(value, FunctionType):
        return _function(value, inside)
    if isinstance(value, MethodType):
        return "method", _tree(value.__func__, inside), _object(value.__self__, inside)
    if isinstance(value, partial):
        return "partial", _tree(value.func, inside), _tree(value.args, inside), _named(value.keywords, inside)
    if isinstance(value, type | BuiltinFunctionType | ModuleType | np.ufunc):
        return "name", _name(value)
    if above and not callable(value):
        return "object", _name(type(value))  # what else a function holds may change as it runs
    return _object(value, inside)


def _code(code: CodeType, constants: tuple[Any, ...], above: tuple[Any, ...]) -> Any:
    taken = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount
    body = code.co_code, code.co_names, code.co_exceptiontable
    return "code", taken, body, tuple(_tree(each, above) for each in constants)


def _function(function: FunctionType, above: tuple[Any, ...]) -> Any:
    code, constants = function.__code__, function.__code__.co_consts
    if function.__doc__ is not None and constants and constants[0] == function.__doc__:
        constants = (None, *constants[1:])
    defaults = _tree(function.__defaults__, above), _named(function.__kwdefaults__ or {}, above)
    return "function", _code(code, constants, above), defaults, tuple(_cells(function, above))


def _cells(function: FunctionType, above: tuple[Any, ...]) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            content = cell.cell_contents
        except ValueError:
            yield "empty"
        else:
            yield _tree(content, above)


def _object(value: Any, above: tuple[Any, ...]) -> Any:
    kind = type(value)
    if isinstance(value, type):
        return "name", _name(value)
    slots = (name for base in kind.__mro__ for name in _listed(base.__dict__.get("__slots__", ())))
    names = {name for name in (*slots, *getattr(value, "__dict__", {})) if not name.startswith("_")}
    state = {name: getattr(value, name) for name in names if hasattr(value, name)}
    work = (inspect.getattr_static(kind, "__call__", None), getattr(value, "__wrapped__", None))
    called = [each for each in work if isinstance(each, FunctionType)]
    return "object", _name(kind), tuple(_tree(each, above) for each in called), _named(state, above)


def _listed(slots: Any) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _named(values: Mapping[str, Any], above: tuple[Any, ...]) -> Any:
    return tuple((name, _tree(values[name], above)) for name in sorted(values))


def _array(array: np.ndarray[Any, Any]) -> Any:
    if array.dtype.hasobject:
        return "array", str(array.dtype), array.shape
    return "array", str(array.dtype), array.shape, hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def _name(named: Any) -> str:
    if isinstance(named, type):
        return named.__qualname__  # not its module, which for a program that is run is another than when it is imported
    return f"{getattr(named, '__module__', '')}.{getattr(named, '__qualname__', named.__name__)}"
