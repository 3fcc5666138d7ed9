"""Ansatze: trained circuits of a chosen width and depth, and the entanglers they are built with."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar, Protocol

from qstore_core.angles import Parameter
from qstore_core.backend import BackendCapabilities
from qstore_core.circuit import QuantumCircuit
from qstore_core.encoding import AngleEncoding, Encoding
from qstore_core.errors import CapabilityError, ConfigurationError, UnknownNameError

Pairs = tuple[tuple[int, int], ...]


class Ansatz(Protocol):
    """Builds the whole circuit of a model: encoding and trained gates."""

    def circuit(self, n_qubits: int, depth: int, n_features: int, capabilities: BackendCapabilities) -> QuantumCircuit:
        """A circuit of `n_qubits` with `n_features` features, named in the order of the columns, and its parameters."""
        ...


@dataclass(frozen=True, slots=True)
class _LayeredAnsatz:
    """Encoding, then `depth` layers of rotations on every qubit and CNOTs on pairs of qubits.

    Attributes:
        entanglement: Which pairs: "linear", "circular", "full" or "hardware_aware".
        encoding: Where the features go; None is one angle for each feature.
        reuploading: Whether the encoding is repeated before every layer (Perez-Salinas et al., Quantum 4, 226, 2020).
    """

    entanglement: str = "linear"
    encoding: Encoding | None = None
    reuploading: bool = False
    rotations: ClassVar[tuple[str, ...]]

    def circuit(self, n_qubits: int, depth: int, n_features: int, capabilities: BackendCapabilities) -> QuantumCircuit:
        """The circuit; its parameters are `theta[0]`, `theta[1]`, ... layer by layer, qubit by qubit."""
        if depth < 1:
            raise ConfigurationError(f"depth is at least 1, not {depth}")
        pairs = entangling_pairs(self.entanglement, n_qubits, capabilities)
        encoding = (self.encoding or AngleEncoding(n_features, n_qubits)).circuit() if n_features else None
        theta = iter(Parameter.vector("theta", len(self.rotations) * n_qubits * depth))
        circuit = QuantumCircuit(n_qubits)
        for layer in range(depth):
            if encoding and (layer == 0 or self.reuploading):
                circuit = circuit.compose(encoding)
            for qubit in range(n_qubits):
                for gate in self.rotations:
                    circuit = circuit.append(gate, qubit, next(theta))
            for control, target in pairs:
                circuit = circuit.cnot(control, target)
        return circuit


@dataclass(frozen=True, slots=True)
class HardwareEfficientAnsatz(_LayeredAnsatz):
    """RY and RZ on every qubit, then CNOTs: `2 * n_qubits * depth` parameters (Kandala et al., Nature 549, 242, 2017).

    >>> capabilities = BackendCapabilities(max_qubits=2)
    >>> print(HardwareEfficientAnsatz().circuit(2, 1, 0, capabilities))
    0: ─RY(theta[0])─RZ(theta[1])─●─
                                  │
    1: ─RY(theta[2])─RZ(theta[3])─X─
    """

    rotations: ClassVar[tuple[str, ...]] = ("ry", "rz")


@dataclass(frozen=True, slots=True)
class RotationAnsatz(_LayeredAnsatz):
    """RX, RY and RZ on every qubit, then CNOTs: `3 * n_qubits * depth` parameters, the layer of Q-Store v3.2.

    >>> len(RotationAnsatz().circuit(4, 2, 4, BackendCapabilities(max_qubits=4)).parameters)
    24
    """

    rotations: ClassVar[tuple[str, ...]] = ("rx", "ry", "rz")


ANSATZ_KINDS: Mapping[str, type[_LayeredAnsatz]] = {
    "hardware_efficient": HardwareEfficientAnsatz,
    "rotations": RotationAnsatz,
}
"""The built-in layered ansatze by name."""


def _linear(n_qubits: int) -> Pairs:
    return tuple((qubit, qubit + 1) for qubit in range(n_qubits - 1))


def _circular(n_qubits: int) -> Pairs:
    return _linear(n_qubits) + (((n_qubits - 1, 0),) if n_qubits > 2 else ())


def _full(n_qubits: int) -> Pairs:
    return tuple(combinations(range(n_qubits), 2))


_PATTERNS = {"linear": _linear, "circular": _circular, "full": _full}
ENTANGLEMENTS: Mapping[str, str] = {
    "linear": "each qubit with the next",
    "circular": "each with the next, and the last with the first",
    "full": "every pair",
    "hardware_aware": "pairs that the backend connects: a tree over its coupling map, so that no SWAP is needed",
}
"""The entanglement patterns by name, with what they mean."""


def entangling_pairs(entanglement: str, n_qubits: int, capabilities: BackendCapabilities) -> Pairs:
    """The (control, target) pairs of one entangling layer.

    Raises:
        CapabilityError: "hardware_aware" on a backend whose first `n_qubits` qubits are not connected.

    >>> entangling_pairs("circular", 3, BackendCapabilities(max_qubits=3))
    ((0, 1), (1, 2), (2, 0))
    >>> star = BackendCapabilities(max_qubits=3, connectivity=frozenset({(0, 2), (1, 2)}))
    >>> entangling_pairs("hardware_aware", 3, star)
    ((0, 2), (2, 1))
    """
    if entanglement not in ENTANGLEMENTS:
        raise UnknownNameError.of("entanglement", entanglement, ENTANGLEMENTS)
    if entanglement == "hardware_aware" and capabilities.connectivity is not None:
        return _spanning_tree(n_qubits, capabilities)
    return _PATTERNS.get(entanglement, _linear)(n_qubits)


def _spanning_tree(n_qubits: int, capabilities: BackendCapabilities) -> Pairs:
    """The edges of a breadth-first tree from qubit 0: the fewest gates that entangle all qubits, at the least depth."""
    reached, pairs, queue = {0}, [], deque([0])
    while queue:
        qubit = queue.popleft()
        for other in range(n_qubits):
            if other not in reached and capabilities.connects(qubit, other):
                reached.add(other)
                pairs.append((qubit, other))
                queue.append(other)
    missing = sorted(set(range(n_qubits)) - reached)
    if missing:
        raise CapabilityError(
            f"the backend does not connect qubit(s) {', '.join(map(str, missing))} to qubit 0 within the first "
            f"{n_qubits}; use fewer qubits or another entanglement"
        )
    return tuple(pairs)
