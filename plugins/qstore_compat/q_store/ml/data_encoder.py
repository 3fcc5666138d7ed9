"""Q-Store's encodings of a row of numbers as a circuit."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from q_store.backends.circuit_builder import CircuitBuilder, amplitude_encode_to_circuit
from q_store.backends.circuits import INTO_Z, QuantumCircuit, QuantumGate
from q_store.changes import changed
from qstore_core.arrays import FloatArray
from qstore_core.errors import ConfigurationError, UnknownNameError

_KINDS: Mapping[str, str] = MappingProxyType(
    {"ZZFeatureMap": "zz", "PauliFeatureMap": "pauli", "zz": "zz", "pauli": "pauli"}
)


class QuantumDataEncoder:
    """Circuits from rows of numbers.

    Args:
        encoding_type: "amplitude", "angle" or "basis": what `encode` does.

    >>> QuantumDataEncoder("basis").encode([0.9, 0.1]).gates
    [x(0)]
    """

    def __init__(self, encoding_type: str = "amplitude") -> None:
        kinds = ("amplitude", "angle", "basis")
        if encoding_type not in kinds:
            raise UnknownNameError.of("encoding_type", encoding_type, kinds)
        self.encoding_type = encoding_type

    def amplitude_encode(self, data: ArrayLike, normalize: bool = True) -> QuantumCircuit:
        """The state whose amplitudes are the entries of `data`, filled up with zeros to a power of 2.

        Args:
            data: Real numbers, not all 0.
            normalize: Whether they are scaled to a norm of 1; else it must be 1 already.
        """
        changed(
            "QuantumDataEncoder.amplitude_encode(...)",
            "prepares the amplitudes exactly, with 2**n_qubits - 1 rotations between CNOTs. Q-Store turned "
            "each qubit by one entry and added CNOTs, which is another state",
        )
        values = _row(data)
        norm = float(np.linalg.norm(values))
        if not normalize and not np.isclose(norm, 1):
            raise ConfigurationError(f"amplitudes have norm 1, not {norm:.6g}; use normalize=True")
        return amplitude_encode_to_circuit(values)

    def angle_encode(self, data: ArrayLike, n_qubits: int | None = None) -> QuantumCircuit:
        """RY(x pi) on a qubit for each entry, then a chain of CNOTs; further entries than qubits are left out."""
        values = _row(data)
        width = len(values) if n_qubits is None else n_qubits
        builder = CircuitBuilder(width)
        for qubit, value in enumerate(values[:width]):
            builder.ry(qubit, float(value * np.pi))
        for qubit in range(width - 1):
            builder.cnot(qubit, qubit + 1)
        return builder.build()

    def basis_encode(self, data: ArrayLike, threshold: float = 0.5) -> QuantumCircuit:
        """The basis state with a 1 where an entry is above the threshold."""
        values = _row(data)
        builder = CircuitBuilder(len(values))
        for qubit in np.flatnonzero(values > threshold):
            builder.x(int(qubit))
        return builder.build()

    def encode(self, data: ArrayLike, n_qubits: int | None = None) -> QuantumCircuit:
        """The circuit for one row; `n_qubits` is for angles."""
        if self.encoding_type == "angle":
            return self.angle_encode(data, n_qubits)
        return self.amplitude_encode(data) if self.encoding_type == "amplitude" else self.basis_encode(data)

    def encode_batch(self, batch: ArrayLike, n_qubits: int | None = None) -> list[QuantumCircuit]:
        """The circuits for rows `(n_rows, n_columns)`."""
        return [self.encode(row, n_qubits) for row in np.asarray(batch)]


class QuantumFeatureMap:
    """Circuits in which products of the entries of a row are angles.

    Args:
        n_qubits: The width; a missing entry counts as 0, further ones are left out.
        feature_map_type: "ZZFeatureMap" or "zz", "PauliFeatureMap" or "pauli": what `map_features` does.

    >>> QuantumFeatureMap(2).zz_feature_map([0.5, 2.0], reps=1).gates[4:]
    [cnot(0,1), rz(1, params={'angle': 1.0}), cnot(0,1)]
    """

    def __init__(self, n_qubits: int, feature_map_type: str = "ZZFeatureMap") -> None:
        if feature_map_type not in _KINDS:
            raise UnknownNameError.of("feature_map_type", feature_map_type, _KINDS)
        self.n_qubits = n_qubits
        self.feature_map_type = feature_map_type

    def zz_feature_map(self, data: ArrayLike, reps: int = 2) -> QuantumCircuit:
        """`reps` times: H on every qubit, RZ(x_i) on each, and exp(-i x_i x_j ZZ / 2) on neighbours."""
        values, builder = self._entries(data), CircuitBuilder(self.n_qubits)
        for _ in range(reps):
            self._spread(builder)
            _rotate(builder, values, "Z")
            _rotate(builder, values, "ZZ")
        return builder.build()

    def pauli_feature_map(self, data: ArrayLike, paulis: str = "ZZ") -> QuantumCircuit:
        """H on every qubit, then exp(-i x_i x_j ... P / 2) on every run of neighbours as long as the Pauli word P.

        Args:
            data: The row.
            paulis: A word of X, Y and Z; "ZZ" is `zz_feature_map`.
        """
        if paulis == "ZZ":
            return self.zz_feature_map(data)
        if not paulis or set(paulis) - {"X", "Y", "Z"} or len(paulis) > self.n_qubits:
            raise ConfigurationError(f"paulis is a word of 1 to {self.n_qubits} letters X, Y and Z, not {paulis!r}")
        if paulis != "Z":
            changed(
                "QuantumFeatureMap.pauli_feature_map(...)",
                "rotates about the word that is asked for. Q-Store rotated about Z whatever the word, except for ZZ",
            )
        builder = CircuitBuilder(self.n_qubits)
        self._spread(builder)
        _rotate(builder, self._entries(data), paulis)
        return builder.build()

    def map_features(self, data: ArrayLike) -> QuantumCircuit:
        """The circuit for one row by the chosen map."""
        return self.zz_feature_map(data) if _KINDS[self.feature_map_type] == "zz" else self.pauli_feature_map(data)

    def _entries(self, data: ArrayLike) -> FloatArray:
        values = _row(data)[: self.n_qubits]
        return np.pad(values, (0, self.n_qubits - len(values)))

    def _spread(self, builder: CircuitBuilder) -> None:
        for qubit in range(self.n_qubits):
            builder.h(qubit)


def _rotate(builder: CircuitBuilder, values: FloatArray, word: str) -> None:
    """exp(-i product P / 2) for the word on every run of neighbours, with the product of their entries."""
    size = len(word)
    for first in range(len(values) - size + 1):
        places = range(first, first + size)
        _turn(builder, word, first, 1.0)
        for qubit in places[:-1]:
            builder.cnot(qubit, qubit + 1)
        builder.rz(places[-1], float(np.prod(values[first : first + size])))
        for qubit in reversed(places[:-1]):
            builder.cnot(qubit, qubit + 1)
        _turn(builder, word, first, -1.0)


def _turn(builder: CircuitBuilder, word: str, first: int, sign: float) -> None:
    """Turn every letter into Z, or with sign -1 back."""
    for qubit, letter in enumerate(word, start=first):
        if letter in INTO_Z:
            kind, angle = INTO_Z[letter]
            builder.circuit.add_gate(QuantumGate(kind, [qubit], {"angle": sign * angle}))


def _row(data: ArrayLike) -> FloatArray:
    values = np.asarray(data)
    if values.ndim != 1 or not len(values) or values.dtype.kind not in "iufb" or not np.isfinite(values).all():
        raise ConfigurationError(f"data is one row of finite numbers, not {values!r:.60}")
    return values.astype(np.float64)
