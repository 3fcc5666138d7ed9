"""The settings of a training run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from qstore_core.ansatz import ENTANGLEMENTS
from qstore_core.cost import Budget
from qstore_core.errors import ConfigurationError, UnknownNameError
from qstore_core.keywords import known_fields
from qstore_core.lightcone import MODES
from qstore_core.loading import Kind
from qstore_core.losses import LOSSES, LossLike
from qstore_core.optimizers import OPTIMIZERS, RATED, make_optimizer
from qstore_core.registry import default_registry
from qstore_core.rules import RULES
from qstore_core.secret_names import holds_secrets

SPSA_KINDS = ("spsa_parallel", "spsa_subsampled")
"""What Q-Store calls kinds of "spsa"."""
SPSA_STEP = 0.1
"""The default of `spsa_c_initial`, radians."""
_SECRETS = ("quantum_api_key", "pinecone_api_key")
_NO_KEY = "mock-key"
"""What configurations of v3.2 give as `pinecone_api_key` to have no store."""


@known_fields
@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """The settings of a training run; every one has a default and is checked at once.

    Names and defaults are those of Q-Store v3.2 and v3.3, so their configurations keep working.

    Attributes:
        learning_rate: The optimiser's step size.
        learning_rate_decay: The step size at step k, from 0, is `learning_rate / (1 + learning_rate_decay * k)`.
        batch_size: Samples in a mini-batch where the trainer makes the batches (`fit`); "adaptive" with shots cuts and
            joins them to the steps that it plans.
        epochs: Passes over the data.
        n_qubits: The width of models made by `QuantumModel.from_config`.
        circuit_depth: Their number of layers.
        entanglement: Their entangler: "linear", "circular", "full" or "hardware_aware".
        optimizer: "adam", "momentum", "sgd"; "spall": SPSA with Spall's own gain sequence; or "rotosolve": one
            parameter a step, moved to where the loss is least along it.
        optimizer_options: Options of the optimiser itself, by name, such as `{"amsgrad": True}` for "adam".
        parameter_averaging: The weight, from 0 to below 1, of the past in an exponential average of the parameters. The
            model holds that average, which validation uses, and training goes on from the parameters themselves.
        gradient_method: "adaptive" (the cheapest right one), or any installed estimator: "spsa", "parameter_shift",
            "adjoint", "finite_difference"; "schedule" for several of them in one run. "spsa_parallel" is "spsa";
            "spsa_subsampled" is "spsa" on `gradient_subsample_size` random samples of each mini-batch.
        gradient_options: Options of the estimator itself, by name, such as `{"directions": 4}` for "spsa", or for
            "schedule" `{"steps": [[0, "spsa"], [200, {"method": "parameter_shift", "coordinates": 8}]]}`.
        momentum: For optimizer="momentum".
        weight_decay: Shrinks parameters by this rate times the learning rate at each step.
        shots_per_circuit: Shots of every circuit, with "adaptive" the most that one gets; None for exact expectation
            values, on simulators.
        max_concurrent_circuits: How many remote jobs are sent and waited for at once; each may hold many circuits.
        use_gradient_clipping: Whether the gradient's Euclidean norm is limited.
        gradient_clip_value: To this; with gradient_method="adaptive", whose steps may be of two samples, to this plus
            three standard deviations of the estimate: to cut those would count the rare large gradients for too little.
        checkpoint_interval: Epochs between checkpoints; the end of a run and an interruption always write one.
        checkpoint_directory: Another name for `run_directory`, from v3.2.
        log_interval: Steps between log lines (logger "qstore").
        enable_circuit_cache: Whether compiled structures and results are kept.
        enable_batch_execution: False runs one circuit a job, for comparison.
        hardware_efficient_ansatz: RY+RZ layers, not RX+RY+RZ, in models made by `QuantumModel.from_config`.
        cache_size: How many compiled structures are kept, and five times as many results.
        batch_timeout: Seconds of silence before a remote job is reported as late; it is never abandoned.
        max_job_attempts: How often a remote job is sent, when it fails at the provider, before the run ends.
        spsa_c_initial: SPSA's step, radians. At its default, 0.1, only optimizer="spall" takes it as it is; else the
            step follows the number P of active parameters, `min(0.3, 1 / sqrt(P))`. `gradient_options={"c": 0.1}` sets
            it to the default.
        spsa_a_initial: For optimizer="spall": how far the first step moves each parameter on average, radians.
        gradient_subsample_size: Samples a step for "spsa_subsampled".
        enable_performance_tracking: Whether `performance_log_dir` gets a summary; counting is always on.
        performance_log_dir: A directory for `performance.json`.
        quantum_sdk: The backend when neither the model nor the manager brings one.
        quantum_api_key: Its key; never written anywhere.
        quantum_target: With quantum_sdk="ionq": "simulator", or a QPU's name.
        pinecone_api_key: The key of store="pinecone", never written anywhere; None: the environment variable
            PINECONE_API_KEY. As in v3.2 a key means that store, and training vectors are kept too; "mock-key" is none.
        pinecone_environment: The region of an index that is made.
        pinecone_index_name: Its name, which also means store="pinecone"; None: "quantum-ml-training".
        store: Where finished and checkpointed runs are recorded: "sqlite", or another installed store; None: nowhere. A
            store that fails never ends a run.
        store_path: The file of store="sqlite", which several processes may share.
        store_options: Options of the store itself, by name, such as `{"cloud": "gcp"}` for "pinecone".
        store_training_vectors: Whether the samples of each step are stored too; None: as in v3.2, where the store
            comes from `pinecone_api_key`.
        cache: Where results are kept for reuse: "memory", "sqlite", or another installed cache.
        cache_path: The file of cache="sqlite", which several processes may share.
        loss: "cross_entropy", "mse", a function (outputs, targets) -> float, or None: by the labels. The function gets
            outputs and targets `(n_samples, n_outputs)`; class labels arrive as targets of +1 for the right output and
            -1 for the others, with one output +1 for class 1 and -1 for class 0.
        budget: What the run may cost in all, validation and earlier processes included; None: no limit.
        seed: All randomness derives from it; None draws one and records it.
        warm_start: "simulator": train on an exact simulator on this machine first, for at most `epochs` epochs, and go
            on from there; that is not counted. "store": begin with the parameters of the nearest run in the store that
            has the same model and loss. None: begin with the initial parameters.
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
    learning_rate_decay: float = 0.0
    batch_size: int = 32
    epochs: int = 100
    n_qubits: int = 10
    circuit_depth: int = 4
    entanglement: str = "linear"
    optimizer: str = "adam"
    optimizer_options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    parameter_averaging: float = 0.0
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
    spsa_c_initial: float = SPSA_STEP
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
    store: str | None = None
    store_path: str | Path | None = None
    store_options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    store_training_vectors: bool | None = None
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
            rule = RULES.get(entry.name)
            value = getattr(self, entry.name)
            if rule is not None and not rule.holds(value):
                shown = "..." if entry.name in _SECRETS or holds_secrets(value) else repr(value)
                raise ConfigurationError(f"TrainingConfig({entry.name}={shown}): must be {rule.words}")
        for name, known in (("entanglement", ENTANGLEMENTS), ("optimizer", OPTIMIZERS), ("reduce", MODES)):
            self._check_name(name, known)
        if isinstance(self.loss, str):
            self._check_name("loss", LOSSES, advice="Or give a function (outputs, targets) -> float")
        self._check_places()
        self._check_store()
        self._check_optimizer()
        self._check_gradient_method()

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

    @property
    def store_name(self) -> str | None:
        """The store that the settings mean; None: none.

        >>> TrainingConfig(pinecone_api_key="mock-key", pinecone_index_name="runs").store_name is None
        True
        """
        if self.store is not None or self.pinecone_api_key == _NO_KEY:
            return self.store
        return None if self.pinecone_api_key is None and self.pinecone_index_name is None else "pinecone"

    @property
    def keeps_training_vectors(self) -> bool:
        """Whether the samples of each step go to the store."""
        if self.store_training_vectors is not None:
            return self.store_training_vectors
        return self.store is None and self.store_name is not None and self.pinecone_api_key is not None

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON values, without secrets; a function as a loss is named, not stored."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name not in _SECRETS}
        if callable(self.loss):
            values["loss"] = f"function {getattr(self.loss, '__qualname__', type(self.loss).__name__)}"
        return {key: _as_json(value) for key, value in values.items()}

    def _check_name(self, name: str, known: Iterable[str], advice: str = "") -> None:
        value = getattr(self, name)
        if value not in known:
            raise UnknownNameError.of(f"TrainingConfig {name}", value, known, advice=advice)

    def _check_registered(self, kind: Kind, name: str, setting: str) -> None:
        """Refuse a name that nothing installed answers to; nothing is imported."""
        try:
            default_registry().find(kind, name)
        except UnknownNameError as error:
            shown = "..." if setting in _SECRETS else repr(getattr(self, setting))
            raise UnknownNameError(f"TrainingConfig({setting}={shown}): {error}") from None

    def _check_places(self) -> None:
        self._check_registered("cache", self.cache, "cache")
        if self.cache == "sqlite" and self.cache_path is None:
            raise ConfigurationError("TrainingConfig(cache='sqlite') needs cache_path: the file to keep results in")
        places = {Path(place) for place in (self.run_directory, self.checkpoint_directory) if place is not None}
        if len(places) > 1:
            raise ConfigurationError(
                "run_directory and checkpoint_directory are two names for one place; set only run_directory"
            )

    def _check_store(self) -> None:
        name = self.store_name
        if holds_secrets(self.store_options):
            raise ConfigurationError(
                "TrainingConfig(store_options=...) is written to config.json and holds no keys: use pinecone_api_key, "
                "or the environment"
            )
        if name is None:
            self._check_no_store()
            return
        if name == "sqlite" and self.store_path is None:
            raise ConfigurationError("TrainingConfig(store='sqlite') needs store_path: the file to record runs in")
        given = next(each for each in ("store", *_PINECONE) if getattr(self, each) is not None)
        self._check_registered("store", name, given)

    def _check_no_store(self) -> None:
        """Refuse what has no meaning without a store."""
        asked = {"warm_start": self.warm_start == "store", "store_path": self.store_path is not None}
        asked |= {
            "store_options": bool(self.store_options),
            "store_training_vectors": bool(self.store_training_vectors),
        }
        for name, is_asked in asked.items():
            if is_asked and self.pinecone_api_key != _NO_KEY:
                value = getattr(self, name)
                shown = str(value) if isinstance(value, Path) else value
                raise ConfigurationError(
                    f"TrainingConfig({name}={shown!r}) needs a store: set store='sqlite' and store_path, on the "
                    "command line --store sqlite"
                )

    def _check_optimizer(self) -> None:
        """Refuse what the optimiser does not take, and would otherwise silently leave out."""
        try:
            make_optimizer(self.optimizer, options=self.optimizer_options)
        except ConfigurationError as error:
            raise ConfigurationError(f"TrainingConfig(optimizer_options=...): {error}") from None
        reason, settings = _USELESS.get(self.optimizer, ("", {}))
        for name, default in settings.items():
            if (value := getattr(self, name)) != default:
                raise ConfigurationError(
                    f"TrainingConfig({name}={value!r}): optimizer={self.optimizer!r} {reason}; leave it {default!r}, "
                    f"or use optimizer={_RATED}"
                )

    def _check_gradient_method(self) -> None:
        method = self.gradient_method
        if method not in SPSA_KINDS:
            self._check_registered("gradient_estimator", method, "gradient_method")
        if method == "rotosolve":
            raise ConfigurationError(
                "TrainingConfig(gradient_method='rotosolve'): it makes steps, not gradients; use optimizer='rotosolve'"
            )
        if self.optimizer == "spall" and not (method == "adaptive" or method.startswith("spsa")):
            raise ConfigurationError(
                f"TrainingConfig(gradient_method={method!r}): optimizer='spall' has the gains of SPSA; use "
                f"gradient_method='spsa', or optimizer={_RATED}"
            )


_PINECONE = ("pinecone_api_key", "pinecone_index_name")
_RATED = f"{', '.join(map(repr, RATED[:-1]))} or {RATED[-1]!r}"
_USELESS: dict[str, tuple[str, dict[str, Any]]] = {
    "spall": ("does not go by the learning rate", {"learning_rate_decay": 0.0}),
    "rotosolve": (
        "finds each step by circuits of its own",
        {"gradient_method": "adaptive", "gradient_options": {}, "learning_rate_decay": 0.0, "weight_decay": 0.0},
    ),
}
"""What optimisers have no use for, with the values that say nothing, and why."""


def _as_json(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return json.loads(json.dumps(dict(value)))  # tuples as lists, as a checkpoint gives them back
    if isinstance(value, Budget):
        return asdict(value)
    return value.item() if isinstance(value, np.generic) else value
