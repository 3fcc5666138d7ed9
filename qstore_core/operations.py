"""The parts of a circuit: its operations, and its structure, which is what backends compile."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

from qstore_core.angles import Angle
from qstore_core.errors import CircuitError
from qstore_core.gates import GATES, get_gate


@dataclass(frozen=True)
class CircuitStructure:
    """Which gates act on which qubits, without their angles: what a backend compiles once for many circuits.

    Attributes:
        n_qubits: The width of the register; qubit 0 is the most significant bit.
        gates: `(name, qubits)` in the order of execution. Gate angles are numbered in this order.

    >>> structure = CircuitStructure(2, (("ry", (0,)), ("cnot", (0, 1))))
    >>> structure.n_angles, structure.two_qubit_gates
    (1, 1)
    """

    n_qubits: int
    gates: tuple[tuple[str, tuple[int, ...]], ...]

    @cached_property
    def _hash(self) -> int:
        return hash((self.n_qubits, self.gates))

    def __hash__(self) -> int:  # kept: structures are keys of every cache, and have hundreds of gates
        return self._hash

    def __reduce__(self) -> tuple[type[CircuitStructure], tuple[object, ...]]:
        return type(self), (self.n_qubits, self.gates)  # without the hash, which another process makes differently

    @cached_property
    def n_angles(self) -> int:
        """How many of the gates have an angle."""
        return sum(GATES[name].has_angle for name, _ in self.gates)

    @cached_property
    def gate_names(self) -> frozenset[str]:
        """Which gates occur."""
        return frozenset(name for name, _ in self.gates)

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of the canonical JSON of this structure."""
        text = json.dumps({"n_qubits": self.n_qubits, "gates": self.gates}, separators=(",", ":"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def two_qubit_gates(self) -> int:
        """How many gates act on two qubits or more."""
        return sum(len(qubits) > 1 for _, qubits in self.gates)

    @cached_property
    def depth(self) -> int:
        """The number of layers when each gate starts as soon as its qubits are free."""
        level = [0] * self.n_qubits
        for _, qubits in self.gates:
            reached = 1 + max(level[qubit] for qubit in qubits)
            for qubit in qubits:
                level[qubit] = reached
        return max(level)


@dataclass(frozen=True, slots=True)
class Operation:
    """One gate of a circuit: its name, its qubits and its angle in radians, None where the gate has none.

    >>> Operation("cx", (0, 1))
    Operation(name='cnot', qubits=(0, 1), angle=None)
    """

    name: str
    qubits: tuple[int, ...]
    angle: Angle | None = None

    def __post_init__(self) -> None:
        gate = get_gate(self.name)
        if gate.name != self.name:
            object.__setattr__(self, "name", gate.name)  # an alias: what is equal has one name, and one digest
        if not all(type(qubit) is int for qubit in self.qubits):  # True or 1.0 would equal 1 and change the digest
            raise CircuitError(f"gate {self.name!r}: qubits are whole numbers, not {self.qubits!r}")
        if len(self.qubits) != gate.n_qubits or len(set(self.qubits)) != gate.n_qubits:
            raise CircuitError(f"gate {self.name!r} acts on {gate.n_qubits} different qubit(s), not on {self.qubits}")
        if gate.has_angle != (self.angle is not None):
            raise CircuitError(f"gate {self.name!r} {'needs an angle' if gate.has_angle else 'takes no angle'}")
