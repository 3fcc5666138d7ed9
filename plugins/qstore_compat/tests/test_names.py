"""The names of Q-Store: where they were, which are gone, and what importing them costs."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
import q_store
import q_store.backends
import q_store.ml
from q_store import QStoreCompatWarning, RemovedNameError
from q_store.changes import REMOVED, changed

BACKENDS = """
    BackendManager MockQuantumBackend QuantumBackend QuantumCircuit QuantumGate GateType CircuitBuilder ExecutionResult
    BackendCapabilities BackendType create_default_backend_manager setup_ionq_backends create_bell_state_circuit
    create_ghz_state_circuit amplitude_encode_to_circuit
""".split()
ML = """
    QuantumTrainer QuantumModel TrainingConfig TrainingMetrics QuantumLayer HardwareEfficientQuantumLayer
    SPSAGradientEstimator ParallelSPSAEstimator SubsampledSPSAEstimator QuantumGradientComputer
    AdaptiveGradientOptimizer GradientMethodScheduler CircuitBatchManager QuantumCircuitCache AdaptiveCircuitCache
    PerformanceTracker QuantumDataEncoder QuantumFeatureMap GradientResult QuantumConvolutionalLayer
    QuantumPoolingLayer FiniteDifferenceGradient NaturalGradientComputer SPSAOptimizerWithAdaptiveGains
""".split()
MODULES = {
    "backends.backend_manager": "BackendManager MockQuantumBackend create_default_backend_manager setup_ionq_backends",
    "backends.quantum_backend_interface": "QuantumBackend QuantumCircuit QuantumGate GateType CircuitBuilder",
    "ml.adaptive_optimizer": "AdaptiveGradientOptimizer GradientMethodScheduler",
    "ml.circuit_batch_manager": "CircuitBatchManager",
    "ml.circuit_cache": "QuantumCircuitCache AdaptiveCircuitCache",
    "ml.data_encoder": "QuantumDataEncoder QuantumFeatureMap",
    "ml.gradient_computer": "QuantumGradientComputer FiniteDifferenceGradient NaturalGradientComputer",
    "ml.parallel_spsa_estimator": "ParallelSPSAEstimator SubsampledSPSAEstimator",
    "ml.performance_tracker": "PerformanceTracker",
    "ml.quantum_layer": "QuantumLayer LayerConfig QuantumConvolutionalLayer QuantumPoolingLayer",
    "ml.quantum_layer_v2": "HardwareEfficientQuantumLayer",
    "ml.quantum_trainer": "QuantumTrainer QuantumModel TrainingConfig TrainingMetrics",
    "ml.spsa_gradient_estimator": "SPSAGradientEstimator SPSAOptimizerWithAdaptiveGains",
}


@pytest.mark.parametrize(("part", "names"), [("backends", BACKENDS), ("ml", ML)])
def test_every_name_is_in_its_package_and_at_the_top(part: str, names: list[str]) -> None:
    module = importlib.import_module(f"q_store.{part}")
    assert set(names) <= set(module.__all__)
    assert module.__all__ == sorted(module.__all__)
    assert all(getattr(q_store, name) is getattr(module, name) for name in module.__all__)


@pytest.mark.parametrize("path", MODULES)
def test_names_are_where_q_store_had_them(path: str) -> None:
    module = importlib.import_module(f"q_store.{path}")
    assert all(hasattr(module, name) for name in MODULES[path].split())


@pytest.mark.parametrize("name", [*BACKENDS, *ML])
def test_every_name_is_documented_with_an_example(name: str) -> None:
    value = getattr(q_store, name)
    documented = {"QuantumBackend", "setup_ionq_backends", "TrainingMetrics"}  # shown at work by others
    assert ">>>" in (inspect.getdoc(value) or "") or name in documented


@pytest.mark.parametrize("name", REMOVED)
def test_a_name_that_is_gone_says_what_to_do(name: str) -> None:
    for module in ("q_store", "q_store.ml", "q_store.backends", "q_store.core"):
        with pytest.raises(RemovedNameError, match=name):
            exec(f"from {module} import {name}")


def test_a_name_that_never_was_is_an_ordinary_error() -> None:
    assert not hasattr(q_store, "QuantumTriner")
    with pytest.raises(ImportError, match="cannot import name"):
        exec("from q_store.ml import QuantumTriner")


def test_a_change_is_told_once() -> None:
    with pytest.warns(QStoreCompatWarning) as told:
        [changed("this", "is that") for _ in range(3)]
    assert [str(warning.message) for warning in told] == ["this: is that"]


def test_every_change_is_in_the_guide() -> None:
    folder = Path(__file__).parents[1]
    source = "".join(path.read_text(encoding="utf-8") for path in (folder / "q_store").rglob("*.py"))
    guide = (folder.parents[1] / "docs" / "migration.md").read_text(encoding="utf-8")
    told = re.findall(r"changed\(\s*f?\"([^\"]+)\"", source)
    assert len(told) > 10
    words = {name: re.findall(r"[a-z_]{5,}|[A-Z]\w+", name)[-1] for name in told if name != "an example"}
    assert [name for name, word in words.items() if word not in guide] == []
    assert [name for name in REMOVED if name not in guide and "database" not in REMOVED[name]] == []


HEAVY = {"cirq", "qiskit", "pinecone", "sklearn", "scipy", "matplotlib", "tqdm", "click", "qstore_mock"}


def test_importing_everything_imports_nothing_heavy() -> None:
    script = "import q_store, sys; before = set(sys.modules); import q_store.ml; print(*before); print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    first, everything = (set(line.split()) for line in run.stdout.splitlines())
    assert not everything & HEAVY
    assert "q_store.backends" not in first
