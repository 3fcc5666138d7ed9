"""Circuits from and to Qiskit, and OpenQASM 3 programs through Qiskit's importer.

Our qubit i is Qiskit's qubit i: only the reading differs. Our bit strings begin with qubit 0, and Qiskit's end with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from qstore_aer.angles import AngleReader
from qstore_aer.libraries import qiskit
from qstore_aer.translate import OUR_NAMES, qiskit_circuit
from qstore_core.angles import Angle, Symbol
from qstore_core.circuit import QuantumCircuit
from qstore_core.errors import CircuitError, ConfigurationError, UnknownNameError
from qstore_core.gates import GATES

_INPUTS = "x"  # what the feature maps of Qiskit's library call theirs


@dataclass(frozen=True, slots=True, eq=False)
class Conversion:
    """A Qiskit circuit as one of ours.

    Attributes:
        circuit: Our circuit.
        inputs: Qiskit's parameters that data fills, in the order of the inputs' columns.
        sources: For each feature of the circuit, in the order of `circuit.features`, Qiskit's expression of the inputs.
    """

    circuit: QuantumCircuit
    inputs: tuple[Any, ...]
    sources: tuple[Any, ...]

    @classmethod
    def of(cls, circuit: Any, inputs: object = None) -> Conversion:
        """Convert a circuit; arguments as for `from_qiskit`."""
        if not isinstance(circuit, qiskit.QuantumCircuit):
            raise ConfigurationError(f"circuit is a qiskit.QuantumCircuit, not a {type(circuit).__name__}")
        chosen = _inputs_of(circuit, inputs)
        reader = AngleReader(chosen)
        converted = QuantumCircuit(circuit.num_qubits)
        plain = _in_our_gates(_without_measurements(circuit))
        for instruction in plain.data:
            name = OUR_NAMES[instruction.operation.name]
            qubits = [plain.find_bit(qubit).index for qubit in instruction.qubits]
            angle = reader.read(instruction.operation.params[0]) if GATES[name].has_angle else None
            converted = converted.append(name, qubits, angle)
        return cls(converted, chosen, tuple(reader.features[feature] for feature in converted.features))


def from_qiskit(circuit: Any, inputs: object = None) -> QuantumCircuit:
    """A Qiskit circuit as one of ours; gates outside our set are decomposed by Qiskit.

    Global phases, barriers and measurements at the end are left out: a model chooses its own readout.

    Args:
        circuit: A `qiskit.QuantumCircuit`, such as one of `qiskit.circuit.library`.
        inputs: Which of its parameters data fills, and become `Feature`s; all others are trained. Names of parameters
            or of parameter vectors, or the objects themselves, one or several; None: those called x or x[0], x[1], ...

    Raises:
        CircuitError: Measurements or resets in the middle, or an angle that is not a weighted sum of its parameters.
        UnknownNameError: An input that the circuit does not have.

    >>> from qiskit.circuit.library import real_amplitudes
    >>> from_qiskit(real_amplitudes(2, reps=1)).n_qubits
    2
    """
    conversion = Conversion.of(circuit, inputs)
    for source in conversion.sources:
        if source not in conversion.inputs:
            raise CircuitError(
                f"an angle depends on the inputs through {source}, and angles are weighted sums: pass the Qiskit "
                "circuit itself as QuantumModel(ansatz=...), whose encoding then computes that"
            )
    return conversion.circuit


def to_qiskit(circuit: QuantumCircuit) -> Any:
    """One of our circuits in Qiskit, its symbols as parameters of the same names.

    >>> from qstore_core import Parameter
    >>> print(to_qiskit(QuantumCircuit(2).ry(0, Parameter("a")).cnot(0, 1)).parameters)
    ParameterView([Parameter(a)])
    """
    symbols: dict[Symbol, Any] = dict.fromkeys((*circuit.features, *circuit.parameters))
    names = [symbol.name for symbol in symbols]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise CircuitError(f"a feature and a parameter are both called {twice!r}, which Qiskit cannot tell apart")
    parameters = {symbol: qiskit.circuit.Parameter(symbol.name) for symbol in symbols}
    angles = (_expression(op.angle, parameters) for op in circuit.operations if op.angle is not None)
    return qiskit_circuit(circuit.structure, angles)


def from_qasm3(text: str, inputs: object = None) -> QuantumCircuit:
    """The circuit of an OpenQASM 3 program, read by Qiskit's importer; `inputs` as for `from_qiskit`.

    >>> program = 'OPENQASM 3.0; include "stdgates.inc"; input float a; qubit[2] q; ry(2 * a) q[0]; cx q[0], q[1];'
    >>> from_qasm3(program).parameters
    (a,)
    """
    from qiskit import qasm3  # here, because its importer is a package of its own

    try:
        circuit = qasm3.loads(text)
    except ImportError as error:
        raise ConfigurationError(
            "OpenQASM 3 needs qiskit-qasm3-import: pip install './plugins/qstore_aer[qasm3]'"
        ) from error
    except qasm3.QASM3ImporterError as error:
        raise CircuitError(f"Qiskit cannot read this OpenQASM 3 program: {' '.join(str(error).split())}") from error
    return from_qiskit(circuit, inputs)


def _expression(angle: Angle, parameters: dict[Symbol, Any]) -> Any:
    total: Any = angle.offset
    for symbol, weight in angle.terms:
        term = parameters[symbol] if weight == 1 else weight * parameters[symbol]
        total = term if not isinstance(total, qiskit.circuit.ParameterExpression) and total == 0 else total + term
    return total


def _without_measurements(circuit: Any) -> Any:
    measured = "measure" in circuit.count_ops()  # without any the gates keep their order
    bare = circuit.remove_final_measurements(inplace=False) if measured else circuit
    kept = bare.copy_empty_like()
    for instruction in bare.data:
        operation = instruction.operation
        if operation.name == "barrier":
            continue
        if not isinstance(operation, qiskit.circuit.Gate):
            raise CircuitError(
                f"the circuit has {operation.name!r} before its end, and a model's circuit is of gates: leave it out"
            )
        kept.append(instruction)
    return kept


def _in_our_gates(circuit: Any) -> Any:
    if {instruction.operation.name for instruction in circuit.data} <= OUR_NAMES.keys():
        return circuit
    try:
        return qiskit.transpile(circuit, basis_gates=sorted(OUR_NAMES), optimization_level=0)
    except qiskit.exceptions.QiskitError as error:
        raise CircuitError(f"Qiskit cannot decompose this circuit: {' '.join(str(error).split())}") from error


def _inputs_of(circuit: Any, inputs: object) -> tuple[Any, ...]:
    if inputs is None:
        return tuple(_named(circuit, _INPUTS))
    one = isinstance(inputs, str | qiskit.circuit.ParameterVector) or not isinstance(inputs, Iterable)
    found = []
    for each in [inputs] if one else cast(Iterable[object], inputs):
        matching = _named(circuit, getattr(each, "name", each))
        if not matching:
            raise UnknownNameError.of("input", getattr(each, "name", each), (p.name for p in circuit.parameters))
        found += matching
    return tuple(dict.fromkeys(found))


def _named(circuit: Any, name: object) -> list[Any]:
    """The circuit's parameters of that name, or of the vector of that name."""
    return [
        parameter
        for parameter in circuit.parameters
        if name in (parameter.name, getattr(getattr(parameter, "vector", None), "name", None))
    ]
