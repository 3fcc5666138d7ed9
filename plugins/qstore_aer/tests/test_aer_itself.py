"""Faults of Qiskit Aer that the plugin works around: when one of these fails, its workaround can go."""

from __future__ import annotations

import numpy as np
import pytest
import qiskit
import qiskit_aer
from qiskit.quantum_info import Statevector


@pytest.mark.parametrize("gate", ["crx", "cry", "crz"])
def test_controlled_rotations_lose_an_angle_that_is_bound_at_run_time(gate: str) -> None:
    angle = qiskit.circuit.Parameter("angle")
    circuit = qiskit.QuantumCircuit(2)
    circuit.h(0)
    circuit.ry(0.3, 1)
    getattr(circuit, gate)(angle, 0, 1)
    circuit.h([0, 1])
    expected = Statevector(circuit.assign_parameters({angle: 0.7})).probabilities()
    circuit.save_probabilities()
    job = qiskit_aer.AerSimulator(method="statevector").run(circuit, parameter_binds=[{angle: [0.7]}])
    assert np.abs(job.result().data(0)["probabilities"] - expected).max() > 0.01
