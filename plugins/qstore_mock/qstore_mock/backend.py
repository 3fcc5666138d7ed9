"""The backend itself: options, chunks that fit the cache and the memory bound, and results in qstore's forms."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from qstore_core.arrays import FloatArray, IntArray, LabelArray
from qstore_core.backend import BackendCapabilities, LocalBackend
from qstore_core.batch import BatchResult, CircuitBatch, Cotangents
from qstore_core.counts import Counts
from qstore_core.errors import ConfigurationError
from qstore_core.measurement import MeasurementPlan
from qstore_core.observables import MeasurementGroup
from qstore_core.operations import CircuitStructure
from qstore_core.randomness import combine
from qstore_core.sampling import sample
from qstore_mock import noise as mixed
from qstore_mock import statevector as pure
from qstore_mock.adjoint import angle_gradients, gradients_back, pass_forwards
from qstore_mock.noise import Noise
from qstore_mock.parts import State
from qstore_mock.program import Program, compile_program
from qstore_mock.readout import expectations, probabilities
from qstore_mock.shifting import final_states

if TYPE_CHECKING:
    from qstore_mock.compiled.accelerator import Accelerated, Accelerator

S = TypeVar("S")
T = TypeVar("T")

COPIES = 5
GRADIENT_COPIES = 6
"""How many arrays as large as the states exist at once, at the most."""

_KEPT_BYTES = 2**26  # of states that are kept between the way forwards and the way back
_ROW_BYTES = 1024  # a row's angles, labels and gate matrices, which outweigh the states of very few qubits
_SHOT_BYTES = 48  # a shot's random number and outcome, and the steps from one to the other
_FEW = 2**13  # amplitudes of a whole register, over all rows, that take less time than the calls of a cut one
_FEW_ACCELERATED = 2**16  # the same where compiled kernels do it
_CACHE_BYTES = 2**19  # states that are worked on together stay in a core's own cache
_THREAD_BYTES = 2**22  # fewer states than that are done before another thread has begun

# The C library maps large blocks anew each time until it has been given one back: then it keeps blocks up to that size.
# Without this, half of a short step is the system making the pages of arrays that were freed a moment before.
np.empty(2**24, dtype=np.uint8)


class MockBackend(LocalBackend):
    """An exact simulator in NumPy: statevectors, or density matrices when gates are noisy.

    Args:
        memory_bytes: The bound on the memory for running; rows are run in chunks that stay under it. It also sets the
            widest circuit. Results come on top, and so do the shots of a single row.
        depolarizing: Depolarising strength after each gate, one number or (one-qubit, many-qubit); see `Noise`.
        readout_error: The probability that a bit is misread, one number or (0 read as 1, 1 read as 0).
        precision: "double", or "single" for complex64 statevectors: half the memory and time, values to about 1e-6.
            `CircuitBatch.shifts` moves the digits beyond, and with them about one shot in four million.
        threads: How many threads run chunks of many rows of wide circuits; None: as many as there are cores. They
            change no result.
        accelerator: "numba" to run circuits of up to 12 qubits in compiled kernels, which agree with NumPy's to
            rounding and are ahead where there is little to do. Importing them takes some tenths of a second, and the
            first run on a machine half a minute. None: in NumPy.

    Raises:
        ConfigurationError: A probability outside 0 to 1, an unknown precision, a number of threads below 1, a bound
            too small for a single qubit, or an accelerator that is unknown or not installed.

    >>> import asyncio, numpy as np
    >>> from qstore_core import CircuitBatch, PauliString, QuantumCircuit
    >>> circuit = QuantumCircuit(2).h(0).cnot(0, 1)
    >>> batch = CircuitBatch(circuit.structure, circuit.angles(), (PauliString("Z0 Z1"),))
    >>> backend = MockBackend()
    >>> result = asyncio.run(backend.execute(batch, backend.compile(batch.structure, batch.groups)))
    >>> result.expectations.round(12)
    array([[1.]])
    """

    def __init__(
        self,
        *,
        memory_bytes: int = 2**30,
        depolarizing: float | tuple[float, float] = 0.0,
        readout_error: float | tuple[float, float] = 0.0,
        precision: str = "double",
        threads: int | None = None,
        accelerator: str | None = None,
    ) -> None:
        self.noise = Noise.of(depolarizing, readout_error)
        self.memory_bytes = memory_bytes
        self.threads = _threads(threads)
        self._dtype = _dtype(precision, mixed_states=self.noise.on_gates)
        self._itemsize = self._dtype().itemsize
        copies = mixed.COPIES if self.noise.on_gates else max(COPIES, GRADIENT_COPIES)
        max_qubits = _widest(memory_bytes, copies, self._state_bytes)
        noisy = self.noise.on_gates or self.noise.on_readout
        advice = "" if self.noise.on_gates or precision == "single" else "; precision='single' needs half"
        self.capabilities = BackendCapabilities(
            max_qubits=max_qubits,
            noisy=noisy,
            adjoint=not noisy,
            width_limit=f"set by memory_bytes={memory_bytes}{advice}",
        )
        self._accelerator = _accelerator(accelerator, self._dtype, memory_bytes // (4 * self.threads))
        self._sample = sample if self._accelerator is None else self._accelerator.sample
        options = [str(self.noise)] * noisy + ["precision='single'"] * (precision == "single")
        options += ["accelerator='numba'"] * (self._accelerator is not None)
        self.fingerprint = f"mock({', '.join(options)})" if options else "mock"

    def compile(self, structure: CircuitStructure, groups: tuple[MeasurementGroup, ...]) -> Program:
        """What runs this structure for all rows of a batch."""
        return compile_program(structure, groups)

    async def execute(self, batch: CircuitBatch, compiled: Program) -> BatchResult:
        """Run every row: expectation values or probabilities when exact, else counts drawn by the rows' labels."""
        self.capabilities.check(batch, backend=self.name)
        plan = batch.plan
        if plan is not None and not plan.groups:
            return BatchResult(expectations=np.tile(plan.constants, (batch.n_rows, 1)))
        compiled = self._for_rows(compiled, batch.n_rows)
        if batch.shifts is not None and not self.noise.on_gates and self._accelerated(compiled) is None:
            return self._execute_shifts(batch, compiled)
        copies = mixed.COPIES if self.noise.on_gates else COPIES

        def run(rows: slice) -> BatchResult:
            return self._execute_chunk(batch.rows(rows.start, rows.stop), compiled)

        return BatchResult.concatenate(_each(run, *self._chunks(batch, compiled, copies)))

    async def gradient(self, batch: CircuitBatch, compiled: Program, cotangents: FloatArray) -> FloatArray:
        """Exact derivatives by the adjoint method; only without noise."""
        if not self.capabilities.adjoint:
            return await super().gradient(batch, compiled, cotangents)
        self.capabilities.check(batch, backend=self.name)
        compiled = self._for_rows(compiled, batch.n_rows)
        plan, accelerated = _differentiable(batch), self._accelerated(compiled)
        _check_cotangents(cotangents, batch.n_rows, plan)
        if not plan.groups:  # all observables are constants
            return np.zeros_like(batch.angles)
        fits = self.memory_bytes // self._state_bytes(compiled.n_qubits)

        def run(rows: slice) -> FloatArray:
            if accelerated is not None:
                return accelerated.gradients(plan, batch.angles[rows], cotangents[rows])
            return angle_gradients(compiled, plan, batch.angles[rows], cotangents[rows], self._dtype, fits=fits)

        return _joined(_each(run, *self._chunks(batch, compiled, GRADIENT_COPIES)))

    async def value_and_gradient(self, batch: CircuitBatch, compiled: Program, cotangents: Cotangents) -> BatchResult:
        """As `execute` and `gradient`; unless states are many they are kept in between, and run once."""
        compiled = self._for_rows(compiled, batch.n_rows)
        accelerated = self._accelerated(compiled)
        row = self._itemsize * compiled.row_history if accelerated is None else accelerated.row_bytes
        many = batch.n_rows * row > min(_KEPT_BYTES, self.memory_bytes // 2)
        if not self.capabilities.adjoint or many or not batch.groups:
            return await super().value_and_gradient(batch, compiled, cotangents)
        self.capabilities.check(batch, backend=self.name)
        plan, angles = _differentiable(batch), batch.angles

        def there(rows: slice) -> tuple[FloatArray, Any]:
            if accelerated is not None:
                return accelerated.expectations_and_states(plan, angles[rows])
            return pass_forwards(compiled, plan, angles[rows], self._dtype)

        chunks, threads = self._chunks(batch, compiled, GRADIENT_COPIES)
        passed = _each(there, chunks, threads)
        values = _joined([found for found, _ in passed])
        weights = _check_cotangents(cotangents(values), batch.n_rows, plan)

        def back(number: int) -> FloatArray:
            rows, (_, states) = chunks[number], passed[number]
            if accelerated is not None:
                return accelerated.gradients(plan, angles[rows], weights[rows], states)
            return gradients_back(compiled, plan, angles[rows], weights[rows], states)

        return BatchResult(values, angle_gradients=_joined(_each(back, range(len(chunks)), threads)))

    def _for_rows(self, program: Program, n_rows: int) -> Program:
        """The program, or the same on a register that is not cut where rows are too few for a cut to save time."""
        if self.noise.on_gates:
            return program
        few = _FEW if self._accelerator is None or program.n_qubits > self._accelerator.widest else _FEW_ACCELERATED
        return program.whole if n_rows << program.n_qubits <= few else program

    def _chunks(self, batch: CircuitBatch, program: Program, copies: int) -> tuple[list[slice], int]:
        """Ranges of rows that fit the cache, and how many threads they are worth."""
        if batch.n_rows * self._row_bytes(program) <= _CACHE_BYTES and self._accelerated(program) is not None:
            return [slice(0, batch.n_rows)], 1
        size = self._chunk(batch, program, copies)
        chunks = [slice(first, min(first + size, batch.n_rows)) for first in range(0, batch.n_rows, size)]
        worth = batch.n_rows * self._row_bytes(program) > _THREAD_BYTES
        return chunks, min(self.threads, len(chunks), self._fit(batch, program, copies) // size if worth else 1)

    def _chunk(self, batch: CircuitBatch, program: Program, copies: int) -> int:
        """How many rows are run together; it depends on nothing that does not change results."""
        cached = self._fit(batch, program, copies) if self.noise.on_gates else _CACHE_BYTES // self._row_bytes(program)
        return max(1, min(cached, self._fit(batch, program, copies)))

    def _fit(self, batch: CircuitBatch, program: Program, copies: int) -> int:
        states = copies * self._state_bytes(program.n_qubits)
        matrices = 0 if self.noise.on_gates else self._itemsize * program.row_entries
        return int(self.memory_bytes // (states + matrices + _ROW_BYTES + _SHOT_BYTES * (batch.shots or 0)))

    def _row_bytes(self, program: Program) -> int:
        return int(self._itemsize * program.row_amplitudes)

    def _state_bytes(self, n_qubits: int) -> int:
        return int(self._itemsize * 2 ** (2 * n_qubits if self.noise.on_gates else n_qubits))

    def _execute_chunk(self, batch: CircuitBatch, program: Program) -> BatchResult:
        if self.noise.on_gates:
            density = mixed.run(program, batch.angles, self.noise)
            return _measured(batch, mixed.group_probabilities(program, density, self.noise), batch.draws, self._sample)
        accelerated = self._accelerated(program)
        if accelerated is not None:
            return self._execute_accelerated(batch, program, accelerated)
        blocks = pure.bind(program, batch.angles, self._dtype)
        return self._read(batch, program, [block.run() for block in blocks], batch.draws)

    def _accelerated(self, program: Program) -> Accelerated | None:
        return None if self._accelerator is None else self._accelerator.take(program)

    def _execute_accelerated(self, batch: CircuitBatch, program: Program, accelerated: Accelerated) -> BatchResult:
        if self._is_exact(batch) and batch.plan is not None:
            return BatchResult(expectations=accelerated.expectations(batch.plan, batch.angles))
        return self._measured(batch, program, accelerated.probabilities(batch.angles), batch.draws)

    def _is_exact(self, batch: CircuitBatch) -> bool:
        """Whether expectation values are read from states, with no probabilities in between."""
        return batch.plan is not None and batch.shots is None and not self.noise.on_readout

    def _read(
        self, batch: CircuitBatch, program: Program, states: Sequence[State], draws: LabelArray | None
    ) -> BatchResult:
        """The results of some rows of a batch from their final states and labels."""
        if self._is_exact(batch) and batch.plan is not None:
            return BatchResult(expectations=expectations(program, batch.plan, states))
        outcomes = (probabilities(program, group, states) for group in range(len(program.groups)))
        return self._measured(batch, program, outcomes, draws)

    def _measured(
        self, batch: CircuitBatch, program: Program, outcomes: Iterable[FloatArray], draws: LabelArray | None
    ) -> BatchResult:
        """The results of some rows from the outcome probabilities of each group, misread where readout is noisy."""
        if self.noise.on_readout:
            groups = program.groups
            outcomes = (self.noise.misread(o, len(g.basis)) for o, g in zip(outcomes, groups, strict=True))
        return _measured(batch, outcomes, draws, self._sample)

    def _execute_shifts(self, batch: CircuitBatch, program: Program) -> BatchResult:
        """Every base with the rows that are shifts of it; in threads over bases where there is enough to do."""
        shifts = batch.shifts
        assert shifts is not None
        size = self._chunk(batch, program, 2 * COPIES)
        bases = np.flatnonzero(shifts.columns < 0)
        step = max(1, min(size // 4, len(bases)))

        def run(chosen: IntArray) -> list[tuple[IntArray, BatchResult]]:
            found = final_states(program, batch.angles, shifts, chosen, size, self._dtype)
            return [(rows, self._read(batch, program, states, _of(batch.draws, rows))) for rows, states in found]

        pieces = [bases[first : first + step] for first in range(0, len(bases), step)]
        parts = [part for piece in pieces for part in run(piece)]
        order = np.concatenate([rows for rows, _ in parts])
        return BatchResult.concatenate([result for _, result in parts]).take(np.argsort(order))


def _each(run: Callable[[S], T], items: Sequence[S], threads: int) -> list[T]:
    """What `run` gives for each item, in so many threads."""
    if threads <= 1:
        return [run(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, items))


def _joined(parts: Sequence[FloatArray]) -> FloatArray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _differentiable(batch: CircuitBatch) -> MeasurementPlan:
    if batch.plan is None or batch.shots is not None:
        raise ConfigurationError("gradients are of exact expectation values: give the batch observables, no shots")
    return batch.plan


def _check_cotangents(cotangents: FloatArray, n_rows: int, plan: MeasurementPlan) -> FloatArray:
    shape = n_rows, len(plan.constants)
    if cotangents.shape != shape:
        raise ConfigurationError(f"cotangents need shape {shape}, not {cotangents.shape}")
    return cotangents


def _measured(
    batch: CircuitBatch,
    outcomes: Iterable[FloatArray],
    draws: LabelArray | None,
    draw: Callable[[FloatArray, int, LabelArray, int], Counts],
) -> BatchResult:
    """Results from the outcome probabilities of each group."""
    if batch.shots is not None and draws is not None:
        shots, groups = batch.shots, batch.groups
        return BatchResult(
            counts=tuple(
                draw(rows, shots, combine(draws, group), len(groups[group].basis))
                for group, rows in enumerate(outcomes)
            )
        )
    if batch.plan is None:
        return BatchResult(probabilities=tuple(outcomes))
    return BatchResult(expectations=batch.plan.from_probabilities(outcomes))


def _of(draws: LabelArray | None, rows: IntArray) -> LabelArray | None:
    return None if draws is None else draws[rows]


def _threads(threads: int | None) -> int:
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
        raise ConfigurationError(f"threads is a whole number of at least 1, or None for all cores, not {threads!r}")
    return threads


def _accelerator(name: str | None, dtype: Any, row_bytes: int) -> Accelerator | None:
    if name not in (None, "numba"):
        raise ConfigurationError(f"accelerator is 'numba' or None, not {name!r}")
    if name is None:
        return None
    from qstore_mock.compiled.accelerator import Accelerator  # here, because most programs do without it

    return Accelerator(dtype, row_bytes)


def _dtype(precision: str, *, mixed_states: bool) -> Any:
    if precision not in pure.DTYPES:
        raise ConfigurationError(f"precision is {' or '.join(map(repr, pure.DTYPES))}, not {precision!r}")
    if mixed_states and precision != "double":
        raise ConfigurationError("precision='single' is for statevectors; noisy gates are simulated in double")
    return pure.DTYPES[precision]


def _widest(memory_bytes: int, copies: int, state_bytes: Callable[[int], int]) -> int:
    if not isinstance(memory_bytes, int) or isinstance(memory_bytes, bool):
        raise ConfigurationError(f"memory_bytes is a whole number of bytes, such as 2**30, not {memory_bytes!r}")
    if memory_bytes < copies * state_bytes(1):
        raise ConfigurationError(f"memory_bytes={memory_bytes!r} is too little to simulate even one qubit")
    width = 1
    while copies * state_bytes(width + 1) <= memory_bytes:
        width += 1
    return width
