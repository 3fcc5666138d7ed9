"""The conformance suite of gradient estimators."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np

from qstore_core.angles import Feature, Parameter
from qstore_core.arrays import FloatArray
from qstore_core.backend import LocalBackend
from qstore_core.batch import CircuitBatch, VectorJacobianProduct
from qstore_core.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from qstore_core.circuit import QuantumCircuit
from qstore_core.cost import Cost
from qstore_core.errors import CapabilityError, CheckpointError
from qstore_core.executor import Executor
from qstore_core.losses import MeanSquaredError
from qstore_core.observables import PauliSum
from qstore_core.problem import GradientEstimator, GradientResult, Problem, State
from qstore_core.randomness import StepKey
from qstore_core.testing import reference
from qstore_core.testing.expect import CheckFailedError, require, require_close, skip
from qstore_core.testing.reference import ReferenceBackend

Factory: TypeAlias = Callable[[], GradientEstimator]

_KEY = StepKey(seed=11, stage="conformance")
_SIGMAS = 7.0
"""A mean of many steps is further off by chance less than once in 1e10, each of a dozen comparisons."""


class GradientEstimatorSuite:
    """Every check of a gradient estimator; fill in the fixture `make_estimator` with what makes one.

    Attributes:
        steps: How many steps are averaged where the mean is compared with the derivative.
        bias: How far the mean may be from the derivative, relative to its largest entry, beside the scatter.
        shots: Shots of each circuit in the checks with shots.
        backend: What circuits run on; one with `adjoint` where the estimator asks for derivatives.

    >>> from qstore_core.estimators.parameter_shift import ParameterShift
    >>> from qstore_core.testing import run_suite
    >>> {outcome.state for outcome in run_suite(GradientEstimatorSuite(), make_estimator=ParameterShift)}
    {'passed'}
    """

    steps: ClassVar[int] = 200
    bias: ClassVar[float] = 0.05
    shots: ClassVar[int] = 100
    backend: ClassVar[Callable[[], LocalBackend]] = ReferenceBackend

    def test_a_step_gives_a_gradient_and_the_loss(self, make_estimator: Factory) -> None:
        """One finite number for each parameter, and the loss at or near the parameters."""
        problem, parameters = self._problem()
        result, _ = self._step(make_estimator(), problem, parameters)
        require(isinstance(result, GradientResult), f"a step returned a {type(result).__name__}, not a GradientResult")
        gradients = np.asarray(result.gradients)
        require(gradients.shape == parameters.shape, f"gradients have shape {gradients.shape}, not {parameters.shape}")
        require(gradients.dtype == np.float64, f"gradients are {gradients.dtype}, not float64")
        require(np.isfinite(gradients).all(), f"gradients are {gradients}")
        require(np.isfinite(result.function_value), f"function_value is {result.function_value}")
        wanted = _loss(problem, parameters)
        require_close(result.function_value, wanted, 0.5 * max(1.0, wanted), "function_value, the loss")

    def test_the_mean_of_exact_steps_is_the_derivative(self, make_estimator: Factory) -> None:
        """Many steps with exact values, averaged, against differences of the exact loss."""
        self._compare_mean(make_estimator(), shots=None)

    def test_the_mean_of_sampled_steps_is_the_derivative(self, make_estimator: Factory) -> None:
        """The same with shots, whose noise must not shift the mean."""
        self._compare_mean(make_estimator(), shots=self.shots)

    def test_the_variance_it_reports_is_that_of_its_steps(self, make_estimator: Factory) -> None:
        """Where a result has a variance: the mean of what is reported is the scatter, to a factor of 3."""
        problem, parameters = self._problem(shots=self.shots)
        results = self._repeat(make_estimator(), problem, parameters)
        reported = [result.variance for result in results if result.variance is not None]
        if len(reported) < len(results):
            skip("GradientResult.variance is None: it does not say how uncertain it is")
        scatter = float(np.var([result.gradients for result in results], axis=0, ddof=1).sum())
        mean = float(np.mean(reported))
        require(
            scatter / 3 <= mean <= 3 * scatter or max(mean, scatter) < 1e-12,
            f"the variance is reported as {mean:.3g} on average, and {len(results)} steps scatter by {scatter:.3g}",
        )

    def test_parameters_that_are_not_trained_have_gradient_0(self, make_estimator: Factory) -> None:
        """A frozen parameter does not move, and costs no circuit that only it needs."""
        problem, parameters = self._problem()
        frozen = replace(problem, trained=np.array([True, False, True]))
        for key in (_KEY, _KEY.at(1)):
            result, _ = self._step(make_estimator(), frozen, parameters, key=key)
            require(result.gradients[1] == 0.0, f"a frozen parameter has gradient {result.gradients[1]:g}")

    def test_the_same_key_gives_the_same_circuits(self, make_estimator: Factory) -> None:
        """A step that is repeated after a crash asks for the very same, so that what was paid is found."""
        problem, parameters = self._problem(shots=self.shots)
        first, second = (self._asked(make_estimator(), problem, parameters, _KEY) for _ in range(2))
        require(first == second, "the same key gave other circuits or other draw labels: a crash would be paid twice")

    def test_another_key_gives_other_draw_labels(self, make_estimator: Factory) -> None:
        """Two steps do not share their shots."""
        problem, parameters = self._problem(shots=self.shots)
        first, second = (self._labels(make_estimator(), problem, parameters, key) for key in (_KEY, _KEY.at(1)))
        require(not first & second, "two steps share draw labels: the noise of one is that of the other")

    def test_different_circuits_of_a_step_have_different_labels(self, make_estimator: Factory) -> None:
        """No two circuits of a step have one label, or their noise would cancel or add up."""
        problem, parameters = self._problem(shots=self.shots)
        seen: dict[int, bytes] = {}
        for request in self._requests(make_estimator(), problem, parameters, _KEY):
            batch = _batch_of(request)
            for label, angles in zip(batch.draws if batch.draws is not None else (), batch.angles, strict=False):
                known = seen.setdefault(int(label), angles.tobytes())
                require(known == angles.tobytes(), "two different circuits of one step have the same draw label")

    def test_it_asks_for_what_the_problem_allows(self, make_estimator: Factory) -> None:
        """Batches of the problem's observables, exact where it is exact, with shots where it has shots."""
        for shots in (None, self.shots):
            problem, parameters = self._problem(shots=shots)
            for request in self._requests(make_estimator(), problem, parameters, _KEY):
                batch = _batch_of(request)
                require(batch.observables is not None, "a batch without observables was asked for")
                exact = "exact values" if shots is None else f"{shots} shots"
                require((batch.shots is None) == (shots is None), f"{batch.shots} shots in a problem of {exact}")

    def test_its_state_survives_a_checkpoint(self, make_estimator: Factory) -> None:
        """The state after two steps is stored and read, and the third step is the same."""
        problem, parameters = self._problem(shots=self.shots)
        estimator = make_estimator()
        state = self._start(estimator, problem, parameters)
        for step in range(2):
            _, state = self._step(estimator, problem, parameters, state=state, key=_KEY.at(step))
        restored = _through_a_checkpoint(state, parameters)
        asked = [
            self._asked(make_estimator(), problem, parameters, _KEY.at(2), state=each) for each in (state, restored)
        ]
        require(asked[0] == asked[1], "a step after a checkpoint asks for other circuits than one without")

    def test_it_keeps_nothing_outside_its_state(self, make_estimator: Factory) -> None:
        """Steps of another run in between change nothing: what carries over is in the state alone."""
        problem, parameters = self._problem(shots=self.shots)
        estimator, alone = make_estimator(), make_estimator()
        state, other = self._start(estimator, problem, parameters), self._start(alone, problem, parameters)
        for step in range(3):
            self._step(estimator, problem, parameters + 1.0, key=StepKey(99).at(step))
            mixed, state = self._step(estimator, problem, parameters, state=state, key=_KEY.at(step))
            single, other = self._step(alone, problem, parameters, state=other, key=_KEY.at(step))
            require(
                np.array_equal(mixed.gradients, single.gradients),
                "another run on the same estimator changes the gradient: keep nothing on self",
            )

    def test_it_leaves_its_arguments_as_they_are(self, make_estimator: Factory) -> None:
        """Parameters and data are read and not written."""
        problem, parameters = self._problem()
        kept = [array.copy() for array in (parameters, problem.features, problem.targets)]
        self._step(make_estimator(), problem, parameters)
        for before, after in zip(kept, (parameters, problem.features, problem.targets), strict=True):
            require(np.array_equal(before, after), "a step changed the parameters, the features or the targets")

    def test_what_it_has_to_say_is_json(self, make_estimator: Factory) -> None:
        """The metadata goes to metrics.jsonl."""
        problem, parameters = self._problem()
        result, _ = self._step(make_estimator(), problem, parameters)
        try:
            json.dumps(dict(result.metadata))
        except (TypeError, ValueError) as error:
            raise CheckFailedError(f"metadata {result.metadata!r} is not JSON: {error}") from error

    def _problem(self, *, shots: int | None = None) -> tuple[Problem, FloatArray]:
        """Two samples, three parameters, one of them in two gates, and two outputs in two bases."""
        able = type(self).backend().capabilities
        if (shots is None and not able.exact) or (shots is not None and not able.sampled):
            skip("the backend of this suite has no such values")
        w, x = Parameter.vector("w", 3), Feature("x")
        circuit = QuantumCircuit(2).ry(0, w[0] + x).ry(1, 2 * w[1]).cnot(0, 1).rx(1, w[2]).ry(0, 0.5 * w[0])
        rng = np.random.default_rng(5)
        problem = Problem.of(
            circuit,
            (PauliSum.of("Z1"), PauliSum.of("X0")),
            features=rng.normal(size=(2, 1)),
            targets=rng.choice([-1.0, 1.0], size=(2, 2)),
            loss=MeanSquaredError(),
            shots=shots,
            capabilities=able,
        )
        return problem, rng.normal(size=3)

    def _start(self, estimator: GradientEstimator, problem: Problem, parameters: FloatArray) -> State:
        try:
            return estimator.start(problem, parameters)
        except CapabilityError as error:
            skip(str(error))

    def _step(
        self,
        estimator: GradientEstimator,
        problem: Problem,
        parameters: FloatArray,
        *,
        state: State = ...,
        key: StepKey = _KEY,
    ) -> tuple[GradientResult, State]:
        state = self._start(estimator, problem, parameters) if state is ... else state
        try:
            rounds = estimator.gradient(problem, parameters, state, key)
            return asyncio.run(Executor(type(self).backend()).drive(rounds))
        except CapabilityError as error:
            skip(str(error))

    def _repeat(self, estimator: GradientEstimator, problem: Problem, parameters: FloatArray) -> list[GradientResult]:
        """Many steps from the first state, each with a key of its own."""
        state = self._start(estimator, problem, parameters)
        steps = range(self.steps)
        return [self._step(estimator, problem, parameters, state=state, key=_KEY.at(step))[0] for step in steps]

    def _compare_mean(self, estimator: GradientEstimator, *, shots: int | None) -> None:
        problem, parameters = self._problem(shots=shots)
        found = np.array([result.gradients for result in self._repeat(estimator, problem, parameters)])
        wanted = _derivatives(problem, parameters)
        scatter = _SIGMAS * found.std(axis=0, ddof=1) / np.sqrt(len(found))
        allowed = scatter + self.bias * np.abs(wanted).max()
        require_close(found.mean(axis=0), wanted, allowed, f"the mean of {len(found)} gradients")

    def _requests(
        self, estimator: GradientEstimator, problem: Problem, parameters: FloatArray, key: StepKey, state: State = ...
    ) -> list[Any]:
        """What a step asks for, round after round."""
        state = self._start(estimator, problem, parameters) if state is ... else state
        seen: list[Any] = []

        def watched() -> Any:
            rounds, results = estimator.gradient(problem, parameters, state, key), None
            while True:
                try:
                    requests = next(rounds) if results is None else rounds.send(results)
                except StopIteration as end:
                    return end.value
                require(isinstance(requests, tuple), f"a step yielded a {type(requests).__name__}, not a tuple")
                for request in requests:
                    fitting = isinstance(request, CircuitBatch | VectorJacobianProduct)
                    require(fitting, f"a step asked for a {type(request).__name__}, not a CircuitBatch")
                seen.extend(requests)
                results = yield requests

        try:
            asyncio.run(Executor(type(self).backend()).drive(watched()))
        except CapabilityError as error:
            skip(str(error))
        return seen

    def _asked(
        self, estimator: GradientEstimator, problem: Problem, parameters: FloatArray, key: StepKey, state: State = ...
    ) -> list[tuple[Any, ...]]:
        """What a step asks for, as values that compare."""
        batches = map(_batch_of, self._requests(estimator, problem, parameters, key, state))
        return [
            (each.structure, each.angles.tobytes(), each.shots, None if each.draws is None else each.draws.tobytes())
            for each in batches
        ]

    def _labels(self, *arguments: Any) -> set[int]:
        batches = map(_batch_of, self._requests(*arguments))
        return {int(label) for batch in batches for label in (batch.draws if batch.draws is not None else ())}


def _batch_of(request: CircuitBatch | VectorJacobianProduct) -> CircuitBatch:
    return request.batch if isinstance(request, VectorJacobianProduct) else request


def _loss(problem: Problem, parameters: FloatArray) -> float:
    samples = np.arange(problem.n_samples)
    batch = replace(problem, shots=None).batch(parameters, samples, samples.astype(np.uint64))
    return float(problem.loss_of(reference.expectations(batch)).value)


def _derivatives(problem: Problem, parameters: FloatArray) -> FloatArray:
    """Of the exact loss, by central differences of fourth order."""
    step, moves = 1e-3, np.eye(len(parameters))
    ends = [[_loss(problem, parameters + step * times * move) for times in (1, -1, 2, -2)] for move in moves]
    return np.array([(8 * (a - b) - (c - d)) / (12 * step) for a, b, c, d in ends])


def _through_a_checkpoint(state: State, parameters: FloatArray) -> State:
    made = Checkpoint(
        model="conformance",
        settings={},
        parameters=parameters,
        loss_parameters=np.empty(0),
        optimizer={},
        loss_optimizer={},
        estimator=state,
        seed=0,
        step=0,
        epoch=0,
        samples_done=0,
        spent=Cost(),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint.npz"
        try:
            save_checkpoint(made, path)
        except CheckpointError as error:
            raise CheckFailedError(f"the state cannot be stored: {error}") from error
        return load_checkpoint(path).estimator
