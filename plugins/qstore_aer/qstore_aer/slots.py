"""The angles of a compiled circuit: each gate's own parameter, and how it follows from the structure's angles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from qstore_aer.angles import slope
from qstore_aer.libraries import qiskit
from qstore_core.arrays import FloatArray
from qstore_core.errors import BackendError


@dataclass(frozen=True, slots=True, eq=False)
class Slots:
    """The open parameters of a Qiskit circuit as an affine function of a structure's angles.

    Qiskit evaluates an expression such as `theta/2 + pi` for each row and gate in Python; here all rows of all gates
    are one matrix product.

    Attributes:
        parameters: The circuit's parameters.
        weights: `(n_angles, n_parameters)` float64.
        offsets: `(n_parameters,)` float64, radians.
    """

    parameters: tuple[Any, ...]
    weights: FloatArray
    offsets: FloatArray

    def binds(self, angles: FloatArray) -> dict[Any, list[float]]:
        """What Aer takes as `parameter_binds` for rows of angles `(n_rows, n_angles)`."""
        values = (angles @ self.weights + self.offsets).T
        return {parameter: column.tolist() for parameter, column in zip(self.parameters, values, strict=True)}


def with_slots(circuit: Any, symbols: tuple[Any, ...]) -> tuple[Any, Slots]:
    """The circuit with a parameter of its own in place of each different expression of `symbols`, and what they mean.

    Raises:
        BackendError: An expression that is not affine in the symbols.
    """
    slots: dict[Any, Any] = {}
    result = circuit.copy_empty_like()
    result.global_phase = 0  # it changes no probability, and would have to be bound
    for instruction in circuit.data:
        result.append(_slotted(instruction.operation, slots), instruction.qubits, instruction.clbits)
    weights, offsets = np.zeros((len(symbols), len(slots))), np.zeros(len(slots))
    places = {symbol: index for index, symbol in enumerate(symbols)}
    for column, expression in enumerate(slots):
        offsets[column] = _offset(expression)
        for symbol in expression.parameters:
            weights[places[symbol], column] = _weight(expression, symbol)
    return result, Slots(tuple(slots.values()), weights, offsets)


def _slotted(operation: Any, slots: dict[Any, Any]) -> Any:
    if not operation.is_parameterized():
        return operation
    params = []
    for value in operation.params:
        if isinstance(value, qiskit.circuit.ParameterExpression) and value.parameters:
            value = slots.setdefault(value, qiskit.circuit.Parameter(f"slot{len(slots)}"))
        params.append(value)
    mutable = operation.to_mutable()
    mutable.params = params
    return mutable


def _offset(expression: Any) -> float:
    return float(expression.bind(dict.fromkeys(expression.parameters, 0.0)))


def _weight(expression: Any, symbol: Any) -> float:
    weight = slope(expression, symbol)
    if weight is None:
        raise BackendError(
            f"Qiskit compiled a gate's angle to {expression}, which is not a weighted sum of the circuit's angles; use "
            "a target with RZ among its gates"
        )
    return weight
