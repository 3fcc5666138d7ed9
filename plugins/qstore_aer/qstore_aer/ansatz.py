"""Qiskit circuits as ansatze: what `QuantumModel(ansatz=...)` makes of a `qiskit.QuantumCircuit`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from qstore_aer.interop import Conversion
from qstore_core.arrays import FloatArray
from qstore_core.backend import BackendCapabilities
from qstore_core.circuit import QuantumCircuit
from qstore_core.encoding import Encoding


@dataclass(frozen=True, slots=True, eq=False)
class QiskitEncoding(Encoding):
    """Computes the features of a converted circuit, such as `(pi - x0)(pi - x1)`, from the inputs.

    Attributes:
        conversion: The circuit and what its features are.
    """

    conversion: Conversion

    def circuit(self) -> QuantumCircuit:
        """The converted circuit, which takes the features."""
        return self.conversion.circuit

    def encode(self, inputs: FloatArray) -> FloatArray:
        """The features, in the order of the circuit's `features`."""
        columns = dict(zip(self.conversion.inputs, inputs.T, strict=True))
        features = [
            columns[source] if source in columns else _evaluated(source, columns) for source in self.conversion.sources
        ]
        return np.stack(features, axis=1)


class QiskitAnsatz:
    """A Qiskit circuit as an ansatz; its inputs are its encoding, where it has none the model's is put before it.

    Args:
        circuit: A `qiskit.QuantumCircuit`, such as one of `qiskit.circuit.library`.
        inputs: Which of its parameters data fills, in the order of the columns; see `from_qiskit`.

    Raises:
        CircuitError: What `from_qiskit` refuses, except for angles that depend on the inputs in any way.

    >>> from qiskit.circuit.library import real_amplitudes, zz_feature_map
    >>> from qstore_core import QuantumModel
    >>> circuit = zz_feature_map(2, reps=1).compose(real_amplitudes(2, reps=1))
    >>> QuantumModel(2, 2, 1, ansatz=QiskitAnsatz(circuit, inputs=["x"])).n_parameters
    4
    """

    def __init__(self, circuit: Any, inputs: object = None) -> None:
        self.conversion = Conversion.of(circuit, inputs)

    @property
    def encoding(self) -> QiskitEncoding | None:
        """What computes the circuit's features; None when it has none."""
        conversion = self.conversion
        if not conversion.inputs:
            return None
        return QiskitEncoding(len(conversion.inputs), conversion.circuit.n_qubits, conversion)

    def circuit(self, n_qubits: int, depth: int, n_features: int, capabilities: BackendCapabilities) -> QuantumCircuit:
        """The converted circuit, whatever is asked for."""
        return self.conversion.circuit


def _evaluated(expression: Any, columns: dict[Any, FloatArray]) -> FloatArray:
    needed = list(expression.parameters)
    rows = np.stack([columns[parameter] for parameter in needed], axis=1).tolist()
    return np.array([float(expression.bind(dict(zip(needed, row, strict=True)))) for row in rows])
