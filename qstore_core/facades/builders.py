"""A user's function from parameters to a circuit: called once with symbols where that works, else for each point."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from qstore_core.affine import AffineMap, LinearMap
from qstore_core.angles import Parameter
from qstore_core.arrays import BoolArray, FloatArray, LabelArray
from qstore_core.circuit import QuantumCircuit
from qstore_core.circuit_groups import CircuitGroup, bound_angles, grouped
from qstore_core.errors import CircuitError
from qstore_core.operations import CircuitStructure

CircuitBuilder: TypeAlias = Callable[[Any], QuantumCircuit]
"""Builds a circuit from an array `(n_parameters,)` of floats, or of `Parameter`s, which have no values but can be
added, and scaled by numbers."""

_CLOSE = 1e-12  # angles are sums of a few terms, in one order with numbers and in another with symbols


@dataclass(frozen=True, slots=True, eq=False)
class SymbolicCircuit:
    """What a builder made of symbols.

    Attributes:
        structure: The gates.
        affine: How the parameters, all of them in their order, become angles.
    """

    structure: CircuitStructure
    affine: AffineMap

    @classmethod
    def of(cls, circuit: QuantumCircuit, symbols: Sequence[Parameter]) -> SymbolicCircuit:
        """A circuit whose only open symbols are among `symbols`."""
        angles = [operation.angle for operation in circuit.operations if operation.angle is not None]
        offsets = np.array([angle.offset for angle in angles], dtype=np.float64)
        return cls(circuit.structure, AffineMap(LinearMap.of(angles, ()), LinearMap.of(angles, symbols), offsets))

    def angles(self, points: FloatArray) -> FloatArray:
        """The gate angles `(n_points, n_angles)` at points `(n_points, n_parameters)`."""
        return self.affine.angles(np.empty(0), points, len(points))


@dataclass(frozen=True, slots=True, eq=False)
class BuiltPoints:
    """The circuits of several points, as batches.

    Attributes:
        groups: A batch for each structure.
        active: `(n_parameters,)`, which parameters enter an angle; all of them where that is not known.
        numeric_because: Why the builder was called for each point; None where once with symbols was enough.
    """

    groups: tuple[CircuitGroup, ...]
    active: BoolArray
    numeric_because: str | None


def numeric_circuit(builder: CircuitBuilder, point: FloatArray) -> QuantumCircuit:
    """The circuit at a point `(n_parameters,)`.

    Raises:
        CircuitError: The builder returned something else, or a circuit with open symbols.

    >>> print(numeric_circuit(lambda p: QuantumCircuit(1).ry(0, p[0]), np.array([0.5])))
    0: ─RY(0.5)─
    """
    circuit = _circuit(builder(point.copy()))
    bound_angles(circuit, "the circuit that the builder returned")
    return circuit


def symbolic_circuit(
    builder: CircuitBuilder, points: FloatArray, expected: Sequence[QuantumCircuit]
) -> SymbolicCircuit:
    """The circuit for all parameters at once.

    Args:
        builder: Called once.
        points: `(n_points, n_parameters)`, where the result is compared with what the builder makes of numbers.
        expected: That, for each point.

    Raises:
        CircuitError: The builder cannot be given symbols, or does something else with numbers.

    >>> build = lambda p: QuantumCircuit(1).ry(0, 2 * p[0] + 1)
    >>> points = np.array([[0.5]])
    >>> symbolic_circuit(build, points, [numeric_circuit(build, points[0])]).angles(np.array([[0.0], [1.0]]))
    array([[1.],
           [3.]])
    """
    symbols = Parameter.vector("parameters", points.shape[1])
    try:
        circuit = _circuit(builder(np.array(symbols, dtype=object)))
    except Exception as error:  # whatever a user's function does when it cannot compute with symbols
        reason = f"{type(error).__name__}: {error}"
        raise CircuitError(f"the circuit builder takes numbers only; with symbols it raised {reason}") from error
    made = SymbolicCircuit.of(circuit, symbols)
    for angles, other in zip(made.angles(points), expected, strict=True):
        if made.structure != other.structure or not _agree(angles, bound_angles(other, "the circuit")):
            raise CircuitError("the circuit builder makes another circuit of numbers than of symbols")
    return made


def built_points(builder: CircuitBuilder, points: FloatArray, *, shots: int | None, labels: LabelArray) -> BuiltPoints:
    """The circuits of points `(n_points, n_parameters)`, read over their whole registers.

    The builder is called with the first point and with symbols. Where both agree that was all; else it is called with
    every other point too, and circuits of one structure share a batch.

    Args:
        builder: What builds them.
        points: At least one.
        shots: How often each is run; None for exact probabilities.
        labels: `(n_points,)`, the draw labels.

    >>> build = lambda p: QuantumCircuit(1).ry(0, np.sin(p[0]))
    >>> built = built_points(build, np.array([[0.1], [0.2]]), shots=None, labels=np.arange(2))
    >>> built.groups[0].batch.angles.round(3).tolist(), built.numeric_because[:45]
    ([[0.1], [0.199]], 'the circuit builder takes numbers only; with ')
    """
    first = numeric_circuit(builder, points[0])
    try:
        symbolic = symbolic_circuit(builder, points[:1], [first])
    except CircuitError as error:
        reason = str(error)
    else:
        angles, positions = symbolic.angles(points), np.arange(len(points))
        group = CircuitGroup.of(symbolic.structure, angles, positions, shots=shots, labels=labels)
        return BuiltPoints((group,), symbolic.affine.parameters.used, None)
    circuits = [first, *(numeric_circuit(builder, point) for point in points[1:])]
    return BuiltPoints(tuple(grouped(circuits, shots, labels)), np.ones(points.shape[1], dtype=bool), reason)


def _circuit(made: object) -> QuantumCircuit:
    if not isinstance(made, QuantumCircuit):
        raise CircuitError(f"the circuit builder returned a {type(made).__name__}; it must return a QuantumCircuit")
    return made


def _agree(angles: FloatArray, others: FloatArray) -> bool:
    return np.allclose(angles, others, rtol=_CLOSE, atol=_CLOSE)
