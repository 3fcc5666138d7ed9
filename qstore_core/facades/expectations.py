"""One circuit as a problem of the core's estimators: a builder, observables, and a loss of their expectation values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias, Unpack

import numpy as np
from numpy.typing import ArrayLike

from qstore_core.arrays import BoolArray, FloatArray
from qstore_core.backend import Backend
from qstore_core.errors import CircuitError, ConfigurationError, UnknownNameError
from qstore_core.executor import Executor
from qstore_core.facades.builders import CircuitBuilder, SymbolicCircuit, numeric_circuit, symbolic_circuit
from qstore_core.facades.calls import Facade, Resources, checked_parameters, require_function, trained_parameters
from qstore_core.lightcone import MODES, reduce_circuit, reduced_affine
from qstore_core.losses import Loss, LossValue, central_differences, finite_loss
from qstore_core.observables import PauliString, PauliSum
from qstore_core.problem import GradientEstimator, GradientResult, Problem, Rounds, State
from qstore_core.randomness import StepKey

Observable: TypeAlias = PauliString | PauliSum | str
OutputLoss: TypeAlias = Callable[[FloatArray], float]
"""A loss of expectation values `(n_outputs,)`, one for each observable."""


@dataclass(frozen=True, slots=True, eq=False)
class FirstOutput:
    """The loss that is the first output itself.

    >>> FirstOutput()(np.array([[0.5, 0.1]]), np.zeros((1, 2)), np.empty(0)).output_gradient
    array([[1., 0.]])
    """

    initial_parameters: ClassVar[FloatArray] = np.empty(0)

    def __call__(self, outputs: FloatArray, targets: FloatArray, parameters: FloatArray) -> LossValue:
        gradient = np.zeros_like(outputs)
        gradient[:, 0] = 1.0
        curvature = np.zeros((*outputs.shape, outputs.shape[1]))
        return LossValue(float(outputs[:, 0].sum()), gradient, self.initial_parameters, curvature)


@dataclass(frozen=True, slots=True, eq=False)
class LossOfOutputs:
    """A user's function of one circuit's outputs, differentiated by central differences, which run no circuit.

    >>> loss = LossOfOutputs(lambda outputs: float((outputs[0] - 1) ** 2))
    >>> loss(np.array([[0.5]]), np.zeros((1, 1)), np.empty(0)).output_gradient.round(6)
    array([[-1.]])
    """

    function: OutputLoss
    initial_parameters: ClassVar[FloatArray] = np.empty(0)

    def __call__(self, outputs: FloatArray, targets: FloatArray, parameters: FloatArray) -> LossValue:
        return LossValue(self._value(outputs), central_differences(self._value, outputs), self.initial_parameters)

    def _value(self, outputs: FloatArray) -> float:
        return finite_loss(self.function(outputs[0].copy()), advice=" for every value that the outputs can have")


def output_loss(function: OutputLoss | None) -> Loss:
    """The core's form of a loss of outputs; None is the first output itself."""
    if function is None:
        return FirstOutput()
    require_function("loss_function", function, "(outputs) -> float")
    return LossOfOutputs(function)


def checked_observables(observables: Observable | Sequence[Observable] | None) -> tuple[PauliSum, ...] | None:
    """Observables as sums; one alone is a list of one, and None stays None.

    >>> checked_observables(["Z0", PauliString("X0 X1")])
    (Z0, X0 X1)
    """
    if observables is None:
        return None
    if isinstance(observables, Observable):
        observables = (observables,)
    if not isinstance(observables, Iterable):
        raise ConfigurationError(f"observables is a list with one for each output, such as ['Z0'], not {observables!r}")
    listed = tuple(map(PauliSum.of, observables))
    if not listed:
        raise ConfigurationError("observables is empty; give one for each output, such as ['Z0']")
    return listed


class ExpectationFacade(Facade):
    """Gives an estimator of the core one circuit at a time, and keeps what it carries from call to call.

    Args:
        backend: Where to run; or an executor, whose cache, journal, budget and tracker are then shared.
        estimator: What is asked for gradients.
        observables: One for each output; None: given to each call.
        reduce: What need not run, as in `TrainingConfig`.
        seed: What all randomness derives from; None: a fresh one.
        resources: As for `Executor.on`.
    """

    def __init__(
        self,
        backend: Backend | Executor,
        estimator: GradientEstimator,
        observables: Observable | Sequence[Observable] | None,
        *,
        reduce: str,
        seed: int | None,
        **resources: Unpack[Resources],
    ) -> None:
        super().__init__(backend, seed=seed, **resources)
        if reduce not in tuple(MODES):
            raise UnknownNameError.of("reduce", reduce, MODES)
        self.observables = checked_observables(observables)
        self.reduce = reduce
        self._estimator = estimator
        self._memory: tuple[object, State] | None = None

    def reset(self) -> None:
        """Forget every call: the next one is the first again, with the same randomness as the first had."""
        super().reset()
        self._memory = None

    async def _differentiate(
        self,
        builder: CircuitBuilder,
        function: OutputLoss | None,
        parameters: ArrayLike,
        shots: int | None,
        observables: tuple[PauliSum, ...],
        frozen: Iterable[int] | None,
    ) -> GradientResult:
        require_function("circuit_builder", builder, "(parameters) -> QuantumCircuit")
        theta = checked_parameters(parameters)
        trained, loss = trained_parameters(len(theta), frozen), output_loss(function)
        with self._call() as key:
            rounds = self._rounds(builder, loss, theta, trained, shots, observables, key)
            result, self._memory = await self.executor.drive(rounds, label=f"gradient {key.step + 1}")
        return result

    def _rounds(
        self,
        builder: CircuitBuilder,
        loss: Loss,
        parameters: FloatArray,
        trained: BoolArray,
        shots: int | None,
        observables: tuple[PauliSum, ...],
        key: StepKey,
    ) -> Rounds:
        """The estimator's own; the next state is that of `_recalled`."""
        symbolic = symbolic_near(builder, parameters, key)
        reduction = reduce_circuit(symbolic.structure, observables, self.reduce)
        problem = Problem(
            structure=reduction.structure,
            affine=reduced_affine(symbolic.affine, reduction),
            observables=reduction.observables,
            features=np.empty((1, 0)),
            targets=np.zeros((1, len(observables))),
            loss=loss,
            loss_parameters=loss.initial_parameters,
            shots=shots,
            trained=trained,
            capabilities=self.executor.backend.capabilities,
            price=self.executor.price,
            remaining=self.executor.account.remaining,
        )
        kind, state = self._recalled(problem, parameters)
        answer, state = yield from self._estimator.gradient(problem, parameters, state, key)
        return answer, (kind, state)

    def _recalled(self, problem: Problem, parameters: FloatArray) -> tuple[object, State]:
        """The kind of the problem, and the estimator's state: a new one when the last call was of another kind."""
        kind = problem.structure, problem.observables, problem.shots, problem.trained.tobytes()
        if self._memory is not None and self._memory[0] == kind:
            return self._memory
        return kind, self._estimator.start(problem, parameters)


def symbolic_near(builder: CircuitBuilder, parameters: FloatArray, key: StepKey) -> SymbolicCircuit:
    """The circuit for all parameters, compared with numbers at and next to `parameters`: there it is differentiated.

    Raises:
        CircuitError: The builder takes numbers only, so that there is nothing to differentiate.

    >>> from qstore_core import QuantumCircuit
    >>> symbolic_near(lambda p: QuantumCircuit(1).ry(0, 2 * p[0]), np.zeros(1), StepKey(7)).affine.parameters.matrix
    array([[2.]])
    """
    nearby = parameters + key.generator("check").uniform(0.1, 0.3, len(parameters))
    points = np.stack([parameters, nearby])
    expected = [numeric_circuit(builder, point) for point in points]
    try:
        return symbolic_circuit(builder, points, expected)
    except CircuitError as error:
        raise CircuitError(
            f"{error}. Gate angles are differentiated by the parameters here, so they must be sums of parameters with "
            "weights, such as 0.5 * p[0] + p[1] + 1.2; for any other builder use SPSAGradientEstimator"
        ) from error
