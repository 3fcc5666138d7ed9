"""A whole training run as a process: 100 samples, 50 SPSA steps of 10 with Adam. Prints the loss and the peak memory.

python -m peers.training_run qulacs 8 2
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import numpy as np

from peers.memory import peak_memory
from peers.work import STEP, Array, Work

LIBRARIES = ("qstore", "qulacs", "lightning", "tensorcircuit", "aer")
SAMPLES, BATCH, STEPS, RATE = 100, 10, 50, 0.05

Outputs = Callable[[Array, Array], Array]
"""The outputs `(n_rows, 2)` of rows of inputs and parameters."""


def main() -> None:
    library, n_qubits, depth = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    work = Work(n_qubits, depth, "last", SAMPLES)
    loss = by_qstore(work) if library == "qstore" else _by_hand(work, _outputs_of(library, work))
    print(f"{loss:.3f} {peak_memory():.0f}")


def by_qstore(work: Work) -> float:
    """With the trainer as it is, tracker and cache on; the light cone off."""
    from qstore_core import ArrayLoader, PauliString, QuantumModel, QuantumTrainer, TrainingConfig, get_backend
    from qstore_core.synchronous import run_sync

    config = TrainingConfig(
        gradient_method="spsa",
        shots_per_circuit=None,
        learning_rate=RATE,
        batch_size=BATCH,
        epochs=STEPS * BATCH // SAMPLES,
        loss="mse",
        reduce="none",
        seed=1,
    )
    readout = [PauliString({qubits[0]: "Z"}) for qubits in work.read]
    n = work.n_qubits
    model = QuantumModel(n, n, 2, get_backend("mock"), depth=work.depth, readout=readout, seed=1)
    loader = ArrayLoader(work.x, work.y, BATCH)
    return run_sync(QuantumTrainer(config, progress=False).train(model, loader))[-1].loss


def _outputs_of(library: str, work: Work) -> Outputs:
    """Each library's fastest way to the outputs of rows; only the one that is asked for is imported."""
    if library == "qulacs":
        from peers.qulacs_ways import Simulation

        return Simulation(work).outputs
    if library == "aer":
        from peers.qiskit_ways import ByHand

        return ByHand(work, 1).outputs
    if library == "lightning":
        from peers.lightning import outputs_of
    else:
        from peers.tensorcircuit_ways import outputs_of
    return outputs_of(work)


def _by_hand(work: Work, outputs: Outputs) -> float:
    """SPSA with a direction for each sample and Adam, in NumPy."""
    rng = np.random.default_rng(1)
    theta = rng.normal(0.0, 0.1, work.n_parameters)
    first, second, loss = np.zeros_like(theta), np.zeros_like(theta), 0.0
    for step, chosen in enumerate(_batches(rng), start=1):
        signs = rng.choice([-1.0, 1.0], (BATCH, theta.size))
        rows = np.concatenate([theta + STEP * signs, theta - STEP * signs])
        found = outputs(np.concatenate([work.x[chosen]] * 2), rows)
        losses = ((found - np.concatenate([work.y[chosen]] * 2)) ** 2).mean(axis=1)
        slopes = (losses[:BATCH] - losses[BATCH:]) / (2 * STEP)
        gradient = (slopes[:, None] * signs).mean(axis=0)
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        theta -= RATE * first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        loss = float(losses.mean())
    return loss


def _batches(rng: np.random.Generator) -> Iterator[np.ndarray[tuple[int], np.dtype[np.intp]]]:
    for _ in range(STEPS * BATCH // SAMPLES):
        yield from rng.permutation(SAMPLES).reshape(-1, BATCH)


if __name__ == "__main__":
    main()
