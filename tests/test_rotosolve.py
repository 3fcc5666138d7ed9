"""Rotosolve against brute-force minimisation of the exact loss, in its counts, in its statistics, and in training."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_backends import Watched
from numpy.typing import NDArray

from qstore_core.angles import Feature, Parameter
from qstore_core.backend import LocalBackend
from qstore_core.batch import CircuitBatch
from qstore_core.circuit import QuantumCircuit
from qstore_core.config import TrainingConfig
from qstore_core.data import ArrayLoader
from qstore_core.errors import CapabilityError
from qstore_core.estimators.rotosolve import Rotosolve
from qstore_core.executor import Executor
from qstore_core.losses import CallableLoss, CrossEntropy, Loss, MeanSquaredError
from qstore_core.model import QuantumModel
from qstore_core.observables import PauliSum
from qstore_core.problem import GradientResult, Problem
from qstore_core.randomness import StepKey
from qstore_core.registry import get_backend
from qstore_core.trainer import QuantumTrainer

Array = NDArray[np.float64]
A, B = Parameter("a"), Parameter("b")
X, Z = Feature("x"), Feature("z")


def hinge_of_logs(outputs: Array, targets: Array) -> float:
    """Only finite for outputs within what an expectation value can be, and a little beyond."""
    return float(-np.mean(np.log(1.001 + outputs * targets)))


LOSSES: dict[str, Loss] = {
    "mse": MeanSquaredError(),
    "cross entropy": CrossEntropy(),
    "function": CallableLoss(lambda outputs, targets: float(np.mean(np.abs(outputs - 0.5 * targets) ** 1.5))),
    "function with an edge": CallableLoss(hinge_of_logs),
}
CIRCUITS = {
    "one rotation": (QuantumCircuit(2).ry(0, X).ry(1, Z).ry(0, A).cnot(0, 1).rx(1, B), 3),
    "scaled": (QuantumCircuit(2).ry(0, X).ry(1, Z).rx(0, 2.5 * A + 0.3).cnot(0, 1).rx(1, B), 3),
    "with a feature": (QuantumCircuit(2).ry(0, X + A).ry(1, Z).cnot(0, 1).rx(1, B), 3),
    "controlled": (QuantumCircuit(2).ry(0, X).ry(1, Z).crx(0, 1, A).ry(1, B), 5),
    "in two gates": (QuantumCircuit(2).ry(0, X).rx(0, A).cnot(0, 1).ry(1, Z).rx(1, A).ry(0, B), 5),
    "in two gates, one controlled": (QuantumCircuit(2).ry(0, X).rx(0, A).cry(0, 1, A).ry(1, Z).rx(1, B), 9),
    "two weights": (QuantumCircuit(2).ry(0, X).rx(0, A).cnot(0, 1).ry(1, Z).rx(1, 0.7 * A).ry(0, B), 9),
    "weights with a gap": (QuantumCircuit(2).ry(0, X).rx(0, A).cnot(0, 1).ry(1, Z).rx(1, 4 * A).ry(0, B), 9),
}


def problem_of(
    circuit: QuantumCircuit,
    rng: np.random.Generator,
    *,
    loss: Loss | None = None,
    shots: int | None = None,
    frozen: Sequence[int] = (),
    readout: Sequence[str] = ("Z0", "Z1"),
) -> Problem:
    trained = np.ones(len(circuit.parameters), dtype=bool)
    trained[list(frozen)] = False
    return Problem.of(
        circuit,
        tuple(map(PauliSum.of, readout)),
        features=rng.normal(size=(4, len(circuit.features))),
        targets=rng.choice([-1.0, 1.0], size=(4, len(readout))),
        loss=loss or MeanSquaredError(),
        shots=shots,
        trained=trained,
        capabilities=get_backend("mock").capabilities,
    )


def solved(
    problem: Problem, parameters: Array, *, state: int = 0, seed: int = 7, backend: LocalBackend | None = None
) -> GradientResult:
    rounds = Rotosolve().gradient(problem, parameters, state, StepKey(seed, "train", 3))
    result, after = asyncio.run(Executor(backend or Watched()).drive(rounds))
    assert after == state + 1
    return result


def exact_losses(problem: Problem, rows: Array) -> Array:
    """The exact loss at each row of parameters."""
    samples = np.tile(np.arange(problem.n_samples), len(rows))
    repeated = np.repeat(rows, problem.n_samples, axis=0)
    angles = problem.affine.angles(problem.features[samples], repeated, len(samples))
    batch = CircuitBatch(problem.structure, angles, problem.observables)
    (result,) = asyncio.run(Executor(get_backend("mock")).run((batch,)))
    outputs = problem.outputs(batch, result).values.reshape(len(rows), problem.n_samples, -1)
    return np.array([problem.loss_of(each).value for each in outputs])


def brute_force(problem: Problem, parameters: Array, place: int, period: float) -> float:
    """The least exact loss along a parameter: on a grid, and on ever finer grids around its best point."""
    centre, width = 0.0, period
    for _ in range(6):
        rows = np.tile(parameters, (401, 1))
        rows[:, place] += centre + np.linspace(-width / 2, width / 2, 401)
        losses = exact_losses(problem, rows)
        centre, width = float(rows[losses.argmin(), place] - parameters[place]), width / 50
    return float(losses.min())


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize(("circuit", "points"), CIRCUITS.values(), ids=CIRCUITS)
def test_a_step_ends_where_the_exact_loss_is_least(
    circuit: QuantumCircuit, points: int, loss: Loss, rng: np.random.Generator
) -> None:
    problem, parameters = problem_of(circuit, rng, loss=loss), rng.normal(size=2)
    backend = Watched()
    result = solved(problem, parameters, backend=backend)
    assert result.move is not None
    after = exact_losses(problem, (parameters + result.move)[None])[0]
    assert after == pytest.approx(brute_force(problem, parameters, 0, 20 * np.pi), abs=1e-6)
    assert result.move[1] == 0
    assert result.function_value == pytest.approx(exact_losses(problem, parameters[None])[0], abs=1e-9)
    (batch,) = backend.jobs
    assert batch.n_circuits == result.n_circuit_executions == points * problem.n_samples
    assert (result.n_jobs, result.metadata["points"], result.metadata["parameter"]) == (1, points, 0)


def test_the_derivative_along_the_parameter_is_told(rng: np.random.Generator) -> None:
    problem, parameters = problem_of(CIRCUITS["two weights"][0], rng, loss=CrossEntropy()), rng.normal(size=2)
    above, below = exact_losses(problem, parameters + np.array([[1e-5, 0.0], [-1e-5, 0.0]]))
    gradients = solved(problem, parameters).gradients
    assert gradients[0] == pytest.approx((above - below) / 2e-5, abs=1e-7)
    assert gradients[1] == 0


def test_active_parameters_take_turns(rng: np.random.Generator) -> None:
    circuit = QuantumCircuit(1).ry(0, Parameter("a")).rx(0, Parameter("b")).ry(0, Parameter("c")).rx(0, Parameter("d"))
    problem = problem_of(circuit, rng, frozen=[1], readout=["Z0"])
    turns = [solved(problem, np.full(4, 0.3), state=step).metadata["parameter"] for step in range(5)]
    assert turns == [0, 2, 3, 0, 2]


def test_with_nothing_to_move_it_tells_the_loss_alone(rng: np.random.Generator) -> None:
    problem, parameters = problem_of(CIRCUITS["controlled"][0], rng, frozen=[0, 1]), rng.normal(size=2)
    result = solved(problem, parameters)
    assert result.function_value == pytest.approx(exact_losses(problem, parameters[None])[0])
    assert result.move is not None
    assert not result.move.any()
    assert result.n_circuit_executions == problem.n_samples


def test_a_parameter_with_too_many_frequencies_is_refused_at_the_start(rng: np.random.Generator) -> None:
    circuit = QuantumCircuit(1)
    for power in range(6):
        circuit = circuit.rx(0, 3.1**power * A).ry(0, 1.0)
    with pytest.raises(CapabilityError, match="parameter 0 enters 6 gates with weights that make more than 64 frequen"):
        Rotosolve().start(problem_of(circuit, rng, readout=["Z0"]), np.zeros(1))


class TestShots:
    def test_bottoms_are_not_shifted_by_the_noise(self) -> None:
        # f = cos t to be brought to 0.3 with 8 shots: uncorrected, the loss is least at 0.335, 0.306 and 0.291
        circuit, size = QuantumCircuit(1).ry(0, A), 20_000
        problem = Problem.of(
            circuit,
            (PauliSum.of("Z0"),),
            features=np.zeros((size, 0)),
            targets=np.full((size, 1), 0.3),
            loss=MeanSquaredError(),
            shots=8,
            capabilities=get_backend("mock").capabilities,
        )
        found = []
        for start in (0.0, np.pi / 6, np.pi / 3):
            result = solved(problem, np.array([start]))
            assert result.move is not None
            found.append(float(np.cos(start + result.move[0])))
        # f at the bottom has a standard deviation of 0.0024: further off than 5 of them once in 10^6 runs
        np.testing.assert_allclose(found, 0.3, rtol=0, atol=0.012)

    def test_one_shot_is_enough_to_run(self, rng: np.random.Generator) -> None:
        problem = problem_of(CIRCUITS["one rotation"][0], rng, loss=CrossEntropy(), shots=1)
        assert solved(problem, rng.normal(size=2)).n_shots == 3 * 4

    def test_outputs_of_the_curve_stay_within_reach(self, rng: np.random.Generator) -> None:
        seen = []

        def noted(outputs: Array, targets: Array) -> float:
            seen.append(np.abs(outputs).max())
            return float(np.mean((outputs - targets) ** 2))

        problem = problem_of(CIRCUITS["one rotation"][0], rng, loss=CallableLoss(noted), shots=4)
        solved(problem, rng.normal(size=2))
        assert max(seen) <= 1 + 1.1e-5  # the function is differentiated by differences of 1e-5


FLOWERS = np.random.default_rng(1).normal(size=(24, 2))
KINDS = (FLOWERS[:, 0] > 0).astype(np.int64)


class TestTraining:
    def settings(self, **changes: Any) -> TrainingConfig:
        defaults = {"optimizer": "rotosolve", "epochs": 4, "batch_size": 12, "shots_per_circuit": None, "seed": 1}
        return TrainingConfig(**(defaults | changes))

    @pytest.mark.parametrize("shots", [None, 100])
    @pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
    def test_it_learns(self, shots: int | None, loss: str) -> None:
        model, exact = QuantumModel(2, 2, 2, seed=3), QuantumTrainer(self.settings(loss=loss))
        before = exact.evaluate(model, FLOWERS, KINDS)
        QuantumTrainer(self.settings(shots_per_circuit=shots, loss=loss)).fit(model, FLOWERS, KINDS)
        assert exact.evaluate(model, FLOWERS, KINDS)["loss"] < before["loss"] - 0.1

    def test_a_loss_of_the_whole_data_never_rises(self) -> None:
        loader = ArrayLoader(FLOWERS, KINDS, 24)
        model, trainer = QuantumModel(2, 2, 2), QuantumTrainer(self.settings(epochs=12, loss="mse"))
        losses = [metrics.loss for metrics in asyncio.run(trainer.train(model, loader))]
        assert all(later <= earlier + 1e-9 for earlier, later in pairwise(losses))
        assert losses[-1] < losses[0] - 0.1

    @pytest.mark.parametrize("shots", [None, 7])
    def test_the_estimate_is_what_the_run_takes(self, shots: int | None) -> None:
        circuit = QuantumCircuit(2).ry(0, X).ry(1, Z).ry(0, A).crx(0, 1, B).ry(1, A)
        model = QuantumModel(2, 2, 2, get_backend("mock"), ansatz=circuit)
        trainer = QuantumTrainer(self.settings(shots_per_circuit=shots, epochs=3))
        expected = trainer.estimate_cost(model, 24).total
        trainer.fit(model, FLOWERS, KINDS)
        assert (expected.circuits, expected.shots, expected.jobs) == (
            trainer.spent.circuits,
            trainer.spent.shots,
            trainer.spent.jobs,
        )
        assert expected.circuits == 12 * 3 * (5 + 5)  # three turns of both parameters

    def test_metrics_tell_the_parameter_and_how_far_it_moved(self, tmp_path: Path) -> None:
        model = QuantumModel(2, 2, 2, depth=1)
        QuantumTrainer(self.settings(run_directory=tmp_path)).fit(model, FLOWERS, KINDS)
        records = map(json.loads, (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
        steps = [record for record in records if record["kind"] == "step"]
        assert [step["parameter"] for step in steps] == [0, 2] * 4
        assert {step["method"] for step in steps} == {"rotosolve"}
        assert all(abs(step["moved"]) <= np.pi for step in steps)
