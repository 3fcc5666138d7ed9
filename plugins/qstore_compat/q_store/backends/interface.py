"""What Q-Store calls a backend, and what one says and gives back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from q_store.backends.circuits import GateType, QuantumCircuit
from qstore_core import ExecutionResult as CoreResult


class BackendType(Enum):
    """What kind of thing runs the circuits.

    >>> BackendType("qpu")
    <BackendType.QPU: 'qpu'>
    """

    SIMULATOR = "simulator"
    NOISY_SIMULATOR = "noisy_simulator"
    QPU = "qpu"
    MOCK = "mock"


@dataclass(frozen=True, slots=True)
class ExecutionResult(CoreResult):
    """What one circuit gave on the qubits that were measured.

    >>> ExecutionResult({"00": 30, "11": 70}, {"00": 0.3, "11": 0.7}, 100).most_common(1)
    [('11', 70)]
    """

    def most_common(self, n: int = 5) -> list[tuple[str, int]]:
        """The `n` outcomes that occurred most often, with their counts."""
        return sorted(self.counts.items(), key=lambda item: -item[1])[:n]

    @classmethod
    def of(cls, result: CoreResult, measured: Sequence[int] | None = None) -> ExecutionResult:
        """A result of qstore, reduced to the qubits that were measured; None: all of them.

        >>> whole = CoreResult({"01": 1, "11": 3}, {"01": 0.25, "11": 0.75}, 4)
        >>> ExecutionResult.of(whole, [1]).counts
        {'1': 4}
        """
        counts, probabilities = dict(result.counts), dict(result.probabilities)
        width = len(next(iter(probabilities), ""))
        if measured is not None and tuple(measured) != tuple(range(width)):
            counts, probabilities = _reduced(counts, measured), _reduced(probabilities, measured)
        return cls(counts, probabilities, result.total_shots, dict(result.metadata))


def _reduced(table: dict[str, Any], measured: Sequence[int]) -> dict[str, Any]:
    total: dict[str, Any] = {}
    for bits, value in table.items():
        read = "".join(bits[qubit] for qubit in measured)
        total[read] = total.get(read, 0) + value
    return total


@dataclass
class BackendCapabilities:
    """What a backend can do.

    >>> BackendCapabilities(5, [GateType.RX], BackendType.QPU).supports_gate(GateType.RY)
    False
    """

    max_qubits: int
    supported_gates: list[GateType]
    backend_type: BackendType
    supports_mid_circuit_measurement: bool = False
    supports_reset: bool = False
    max_shots: int = 10000
    native_gate_set: list[GateType] | None = None
    connectivity: list[tuple[int, int]] | None = None

    def supports_gate(self, gate_type: GateType) -> bool:
        """Whether it takes a gate."""
        return gate_type in self.supported_gates


class QuantumBackend(ABC):
    """A backend as Q-Store programs know it. Subclasses of yours train too; their circuits run one by one.

    A backend for qstore itself is a `qstore_core.LocalBackend` or `RemoteBackend`, which gets whole batches.
    """

    @abstractmethod
    async def initialize(self) -> None:
        """Make ready to run."""

    @abstractmethod
    async def execute_circuit(self, circuit: QuantumCircuit, shots: int = 1000, **kwargs: Any) -> ExecutionResult:
        """Run one circuit so many times."""

    @abstractmethod
    def get_capabilities(self) -> BackendCapabilities:
        """What it can do."""

    @abstractmethod
    def get_backend_info(self) -> dict[str, Any]:
        """What it is, by name."""

    @abstractmethod
    async def close(self) -> None:
        """Release what `initialize` acquired."""

    @abstractmethod
    def is_available(self) -> bool:
        """Whether circuits can be given to it."""

    async def validate_circuit(self, circuit: QuantumCircuit) -> bool:
        """Whether it can run a circuit: wide enough, and with every gate."""
        can = self.get_capabilities()
        return circuit.n_qubits <= can.max_qubits and all(can.supports_gate(gate.gate_type) for gate in circuit.gates)

    def optimize_circuit(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """The circuit as it is: qstore makes circuits smaller itself before they run."""
        return circuit

    def estimate_cost(self, circuit: QuantumCircuit, shots: int) -> float:
        """What running a circuit would cost, in US dollars; 0 unless overridden."""
        return 0.0
