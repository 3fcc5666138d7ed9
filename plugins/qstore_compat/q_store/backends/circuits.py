"""Q-Store's circuits, which change in place, and how they become qstore's, which do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from math import pi
from types import MappingProxyType
from typing import Any

from q_store.changes import changed
from qstore_core import QuantumCircuit as CoreCircuit
from qstore_core.angles import Angle
from qstore_core.errors import CircuitError
from qstore_core.operations import Operation


class GateType(Enum):
    """The gates; their values are qstore's names, and MEASURE says which qubits are read.

    >>> GateType("cnot")
    <GateType.CNOT: 'cnot'>
    """

    HADAMARD = "h"
    PAULI_X = "x"
    PAULI_Y = "y"
    PAULI_Z = "z"
    PHASE = "p"
    S = "s"
    T = "t"
    RX = "rx"
    RY = "ry"
    RZ = "rz"
    CNOT = "cnot"
    CZ = "cz"
    SWAP = "swap"
    TOFFOLI = "toffoli"
    MEASURE = "measure"


INTO_Z: Mapping[str, tuple[GateType, float]] = MappingProxyType(
    {"X": (GateType.RY, -pi / 2), "Y": (GateType.RX, pi / 2)}
)
"""The rotation after which measuring Z is measuring another letter."""


@dataclass
class QuantumGate:
    """One gate.

    Attributes:
        gate_type: Which.
        qubits: On which, controls first.
        parameters: `{"angle": radians}` for a gate that has an angle.
        label: A name of yours; nothing goes by it.

    >>> QuantumGate(GateType.RX, [0], {"angle": 0.5})
    rx(0, params={'angle': 0.5})
    """

    gate_type: GateType
    qubits: list[int]
    parameters: dict[str, Any] | None = None
    label: str | None = None

    def __repr__(self) -> str:
        where = ",".join(map(str, self.qubits))
        with_what = f", params={self.parameters}" if self.parameters else ""
        return f"{self.gate_type.value}({where}{with_what})"

    def to_core(self) -> Operation:
        """The gate as qstore has it.

        >>> QuantumGate(GateType.CNOT, [0, 1]).to_core().qubits
        (0, 1)
        """
        values = self.parameters or {}
        if "angle" not in values and len(values) > 1:
            raise CircuitError(f"gate {self!r}: its angle is parameters['angle'], not one of {sorted(values)}")
        angle = values.get("angle", next(iter(values.values()), None))
        qubits = tuple(int(qubit) for qubit in self.qubits)
        return Operation(self.gate_type.value, qubits, None if angle is None else Angle.of(angle))


@dataclass
class QuantumCircuit:
    """A circuit that gates are added to.

    Without MEASURE every qubit is read; with it, the measured ones, in ascending order. `to_core` gives qstore's
    circuit, which is a value: `qstore_core.QuantumCircuit(2).h(0).cnot(0, 1)`.

    Attributes:
        n_qubits: The width; qubit 0 is the leftmost bit of every outcome.
        gates: In the order in which they act.
        metadata: What you like.

    >>> circuit = QuantumCircuit(2)
    >>> circuit.add_gate(QuantumGate(GateType.HADAMARD, [0]))
    >>> circuit.add_gate(QuantumGate(GateType.CNOT, [0, 1]))
    >>> circuit, circuit.measured_qubits
    (QuantumCircuit(n_qubits=2, gates=2), (0, 1))
    """

    n_qubits: int
    gates: list[QuantumGate] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"QuantumCircuit(n_qubits={self.n_qubits}, gates={len(self.gates)})"

    def add_gate(self, gate: QuantumGate) -> None:
        """Append a gate.

        Raises:
            CircuitError: It acts on a qubit that the circuit does not have.
        """
        outside = [qubit for qubit in gate.qubits if not 0 <= qubit < self.n_qubits]
        if outside:
            raise CircuitError(f"gate {gate!r} on qubit {outside[0]}: this circuit has qubits 0 to {self.n_qubits - 1}")
        self.gates.append(gate)

    def depth(self) -> int:
        """The number of layers when each gate starts as soon as its qubits are free, measurements not counted."""
        changed(
            "QuantumCircuit.depth()",
            "is the number of layers of gates that can act together. Q-Store returned the number of gates; that is "
            "len(circuit.gates)",
        )
        return self.to_core().structure.depth

    def gate_count(self) -> dict[GateType, int]:
        """How often each gate occurs.

        >>> create = QuantumCircuit(1, [QuantumGate(GateType.PAULI_X, [0])])
        >>> create.gate_count()
        {<GateType.PAULI_X: 'x'>: 1}
        """
        return dict(Counter(gate.gate_type for gate in self.gates))

    @property
    def measured_qubits(self) -> tuple[int, ...]:
        """The qubits that are read, ascending."""
        marked = {qubit for gate in self.gates if gate.gate_type is GateType.MEASURE for qubit in gate.qubits}
        return tuple(sorted(marked)) or tuple(range(self.n_qubits))

    def to_core(self) -> CoreCircuit:
        """The gates as qstore's immutable circuit; which qubits are read is no part of it.

        Raises:
            CircuitError: A gate acts on a qubit after it was measured, or a gate and its angle do not fit.
        """
        measured: set[int] = set()
        operations = []
        for gate in self.gates:
            if gate.gate_type is GateType.MEASURE:
                measured |= set(gate.qubits)
                continue
            if measured & set(gate.qubits):
                raise CircuitError(f"gate {gate!r} acts after its qubit was measured; measure at the end")
            operations.append(gate.to_core())
        return CoreCircuit(int(self.n_qubits), tuple(operations))

    @classmethod
    def from_core(cls, circuit: CoreCircuit, *, measured: Iterable[int] = ()) -> QuantumCircuit:
        """Q-Store's form of a circuit, with some qubits measured.

        >>> QuantumCircuit.from_core(CoreCircuit(1).rx(0, 0.5)).gates
        [rx(0, params={'angle': 0.5})]
        """
        gates = [_gate(operation) for operation in circuit.operations]
        return cls(circuit.n_qubits, gates + [QuantumGate(GateType.MEASURE, [qubit]) for qubit in measured])


def _gate(operation: Operation) -> QuantumGate:
    known = {kind.value for kind in GateType}
    if operation.name not in known:
        raise CircuitError(f"Q-Store has no gate {operation.name!r}; it has {', '.join(sorted(known))}")
    angle = operation.angle
    value = None if angle is None else angle if angle.terms else angle.offset
    return QuantumGate(GateType(operation.name), list(operation.qubits), None if value is None else {"angle": value})


def as_core(circuit: object) -> tuple[CoreCircuit, tuple[int, ...]]:
    """A circuit of either kind as qstore's, and the qubits that are read.

    >>> as_core(CoreCircuit(2).h(0))[1]
    (0, 1)
    """
    if isinstance(circuit, QuantumCircuit):
        return circuit.to_core(), circuit.measured_qubits
    if isinstance(circuit, CoreCircuit):
        return circuit, tuple(range(circuit.n_qubits))
    raise CircuitError(f"a circuit is a QuantumCircuit, not a {type(circuit).__name__}")
