"""What a compiled circuit consists of, the same for every row: each instruction but `Turn` is a gate that may be sent.

Signs are named by their numbers in a schedule: see `qstore_ionq.native.signs`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Turn:
    """A logical rotation that no gate is sent for: it only turns the frame of its wire.

    Attributes:
        wire: Where.
        letter: Its axis.
        angle: The number of its angle in the program's list.
    """

    wire: int
    letter: str
    angle: int


@dataclass(frozen=True, slots=True)
class Pulse:
    """A gate GPI2 that takes the pole of a wire onto an axis, or beside it.

    Attributes:
        wire: Where.
        letter: The axis.
        onto: Whether the pole ends on the axis.
        sign: The number of the sign with which it does.
    """

    wire: int
    letter: str
    onto: bool
    sign: int


@dataclass(frozen=True, slots=True)
class Merge:
    """The last two pulses of a wire are one GPI where their phases are equal, and nothing where they are opposite."""

    wire: int


@dataclass(frozen=True, slots=True)
class Flip:
    """A gate GPI that turns the pole of a wire over, in those rows in which two signs differ."""

    wire: int
    signs: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Couple:
    """A two-qubit gate, a rotation about one letter on each of two wires.

    Attributes:
        wires: Where.
        word: The letters.
        angle: The number of its angle in the program's list.
        signs: The numbers of the signs of both poles.
    """

    wires: tuple[int, int]
    word: str
    angle: int
    signs: tuple[int, int]


Instruction: TypeAlias = Turn | Pulse | Merge | Flip | Couple
