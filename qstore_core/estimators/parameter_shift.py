"""The parameter-shift rule on gate angles, with the loss's derivative chained on classically."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from qstore_core.arrays import BoolArray, FloatArray, IntArray
from qstore_core.gates import GATES
from qstore_core.operations import CircuitStructure
from qstore_core.problem import GradientResult, Problem, Rounds, State
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


def trained_angles(problem: Problem) -> BoolArray:
    """Which gate angles depend on a trained parameter, `(n_angles,)`."""
    matrix = problem.affine.parameters.matrix
    active: BoolArray = (matrix[problem.trained] != 0).any(axis=0)
    return active


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterShift:
    """The exact derivative of every expectation value by every trained gate angle, from shifted circuits.

    A parameter that enters several gates, or with a weight, is several angles whose derivatives are summed; shifting
    the loss itself instead would be wrong for any loss that is not linear. Circuits: `n_samples (1 + s)`, where s
    counts 2 for each trained angle and 4 for each trained controlled rotation; the unshifted circuit is shared.
    """

    def start(self, problem: Problem, parameters: FloatArray) -> State:
        """Nothing is carried from step to step."""
        return None

    def gradient(self, problem: Problem, parameters: FloatArray, state: State, key: StepKey) -> Rounds:
        """One round: the unshifted and all shifted circuits of every sample, in one batch."""
        n_samples = problem.n_samples
        samples = np.arange(n_samples)
        base = problem.affine.angles(problem.features, parameters, n_samples)
        table = ShiftTable.of(problem.structure, trained_angles(problem))
        n_shifts = len(table.angles)
        angles = np.repeat(base[None], 1 + n_shifts, axis=0)
        angles[np.arange(1, 1 + n_shifts), :, table.angles] += table.shifts[:, None]
        draws = key.draws(sample=samples, term=np.arange(1 + n_shifts)[:, None])
        batch = problem.angle_batch(angles.reshape(-1, base.shape[1]), draws.ravel())
        (result,) = yield (batch,)
        outputs = problem.outputs(batch, result).values.reshape(1 + n_shifts, n_samples, -1)
        loss = problem.loss_of(outputs[0])
        slopes = np.einsum("so,tso->t", loss.output_gradient, outputs[1:]) * table.weights
        by_angle = np.bincount(table.angles, slopes, minlength=base.shape[1])
        answer = GradientResult(
            problem.affine.parameters.matrix @ by_angle * problem.trained,
            loss.value,
            method="parameter_shift",
            loss_gradients=loss.parameter_gradient,
        )
        return answer, state
