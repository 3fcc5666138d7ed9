"""Between Q-Store's backends and qstore's: each can be had as the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from q_store.backends.circuits import INTO_Z, GateType, QuantumCircuit, QuantumGate, as_core
from q_store.backends.interface import BackendCapabilities, BackendType, ExecutionResult, QuantumBackend
from q_store.changes import changed
from q_store.randomness import program_seed
from qstore_core import Backend, BatchResult, CircuitBatch, CircuitBatchManager, Counts, LocalBackend, RemoteBackend
from qstore_core import BackendCapabilities as CoreCapabilities
from qstore_core import __version__ as core_version
from qstore_core.arrays import FloatArray
from qstore_core.circuit_groups import bound_angles
from qstore_core.errors import ConfigurationError
from qstore_core.gates import GATES
from qstore_core.measurement import register_group
from qstore_core.observables import MeasurementGroup
from qstore_core.operations import CircuitStructure

_UNLIMITED = 2**31 - 1


class CoreBackend(QuantumBackend):
    """A backend of qstore under Q-Store's interface.

    Attributes:
        core: The backend, for everything in `qstore_core`.
        name: What `get_backend_info` calls it.

    >>> import asyncio
    >>> from q_store.backends import create_bell_state_circuit
    >>> from qstore_core import get_backend
    >>> backend = CoreBackend(get_backend("mock"))
    >>> result = asyncio.run(backend.execute_circuit(create_bell_state_circuit(), shots=100))
    >>> sorted(result.counts), result.total_shots
    (['00', '11'], 100)
    """

    def __init__(self, core: Backend, name: str | None = None) -> None:
        self.core = core
        self.name = core.name if name is None else name
        self._is_open = False
        self._executions = 0
        self._manager: CircuitBatchManager | None = None

    async def initialize(self) -> None:
        """Open the backend."""
        if not self._is_open:
            await self.core.open()
            self._is_open = True

    async def close(self) -> None:
        """Close it."""
        if self._is_open:
            await self.core.close()
            self._is_open = False

    async def execute_circuit(self, circuit: QuantumCircuit, shots: int = 1000, **kwargs: Any) -> ExecutionResult:
        """Run one circuit; None shots is exact, where the backend can."""
        if kwargs:
            changed("execute_circuit(...)", f"takes no options: {', '.join(sorted(kwargs))} is not used")
        await self.initialize()
        core, measured = as_core(circuit)
        (result,) = await self._circuits().execute_batch([core], shots)
        self._executions += 1
        return ExecutionResult.of(result, measured)

    def get_capabilities(self) -> BackendCapabilities:
        """What it can do, in Q-Store's words."""
        can = self.core.capabilities
        gates = [kind for kind in GateType if kind is GateType.MEASURE or kind.value in can.gates]
        return BackendCapabilities(
            max_qubits=can.max_qubits,
            supported_gates=gates,
            backend_type=_kind(self.core),
            max_shots=_UNLIMITED if can.max_shots is None else can.max_shots,
            connectivity=None if can.connectivity is None else sorted(can.connectivity),
        )

    def get_backend_info(self) -> dict[str, Any]:
        """What it is; `executions` counts the calls of `execute_circuit`, not the circuits of training."""
        kind, is_remote = _kind(self.core).value, isinstance(self.core, RemoteBackend)
        return {
            "name": self.name,
            "type": kind,
            "backend_type": kind,
            "provider": self.core.name.partition(".")[0],
            "version": core_version,
            "max_qubits": self.core.capabilities.max_qubits,
            "status": "not asked" if is_remote else "available",
            "queue_depth": None if is_remote else 0,
            "executions": self._executions,
        }

    def is_available(self) -> bool:
        """True: whether a provider is up is found out by the first job."""
        return True

    def estimate_cost(self, circuit: QuantumCircuit, shots: int) -> float:
        """What running a circuit as a job of its own would cost, in US dollars, on the dearer reading."""
        core, _ = as_core(circuit)
        batch = CircuitBatch(
            core.structure, bound_angles(core, "the circuit")[None], None, shots, np.zeros(1, np.uint64)
        )
        return self.core.price(self.core.compile(batch.structure, batch.groups), batch).usd_high

    def _circuits(self) -> CircuitBatchManager:
        if self._manager is None:
            self._manager = CircuitBatchManager(self.core, seed=program_seed())
        return self._manager


class RowByRow(LocalBackend):
    """A backend of a Q-Store program under qstore's interface: a call of `execute_circuit` for each row and basis.

    Attributes:
        backend: The program's own.
    """

    def __init__(self, backend: QuantumBackend) -> None:
        self.backend = backend
        can = backend.get_capabilities()
        self.capabilities = CoreCapabilities(
            max_qubits=can.max_qubits,
            gates=frozenset(kind.value for kind in can.supported_gates if kind is not GateType.MEASURE),
            connectivity=None if can.connectivity is None else frozenset((a, b) for a, b in can.connectivity),
            max_shots=can.max_shots,
            exact=False,
            noisy=can.backend_type not in (BackendType.SIMULATOR, BackendType.MOCK),
            seedable=False,
        )
        self.fingerprint = f"{type(backend).__name__}({id(backend)})"

    async def open(self) -> None:
        """Initialise the program's backend."""
        await self.backend.initialize()

    async def close(self) -> None:
        """Close it."""
        await self.backend.close()

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        """Run every row in every basis, one circuit after the other."""
        self.capabilities.check(batch, backend=self.name)
        assert batch.shots is not None  # it has no exact results, which `check` said
        counts = []
        for group in batch.groups or (register_group(batch.structure.n_qubits),):
            rows = [await self._count(batch.structure, angles, group, batch.shots) for angles in batch.angles]
            counts.append(Counts.from_dicts(rows))
        return BatchResult(counts=tuple(counts))

    async def _count(
        self, structure: CircuitStructure, angles: FloatArray, group: MeasurementGroup, shots: int
    ) -> dict[str, int]:
        result = await self.backend.execute_circuit(measured_circuit(structure, angles, group), shots=shots)
        return {bits: int(count) for bits, count in result.counts.items()}


def measured_circuit(
    structure: CircuitStructure, angles: Sequence[float] | FloatArray, group: MeasurementGroup
) -> QuantumCircuit:
    """A circuit of Q-Store with these angles, read in a basis.

    >>> structure = CircuitStructure(1, (("rx", (0,)),))
    >>> measured_circuit(structure, [0.5], MeasurementGroup(((0, "X"),))).gates
    [rx(0, params={'angle': 0.5}), ry(0, params={'angle': -1.5707963267948966}), measure(0)]
    """
    circuit, values = QuantumCircuit(structure.n_qubits), iter(angles)
    for name, qubits in structure.gates:
        angle = {"angle": float(next(values))} if GATES[name].has_angle else None
        circuit.add_gate(QuantumGate(GateType(name), list(qubits), angle))
    for qubit, letter in group.basis:
        if letter in INTO_Z:
            kind, turn = INTO_Z[letter]
            circuit.add_gate(QuantumGate(kind, [qubit], {"angle": turn}))
    for qubit in group.qubits:
        circuit.add_gate(QuantumGate(GateType.MEASURE, [qubit]))
    return circuit


def core_backend(backend: object) -> Backend:
    """The backend of qstore that stands for a backend of either kind.

    >>> from qstore_core import get_backend
    >>> core_backend(CoreBackend(get_backend("mock"))).name
    'mock'
    """
    if isinstance(backend, Backend):
        return backend
    if isinstance(backend, CoreBackend):
        return backend.core
    if isinstance(backend, QuantumBackend):
        return RowByRow(backend)
    raise ConfigurationError(
        f"a backend is what BackendManager.get_backend() returns, a QuantumBackend or a backend of qstore_core, not "
        f"{type(backend).__name__}"
    )


def _kind(core: Backend) -> BackendType:
    if core.name == "mock":
        return BackendType.MOCK
    if core.name.endswith(".qpu"):
        return BackendType.QPU
    return BackendType.NOISY_SIMULATOR if core.capabilities.noisy else BackendType.SIMULATOR
