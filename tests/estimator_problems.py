"""Problems for the tests of gradient estimators, ways to run them, and references that share no code with them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
from fake_backends import mock
from numpy.typing import NDArray

from qstore_core.angles import Feature, Parameter
from qstore_core.backend import LocalBackend
from qstore_core.batch import BatchResult, estimates
from qstore_core.circuit import QuantumCircuit
from qstore_core.executor import Executor
from qstore_core.gates import GATES
from qstore_core.lightcone import reduce_circuit, reduced_affine
from qstore_core.losses import CallableLoss, CrossEntropy, Loss, MeanSquaredError
from qstore_core.observables import PauliString, PauliSum
from qstore_core.problem import GradientEstimator, GradientResult, Problem
from qstore_core.randomness import StepKey

Array = NDArray[np.float64]
KEY = StepKey(seed=7, stage="train", step=3)


def smooth(outputs: Array, targets: Array) -> float:
    """A loss of one's own, with derivatives of every order."""
    return float(np.mean(np.cosh(outputs - targets) ** 2))


LOSSES: dict[str, Loss] = {"mse": MeanSquaredError(), "cross_entropy": CrossEntropy(), "callable": CallableLoss(smooth)}


def every_gate(rng: np.random.Generator, n_qubits: int = 3) -> QuantumCircuit:
    """Each gate with an angle twice, on random qubits, its angle a random sum of parameters and perhaps a feature."""
    parameters, features = Parameter.vector("w", 6), Feature.vector("x", 2)
    circuit = QuantumCircuit(n_qubits)
    for qubit in range(n_qubits):
        circuit = circuit.h(qubit)
    for name in rng.permutation([name for name, gate in GATES.items() if gate.has_angle] * 2):
        first, second = rng.choice(6, size=2, replace=False)
        angle = float(rng.normal()) * parameters[first] + float(rng.normal()) * parameters[second] + float(rng.normal())
        if rng.random() < 0.4:
            angle = angle + float(rng.normal()) * features[rng.integers(2)]
        qubits = rng.permutation(n_qubits)[: GATES[name].n_qubits]
        circuit = circuit.append(str(name), qubits, angle).cnot(*map(int, rng.permutation(n_qubits)[:2]))
    return circuit


def layered(n_parameters: int) -> QuantumCircuit:
    """Two entangled qubits that re-upload one feature between so many parameters."""
    circuit, x = QuantumCircuit(2), Feature("x")
    for index, w in enumerate(Parameter.vector("w", n_parameters)):
        circuit = circuit.rx(index % 2, w) if index % 4 == 2 else circuit.ry(index % 2, w + 0.3 * x)
        circuit = circuit.rxx(0, 1, 0.4).rzz(0, 1, 0.3)
    return circuit


def problem_of(
    circuit: QuantumCircuit,
    observables: Sequence[PauliSum | PauliString | str],
    rng: np.random.Generator,
    *,
    loss: Loss | None = None,
    n_samples: int = 3,
    targets: float | None = None,
    shots: int | None = None,
    frozen: Sequence[int] = (),
    backend: LocalBackend | None = None,
) -> Problem:
    """Random features, and random targets of +-1 or one target for all."""
    shape = (n_samples, len(observables))
    trained = np.ones(len(circuit.parameters), dtype=bool)
    trained[list(frozen)] = False
    return Problem.of(
        circuit,
        tuple(map(PauliSum.of, observables)),
        features=rng.normal(size=(n_samples, len(circuit.features))),
        targets=rng.choice([-1.0, 1.0], size=shape) if targets is None else np.full(shape, targets),
        loss=loss or MeanSquaredError(),
        shots=shots,
        trained=trained,
        capabilities=(backend or mock()).capabilities,
    )


def with_loss(problem: Problem, loss: Loss) -> Problem:
    return replace(problem, loss=loss, loss_parameters=loss.initial_parameters)


def reduced(problem: Problem) -> Problem:
    """The problem as a model poses it: without dead gates, its Clifford tail in the observables."""
    reduction = reduce_circuit(problem.structure, problem.observables)
    return replace(
        problem,
        structure=reduction.structure,
        affine=reduced_affine(problem.affine, reduction),
        observables=reduction.observables,
    )


def drive(
    estimator: GradientEstimator,
    problem: Problem,
    parameters: Array,
    *,
    key: StepKey = KEY,
    backend: LocalBackend | None = None,
) -> GradientResult:
    """One step."""
    executor = Executor(backend or mock())
    rounds = estimator.gradient(problem, parameters, estimator.start(problem, parameters), key)
    result, _ = asyncio.run(executor.drive(rounds))
    return result


def draw(estimator: GradientEstimator, problem: Problem, parameters: Array, times: int) -> list[GradientResult]:
    """Many steps from one state, each with a key of its own; for estimators that run one batch, all in one."""
    state = estimator.start(problem, parameters)
    steps = [estimator.gradient(problem, parameters, state, KEY.at(step)) for step in range(times)]
    batches: list[Any] = [batch for step in steps for batch in next(step)]
    draws = None if problem.shots is None else np.concatenate([batch.draws for batch in batches])
    angles = np.concatenate([batch.angles for batch in batches])
    rows = replace(batches[0], angles=angles, draws=draws, shifts=None)
    (whole,) = asyncio.run(Executor(mock()).run((rows,)))
    ends = np.cumsum([batch.n_rows for batch in batches])
    return [
        _finish(step, _rows(whole, end - batch.n_rows, end))
        for step, batch, end in zip(steps, batches, ends, strict=True)
    ]


def _rows(result: BatchResult, first: int, last: int) -> BatchResult:
    if result.counts is not None:
        return BatchResult(counts=tuple(counts.rows(first, last) for counts in result.counts))
    assert result.expectations is not None
    return BatchResult(expectations=result.expectations[first:last])


def _finish(step: Any, result: BatchResult) -> GradientResult:
    try:
        step.send((result,))
    except StopIteration as end:
        answer, _ = end.value
        assert isinstance(answer, GradientResult)
        return answer
    raise AssertionError("the estimator wants another round")


def gradients_of(results: Iterable[GradientResult]) -> Array:
    return np.array([result.gradients for result in results])


def exact_outputs(problem: Problem, parameters: Array, backend: LocalBackend | None = None) -> Array:
    """The exact outputs at rows of parameters, `(n_rows, n_samples, n_outputs)`, in one batch."""
    rows, n_samples = np.atleast_2d(parameters), problem.n_samples
    samples = np.tile(np.arange(n_samples), len(rows))
    batch = replace(problem, shots=None).batch(np.repeat(rows, n_samples, axis=0), samples, KEY.draws(sample=samples))
    (result,) = asyncio.run(Executor(backend or mock()).run((batch,)))
    return estimates(batch, result).values.reshape(len(rows), n_samples, -1)


def differences(problem: Problem, parameters: Array, backend: LocalBackend | None = None, step: float = 1e-3) -> Array:
    """The gradient of the exact loss by central differences of sixth order, good to about 1e-10."""
    multiples, weights = np.array([1, 2, 3, -1, -2, -3]), np.array([45, -9, 1, -45, 9, -1]) / (60 * step)
    n_parameters = len(parameters)
    moves = step * multiples[:, None, None] * np.eye(n_parameters)
    outputs = exact_outputs(problem, (parameters + moves).reshape(-1, n_parameters), backend)
    values = np.array([problem.loss_of(row).value for row in outputs])
    return weights @ values.reshape(len(multiples), n_parameters)


def all_signs(n: int) -> Array:
    """Every direction of +-1, `(2**n, n)`."""
    return np.array(list(product((1.0, -1.0), repeat=n)))


def z_scores(draws: Array, expected: Array | float) -> Array:
    """How many standard errors the mean of draws `(n_draws, ...)` is from what it should be."""
    errors = draws.std(axis=0, ddof=1) / np.sqrt(len(draws))
    return np.asarray((draws.mean(axis=0) - expected) / errors)
