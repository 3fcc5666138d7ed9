"""Where pulses go: the pole of a wire, and the fewest quarter turns that take it along.

The device turns qubits about Z by renumbering phases, at no cost. What a wire needs pulses for is told by one unit
vector, its *pole*: the logical direction that lies along the device's Z axis at that moment.

- It begins at Z, since |0> of the device is |0>. It must end at the axis that is measured, anywhere if none is.
- A pulse GPI2 is a quarter turn about an axis at right angles to the device's Z, which its phase chooses: it takes the
  pole to any direction **at right angles** to where it is, and to no other. (GPI only turns it over.)
- A logical rotation needs no pulse, as the device need not do it: it only takes the pole along.
- ZZ is a rotation about the poles of two wires: to rotate about a letter, the pole must be on that axis.
- MS is a rotation about two axes at right angles to the poles: the pole must be beside that axis, on its great circle.

So the pulses of a wire are the corners of a path on the sphere with right-angled steps, through given points (ZZ) or
across given great circles (MS), and no wire minds the others. What can hold for every value of the angles is that the
pole is on an axis or on the great circle beside one; a shortest path through these six places and "anywhere" has the
fewest pulses that this knowledge allows. With ZZ, any run of one-qubit gates is two pulses at most, as it is

    R(a) RX(t) R(b)  =  R(a + b - t) GPI2((t - b) / 2 pi - 1/4) GPI2(1/4 - b / 2 pi),    R(x) = exp(-i x Z / 2),

one where it is a quarter turn, and none where it is diagonal or turns the axis over. With MS it can be one or none:
across a great circle there are many ways. CNOTs along a chain take no pulses between them, since a wire that is the
target of one (axis X) and the control of the next (axis Z) has its pole at Y, beside both.

Steps onto axes have phases that are affine in the angles, as long as no sign changes; steps beside one have the phase
of a projection, since they merge rotations about different axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias, get_args

Family: TypeAlias = Literal["zz", "ms"]
"""Which two-qubit gate a device has."""
FAMILIES: tuple[Family, ...] = get_args(Family)


@dataclass(frozen=True, slots=True)
class Step:
    """A quarter turn of the pole, onto an axis that it was beside, or beside an axis, by the shortest way."""

    letter: str
    onto: bool


@dataclass(frozen=True, slots=True)
class Token:
    """What happens to a wire: a rotation about a letter of its own, or one that it shares with another wire."""

    letter: str
    shared: bool


@dataclass(frozen=True, slots=True)
class Pole:
    """What is known of a pole for all angles: on the axis of a letter, beside it, or anywhere."""

    place: Literal["on", "beside", "anywhere"]
    letter: str = ""

    def steps(self) -> list[tuple[Step, Pole]]:
        """The steps that are possible from here, and where they lead."""
        if self.place == "on":
            return [(Step(letter, onto=True), Pole("on", letter)) for letter in "XYZ" if letter != self.letter]
        sideways = [(Step(letter, onto=False), Pole("beside", letter)) for letter in "XYZ"]
        if self.place == "beside":
            return [(Step(self.letter, onto=True), Pole("on", self.letter)), *sideways]
        return sideways

    def turned(self, letter: str) -> Pole:
        """Where it is after a rotation about a letter."""
        if self.letter == letter:
            return self
        return Pole("beside", letter) if self.place == "on" else _ANYWHERE

    def serves(self, letter: str, family: Family) -> bool:
        """Whether the device's two-qubit gate can rotate about a letter now."""
        if family == "zz":
            return self == Pole("on", letter)
        beside = self.letter == letter if self.place == "beside" else self.letter != letter
        return beside and self.place != "anywhere"


_ANYWHERE = Pole("anywhere")
_COSTS = {True: 1000, False: 1001}  # by `onto`: of equally many steps rather those whose phases are affine

_Link: TypeAlias = "tuple[int, Step, _Link] | None"


@dataclass(frozen=True, slots=True)
class _Route:
    """A way to somewhere: its cost, and its steps, last first, each with the number of tokens before it."""

    cost: int = 0
    last: _Link = None

    def then(self, position: int, step: Step) -> _Route:
        return _Route(self.cost + _COSTS[step.onto], (position, step, self.last))

    def by_position(self, n_positions: int) -> tuple[tuple[Step, ...], ...]:
        steps: list[list[Step]] = [[] for _ in range(n_positions)]
        link = self.last
        while link is not None:
            position, step, link = link
            steps[position].insert(0, step)
        return tuple(map(tuple, steps))


_Reached: TypeAlias = Mapping[Pole, _Route]


def fewest_steps(tokens: Sequence[Token], end: str | None, family: Family) -> tuple[tuple[Step, ...], ...]:
    """The steps of a wire's pole before each of its tokens, and after the last one, as few as possible.

    Args:
        tokens: What happens to the wire.
        end: The letter that is measured; None: the wire is not read.
        family: Whether two-qubit gates need the pole on their axes ("zz") or beside them ("ms").

    >>> target_then_control = [Token("Y", shared=False), Token("X", shared=True), Token("Z", shared=True)]
    >>> [sum(map(len, fewest_steps(target_then_control, "Z", family))) for family in ("zz", "ms")]
    [3, 2]
    """
    reached: _Reached = {Pole("on", "Z"): _Route()}
    for position, token in enumerate(tokens):
        reached = _passed(_stepped(reached, position), token, family)
    reached = _stepped(reached, len(tokens))
    routes = [route for pole, route in reached.items() if end is None or pole == Pole("on", end)]
    return min(routes, key=lambda route: route.cost).by_position(len(tokens) + 1)


def _stepped(reached: _Reached, position: int) -> _Reached:
    """Where steps lead; no place is more than two from another."""
    best = dict(reached)
    for _ in range(2):
        for pole, route in list(best.items()):
            for step, target in pole.steps():
                _improve(best, target, route.then(position, step))
    return MappingProxyType(best)


def _passed(reached: _Reached, token: Token, family: Family) -> _Reached:
    """Where poles are after a token, those that can pass it."""
    best: dict[Pole, _Route] = {}
    for pole, route in reached.items():
        if not token.shared:
            _improve(best, pole.turned(token.letter), route)
        elif pole.serves(token.letter, family):
            _improve(best, pole, route)
    return best


def _improve(best: dict[Pole, _Route], pole: Pole, route: _Route) -> None:
    if pole not in best or route.cost < best[pole].cost:
        best[pole] = route
