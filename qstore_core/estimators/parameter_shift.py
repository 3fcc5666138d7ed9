"""The parameter-shift rule on gate angles, with the loss's derivative chained on classically."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from qstore_core.arrays import BoolArray, FloatArray, IntArray
from qstore_core.batch import CircuitBatch, Shifts
from qstore_core.estimators.differences import Folded, fold_differences
from qstore_core.gates import GATES
from qstore_core.operations import CircuitStructure
from qstore_core.problem import GradientResult, Problem, Rounds, State, require_whole
from qstore_core.randomness import StepKey


@lru_cache(maxsize=64)
def shift_rule(frequencies: tuple[float, ...]) -> tuple[FloatArray, FloatArray]:
    """Shifts `x` and weights `y` such that `f'(t) = sum_m y_m (f(t + x_m) - f(t - x_m))`.

    Exact for any `f` with these frequencies, which are multiples of the least: `x_m = (2 m - 1) pi / (2 R w)` and
    `y` solves `sum_m 2 sin(w_k x_m) y_m = w_k` (Wierichs et al., arXiv 2107.12390). One frequency gives the two-term
    rule; the frequencies 1/2 and 1 of a controlled rotation give the four-term rule (arXiv 2104.05695).

    >>> shifts, weights = shift_rule((1.0,))
    >>> shifts.round(4), weights
    (array([1.5708]), array([0.5]))
    """
    omega = np.array(frequencies)
    order = np.arange(1, len(omega) + 1)
    shifts = (2 * order - 1) * np.pi / (2 * len(omega) * omega[0])
    return shifts, np.linalg.solve(2 * np.sin(np.outer(omega, shifts)), omega)


@dataclass(frozen=True, slots=True, eq=False)
class ShiftTable:
    """Every shifted circuit of one sample.

    Attributes:
        angles: `(n_shifts,)`, which gate angle is shifted.
        shifts: `(n_shifts,)`, by how much, radians.
        weights: `(n_shifts,)`, the weight of the result in that angle's derivative.
    """

    angles: IntArray
    shifts: FloatArray
    weights: FloatArray

    @classmethod
    def of(cls, structure: CircuitStructure, active: BoolArray) -> ShiftTable:
        """The shifts of the `active` gate angles, a mask `(n_angles,)`."""
        gates = [GATES[name] for name, _ in structure.gates if GATES[name].has_angle]
        angles: list[int] = []
        shifts: list[float] = []
        weights: list[float] = []
        for index in np.flatnonzero(active):
            x, y = shift_rule(gates[index].frequencies)
            angles += [int(index)] * (2 * len(x))
            shifts += [*x, *-x]
            weights += [*y, *-y]
        return cls(np.array(angles, dtype=np.int64), np.array(shifts), np.array(weights))


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterShift:
    """The exact derivative of every expectation value by every active gate angle, from shifted circuits.

    A parameter that enters several gates, or with a weight, is several angles whose derivatives are summed; shifting
    the loss itself instead would be wrong for any loss that is not linear. The unshifted circuits, which give the
    derivative of the loss, are shared. With shots the gradient is unbiased for a mean squared error, and biased by
    O(1/shots) for losses whose derivative is not linear in the outputs.

    Circuits: `n_samples (1 + s)`, where s counts 2 for each active angle and 4 for each active controlled rotation, in
    one batch. The reported variance is that over shots, of which one says nothing, and over the choice of coordinates.

    Attributes:
        coordinates: Shift only this many random active parameters a step, whose derivatives are weighted up so that
            the gradient stays unbiased; None: all of them.
    """

    coordinates: int | None = None

    def __post_init__(self) -> None:
        if self.coordinates is not None:
            require_whole("coordinates", self.coordinates)

    def start(self, problem: Problem, parameters: FloatArray) -> State:
        """Nothing is carried from step to step."""
        return None

    def gradient(self, problem: Problem, parameters: FloatArray, state: State, key: StepKey) -> Rounds:
        """One round: the unshifted and all shifted circuits of every sample, in one batch."""
        chosen = self._chosen(problem.active, key)
        matrix = problem.affine.parameters.matrix * chosen[:, None]
        table = ShiftTable.of(problem.structure, (matrix != 0).any(axis=0))
        batch = shifted(problem, parameters, table, key)
        (result,) = yield (batch,)
        weights = matrix[:, table.angles] * table.weights
        folded = fold_differences(problem, weights, problem.outputs(batch, result))
        share = chosen.sum() / problem.active.sum() if problem.active.any() else 1.0
        moments = replace(folded.moments, second_moment=folded.moments.second_moment / share)
        answer = GradientResult(
            folded.gradients / share,
            folded.loss.value,
            variance=_variance(folded, share),
            method="parameter_shift",
            metadata={"samples": problem.n_samples, "coordinates": int(chosen.sum()), **moments.to_dict()},
            loss_gradients=folded.loss.parameter_gradient,
        )
        return answer, state

    def _chosen(self, active: BoolArray, key: StepKey) -> BoolArray:
        places = np.flatnonzero(active)
        if self.coordinates is None or self.coordinates >= len(places):
            return active
        chosen = np.zeros_like(active)
        chosen[key.generator("coordinates").choice(places, self.coordinates, replace=False)] = True
        return chosen


def shifted(problem: Problem, parameters: FloatArray, table: ShiftTable, key: StepKey) -> CircuitBatch:
    """The unshifted circuits of every sample, then those of every shift in the order of the table."""
    n_samples, n_shifts = problem.n_samples, len(table.angles)
    samples = np.arange(n_samples)
    base = problem.affine.angles(problem.features, parameters, n_samples)
    angles = np.repeat(base[None], 1 + n_shifts, axis=0)
    angles[np.arange(1, 1 + n_shifts), :, table.angles] += table.shifts[:, None]
    draws = None
    if problem.shots is not None:
        draws = key.draws(sample=samples, term=np.arange(1 + n_shifts)[:, None]).ravel()
    relation = Shifts(
        bases=np.tile(samples, 1 + n_shifts),
        columns=np.repeat(np.append(-1, table.angles), n_samples),
        amounts=np.repeat(np.append(0.0, table.shifts), n_samples),
    )
    return problem.angle_batch(angles.reshape((1 + n_shifts) * n_samples, base.shape[1]), draws, relation)


def _variance(folded: Folded, share: float) -> float | None:
    """The total variance, over shots and over which `share` of the coordinates was drawn."""
    if folded.noise is None:
        return None
    squares = float(np.sum(folded.gradients**2))
    return max(0.0, (squares / share - squares + folded.noise) / share)
