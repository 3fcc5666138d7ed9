"""What circuits are compiled for: a simulator's own gates, or a device's gates and connections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from qstore_aer.hardware import Hardware
from qstore_aer.libraries import qiskit
from qstore_aer.program import Body
from qstore_aer.slots import with_slots
from qstore_aer.translate import QISKIT_NAMES, qiskit_circuit, rotate
from qstore_core.errors import CapabilityError
from qstore_core.observables import MeasurementGroup
from qstore_core.operations import CircuitStructure

Groups = tuple[MeasurementGroup, ...]


class Target(Protocol):
    """Turns a structure into the circuits that run."""

    def bodies(self, structure: CircuitStructure, groups: Groups) -> tuple[Body, ...]:
        """The circuits; every group is read after one of them."""
        ...


@dataclass(frozen=True, slots=True)
class SimulatorTarget:
    """A simulator that runs our gates as they are: one circuit, whose groups are all read from its last state.

    Attributes:
        basis: The gates that it knows; others are written in terms of these.
    """

    basis: frozenset[str]

    def bodies(self, structure: CircuitStructure, groups: Groups) -> tuple[Body, ...]:
        """One circuit for all groups."""
        symbols, circuit = _open(structure)
        if not {QISKIT_NAMES[name] for name, _ in structure.gates} <= self.basis:
            circuit = qiskit.transpile(circuit, basis_gates=sorted(self.basis), optimization_level=0)
        places = tuple(range(structure.n_qubits))
        return (Body(*with_slots(circuit, symbols), places, tuple(range(len(groups))), turned=False),)


@dataclass(frozen=True, slots=True)
class GateSetTarget:
    """Gates with the noise of a device but no coupling map: a circuit for each group, its rotations compiled too.

    Attributes:
        basis: The gates that circuits are compiled to.
    """

    basis: tuple[str, ...]

    def bodies(self, structure: CircuitStructure, groups: Groups) -> tuple[Body, ...]:
        """A circuit for each group."""
        return _compiled(structure, groups, {"basis_gates": list(self.basis)}, None)


@dataclass(frozen=True, slots=True)
class HardwareTarget:
    """A device: circuits are compiled to its gates, between the qubits that it connects.

    Attributes:
        hardware: The device.
    """

    hardware: Hardware

    def bodies(self, structure: CircuitStructure, groups: Groups) -> tuple[Body, ...]:
        """A circuit for each group, on the device's own qubits."""
        part = self.hardware.part(structure.n_qubits)
        options = {"target": part, "initial_layout": list(range(structure.n_qubits))}
        return _compiled(structure, groups, options, self.hardware)


def _open(structure: CircuitStructure) -> tuple[tuple[Any, ...], Any]:
    symbols = tuple(qiskit.circuit.ParameterVector("angle", structure.n_angles))
    return symbols, qiskit_circuit(structure, symbols)


def _compiled(
    structure: CircuitStructure, groups: Groups, options: dict[str, Any], hardware: Hardware | None
) -> tuple[Body, ...]:
    symbols, plain = _open(structure)
    bodies = []
    for number, group in enumerate(groups):
        circuit = plain.copy()
        rotate(circuit, group, range(structure.n_qubits))
        try:
            circuit = qiskit.transpile(circuit, optimization_level=1, seed_transpiler=0, **options)
        except (qiskit.exceptions.QiskitError, KeyError) as error:
            raise CapabilityError(
                f"Qiskit cannot compile this circuit of {', '.join(sorted({name for name, _ in structure.gates}))} for "
                f"the target: {str(error).strip() or type(error).__name__}; use a noise model whose basis_gates are "
                "universal"
            ) from error
        places = _places(circuit, structure.n_qubits)
        if hardware is not None:
            circuit, places = hardware.place(circuit, places)
        bodies.append(Body(*with_slots(circuit, symbols), places, (number,), turned=True))
    return tuple(bodies)


def _places(circuit: Any, n_qubits: int) -> tuple[int, ...]:
    layout = circuit.layout
    return tuple(range(n_qubits)) if layout is None else tuple(layout.final_index_layout())[:n_qubits]
