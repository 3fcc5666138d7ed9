"""qstore on its NumPy simulator, through the executor and the estimators that training uses."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from qstore_core import Executor, PauliString, QuantumCircuitCache, QuantumModel, get_backend
from qstore_core.errors import ConfigurationError
from qstore_core.estimators.adjoint import Adjoint
from qstore_core.estimators.parameter_shift import ParameterShift
from qstore_core.estimators.spsa import SPSA
from qstore_core.executor import ExecutorOptions
from qstore_core.losses import MeanSquaredError
from qstore_core.observables import PauliSum
from qstore_core.problem import GradientEstimator, Problem
from qstore_core.randomness import StepKey

from peers.work import SHOTS, STEP, Array, Contender, Way, Work


class Ours:
    """A model, and an executor with its cache and tracker, as a trainer has them."""

    def __init__(self, work: Work, **options: Any) -> None:
        self.work = work
        self.mode = "auto" if work.light_cone else "none"
        self.loop = asyncio.new_event_loop()
        backend = get_backend("mock", **options)
        kept = ExecutorOptions(reduce=work.light_cone)
        self.executor = Executor(backend, cache=QuantumCircuitCache(), options=kept)
        self.evaluator = Executor(backend, options=kept)  # as `model.forward` makes one
        readout = [PauliSum(PauliString({q: "Z"}, 1 / len(qubits)) for q in qubits) for qubits in work.read]
        self.model = QuantumModel(work.n_qubits, work.n_qubits, 2, backend, depth=work.depth, readout=readout, seed=1)

    def forward(self, repeat: int, shots: int | None = None) -> Array:
        self.model.parameters = self.work.theta(repeat)
        key = StepKey(7, "forward", repeat)
        running = self.model.run(self.evaluator, self.work.x, shots=shots, key=key, reduce=self.mode)
        return self.loop.run_until_complete(running)

    def gradient(self, estimator: GradientEstimator, repeat: int, shots: int | None = None) -> Array:
        problem, theta = self._problem(shots), self.work.theta(repeat)
        rounds = estimator.gradient(problem, theta, estimator.start(problem, theta), StepKey(7, "train", repeat))
        result, _ = self.loop.run_until_complete(self.executor.drive(rounds))
        return result.gradients

    def given_directions(self, repeat: int) -> Array:
        """SPSA's gradient along the directions of the work, for the parameters that move."""
        active = self._problem(None).active
        return self.gradient(GivenDirections(self.work.directions(repeat)[:, active]), repeat)

    def _problem(self, shots: int | None) -> Problem:
        reduction, affine = self.model.reduced(self.mode)
        return Problem(
            structure=reduction.structure,
            affine=affine,
            observables=reduction.observables,
            features=self.model.encode(self.work.x),
            targets=self.work.y,
            loss=MeanSquaredError(),
            loss_parameters=np.empty(0),
            shots=shots,
            trained=self.model.trainable,
            capabilities=self.executor.backend.capabilities,
        )


class GivenDirections(SPSA):
    """SPSA along the directions of the work instead of its own, so that its gradient can be compared."""

    def __init__(self, directions: Array) -> None:
        super().__init__(c=STEP)
        object.__setattr__(self, "given", directions)

    def _directions(self, n_samples: int, count: int, n_active: int, key: StepKey) -> Array:
        given: Array = self.given[None]  # type: ignore[attr-defined]
        return given


def contenders(work: Work, threads: int) -> list[Contender]:
    """In double and in single precision, in NumPy and, where that is installed, accelerated by numba."""
    found = [_contender(work, precision, threads) for precision in ("double", "single")]
    try:
        found += [_contender(work, precision, threads, accelerator="numba") for precision in ("double", "single")]
    except ConfigurationError as error:
        print(f"  without {error}")
    return found


def _contender(work: Work, precision: str, threads: int, **options: Any) -> Contender:
    ours, own = Ours(work, precision=precision, threads=threads, **options), SPSA(c=STEP)
    ways: dict[str, Way] = {
        "forward": ours.forward,
        "spsa": lambda repeat: ours.gradient(own, repeat),
        "shift": lambda repeat: ours.gradient(ParameterShift(), repeat),
        "exact": lambda repeat: ours.gradient(Adjoint(), repeat),
        "sampled forward": lambda repeat: ours.forward(repeat, SHOTS),
        "sampled spsa": lambda repeat: ours.gradient(own, repeat, SHOTS),
        "check spsa": ours.given_directions,
    }
    return Contender(", ".join(["qstore mock", *options.values(), precision]), precision, ways)
