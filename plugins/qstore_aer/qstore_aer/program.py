"""The compiled form of a structure: transpiled circuits, and the variants of them that save or measure something."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from qstore_aer.libraries import qiskit
from qstore_aer.slots import Slots
from qstore_aer.translate import read_order, rotate
from qstore_core.observables import MeasurementGroup, PauliSum


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """A transpiled circuit before anything is read from it.

    Attributes:
        circuit: The Qiskit circuit.
        slots: Its parameters.
        places: For each of our qubits the circuit's qubit that it ends on.
        groups: The measurement groups, by number, that are read after it.
        turned: Whether it ends with the rotations into its group's basis, compiled like every gate; else these are
            done without noise when the group is read.
    """

    circuit: Any
    slots: Slots
    places: tuple[int, ...]
    groups: tuple[int, ...]
    turned: bool

    def at(self, group: MeasurementGroup) -> list[int]:
        """Where the group's qubits are, in the order of the group."""
        return [self.places[qubit] for qubit in group.qubits]


@dataclass(frozen=True, eq=False)
class Program:
    """What `AerBackend.compile` returns.

    Attributes:
        n_qubits: The width of our register.
        groups: The measurement bases.
        bodies: The circuits that are run; every group is read after one of them.
        noise_model: The noise of their gates, if any.
    """

    n_qubits: int
    groups: tuple[MeasurementGroup, ...]
    bodies: tuple[Body, ...]
    noise_model: Any = None
    _observed: dict[tuple[PauliSum, ...], Any] = field(default_factory=dict)

    @property
    def two_qubit_gates(self) -> int:
        """The two-qubit gates of the longest circuit as it runs, SWAPs that routing put in included."""
        return max(sum(len(each.qubits) == 2 for each in body.circuit.data) for body in self.bodies)

    @property
    def active_qubits(self) -> int:
        """How many qubits the widest circuit touches."""
        return max(len({qubit for each in body.circuit.data for qubit in each.qubits}) for body in self.bodies)

    @cached_property
    def probabilities(self) -> tuple[Any, ...]:
        """Each body, with the outcome probabilities of its groups saved as `group<number>`."""
        return tuple(self._saving(body) for body in self.bodies)

    @cached_property
    def outcomes(self) -> tuple[tuple[Any, Slots], ...]:
        """For each group a circuit that measures it, and the circuit's parameters."""
        found = {number: (self._measuring(body, number), body.slots) for body in self.bodies for number in body.groups}
        return tuple(found[number] for number in range(len(self.groups)))

    def expectations(self, observables: tuple[PauliSum, ...]) -> tuple[Any, Slots]:
        """The circuit with each observable, but for its identity part, saved on its own qubits as `value<number>`."""
        (body,) = self.bodies
        if observables not in self._observed:
            circuit = body.circuit.copy()
            for number, observable in enumerate(observables):
                if observable.qubits:
                    places = [body.places[qubit] for qubit in observable.qubits]
                    circuit.save_expectation_value(_operator(observable), places, label=f"value{number}")
            self._observed[observables] = circuit
        return self._observed[observables], body.slots

    def _saving(self, body: Body) -> Any:
        circuit = body.circuit.copy()
        for number in body.groups:
            group = self.groups[number]
            if not body.turned:
                rotate(circuit, group, body.places, noiseless=True)
            circuit.save_probabilities(read_order(body.at(group)), label=f"group{number}")
            if not body.turned:
                rotate(circuit, group, body.places, noiseless=True, back=True)
        return circuit

    def _measuring(self, body: Body, number: int) -> Any:
        circuit, group = body.circuit.copy(), self.groups[number]
        circuit.add_register(qiskit.ClassicalRegister(len(group.basis)))
        if not body.turned:
            rotate(circuit, group, body.places, noiseless=True)
        circuit.measure(read_order(body.at(group)), range(len(group.basis)))
        return circuit


def _operator(observable: PauliSum) -> Any:
    """The observable without its identity part, on its own qubits."""
    index = {qubit: number for number, qubit in enumerate(observable.qubits)}
    terms = [
        ("".join(letter for _, letter in term.letters), [index[qubit] for qubit in term.qubits], term.coefficient)
        for term in observable.terms
        if term.letters
    ]
    return qiskit.quantum_info.SparsePauliOp.from_sparse_list(terms, len(index))
