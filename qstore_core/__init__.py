"""Train variational quantum circuits with as few circuits, shots, jobs and dollars as possible."""

from __future__ import annotations

from importlib import import_module
from threading import RLock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qstore_core.angles import Angle, Feature, Parameter
    from qstore_core.ansatz import Ansatz, HardwareEfficientAnsatz, RotationAnsatz
    from qstore_core.backend import (
        Backend,
        BackendCapabilities,
        JobState,
        JobStatus,
        LocalBackend,
        Pacing,
        Prices,
        RemoteBackend,
    )
    from qstore_core.batch import (
        BatchResult,
        CircuitBatch,
        Estimates,
        ExecutionResult,
        Shifts,
        VectorJacobianProduct,
        estimates,
    )
    from qstore_core.batch_manager import CircuitBatchManager
    from qstore_core.cache import Cache, CacheStatistics, MemoryCache
    from qstore_core.circuit import QuantumCircuit
    from qstore_core.circuit_cache import QuantumCircuitCache
    from qstore_core.config import TrainingConfig
    from qstore_core.cost import Budget, Cost
    from qstore_core.counts import Counts
    from qstore_core.data import ArrayLoader, train_test_split
    from qstore_core.encoding import Encoding
    from qstore_core.errors import (
        AmbiguousError,
        BackendError,
        BudgetExceededError,
        CacheError,
        CapabilityError,
        CheckpointError,
        CircuitError,
        ConfigurationError,
        DataError,
        JobFailedError,
        JobRejectedError,
        JournalError,
        ModelFileError,
        PluginCollisionError,
        PluginError,
        PluginLoadError,
        PluginVersionError,
        QStoreError,
        RunDirectoryError,
        StoreError,
        StoreUnavailableError,
        TransientError,
        UnknownArgumentError,
        UnknownNameError,
    )
    from qstore_core.executor import Executor
    from qstore_core.facades import AdaptiveGradientEstimator, ParameterShiftGradientEstimator, SPSAGradientEstimator
    from qstore_core.hookspecs import hookimpl
    from qstore_core.layers import HardwareEfficientQuantumLayer, QuantumLayer
    from qstore_core.manager import BackendManager
    from qstore_core.model import QuantumModel
    from qstore_core.observables import MeasurementGroup, PauliString, PauliSum
    from qstore_core.operations import CircuitStructure
    from qstore_core.preprocessing import FeatureScaler, TargetScaler
    from qstore_core.problem import GradientEstimator, GradientResult, Problem
    from qstore_core.randomness import StepKey
    from qstore_core.registry import get_backend, plugins, register
    from qstore_core.simulator import SimulatorBackend
    from qstore_core.sqlite_cache import SqliteCache
    from qstore_core.sqlite_store import SqliteStore
    from qstore_core.store import Store, StoreEntry, StoreInfo, StoreMatch
    from qstore_core.tracker import PerformanceTracker
    from qstore_core.trainer import QuantumTrainer
    from qstore_core.training import TrainingMetrics
    from qstore_core.version import __version__

__all__ = [
    "AdaptiveGradientEstimator",
    "AmbiguousError",
    "Angle",
    "Ansatz",
    "ArrayLoader",
    "Backend",
    "BackendCapabilities",
    "BackendError",
    "BackendManager",
    "BatchResult",
    "Budget",
    "BudgetExceededError",
    "Cache",
    "CacheError",
    "CacheStatistics",
    "CapabilityError",
    "CheckpointError",
    "CircuitBatch",
    "CircuitBatchManager",
    "CircuitError",
    "CircuitStructure",
    "ConfigurationError",
    "Cost",
    "Counts",
    "DataError",
    "Encoding",
    "Estimates",
    "ExecutionResult",
    "Executor",
    "Feature",
    "FeatureScaler",
    "GradientEstimator",
    "GradientResult",
    "HardwareEfficientAnsatz",
    "HardwareEfficientQuantumLayer",
    "JobFailedError",
    "JobRejectedError",
    "JobState",
    "JobStatus",
    "JournalError",
    "LocalBackend",
    "MeasurementGroup",
    "MemoryCache",
    "ModelFileError",
    "Pacing",
    "Parameter",
    "ParameterShiftGradientEstimator",
    "PauliString",
    "PauliSum",
    "PerformanceTracker",
    "PluginCollisionError",
    "PluginError",
    "PluginLoadError",
    "PluginVersionError",
    "Prices",
    "Problem",
    "QStoreError",
    "QuantumCircuit",
    "QuantumCircuitCache",
    "QuantumLayer",
    "QuantumModel",
    "QuantumTrainer",
    "RemoteBackend",
    "RotationAnsatz",
    "RunDirectoryError",
    "SPSAGradientEstimator",
    "Shifts",
    "SimulatorBackend",
    "SqliteCache",
    "SqliteStore",
    "StepKey",
    "Store",
    "StoreEntry",
    "StoreError",
    "StoreInfo",
    "StoreMatch",
    "StoreUnavailableError",
    "TargetScaler",
    "TrainingConfig",
    "TrainingMetrics",
    "TransientError",
    "UnknownArgumentError",
    "UnknownNameError",
    "VectorJacobianProduct",
    "__version__",
    "estimates",
    "get_backend",
    "hookimpl",
    "plugins",
    "register",
    "train_test_split",
]

_MODULES = {
    "angles": "Angle Feature Parameter",
    "ansatz": "Ansatz HardwareEfficientAnsatz RotationAnsatz",
    "backend": "Backend BackendCapabilities JobState JobStatus LocalBackend Pacing Prices RemoteBackend",
    "batch": "BatchResult CircuitBatch Estimates estimates ExecutionResult Shifts VectorJacobianProduct",
    "batch_manager": "CircuitBatchManager",
    "cache": "Cache CacheStatistics MemoryCache",
    "circuit": "QuantumCircuit",
    "circuit_cache": "QuantumCircuitCache",
    "config": "TrainingConfig",
    "cost": "Budget Cost",
    "counts": "Counts",
    "data": "ArrayLoader train_test_split",
    "encoding": "Encoding",
    "errors": (
        "AmbiguousError BackendError BudgetExceededError CacheError CapabilityError CheckpointError "
        "CircuitError ConfigurationError DataError JobFailedError JobRejectedError JournalError ModelFileError "
        "PluginCollisionError PluginError PluginLoadError PluginVersionError QStoreError RunDirectoryError "
        "StoreError StoreUnavailableError TransientError UnknownArgumentError UnknownNameError"
    ),
    "executor": "Executor",
    "facades": "AdaptiveGradientEstimator ParameterShiftGradientEstimator SPSAGradientEstimator",
    "hookspecs": "hookimpl",
    "layers": "HardwareEfficientQuantumLayer QuantumLayer",
    "manager": "BackendManager",
    "model": "QuantumModel",
    "observables": "MeasurementGroup PauliString PauliSum",
    "operations": "CircuitStructure",
    "preprocessing": "FeatureScaler TargetScaler",
    "problem": "GradientEstimator GradientResult Problem",
    "randomness": "StepKey",
    "registry": "get_backend plugins register",
    "simulator": "SimulatorBackend",
    "sqlite_cache": "SqliteCache",
    "sqlite_store": "SqliteStore",
    "store": "Store StoreEntry StoreInfo StoreMatch",
    "tracker": "PerformanceTracker",
    "trainer": "QuantumTrainer",
    "training": "TrainingMetrics",
    "version": "__version__",
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}


_LOCK = RLock()


def __getattr__(name: str) -> Any:
    """A public name or a module is imported when it is first used, so that a program loads only what it needs."""
    if name not in _HOMES and name.startswith("_"):
        raise AttributeError(f"module 'qstore_core' has no attribute {name!r}")
    module = f"qstore_core.{_HOMES.get(name, name)}"
    with _LOCK:  # modules that import each other, begun by two threads at once, would be seen half done
        try:
            import_module("numpy")
            found = import_module(module)
        except ModuleNotFoundError as error:
            if name in _HOMES or error.name != module:
                raise
            raise AttributeError(f"module 'qstore_core' has no attribute {name!r}") from None
    value = globals()[name] = getattr(found, name) if name in _HOMES else found
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
