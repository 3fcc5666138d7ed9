"""Compiled functions on the amplitudes of one state: gates, diagonals, moves and overlaps.

A state is `(2, 2**n_qubits)`, real and imaginary parts, float32 or float64; qubit 0 is the most significant bit, and a
qubit's `place` is counted from the least significant one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from qstore_mock.compiled.code import ROTATE

_OPTIONS: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    # Sums may be made in vectors; which rows are run with which still changes no bit.
    "fastmath": {"reassoc", "contract", "nsz"},
}

_UNCOUNTED: dict[str, Any] = {**_OPTIONS, "forceinline": True, "_nrt": False}
_Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

allocating: _Decorator = njit(**_OPTIONS)
"""For what is called from Python: it may make arrays, and gives all that is needed to the functions below it."""

# These neither make arrays nor count who holds them: counting, and calls with the many fields of arrays, took longer
# than the arithmetic. They may only be called with arrays that somebody else holds.
compiled: _Decorator = njit(**_UNCOUNTED)
"""For what works on arrays that are there."""


@compiled
def copy(before: Any, after: Any) -> None:
    """Every amplitude as it is."""
    for half in range(2):
        for k in range(before.shape[1]):
            after[half, k] = before[half, k]


@compiled
def diagonal(phases: Any, made: Any) -> None:
    """Products of the phases, `(n_qubits, 2)`, of the qubits that are 1."""
    made[0, 0], made[1, 0] = 1, 0
    size = 1
    for qubit in range(len(phases) - 1, -1, -1):
        x, y = made.dtype.type(phases[qubit, 0]), made.dtype.type(phases[qubit, 1])
        real, imag = made[0, :size], made[1, :size]
        real_on, imag_on = made[0, size : 2 * size], made[1, size : 2 * size]
        for k in range(size):
            real_on[k] = x * real[k] - y * imag[k]
            imag_on[k] = x * imag[k] + y * real[k]
        size *= 2


@compiled
def start(kind: int, coefficients: Any, trail: Any, state: Any) -> None:
    """What a layer makes of |0...0>: a product."""
    real = state[0]
    real[0] = 1
    size = 1
    for qubit in range(len(coefficients) - 1, -1, -1):
        c, s = state.dtype.type(coefficients[qubit, 0]), state.dtype.type(coefficients[qubit, 1])
        low, high = real[:size], real[size : 2 * size]
        for k in range(size):
            high[k] = s * low[k]
        for k in range(size):
            low[k] = c * low[k]
        size *= 2
    if kind == ROTATE:
        state[1] = 0
        return
    for k in range(size):
        state[1, k] = real[k] * trail[1, k]
    for k in range(size):
        real[k] *= trail[0, k]


@compiled
def multiply(state: Any, diagonal: Any, sign: int) -> None:
    """By a diagonal matrix, or by its conjugate for sign -1."""
    real, imag, x, y = state[0], state[1], diagonal[0], diagonal[1]
    factor = state.dtype.type(sign)
    for k in range(len(real)):
        before, turn = real[k], factor * y[k]
        real[k] = before * x[k] - imag[k] * turn
        imag[k] = before * turn + imag[k] * x[k]


@compiled
def rotate(state: Any, place: int, cos: float, sin: float) -> None:
    """`[[c, -s], [s, c]]` on the qubit of a bit; real and imaginary part alike, so both as one array."""
    if cos == 1 and sin == 0:
        return
    flat = state.reshape(-1)
    c, s = state.dtype.type(cos), state.dtype.type(sin)
    if place == 0:
        for k in range(len(flat) // 2):
            low, high = flat[2 * k], flat[2 * k + 1]
            flat[2 * k] = c * low - s * high
            flat[2 * k + 1] = s * low + c * high
    elif place == 1:
        for k in range(len(flat) // 4):
            low, next_low, high, next_high = flat[4 * k], flat[4 * k + 1], flat[4 * k + 2], flat[4 * k + 3]
            flat[4 * k] = c * low - s * high
            flat[4 * k + 1] = c * next_low - s * next_high
            flat[4 * k + 2] = s * low + c * high
            flat[4 * k + 3] = s * next_low + c * next_high
    else:
        stride = 1 << place
        for first in range(0, len(flat), 2 * stride):
            lows, highs = flat[first : first + stride], flat[first + stride : first + 2 * stride]
            for k in range(stride):
                low, high = lows[k], highs[k]
                lows[k] = c * low - s * high
                highs[k] = s * low + c * high


@compiled
def move(before: Any, after: Any, source: Any, signs: Any) -> None:
    """Every amplitude to its new place."""
    real, imag, real_after, imag_after = before[0], before[1], after[0], after[1]
    for k in range(len(source)):
        real_after[k] = real[source[k]] * signs[k]
        imag_after[k] = imag[source[k]] * signs[k]


@compiled
def move_back(after: Any, before: Any, target: Any, signs: Any) -> None:
    """Every amplitude back to where it was."""
    real, imag, real_before, imag_before = after[0], after[1], before[0], before[1]
    for k in range(len(target)):
        real_before[k] = real[target[k]] * signs[target[k]]
        imag_before[k] = imag[target[k]] * signs[target[k]]


@compiled
def turn_pairs(state: Any, partners: Any, factors: Any, angle: float) -> None:
    """`exp(-i angle G / 2)`: cos - i sin G where G acts, for two amplitudes at a time."""
    cos, sin = np.cos(0.5 * angle), np.sin(0.5 * angle)
    for k in range(len(partners)):
        other = partners[k]
        if other < k:
            continue
        x, y = state[0, k], state[1, k]
        u, v = state[0, other], state[1, other]
        g, h = sin * factors[1, k], -sin * factors[0, k]
        state[0, k], state[1, k] = cos * x + g * u - h * v, cos * y + g * v + h * u
        if other > k:
            g, h = sin * factors[1, other], -sin * factors[0, other]
            state[0, other], state[1, other] = cos * u + g * x - h * y, cos * v + g * y + h * x


@compiled
def pair_overlap(state: Any, costate: Any, partners: Any, factors: Any) -> float:
    """`Im <costate| G |state>`."""
    total = 0.0
    for k in range(len(partners)):
        other = partners[k]
        if other >= 0:
            x = factors[0, k] * state[0, other] - factors[1, k] * state[1, other]
            y = factors[0, k] * state[1, other] + factors[1, k] * state[0, other]
            total += costate[0, k] * y - costate[1, k] * x
    return total


@compiled
def phase_terms(state: Any, costate: Any, inner: Any) -> None:
    """The terms of `Im <costate|state>`."""
    for k in range(len(inner)):
        inner[k] = costate[0, k] * state[1, k] - costate[1, k] * state[0, k]


@compiled
def y_overlap(flat: Any, co_flat: Any, terms: Any, place: int) -> Any:
    """`Im <costate| Y |state>` on the qubit of a bit; real and imaginary parts in a row, `terms` is written over."""
    total = flat[0] * 0
    if place == 0:
        for k in range(len(flat) // 2):
            total += co_flat[2 * k + 1] * flat[2 * k] - co_flat[2 * k] * flat[2 * k + 1]
        return total
    if place == 1:
        for k in range(len(flat) // 4):
            total += co_flat[4 * k + 2] * flat[4 * k] - co_flat[4 * k] * flat[4 * k + 2]
            total += co_flat[4 * k + 3] * flat[4 * k + 1] - co_flat[4 * k + 1] * flat[4 * k + 3]
        return total
    if place == 2:
        for k in range(len(flat) // 8):
            for low in range(4):  # unrolled by the compiler
                total += co_flat[8 * k + 4 + low] * flat[8 * k + low] - co_flat[8 * k + low] * flat[8 * k + 4 + low]
        return total
    stride = 1 << place
    for first in range(0, len(flat) // 2, stride):  # many sums of a few terms take longer than one of all
        sums, low = terms[first : first + stride], 2 * first
        lows, highs = flat[low : low + stride], flat[low + stride : low + 2 * stride]
        co_lows, co_highs = co_flat[low : low + stride], co_flat[low + stride : low + 2 * stride]
        for k in range(stride):
            sums[k] = co_highs[k] * lows[k] - co_lows[k] * highs[k]
    for k in range(len(flat) // 2):
        total += terms[k]
    return total


@compiled
def overlaps(real: Any, imag: Any, co_real: Any, co_imag: Any, place: int) -> Any:
    """`Im <costate| P |state>` for P = X, Y, Z on the qubit of a bit."""
    stride = 1 << place
    x = y = z = real[0] * 0
    for pair in range(len(real) // 2):
        low = (pair >> place << place + 1) | (pair & stride - 1)
        high = low + stride
        x += co_real[low] * imag[high] - co_imag[low] * real[high]
        x += co_real[high] * imag[low] - co_imag[high] * real[low]
        y += co_real[high] * real[low] + co_imag[high] * imag[low]
        y -= co_real[low] * real[high] + co_imag[low] * imag[high]
        z += co_real[low] * imag[low] - co_imag[low] * real[low]
        z -= co_real[high] * imag[high] - co_imag[high] * real[high]
    return x, y, z


@compiled
def square(state: Any, squares: Any) -> None:
    """The squared moduli."""
    for k in range(len(squares)):
        squares[k] = state[0, k] * state[0, k] + state[1, k] * state[1, k]


@compiled
def dot(left: Any, right: Any) -> float:
    """The sum of products."""
    total = 0.0
    for k in range(len(left)):
        total += left[k] * right[k]
    return total


@compiled
def weigh(weights: Any, reading: Any, state: Any, factors: Any) -> None:
    """Apply a weighted sum of observables, diagonal matrices, to a state; `factors` is written over."""
    for number in range(len(weights)):
        weight, values = weights[number], reading[number]
        if number == 0:
            for k in range(len(factors)):
                factors[k] = weight * values[k]
        else:
            for k in range(len(factors)):
                factors[k] += weight * values[k]
    real, imag = state[0], state[1]
    for k in range(len(factors)):
        real[k] *= factors[k]
        imag[k] *= factors[k]
