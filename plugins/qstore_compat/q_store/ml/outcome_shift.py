"""The parameter-shift rule for losses of whole results: derivatives of probabilities, chained with the loss's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from q_store.ml.built import BuilderAndLoss
from qstore_core import ExecutionResult, GradientResult
from qstore_core.arrays import BoolArray, FloatArray
from qstore_core.circuit_groups import CircuitGroup, bound_angles, in_order
from qstore_core.errors import CircuitError
from qstore_core.estimators.parameter_shift import ShiftTable
from qstore_core.facades.calls import Facade, checked_parameters, trained_parameters
from qstore_core.losses import finite_loss
from qstore_core.operations import CircuitStructure
from qstore_core.problem import Rounds
from qstore_core.randomness import StepKey

_STEP = 1e-4  # of the central difference along a derivative of probabilities, which are of order 1


@dataclass(frozen=True, slots=True, eq=False)
class AffineAngles:
    """The gate angles of a builder near a point: `angles + matrix.T @ move`.

    Attributes:
        structure: The gates.
        angles: `(n_angles,)` at the point.
        matrix: `(n_parameters, n_angles)`, 0 for parameters that are not trained.
    """

    structure: CircuitStructure
    angles: FloatArray
    matrix: FloatArray

    @classmethod
    def of(cls, pair: BuilderAndLoss, point: FloatArray, trained: BoolArray) -> AffineAngles:
        """Read off by building circuits, none of which runs.

        Raises:
            CircuitError: The gates, or how an angle changes, depend on the parameters' values.
        """
        structure, angles = _built(pair, point, None)
        matrix = np.zeros((len(point), len(angles)))
        for index in np.flatnonzero(trained):
            matrix[index] = _built(pair, point + np.eye(len(point))[index], structure)[1] - angles
        move = np.where(trained, np.linspace(0.3, 0.7, len(point)), 0.0)
        if not np.allclose(_built(pair, point + move, structure)[1], angles + move @ matrix, atol=1e-9):
            raise CircuitError(
                "the circuit builder's angles are not sums of parameters with weights, so that they cannot be shifted; "
                "use SPSAGradientEstimator"
            )
        matrix[np.abs(matrix) < 1e-12] = 0.0
        return cls(structure, angles, matrix)


def _built(
    pair: BuilderAndLoss, point: FloatArray, expected: CircuitStructure | None
) -> tuple[CircuitStructure, FloatArray]:
    circuit = pair.build(point.copy())
    if expected not in (None, circuit.structure):
        raise CircuitError("the circuit builder's gates depend on the parameters' values; use SPSAGradientEstimator")
    return circuit.structure, bound_angles(circuit, "the circuit that the builder returned")


class OutcomeShift(Facade):
    """Runs the unshifted and all shifted circuits of a builder as one batch, and folds them into a gradient."""

    async def gradient(
        self,
        pair: BuilderAndLoss,
        parameters: ArrayLike,
        shots: int | None,
        *,
        frozen: Sequence[int] = (),
        regularization: float | None = None,
    ) -> GradientResult:
        """The gradient; `function_value` is the loss at the parameters.

        Args:
            pair: The circuits and the loss.
            parameters: `(n_parameters,)`, radians.
            shots: How often each circuit is run; None for exact probabilities.
            frozen: Parameters whose gradient is not needed.
            regularization: What is added to the diagonal of the Fisher information of the outcomes, by whose inverse
                the gradient is then multiplied; None: the gradient itself.
        """
        point = checked_parameters(parameters)
        made = AffineAngles.of(pair, point, trained_parameters(len(point), frozen))
        with self._call() as key:
            rounds = self._rounds(pair, made, shots, key, regularization)
            result, _ = await self.executor.drive(rounds, label=f"gradient {key.step + 1}")
        return result

    def _rounds(
        self, pair: BuilderAndLoss, made: AffineAngles, shots: int | None, key: StepKey, regularization: float | None
    ) -> Rounds:
        table = ShiftTable.of(made.structure, (made.matrix != 0).any(axis=0))
        n_rows = 1 + len(table.angles)
        angles = np.repeat(made.angles[None], n_rows, axis=0)
        angles[np.arange(1, n_rows), table.angles] += table.shifts
        labels = key.draws(term=np.arange(n_rows))
        group = CircuitGroup.of(made.structure, angles, np.arange(n_rows), shots=shots, labels=labels)
        results = yield (group.batch,)
        base, *shifted = in_order([group], results, backend=self.executor.backend.name)
        weights = made.matrix[:, table.angles] * table.weights
        slopes = [_combined(shifted, row) for row in weights]
        gradients = np.array([_slope(pair, base, slope) for slope in slopes])
        method = "parameter_shift"
        if regularization is not None:
            metric = fisher_information(base, slopes) + regularization * np.eye(len(gradients))
            gradients, method = np.linalg.solve(metric, gradients), "natural_gradient"
        return GradientResult(gradients, finite_loss(pair.loss(base)), method=method), None


def fisher_information(base: ExecutionResult, slopes: Sequence[Mapping[str, float]]) -> FloatArray:
    """`F_ij = sum_b dp_b/di dp_b/dj / p_b` over the outcomes b that occur, `(n_parameters, n_parameters)`.

    >>> half = ExecutionResult({}, {"0": 0.5, "1": 0.5}, 0)
    >>> fisher_information(half, [{"0": 0.5, "1": -0.5}])
    array([[1.]])
    """
    outcomes = sorted(bits for bits, probability in base.probabilities.items() if probability > 0)
    weights = np.array([base.probabilities[bits] for bits in outcomes])
    table = np.array([[slope.get(bits, 0.0) for bits in outcomes] for slope in slopes])
    information: FloatArray = (table / weights) @ table.T
    return information


def _combined(results: Sequence[ExecutionResult], weights: FloatArray) -> dict[str, float]:
    """The weighted sum of probabilities, outcome by outcome."""
    total: dict[str, float] = {}
    for index in np.flatnonzero(weights).tolist():
        for bits, probability in results[index].probabilities.items():
            total[bits] = total.get(bits, 0.0) + float(weights[index]) * probability
    return total


def _slope(pair: BuilderAndLoss, base: ExecutionResult, slope: dict[str, float]) -> float:
    """The derivative of the loss along a change of the probabilities."""
    if not slope:
        return 0.0
    ahead, behind = (finite_loss(pair.loss(_moved(base, slope, step))) for step in (_STEP, -_STEP))
    return (ahead - behind) / (2 * _STEP)


def _moved(base: ExecutionResult, slope: dict[str, float], step: float) -> ExecutionResult:
    """The result with other probabilities, and counts that go with them."""
    probabilities = {
        bits: base.probabilities.get(bits, 0.0) + step * slope.get(bits, 0.0)
        for bits in sorted({*base.probabilities, *slope})
    }
    counts = {bits: base.total_shots * value for bits, value in probabilities.items()} if base.total_shots else {}
    return ExecutionResult(counts, probabilities, base.total_shots, base.metadata)  # type: ignore[arg-type]
