"""The abstract gate set of the API, `qis`: the gates of a circuit one by one, where it has them, else a few for one.

The provider compiles these circuits itself. Controlled rotations are one `zz`, `|0><0| + |1><1| exp(-i t Z / 2) =
exp(-i t Z / 4) exp(+i t ZZ / 4)`, and the Toffoli gate is five two-qubit gates as in `qstore_ionq.native.rotations`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np

from qstore_core.arrays import FloatArray
from qstore_core.gates import GATES
from qstore_core.observables import MeasurementGroup
from qstore_core.operations import CircuitStructure
from qstore_ionq.native.bound import BoundCircuits
from qstore_ionq.native.documents import Slot
from qstore_ionq.native.pauli_form import seen_by
from qstore_ionq.native.program import QISProgram, Template
from qstore_ionq.native.rotations import Angle, evaluate

Part = tuple[str, tuple[int, ...], float, float]
"""A gate of the API, on which of the qubits, its weight of the angle, and turns."""

_TO_Z: Mapping[str, tuple[str, ...]] = MappingProxyType({"X": ("h",), "Y": ("v",), "Z": ()})


def _table() -> dict[str, tuple[Part, ...]]:
    same = {"sdg": "si", "tdg": "ti", "sx": "v", "p": "rz", "rxx": "xx", "ryy": "yy", "rzz": "zz"}
    names = {name: same.get(name, name) for name in GATES if GATES[name].n_qubits == 1 or name in same}
    table = {
        name: ((gate, tuple(range(GATES[name].n_qubits)), float(GATES[name].has_angle), 0.0),)
        for name, gate in names.items()
    }
    crz: tuple[Part, ...] = (("rz", (1,), 0.5, 0.0), ("zz", (0, 1), -0.5, 0.0))
    h, cnot = _fixed("h", 1), _fixed("cnot", 0, 1)
    return table | {
        "cnot": (cnot,),
        "cz": (h, cnot, h),
        "crz": crz,
        "crx": (h, *crz, h),
        "cry": (_fixed("v", 1), *crz, _fixed("vi", 1)),
        "toffoli": (
            _fixed("h", 2),
            _fixed("t", 1), ("zz", (1, 2), 0.0, -0.125), cnot,
            _fixed("ti", 1), ("zz", (1, 2), 0.0, 0.125), cnot,
            _fixed("t", 0), _fixed("t", 2), ("zz", (0, 2), 0.0, -0.125),
            _fixed("h", 2),
        ),
    }  # fmt: skip


def _fixed(gate: str, *places: int) -> Part:
    return gate, places, 0.0, 0.0


GATE_PARTS: Mapping[str, tuple[Part, ...]] = MappingProxyType(_table())
"""What each gate but SWAP becomes; SWAP relabels qubits."""


@dataclass(frozen=True, slots=True)
class _Gate:
    slot: Slot
    angle: Angle


def compile_qis(structure: CircuitStructure, groups: Sequence[MeasurementGroup]) -> QISProgram:
    """The abstract circuits of a structure, one for each measurement group.

    >>> from qstore_core import Parameter, QuantumCircuit
    >>> circuit = QuantumCircuit(2).ry(0, Parameter("a")).crz(0, 1, Parameter("b"))
    >>> program = compile_qis(circuit.structure, (MeasurementGroup(((0, "X"), (1, "X"))),))
    >>> [gate["gate"] for gate in program.bind([[0.1, 0.2]]).circuit(0, 0)]
    ['ry', 'rz', 'zz', 'h', 'h']
    """
    templates = tuple(_template(structure, group) for group in groups)
    return QISProgram(None, structure.n_qubits, structure.n_angles, templates)


def _template(structure: CircuitStructure, group: MeasurementGroup) -> Template:
    wire_of = list(range(structure.n_qubits))
    gates = (*_body(structure, group, wire_of), *_rotations(group, wire_of))
    slots = tuple(gate.slot for gate in gates)
    return Template(slots, tuple(wire_of[qubit] for qubit in group.qubits), partial(_fill, gates, slots))


def _body(structure: CircuitStructure, group: MeasurementGroup, wire_of: list[int]) -> Iterator[_Gate]:
    """The gates that a group depends on; `wire_of` ends as where each qubit is."""
    seen, columns = seen_by(structure, group)
    column = iter(columns)
    for name, qubits in seen.gates:
        wires = [wire_of[qubit] for qubit in qubits]
        if name == "swap":
            wire_of[qubits[0]], wire_of[qubits[1]] = wires[1], wires[0]
            continue
        angle = Angle(0.0, ((next(column), 1.0),)) if GATES[name].has_angle else Angle()
        for gate, places, weight, turns in GATE_PARTS[name]:
            yield _Gate(Slot(gate, tuple(wires[place] for place in places)), angle * weight + Angle(turns))


def _rotations(group: MeasurementGroup, wire_of: Sequence[int]) -> Iterator[_Gate]:
    for qubit, letter in group.basis:
        for gate in _TO_Z[letter]:
            yield _Gate(Slot(gate, (wire_of[qubit],)), Angle())


def _fill(gates: tuple[_Gate, ...], slots: tuple[Slot, ...], angles: FloatArray) -> BoundCircuits:
    turning = [gate.angle for gate in gates if gate.slot.n_numbers]
    present = np.ones((len(angles), len(slots)), dtype=bool)
    return BoundCircuits(slots, np.ascontiguousarray(evaluate(turning, angles).T), present)
