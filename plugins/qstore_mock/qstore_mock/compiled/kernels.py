"""The compiled functions: one row of angles at a time through the instructions of a `Code`, forwards and backwards.

A state is `(2, 2**n_qubits)`, real and imaginary parts, float32 or float64; qubit 0 is the most significant bit. No
result depends on what other rows there are. Compiled when first called, for each precision, and kept on disk; numba
looks at this file alone to see whether that is out of date, so touch it after a change to `amplitudes` or `code`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qstore_mock.compiled.amplitudes import (
    compiled,
    diagonal,
    dot,
    move,
    move_back,
    multiply,
    overlaps,
    pair_overlap,
    phase_terms,
    rotate,
    square,
    start,
    turn_pairs,
    y_overlap,
)
from qstore_mock.compiled.code import FULL, LAYER, MOVE, PAIRS, PHASE, ROTATE, START


@compiled
def expectations(code: Any, angles: Any, reading: Any, constants: Any, states: Any) -> Any:
    """Expectation values `(n_rows, n_observables)`, leaving what gradients need in `states`.

    `states` is `(n_rows, n_places, 2, 2**n_qubits)`, or has one row that is written over.
    """
    n_rows, n_observables = len(angles), reading.shape[1]
    size = states.shape[-1]
    found = np.empty((n_rows, n_observables))
    work = _workspace(code, size, states)
    other, squares = np.empty((2, size), states.dtype), np.empty(size, states.dtype)
    for row in range(n_rows):
        found[row] = constants
        last = _forward(code, angles[row], states[row % len(states)], work)
        for group in range(len(code.ends)):
            square(_read(code, group, angles[row], last, other, work), squares)
            for k in range(n_observables):
                found[row, k] += dot(reading[group, k], squares)
    return found


@compiled
def outcomes(code: Any, angles: Any, belongs: Any, states: Any) -> Any:
    """The probability of each outcome of each group, `(n_groups, n_rows, 2**n_qubits)`."""
    n_rows, size = len(angles), states.shape[-1]
    found = np.zeros((len(code.ends), n_rows, size))
    work = _workspace(code, size, states)
    other, squares = np.empty((2, size), states.dtype), np.empty(size, states.dtype)
    for row in range(n_rows):
        last = _forward(code, angles[row], states[0], work)
        for group in range(len(code.ends)):
            square(_read(code, group, angles[row], last, other, work), squares)
            for k in range(size):
                found[group, row, belongs[group, k]] += squares[k]
    return found


@compiled
def gradients(code: Any, angles: Any, reading: Any, cotangents: Any, states: Any, kept: bool) -> Any:
    """Derivatives `(n_rows, n_angles)` by the adjoint method, from what `expectations` left in `states` if `kept`."""
    n_rows, size = len(angles), states.shape[-1]
    found = np.zeros(angles.shape)
    work = _workspace(code, size, states)
    costate, other = np.empty((2, size), states.dtype), np.empty((2, size), states.dtype)
    for row in range(n_rows):
        past = states[row % len(states)]
        last = past[code.instructions[-1, 2]] if kept else _forward(code, angles[row], past, work)
        costate[:] = 0
        for group in range(len(code.ends)):
            _add_costate(code, group, angles[row], reading[group], cotangents[row], last, other, costate, work)
        _backward(code, angles[row], past, costate, other, found[row], work)
    return found


@compiled
def _workspace(code: Any, size: int, states: Any) -> Any:
    """What is kept from row to row: turns, none yet, the angles they are sums of, and what every layer is made of."""
    n_layers, n_qubits = len(code.layers), 0
    while 1 << n_qubits < size:
        n_qubits += 1
    turned, seen = np.full(len(code.constants), np.nan), np.full(len(code.columns), np.nan)
    coefficients = np.zeros((n_layers, n_qubits, 6))
    coefficients[:, :, 0] = coefficients[:, :, 2] = coefficients[:, :, 4] = 1.0
    return turned, seen, coefficients, np.empty((n_layers, 2, 2, size), states.dtype)


@compiled
def _forward(code: Any, angles: Any, states: Any, work: Any) -> Any:
    """The final state of a row."""
    for index in range(len(code.instructions)):
        what, before, after, number = code.instructions[index]
        state = states[after]
        if what == START:
            _prepare(code, number, angles, work)
            start(code.layers[number, 0], work[2][number], work[3][number, 1], state)
        elif what == MOVE:
            move(states[before], state, code.sources[number], code.signs[number])
        elif what == LAYER:
            if before != after:
                state[:] = states[before]
            _prepare(code, number, angles, work)
            _layer(code.layers[number], work[2][number], work[3][number], state)
        elif what == PAIRS:
            if before != after:
                state[:] = states[before]
            turn_pairs(state, code.partners[number], code.factors[number], angles[code.angles[number]])
        else:
            state[:] = 0
            state[0, 0] = 1
    return states[code.instructions[-1, 2]]


@compiled
def _read(code: Any, group: int, angles: Any, state: Any, other: Any, work: Any) -> Any:
    """The state in the basis of a group: itself, or `other`."""
    layer = code.ends[group]
    if layer < 0:
        return state
    other[:] = state
    _prepare(code, layer, angles, work)
    _layer(code.layers[layer], work[2][layer], work[3][layer], other)
    return other


@compiled
def _add_costate(
    code: Any, group: int, angles: Any, reading: Any, weights: Any, last: Any, other: Any, costate: Any, work: Any
) -> None:
    """Add a group's weighted observables, applied to the state, to the costate."""
    turned = _read(code, group, angles, last, other, work)
    size = turned.shape[1]
    diagonal = np.zeros(size)
    for k in range(len(weights)):
        for place in range(size):
            diagonal[place] += weights[k] * reading[k, place]
    for half in range(2):
        for place in range(size):
            other[half, place] = turned[half, place] * diagonal[place]
    layer = code.ends[group]
    if layer >= 0:
        _undo_layer(code.layers[layer], work[2][layer], work[3][layer], other)
    for half in range(2):
        for place in range(size):
            costate[half, place] += other[half, place]


@compiled
def _backward(code: Any, angles: Any, states: Any, costate: Any, other: Any, found: Any, work: Any) -> None:
    """Go back along the instructions, adding `2 Re <costate| d state>` to the derivatives `found`."""
    for index in range(len(code.instructions) - 1, -1, -1):
        what, _, after, number = code.instructions[index]
        state = states[after]
        if what in (START, LAYER):
            _prepare(code, number, angles, work)
            _differentiate(code, number, work, state, costate, other, found, what == LAYER)
        elif what == MOVE:
            move_back(costate, other, code.targets[number], code.signs[number])
            costate, other = other, costate
        elif what == PAIRS:
            column = code.angles[number]
            found[column] += pair_overlap(state, costate, code.partners[number], code.factors[number])
            turn_pairs(costate, code.partners[number], code.factors[number], -angles[column])


@compiled
def _prepare(code: Any, layer: int, angles: Any, work: Any) -> None:
    """Make a layer's coefficients and diagonals, unless the row before had the same turns."""
    turned, seen, coefficients, diagonals = work
    kind, first, width, n_places, begin = code.layers[layer]
    end = begin + n_places * width
    changed = np.isnan(turned[begin])
    for entry in range(code.starts[begin], code.starts[end]):
        angle = angles[code.columns[entry]]
        changed |= seen[entry] != angle
        seen[entry] = angle
    if not changed:
        return
    for slot in range(begin, end):
        turned[slot] = code.constants[slot]
        for entry in range(code.starts[slot], code.starts[slot + 1]):
            turned[slot] += seen[entry]
    for qubit in range(width):
        made = _decompose(kind, code.axes, turned, begin + qubit, width, n_places)
        for k in range(6):
            coefficients[layer, first + qubit, k] = made[k]
    if kind == FULL:
        diagonal(coefficients[layer, :, 2:4], diagonals[layer, 0])
    if kind != ROTATE:
        diagonal(coefficients[layer, :, 4:6], diagonals[layer, 1])


@compiled
def _decompose(kind: int, axes: Any, turned: Any, slot: int, width: int, n_places: int) -> Any:
    """A run as `diag(1, trail) [[c, -s], [s, c]] diag(1, lead)`: c, s, lead and trail, up to a global phase."""
    if kind != FULL:
        half, last = 0.5 * turned[slot], turned[slot + (n_places - 1) * width]
        c, s = (1.0, 0.0) if kind == PHASE else (np.cos(half), np.sin(half))
        x, y = (1.0, 0.0) if kind == ROTATE else (np.cos(last), np.sin(last))
        return c, s, 1.0, 0.0, x, y
    a, b = 1.0 + 0.0j, 0.0 + 0.0j
    for place in range(n_places):
        index = slot + place * width
        cos, sin = np.cos(0.5 * turned[index]), np.sin(0.5 * turned[index])
        later_a = complex(cos, -axes[index, 2] * sin)
        later_b = complex(axes[index, 1] * sin, -axes[index, 0] * sin)
        a, b = later_a * a - later_b.conjugate() * b, later_b * a + later_a.conjugate() * b
    c, s = abs(a), abs(b)
    along = a.conjugate() / c if c > 0 else 1.0 + 0.0j
    across = b / s if s > 0 else 1.0 + 0.0j
    lead, trail = along * across.conjugate(), along * across
    return c, s, lead.real, lead.imag, trail.real, trail.imag


@compiled
def _layer(layer: Any, coefficients: Any, diagonals: Any, state: Any) -> None:
    kind, first, width = layer[0], layer[1], layer[2]
    if kind == FULL:
        multiply(state, diagonals[0], 1)
    if kind != PHASE:
        for qubit in range(first, first + width):
            rotate(state, len(coefficients) - 1 - qubit, coefficients[qubit, 0], coefficients[qubit, 1])
    if kind != ROTATE:
        multiply(state, diagonals[1], 1)


@compiled
def _undo_layer(layer: Any, coefficients: Any, diagonals: Any, state: Any) -> None:
    kind, first, width = layer[0], layer[1], layer[2]
    if kind != ROTATE:
        multiply(state, diagonals[1], -1)
    if kind != PHASE:
        for qubit in range(first, first + width):
            rotate(state, len(coefficients) - 1 - qubit, coefficients[qubit, 0], -coefficients[qubit, 1])
    if kind == FULL:
        multiply(state, diagonals[0], -1)


@compiled
def _differentiate(
    code: Any, layer: int, work: Any, state: Any, costate: Any, other: Any, found: Any, undo: bool
) -> None:
    """Add the derivatives by a layer's turns, and undo it on the costate; `other` is written over."""
    kind, first, width, n_places, begin = code.layers[layer]
    turned, coefficients, diagonals = work[0], work[2][layer], work[3][layer]
    top = len(coefficients) - 1
    if kind == FULL:
        _add_runs(code, layer, turned, state, costate, found)
        _undo_layer(code.layers[layer], coefficients, diagonals, costate)
        return
    if kind != ROTATE:  # turns about z are the last of their runs
        _add_phases(code, begin + (n_places - 1) * width - first, first, width, state, costate, other[0], found)
        other[:] = state
        multiply(other, diagonals[1], -1)
        multiply(costate, diagonals[1], -1)
    if kind != PHASE:
        flat, co_flat = (state if kind == ROTATE else other).reshape(-1), costate.reshape(-1)
        if not undo:  # the first layer makes a real product, but for its phases
            flat, co_flat = flat[: len(flat) // 2], co_flat[: len(flat) // 2]
        terms = np.empty(len(flat) // 2, flat.dtype)
        for qubit in range(first, first + width):
            _add(code, begin + qubit - first, y_overlap(flat, co_flat, terms, top - qubit), found)
        for qubit in range(first, first + (width if undo else 0)):
            rotate(costate, top - qubit, coefficients[qubit, 0], -coefficients[qubit, 1])


@compiled
def _add(code: Any, slot: int, derivative: float, found: Any) -> None:
    """Add the derivative by a turn to those by the gate angles that it is the sum of."""
    for entry in range(code.starts[slot], code.starts[slot + 1]):
        found[code.columns[entry]] += derivative


@compiled
def _add_phases(code: Any, slot: int, first: int, width: int, state: Any, costate: Any, inner: Any, found: Any) -> None:
    """The derivatives by turns about z: those of qubit q are by turn `slot + q`."""
    phase_terms(state, costate, inner)
    size, qubit = len(inner) // 2, 0
    while size:
        total = inner[0] * 0
        for k in range(size):
            total += inner[k] - inner[size + k]
        for k in range(size):
            inner[k] += inner[size + k]
        if first <= qubit < first + width:
            _add(code, slot + qubit, total, found)
        size, qubit = size // 2, qubit + 1


@compiled
def _add_runs(code: Any, layer: int, turned: Any, state: Any, costate: Any, found: Any) -> None:
    """The derivatives by runs of any turns: `Im <costate| sigma |state>` along each axis, turned back turn by turn."""
    _, first, width, n_places, begin = code.layers[layer]
    top = -1
    while 1 << top + 1 < state.shape[1]:
        top += 1
    for qubit in range(width):
        x, y, z = overlaps(state[0], state[1], costate[0], costate[1], top - first - qubit)
        for place in range(n_places - 1, -1, -1):
            slot = begin + place * width + qubit
            a, b, c = code.axes[slot, 0], code.axes[slot, 1], code.axes[slot, 2]
            along = a * x + b * y + c * z
            _add(code, slot, along, found)
            if place:
                cos, sin, rest = np.cos(turned[slot]), -np.sin(turned[slot]), along * (1 - np.cos(turned[slot]))
                x, y, z = (
                    cos * x + sin * (b * z - c * y) + rest * a,
                    cos * y + sin * (c * x - a * z) + rest * b,
                    cos * z + sin * (a * y - b * x) + rest * c,
                )
