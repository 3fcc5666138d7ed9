"""The compiler to IonQ's gates: a structure is compiled once, then rows of angles are bound to it as arrays.

    structure, group --pauli_form--> rotations about Pauli words        H, S, X, CNOT's local parts, SWAP: gone
                     --schedule----> pulses between two-qubit gates     the fewest for each wire, see `poles`
                     --bind--------> phases of all rows                 frames as arrays, see `frames`
                     --json--------> the gate lists that are sent

The native gates, with phases p and angles a in turns and X(p) = cos(2 pi p) X + sin(2 pi p) Y, are

    GPI(p) = X(p)    GPI2(p) = exp(-i pi X(p) / 4)    ZZ(a) = exp(-i pi a Z Z)    MS(p, q, a) = exp(-i pi a X(p) X(q))

(IonQ's documentation, "Getting started with native gates"). Rotations about Z are no gates at all: they renumber the
phases of what follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from qstore_core.errors import UnknownNameError
from qstore_core.observables import MeasurementGroup
from qstore_core.operations import CircuitStructure
from qstore_ionq.native.binding import bind, slots_of
from qstore_ionq.native.bound import BoundProgram
from qstore_ionq.native.pauli_form import pauli_form
from qstore_ionq.native.poles import FAMILIES, Family
from qstore_ionq.native.program import NativeProgram, Program, QISProgram, Template
from qstore_ionq.native.qis import compile_qis
from qstore_ionq.native.schedule import schedule

__all__ = ["BoundProgram", "Family", "NativeProgram", "Program", "QISProgram", "compile_native", "compile_qis"]


def compile_native(structure: CircuitStructure, groups: Sequence[MeasurementGroup], *, family: Family) -> NativeProgram:
    """The native circuits of a structure, one for each measurement group.

    Args:
        structure: The gates; each group's circuit has those in its light cone.
        groups: The bases to measure in; rotations into them are merged with the last pulses.
        family: The device's two-qubit gate: "zz" (Forte) or "ms" (Aria).

    Raises:
        UnknownNameError: There is no such family.

    >>> from qstore_core import MeasurementGroup, Parameter, QuantumCircuit
    >>> circuit = QuantumCircuit(2).ry(0, Parameter("a")).ry(1, Parameter("b")).rzz(0, 1, Parameter("c")).h(0)
    >>> program = compile_native(circuit.structure, (MeasurementGroup(((0, "Z"), (1, "Y"))),), family="ms")
    >>> program.gate_counts(0)
    (3, 1)
    """
    if family not in FAMILIES:
        raise UnknownNameError.of("family", family, FAMILIES)
    templates = tuple(_template(structure, group, family) for group in groups)
    return NativeProgram(family, structure.n_qubits, structure.n_angles, templates)


def _template(structure: CircuitStructure, group: MeasurementGroup, family: Family) -> Template:
    form = pauli_form(structure, group)
    scheduled = schedule(form, family)
    slots = slots_of(scheduled)
    return Template(slots, tuple(read.wire for read in form.readout), partial(bind, scheduled, slots))
