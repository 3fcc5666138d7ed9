"""What a gradient estimator works on: the circuit, one mini-batch and the loss, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from qstore_core.affine import AffineMap
from qstore_core.arrays import BoolArray, FloatArray, IntArray, LabelArray
from qstore_core.backend import BackendCapabilities
from qstore_core.batch import BatchResult, CircuitBatch, Estimates, Shifts, VectorJacobianProduct, estimates
from qstore_core.circuit import QuantumCircuit
from qstore_core.cost import Budget, Cost
from qstore_core.errors import ConfigurationError
from qstore_core.losses import Loss, LossValue
from qstore_core.observables import PauliSum
from qstore_core.operations import CircuitStructure
from qstore_core.randomness import StepKey

State: TypeAlias = Any
"""What an estimator carries from step to step: numbers, strings, arrays, and lists and dicts of them, or None."""

Request: TypeAlias = CircuitBatch | VectorJacobianProduct
Rounds: TypeAlias = Generator[tuple[Request, ...], tuple[BatchResult, ...], tuple["GradientResult", State]]
"""A step: yields what is to be run, is sent the results, returns the gradient and the next state."""

Pricing: TypeAlias = Callable[[Sequence[Request]], Cost]
"""What running requests would cost on the backend, without running them."""


@dataclass(frozen=True, slots=True, eq=False)
class GradientResult:
    """An estimate of the gradient of a loss, and what it took.

    An estimator fills in what it knows; counts and time are filled in by the executor, which saw them.

    Attributes:
        gradients: `(n_parameters,)` float64.
        function_value: The loss at, or next to, the parameters.
        n_circuit_executions: Circuits run.
        n_shots: Shots over all circuits; 0 when exact.
        n_jobs: Jobs submitted.
        variance: The estimated total variance of `gradients` for the samples at hand, where the method knows it.
        total_variance: That over the choice of samples too, where the method knows it; clipping then lets it through.
        method: The name of the method.
        computation_time_ms: Wall time in milliseconds.
        metadata: Whatever else the method has to say, JSON values.
        loss_gradients: The gradient by the loss's own trained parameters.
        learning_rate_factor: What the optimiser's step is multiplied with, after the optimiser has made it.
        move: `(n_parameters,)`, for methods that find the next parameters by themselves: added to the parameters
            instead of an optimiser's step. None: the optimiser makes the step.

    >>> GradientResult(np.zeros(2), 0.5).n_circuit_executions
    0
    """

    gradients: FloatArray
    function_value: float
    n_circuit_executions: int = 0
    n_shots: int = 0
    n_jobs: int = 0
    variance: float | None = None
    total_variance: float | None = None
    method: str = ""
    computation_time_ms: float = 0.0
    metadata: Mapping[str, Any] = field(default_factory=dict)
    loss_gradients: FloatArray = field(default_factory=lambda: np.empty(0))
    learning_rate_factor: float = 1.0
    move: FloatArray | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Problem:
    """One mini-batch: minimise the loss of the circuit's expectation values by its parameters.

    Attributes:
        structure: The gates that run.
        affine: How features and parameters become the angles of `structure`. A parameter that enters no angle here
            cannot influence the outputs.
        observables: One for each output.
        features: `(n_samples, n_features)`, encoded inputs.
        targets: `(n_samples, n_outputs)`.
        loss: The loss.
        loss_parameters: The present values of the loss's own parameters.
        shots: Shots of each circuit; None for exact.
        trained: `(n_parameters,)`, which parameters move; the gradient of the others is 0.
        capabilities: What the backend can do.
        price: What requests would cost; None where nothing is known of it.
        remaining: What may still be spent; None: no limit.

    >>> from qstore_core import Parameter
    >>> from qstore_core.losses import MeanSquaredError
    >>> problem = Problem.of(
    ...     QuantumCircuit(1).ry(0, Parameter("a")),
    ...     (PauliSum.of("Z0"),),
    ...     features=np.zeros((2, 0)),
    ...     targets=np.ones((2, 1)),
    ...     loss=MeanSquaredError(),
    ...     capabilities=BackendCapabilities(max_qubits=1),
    ... )
    >>> problem.n_samples, problem.loss_of(np.zeros((2, 1))).value, problem.active
    (2, 1.0, array([ True]))
    """

    structure: CircuitStructure
    affine: AffineMap
    observables: tuple[PauliSum, ...]
    features: FloatArray
    targets: FloatArray
    loss: Loss
    loss_parameters: FloatArray
    shots: int | None
    trained: BoolArray
    capabilities: BackendCapabilities
    price: Pricing | None = None
    remaining: Budget | None = None

    @classmethod
    def of(
        cls,
        circuit: QuantumCircuit,
        observables: tuple[PauliSum, ...],
        *,
        features: FloatArray,
        targets: FloatArray,
        loss: Loss,
        capabilities: BackendCapabilities,
        shots: int | None = None,
        trained: BoolArray | None = None,
        loss_parameters: FloatArray | None = None,
    ) -> Problem:
        """The problem of a circuit that is run as it is; every parameter is trained unless `trained` says otherwise."""
        return cls(
            structure=circuit.structure,
            affine=circuit.affine,
            observables=observables,
            features=features,
            targets=targets,
            loss=loss,
            loss_parameters=loss.initial_parameters if loss_parameters is None else loss_parameters,
            shots=shots,
            trained=np.ones(len(circuit.parameters), dtype=bool) if trained is None else trained,
            capabilities=capabilities,
        )

    @property
    def n_samples(self) -> int:
        """The size of the mini-batch."""
        return len(self.features)

    @property
    def active(self) -> BoolArray:
        """Which parameters are trained and enter an angle, `(n_parameters,)`: the others have gradient 0."""
        return self.trained & self.affine.parameters.used

    def batch(self, parameters: FloatArray, samples: IntArray, draws: LabelArray | None) -> CircuitBatch:
        """One circuit for each of `samples`, run with its own row of `parameters`.

        Args:
            parameters: `(n_rows, n_parameters)`, or `(n_parameters,)` for all rows.
            samples: `(n_rows,)`, which sample of the mini-batch each row encodes.
            draws: `(n_rows,)`, the draw labels; exact circuits need none.
        """
        angles = self.affine.angles(self.features[samples], parameters, len(samples))
        return self.angle_batch(angles, draws)

    def angle_batch(self, angles: FloatArray, draws: LabelArray | None, shifts: Shifts | None = None) -> CircuitBatch:
        """Circuits with given gate angles `(n_rows, n_angles)`, and how these are related where that is known."""
        labels = None if self.shots is None else draws
        return CircuitBatch(self.structure, angles, self.observables, self.shots, labels, shifts)

    def outputs(self, batch: CircuitBatch, result: BatchResult) -> Estimates:
        """The outputs of each row, `(n_rows, n_outputs)`, with their covariance when sampled."""
        return estimates(batch, result)

    def loss_of(self, outputs: FloatArray) -> LossValue:
        """The loss of the mini-batch's outputs `(n_samples, n_outputs)`, with its derivatives."""
        return self.loss(outputs, self.targets, self.loss_parameters)

    def subset(self, samples: IntArray) -> Problem:
        """The same problem on some of the samples."""
        return replace(self, features=self.features[samples], targets=self.targets[samples])


class GradientEstimator(Protocol):
    """Says what to run for a gradient and folds what comes back; does no I/O and keeps no state of its own."""

    def start(self, problem: Problem, parameters: FloatArray) -> State:
        """The state before the first step."""
        ...

    def gradient(self, problem: Problem, parameters: FloatArray, state: State, key: StepKey) -> Rounds:
        """One step: a generator that yields tuples of batches, is sent their results, and returns the gradient."""
        ...


@runtime_checkable
class SampleChooser(Protocol):
    """An estimator that chooses how many samples each of its steps takes, whatever the loader's batches are."""

    def wanted_samples(self, state: State) -> int | None:
        """The samples of the next step; None: a batch of the loader."""
        ...


@runtime_checkable
class WarmStarter(Protocol):
    """An estimator that begins otherwise where the parameters are good already."""

    def warmed(self, problem: Problem, state: State) -> State:
        """What it carries into the first step after a warm start, in place of what `start` gave."""
        ...


def require_positive(name: str, value: float) -> float:
    """`value`, if it is a finite number above 0.

    >>> require_positive("c", 0.1)
    0.1
    """
    if not isinstance(value, Real) or isinstance(value, bool) or not 0 < value < float("inf"):
        raise ConfigurationError(f"{name} is a number above 0, not {value!r}")
    return float(value)


def require_whole(name: str, value: int) -> int:
    """`value`, if it is a whole number of at least 1.

    >>> require_whole("directions", 2)
    2
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(f"{name} is a whole number of at least 1, not {value!r}")
    return int(value)


def require_count(name: str, value: int) -> int:
    """`value`, if it is a whole number of at least 0.

    >>> require_count("epochs", 0)
    0
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 0:
        raise ConfigurationError(f"{name} is a whole number of at least 0, not {value!r}")
    return int(value)
