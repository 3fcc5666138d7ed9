"""The settings of a training run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from math import isfinite
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from qstore_core.ansatz import ENTANGLEMENTS
from qstore_core.cost import Budget
from qstore_core.errors import ConfigurationError, UnknownNameError
from qstore_core.lightcone import MODES
from qstore_core.losses import LOSSES, LossLike
from qstore_core.optimizers import OPTIMIZERS

_SECRETS = ("quantum_api_key", "pinecone_api_key")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """The settings of a training run; every one has a default and is checked at once.

    Names and defaults are those of Q-Store v3.2 and v3.3, so their configurations keep working.

    Attributes:
        learning_rate: The optimiser's step size.
        batch_size: Samples in a mini-batch where the trainer makes the batches (`fit`).
        epochs: Passes over the data.
        n_qubits: The width of models made by `QuantumModel.from_config`.
        circuit_depth: Their number of layers.
        entanglement: Their entangler: "linear", "circular", "full" or "hardware_aware".
        optimizer: "adam", "momentum" or "sgd".
        gradient_method: "adaptive" (the cheapest right one), or any installed estimator: "spsa", "parameter_shift",
            "adjoint", "finite_difference". "spsa_parallel" is "spsa"; "spsa_subsampled" is "spsa" on
            `gradient_subsample_size` random samples of each mini-batch.
        gradient_options: Options of the estimator itself, by name, such as `{"directions": 4}` for "spsa".
        momentum: For optimizer="momentum".
        weight_decay: Shrinks parameters by this rate times the learning rate at each step.
        shots_per_circuit: Shots of every circuit; None for exact expectation values, on simulators.
        max_concurrent_circuits: How many remote jobs are sent and waited for at once; each may hold many circuits.
        use_gradient_clipping: Whether the gradient's Euclidean norm is limited.
        gradient_clip_value: To this.
        checkpoint_interval: Epochs between checkpoints; the end of a run and an interruption always write one.
        checkpoint_directory: Another name for `run_directory`, from v3.2.
        log_interval: Steps between log lines (logger "qstore").
        enable_circuit_cache: Whether compiled structures and results are kept.
        enable_batch_execution: False runs one circuit a job, for comparison.
        hardware_efficient_ansatz: RY+RZ layers, not RX+RY+RZ, in models made by `QuantumModel.from_config`.
        cache_size: How many compiled structures are kept, and five times as many results.
        batch_timeout: Seconds of silence before a remote job is reported as late; it is never abandoned.
        max_job_attempts: How often a remote job is sent, when it fails at the provider, before the run ends.
        spsa_c_initial: SPSA's step, radians.
        spsa_a_initial: Spall's gain `a`, for optimizer="spall".
        gradient_subsample_size: Samples a step for "spsa_subsampled".
        enable_performance_tracking: Whether `performance_log_dir` gets a summary; counting is always on.
        performance_log_dir: A directory for `performance.json`.
        quantum_sdk: The backend when neither the model nor the manager brings one.
        quantum_api_key: Its key; never written anywhere.
        quantum_target: With quantum_sdk="ionq": "simulator", or a QPU's name.
        cache: Where results are kept for reuse: "memory", "sqlite", or another installed cache.
        cache_path: The file of cache="sqlite", which several processes may share.
        loss: "cross_entropy", "mse", a function (outputs, targets) -> float, or None: by the labels. The function gets
            outputs and targets `(n_samples, n_outputs)`; class labels arrive as targets of +1 for the right output and
            -1 for the others, with one output +1 for class 1 and -1 for class 0.
        budget: What the run may cost in all, validation and earlier processes included; None: no limit.
        seed: All randomness derives from it; None draws one and records it.
        run_directory: Where config.json, metrics.jsonl and checkpoint.npz go; None writes nothing.
        reduce: How circuits are made smaller before they run, without changing an expectation value: "auto" drops gates
            that cannot influence the outputs and moves tails of Clifford gates into the observables, "light_cone" only
            drops gates, "none" runs every gate.

    Raises:
        ConfigurationError: A value that is not permitted; the message names the field, the value and what is permitted.

    >>> TrainingConfig(learning_rate=0.01, n_qubits=10, circuit_depth=4).batch_size
    32
    """

    learning_rate: float = 0.01
    batch_size: int = 32
    epochs: int = 100
    n_qubits: int = 10
    circuit_depth: int = 4
    entanglement: str = "linear"
    optimizer: str = "adam"
    gradient_method: str = "adaptive"
    gradient_options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    momentum: float = 0.9
    weight_decay: float = 0.0
    shots_per_circuit: int | None = 1000
    max_concurrent_circuits: int = 5
    use_gradient_clipping: bool = True
    gradient_clip_value: float = 1.0
    checkpoint_interval: int = 10
    checkpoint_directory: str | Path | None = None
    log_interval: int = 10
    enable_circuit_cache: bool = True
    enable_batch_execution: bool = True
    hardware_efficient_ansatz: bool = True
    cache_size: int = 1000
    batch_timeout: float = 60.0
    max_job_attempts: int = 3
    spsa_c_initial: float = 0.1
    spsa_a_initial: float = 0.01
    gradient_subsample_size: int = 5
    enable_performance_tracking: bool = True
    performance_log_dir: str | Path | None = None
    quantum_sdk: str = "mock"
    quantum_api_key: str | None = field(default=None, repr=False)
    quantum_target: str = "simulator"
    pinecone_api_key: str | None = field(default=None, repr=False)
    pinecone_environment: str = "us-east-1"
    pinecone_index_name: str | None = None
    cache: str = "memory"
    cache_path: str | Path | None = None
    loss: LossLike = None
    seed: int | None = None
    budget: Budget | None = None
    run_directory: str | Path | None = None
    warm_start: str | None = None
    reduce: str = "auto"

    def __post_init__(self) -> None:
        for entry in fields(self):
            rule = _RULES.get(entry.name)
            value = getattr(self, entry.name)
            if rule is not None and not rule.holds(value):
                raise ConfigurationError(f"TrainingConfig({entry.name}={value!r}): must be {rule.words}")
        for name, known in (("entanglement", ENTANGLEMENTS), ("optimizer", OPTIMIZERS), ("reduce", MODES)):
            self._check_name(name, known)
        if isinstance(self.loss, str):
            self._check_name("loss", LOSSES, advice="Or give a function (outputs, targets) -> float")
        self._refuse_what_is_not_there()
        places = {Path(place) for place in (self.run_directory, self.checkpoint_directory) if place is not None}
        if self.cache == "sqlite" and self.cache_path is None:
            raise ConfigurationError("TrainingConfig(cache='sqlite') needs cache_path: the file to keep results in")
        if len(places) > 1:
            raise ConfigurationError(
                "run_directory and checkpoint_directory are two names for one place; set only run_directory"
            )

    @property
    def directory(self) -> Path | None:
        """The run directory under either of its names."""
        chosen = self.checkpoint_directory if self.run_directory is None else self.run_directory
        return None if chosen is None else Path(chosen)

    @property
    def backend_name(self) -> str:
        """The backend that `quantum_sdk` and `quantum_target` mean.

        >>> TrainingConfig(quantum_sdk="ionq", quantum_target="qpu.forte-1").backend_name
        'ionq.qpu'
        """
        if self.quantum_sdk == "ionq":
            return "ionq.simulator" if self.quantum_target == "simulator" else "ionq.qpu"
        return self.quantum_sdk

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON values, without secrets; a function as a loss is named, not stored."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name not in _SECRETS}
        if callable(self.loss):
            values["loss"] = f"function {getattr(self.loss, '__qualname__', type(self.loss).__name__)}"
        return {key: _as_json(value) for key, value in values.items()}

    def _check_name(self, name: str, known: Iterable[str], advice: str = "") -> None:
        value = getattr(self, name)
        if (name, value) in _LATER:
            raise ConfigurationError(f"TrainingConfig({name}={value!r}): {_LATER[name, value]}")
        if value not in known:
            raise UnknownNameError.of(f"TrainingConfig {name}", value, known, advice=advice)

    def _refuse_what_is_not_there(self) -> None:
        for name in ("warm_start", "pinecone_api_key"):
            if getattr(self, name) is not None:
                raise ConfigurationError(f"TrainingConfig({name}=...): {_LATER[name, None]}")
        if ("gradient_method", self.gradient_method) in _LATER:
            raise ConfigurationError(
                f"TrainingConfig(gradient_method={self.gradient_method!r}): "
                f"{_LATER['gradient_method', self.gradient_method]}"
            )


_LATER: dict[tuple[str, str | None], str] = {
    ("optimizer", "rotosolve"): "not built yet; use 'adam', 'momentum' or 'sgd'",
    ("optimizer", "spall"): "not built yet; use 'adam', 'momentum' or 'sgd'",
    ("gradient_method", "schedule"): "not built yet; use 'adaptive', or one method",
    ("warm_start", None): "not built yet; leave it None, or assign model.parameters before training",
    ("pinecone_api_key", None): "no store plugin is installed, so there is nowhere to send it; leave it None",
}


@dataclass(frozen=True, slots=True)
class _Rule:
    words: str
    holds: Callable[[Any], bool]


def _number(words: str, holds: Callable[[float], bool]) -> _Rule:
    return _Rule(words, lambda value: _is_number(value) and holds(value))


def _whole(least: int, *, optional: bool = False) -> _Rule:
    words = f"a whole number of at least {least}{' or None' if optional else ''}"
    return _Rule(words, lambda v: (optional and v is None) or (_is_whole(v) and v >= least))


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and isfinite(value)


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _as_json(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Budget):
        return asdict(value)
    return value.item() if isinstance(value, np.generic) else value


_POSITIVE = _number("a number above 0", lambda value: value > 0)
_FLAG = _Rule("True or False", lambda value: isinstance(value, bool))
_NAME = _Rule("a name", lambda value: isinstance(value, str))
_PLACE = _Rule("a path or None", lambda value: value is None or isinstance(value, str | Path))
_RULES: dict[str, _Rule] = {
    "learning_rate": _POSITIVE,
    "batch_size": _whole(1),
    "epochs": _whole(0),
    "n_qubits": _whole(1),
    "circuit_depth": _whole(1),
    "entanglement": _NAME,
    "optimizer": _NAME,
    "reduce": _NAME,
    "gradient_method": _NAME,
    "gradient_options": _Rule(
        "a dict of JSON values by option name", lambda v: isinstance(v, Mapping) and _is_json(dict(v))
    ),
    "momentum": _number("a number from 0 to below 1", lambda value: 0 <= value < 1),
    "weight_decay": _number("a number of at least 0", lambda value: value >= 0),
    "shots_per_circuit": _Rule(
        "a whole number of at least 1, or None for exact expectation values", _whole(1, optional=True).holds
    ),
    "max_concurrent_circuits": _whole(1),
    "use_gradient_clipping": _FLAG,
    "gradient_clip_value": _POSITIVE,
    "checkpoint_interval": _whole(1),
    "checkpoint_directory": _PLACE,
    "log_interval": _whole(1),
    "enable_circuit_cache": _FLAG,
    "enable_batch_execution": _FLAG,
    "hardware_efficient_ansatz": _FLAG,
    "cache_size": _whole(1),
    "batch_timeout": _POSITIVE,
    "max_job_attempts": _whole(1),
    "spsa_c_initial": _POSITIVE,
    "spsa_a_initial": _POSITIVE,
    "gradient_subsample_size": _whole(1),
    "enable_performance_tracking": _FLAG,
    "performance_log_dir": _PLACE,
    "quantum_sdk": _NAME,
    "quantum_target": _NAME,
    "run_directory": _PLACE,
    "cache": _NAME,
    "cache_path": _PLACE,
    "seed": _whole(0, optional=True),
    "budget": _Rule("a Budget or None", lambda value: value is None or isinstance(value, Budget)),
    "loss": _Rule("a name, a function or None", lambda v: v is None or isinstance(v, str) or callable(v)),
}
