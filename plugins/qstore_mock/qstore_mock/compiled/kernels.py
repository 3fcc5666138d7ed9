"""The compiled functions: one row of angles at a time through the instructions of a `Code`, forwards and backwards.

A state is `(2, 2**n_qubits)`, real and imaginary parts, float32 or float64; qubit 0 is the most significant bit. No
result depends on what other rows there are. Compiled when first called, for each precision, and kept on disk; numba
looks at this file alone to see whether that is out of date, so touch it after a change to `amplitudes` or `code`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qstore_mock.compiled.amplitudes import (
    allocating,
    compiled,
    copy,
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
    weigh,
    y_overlap,
)
from qstore_mock.compiled.code import FULL, LAYER, MOVE, PAIRS, PHASE, ROTATE, START


class Work(NamedTuple):
    """What is written over from row to row.

    Attributes:
        turned: `(n_turns,)`, radians; nan before the first row.
        seen: The gate angles that these are sums of, entry by entry of `Code.columns`.
        coefficients: `(n_layers, n_qubits, 6)`: the c, s, lead and trail of `_decompose`.
        diagonals: `(n_layers, 2, 2, 2**n_qubits)`, the products of the leads and of the trails.
        costate: `(2, 2**n_qubits)`.
        other: Another state.
        terms: `(2**n_qubits,)`.
        factors: `(2**n_qubits,)` float64.
    """

    turned: Any
    seen: Any
    coefficients: Any
    diagonals: Any
    costate: Any
    other: Any
    terms: Any
    factors: Any


@allocating
def expectations(code: Any, angles: Any, reading: Any, constants: Any, states: Any) -> Any:
    """Expectation values `(n_rows, n_observables)`, leaving what gradients need in `states`.

    `states` is `(n_rows, n_places, 2, 2**n_qubits)`, or has one row that is written over.
    """
    found = np.empty((len(angles), reading.shape[1]))
    _expect(code, angles, reading, constants, states, _workspace(code, states), found)
    return found


@allocating
def outcomes(code: Any, angles: Any, belongs: Any, states: Any) -> Any:
    """The probability of each outcome of each group, `(n_groups, n_rows, 2**n_qubits)`."""
    found = np.zeros((len(code.ends), len(angles), states.shape[-1]))
    _tell(code, angles, belongs, states, _workspace(code, states), found)
    return found


@allocating
def gradients(code: Any, angles: Any, reading: Any, cotangents: Any, states: Any, kept: bool) -> Any:
    """Derivatives `(n_rows, n_angles)` by the adjoint method, from what `expectations` left in `states` if `kept`."""
    found = np.zeros(angles.shape)
    _differentiate(code, angles, reading, cotangents, states, kept, _workspace(code, states), found)
    return found


@allocating
def _workspace(code: Any, states: Any) -> Any:
    n_layers, n_qubits, size = len(code.layers), 0, states.shape[-1]
    while 1 << n_qubits < size:
        n_qubits += 1
    coefficients = np.zeros((n_layers, n_qubits, 6))
    coefficients[:, :, 0] = coefficients[:, :, 2] = coefficients[:, :, 4] = 1.0
    return Work(
        np.full(len(code.constants), np.nan),
        np.full(len(code.columns), np.nan),
        coefficients,
        np.empty((n_layers, 2, 2, size), states.dtype),
        np.empty((2, size), states.dtype),
        np.empty((2, size), states.dtype),
        np.empty(size, states.dtype),
        np.empty(size),
    )


@compiled
def _expect(code: Any, angles: Any, reading: Any, constants: Any, states: Any, work: Any, found: Any) -> None:
    for row in range(len(angles)):
        for k in range(len(constants)):
            found[row, k] = constants[k]
        past = states[row % len(states)]
        _forward(code, angles[row], past, work)
        for group in range(len(code.ends)):
            _read(code, group, angles[row], past[code.instructions[-1, 2]], work)
            square(work.other, work.terms)
            for k in range(reading.shape[1]):
                found[row, k] += dot(reading[group, k], work.terms)


@compiled
def _tell(code: Any, angles: Any, belongs: Any, states: Any, work: Any, found: Any) -> None:
    for row in range(len(angles)):
        _forward(code, angles[row], states[0], work)
        for group in range(len(code.ends)):
            _read(code, group, angles[row], states[0, code.instructions[-1, 2]], work)
            square(work.other, work.terms)
            for k in range(len(work.terms)):
                found[group, row, belongs[group, k]] += work.terms[k]


@compiled
def _differentiate(
    code: Any, angles: Any, reading: Any, cotangents: Any, states: Any, kept: bool, work: Any, found: Any
) -> None:
    for row in range(len(angles)):
        past = states[row % len(states)]
        if not kept:
            _forward(code, angles[row], past, work)
        last = past[code.instructions[-1, 2]]
        work.costate[:] = 0
        for group in range(len(code.ends)):
            _add_costate(code, group, angles[row], reading[group], cotangents[row], last, work)
        _backward(code, angles[row], past, work, found[row])


@compiled
def _forward(code: Any, angles: Any, states: Any, work: Any) -> None:
    """Write the states of a row; the final one is where the last instruction puts it."""
    for index in range(len(code.instructions)):
        what, before, after, number = code.instructions[index]
        state = states[after]
        if what == START:
            _prepare(code, number, angles, work)
            start(code.layers[number, 0], work.coefficients[number], work.diagonals[number, 1], state)
        elif what == MOVE:
            move(states[before], state, code.sources[number], code.signs[number])
        elif what == LAYER:
            if before != after:
                copy(states[before], state)
            _prepare(code, number, angles, work)
            _layer(code.layers[number], work.coefficients[number], work.diagonals[number], state)
        elif what == PAIRS:
            if before != after:
                copy(states[before], state)
            turn_pairs(state, code.partners[number], code.factors[number], angles[code.angles[number]])
        else:
            state[:] = 0
            state[0, 0] = 1


@compiled
def _read(code: Any, group: int, angles: Any, state: Any, work: Any) -> None:
    """Make `work.other` the state in the basis of a group."""
    layer = code.ends[group]
    copy(state, work.other)
    if layer >= 0:
        _prepare(code, layer, angles, work)
        _layer(code.layers[layer], work.coefficients[layer], work.diagonals[layer], work.other)


@compiled
def _add_costate(code: Any, group: int, angles: Any, reading: Any, weights: Any, last: Any, work: Any) -> None:
    """Add a group's weighted observables, applied to the state, to the costate."""
    costate, other = work.costate, work.other
    _read(code, group, angles, last, work)
    weigh(weights, reading, other, work.factors)
    layer = code.ends[group]
    if layer >= 0:
        _undo_layer(code.layers[layer], work.coefficients[layer], work.diagonals[layer], other)
    for half in range(2):
        for place in range(costate.shape[1]):
            costate[half, place] += other[half, place]


@compiled
def _backward(code: Any, angles: Any, states: Any, work: Any, found: Any) -> None:
    """Go back along the instructions, adding `2 Re <costate| d state>` to the derivatives `found`."""
    costate, other = work.costate, work.other
    for index in range(len(code.instructions) - 1, -1, -1):
        what, _, after, number = code.instructions[index]
        state = states[after]
        if what in (START, LAYER):
            _prepare(code, number, angles, work)
            _differentiate_layer(code, number, work, state, costate, other, found, what == LAYER)
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
    turned, seen, coefficients, diagonals = work.turned, work.seen, work.coefficients, work.diagonals
    starts, columns, constants = code.starts, code.columns, code.constants
    kind, first, width, n_places, begin = code.layers[layer]
    end = begin + n_places * width
    changed = np.isnan(turned[begin])
    for entry in range(starts[begin], starts[end]):
        angle = angles[columns[entry]]
        changed |= seen[entry] != angle
        seen[entry] = angle
    if not changed:
        return
    for slot in range(begin, end):
        total = constants[slot]
        for entry in range(starts[slot], starts[slot + 1]):
            total += seen[entry]
        turned[slot] = total
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
def _differentiate_layer(
    code: Any, layer: int, work: Any, state: Any, costate: Any, other: Any, found: Any, undo: bool
) -> None:
    """Add the derivatives by a layer's turns, and undo it on the costate; `other` is written over."""
    kind, first, width, n_places, begin = code.layers[layer]
    turned, coefficients, diagonals = work.turned, work.coefficients[layer], work.diagonals[layer]
    top = len(coefficients) - 1
    if kind == FULL:
        _add_runs(code, layer, turned, state, costate, found)
        _undo_layer(code.layers[layer], coefficients, diagonals, costate)
        return
    if kind != ROTATE:  # turns about z are the last of their runs
        _add_phases(code, begin + (n_places - 1) * width - first, first, width, state, costate, other[0], found)
        copy(state, other)
        multiply(other, diagonals[1], -1)
        multiply(costate, diagonals[1], -1)
    if kind != PHASE:
        flat, co_flat = (state if kind == ROTATE else other).reshape(-1), costate.reshape(-1)
        if not undo:  # the first layer makes a real product, but for its phases
            flat, co_flat = flat[: len(flat) // 2], co_flat[: len(flat) // 2]
        terms = work.terms[: len(flat) // 2]
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
