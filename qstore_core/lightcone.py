"""What need not run: gates outside the light cone of the observables, and tails that move into the observables.

Outputs are expectation values `<0| U+ O U |0>`, so a circuit is read backwards: each gate turns the Pauli words `W` of
the observables into those of `U+ W U`. What is known of the words is a mark for each qubit, the letters that it may
carry; `qstore_core.conjugation` knows what each gate does to words and marks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache

import numpy as np

from qstore_core.affine import AffineMap
from qstore_core.arrays import FloatArray, IntArray
from qstore_core.batch import CircuitBatch
from qstore_core.conjugation import CliffordImages, clifford_images, keeps_zeros, marks_before
from qstore_core.errors import UnknownNameError
from qstore_core.gates import GATES
from qstore_core.observables import PauliString, PauliSum, group_commuting
from qstore_core.operations import CircuitStructure

MODES: Mapping[str, str] = {
    "auto": "drop what is outside the light cone, and move tails of Clifford gates into the observables",
    "light_cone": "drop what is outside the light cone",
    "none": "run every gate",
}
"""The ways to make a circuit smaller, by name, with what they mean."""

_Gates = Sequence[tuple[str, tuple[int, ...]]]


@dataclass(frozen=True, slots=True, eq=False)
class Reduction:
    """A circuit made smaller without changing an expectation value.

    Attributes:
        original: The gates as they were.
        asked: The observables as they were.
        structure: Those that are left; qubits keep their numbers.
        observables: What to measure instead, one for each observable asked for.
        angles: Which of the original gate angles are left, ascending.
        light_cone: How many gates were dropped because they change no expectation value.
        tails: How many moved into the observables.

    >>> made = reduce_circuit(CircuitStructure(2, (("ry", (0,)), ("ry", (1,)), ("cnot", (0, 1)))), (PauliSum.of("Z1"),))
    >>> made.structure.gates, made.observables
    ((('ry', (0,)), ('ry', (1,))), (Z0 Z1,))
    """

    original: CircuitStructure
    asked: tuple[PauliSum, ...]
    structure: CircuitStructure
    observables: tuple[PauliSum, ...]
    angles: IntArray
    light_cone: int
    tails: int

    def batch(self, batch: CircuitBatch) -> CircuitBatch:
        """The same rows of the smaller circuit; `batch` itself where nothing could be left out."""
        if self.structure is self.original:
            return batch
        return replace(
            batch,
            structure=self.structure,
            angles=batch.angles[:, self.angles],
            observables=self.observables,
            shifts=batch.shifts and batch.shifts.select(self.angles),
        )

    def spread(self, gradients: FloatArray) -> FloatArray:
        """Derivatives by the angles that are left, `(n_rows, n_left)`, as those by all: the others are exactly 0."""
        spread = np.zeros((len(gradients), self.original.n_angles))
        spread[:, self.angles] = gradients
        return spread


def reduce_circuit(structure: CircuitStructure, observables: tuple[PauliSum, ...], mode: str = "auto") -> Reduction:
    """The smaller circuit that has the same expectation values, whatever its angles are.

    Light cone: a gate is dropped when it commutes with every word that the later gates make of the observables, or when
    it leaves the initial |0...0> as it is. Tails: a Clifford gate that no other gate follows on its qubits turns each
    Pauli string into one Pauli string, with a sign, and so can be done on the observables, as long as that takes no
    more measurement groups. Both alternate until nothing changes. Results are kept, so that asking again is cheap.

    Args:
        structure: The gates.
        observables: What is measured at their end.
        mode: "auto" for both, "light_cone" for the first alone, or "none".

    >>> chain = CircuitStructure(3, (*(("ry", (q,)) for q in range(3)), ("cnot", (0, 1)), ("cnot", (1, 2))))
    >>> reduce_circuit(chain, (PauliSum.of("Z0"),), "light_cone").structure.gates
    (('ry', (0,)),)
    """
    if mode not in tuple(MODES):
        raise UnknownNameError.of("reduce", mode, MODES)
    return _reduced(structure, observables, mode)


@lru_cache(maxsize=256)
def _reduced(original: CircuitStructure, asked: tuple[PauliSum, ...], mode: str) -> Reduction:
    gates, observables = original.gates, asked
    kept = list(range(len(gates)))
    dropped = moved = 0
    while mode != "none":
        inside = _past_the_start(gates, _in_light_cone(gates, kept, observables))
        rest, observables = _without_tail(gates, inside, observables) if mode == "auto" else (inside, observables)
        dropped += len(kept) - len(inside)
        moved += len(inside) - len(rest)
        if len(rest) == len(kept):
            break
        kept = rest
    left = CircuitStructure(original.n_qubits, tuple(gates[position] for position in kept))
    structure = left if dropped or moved else original
    return Reduction(original, asked, structure, observables, _angles_of(gates, kept), dropped, moved)


@lru_cache(maxsize=64)
def reduced_affine(affine: AffineMap, reduction: Reduction) -> AffineMap:
    """The part of a circuit's affine map that gives the angles that are left.

    >>> from qstore_core import Parameter, QuantumCircuit
    >>> circuit = QuantumCircuit(1).ry(0, Parameter("a")).rz(0, Parameter("b"))
    >>> reduced_affine(circuit.affine, reduce_circuit(circuit.structure, (PauliSum.of("Z0"),))).parameters.used
    array([ True, False])
    """
    return affine if len(reduction.angles) == reduction.original.n_angles else affine.take(reduction.angles)


@dataclass(frozen=True, slots=True)
class CircuitSize:
    """What running a circuit takes.

    Attributes:
        gates: All gates.
        two_qubit_gates: Those on two qubits or more.
        depth: Layers, when each gate starts as soon as its qubits are free.
        angles: Gates with an angle.
        parameters: Parameters that enter an angle.
        measured_qubits: Qubits that are read.
        longest_parity: The most qubits that one Pauli string of the observables reads; each adds its readout error.
        circuits: Measurement groups: the circuits of one evaluation with shots.

    >>> CircuitSize.of(CircuitStructure(2, (("h", (0,)), ("cnot", (0, 1)))), (PauliSum.of("Z0 Z1"),)).longest_parity
    2
    """

    gates: int
    two_qubit_gates: int
    depth: int
    angles: int
    parameters: int
    measured_qubits: int
    longest_parity: int
    circuits: int

    @classmethod
    def of(cls, structure: CircuitStructure, observables: tuple[PauliSum, ...], parameters: int = 0) -> CircuitSize:
        """The size of a circuit whose angles take so many parameters."""
        terms = [term for observable in observables for term in observable.terms]
        return cls(
            gates=len(structure.gates),
            two_qubit_gates=structure.two_qubit_gates,
            depth=structure.depth,
            angles=structure.n_angles,
            parameters=parameters,
            measured_qubits=len({qubit for term in terms for qubit in term.qubits}),
            longest_parity=max((len(term.qubits) for term in terms), default=0),
            circuits=len(group_commuting(terms)),
        )


@dataclass(frozen=True, slots=True)
class CircuitCost:
    """What a circuit takes as it is written and as it runs.

    Attributes:
        before: As it is written.
        after: As it runs.
        light_cone: Gates dropped because they change no expectation value.
        tails: Gates moved into the observables.

    >>> from qstore_core import QuantumModel
    >>> print(QuantumModel(input_dim=4, n_qubits=4, output_dim=1).circuit_cost())
                      as written    as run
    gates                     26        19
    two qubit gates            6         3
    depth                     10         7
    angles                    20        16
    parameters                16        12
    measured qubits            4         4
    longest parity             1         4
    circuits                   1         1
    4 gate(s) change no output, 3 moved into the observables
    """

    before: CircuitSize
    after: CircuitSize
    light_cone: int
    tails: int

    @classmethod
    def of(cls, reduction: Reduction, affine: AffineMap) -> CircuitCost:
        """The cost of a circuit whose angles `affine` gives, before and after it was reduced."""
        left = reduced_affine(affine, reduction)
        before = CircuitSize.of(reduction.original, reduction.asked, int(affine.parameters.used.sum()))
        after = CircuitSize.of(reduction.structure, reduction.observables, int(left.parameters.used.sum()))
        return cls(before, after, reduction.light_cone, reduction.tails)

    def __str__(self) -> str:
        lines = [f"{'':18}{'as written':>10}{'as run':>10}"]
        for entry in fields(CircuitSize):
            before, after = getattr(self.before, entry.name), getattr(self.after, entry.name)
            lines.append(f"{entry.name.replace('_', ' '):18}{before:10}{after:10}")
        lines.append(f"{self.light_cone} gate(s) change no output, {self.tails} moved into the observables")
        return "\n".join(lines)


def _in_light_cone(gates: _Gates, kept: Sequence[int], observables: tuple[PauliSum, ...]) -> list[int]:
    """The positions, ascending, of the gates that do not commute with what follows them."""
    marks = _marks_of(observables)
    inside = []
    for position in reversed(kept):
        name, qubits = gates[position]
        before = marks_before(name, tuple(marks[qubit] for qubit in qubits))
        if before is not None:
            inside.append(position)
            marks.update(zip(qubits, before, strict=True))
    return inside[::-1]


def _past_the_start(gates: _Gates, kept: Sequence[int]) -> list[int]:
    """The positions of the gates that do not act as a phase on what is left of |0...0>."""
    touched: set[int] = set()
    acting = []
    for position in kept:
        name, qubits = gates[position]
        if not keeps_zeros(name, tuple(qubit in touched for qubit in qubits)):
            acting.append(position)
            touched.update(qubits)
    return acting


def _without_tail(
    gates: _Gates, kept: Sequence[int], observables: tuple[PauliSum, ...]
) -> tuple[list[int], tuple[PauliSum, ...]]:
    """What is left of the gates when those at the end move into the observables, and these observables."""
    rest: list[int] = []
    taken: set[int] = set()
    n_groups = _n_groups(observables)
    for position in reversed(kept):
        name, qubits = gates[position]
        images = clifford_images(name)
        if images is not None and taken.isdisjoint(qubits):
            turned = tuple(_turned(observable, qubits, images) for observable in observables)
            if _n_groups(turned) <= n_groups:
                observables, n_groups = turned, _n_groups(turned)
                continue
        rest.append(position)
        taken.update(qubits)
    return rest[::-1], observables


def _angles_of(gates: _Gates, kept: Sequence[int]) -> IntArray:
    has_angle = np.array([GATES[name].has_angle for name, _ in gates], dtype=bool)
    numbers = np.cumsum(has_angle) - 1
    chosen = np.array(kept, dtype=np.int64)
    angles: IntArray = numbers[chosen[has_angle[chosen]]]
    return angles


def _marks_of(observables: tuple[PauliSum, ...]) -> defaultdict[int, str]:
    letters: defaultdict[int, set[str]] = defaultdict(set)
    for observable in observables:
        for term in observable.terms:
            for qubit, letter in term.letters:
                letters[qubit].add(letter)
    return defaultdict(str, {qubit: "".join(sorted(found)) for qubit, found in letters.items()})


def _n_groups(observables: tuple[PauliSum, ...]) -> int:
    return len(group_commuting(term for observable in observables for term in observable.terms))


def _turned(observable: PauliSum, qubits: tuple[int, ...], images: CliffordImages) -> PauliSum:
    """`U+ O U` for a Clifford gate `U` on `qubits`."""
    terms = []
    for term in observable.terms:
        letters = dict(term.letters)
        word, sign = images["".join(letters.get(qubit, "I") for qubit in qubits)]
        letters.update(zip(qubits, word, strict=True))
        terms.append(PauliString(letters, sign * term.coefficient))
    return PauliSum(terms)
