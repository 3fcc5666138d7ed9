"""Filters on the metadata of a store, in the part of Pinecone's language that every store understands.

    {"loss": "mse"}                              equal; for a list of text: one of its texts
    {"n_qubits": {"$gte": 4, "$lte": 8}}         $eq $ne $gt $gte $lt $lte, the last four for numbers
    {"state": {"$in": ["finished", "stopped"]}}  $in $nin
    {"$or": [{...}, {"$and": [{...}, {...}]}]}   $and $or

Several conditions in one object must all hold. An entry without the name meets $ne and $nin, and nothing else. Text,
numbers and booleans are never equal to one another. Text has no NUL and no lone surrogates, a whole number 64 bits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from qstore_core.errors import StoreError
from qstore_core.store_values import check_kept

_COMPARISONS = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_OPERATORS = ("$eq", "$ne", *_COMPARISONS, "$in", "$nin")


def matches(where: Mapping[str, Any] | None, metadata: Mapping[str, Any]) -> bool:
    """Whether metadata pass a filter; None lets everything through.

    >>> matches({"loss": "mse", "n": {"$gt": 3}}, {"loss": "mse", "n": 4})
    True
    """
    return all(_holds(name, condition, metadata) for name, condition in checked(where).items())


def checked(where: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """`where` with every condition as an operator, or `StoreError` with what is wrong in it.

    >>> checked({"loss": "mse"})
    {'loss': {'$eq': 'mse'}}
    """
    if where is None:
        return {}
    if not isinstance(where, Mapping):
        raise StoreError(f"a filter is an object such as {{'loss': 'mse'}}, not {where!r:.60}")
    return {name: _checked_condition(name, condition) for name, condition in where.items()}


def to_sql(where: Mapping[str, Any] | None, column: str) -> tuple[str, list[Any]]:
    """A filter as a condition of SQLite on a column of JSON, and its arguments.

    >>> to_sql({"n": {"$gt": 3}}, "metadata")[1]
    ['$."n"', 3]
    """
    parts, arguments = [], []
    for name, condition in checked(where).items():
        text, values = _sql(name, condition, column)
        parts.append(text)
        arguments += values
    return _joined(" AND ", parts, "1"), arguments


def _checked_condition(name: object, condition: Any) -> Any:
    if name in ("$and", "$or"):
        if not isinstance(condition, list | tuple) or not condition:
            raise StoreError(f"{name} takes a list of filters, not {condition!r:.60}")
        return [checked(part) for part in condition]
    if not isinstance(name, str) or name.startswith("$") or '"' in name:
        raise StoreError(f"{name!r:.60} names no metadata; filters join by $and and $or")
    check_kept(f"the name {name!r:.60}", name)
    if not isinstance(condition, Mapping):
        condition = {"$eq": condition}
    for operator, value in condition.items():
        _check_operand(name, operator, value)
    return dict(condition)


def _check_operand(name: str, operator: object, value: Any) -> None:
    if operator not in _OPERATORS:
        raise StoreError(f"{name!r}: unknown operator {operator!r:.40}; there are {', '.join(_OPERATORS)}")
    if operator in _COMPARISONS:
        right, words = _kind(value) == "number", "a number"
    elif operator in ("$in", "$nin"):
        right, words = isinstance(value, list | tuple) and all(map(_kind, value)), "a list of text and numbers"
    else:
        right, words = bool(_kind(value)), "text, a number or a boolean"
    if not right:
        raise StoreError(f"{name!r}: {operator} takes {words}, not {value!r:.60}")
    for part in value if isinstance(value, list | tuple) else [value]:
        check_kept(f"{name!r}: {operator}", part)


def _kind(value: Any) -> str:
    """What a value is compared with: only others of its kind."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else ""


def _holds(name: str, condition: Any, metadata: Mapping[str, Any]) -> bool:
    if name in ("$and", "$or"):
        return (all if name == "$and" else any)(matches(part, metadata) for part in condition)
    found = metadata.get(name)
    values = list(found) if isinstance(found, list | tuple) else [] if found is None else [found]
    return all(_test(operator, wanted, values) for operator, wanted in condition.items())


def _test(operator: str, wanted: Any, values: list[Any]) -> bool:
    if operator in _COMPARISONS:
        numbers = [value for value in values if _kind(value) == "number"]
        return any(
            {"$gt": value > wanted, "$gte": value >= wanted, "$lt": value < wanted, "$lte": value <= wanted}[operator]
            for value in numbers
        )
    choices = wanted if operator in ("$in", "$nin") else [wanted]
    found = any(_kind(value) == _kind(choice) and value == choice for value in values for choice in choices)
    return found if operator in ("$eq", "$in") else not found


def _sql(name: str, condition: Any, column: str) -> tuple[str, list[Any]]:
    if name in ("$and", "$or"):
        parts = [to_sql(part, column) for part in condition]
        joined = _joined(f" {name[1:].upper()} ", [text for text, _ in parts], "1")
        return joined, [value for _, values in parts for value in values]
    tests, arguments = [], []
    for operator, wanted in condition.items():
        choices = list(wanted) if operator in ("$in", "$nin") else [wanted]
        comparison = _COMPARISONS.get(operator, "=")
        inner = [_comparison(comparison, choice) for choice in choices]
        exists = f"EXISTS (SELECT 1 FROM json_each({column}, ?) AS e WHERE {_joined(' OR ', inner, '0')})"
        tests.append(f"NOT {exists}" if operator in ("$ne", "$nin") else exists)
        # json.dumps wrote the names too, and SQLite before 3.45 compares them as they are written
        arguments += [f"$.{json.dumps(name)}", *(choice for choice in choices if not isinstance(choice, bool))]
    return _joined(" AND ", tests, "1"), arguments


def _comparison(operator: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"e.type = '{str(value).lower()}'"
    kind = "e.type = 'text'" if isinstance(value, str) else "e.type IN ('integer', 'real')"
    return f"({kind} AND e.value {operator} ?)"


def _joined(between: str, parts: list[str], empty: str) -> str:
    return f"({between.join(parts)})" if parts else empty
