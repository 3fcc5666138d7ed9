"""Encodings: how inputs become features, and features angles."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from qstore_core.angles import Feature
from qstore_core.arrays import FloatArray
from qstore_core.circuit import QuantumCircuit
from qstore_core.errors import ConfigurationError, UnknownNameError


@dataclass(frozen=True, slots=True)
class Encoding(ABC):
    """Turns inputs into the features of a circuit with plain NumPy, and says which circuit takes them.

    Attributes:
        input_dim: The number of columns of the inputs.
        n_qubits: The width of the circuit.
    """

    input_dim: int
    n_qubits: int

    @property
    def n_features(self) -> int:
        """How many features it makes from a row of inputs."""
        return len(self.circuit().features)

    @abstractmethod
    def circuit(self) -> QuantumCircuit:
        """The circuit that takes the features, in the order of its `features`."""

    @abstractmethod
    def encode(self, inputs: FloatArray) -> FloatArray:
        """The features of inputs: `(n_rows, input_dim)` to `(n_rows, n_features)`."""


@dataclass(frozen=True, slots=True)
class AngleEncoding(Encoding):
    """Each input is the angle, in radians, of one rotation: input i on qubit i mod n.

    With more inputs than qubits the rest go into further layers, which alternate between RY and RZ so that no two
    inputs merely add up. With fewer, inputs repeat.

    >>> print(AngleEncoding(input_dim=3, n_qubits=2).circuit())
    0: ─RY(x[0])─RZ(x[2])─
    <BLANKLINE>
    1: ─RY(x[1])──────────
    """

    def circuit(self) -> QuantumCircuit:
        """RY on every qubit, then RZ, then RY, as far as there are inputs."""
        inputs = Feature.vector("x", self.input_dim)
        circuit = QuantumCircuit(self.n_qubits)
        for index in range(max(self.input_dim, self.n_qubits)):
            layer, qubit = divmod(index, self.n_qubits)
            circuit = circuit.append(("ry", "rz")[layer % 2], qubit, inputs[index % self.input_dim])
        return circuit

    def encode(self, inputs: FloatArray) -> FloatArray:
        """The inputs as they are."""
        return inputs


@dataclass(frozen=True, slots=True)
class ZZEncoding(Encoding):
    """The second-order Pauli-Z feature map (Havlicek et al., Nature 567, 209, 2019), once, on neighbouring qubits.

    H on every qubit, P(2 x_i) on each, and for neighbours exp(-i (pi - x_i)(pi - x_j) ZZ), which equals the usual
    CNOT - P - CNOT up to a global phase. Inputs repeat when there are fewer than qubits.

    >>> ZZEncoding(input_dim=2, n_qubits=2).encode(np.array([[0.0, np.pi]])).round(3)
    array([[0.   , 3.142, 0.   ]])
    """

    def __post_init__(self) -> None:
        if self.input_dim > self.n_qubits:
            raise ConfigurationError(
                f"encoding='zz' takes at most one input a qubit: {self.input_dim} inputs, {self.n_qubits} qubits; use "
                "encoding='angle', more qubits, or fewer inputs"
            )

    def circuit(self) -> QuantumCircuit:
        """H and P on each qubit, RZZ on each pair of neighbours."""
        inputs = Feature.vector("x", self.input_dim)
        products = Feature.vector("zz", self.n_qubits - 1)
        circuit = QuantumCircuit(self.n_qubits)
        for qubit in range(self.n_qubits):
            circuit = circuit.h(qubit).p(qubit, 2 * inputs[qubit % self.input_dim])
        for qubit, product in enumerate(products):
            circuit = circuit.rzz(qubit, qubit + 1, product)
        return circuit

    def encode(self, inputs: FloatArray) -> FloatArray:
        """The inputs, then `2 (pi - x_i)(pi - x_j)` for each pair of neighbouring qubits."""
        placed = inputs[:, np.arange(self.n_qubits) % self.input_dim]
        products = 2 * (np.pi - placed[:, :-1]) * (np.pi - placed[:, 1:])
        return np.concatenate([inputs, products], axis=1)


ENCODINGS: Mapping[str, type[Encoding]] = {"angle": AngleEncoding, "zz": ZZEncoding}
"""The encodings by name."""


def make_encoding(name: str, input_dim: int, n_qubits: int) -> Encoding:
    """The encoding called `name`.

    >>> make_encoding("angle", 4, 2).n_features
    4
    """
    if name not in ENCODINGS:
        raise UnknownNameError.of("encoding", name, ENCODINGS)
    return ENCODINGS[name](input_dim, n_qubits)
