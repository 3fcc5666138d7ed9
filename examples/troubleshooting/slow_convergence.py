"""Slow convergence: the same task and the same circuits, trained in four ways.

python examples/troubleshooting/slow_convergence.py
"""

from __future__ import annotations

import numpy as np

from qstore_core import QuantumModel, QuantumTrainer, TrainingConfig, get_backend

EPOCHS = 8
WAYS = {
    "Z of the last qubit, rate 0.01": ({"readout": ["Z5"]}, {"learning_rate": 0.01}),
    "the default readout, rate 0.01": ({}, {"learning_rate": 0.01}),
    "the default readout, rate 0.1": ({}, {"learning_rate": 0.1}),
    "the default, adaptive, rate 0.1": ({}, {"learning_rate": 0.1, "gradient_method": "adaptive"}),
}


def main() -> None:
    rng = np.random.default_rng(7)
    y = rng.integers(0, 2, 120)
    x = rng.normal(0.0, 0.5, (120, 6)) + 0.5 * (2 * y[:, None] - 1)
    print(f"{'way':<36}{'active':>7}{'circuits':>10}{'shots':>10}{'loss':>7}{'accuracy':>10}")
    for name, (shape, settings) in WAYS.items():
        model = QuantumModel(6, 6, 1, get_backend("mock"), readout=shape.get("readout"), seed=1)
        config = TrainingConfig(
            **{"gradient_method": "spsa", **settings},
            epochs=EPOCHS,
            batch_size=10,
            shots_per_circuit=100,
            loss="mse",
            seed=1,
        )
        trainer = QuantumTrainer(config, progress=False)
        history = trainer.fit(model, x, y)
        circuits, shots = (sum(getattr(epoch, what) for epoch in history) for what in ("circuits", "shots"))
        told = trainer.evaluate(model, x, y)
        active = f"{int(model.active_parameters.sum())}/{model.n_parameters}"
        print(f"{name:<36}{active:>7}{circuits:>10}{shots:>10}{told['loss']:>7.2f}{told['accuracy']:>10.2f}")


if __name__ == "__main__":
    main()
