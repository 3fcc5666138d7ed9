"""Models in files: what is loaded is what was saved, in another process too, and a file is whole or refused."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_runs import X, Y, settings

from qstore_core.angles import Feature, Parameter
from qstore_core.arrays import FloatArray
from qstore_core.circuit import QuantumCircuit
from qstore_core.encoding import AngleEncoding
from qstore_core.errors import CapabilityError, ConfigurationError, ModelFileError
from qstore_core.model import QuantumModel
from qstore_core.observables import PauliString
from qstore_core.registry import get_backend
from qstore_core.trainer import QuantumTrainer

CIRCUIT = QuantumCircuit(2).ry(0, Feature("a")).ry(1, 0.3 * Feature("b") + Parameter("θ")).cnot(0, 1).rx(1, 0.1)
SUMS = [PauliString("Z0 Z1", 1 / 3) + 0.1 * PauliString("X0"), PauliString("Y1")]
MODELS: dict[str, dict[str, Any]] = {
    "default": {},
    "shaped": {"depth": 3, "hardware_efficient": False, "entanglement": "circular", "reuploading": True},
    "zz": {"encoding": "zz"},
    "a circuit": {"ansatz": CIRCUIT, "depth": 5},
    "a circuit without features": {"ansatz": QuantumCircuit(2).ry(0, Parameter("t")).cnot(0, 1)},
    "a name": {"ansatz": "rotations"},
    "a readout": {"readout": SUMS},
    "a seed": {"seed": np.int64(3)},
}
PROGRAM = """
import sys
import numpy as np
from qstore_core import QuantumModel, QuantumTrainer, TrainingConfig

model = QuantumModel.load(sys.argv[1])
found = QuantumTrainer(TrainingConfig(shots_per_circuit=None)).predict(model, np.load(sys.argv[2]))
np.save(sys.argv[3], found)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.npz"


def fitted(y: Any = Y, **changes: Any) -> QuantumModel:
    model = QuantumModel(**({"input_dim": 2, "n_qubits": 2, "output_dim": 2} | changes))
    QuantumTrainer(settings()).fit(model, X * 7 + 1, y)
    return model


def outputs(model: QuantumModel) -> FloatArray:
    return QuantumTrainer(settings()).outputs(model, X * 7 + 1)


@pytest.mark.parametrize("changes", MODELS.values(), ids=list(MODELS))
def test_what_is_loaded_gives_the_same_outputs(changes: dict[str, Any], path: Path) -> None:
    model = fitted(**changes)
    model.save(path)
    loaded = QuantumModel.load(str(path))
    np.testing.assert_array_equal(outputs(loaded), outputs(model))
    assert (loaded.circuit, loaded.observables) == (model.circuit, model.observables)
    assert (loaded.fingerprint, loaded.depth, loaded.seed) == (model.fingerprint, model.depth, model.seed)


def test_everything_else_of_it_comes_back(path: Path) -> None:
    model = fitted()
    model.freeze_parameters([0, 3])
    model.save(path)
    loaded = QuantumModel.load(path)
    np.testing.assert_array_equal(loaded.parameters, model.parameters)
    np.testing.assert_array_equal(loaded.trainable, model.trainable)
    assert loaded.backend is None
    assert not loaded.regression
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_model_without_a_scaler_takes_angles(path: Path) -> None:
    model = QuantumModel(2, 2, 1, get_backend("mock"), seed=1)
    model.save(path)
    loaded = QuantumModel.load(path, get_backend("mock"))
    assert loaded.scaler is None
    np.testing.assert_array_equal(asyncio.run(loaded.forward(X)), asyncio.run(model.forward(X)))


@pytest.mark.parametrize("y", [Y, np.where(Y, 0.5, -0.25)], ids=["classes", "values"])
def test_it_predicts_in_another_process(y: Any, tmp_path: Path, path: Path) -> None:
    model = fitted(y, output_dim=1)
    model.save(path)
    np.save(tmp_path / "x.npy", X)
    found = tmp_path / "found.npy"
    subprocess.run([sys.executable, "-W", "error", "-c", PROGRAM, path, tmp_path / "x.npy", found], check=True)
    wanted = QuantumTrainer(settings()).predict(model, X)
    np.testing.assert_array_equal(np.load(found), wanted)
    assert np.load(found).dtype == wanted.dtype


def test_training_goes_on_from_its_parameters(path: Path) -> None:
    model = fitted()
    model.save(path)
    loaded = QuantumModel.load(path)
    for each in (model, loaded):
        QuantumTrainer(settings()).fit(each, X * 7 + 1, Y)
    np.testing.assert_array_equal(loaded.parameters, model.parameters)


def test_a_backend_that_is_too_small_is_told(path: Path) -> None:
    QuantumModel(2, 4, 1).save(path)
    with pytest.raises(CapabilityError, match="n_qubits=4, and backend 'mock' has at most"):
        QuantumModel.load(path, get_backend("mock", memory_bytes=2**9))
    with pytest.raises(ConfigurationError, match="backend is a Backend such as"):
        QuantumModel.load(path, "mock")  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Halved(AngleEncoding):
    def encode(self, inputs: FloatArray) -> FloatArray:
        return inputs / 2


def test_an_ansatz_with_an_encoding_of_its_own_is_not_stored(path: Path) -> None:
    class Own:
        encoding = Halved(2, 2)

        def circuit(self, *_: object) -> QuantumCircuit:
            return CIRCUIT

    with pytest.raises(ModelFileError, match=r"encoded by Halved cannot be stored, .*: keep model.parameters with"):
        QuantumModel(2, 2, 1, ansatz=Own()).save(path)
    assert not path.exists()


class TestRefusals:
    def test_a_place_that_cannot_be_written_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(ModelFileError, match=r"cannot write .*none.model.npz: No such file or directory"):
            QuantumModel(2, 2, 1).save(tmp_path / "none" / "model.npz")

    def test_a_missing_file_is_told(self, path: Path) -> None:
        with pytest.raises(ModelFileError, match=r"there is no model at .*model.npz$"):
            QuantumModel.load(path)

    def test_every_truncation_is_noticed(self, path: Path) -> None:
        QuantumModel(2, 2, 1).save(path)
        whole = path.read_bytes()
        for length in range(0, len(whole), 29):
            path.write_bytes(whole[:length])
            with pytest.raises(ModelFileError, match=r"model.npz is damaged .*; save it again"):
                QuantumModel.load(path)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("circuit", "{}"),
            ("circuit", 5),
            ("parameters", {"list": [0.5]}),
            ("readout", {"list": [3]}),
            ("readout", {"list": [{"list": [{"list": [{"list": []}, "x"]}]}]}),
            ("scaler", {"dict": {}}),
            ("scaler", 3),
        ],
        ids=["circuit", "no text", "parameters", "readout", "weight", "scaler", "no scaler"],
    )
    def test_content_that_cannot_be_is_damage(self, path: Path, name: str, value: Any) -> None:
        QuantumModel(2, 2, 1).save(path)
        document = self.header(path)
        document["model"]["dict"][name] = value
        self.rewrite(path, document)
        with pytest.raises(ModelFileError, match=r"model.npz is damaged"):
            QuantumModel.load(path)

    def test_another_version_or_kind_is_told_apart_from_damage(self, path: Path) -> None:
        QuantumModel(2, 2, 1).save(path)
        self.rewrite(path, {**self.header(path), "format": "qstore-model-2"})
        with pytest.raises(ModelFileError, match="another version: 'qstore-model-2', not 'qstore-model-1'"):
            QuantumModel.load(path)
        model = QuantumModel(2, 2, 2)
        QuantumTrainer(settings(run_directory=path.parent / "run")).fit(model, X, Y, epochs=0)
        with pytest.raises(ModelFileError, match="'qstore-checkpoint-1', not 'qstore-model-1'"):
            QuantumModel.load(path.parent / "run" / "checkpoint.npz")

    def header(self, path: Path) -> dict[str, Any]:
        with np.load(path) as stored:
            found: dict[str, Any] = json.loads(stored["header"].tobytes())
        return found

    def rewrite(self, path: Path, document: dict[str, Any]) -> None:
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in stored.files if name != "header"}
        np.savez(path, header=np.frombuffer(json.dumps(document).encode(), dtype=np.uint8), **arrays)
