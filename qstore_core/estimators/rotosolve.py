"""Rotosolve: one parameter a step, moved at once to where the loss is least along it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from qstore_core.arrays import FloatArray
from qstore_core.batch import BatchResult, CircuitBatch, Estimates
from qstore_core.errors import CapabilityError
from qstore_core.estimators.curves import Curve, frequencies_of
from qstore_core.estimators.differences import unmoved
from qstore_core.losses import LossValue
from qstore_core.problem import GradientResult, Problem, Rounds, State
from qstore_core.randomness import StepKey

_MOST_FREQUENCIES = 64


@dataclass(frozen=True, slots=True)
class Rotosolve:
    """Coordinate descent to the bottom of each coordinate, for any loss.

    Along one parameter every output of every sample is a trigonometric polynomial, a sinusoid where the parameter is
    the angle of one rotation. A few circuits of each sample determine it exactly; the loss of these curves is then
    minimised over the whole period, classically, and the parameter moved there (Ostaszewski et al., arXiv 1905.09692,
    and Nakanishi et al., arXiv 1903.12166, for a loss that is an expectation value itself; on the outputs of each
    sample it is right for any loss). Active parameters take turns, in their order in the circuit.

    With shots the loss of the interpolated outputs is corrected to second order for their noise, as in SPSA: without a
    bias for a mean squared error at any number of shots, for cross-entropy with one of O(1/shots^2). For a function of
    yours there is no correction, and interpolated outputs are kept within what the observables can be.

    Circuits: `n_samples (2 R + 1)`, where R counts the frequencies of the parameter, in one batch: 3 a sample for one
    Pauli rotation, 5 for one controlled rotation.
    """

    def start(self, problem: Problem, parameters: FloatArray) -> State:
        """The number of steps done.

        Raises:
            CapabilityError: A parameter has too many frequencies.
        """
        for place in np.flatnonzero(problem.active):
            _curve(problem, int(place))
        return 0

    def gradient(self, problem: Problem, parameters: FloatArray, state: State, key: StepKey) -> Rounds:
        """One round: every sample at the points of one parameter's curve, in one batch."""
        places = np.flatnonzero(problem.active)
        if not len(places):
            batch = unmoved(problem, parameters, key)
            (result,) = yield (batch,)
            loss = problem.loss_of(problem.outputs(batch, result).values)
            return _answer(parameters, loss, loss), state + 1
        place = int(places[state % len(places)])
        curve = _curve(problem, place)
        batch = _moved(problem, parameters, place, curve.points, key)
        (result,) = yield (batch,)
        return _solved(problem, parameters, place, _Landscape.of(problem, curve, batch, result)), state + 1


def _curve(problem: Problem, place: int) -> Curve:
    """The curve of outputs along one parameter."""
    weights = problem.affine.parameters.matrix[place]
    frequencies = frequencies_of(problem.structure, weights, most=_MOST_FREQUENCIES)
    if len(frequencies) > _MOST_FREQUENCIES:
        raise CapabilityError(
            f"parameter {place} enters {np.count_nonzero(weights)} gates with weights that make more than "
            f"{_MOST_FREQUENCIES} frequencies: optimizer='rotosolve' would need more than {2 * _MOST_FREQUENCIES} "
            "circuits a sample and step; use another optimizer, or equal weights"
        )
    return Curve.of(tuple(frequencies.tolist()))


def _moved(problem: Problem, parameters: FloatArray, place: int, points: FloatArray, key: StepKey) -> CircuitBatch:
    """Every sample with one parameter moved: rows for point, then sample."""
    samples = np.arange(problem.n_samples)
    rows = np.tile(parameters, (len(points), len(samples), 1))
    rows[:, :, place] += points[:, None]
    draws = key.draws(sample=samples, term=np.arange(len(points))[:, None]).ravel()
    return problem.batch(rows.reshape(-1, len(parameters)), np.tile(samples, len(points)), draws)


@dataclass(frozen=True, slots=True, eq=False)
class _Landscape:
    """The loss along one parameter.

    Attributes:
        problem: The mini-batch.
        curve: Where the outputs are known.
        values: `(n_points, n_samples, n_outputs)`, what they are there.
        covariance: `(n_points, n_samples, n_outputs, n_outputs)` of their noise; None when exact.
        reach: `(n_outputs,)`, the largest size of each output for a loss that is not promised to be finite beyond it;
            else infinite, since cutting noise off on one side would be a bias.
    """

    problem: Problem
    curve: Curve
    values: FloatArray
    covariance: FloatArray | None
    reach: FloatArray

    @classmethod
    def of(cls, problem: Problem, curve: Curve, batch: CircuitBatch, result: BatchResult) -> _Landscape:
        """From the results of the rows of `_moved`."""
        outputs: Estimates = problem.outputs(batch, result)
        shape = (len(curve.points), problem.n_samples, len(problem.observables))
        covariance = None if problem.shots == 1 else outputs.covariance  # one shot says nothing of its own variance
        if covariance is not None:
            covariance = covariance.reshape(*shape, shape[2])
        values = outputs.values.reshape(shape)
        reach = np.array([sum(abs(term.coefficient) for term in each.terms) for each in problem.observables])
        if problem.loss_of(values[0]).curvature is not None:
            reach = np.full_like(reach, np.inf)
        return cls(problem, curve, values, covariance, reach)

    def at(self, t: float) -> LossValue:
        """The loss of the outputs at `t`."""
        outputs = np.tensordot(self.curve.weights(t), self.values, axes=1)
        return self.problem.loss_of(np.clip(outputs, -self.reach, self.reach))

    def height(self, t: float) -> float:
        """The same as a number, without what the noise of the outputs adds to it."""
        loss = self.at(t)
        if self.covariance is None or loss.curvature is None:
            return loss.value
        noise = np.tensordot(self.curve.weights(t) ** 2, self.covariance, axes=1)
        return loss.value - float(np.einsum("sab,sba->", loss.curvature, noise)) / 2

    def slope(self) -> float:
        """The derivative at 0."""
        along = np.tensordot(self.curve.slope, self.values, axes=1)
        return float(np.sum(self.at(0.0).output_gradient * along))


def _solved(problem: Problem, parameters: FloatArray, place: int, landscape: _Landscape) -> GradientResult:
    """The step to the bottom of the landscape."""
    t = landscape.curve.least(landscape.height)
    found = {"parameter": place, "points": len(landscape.curve.points), "moved": t, "samples": problem.n_samples}
    unit = np.zeros(len(parameters))
    unit[place] = 1.0
    before, after = landscape.at(0.0), landscape.at(t)
    answer = _answer(parameters, before, after)
    return replace(answer, gradients=landscape.slope() * unit, move=t * unit, metadata=found)


def _answer(parameters: FloatArray, before: LossValue, after: LossValue) -> GradientResult:
    """A step that moves nothing; the loss's own parameters follow their gradient after the step."""
    nothing = np.zeros(len(parameters))
    return GradientResult(
        nothing, before.value, method="rotosolve", loss_gradients=after.parameter_gradient, move=nothing
    )
