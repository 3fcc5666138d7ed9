"""The suite, and a training run."""

import numpy as np
import pytest
from qstore_qulacs.backend import QulacsBackend

from qstore_core import QuantumModel, QuantumTrainer, TrainingConfig, get_backend
from qstore_core.testing import BackendSuite


class TestQulacs(BackendSuite):
    """Every check of a backend, on this one."""

    @pytest.fixture
    def make_backend(self):
        """What makes a backend."""
        return QulacsBackend


def test_a_model_learns_on_it():
    """Two clouds of points are told apart."""
    rng = np.random.default_rng(7)
    y = rng.integers(0, 2, 40)
    x = rng.normal(0.0, 0.4, (40, 4)) + 0.8 * (2 * y[:, None] - 1)
    model = QuantumModel(input_dim=4, n_qubits=4, output_dim=2, backend=get_backend("qulacs"), seed=1)
    trainer = QuantumTrainer(TrainingConfig(epochs=6, learning_rate=0.1, shots_per_circuit=None, seed=1))
    history = trainer.fit(model, x, y)
    assert history[-1].loss < history[0].loss
    assert trainer.evaluate(model, x, y)["accuracy"] > 0.9
