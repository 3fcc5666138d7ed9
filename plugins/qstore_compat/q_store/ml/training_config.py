"""Q-Store's settings, which can be changed after they were made, and what they mean to qstore."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from q_store.changes import changed
from qstore_core import Budget
from qstore_core import TrainingConfig as CoreConfig
from qstore_core.errors import UnknownNameError
from qstore_core.losses import LossLike

_METHODS: Mapping[str, str] = MappingProxyType({"finite_diff": "finite_difference"})
_OPTIMIZERS: Mapping[str, str] = MappingProxyType({"sgd": "momentum", "natural_gradient": "sgd"})
_UNUSED: Mapping[str, tuple[Any, str]] = MappingProxyType(
    {
        "track_gradients": (True, "the norm of every gradient is kept"),
        "enable_circuit_batching": (True, "enable_batch_execution is the one switch"),
        "max_parallel_circuits": (50, "a step is as few jobs as the backend's own limits allow"),
        "batch_submission_timeout": (60.0, "a job is never given up; batch_timeout says when it is reported as late"),
    }
)


@dataclass
class TrainingConfig:
    """The settings of a training run, as in Q-Store v3.2 and v3.3: every one may be left out, and set again later.

    What a setting means is said at `qstore_core.TrainingConfig`, and every value is checked as there, also when it is
    set again. Here optimizer="sgd" has momentum, as it had in Q-Store; the loss is the mean squared error unless `loss`
    says otherwise; and pinecone_api_key="mock-key" means that there is no store.

    >>> config = TrainingConfig(learning_rate=0.01, n_qubits=10, circuit_depth=4)
    >>> config.learning_rate = 0.001
    >>> config.to_core().learning_rate, config.batch_size, config.gradient_method
    (0.001, 32, 'adaptive')
    """

    pinecone_api_key: str | None = field(default=None, repr=False)
    pinecone_environment: str = "us-east-1"
    pinecone_index_name: str | None = None
    quantum_sdk: str = "mock"
    quantum_api_key: str | None = field(default=None, repr=False)
    quantum_target: str = "simulator"
    learning_rate: float = 0.01
    batch_size: int = 32
    epochs: int = 100
    n_qubits: int = 10
    circuit_depth: int = 4
    entanglement: str = "linear"
    optimizer: str = "adam"
    gradient_method: str = "adaptive"
    momentum: float = 0.9
    weight_decay: float = 0.0
    shots_per_circuit: int | None = 1000
    max_concurrent_circuits: int = 5
    use_gradient_clipping: bool = True
    gradient_clip_value: float = 1.0
    checkpoint_interval: int = 10
    checkpoint_directory: str | Path | None = None
    log_interval: int = 10
    track_gradients: bool = True
    enable_circuit_cache: bool = True
    enable_batch_execution: bool = True
    enable_circuit_batching: bool = True
    cache_size: int = 1000
    batch_timeout: float = 60.0
    max_parallel_circuits: int = 50
    hardware_efficient_ansatz: bool = True
    spsa_c_initial: float = 0.1
    spsa_a_initial: float = 0.01
    gradient_subsample_size: int = 5
    batch_submission_timeout: float = 60.0
    enable_performance_tracking: bool = True
    performance_log_dir: str | Path | None = None
    loss: LossLike = "mse"
    seed: int | None = None
    budget: Budget | None = None

    def __post_init__(self) -> None:
        self.to_core()

    def __setattr__(self, name: str, value: Any) -> None:
        names = {entry.name for entry in fields(self)}
        if name not in names:
            raise UnknownNameError.of("setting of TrainingConfig", name, names)
        is_made, before = len(self.__dict__) == len(names), self.__dict__.get(name)
        self.__dict__[name] = value
        if not is_made:
            return  # `__init__` sets one after the other; all of them are checked at its end
        try:
            self.to_core()
        except Exception:
            self.__dict__[name] = before
            raise

    def to_core(self, *, loss: Callable[..., float] | None = None, seed: int | None = None) -> CoreConfig:
        """The settings of qstore that these mean.

        Args:
            loss: A loss that goes before that of the settings.
            seed: A seed for where the settings have none.

        Raises:
            ConfigurationError: A value that is not permitted.
        """
        own = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        for name, (usual, reason) in _UNUSED.items():
            if own.pop(name) != usual:
                changed(f"TrainingConfig({name}=...)", f"is not used: {reason}")
        own["enable_batch_execution"] = self.enable_batch_execution and self.enable_circuit_batching
        own["gradient_method"] = _METHODS.get(self.gradient_method, self.gradient_method)
        own["optimizer"] = self._optimizer()
        own["quantum_sdk"] = "ionq" if self.quantum_sdk in ("cirq", "qiskit") else self.quantum_sdk
        own["quantum_api_key"] = None if self.quantum_sdk == "mock" else self.quantum_api_key
        own["loss"] = self.loss if loss is None else loss
        own["seed"] = seed if self.seed is None else self.seed
        return CoreConfig(**own)

    def _optimizer(self) -> str:
        if self.optimizer == "natural_gradient":
            changed(
                "TrainingConfig(optimizer='natural_gradient')",
                "is plain gradient descent, which is what Q-Store did under that name; qstore has no natural gradient",
            )
        return _OPTIMIZERS.get(self.optimizer, self.optimizer)
