"""The digest of a function: another for another function, the same for the same in every process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial, wraps
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
    "the class of an object": (Power(2), Other(2)),
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


def counting() -> Callable[..., Any]:
    calls = 0

    def loss(outputs: Any, targets: Any) -> Any:
        nonlocal calls
        calls += 1
        return outputs

    return loss


def counting_inside() -> Callable[..., Any]:
    calls, last = 0, None

    def loss(outputs: Any, targets: Any) -> Any:
        def count() -> None:
            nonlocal calls, last
            calls, last = calls + 1, outputs

        count()
        return outputs

    return loss


def counting_beside() -> Callable[..., Any]:
    calls = 0

    def count() -> None:
        nonlocal calls
        calls += 1

    def loss(outputs: Any, targets: Any) -> Any:
        count()
        return outputs if calls else None

    return loss


class Experiment:
    def __init__(self) -> None:
        self.started, self.epochs = time.time(), 0

    @cached_property
    def scale(self) -> float:
        return 2.0

    def __call__(self, outputs: Any, targets: Any) -> Any:
        self.epochs += 1
        return self.scale

    loss = __call__


@pytest.mark.parametrize(
    "loss",
    [counting(), counting_inside(), counting_beside(), Experiment(), Experiment().loss, closing(Experiment())],
    ids=["counting", "inside", "beside", "object", "method", "held"],
)
def test_state_that_changes_as_it_runs_does_not_matter(loss: Callable[..., Any]) -> None:
    before = digest(loss)
    held = loss(1.0, 2.0)
    if isinstance(held, Experiment):
        held(1.0, 2.0)
    assert digest(loss) == before


def test_objects_made_anew_have_the_same_digest() -> None:
    assert digest(Experiment()) == digest(Experiment())
    assert digest(Experiment().loss) == digest(Experiment().loss)
    assert digest(Power(2)) == digest(Power(3))


def test_lists_that_are_filled_do_not_matter() -> None:
    filled: list[float] = []
    loss = closing(filled)
    before = digest(loss)
    filled.append(1.0)
    assert digest(loss) == before


def test_functions_that_refer_to_each_other_are_described_once() -> None:
    names = [f"f{number}" for number in range(40)]
    lines = [f"    def {name}(): return {', '.join(names)}" for name in names]
    body = "\n".join(["def outer():", *lines, "    return f0", "loss = outer()"])
    assert digest(defined(body)) == digest(defined(body))


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
