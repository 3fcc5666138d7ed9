"""SPSA too noisy: how far one estimate is from the exact gradient, and what brings it nearer for how many circuits.

python examples/troubleshooting/spsa_too_noisy.py
"""

from __future__ import annotations

import numpy as np

from qstore_core import QuantumModel, QuantumTrainer, TrainingConfig, get_backend

ESTIMATES = 60
SETTINGS = {
    "10 samples, 100 shots": {},
    "1000 shots": {"shots": 1000},
    "c = 0.02": {"c": 0.02},
    "one direction for all samples": {"shared_direction": True},
    "4 directions a sample": {"directions": 4},
    "40 samples": {"samples": 40},
}


def main() -> None:
    model = QuantumModel(input_dim=4, n_qubits=4, output_dim=1, backend=get_backend("mock"), depth=3, seed=3)
    model.parameters = np.random.default_rng(4).normal(scale=0.8, size=model.n_parameters)
    rng = np.random.default_rng(5)
    y = rng.choice([-1.0, 1.0], size=200)
    x = rng.normal(0.0, 0.5, (200, 4)) + 0.5 * y[:, None]
    exact = gradients(model, x, y, "adjoint", None)[0]
    print(f"{int(model.active_parameters.sum())} active parameters; error relative to the gradient's length\n")
    print(f"{'setting':<32}{'circuits':>9}{'error':>8}{'error at equal circuits':>26}")
    for name, changed in SETTINGS.items():
        options = dict(changed)
        samples, shots = options.pop("samples", 10), options.pop("shots", 100)
        found = []
        for seed in range(ESTIMATES):
            chosen = np.random.default_rng(seed).choice(len(x), samples, replace=False)
            found.append(gradients(model, x[chosen], y[chosen], "spsa", shots, seed=seed, **options)[0])
        circuits = gradients(model, x[:samples], y[:samples], "spsa", shots, **options)[1]
        error = np.sqrt(np.mean(np.sum((np.array(found) - exact) ** 2, axis=1))) / np.linalg.norm(exact)
        print(f"{name:<32}{circuits:>9}{error:>8.1f}{error * np.sqrt(circuits / 20):>26.1f}")


def gradients(model, x, y, method, shots, seed=0, **options):
    """One estimate, and how many circuits it took."""
    config = TrainingConfig(
        gradient_method=method, gradient_options=options, shots_per_circuit=shots, loss="mse", seed=seed
    )
    result = QuantumTrainer(config, progress=False).gradient(model, x, y)
    return result.gradients, result.n_circuit_executions


if __name__ == "__main__":
    main()
