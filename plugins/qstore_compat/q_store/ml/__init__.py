"""Training by its names in Q-Store v3.2, v3.3 and v3.3.1."""

from __future__ import annotations

from typing import Any

from q_store.changes import missing
from q_store.ml.adaptive_optimizer import AdaptiveGradientOptimizer, GradientMethodScheduler
from q_store.ml.circuit_batch_manager import CircuitBatchManager
from q_store.ml.circuit_cache import AdaptiveCircuitCache, QuantumCircuitCache
from q_store.ml.convolution import QuantumConvolutionalLayer, QuantumPoolingLayer
from q_store.ml.data_encoder import QuantumDataEncoder, QuantumFeatureMap
from q_store.ml.gradient_computer import FiniteDifferenceGradient, NaturalGradientComputer, QuantumGradientComputer
from q_store.ml.parallel_spsa_estimator import (
    ParallelSPSAEstimator,
    SPSABatchGradientEstimator,
    SubsampledSPSAEstimator,
)
from q_store.ml.performance_tracker import BatchMetrics, EpochMetrics, PerformanceTracker
from q_store.ml.quantum_layer import HardwareEfficientQuantumLayer, LayerConfig, QuantumLayer
from q_store.ml.quantum_model import QuantumModel
from q_store.ml.quantum_trainer import QuantumTrainer, TrainingMetrics
from q_store.ml.spsa_gradient_estimator import SPSAGradientEstimator, SPSAOptimizerWithAdaptiveGains
from q_store.ml.training_config import TrainingConfig
from qstore_core import GradientResult

__all__ = [
    "AdaptiveCircuitCache",
    "AdaptiveGradientOptimizer",
    "BatchMetrics",
    "CircuitBatchManager",
    "EpochMetrics",
    "FiniteDifferenceGradient",
    "GradientMethodScheduler",
    "GradientResult",
    "HardwareEfficientQuantumLayer",
    "LayerConfig",
    "NaturalGradientComputer",
    "ParallelSPSAEstimator",
    "PerformanceTracker",
    "QuantumCircuitCache",
    "QuantumConvolutionalLayer",
    "QuantumDataEncoder",
    "QuantumFeatureMap",
    "QuantumGradientComputer",
    "QuantumLayer",
    "QuantumModel",
    "QuantumPoolingLayer",
    "QuantumTrainer",
    "SPSABatchGradientEstimator",
    "SPSAGradientEstimator",
    "SPSAOptimizerWithAdaptiveGains",
    "SubsampledSPSAEstimator",
    "TrainingConfig",
    "TrainingMetrics",
]


def __getattr__(name: str) -> Any:
    raise missing("q_store.ml", name)
