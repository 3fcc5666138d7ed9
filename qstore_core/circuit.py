"""Circuits as values: a structure (which gates on which qubits) and the angles that go into it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import index
from typing import SupportsIndex, cast

import numpy as np
from numpy.typing import ArrayLike

from qstore_core.affine import AffineMap, LinearMap
from qstore_core.angles import Angle, AngleLike, Feature, Parameter, Symbol, sorted_symbols
from qstore_core.arrays import FloatArray
from qstore_core.circuit_json import operations_from_json, operations_to_json
from qstore_core.drawing import draw
from qstore_core.errors import CircuitError
from qstore_core.gate_methods import GateMethods
from qstore_core.operations import CircuitStructure, Operation
from qstore_core.qasm import operations_to_qasm3


@dataclass(frozen=True)
class QuantumCircuit(GateMethods):
    """An immutable circuit, built by chaining gates; every method returns a new one.

    Gates without an angle: `x y z h s sdg t tdg sx cnot cz swap toffoli`; with one, in radians, as the last argument:
    `rx ry rz p rxx ryy rzz crx cry crz`. `cnot(control, target)`, `crx(control, target, angle)`,
    `toffoli(control, control, target)`; `cx` and `ccx` are `cnot` and `toffoli`. An angle is a number, a `Parameter`,
    a `Feature` or a sum of them with weights.

    Args:
        n_qubits: The width of the register, at least 1. Qubit 0 is the most significant bit of every bit string.
        operations: The gates, usually left out and chained.

    Raises:
        CircuitError: A qubit outside the register or used twice by one gate, an angle that is missing or not finite.

    >>> theta = Parameter("theta")
    >>> circuit = QuantumCircuit(2).ry(0, 2 * theta + 0.5).cnot(0, 1)
    >>> circuit.parameters, circuit.angles(parameters=[0.25])
    ((theta,), array([[1.]]))
    >>> print(circuit)
    0: ─RY(2*theta + 0.5)─●─
                          │
    1: ───────────────────X─
    """

    n_qubits: int
    operations: tuple[Operation, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.n_qubits, int) or isinstance(self.n_qubits, bool) or self.n_qubits < 1:
            raise CircuitError(f"n_qubits is a whole number of at least 1, not {self.n_qubits!r}")
        for operation in self.operations:
            self._check(operation)

    def _check(self, operation: Operation) -> None:
        outside = [qubit for qubit in operation.qubits if not 0 <= qubit < self.n_qubits]
        if outside:
            raise CircuitError(
                f"{operation.name} on qubit {outside[0]}: this circuit has qubits 0 to {self.n_qubits - 1}"
            )

    def append(self, name: str, qubits: int | Sequence[int], angle: AngleLike | None = None) -> QuantumCircuit:
        """The circuit with one more gate, by name.

        >>> QuantumCircuit(2).append("cnot", (0, 1)) == QuantumCircuit(2).cnot(0, 1)
        True
        """
        targets = _whole_numbers(name, qubits if isinstance(qubits, Iterable) else (qubits,))
        operation = Operation(name, targets, None if angle is None else Angle.of(angle))
        self._check(operation)
        return self._with((*self.operations, operation))

    def _with(self, operations: tuple[Operation, ...]) -> QuantumCircuit:
        # every operation was checked when it came in: chaining n gates must not check n * n of them
        circuit = object.__new__(QuantumCircuit)
        object.__setattr__(circuit, "n_qubits", self.n_qubits)
        object.__setattr__(circuit, "operations", operations)
        return circuit

    def compose(self, other: QuantumCircuit, qubits: Sequence[int] | None = None) -> QuantumCircuit:
        """This circuit followed by `other`, whose qubit i is laid on `qubits[i]`.

        >>> QuantumCircuit(3).compose(QuantumCircuit(2).cnot(0, 1), qubits=[2, 0]).operations[0].qubits
        (2, 0)
        """
        places = _whole_numbers("compose", range(other.n_qubits) if qubits is None else qubits)
        if len(places) != other.n_qubits or len(set(places)) != other.n_qubits:
            raise CircuitError(f"compose needs {other.n_qubits} different qubits for the other circuit, not {places}")
        moved = tuple(
            Operation(operation.name, tuple(places[qubit] for qubit in operation.qubits), operation.angle)
            for operation in other.operations
        )
        for operation in moved:
            self._check(operation)
        return self._with(self.operations + moved)

    def bind(self, values: Mapping[Symbol, float]) -> QuantumCircuit:
        """The circuit with some of its symbols replaced by numbers.

        >>> theta = Parameter("theta")
        >>> QuantumCircuit(1).rx(0, theta).bind({theta: 0.5}).parameters
        ()
        """
        unknown = set(values) - {*self.parameters, *self.features}
        if unknown:
            raise CircuitError(f"this circuit has no {', '.join(map(repr, sorted(unknown, key=repr)))} to fill in")
        return self._with(
            tuple(
                Operation(op.name, op.qubits, None if op.angle is None else op.angle.substitute(values))
                for op in self.operations
            )
        )

    @cached_property
    def structure(self) -> CircuitStructure:
        """The gates and their qubits, without angles."""
        return CircuitStructure(self.n_qubits, tuple((op.name, op.qubits) for op in self.operations))

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """The trained symbols, in the order of every parameter vector: by name, numbers in it read as numbers."""
        return cast(tuple[Parameter, ...], self._symbols(Parameter))

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """The symbols that data fills, in the order of the columns of encoded inputs: by name, like `parameters`."""
        return cast(tuple[Feature, ...], self._symbols(Feature))

    def _symbols(self, kind: type[Symbol]) -> tuple[Symbol, ...]:
        return sorted_symbols(s for angle in self._angles for s, _ in angle.terms if isinstance(s, kind))

    @cached_property
    def _angles(self) -> tuple[Angle, ...]:
        return tuple(op.angle for op in self.operations if op.angle is not None)

    @cached_property
    def affine(self) -> AffineMap:
        """The map from features and parameters to gate angles, in array form."""
        angles = self._angles
        offsets = np.array([angle.offset for angle in angles], dtype=np.float64)
        return AffineMap(LinearMap.of(angles, self.features), LinearMap.of(angles, self.parameters), offsets)

    def angles(self, features: ArrayLike = (), parameters: ArrayLike = ()) -> FloatArray:
        """The gate angles for given symbols, `(n_rows, n_angles)` float64, radians.

        Args:
            features: `(n_rows, n_features)` or `(n_features,)`.
            parameters: `(n_rows, n_parameters)` or `(n_parameters,)`.
        """
        data = _columns("features", features, len(self.features))
        weights = _columns("parameters", parameters, len(self.parameters))
        lengths = {len(values) for values in (data, weights) if values.ndim == 2}
        if len(lengths) > 1:
            raise CircuitError(f"features have {len(data)} rows and parameters {len(weights)}; give as many of each")
        return self.affine.angles(data, weights, lengths.pop() if lengths else 1)

    def count_gates(self) -> dict[str, int]:
        """How often each gate occurs.

        >>> QuantumCircuit(2).h(0).h(1).cz(0, 1).count_gates()
        {'h': 2, 'cz': 1}
        """
        return dict(Counter(op.name for op in self.operations))

    def depth(self) -> int:
        """The number of layers when each gate starts as soon as its qubits are free.

        >>> QuantumCircuit(3).h(0).h(2).cnot(0, 1).depth()
        2
        """
        level = [0] * self.n_qubits
        for op in self.operations:
            reached = 1 + max(level[qubit] for qubit in op.qubits)
            for qubit in op.qubits:
                level[qubit] = reached
        return max(level)

    def to_json(self) -> str:
        """The circuit as JSON text, which `from_json` reads back.

        >>> QuantumCircuit.from_json(QuantumCircuit(1).ry(0, Parameter("a")).to_json()).parameters
        (a,)
        """
        return operations_to_json(self.n_qubits, self.operations)

    @staticmethod
    def from_json(text: str) -> QuantumCircuit:
        """The circuit that `to_json` wrote; a `CircuitError` says what is wrong with any other text."""
        return QuantumCircuit(*operations_from_json(text))

    def to_qasm3(self) -> str:
        """The circuit as an OpenQASM 3 program; open symbols become `input float` declarations.

        >>> print(QuantumCircuit(1).h(0).to_qasm3())
        OPENQASM 3.0;
        include "stdgates.inc";
        qubit[1] q;
        h q[0];
        """
        return operations_to_qasm3(self.n_qubits, self.operations)

    def __str__(self) -> str:
        return draw(self.n_qubits, self.operations)


def _whole_numbers(name: str, qubits: Iterable[SupportsIndex]) -> tuple[int, ...]:
    try:
        return tuple(index(qubit) for qubit in qubits)
    except TypeError:
        raise CircuitError(f"{name}: qubits are whole numbers, not {qubits!r}") from None


def _columns(name: str, values: ArrayLike, width: int) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim not in (1, 2) or array.shape[-1] != width:
        raise CircuitError(f"{name} need shape ({width},) or (n_rows, {width}), not {array.shape}")
    if not np.isfinite(array).all():
        raise CircuitError(f"{name} must be finite; found nan or inf")
    return array
