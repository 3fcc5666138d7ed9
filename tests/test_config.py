"""The settings of a run: defaults, checks, secrets, and what is refused because it is not built yet."""

from __future__ import annotations

import json
import re
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pytest

from qstore_core import registry
from qstore_core.config import TrainingConfig
from qstore_core.cost import Budget
from qstore_core.errors import ConfigurationError, UnknownNameError
from qstore_core.registry import Registry

DEFAULTS = {
    "learning_rate": 0.01,
    "learning_rate_decay": 0.0,
    "batch_size": 32,
    "epochs": 100,
    "n_qubits": 10,
    "circuit_depth": 4,
    "entanglement": "linear",
    "optimizer": "adam",
    "optimizer_options": {},
    "parameter_averaging": 0.0,
    "gradient_method": "adaptive",
    "gradient_options": {},
    "momentum": 0.9,
    "weight_decay": 0.0,
    "shots_per_circuit": 1000,
    "max_concurrent_circuits": 5,
    "use_gradient_clipping": True,
    "gradient_clip_value": 1.0,
    "checkpoint_interval": 10,
    "checkpoint_directory": None,
    "log_interval": 10,
    "enable_circuit_cache": True,
    "enable_batch_execution": True,
    "hardware_efficient_ansatz": True,
    "cache_size": 1000,
    "batch_timeout": 60.0,
    "max_job_attempts": 3,
    "spsa_c_initial": 0.1,
    "spsa_a_initial": 0.01,
    "gradient_subsample_size": 5,
    "enable_performance_tracking": True,
    "performance_log_dir": None,
    "quantum_sdk": "mock",
    "quantum_api_key": None,
    "quantum_target": "simulator",
    "pinecone_api_key": None,
    "pinecone_environment": "us-east-1",
    "pinecone_index_name": None,
    "store": None,
    "store_path": None,
    "store_options": {},
    "store_training_vectors": None,
    "cache": "memory",
    "cache_path": None,
    "loss": None,
    "seed": None,
    "budget": None,
    "run_directory": None,
    "warm_start": None,
    "reduce": "auto",
}
POSITIVE = "a number above 0"
WHOLE = "a whole number of at least 1"
FLAG = "True or False"
PLACE = "a path or None"
SHOTS = f"{WHOLE}, or None for exact expectation values, and at most 1,000,000,000"
WRONG: list[tuple[str, list[Any], str]] = [
    ("learning_rate", [0, -0.1, float("nan"), float("inf"), "0.1", True, None], POSITIVE),
    ("learning_rate_decay", [-0.1, None, float("inf")], "a number of at least 0"),
    ("optimizer_options", [None, ["amsgrad"], {"beta1": {0.9}}], "a dict of JSON values by option name"),
    ("parameter_averaging", [1.0, -0.1, None, True], "a number from 0 to below 1"),
    ("batch_size", [0, -1, 2.0, "8", True, None], WHOLE),
    ("epochs", [-1, 1.5, None], "a whole number of at least 0"),
    ("n_qubits", [0, 2.5], WHOLE),
    ("circuit_depth", [0, None], WHOLE),
    ("entanglement", [3, ["linear"], None], "a name"),
    ("optimizer", [None, {"adam"}], "a name"),
    ("gradient_method", [None, ["spsa"]], "a name"),
    ("momentum", [1.0, -0.1], "a number from 0 to below 1"),
    ("weight_decay", [-0.1, None], "a number of at least 0"),
    ("shots_per_circuit", [0, -5, 10.0, "100", 10**9 + 1, 10**20], SHOTS),
    ("max_concurrent_circuits", [0], WHOLE),
    ("use_gradient_clipping", [1, "yes", None], FLAG),
    ("gradient_clip_value", [0.0], POSITIVE),
    ("checkpoint_interval", [0], WHOLE),
    ("checkpoint_directory", [7, ""], PLACE),
    ("log_interval", [0], WHOLE),
    ("enable_circuit_cache", [0], FLAG),
    ("enable_batch_execution", ["no"], FLAG),
    ("hardware_efficient_ansatz", [2], FLAG),
    ("cache_size", [0], WHOLE),
    ("batch_timeout", [0], POSITIVE),
    ("spsa_c_initial", [0], POSITIVE),
    ("spsa_a_initial", [-1], POSITIVE),
    ("gradient_subsample_size", [0], WHOLE),
    ("enable_performance_tracking", [None], FLAG),
    ("performance_log_dir", [True], PLACE),
    ("quantum_sdk", [None], "a name"),
    ("quantum_target", [1], "a name"),
    ("run_directory", [b"run", "", " "], PLACE),
    ("warm_start", ["earlier", True, 1], "'simulator', 'store' or None"),
    ("store", [3, ["sqlite"]], "a name or None"),
    ("store_path", [3, ""], PLACE),
    ("store_options", [None, {"a": {1}}], "a dict of JSON values by option name"),
    ("store_training_vectors", [1, "yes"], "True, False or None"),
    ("pinecone_environment", [None], "a name"),
    ("pinecone_index_name", [3], "a name or None"),
    ("loss", [3], "a name, a function or None"),
    ("cache", [None], "a name"),
    ("cache_path", [3], PLACE),
    ("seed", [-1, 1.5, "1"], "a whole number of at least 0 or None"),
    ("budget", [5.0], "a Budget or None"),
    ("reduce", [None, True, ["auto"]], "a name"),
]


def test_the_defaults_are_those_of_the_contract() -> None:
    config = TrainingConfig()
    assert {entry.name: getattr(config, entry.name) for entry in fields(config)} == DEFAULTS


def test_configurations_of_v3_2_keep_working() -> None:
    config = TrainingConfig(learning_rate=0.01, n_qubits=10, circuit_depth=4)
    assert config == TrainingConfig()


def test_it_is_frozen_and_takes_keywords_only() -> None:
    with pytest.raises(FrozenInstanceError):
        TrainingConfig().epochs = 3  # type: ignore[misc]
    with pytest.raises(TypeError, match="positional argument"):
        TrainingConfig(0.01)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("name", "value", "permitted"), [(n, value, words) for n, values, words in WRONG for value in values]
)
def test_a_wrong_value_is_refused_with_field_value_and_what_is_permitted(name: str, value: Any, permitted: str) -> None:
    message = f"TrainingConfig({name}={value!r}): must be {permitted}"
    with pytest.raises(ConfigurationError, match=re.escape(message) + "$"):
        TrainingConfig(**{name: value})


@pytest.mark.parametrize(
    ("name", "value", "known"),
    [
        ("entanglement", "ring", "circular, full, hardware_aware, linear"),
        ("optimizer", "adamm", "adam, momentum, rotosolve, sgd, spall"),
        ("loss", "hinge", "cross_entropy, mse"),
        ("reduce", "lightcone", "auto, light_cone, none"),
    ],
)
def test_an_unknown_name_is_refused_with_the_field_and_the_known_names(name: str, value: str, known: str) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown TrainingConfig {name} '{value}'.*Known: {known}"):
        TrainingConfig(**{name: value})  # type: ignore[arg-type]


def test_an_unknown_loss_says_that_a_function_would_do() -> None:
    with pytest.raises(UnknownNameError, match=r"Known: cross_entropy, mse\. Or give a function \(outputs, targets\)"):
        TrainingConfig(loss="hinge")


class TestStore:
    @pytest.mark.parametrize(
        ("values", "shown"),
        [
            ({"pinecone_api_key": "hush"}, r"pinecone_api_key=\.\.\."),
            ({"pinecone_index_name": "runs"}, "pinecone_index_name='runs'"),
            ({"store": "pinecone"}, "store='pinecone'"),
        ],
    )
    def test_without_the_plugin_pinecone_says_what_to_install(
        self, values: dict[str, Any], shown: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(registry, "_default", Registry(lambda: ()))
        advice = r"unknown store 'pinecone'.* To install 'pinecone': pip install \./plugins/qstore_pinecone"
        with pytest.raises(ConfigurationError, match=rf"TrainingConfig\({shown}\): {advice}") as refused:
            TrainingConfig(**values)
        assert "hush" not in str(refused.value)

    def test_an_unknown_store_is_refused_with_the_known_ones(self) -> None:
        with pytest.raises(UnknownNameError, match=r"\(store='sqlight'\): unknown store.*did you mean 'sqlite'"):
            TrainingConfig(store="sqlight")

    def test_a_store_in_a_file_needs_to_know_which(self) -> None:
        with pytest.raises(
            ConfigurationError, match=r"\(store='sqlite'\) needs store_path: the file to record runs in"
        ):
            TrainingConfig(store="sqlite")

    @pytest.mark.parametrize(
        "values",
        [{"warm_start": "store"}, {"store_path": "a"}, {"store_options": {"a": 1}}, {"store_training_vectors": True}],
        ids=repr,
    )
    def test_what_needs_a_store_says_so(self, values: dict[str, Any]) -> None:
        with pytest.raises(ConfigurationError, match=r"needs a store: set store='sqlite' and store_path"):
            TrainingConfig(**values)

    @pytest.mark.parametrize(
        ("values", "store", "vectors"),
        [
            ({}, None, False),
            ({"pinecone_api_key": "k"}, "pinecone", True),
            ({"pinecone_api_key": "k", "store_training_vectors": False}, "pinecone", False),
            ({"pinecone_index_name": "runs"}, "pinecone", False),
            ({"pinecone_api_key": "mock-key", "pinecone_index_name": "runs"}, None, False),
            ({"store": "sqlite", "store_path": "a"}, "sqlite", False),
            ({"store": "sqlite", "store_path": "a", "pinecone_api_key": "k"}, "sqlite", False),
            ({"store": "sqlite", "store_path": "a", "store_training_vectors": True}, "sqlite", True),
        ],
    )
    def test_the_fields_of_v3_2_mean_pinecone(self, values: dict[str, Any], store: str | None, vectors: bool) -> None:
        config = TrainingConfig(**values)
        assert (config.store_name, config.keeps_training_vectors) == (store, vectors)


@pytest.mark.parametrize(
    "values",
    [
        {"shots_per_circuit": None},
        {"epochs": 0},
        {"momentum": 0.0},
        {"weight_decay": 0},
        {"learning_rate": 1},
        {"seed": 0},
        {"seed": 2**80},
        {"loss": len},
        {"run_directory": Path("runs")},
        {"batch_size": np.int64(4), "learning_rate": np.float32(0.5)},
    ],
    ids=repr,
)
def test_the_edges_of_what_is_permitted(values: dict[str, Any]) -> None:
    config = TrainingConfig(**values)
    assert {name: getattr(config, name) for name in values} == values


class TestOptimizers:
    @pytest.mark.parametrize(
        ("values", "message"),
        [
            (
                {"optimizer_options": {"amsgard": 1}},
                "(optimizer_options=...): optimizer 'adam' has no option 'amsgard'",
            ),
            (
                {"optimizer_options": {"beta1": 2}},
                "(optimizer_options=...): beta1 is a number from 0 to below 1, not 2",
            ),
            (
                {"optimizer": "spall", "learning_rate_decay": 0.1},
                "(learning_rate_decay=0.1): optimizer='spall' does not go by the learning rate; leave it 0.0, or "
                "use optimizer='adam', 'momentum' or 'sgd'",
            ),
            (
                {"optimizer": "spall", "gradient_method": "parameter_shift"},
                "(gradient_method='parameter_shift'): optimizer='spall' has the gains of SPSA; use "
                "gradient_method='spsa', or optimizer='adam', 'momentum' or 'sgd'",
            ),
            (
                {"optimizer": "rotosolve", "gradient_method": "spsa"},
                "(gradient_method='spsa'): optimizer='rotosolve' finds each step by circuits of its own; leave it "
                "'adaptive', or use optimizer='adam', 'momentum' or 'sgd'",
            ),
            (
                {"optimizer": "rotosolve", "gradient_options": {"c": 1}},
                "(gradient_options={'c': 1}): optimizer='rotoso",
            ),
            ({"optimizer": "rotosolve", "weight_decay": 0.1}, "(weight_decay=0.1): optimizer='rotosolve' finds each"),
            ({"optimizer": "rotosolve", "learning_rate_decay": 0.1}, "(learning_rate_decay=0.1): optimizer='rotosolve"),
            (
                {"optimizer": "rotosolve", "optimizer_options": {"a": 1}},
                "(optimizer_options=...): optimizer 'rotosolve'",
            ),
            (
                {"gradient_method": "rotosolve"},
                "(gradient_method='rotosolve'): it makes steps, not gradients; use optim",
            ),
        ],
    )
    def test_what_an_optimizer_would_leave_out_is_refused(self, values: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigurationError, match=re.escape("TrainingConfig" + message)):
            TrainingConfig(**values)

    @pytest.mark.parametrize("method", ["adaptive", "spsa", "spsa_parallel", "spsa_subsampled"])
    def test_spall_goes_with_every_kind_of_spsa(self, method: str) -> None:
        assert TrainingConfig(optimizer="spall", gradient_method=method).gradient_method == method


class TestSecrets:
    def test_nor_is_one_of_the_wrong_type(self) -> None:
        with pytest.raises(ConfigurationError, match=r"pinecone_api_key=\.\.\.\): must be a name or None") as refused:
            TrainingConfig(pinecone_api_key=b"hush-hush")  # type: ignore[arg-type]
        assert "hush" not in str(refused.value)

    def test_a_key_is_not_shown(self) -> None:
        config = TrainingConfig(quantum_api_key="hush-hush")
        assert config.quantum_api_key == "hush-hush"
        assert "hush" not in repr(config)
        assert "hush" not in str(config.to_dict())
        assert not {"quantum_api_key", "pinecone_api_key"} & set(config.to_dict())


class TestToDict:
    def test_it_has_every_setting_but_the_secrets(self) -> None:
        assert set(TrainingConfig().to_dict()) == set(DEFAULTS) - {"quantum_api_key", "pinecone_api_key"}

    def test_it_is_json(self) -> None:
        config = TrainingConfig(
            run_directory=Path("runs") / "a",
            epochs=np.int64(3),
            learning_rate=np.float32(0.5),
            budget=Budget(usd=5.0, circuits=100),
        )
        document = json.loads(json.dumps(config.to_dict()))
        assert document["run_directory"] == str(Path("runs") / "a")
        assert (document["epochs"], document["learning_rate"]) == (3, 0.5)
        assert document["budget"] == {"usd": 5.0, "circuits": 100, "shots": None, "jobs": None, "seconds": None}

    def test_options_are_as_a_checkpoint_gives_them_back(self) -> None:
        config = TrainingConfig(gradient_options={"steps": ((0, "spsa"),)})
        assert config.to_dict()["gradient_options"] == {"steps": [[0, "spsa"]]}

    def test_a_function_is_named(self) -> None:
        assert TrainingConfig(loss=max).to_dict()["loss"] == "function max"

    def test_a_loss_that_cannot_be_copied_is_named_too(self) -> None:
        class Locked:
            def __init__(self) -> None:
                self.lock = Lock()

            def __call__(self, outputs: Any, targets: Any) -> float:
                return 0.0

        assert TrainingConfig(loss=Locked()).to_dict()["loss"] == "function Locked"


def test_a_cache_in_a_file_needs_to_know_which() -> None:
    with pytest.raises(ConfigurationError, match=r"\(cache='sqlite'\) needs cache_path: the file to keep results in"):
        TrainingConfig(cache="sqlite")
    assert TrainingConfig(cache="sqlite", cache_path="results.sqlite").cache_path == "results.sqlite"


class TestDirectory:
    def test_it_goes_by_either_name(self, tmp_path: Path) -> None:
        assert TrainingConfig().directory is None
        assert TrainingConfig(run_directory=tmp_path).directory == tmp_path
        assert TrainingConfig(checkpoint_directory=str(tmp_path)).directory == tmp_path
        assert TrainingConfig(run_directory=str(tmp_path), checkpoint_directory=tmp_path).directory == tmp_path

    def test_two_different_places_are_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="two names for one place; set only run_directory"):
            TrainingConfig(run_directory="a", checkpoint_directory="b")


@pytest.mark.parametrize(
    ("sdk", "target", "backend"),
    [
        ("mock", "simulator", "mock"),
        ("ionq", "simulator", "ionq.simulator"),
        ("ionq", "qpu.forte-1", "ionq.qpu"),
        ("ionq.qpu", "simulator", "ionq.qpu"),
        ("aer", "anything", "aer"),
    ],
)
def test_sdk_and_target_mean_a_backend(sdk: str, target: str, backend: str) -> None:
    assert TrainingConfig(quantum_sdk=sdk, quantum_target=target).backend_name == backend
