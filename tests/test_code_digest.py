"""The digest of a function: another for another function, the same for the same in every process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial, wraps
from typing import Any

import numpy as np
import pytest

from qstore_core.code_digest import described

PROGRAM = """
import sys
import numpy as np
from qstore_core.code_digest import described

class Own:
    __slots__ = ("power",)
    def __init__(self, power):
        self.power = power
    def __call__(self, outputs, targets):
        return np.mean(abs(outputs - targets) ** self.power)

def made(weights, helper, anything):
    def loss(outputs, targets, *, names={"a", "b"}):
        if "x" in {"x", "y", "z", 1.5, None}:
            return helper([value for value in weights * outputs if value])
        return anything
    return loss

for loss in (made(np.arange(3.0), lambda values: sum(values), object()), Own(2), Own(2).__call__, np.add, sum):
    print(described(loss)["digest"])
"""


def defined(body: str, **names: Any) -> Callable[..., float]:
    """The function `loss` of a program."""
    space: dict[str, Any] = {"np": np, **names}
    exec(body, space)
    found: Callable[..., float] = space["loss"]
    return found


def digest(function: Callable[..., Any]) -> str:
    return described(function)["digest"]


@dataclass
class Power:
    power: float
    _calls: int = 0

    def __call__(self, outputs: Any, targets: Any) -> Any:
        return np.mean(abs(outputs - targets) ** self.power)

    def halved(self, outputs: Any, targets: Any) -> Any:
        return self(outputs, targets) / 2


class Other(Power):
    def __call__(self, outputs: Any, targets: Any) -> Any:
        return np.max(abs(outputs - targets) ** self.power)


def closing(held: Any) -> Callable[..., Any]:
    return lambda outputs, targets: held


def doubled(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def twice(outputs: Any, targets: Any) -> Any:
        return 2 * function(outputs, targets)

    return twice


def square(value: float) -> float:
    return value**2


def cube(value: float) -> float:
    return value**3


PAIRS = {
    "a constant": (lambda o, t: np.mean((o - t) ** 2), lambda o, t: np.mean((o - t) ** 4)),
    "an operation": (lambda o, t: np.mean(o - t), lambda o, t: np.mean(o + t)),
    "a name": (lambda o, t: np.mean(o - t), lambda o, t: np.median(o - t)),
    "an inner function": (lambda o, t: max(v + 1 for v in o), lambda o, t: max(v + 2 for v in o)),
    "a default": (lambda o, t, k=1: o, lambda o, t, k=2: o),
    "a keyword": (lambda o, t, *, k=1: o, lambda o, t, *, k="1": o),
    "a number held": (closing(2.0), closing(3.0)),
    "a text held": (closing("2"), closing("3")),
    "an array held": (closing(np.arange(2)), closing(np.arange(3))),
    "the type of an array": (closing(np.arange(2.0)), closing(np.arange(2))),
    "a tuple held": (closing((1, (2,))), closing((1, (3,)))),
    "a function held": (closing(square), closing(cube)),
    "an argument of partial": (partial(square, 2), partial(square, 3)),
    "a wrapped function": (doubled(square), doubled(cube)),
    "a cached function": (lru_cache(square), lru_cache(cube)),
    "the state of an object": (Power(2), Power(3)),
    "the class of an object": (Power(2), Other(2)),
    "the object of a method": (Power(2).halved, Power(3).halved),
    "a method": (Power(2).halved, Power(2).__call__),
    "a built-in": (np.add, np.subtract),
}


@pytest.mark.parametrize(("one", "other"), PAIRS.values(), ids=list(PAIRS))
def test_another_function_has_another_digest(one: Callable[..., Any], other: Callable[..., Any]) -> None:
    assert digest(one) == digest(one)
    assert digest(one) != digest(other)


def test_where_and_under_what_name_it_stands_does_not_matter() -> None:
    body = "def loss(o, t):\n    return np.mean((o - t) ** 2)\n"
    moved = '\n\ndef other(o, t):\n    "The loss."\n    # squared\n    return np.mean((o - t) ** 2)\n\nloss = other\n'
    assert digest(defined(body)) == digest(defined(moved))
    assert described(defined(moved))["name"] == "other"


def test_what_changes_as_it_runs_does_not_matter() -> None:
    filled: list[float] = []
    loss, power = closing(filled), Power(2)
    before = digest(loss), digest(power)
    filled.append(1.0)
    power._calls += 1
    assert (digest(loss), digest(power)) == before


def test_having_run_does_not_matter() -> None:
    loss = defined("def loss(o, t):\n    return sum(abs(v) + v * v for v in o) if t else np.mean(o)\n")
    before = digest(loss)
    for _ in range(100):  # the interpreter specialises what runs often
        loss([1.0, 2.0], True)
    assert digest(loss) == before


def test_a_function_that_holds_itself_has_a_digest() -> None:
    def outer() -> Callable[..., Any]:
        def loss(o: Any, t: Any) -> Any:
            return loss(o, t)

        return loss

    assert digest(outer()) == digest(outer())


def test_another_process_finds_the_same() -> None:
    found = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert len(set(found[0].splitlines())) == 5
    assert found[0] == found[1]


def test_it_names_the_function_and_the_python() -> None:
    assert described(square)["name"] == "square"
    assert described(Power(2))["name"] == "Power"
    assert described(square)["python"] == sys.implementation.cache_tag
