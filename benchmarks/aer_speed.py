"""How near the backend `aer` comes to Qiskit Aer driven by hand, and how far ahead of EstimatorQNN it is.

The work: B = 10 samples, RY(x) encoding, layers of RY, RZ on every qubit and a chain of CNOTs, the mean squared error
of two Z. A step is one SPSA gradient (2 B circuits) or one parameter-shift gradient (2 P B, and B for the loss). By
hand means as well as it can be done: one transpiled circuit, parameters bound at run time, each observable saved on its
own qubit, arrays of angles made with NumPy. Ours and by hand count with the better of one thread and all. Each round
does every contender once, so that whatever else the machine does meets all of them; ratios are of medians.

    python benchmarks/aer_speed.py                    # 8 and 16 qubits, by hand
    python benchmarks/aer_speed.py --qnn --qubits 8   # EstimatorQNN as well: pip install './plugins/qstore_aer[bench]'
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import qiskit
import qiskit_aer
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp

from qstore_core import BackendCapabilities, Executor, QuantumModel, get_backend
from qstore_core.estimators.parameter_shift import ParameterShift
from qstore_core.estimators.spsa import SPSA
from qstore_core.losses import MeanSquaredError
from qstore_core.problem import GradientEstimator, Problem
from qstore_core.randomness import StepKey

Array = np.ndarray[Any, np.dtype[np.float64]]
SAMPLES = 10
C = 0.1


@dataclass(frozen=True, slots=True)
class Work:
    """The size of a circuit, and the qubits whose Z is read."""

    n_qubits: int
    depth: int
    readout: tuple[int, ...]

    def __str__(self) -> str:
        return f"n={self.n_qubits} d={self.depth} {' '.join(f'Z{qubit}' for qubit in self.readout)}"


class ByHand:
    """The steps on Aer itself."""

    def __init__(self, n_qubits: int, depth: int, readout: tuple[int, ...], threads: int) -> None:
        n_angles = n_qubits * (1 + 2 * depth)
        self.symbols = ParameterVector("t", n_angles)
        self.labels = [f"z{qubit}" for qubit in readout]
        self.simulator = qiskit_aer.AerSimulator(method="statevector")
        self.threads = threads
        circuit = layered(n_qubits, depth, list(self.symbols[:n_qubits]), list(self.symbols[n_qubits:]))
        for label, qubit in zip(self.labels, readout, strict=True):
            circuit.save_expectation_value(SparsePauliOp("Z"), [qubit], label=label)
        self.circuit = qiskit.transpile(circuit, self.simulator)

    def outputs(self, angles: Array) -> Array:
        """`(n_rows, 2)` for rows of angles."""
        binds = dict(zip(self.symbols, angles.T.tolist(), strict=True))
        options = {"runtime_parameter_bind_enable": True, "max_parallel_threads": self.threads, "shots": 1}
        result = self.simulator.run(self.circuit, parameter_binds=[binds], **options).result()
        saved = [each.data.to_dict() for each in result.results]
        return np.array([[row[label] for label in self.labels] for row in saved])

    def spsa(self, x: Array, y: Array, theta: Array, directions: Array) -> Array:
        """A gradient from two rows a sample."""
        sides = np.concatenate([theta + C * directions, theta - C * directions])
        found = self.outputs(np.concatenate([np.concatenate([x, x]), sides], axis=1))
        losses = ((found - np.concatenate([y, y])) ** 2).mean(axis=1)
        slopes = (losses[: len(x)] - losses[len(x) :]) / (2 * C)
        return (slopes[:, None] * directions).mean(axis=0)

    def shift(self, x: Array, y: Array, theta: Array) -> Array:
        """The gradient by shifting each angle by a quarter turn either way."""
        shifted = (
            theta + np.concatenate([np.zeros((1, len(theta))), np.eye(len(theta)), -np.eye(len(theta))]) * np.pi / 2
        )
        rows = np.concatenate([np.tile(x, (len(shifted), 1)), np.repeat(shifted, len(x), axis=0)], axis=1)
        found = self.outputs(rows).reshape(len(shifted), len(x), -1)
        jacobian = (found[1 : len(theta) + 1] - found[len(theta) + 1 :]) / 2
        gradient: Array = np.einsum("bo,pbo->p", 2 * (found[0] - y) / y.size, jacobian)
        return gradient


class Ours:
    """The steps on the backend `aer`, as training takes them."""

    def __init__(
        self, n_qubits: int, depth: int, readout: tuple[int, ...], threads: int | None, x: Array, y: Array
    ) -> None:
        names = [f"Z{qubit}" for qubit in readout]
        self.backend = get_backend("aer", threads=threads)
        self.executor = Executor(self.backend)
        model = QuantumModel(n_qubits, n_qubits, 2, self.backend, depth=depth, readout=names, seed=1)
        reduction, affine = model.reduced()
        self.problem = Problem(
            structure=reduction.structure,
            affine=affine,
            observables=reduction.observables,
            features=x,
            targets=y,
            loss=MeanSquaredError(),
            loss_parameters=np.empty(0),
            shots=None,
            trained=np.ones(model.n_parameters, dtype=bool),
            capabilities=BackendCapabilities(max_qubits=n_qubits),
        )
        # compiled once, as by the cache that a trainer brings; here there is no cache of results to be met
        program = self.backend.compile(
            self.problem.structure,
            self.problem.angle_batch(
                np.zeros((1, self.problem.structure.n_angles)), np.zeros(1, dtype=np.uint64)
            ).groups,
        )
        self.backend.compile = lambda structure, groups: program  # type: ignore[method-assign]

    async def gradient(self, estimator: GradientEstimator, theta: Array, step: int) -> Array:
        """One step of an estimator."""
        state = estimator.start(self.problem, theta)
        rounds = estimator.gradient(self.problem, theta, state, StepKey(7, "train", step))
        result, _ = await self.executor.drive(rounds)
        return result.gradients


def layered(n_qubits: int, depth: int, x: list[Any], theta: list[Any]) -> Any:
    """The circuit in Qiskit; parameters layer by layer, qubit by qubit."""
    circuit, values = qiskit.QuantumCircuit(n_qubits), iter(theta)
    for qubit, value in enumerate(x):
        circuit.ry(value, qubit)
    for _ in range(depth):
        for qubit in range(n_qubits):
            circuit.ry(next(values), qubit)
            circuit.rz(next(values), qubit)
        for qubit in range(n_qubits - 1):
            circuit.cx(qubit, qubit + 1)
    return circuit


class Network:
    """The steps on EstimatorQNN, over Aer's estimator."""

    def __init__(self, work: Work) -> None:
        from qiskit_aer.primitives import EstimatorV2
        from qiskit_machine_learning.gradients import ParamShiftEstimatorGradient
        from qiskit_machine_learning.neural_networks import EstimatorQNN

        n_qubits, depth = work.n_qubits, work.depth
        x, theta = ParameterVector("x", n_qubits), ParameterVector("t", 2 * n_qubits * depth)
        estimator = EstimatorV2(options={"default_precision": 0.0, "backend_options": {"method": "statevector"}})
        self.network = EstimatorQNN(
            circuit=layered(n_qubits, depth, list(x), list(theta)),
            observables=[SparsePauliOp.from_sparse_list([("Z", [qubit], 1.0)], n_qubits) for qubit in work.readout],
            input_params=list(x),
            weight_params=list(theta),
            estimator=estimator,
            gradient=ParamShiftEstimatorGradient(estimator),
            default_precision=0.0,
        )

    def spsa(self, x: Array, y: Array, theta: Array, directions: Array) -> Array:
        """A gradient from two passes forward: faster than its own SPSA gradient, one direction for all samples."""
        direction = directions[0]
        above, below = (self.network.forward(x, theta + sign * C * direction) for sign in (1, -1))
        return direction * float(((above - y) ** 2 - (below - y) ** 2).mean() / (2 * C))

    def shift(self, x: Array, y: Array, theta: Array) -> Array:
        """The gradient of the loss by the chain rule, as its own trainers take it."""
        outputs = self.network.forward(x, theta)
        _, jacobian = self.network.backward(x, theta)
        gradient: Array = np.einsum("bo,bop->p", 2 * (outputs - y) / y.size, jacobian)
        return gradient


async def contest(work: Work, rounds: int, threads: list[int], *, shift: bool, network: bool) -> None:
    """Time every contender in turn, round by round, and print medians and ratios."""
    rng, n_qubits, depth, readout = np.random.default_rng(3), work.n_qubits, work.depth, work.readout
    n_parameters = 2 * n_qubits * depth
    x, y = rng.normal(scale=0.5, size=(SAMPLES, n_qubits)), rng.choice([-1.0, 1.0], size=(SAMPLES, 2))
    theta, directions = rng.normal(size=n_parameters), rng.choice([-1.0, 1.0], size=(SAMPLES, n_parameters))
    ours = [Ours(n_qubits, depth, readout, number, x, y) for number in threads]
    hands = [ByHand(n_qubits, depth, readout, number) for number in threads]
    networks = [Network(work)] if network else []

    async def spsa(step: int) -> dict[str, list[float]]:
        took = {"ours": [await timed(each.gradient(SPSA(c=C), theta, step)) for each in ours]}
        took["hand"] = [await timed(now(each.spsa, x, y, theta, directions)) for each in hands]
        return took | {"qnn": [await timed(now(each.spsa, x, y, theta, directions)) for each in networks]}

    async def exact(step: int) -> dict[str, list[float]]:
        took = {"ours": [await timed(each.gradient(ParameterShift(), theta, step)) for each in ours]}
        took["hand"] = [await timed(now(each.shift, x, y, theta)) for each in hands]
        return took | {"qnn": [await timed(now(each.shift, x, y, theta)) for each in networks]}

    if shift:
        expected = hands[0].shift(x, y, theta)
        np.testing.assert_allclose(await ours[0].gradient(ParameterShift(), theta, 0), expected, atol=1e-9)
        for each in networks:
            np.testing.assert_allclose(each.shift(x, y, theta), expected, atol=1e-6)
    for name, contenders in (("SPSA step", spsa), *([("parameter shift", exact)] if shift else [])):
        seen = [await contenders(step) for step in range(rounds + 1)][1:]  # the first round compiles
        report(f"{work} {name}", seen)


async def now(function: Callable[..., object], *arguments: Any) -> object:
    """The value of a function that does not wait for anything."""
    return function(*arguments)


async def timed(work: Awaitable[object]) -> float:
    """The milliseconds that something takes."""
    begin = time.perf_counter()
    await work
    return 1000 * (time.perf_counter() - begin)


def report(title: str, seen: list[dict[str, list[float]]]) -> None:
    """A line with medians over the rounds, each contender at its best number of threads."""
    best = {
        label: min(median(each[label][index] for each in seen) for index in range(len(seen[0][label])))
        for label in seen[0]
        if seen[0][label]
    }
    line = f"{title}: ours {best['ours']:.2f} ms, by hand {best['hand']:.2f} ms, "
    line += f"ours/by hand {best['ours'] / best['hand']:.2f}"
    if "qnn" in best:
        line += f"; EstimatorQNN {best['qnn']:.1f} ms, {best['qnn'] / best['ours']:.1f} times ours"
    print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--qubits", type=int, nargs="+", default=[8, 16])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--readout", choices=["first", "last", "both"], default="both")
    parser.add_argument("--qnn", action="store_true", help="EstimatorQNN as well")
    parser.add_argument("--threads", type=int, nargs="+", help="numbers of threads to try; default: 1 and all")
    parser.add_argument("--wide-shift", action="store_true", help="parameter shift of 16 whole qubits: minutes")
    chosen = parser.parse_args()
    warnings.filterwarnings("ignore", message="input feature")  # Z on the first two qubits sees few of them
    print(f"qiskit {qiskit.__version__}, qiskit-aer {qiskit_aer.__version__}", flush=True)
    for n_qubits in chosen.qubits:
        depth = 2 if n_qubits <= 8 else 3
        for name, readout in (("first", (0, 1)), ("last", (n_qubits - 2, n_qubits - 1))):
            if chosen.readout in (name, "both"):
                whole = n_qubits > 12 and name == "last"
                rounds = min(chosen.rounds, 3) if whole else chosen.rounds
                shift = not whole or chosen.wide_shift
                threads = list(dict.fromkeys(chosen.threads or [1, os.cpu_count() or 1]))
                asyncio.run(contest(Work(n_qubits, depth, readout), rounds, threads, shift=shift, network=chosen.qnn))


if __name__ == "__main__":
    main()
