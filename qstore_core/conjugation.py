"""What a gate does to Pauli words: the images `U+ W U`, worked out from its matrix; no gate has code of its own.

A word is a letter for each qubit of the gate, in the gate's order, such as "IZ". A *mark* is what is known of one qubit
in many words: the letters other than I that it may carry, so "" is only I, "Z" is I or Z, and "XYZ" is anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import product
from typing import TypeAlias

import numpy as np

from qstore_core.arrays import ComplexArray
from qstore_core.gates import GATES, Gate, get_gate

CliffordImages: TypeAlias = Mapping[str, tuple[str, float]]
"""What a Clifford gate makes of each word: another one, and a sign."""


@cache
def marks_before(name: str, marks: tuple[str, ...]) -> tuple[str, ...] | None:
    """The marks of a gate's qubits before it, from those after it; None where it commutes with every word of them.

    >>> marks_before("cnot", ("X", "")), marks_before("cnot", ("Z", "X")), marks_before("rz", ("XZ",))
    (('X', 'X'), None, ('XYZ',))
    """
    images = _images(name)
    words = ["".join(letters) for letters in product(*("I" + mark for mark in marks))]
    if all(images[word] == ({word: 1},) for word in words):
        return None
    made = {image for word in words for part in images[word] for image in part}
    return tuple("".join(sorted({word[place] for word in made} - {"I"})) for place in range(len(marks)))


@cache
def keeps_zeros(name: str, touched: tuple[bool, ...]) -> bool:
    """Whether a gate does nothing but a phase to every state whose qubits that were not touched are |0>.

    >>> keeps_zeros("cnot", (False, True)), keeps_zeros("cnot", (True, False)), keeps_zeros("rz", (False,))
    (True, False, True)
    """
    matrix = get_gate(name).matrix  # of a generator the same holds: its exponential is that phase
    settings = product(*((0, 1) if each else (0,) for each in touched))
    columns = [int("".join(map(str, bits)), 2) for bits in settings]
    unchanged = matrix[0, 0] * np.eye(len(matrix))
    return bool(np.allclose(matrix[:, columns], unchanged[:, columns], rtol=0, atol=1e-12))


@cache
def clifford_images(name: str) -> CliffordImages | None:
    """What a gate makes of each Pauli word, another one and a sign; None where the gate is not a Clifford gate.

    >>> clifford_images("h"), clifford_images("t")
    ({'I': ('I', 1.0), 'X': ('Z', 1.0), 'Y': ('Y', -1.0), 'Z': ('X', 1.0)}, None)
    """
    images = _images(name)
    if GATES[name].has_angle or any(len(part) > 1 for (part,) in images.values()):
        return None
    return {word: (image, value.real) for word, (part,) in images.items() for image, value in part.items()}


@cache
def _images(name: str) -> Mapping[str, tuple[Mapping[str, complex], ...]]:
    """For each Pauli word `W` on a gate's qubits the words in `U+ W U` with their weights.

    With an angle `t` each frequency of `U+ W U` in `t` is a part of its own; a fixed gate has one part.
    """
    gate = get_gate(name)
    return {
        word: tuple(found for part in _parts(gate, matrix) if (found := _expanded(part, gate.n_qubits)))
        for word, matrix in _words(gate.n_qubits).items()
    }


def _expanded(matrix: ComplexArray, n_qubits: int) -> dict[str, complex]:
    """The weights of the Pauli words in a matrix, those that are not 0."""
    words = _words(n_qubits)
    weights = np.einsum("wij,ji->w", np.stack(list(words.values())), matrix) / len(matrix)
    return {word: weight for word, weight in zip(words, weights.round(12).tolist(), strict=True) if weight}


def _parts(gate: Gate, word: ComplexArray) -> Iterator[ComplexArray]:
    """`U+ W U`, or for each frequency w of a gate with an angle the matrix that `exp(i w t)` is multiplied with."""
    if not gate.has_angle:
        yield gate.matrix.conj().T @ word @ gate.matrix
        return
    levels, projectors = gate.spectrum
    gaps = (levels[:, None] - levels[None, :]).round(9)
    for gap in sorted(set(gaps.ravel().tolist())):
        yield np.sum([projectors[j] @ word @ projectors[k] for j, k in np.argwhere(gaps == gap)], axis=0)


@cache
def _words(n_qubits: int) -> Mapping[str, ComplexArray]:
    if n_qubits == 0:
        return {"": np.eye(1, dtype=np.complex128)}
    letters = {"I": np.eye(2, dtype=np.complex128), **{name: GATES[name.lower()].matrix for name in "XYZ"}}
    return {
        word + letter: np.kron(matrix, last).astype(np.complex128)
        for word, matrix in _words(n_qubits - 1).items()
        for letter, last in letters.items()
    }
