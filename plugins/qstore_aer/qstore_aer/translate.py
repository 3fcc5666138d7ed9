"""Our structures as Qiskit circuits.

Bit order: our qubit i is Qiskit's qubit i. We read qubit 0 as the most significant bit and Qiskit as the least, so
lists of qubits to be read go to Qiskit backwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from qstore_aer.libraries import qiskit
from qstore_core.gates import GATES
from qstore_core.observables import MeasurementGroup
from qstore_core.operations import CircuitStructure

_RENAMED = {"cnot": "cx", "toffoli": "ccx"}
QISKIT_NAMES: Mapping[str, str] = {name: _RENAMED.get(name, name) for name in GATES}
"""What Qiskit calls each of our gates."""

OUR_NAMES: Mapping[str, str] = {theirs: ours for ours, theirs in QISKIT_NAMES.items()}
"""What we call those of Qiskit's gates that are in our set."""

_INTO_Z = {"X": ("h",), "Y": ("sdg", "h"), "Z": ()}
_OUT_OF_Z = {"X": ("h",), "Y": ("h", "s"), "Z": ()}
_NOISELESS = "basis"  # noise models know gates by label before they know them by name


def qiskit_circuit(structure: CircuitStructure, angles: Iterable[Any]) -> Any:
    """A Qiskit circuit with the given angles, numbers or Qiskit's parameters.

    >>> print(qiskit_circuit(CircuitStructure(2, (("ry", (0,)), ("cnot", (0, 1)))), [0.5]).count_ops()["cx"])
    1
    """
    circuit, values = qiskit.QuantumCircuit(structure.n_qubits), iter(angles)
    for name, qubits in structure.gates:
        angle = (next(values),) if GATES[name].has_angle else ()
        getattr(circuit, QISKIT_NAMES[name])(*angle, *qubits)
    return circuit


def rotate(
    circuit: Any, group: MeasurementGroup, places: Sequence[int], *, noiseless: bool = False, back: bool = False
) -> None:
    """Append the gates after which measuring Z is measuring in the group's basis, or those that undo them.

    Args:
        circuit: The Qiskit circuit.
        group: The basis.
        places: For each of our qubits that of the circuit.
        noiseless: Whether noise models are to leave these gates alone.
        back: Whether to undo the rotations.
    """
    gates = {
        "h": qiskit.circuit.library.HGate,
        "s": qiskit.circuit.library.SGate,
        "sdg": qiskit.circuit.library.SdgGate,
    }
    for qubit, letter in group.basis:
        for name in (_OUT_OF_Z if back else _INTO_Z)[letter]:
            circuit.append(gates[name](label=_NOISELESS if noiseless else None), [places[qubit]])


def read_order(qubits: Sequence[int]) -> list[int]:
    """The qubits in the order in which Qiskit has to read them for the first to be the most significant bit.

    >>> read_order((0, 2))
    [2, 0]
    """
    return list(reversed(qubits))
