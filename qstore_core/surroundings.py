"""What a run stands on: the backend, the cache, and an executor over both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qstore_core.account import Account
from qstore_core.backend import Backend
from qstore_core.batch import CircuitBatch
from qstore_core.circuit_cache import QuantumCircuitCache
from qstore_core.config import TrainingConfig
from qstore_core.cost import Cost
from qstore_core.errors import RunDirectoryError
from qstore_core.executor import Executor, ExecutorOptions
from qstore_core.manager import BackendManager
from qstore_core.model import QuantumModel
from qstore_core.registry import default_registry, get_backend
from qstore_core.tracker import PerformanceTracker

if TYPE_CHECKING:
    from qstore_core.journal import Journal
    from qstore_core.store import Store


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """What a trainer brings to its runs: where to run, and what to add measurements to."""

    config: TrainingConfig
    backend: Backend
    tracker: PerformanceTracker
    cache: QuantumCircuitCache | None

    def executor(self, *, spent: Cost | None = None, journal: Journal | None = None) -> Executor:
        """An executor as the configuration says, with what was spent before."""
        config = self.config
        options = ExecutorOptions(
            one_circuit_per_job=not config.enable_batch_execution,
            max_concurrent_jobs=config.max_concurrent_circuits,
            max_attempts=config.max_job_attempts,
            late_after=config.batch_timeout,
            reduce=config.reduce != "none",
        )
        account = Account(config.budget, Cost() if spent is None else spent)
        return Executor(
            self.backend, tracker=self.tracker, options=options, cache=self.cache, account=account, journal=journal
        )

    def save_performance(self) -> None:
        """Write what was measured where the configuration says, if it says.

        Raises:
            RunDirectoryError: It cannot be written.
        """
        place = self.config.performance_log_dir
        if place is None or not self.config.enable_performance_tracking:
            return
        try:
            Path(place).mkdir(parents=True, exist_ok=True)
            self.tracker.save(Path(place) / "performance.json")
        except OSError as error:
            raise RunDirectoryError(f"cannot write performance_log_dir {place}: {error.strerror or error}") from error


async def backend_for(model: QuantumModel, manager: BackendManager | None, config: TrainingConfig) -> Backend:
    """The model's backend, else the manager's default, else the configured one; it is the model's from then on."""
    if model.backend is None:
        if manager is not None and manager.has_backend:
            model.backend = manager.get_backend()
        else:
            options = {} if config.quantum_api_key is None else {"api_key": config.quantum_api_key}
            if config.quantum_sdk == "ionq" and config.quantum_target != "simulator":
                options["target"] = config.quantum_target
            model.backend = get_backend(config.backend_name, **options)
            await model.backend.open()
    return model.backend


def check_backend(model: QuantumModel, backend: Backend, config: TrainingConfig) -> None:
    """Raise `CapabilityError` before anything runs or is written when the backend cannot do what is asked."""
    reduction, _ = model.reduced(config.reduce)
    angles, draws = np.zeros((1, len(reduction.angles))), np.zeros(1, dtype=np.uint64)
    probe = CircuitBatch(reduction.structure, angles, reduction.observables, config.shots_per_circuit, draws)
    backend.capabilities.check(probe, backend=backend.name)


def make_cache(config: TrainingConfig) -> QuantumCircuitCache | None:
    """The cache that a configuration asks for; None when it is disabled."""
    if not config.enable_circuit_cache:
        return None
    if config.cache == "memory":
        return QuantumCircuitCache(config.cache_size, 5 * config.cache_size, None)
    options = {} if config.cache_path is None else {"path": Path(config.cache_path)}
    results = default_registry().create("cache", config.cache, **options)
    return QuantumCircuitCache(config.cache_size, results=results)


def make_store(config: TrainingConfig) -> Store | None:
    """The store that a configuration asks for, which is reached for when it is first used; None: none."""
    name = config.store_name
    if name is None:
        return None
    options = dict(config.store_options)
    if config.store_path is not None:
        options["path"] = Path(config.store_path)
    if name.partition(".")[0] == "pinecone":
        named = {"index_name": config.pinecone_index_name, "api_key": config.pinecone_api_key}
        options |= {key: value for key, value in named.items() if value is not None}
        options["environment"] = config.pinecone_environment
    store: Store = default_registry().create("store", name, **options)
    return store
