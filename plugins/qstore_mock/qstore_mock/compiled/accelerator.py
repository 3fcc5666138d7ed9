"""Running programs by the compiled kernels: which programs, in what memory, and what is kept for a gradient."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from qstore_core.arrays import FloatArray, LabelArray
from qstore_core.counts import Counts
from qstore_core.errors import ConfigurationError
from qstore_core.measurement import MeasurementPlan
from qstore_core.sampling import sample
from qstore_mock.compiled.code import Encoded, encode
from qstore_mock.program import Program

WIDEST = 12  # qubits: from there on the matrix products of the NumPy path are as fast


class Accelerator:
    """The kernels in one precision.

    Attributes:
        widest: The most qubits of a program that is taken.

    Args:
        dtype: complex64 or complex128, the precision of the states.
        row_bytes: The bound on the memory for the states of one row.

    Raises:
        ConfigurationError: Numba cannot be imported.
    """

    def __init__(self, dtype: Any, row_bytes: int) -> None:
        try:
            # here, because they import numba, which takes longer than all else
            from qstore_mock.compiled import drawing, kernels
        except ImportError as error:
            raise ConfigurationError(
                f"accelerator='numba' needs {error.name}: pip install './plugins/qstore_mock[numba]'"
            ) from error
        self.widest = WIDEST
        self._kernels, self._drawing = kernels, drawing
        self._real = np.dtype(dtype).type(0).real.dtype
        self._row_bytes = row_bytes
        self._known: WeakKeyDictionary[Program, Accelerated | None] = WeakKeyDictionary()

    def take(self, program: Program) -> Accelerated | None:
        """What runs a program; None where the NumPy path is to run it."""
        try:
            return self._known[program]
        except KeyError:
            found = self._known[program] = self._made(program)
            return found

    def _made(self, program: Program) -> Accelerated | None:
        encoded = encode(program) if program.n_qubits <= WIDEST else None
        found = None if encoded is None else Accelerated(encoded, self._kernels, self._real)
        return found if found is not None and found.row_bytes <= self._row_bytes else None

    def sample(self, probabilities: FloatArray, shots: int, labels: LabelArray, n_bits: int) -> Counts:
        """What `qstore_core.sampling.sample` returns; its own where outcomes are far more than shots."""
        if probabilities.shape[1] > max(shots, 2**WIDEST):
            return sample(probabilities, shots, labels, n_bits)
        return Counts.from_table(self._drawing.tallies(np.ascontiguousarray(probabilities), labels, shots))


@dataclass(frozen=True, slots=True, eq=False)
class Accelerated:
    """A program with the kernels that run it.

    Attributes:
        encoded: The program.
        kernels: The module of compiled functions.
        real: float32 or float64.
    """

    encoded: Encoded
    kernels: ModuleType
    real: np.dtype[Any]

    @property
    def row_bytes(self) -> int:
        """The memory of a row's states."""
        return int(self.encoded.n_places * 2 * self.real.itemsize * 2**self.encoded.n_qubits)

    def expectations(self, plan: MeasurementPlan, angles: FloatArray) -> FloatArray:
        """Expectation values `(n_rows, n_observables)`."""
        return self._expectations(plan, angles, self._states(1))

    def expectations_and_states(self, plan: MeasurementPlan, angles: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Expectation values `(n_rows, n_observables)`, and what `gradients` goes on from."""
        states = self._states(len(angles))
        return self._expectations(plan, angles, states), states

    def _expectations(self, plan: MeasurementPlan, angles: FloatArray, states: FloatArray) -> FloatArray:
        code, reading = self.encoded.code, self.encoded.reading(plan)
        found: FloatArray = self.kernels.expectations(code, angles, reading, plan.constants, states)
        return found

    def probabilities(self, angles: FloatArray) -> list[FloatArray]:
        """For each group the probabilities of its outcomes, `(n_rows, 2**n_bits)`."""
        found = self.kernels.outcomes(self.encoded.code, angles, self.encoded.outcomes, self._states(1))
        return [rows[:, : 2**bits] for rows, bits in zip(found, self.encoded.bits, strict=True)]

    def gradients(
        self, plan: MeasurementPlan, angles: FloatArray, cotangents: FloatArray, states: FloatArray | None = None
    ) -> FloatArray:
        """Derivatives of `sum(cotangents * expectations)` by the angles, `(n_rows, n_angles)`.

        Args:
            plan: How the observables are read.
            angles: `(n_rows, n_angles)`, radians.
            cotangents: `(n_rows, n_observables)`.
            states: What `expectations_and_states` left for the same angles; without it they are run again.
        """
        kept = states is not None
        states = self._states(1) if states is None else states
        cotangents = np.ascontiguousarray(cotangents, dtype=np.float64)
        code, reading = self.encoded.code, self.encoded.reading(plan)
        found: FloatArray = self.kernels.gradients(code, angles, reading, cotangents, states, kept)
        return found

    def _states(self, n_rows: int) -> FloatArray:
        return np.empty((n_rows, self.encoded.n_places, 2, 2**self.encoded.n_qubits), dtype=self.real)
