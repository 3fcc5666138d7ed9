"""How much gradient signal each readout and initialisation leaves, and the accuracy they reach.

Run it with `make bench`. The first table is the root mean square of the exact derivative of output 0 by each parameter,
over random inputs and initial parameters; the second is the median test accuracy after training with exact expectation
values.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Sequence
from statistics import median

import numpy as np

from qstore_core import (
    CircuitBatch,
    Executor,
    FeatureScaler,
    QuantumModel,
    QuantumTrainer,
    TrainingConfig,
    VectorJacobianProduct,
    get_backend,
    train_test_split,
)
from qstore_core.datasets import Dataset, load_bundled
from qstore_core.initialization import initial_parameters

Initialiser = Callable[[int, np.random.Generator], np.ndarray]
Readout = Callable[[int, int], Sequence[str] | None]

READOUTS: dict[str, Readout] = {
    "mean of Z (default)": lambda n, outputs: None,
    "Z on the last qubits": lambda n, outputs: [f"Z{n - outputs + k}" for k in range(outputs)],
    "Z on the first qubits": lambda n, outputs: [f"Z{k}" for k in range(outputs)],
}
INITIALISERS: dict[str, Initialiser] = {
    "near identity (default)": initial_parameters,
    "uniform in [0, 2 pi)": lambda n, generator: generator.uniform(0, 2 * np.pi, n),
    "zeros": lambda n, generator: np.zeros(n),
}


def gradient_rms(n_qubits: int, depth: int, readout: Readout, start: Initialiser, *, draws: int, samples: int) -> float:
    """The root mean square over parameters, inputs and initial parameters of the derivative of output 0."""
    model = QuantumModel(n_qubits, n_qubits, 1, depth=depth, readout=readout(n_qubits, 1))
    executor = Executor(get_backend("mock"))
    generator = np.random.default_rng(0)
    squares = []
    for _ in range(draws):
        inputs = generator.normal(0.0, 0.5, (samples, n_qubits))
        parameters = start(model.n_parameters, generator)
        angles = model.circuit.angles(model.encode(inputs), np.tile(parameters, (samples, 1)))
        batch = CircuitBatch(model.circuit.structure, angles, model.observables)
        (result,) = asyncio.run(executor.run((VectorJacobianProduct(batch, np.ones((samples, 1))),)))
        squares.append(np.mean((result.angle_gradients @ model.circuit.affine.parameters.matrix.T) ** 2))
    return float(np.sqrt(np.mean(squares)))


def accuracy(data: Dataset, readout: Readout, start: Initialiser, *, epochs: int, splits: int) -> float:
    """The median test accuracy over fixed splits, 8 qubits, depth 2."""
    n_classes = len(data.classes)
    reached = []
    for split in range(splits):
        parts = train_test_split(data.x, data.y, seed=split)
        n_features = min(8, data.x.shape[1])
        model = QuantumModel(n_features, 8, n_classes, get_backend("mock"), readout=readout(8, n_classes))
        model.parameters = start(model.n_parameters, np.random.default_rng(split))
        model.scaler = FeatureScaler.fit(parts.x_train, n_features, radians_per_deviation=0.5)
        config = TrainingConfig(learning_rate=0.05, epochs=epochs, shots_per_circuit=None, seed=split)
        trainer = QuantumTrainer(config, progress=False)
        trainer.fit(model, parts.x_train, parts.y_train)
        reached.append(trainer.evaluate(model, parts.x_test, parts.y_test)["accuracy"])
    return median(reached)


def print_signal(widths: Sequence[int], depth: int, draws: int) -> None:
    print(f"rms gradient of output 0, depth {depth}, {draws} draws of parameters, 8 inputs each")
    print(f"{'readout':24}{'initial parameters':26}" + "".join(f"{f'n={n}':>9}" for n in widths))
    table = {}
    for readout_name, readout in READOUTS.items():
        for start_name, start in INITIALISERS.items():
            row = [gradient_rms(n, depth, readout, start, draws=draws, samples=8) for n in widths]
            table[readout_name, start_name] = row
            print(f"{readout_name:24}{start_name:26}" + "".join(f"{value:9.4f}" for value in row), flush=True)
    default = table["mean of Z (default)", "near identity (default)"][-1]
    old = table["Z on the last qubits", "uniform in [0, 2 pi)"][-1]
    print(f"default against Z on the last qubit, uniform, at n={widths[-1]}: {default / old:.1f}x\n")


def print_accuracy(tasks: Sequence[Dataset], epochs: int, splits: int) -> None:
    print(f"median test accuracy over {splits} splits, 8 qubits, depth 2, {epochs} epochs, exact expectation values")
    print(f"{'readout':24}{'initial parameters':26}" + "".join(f"{task.name:>15}" for task in tasks))
    for readout_name, readout in READOUTS.items():
        for start_name, start in INITIALISERS.items():
            row = [accuracy(task, readout, start, epochs=epochs, splits=splits) for task in tasks]
            print(f"{readout_name:24}{start_name:26}" + "".join(f"{value:15.3f}" for value in row), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer widths, draws and epochs")
    quick = parser.parse_args().quick
    print_signal((4, 8) if quick else (4, 8, 12, 16), depth=3, draws=4 if quick else 10)
    tasks = [load_bundled("breast_cancer"), load_bundled("wine"), load_bundled("digits").only(["3", "8"])]
    print_accuracy(tasks[:1] if quick else tasks, epochs=2 if quick else 8, splits=1 if quick else 3)


if __name__ == "__main__":
    main()
