"""Cache not helping: what each cache finds in training, in repeated evaluation, and in the same run again.

python examples/troubleshooting/cache_not_helping.py
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from qstore_core import QuantumModel, QuantumTrainer, TrainingConfig, get_backend


def main() -> None:
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(40, 4)), rng.integers(0, 2, 40)
    with tempfile.TemporaryDirectory() as folder:
        config = TrainingConfig(
            gradient_method="spsa",
            epochs=3,
            batch_size=10,
            shots_per_circuit=100,
            seed=1,
            cache="sqlite",
            cache_path=Path(folder) / "results.sqlite",
        )
        model = QuantumModel(4, 4, 2, get_backend("mock"), seed=1)
        trainer = QuantumTrainer(config, progress=False)
        trainer.fit(model, x, y)
        report("training with 100 shots: every circuit has angles and a label of its own", trainer)
        evaluate("evaluations with 100 shots", config, model, x, y)
        exact = replace(config, shots_per_circuit=None)
        evaluate("exact evaluations", exact, model, x, y)
        evaluate("exact evaluations by another process, from the file", exact, model, x, y)


def evaluate(what, config, model, x, y):
    """The same model on the same data, three times."""
    trainer = QuantumTrainer(config, progress=False)
    for _ in range(3):
        trainer.evaluate(model, x, y)
    report(f"three {what}", trainer)


def report(what, trainer):
    """What was asked for, and what ran."""
    told = trainer.performance_tracker.get_statistics()
    reused, ran = trainer.performance_tracker.circuits_reused, told["total_circuits"]
    compiled = trainer.circuit_cache.get_stats()["compiled_circuits"]
    print(f"{what}: {ran + reused} circuits asked for, {reused} found, {ran} run, {compiled} structure(s) compiled")


if __name__ == "__main__":
    main()
