"""The backend `aer`: Qiskit Aer's simulators for whole batches, exact and sampled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from qstore_aer.noise import Misreading, restricted
from qstore_aer.program import Body, Program
from qstore_aer.runner import AerRunner
from qstore_aer.settings import Settings
from qstore_aer.targets import SimulatorTarget, Target
from qstore_core.arrays import FloatArray
from qstore_core.backend import BackendCapabilities, LocalBackend
from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.counts import Counts
from qstore_core.errors import CapabilityError
from qstore_core.observables import MeasurementGroup
from qstore_core.operations import CircuitStructure
from qstore_core.randomness import combine
from qstore_core.sampling import sample

_ROW_BYTES = 8192  # a row's angles and the Python objects of its result


class AerBackend(LocalBackend):
    """The simulators of Qiskit Aer: a structure is transpiled once, and every row of a batch runs in one Aer job.

    Sampled rows are functions of their draw labels, so that results do not depend on how rows are split: where the
    probabilities of the measured qubits fit in a table, Aer computes them and shots are drawn from them by label; where
    they do not (over 20 measured qubits, 12 for matrix_product_state and stabilizer), every row is an Aer run of its
    own, seeded by its label.

    Args:
        method: "automatic" (statevector), "statevector", "density_matrix", "matrix_product_state" or "stabilizer".
        device: "CPU" or "GPU"; the latter needs qiskit-aer-gpu.
        precision: "double" or "single".
        threads: The most threads; None: one for circuits of few qubits, else all.
        memory_bytes: The bound on a state and the results of the rows that run together; None: half of the machine's.
            It sets the widest circuit.

    Raises:
        ConfigurationError: An option with a value that is not permitted.
        CapabilityError: A GPU was asked for and there is none.

    >>> import asyncio
    >>> from qstore_core import PauliString, QuantumCircuit
    >>> circuit = QuantumCircuit(2).h(0).cnot(0, 1)
    >>> batch = CircuitBatch(circuit.structure, circuit.angles(), (PauliString("Z0 Z1"),))
    >>> backend = AerBackend()
    >>> result = asyncio.run(backend.execute(batch, backend.compile(batch.structure, batch.groups)))
    >>> result.expectations.round(12)
    array([[1.]])
    """

    def __init__(
        self,
        *,
        method: str = "automatic",
        device: str = "CPU",
        precision: str = "double",
        threads: int | None = None,
        memory_bytes: int | None = None,
    ) -> None:
        settings = Settings.of(method, device, precision, threads, memory_bytes, noisy=False)
        described = [] if settings.method == "statevector" else [f"method={settings.method}"]
        described += [] if precision == "double" else [f"precision={precision}"]
        fingerprint = f"aer({', '.join(described)})" if described else "aer"
        capabilities = BackendCapabilities(
            max_qubits=settings.widest, gates=settings.our_gates(), width_limit=settings.width_limit
        )
        self._prepare(settings, SimulatorTarget(settings.gates()), capabilities, fingerprint)

    def _prepare(self, settings: Settings, target: Target, capabilities: BackendCapabilities, fingerprint: str) -> None:
        """Set what both backends have."""
        self.capabilities = capabilities
        self.fingerprint = fingerprint
        self.settings = settings
        self.noise_model: Any = None
        self._target = target
        self._runner = AerRunner(settings)
        self._misreading: Misreading | None = None

    def _add_noise(self, model: Any) -> None:
        self.noise_model = model
        self._misreading = Misreading.of(model)

    def compile(self, structure: CircuitStructure, groups: tuple[MeasurementGroup, ...]) -> Program:
        """The structure as transpiled circuits, bound to no row yet."""
        if structure.n_qubits > self.capabilities.max_qubits:  # which a device's own compiler says in other words
            raise CapabilityError(
                f"the circuit has {structure.n_qubits} qubits and backend {self.name!r} at most "
                f"{self.capabilities.widest}; use a smaller n_qubits or another backend"
            )
        bodies = self._target.bodies(structure, groups)
        noise = None if self.noise_model is None else restricted(self.noise_model, [body.circuit for body in bodies])
        return Program(structure.n_qubits, groups, bodies, noise)

    async def execute(self, batch: CircuitBatch, compiled: Program) -> BatchResult:
        """Run every row: expectation values or probabilities when exact, else counts that follow the rows' labels."""
        self.capabilities.check(batch, backend=self.name)
        plan = batch.plan
        if plan is not None and not plan.groups:
            return BatchResult(expectations=np.tile(plan.constants, (batch.n_rows, 1)))
        if not self._reads_tables(batch):
            return self._without_tables(batch, compiled)
        widths = [len(group.basis) for group in compiled.groups]
        row_bytes = _ROW_BYTES + 3 * 8 * sum(2**width for width in widths) + 48 * (batch.shots or 0)
        return BatchResult.concatenate([self._from_tables(part, compiled) for part in self._chunks(batch, row_bytes)])

    def _reads_tables(self, batch: CircuitBatch) -> bool:
        """Whether Aer is to give each outcome's probability: where that is asked for, the only way, or the fastest."""
        if not self.capabilities.exact:
            return False
        if batch.shots is None and batch.observables is None:
            self._check_table(batch.structure.n_qubits)
            return True
        if batch.shots is None and self._misreading is not None:
            self._check_table(max(len(group.basis) for group in batch.groups))
            return True
        return self.settings.reads_table(max(len(group.basis) for group in batch.groups), exact=batch.shots is None)

    def _check_table(self, n_qubits: int) -> None:
        n_bytes, memory_bytes = 16 * 2**n_qubits, self.settings.memory_bytes
        if n_bytes > memory_bytes:
            raise CapabilityError(
                f"the probabilities of {n_qubits} qubits take {n_bytes} bytes a circuit, and memory_bytes="
                f"{memory_bytes}; ask for observables on fewer qubits or for shots"
            )

    def _chunks(self, batch: CircuitBatch, row_bytes: int) -> Iterator[CircuitBatch]:
        size = max(1, self.settings.memory_bytes // row_bytes)
        for first in range(0, batch.n_rows, size):
            yield batch.rows(first, min(first + size, batch.n_rows))

    def _from_tables(self, batch: CircuitBatch, program: Program) -> BatchResult:
        tables = self._tables(batch.angles, program)
        if batch.shots is not None and batch.draws is not None:
            return BatchResult(
                counts=tuple(
                    sample(rows, batch.shots, combine(batch.draws, group), len(program.groups[group].basis))
                    for group, rows in enumerate(tables)
                )
            )
        if batch.plan is None:
            return BatchResult(probabilities=tuple(tables))
        return BatchResult(expectations=batch.plan.from_probabilities(tables))

    def _tables(self, angles: FloatArray, program: Program) -> list[FloatArray]:
        """Each group's outcome probabilities as they are read, `(n_rows, 2**n_bits)`."""
        slots = [body.slots for body in program.bodies]
        results = self._runner.run(program, program.probabilities, slots, angles)
        tables: list[FloatArray] = [np.empty((0, 0))] * len(program.groups)
        for body, rows in zip(program.bodies, results, strict=True):
            for number in body.groups:
                table = np.array([row[f"group{number}"] for row in rows], dtype=np.float64)
                tables[number] = self._misread(table, body, program.groups[number])
        return tables

    def _misread(self, table: FloatArray, body: Body, group: MeasurementGroup) -> FloatArray:
        return table if self._misreading is None else self._misreading.apply(table, body.at(group))

    def _without_tables(self, batch: CircuitBatch, program: Program) -> BatchResult:
        if batch.shots is not None and batch.draws is not None:
            return BatchResult(counts=tuple(self._drawn(batch, program, group) for group in range(len(program.groups))))
        observables, plan = batch.observables or (), batch.plan
        circuit, slots = program.expectations(observables)
        (rows,) = self._runner.run(program, [circuit], [slots], batch.angles)
        values = [[row.get(f"value{number}", 0.0) for number in range(len(observables))] for row in rows]
        return BatchResult(expectations=np.array(values) + (0.0 if plan is None else plan.constants))

    def _drawn(self, batch: CircuitBatch, program: Program, group: int) -> Counts:
        labels = combine(np.asarray(batch.draws), group)
        return self._runner.counts(program, group, batch.angles, batch.shots or 0, labels)
