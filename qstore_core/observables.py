"""Observables: Pauli strings, their weighted sums, and groups of them that one circuit can measure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from numbers import Real

from qstore_core.errors import CircuitError

Letters = tuple[tuple[int, str], ...]
_TO_Z = {"X": ("h",), "Y": ("sdg", "h"), "Z": ()}


@dataclass(frozen=True, slots=True, repr=False)
class PauliString:
    """A product of Pauli matrices on different qubits, times a real coefficient.

    Args:
        letters: Text such as `"Z0 X3"`, a mapping `{0: "Z", 3: "X"}`, or nothing for the identity.
        coefficient: A finite real factor.

    Raises:
        CircuitError: A letter other than X, Y, Z, a qubit named twice, or a coefficient that is not finite and real.

    >>> 0.5 * PauliString("Z0 Z1") - PauliString({2: "X"})
    0.5*Z0 Z1 - X2
    """

    letters: Letters
    coefficient: float

    def __init__(self, letters: str | Mapping[int, str] | Iterable[tuple[int, str]] = "", coefficient: float = 1.0):
        if not isinstance(coefficient, Real) or not isfinite(coefficient):
            raise CircuitError(f"a Pauli string's coefficient is a finite real number, not {coefficient!r}")
        object.__setattr__(self, "letters", _canonical(letters))
        object.__setattr__(self, "coefficient", float(coefficient))

    @property
    def qubits(self) -> tuple[int, ...]:
        """The qubits it acts on, ascending."""
        return tuple(qubit for qubit, _ in self.letters)

    def __mul__(self, factor: float) -> PauliString:
        return PauliString(self.letters, self.coefficient * factor)

    __rmul__ = __mul__

    def __neg__(self) -> PauliString:
        return self * -1.0

    def __add__(self, other: PauliString | PauliSum) -> PauliSum:
        return PauliSum((self,)) + other

    def __radd__(self, other: object) -> PauliSum:
        return PauliSum((self,)).__radd__(other)

    def __sub__(self, other: PauliString | PauliSum) -> PauliSum:
        return PauliSum((self,)) - other

    def __repr__(self) -> str:
        word = " ".join(f"{letter}{qubit}" for qubit, letter in self.letters) or "I"
        return {1.0: "", -1.0: "-"}.get(self.coefficient, f"{self.coefficient:.6g}*") + word


@dataclass(frozen=True, slots=True, repr=False)
class PauliSum:
    """A sum of Pauli strings: a Hermitian observable.

    Equal strings are merged, what cancels is dropped and the terms are kept in one order, so equal sums compare equal.

    >>> PauliString("Z0") + PauliString("X1") == PauliString("X1") + PauliString("Z0")
    True
    """

    terms: tuple[PauliString, ...]
    _hash: int = field(init=False, compare=False)

    def __init__(self, terms: Iterable[PauliString] = ()):
        weights: dict[Letters, float] = {}
        for term in terms:
            weights[term.letters] = weights.get(term.letters, 0.0) + term.coefficient
        kept = tuple(PauliString(word, weights[word]) for word in sorted(weights) if weights[word])
        object.__setattr__(self, "terms", kept)
        object.__setattr__(self, "_hash", hash(kept))

    def __hash__(self) -> int:  # kept: observables are looked up for every batch, and have many terms
        return self._hash

    def __reduce__(self) -> tuple[type[PauliSum], tuple[object, ...]]:
        return type(self), (self.terms,)  # without the hash, which another process makes differently

    @classmethod
    def of(cls, observable: PauliString | PauliSum | str) -> PauliSum:
        """`observable`, a string such as `"Z0 Z1"`, a `PauliString` or a sum, as a sum.

        >>> PauliSum.of("Z0")
        Z0
        """
        if isinstance(observable, PauliSum):
            return observable
        if isinstance(observable, str):
            observable = PauliString(observable)
        if not isinstance(observable, PauliString):
            raise CircuitError(
                f"an observable is a PauliString, a sum of them or text like 'Z0 Z1', not {observable!r}"
            )
        return cls((observable,))

    @property
    def qubits(self) -> tuple[int, ...]:
        """The qubits it acts on, ascending."""
        return tuple(sorted({qubit for term in self.terms for qubit in term.qubits}))

    def __add__(self, other: PauliString | PauliSum) -> PauliSum:
        return PauliSum(self.terms + PauliSum.of(other).terms)

    def __radd__(self, other: object) -> PauliSum:
        if other == 0:  # where the built-in `sum` begins
            return self
        return NotImplemented

    def __sub__(self, other: PauliString | PauliSum) -> PauliSum:
        return self + PauliSum.of(other) * -1.0

    def __mul__(self, factor: float) -> PauliSum:
        return PauliSum(term * factor for term in self.terms)

    __rmul__ = __mul__

    def __neg__(self) -> PauliSum:
        return self * -1.0

    def __repr__(self) -> str:
        return " + ".join(map(repr, self.terms)).replace("+ -", "- ") or "0"


@dataclass(frozen=True, slots=True)
class MeasurementGroup:
    """One way of measuring: a Pauli basis for each measured qubit, the other qubits unread.

    Before the measurement in the computational basis a backend turns X into Z with H, and Y into Z with S† then H:
    the gates of `rotations`.

    Attributes:
        basis: `(qubit, letter)`, qubits ascending. In outcomes the first measured qubit is the most significant bit.

    >>> group_commuting([PauliString("X0 Z2"), PauliString("Z2")])[0].qubits
    (0, 2)
    """

    basis: Letters
    _hash: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash(self.basis))

    def __hash__(self) -> int:  # kept: groups are part of the keys of compiled circuits
        return self._hash

    def __reduce__(self) -> tuple[type[MeasurementGroup], tuple[object, ...]]:
        return type(self), (self.basis,)  # without the hash, which another process makes differently

    @property
    def qubits(self) -> tuple[int, ...]:
        """The measured qubits, ascending."""
        return tuple(qubit for qubit, _ in self.basis)

    @property
    def rotations(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """The gates, as a structure lists them, that turn this basis into the computational one.

        >>> MeasurementGroup(((0, "Z"), (1, "Y"))).rotations
        (('sdg', (1,)), ('h', (1,)))
        """
        return tuple((name, (qubit,)) for qubit, letter in self.basis for name in _TO_Z[letter])

    def covers(self, word: Letters) -> bool:
        """Whether the outcomes of this group determine that Pauli string."""
        return set(word) <= set(self.basis)


def group_commuting(strings: Iterable[PauliString]) -> tuple[MeasurementGroup, ...]:
    """As few groups as a greedy search finds such that each string can be read from one: qubit-wise commuting sets.

    Longer strings are placed first, each in the first group that agrees with it on every shared qubit (Verteletskyi et
    al., arXiv 1907.03358). Identities need no measurement.

    >>> [group.basis for group in group_commuting([PauliString("X0"), PauliString("Z0 Z1"), PauliString("X0 Z1")])]
    [((0, 'X'), (1, 'Z')), ((0, 'Z'), (1, 'Z'))]
    """
    words = sorted({string.letters for string in strings if string.letters}, key=lambda word: (-len(word), word))
    bases: list[dict[int, str]] = []
    for word in words:
        home = next((b for b in bases if all(b.get(qubit, letter) == letter for qubit, letter in word)), None)
        if home is None:
            home = {}
            bases.append(home)
        home.update(word)
    return tuple(MeasurementGroup(tuple(sorted(basis.items()))) for basis in bases)


def _canonical(letters: str | Mapping[int, str] | Iterable[tuple[int, str]]) -> Letters:
    if isinstance(letters, str):
        pairs = _parsed(letters)
    else:
        pairs = list(letters.items() if isinstance(letters, Mapping) else letters)
    qubits = [qubit for qubit, _ in pairs]
    if len(set(qubits)) != len(qubits):
        raise CircuitError(f"a Pauli string names each qubit once; {letters!r} repeats one")
    for qubit, letter in pairs:
        if not isinstance(qubit, int) or qubit < 0 or letter not in ("I", "X", "Y", "Z"):
            raise CircuitError(f"a Pauli string is made of X, Y, Z on qubits 0, 1, ...; found {letter!r} on {qubit!r}")
    return tuple(sorted((qubit, letter) for qubit, letter in pairs if letter != "I"))


def _parsed(text: str) -> list[tuple[int, str]]:
    tokens = text.split()
    if tokens == ["I"]:
        return []
    matches = [re.fullmatch(r"([IXYZ])(\d+)", token) for token in tokens]
    if not all(matches):
        raise CircuitError(f"cannot read {text!r} as a Pauli string: write letters with qubits, like 'Z0 X3'")
    return [(int(match[2]), match[1]) for match in matches if match]
