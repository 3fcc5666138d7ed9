"""The long example of Q-Store v3.3, in the calls that it made; the plugins qstore_mock and qstore_compat run it.

It trains a hardware-efficient model with SPSA, epoch by epoch, and shows what was measured on the way. The data are two
clouds that overlap, so that there is something to learn.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
from numpy.typing import NDArray
from q_store.backends.backend_manager import BackendManager
from q_store.ml import PerformanceTracker, QuantumModel, QuantumTrainer, TrainingConfig

Array = NDArray[np.float64]


class Loader:
    """Mini-batches in a fixed order, asynchronously, as Q-Store's loaders gave them."""

    def __init__(self, x: Array, y: Array, batch_size: int) -> None:
        self.x, self.y, self.batch_size = x, y, batch_size

    async def __aiter__(self) -> AsyncIterator[tuple[Array, Array]]:
        for first in range(0, len(self.x), self.batch_size):
            yield self.x[first : first + self.batch_size], self.y[first : first + self.batch_size]


def two_clouds(n_samples: int, n_features: int) -> tuple[Array, Array]:
    """Inputs in half turns around 0 and 0.2, and a target of +1 or -1 for each of two outputs."""
    labels = np.random.randint(0, 2, size=n_samples)  # noqa: NPY002  as programs for Q-Store draw
    x = np.random.randn(n_samples, n_features) / 10 + 0.2 * labels[:, None]  # noqa: NPY002
    return x, 2.0 * np.eye(2)[labels] - 1.0


def settings() -> TrainingConfig:
    """Every setting that the example of v3.3 had; "mock-key" stands for no key at all."""
    return TrainingConfig(
        quantum_sdk="mock",
        quantum_api_key="mock-key",
        quantum_target="simulator",
        n_qubits=8,
        circuit_depth=2,
        learning_rate=0.01,
        batch_size=10,
        epochs=5,
        shots_per_circuit=1000,
        gradient_method="spsa",
        hardware_efficient_ansatz=True,
        enable_circuit_cache=True,
        enable_batch_execution=True,
        enable_performance_tracking=True,
        spsa_c_initial=0.1,
        spsa_a_initial=0.01,
        pinecone_api_key="mock-key",
        pinecone_environment="us-east-1",
        pinecone_index_name="quantum-ml-v33",
    )


async def main() -> None:
    """Make a backend, a trainer and a model; train; tell."""
    np.random.seed(7)  # noqa: NPY002  fixes every number below but the times
    x, y = two_clouds(n_samples=100, n_features=8)
    config = settings()

    backend_manager = BackendManager()
    await backend_manager.initialize(sdk="mock", api_key="mock-key", target="simulator")
    backend = backend_manager.get_backend()
    info = backend.get_backend_info()
    print(f"backend: {info['provider']}, a {info['backend_type']}")

    trainer = QuantumTrainer(config, backend_manager)
    print(f"method {config.gradient_method}", end=", ")
    print(f"cache {'on' if trainer.circuit_cache else 'off'}, batches {'on' if trainer.batch_manager else 'off'}")

    model = QuantumModel(
        input_dim=8,
        n_qubits=config.n_qubits,
        output_dim=2,
        backend=backend,
        depth=config.circuit_depth,
        hardware_efficient=config.hardware_efficient_ansatz,
    )
    print(f"{type(model.quantum_layer).__name__} with {model.quantum_layer.n_parameters} parameters")

    for epoch in range(config.epochs):
        metrics = await trainer.train_epoch(model, Loader(x, y, config.batch_size), epoch)
        print(
            f"epoch {epoch + 1} of {config.epochs}: loss {metrics.loss:.4f}, gradient {metrics.gradient_norm:.4f}, "
            f"{metrics.n_circuit_executions} circuits, {metrics.epoch_time_ms / 1000:.2f} s"
        )

    if trainer.performance_tracker:
        tell(trainer.performance_tracker)
    if trainer.circuit_cache:
        cache = trainer.circuit_cache.get_stats()
        print(
            f"cache: {cache['hit_rate']:.1%} of {cache['hits'] + cache['misses']:.0f} look-ups were hits, "
            f"{cache['compiled_circuits']} compiled circuits kept"
        )


def tell(tracker: PerformanceTracker) -> None:
    """Everything that a tracker of v3.3 had to say."""
    stats = tracker.get_statistics()
    print(f"circuits in all: {stats['total_circuits']} in {stats['total_batches']} mini-batches", end=", ")
    print(f"{stats['total_runtime_s']:.2f} s, {stats['circuits_per_second']:.0f} circuits/s in the backend")
    print(f"loss of a mini-batch: {stats['avg_loss']:.4f} on average, {stats['final_loss']:.4f} in the last one")

    speedup = tracker.estimate_speedup(baseline_circuits_per_batch=96)
    print(f"fewer circuits by a factor of {speedup['circuit_reduction_factor']:.1f}", end=" ")
    print(f"than 96 a mini-batch ({speedup['circuits_saved_per_batch']:.0f} saved)", end="; ")
    print(f"as jobs of one circuit those would take {speedup['estimated_time_speedup']:.1f} times as long")

    losses = tracker.get_convergence_data()["batch_losses"]
    first, last = np.mean(losses[:10]), np.mean(losses[-10:])
    print(f"loss of the first 10 mini-batches {first:.4f}, of the last 10 {last:.4f}")


if __name__ == "__main__":
    asyncio.run(main())
