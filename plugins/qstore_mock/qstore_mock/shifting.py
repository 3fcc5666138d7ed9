"""Rows that differ from others in one angle: what is common to them is run once.

A row with one angle shifted has the states of its base up to that gate. A turn about an axis `n`, shifted by `s`,
leaves `cos(s/2) |psi> - i sin(s/2) n.sigma |psi>`, so that one more state for each turn, carried to the end of the
circuit, makes the final states of all its shifts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qstore_core.arrays import FloatArray, IntArray
from qstore_core.batch import Shifts
from qstore_mock.parts import Dense, Rotations, State
from qstore_mock.planning import Block
from qstore_mock.program import Program
from qstore_mock.statevector import BoundBlock, bind

Found = tuple[IntArray, Sequence[State]]
"""Rows of the batch, and the final states of each block for them, in that order."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a gate angle enters: the block, its part, and for rotations the turn: place in the run, qubit."""

    block: int
    part: int
    turn: tuple[int, int] | None


def places(blocks: Sequence[Block]) -> Mapping[int, Place]:
    """Where each gate angle enters."""
    found: dict[int, Place] = {}
    for index, block in enumerate(blocks):
        for number, part in enumerate(block.parts):
            if isinstance(part, Dense) and part.step.angle is not None:
                found[part.step.angle] = Place(index, number, None)
            if isinstance(part, Rotations):
                for place, row in enumerate(part.turns.slots):
                    for qubit, slot in enumerate(row):
                        found.update(dict.fromkeys(slot.columns, Place(index, number, (place, qubit))))
    return found


def final_states(
    program: Program, angles: FloatArray, shifts: Shifts, bases: IntArray, size: int, dtype: Any
) -> Iterator[Found]:
    """The final states of all rows that belong to some bases, a few rows at a time.

    Args:
        program: What to run.
        angles: `(n_rows, n_angles)`, of the whole batch.
        shifts: How its rows are related.
        bases: The rows, unshifted, whose dependants are wanted, and which are wanted themselves.
        size: About how many states may be held at once.
        dtype: complex64 or complex128.
    """
    blocks = bind(program, angles[bases], dtype)
    histories = [block.history() for block in blocks]
    yield bases, [states[-1] for states in histories]
    number = np.full(len(angles), -1)
    number[bases] = np.arange(len(bases))
    dependants = np.flatnonzero((shifts.columns >= 0) & (number[shifts.bases] >= 0))
    where = places(program.blocks)
    by_part: dict[tuple[int, int], list[int]] = {}
    for column in sorted(set(shifts.columns[dependants].tolist())):
        place = where[column]
        by_part.setdefault((place.block, place.part), []).append(column)
    for (index, part), columns in by_part.items():
        step = max(1, size // len(bases))
        for first in range(0, len(columns), step):
            chosen = columns[first : first + step]
            rows = dependants[np.isin(shifts.columns[dependants], chosen)]
            origin = number[shifts.bases[rows]]
            turns = [where[column].turn for column in chosen]
            moved = _moved(blocks[index], histories[index], part, turns, angles[bases])
            for begin in range(0, len(rows), max(1, size)):
                some = slice(begin, begin + max(1, size))
                final = [states[-1] for states in histories]
                others = [state if other == index else state[:, origin[some]] for other, state in enumerate(final)]
                slots = np.searchsorted(chosen, shifts.columns[rows[some]])
                others[index] = moved(origin[some], slots, shifts.amounts[rows[some]])
                yield rows[some], others


def _moved(
    block: BoundBlock, states: Sequence[State], part: int, turns: Sequence[tuple[int, int] | None], angles: FloatArray
) -> Any:
    """What makes final states of one block from indices of bases, indices of turns, and shifts."""
    bound: Any = block.parts[part]

    def shifted(origin: IntArray, slots: IntArray, amounts: FloatArray) -> State:
        alone = BoundBlock.of(block.block, angles[origin], np.zeros(angles.shape[1], dtype=bool), block.dtype)
        return alone.go_on(bound.shifted(states[part + 1][:, origin], amounts), part)

    if turns[0] is None:
        return shifted
    generated = block.go_on(bound.generated(states[part + 1], turns), part)

    def combined(origin: IntArray, slots: IntArray, amounts: FloatArray) -> State:
        real = states[-1].real.dtype
        cos, sin = np.cos(amounts / 2).astype(real)[:, None], np.sin(amounts / 2).astype(real)[:, None]
        moved = generated[slots, :, origin]
        moved *= (-1j * sin)[:, None]
        made = np.ascontiguousarray(np.moveaxis(moved, 0, 1))
        made += cos * states[-1][:, origin]
        return made

    return combined
