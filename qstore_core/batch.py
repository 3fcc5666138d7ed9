"""What is run and what comes back: many circuits of one structure as arrays, and their results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from qstore_core.arrays import FloatArray, IntArray, LabelArray, all_finite
from qstore_core.counts import Counts
from qstore_core.errors import CircuitError
from qstore_core.measurement import MeasurementPlan, measurement_plan, register_group
from qstore_core.observables import MeasurementGroup, PauliString, PauliSum
from qstore_core.operations import CircuitStructure


@dataclass(frozen=True, slots=True, eq=False)
class Shifts:
    """Which rows of a batch differ from another row in one angle: engines may run what they share once.

    Attributes:
        bases: `(n_rows,)`, the row that each row is a shift of; itself where it is none.
        columns: `(n_rows,)`, the angle that is shifted; -1 where none is.
        amounts: `(n_rows,)`, by how much, radians.

    >>> Shifts(np.array([0, 0]), np.array([-1, 3]), np.array([0.0, 0.5])).select(np.array([3])).columns
    array([-1,  0])
    """

    bases: IntArray
    columns: IntArray
    amounts: FloatArray

    def describe(self, angles: FloatArray) -> bool:
        """Whether angles `(n_rows, n_angles)` are related like this."""
        if self.bases.shape != (len(angles),):
            return False
        expected = angles[self.bases]
        rows = np.flatnonzero(self.columns >= 0)
        expected[rows, self.columns[rows]] += self.amounts[rows]
        return np.array_equal(expected, angles)

    def select(self, columns: IntArray) -> Shifts:
        """The same when only some angles, ascending, are left: shifts of the others are none."""
        places = np.append(np.searchsorted(columns, self.columns), -1)
        kept = np.isin(self.columns, columns)
        return Shifts(self.bases, np.where(kept, places[:-1], -1), np.where(kept, self.amounts, 0.0))


@dataclass(frozen=True, slots=True, eq=False)
class CircuitBatch:
    """Circuits of one structure, a row of angles for each, measured in one way.

    Args:
        structure: The gates that all rows share.
        angles: `(n_rows, n_angles)` float64, radians, in the order of the structure's gates that have an angle.
        observables: What to estimate for each row, or None for the outcomes of the whole register.
        shots: How often each circuit is run, or None for exact expectation values or probabilities.
        draws: `(n_rows,)` uint64, the label of each row's randomness; needed when there are shots.
        shifts: How rows are related, where that is known. The angles hold the shifts already, so it changes results by
            rounding at most: in single precision a value's last digits, and now and then where one shot of many falls.

    Raises:
        CircuitError: Shapes that do not fit, angles that are not finite, no rows, observables outside the register,
            shifts that the angles do not have.

    >>> from qstore_core import Parameter, QuantumCircuit
    >>> circuit = QuantumCircuit(1).ry(0, Parameter("a"))
    >>> batch = CircuitBatch(circuit.structure, circuit.angles(parameters=[[0.0], [0.3]]), (PauliString("Z0"),))
    >>> batch.n_rows, batch.n_circuits
    (2, 2)
    """

    structure: CircuitStructure
    angles: FloatArray
    observables: tuple[PauliSum, ...] | None = None
    shots: int | None = None
    draws: LabelArray | None = None
    shifts: Shifts | None = None
    plan: MeasurementPlan | None = field(init=False, repr=False)  # how observables are measured; None for the register

    def __post_init__(self) -> None:
        angles = np.ascontiguousarray(self.angles, dtype=np.float64)
        object.__setattr__(self, "angles", angles)
        if angles.ndim != 2 or angles.shape[1] != self.structure.n_angles or not len(angles):
            raise CircuitError(
                f"angles need shape (n_rows, {self.structure.n_angles}), at least one row, not {angles.shape}"
            )
        if not all_finite(angles):
            raise CircuitError("angles must be finite; found nan or inf")
        self._check_observables()
        plan = None if self.observables is None else measurement_plan(self.observables)
        object.__setattr__(self, "plan", plan)
        self._check_shots()
        if self.shifts is not None and not self.shifts.describe(angles):
            raise CircuitError("the shifts do not describe the angles: each row is its base with one angle moved")

    def _check_observables(self) -> None:
        if self.observables is None:
            return
        observables = tuple(map(PauliSum.of, self.observables))
        object.__setattr__(self, "observables", observables)
        if not observables:
            raise CircuitError("observables are at least one observable, or None for the whole register")
        widest = _widest(observables)
        if widest >= self.structure.n_qubits:
            raise CircuitError(f"an observable acts on qubit {widest} of a {self.structure.n_qubits}-qubit circuit")

    def _check_shots(self) -> None:
        if self.shots is None:
            return
        if not isinstance(self.shots, int | np.integer) or isinstance(self.shots, bool) or self.shots < 1:
            raise CircuitError(f"shots is a whole number of at least 1, or None for exact values, not {self.shots!r}")
        object.__setattr__(self, "shots", int(self.shots))
        if self.draws is None or np.shape(self.draws) != (self.n_rows,):
            raise CircuitError(f"a batch with shots needs one draw label for each of its {self.n_rows} rows")
        object.__setattr__(self, "draws", np.ascontiguousarray(self.draws, dtype=np.uint64))

    @property
    def n_rows(self) -> int:
        """How many rows of angles."""
        return len(self.angles)

    @property
    def groups(self) -> tuple[MeasurementGroup, ...]:
        """The bases that each row is measured in."""
        plan = self.plan
        return (register_group(self.structure.n_qubits),) if plan is None else plan.groups

    @property
    def n_circuits(self) -> int:
        """The circuits to run: one for each row, with shots one for each row and basis."""
        return self.n_rows if self.shots is None else self.n_rows * len(self.groups)

    @property
    def n_shots(self) -> int:
        """The shots over all circuits; 0 when exact."""
        return self.n_circuits * (self.shots or 0)

    def take(self, rows: IntArray) -> CircuitBatch:
        """The given rows, in that order."""
        draws = None if self.draws is None else self.draws[rows]
        return replace(self, angles=self.angles[rows], draws=draws, shifts=None)

    def rows(self, first: int, last: int) -> CircuitBatch:
        """The rows `first` to `last`, the last one not included."""
        if (first, last) == (0, self.n_rows):
            return self
        draws = None if self.draws is None else self.draws[first:last]
        return replace(self, angles=self.angles[first:last], draws=draws, shifts=None)


Cotangents: TypeAlias = Callable[[FloatArray], FloatArray]
"""The derivative of a loss by each expectation value, from these values; both `(n_rows, n_observables)`."""


@dataclass(frozen=True, slots=True, eq=False)
class VectorJacobianProduct:
    """A request for exact derivatives with respect to the gate angles, for backends that can (`adjoint`).

    Attributes:
        batch: The circuits, exact, with observables.
        cotangents: `(n_rows, n_observables)`, the derivative of the loss by each expectation value; or the function
            that gives them from the expectation values of all rows, `(n_rows, n_observables)`. It is called once, and
            the result has these values too.

    Raises:
        CircuitError: Cotangents of another shape, or that are not real numbers.

    Derivatives by the gate angles become derivatives by the parameters as the angles are made of them:

    >>> import asyncio
    >>> import numpy as np
    >>> from qstore_core import CircuitBatch, Executor, Parameter, PauliString, QuantumCircuit, get_backend
    >>> circuit, executor = QuantumCircuit(1).ry(0, 2 * Parameter("a")), Executor(get_backend("mock"))
    >>> batch = CircuitBatch(circuit.structure, circuit.angles(parameters=[np.pi / 4]), (PauliString("Z0"),))
    >>> (result,) = asyncio.run(executor.run((VectorJacobianProduct(batch, np.ones((1, 1))),)))
    >>> result.angle_gradients.round(12), (result.angle_gradients @ circuit.affine.parameters.matrix.T).round(12)
    (array([[-1.]]), array([[-2.]]))
    >>> (result,) = asyncio.run(executor.run((VectorJacobianProduct(batch, lambda values: values - 1.0),)))
    >>> result.expectations.round(12) + 0.0, result.angle_gradients.round(12)
    (array([[0.]]), array([[1.]]))
    """

    batch: CircuitBatch
    cotangents: FloatArray | Cotangents

    def __post_init__(self) -> None:
        if callable(self.cotangents):
            return
        cotangents, shape = np.asarray(self.cotangents), (self.batch.n_rows, len(self.batch.observables or ()))
        if cotangents.shape != shape or cotangents.dtype.kind not in "fiu":
            raise CircuitError(
                f"cotangents are real numbers of shape {shape}, one for each row and observable, not "
                f"{cotangents.dtype} of shape {cotangents.shape}"
            )
        object.__setattr__(self, "cotangents", cotangents.astype(np.float64, copy=False))


@dataclass(frozen=True, slots=True, eq=False)
class BatchResult:
    """The results of a batch, in one of four forms; derivatives may come with expectation values.

    Attributes:
        expectations: Exact expectation values, `(n_rows, n_observables)`.
        probabilities: For each measured basis the exact probabilities, `(n_rows, 2**n_bits)`.
        counts: For each measured basis the sampled outcomes.
        angle_gradients: The answer to a `VectorJacobianProduct`, `(n_rows, n_angles)`.
        metadata: Whatever else the backend has to say, JSON values.

    >>> BatchResult(expectations=np.array([[0.5]])).n_rows
    1
    """

    expectations: FloatArray | None = None
    probabilities: tuple[FloatArray, ...] | None = None
    counts: tuple[Counts, ...] | None = None
    angle_gradients: FloatArray | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_rows(self) -> int:
        """How many rows it holds."""
        if self.counts:
            return self.counts[0].n_rows
        if self.probabilities:
            return len(self.probabilities[0])
        values = self.expectations if self.expectations is not None else self.angle_gradients
        return 0 if values is None else len(values)

    def take(self, rows: IntArray) -> BatchResult:
        """The given rows, in that order.

        >>> BatchResult(expectations=np.array([[0.5], [0.25]])).take(np.array([1, 0])).expectations
        array([[0.25],
               [0.5 ]])
        """
        return replace(
            self,
            expectations=None if self.expectations is None else self.expectations[rows],
            probabilities=self.probabilities and tuple(part[rows] for part in self.probabilities),
            counts=self.counts and tuple(part.take(rows) for part in self.counts),
            angle_gradients=None if self.angle_gradients is None else self.angle_gradients[rows],
        )

    @classmethod
    def concatenate(cls, parts: Sequence[BatchResult]) -> BatchResult:
        """The rows of several results of one form, one after the other."""
        if len(parts) == 1:
            return parts[0]
        first = parts[0]
        return cls(
            expectations=_joined([part.expectations for part in parts]),
            probabilities=first.probabilities
            and tuple(np.concatenate(rows) for rows in zip(*(p.probabilities or () for p in parts), strict=True)),
            counts=first.counts
            and tuple(Counts.concatenate(rows) for rows in zip(*(p.counts or () for p in parts), strict=True)),
            angle_gradients=_joined([part.angle_gradients for part in parts]),
            metadata=first.metadata,
        )


@dataclass(frozen=True, slots=True)
class Estimates:
    """Expectation values with what is known of their error.

    Attributes:
        values: `(n_rows, n_observables)`.
        covariance: `(n_rows, n_observables, n_observables)` of the sampling error; None for exact values.
        counts: For each measured basis the outcomes they were estimated from, those that count the same as one of them;
            none for exact values.
        apart: For each measured basis how far each entry of its counts is from its row's mean in every observable,
            `(n_entries, n_observables)`.

    >>> Estimates(np.array([[0.5]])).covariance is None
    True
    """

    values: FloatArray
    covariance: FloatArray | None = None
    counts: tuple[Counts, ...] = ()
    apart: tuple[FloatArray, ...] = ()

    @classmethod
    def from_counts(cls, plan: MeasurementPlan, counts: Sequence[Counts]) -> Estimates:
        """What the counts of each of a plan's bases say.

        >>> from qstore_core.measurement import measurement_plan
        >>> plan = measurement_plan((PauliSum.of("Z0"),))
        >>> Estimates.from_counts(plan, [Counts.from_dicts([{"0": 3, "1": 1}])]).covariance
        array([[[0.25]]])
        """
        alike = tuple(plan.alike(group, measured) for group, measured in enumerate(counts))
        values, covariance, apart = plan.spread(alike)
        return cls(values, covariance, alike, apart)

    def deviations(self, n_rows: int) -> Iterator[tuple[Counts, FloatArray]]:
        """For each measured basis the outcomes of the first rows, and how far from its row's mean each of them is.

        Yields:
            The counts, and for each of their entries the distance in every observable, `(n_entries, n_observables)`.
        """
        for counts, apart in zip(self.counts, self.apart, strict=True):
            rows = counts.rows(0, n_rows)
            yield rows, apart[: len(rows.counts)]


def estimates(batch: CircuitBatch, result: BatchResult) -> Estimates:
    """The expectation values of a batch with observables, whatever form its result has.

    >>> from qstore_core import QuantumCircuit
    >>> circuit = QuantumCircuit(1).x(0)
    >>> batch = CircuitBatch(circuit.structure, circuit.angles(), (PauliString("Z0"),))
    >>> estimates(batch, BatchResult(probabilities=(np.array([[0.0, 1.0]]),))).values
    array([[-1.]])
    """
    plan = batch.plan
    if plan is None:
        raise CircuitError("this batch reads the whole register: it has no observables to estimate")
    if result.expectations is not None:
        return Estimates(result.expectations)
    if not plan.groups:
        return Estimates(np.tile(plan.constants, (batch.n_rows, 1)))
    if result.probabilities is not None:
        return Estimates(plan.from_probabilities(result.probabilities))
    if result.counts is not None:
        return Estimates.from_counts(plan, result.counts)
    raise CircuitError("a batch result needs expectations, probabilities or counts; this one has none")


def estimated_values(batch: CircuitBatch, result: BatchResult) -> FloatArray:
    """The values of `estimates`, `(n_rows, n_observables)`, for who does not ask how certain they are.

    >>> from qstore_core import QuantumCircuit
    >>> circuit = QuantumCircuit(1).x(0)
    >>> batch = CircuitBatch(circuit.structure, circuit.angles(), (PauliString("Z0"),))
    >>> estimated_values(batch, BatchResult(counts=(Counts.from_dicts([{"0": 1, "1": 3}]),)))
    array([[-0.5]])
    """
    exact = result.expectations is not None or result.probabilities is not None
    if exact or batch.plan is None or not batch.plan.groups or result.counts is None:
        return estimates(batch, result).values
    return batch.plan.means(result.counts)


@dataclass(frozen=True, slots=True)
class ExecutionResult:
    """What one circuit gave, read over its whole register.

    Attributes:
        counts: How often each bit string occurred, qubit 0 leftmost; empty for exact simulation.
        probabilities: The probability, or relative frequency, of each bit string that has any.
        total_shots: How often the circuit was run; 0 for exact simulation.
        metadata: Whatever else the backend has to say.

    >>> ExecutionResult({"0": 3, "1": 1}, {"0": 0.75, "1": 0.25}, 4).expectation("Z0")
    0.5
    """

    counts: Mapping[str, int]
    probabilities: Mapping[str, float]
    total_shots: int
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def expectation(self, observable: PauliString | PauliSum | str) -> float:
        """The expectation value of an observable of Z letters only; others need a circuit of their own."""
        total = 0.0
        for term in PauliSum.of(observable).terms:
            if any(letter != "Z" for _, letter in term.letters):
                raise CircuitError(f"{term} cannot be read from outcomes in the computational basis")
            if any(q >= len(bits) for bits in self.probabilities for q in term.qubits):
                raise CircuitError(f"{term} acts on a qubit outside the register that was read")
            signs = {bits: (-1) ** sum(bits[q] == "1" for q in term.qubits) for bits in self.probabilities}
            total += term.coefficient * sum(signs[bits] * p for bits, p in self.probabilities.items())
        return total


@lru_cache(maxsize=256)
def _widest(observables: tuple[PauliSum, ...]) -> int:
    return max((qubit for observable in observables for qubit in observable.qubits), default=0)


def _joined(arrays: Sequence[FloatArray | None]) -> FloatArray | None:
    present = [array for array in arrays if array is not None]
    return np.concatenate(present) if present else None
