"""Symbols and the affine expressions made of them."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from qstore_core.angles import Angle, Feature, Parameter, Symbol, sorted_symbols
from qstore_core.errors import CircuitError

a, b, x = Parameter("a"), Parameter("b"), Feature("x")


def test_arithmetic_collects_weights_and_offsets() -> None:
    angle = 2 * (a + x / 4) - 0.5 * a - (b - 1) + 0.25
    assert angle == Angle(((a, 1.5), (x, 0.5), (b, -1.0)), 1.25)


def test_symbols_that_cancel_are_gone() -> None:
    assert (a + x - a).terms == ((x, 1.0),)
    assert 0 * a == Angle()


def test_a_number_may_stand_on_either_side() -> None:
    assert 1 - a == -a + 1
    assert 2 * a == a * 2
    assert 1 + a == a + 1


@pytest.mark.parametrize(
    "two", [2, 2.0, np.float64(2), np.float32(2), np.int64(2), Fraction(2)], ids=lambda two: type(two).__name__
)
def test_any_real_number_scales_an_angle_from_either_side(two: Any) -> None:
    assert two * a == a * two == Angle(((a, 2.0),))
    assert two + a == a + two == Angle(((a, 1.0),), 2.0)
    assert a / two == Angle(((a, 0.5),))


def test_a_parameter_and_a_feature_of_one_name_differ() -> None:
    assert Parameter("s") != Feature("s")
    assert (Parameter("s") + Feature("s")).terms == ((Parameter("s"), 1.0), (Feature("s"), 1.0))


@pytest.mark.parametrize(
    ("angle", "text"),
    [
        (Angle(), "0"),
        (Angle.of(-1.5), "-1.5"),
        (-a, "-a"),
        (a - 2 * b, "a - 2*b"),
        (0.5 * x + a - 0.1, "0.5*x + a - 0.1"),
        (a / 3, "0.333333*a"),
    ],
)
def test_an_angle_reads_like_the_formula_it_is(angle: Angle, text: str) -> None:
    assert repr(angle) == text


def test_substitution_replaces_only_the_given_symbols() -> None:
    angle = a + 2 * b + 3 * x + 0.5
    assert angle.substitute({b: 0.25, x: np.float64(2)}) == a + 7
    assert angle.substitute({}) == angle
    assert angle.substitute({Parameter("x"): 9.0}) == angle


def test_a_vector_of_symbols_is_numbered_from_0() -> None:
    assert Parameter.vector("theta", 2) == (Parameter("theta[0]"), Parameter("theta[1]"))
    assert all(isinstance(symbol, Feature) for symbol in Feature.vector("x", 2))


def test_symbols_sort_by_name_with_numbers_read_as_numbers() -> None:
    names = ["w[10]", "w[2]", "b", "layer2_w[1]", "layer10_w[0]", "w[2]", "2", "10"]
    assert [s.name for s in sorted_symbols(map(Parameter, names))] == [
        *("2", "10", "b", "layer2_w[1]", "layer10_w[0]", "w[2]", "w[10]")
    ]


def test_names_with_equal_numbers_keep_one_order() -> None:
    names = ["w1", "w01", "w001", "w0001", "w00001"]
    assert [s.name for s in sorted_symbols(map(Parameter, names))] == sorted(names)
    assert sorted_symbols([Parameter("s"), Feature("s")]) == (Feature("s"), Parameter("s"))


def test_the_order_does_not_depend_on_the_hash_seed_of_the_process() -> None:
    program = (
        "from qstore_core.angles import Parameter, sorted_symbols\n"
        "print(sorted_symbols(Parameter(name) for name in ['w1', 'w01', 'w001', 'w0001', 'w00001']))"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": str(seed), "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in (1, 2)
    ]
    assert runs[0] == runs[1]


def test_digits_that_are_not_decimal_are_part_of_a_name() -> None:
    assert [s.name for s in sorted_symbols(map(Parameter, ["w1²", "w1", "²"]))] == ["w1", "w1²", "²"]


def test_symbols_and_angles_can_be_copied_and_pickled() -> None:
    angle = 2 * a + x - 0.5
    assert copy.deepcopy(angle) == angle
    assert pickle.loads(pickle.dumps(angle)) == angle


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: a * b, "cannot multiply a by b: angles are affine in their symbols; compute products of features in"),
        (lambda: (a + 1) * x, "cannot multiply a \\+ 1 by x"),
        (lambda: a / b, "cannot divide a by b: only by a number that is not 0"),
        (lambda: a / 0, "cannot divide a by 0"),
        (lambda: a + "b", "finite real numbers and symbols, not 'b'"),
        (lambda: a * None, "finite real numbers and symbols, not None"),
        (lambda: a * True, "finite real numbers and symbols, not True"),
        (lambda: a + float("nan"), "finite real numbers and symbols, not nan"),
        (lambda: a + 1j, "finite real numbers and symbols, not 1j"),
        (lambda: Angle.of(10**400), "finite real numbers and symbols, not 1000"),
        (lambda: (a + 1).substitute({a: float("inf")}), "and symbols, not inf"),
        (lambda: Angle((), float("nan")), "weights and offset are finite; nan has one that is not"),
        (lambda: 1e308 * a * 10, "weights and offset are finite; inf\\*a has one that is not"),
        (lambda: Parameter(""), "a Parameter needs a name that is not empty, not ''"),
        (lambda: Feature(3), "a Feature needs a name that is not empty, not 3"),
        (lambda: Symbol("s"), "'s' is a Parameter, which training adjusts, or a Feature, which data fills"),
    ],
)
def test_what_cannot_be_an_angle_is_refused(build: Callable[[], object], message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        build()
