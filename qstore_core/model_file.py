"""Models in files: the circuit as it was built, its readout, parameters and scaler, for predictions elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from qstore_core.archive import Archive
from qstore_core.arrays import BoolArray, FloatArray
from qstore_core.circuit import QuantumCircuit
from qstore_core.encoding import ENCODINGS, Encoding, make_encoding
from qstore_core.errors import ModelFileError, RunDirectoryError
from qstore_core.observables import PauliString, PauliSum
from qstore_core.preprocessing import FeatureScaler

_FILES = Archive("model", "qstore-model-1", ModelFileError, "save it again")
_SIZES = ("input_dim", "n_qubits", "output_dim", "depth")


class Storable(Protocol):
    """What is stored of a model."""

    input_dim: int
    n_qubits: int
    output_dim: int
    depth: int
    seed: int | None
    circuit: QuantumCircuit
    observables: tuple[PauliSum, ...]
    scaler: FeatureScaler | None
    regression: bool

    @property
    def parameters(self) -> FloatArray:
        """The parameters."""
        ...

    @property
    def trainable(self) -> BoolArray:
        """Which of them training moves."""
        ...


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class StoredModel:
    """What a file holds.

    Attributes:
        arguments: What the model's class takes.
        parameters: The parameters.
        trainable: Which of them training moves.
        scaler: What makes angles of inputs, if anything does.
        regression: Whether the outputs are values rather than classes.
    """

    arguments: Mapping[str, Any]
    parameters: FloatArray
    trainable: BoolArray
    scaler: FeatureScaler | None
    regression: bool


def save_model(path: Path, model: Storable, encoding: Encoding) -> None:
    """Write a model whose inputs `encoding` makes features of.

    Raises:
        ModelFileError: The place cannot be written, or the encoding is none of qstore's.
    """
    values = {
        **{name: getattr(model, name) for name in _SIZES},
        "seed": None if model.seed is None else int(model.seed),
        "encoding": _name(encoding, model),
        "circuit": model.circuit.to_json(),
        "readout": [[[term.letters, term.coefficient] for term in each.terms] for each in model.observables],
        "parameters": model.parameters,
        "trainable": model.trainable,
        "scaler": None if model.scaler is None else model.scaler.to_arrays(),
        "regression": model.regression,
    }
    try:
        _FILES.write(path, values)
    except RunDirectoryError as error:
        raise ModelFileError(str(error)) from error


def load_model(path: Path) -> StoredModel:
    """Read a model.

    Raises:
        ModelFileError: There is none, it is of another version, or it is damaged.
    """
    return _FILES.read(path, _stored)


def _name(encoding: Encoding, model: Storable) -> str:
    for name, kind in ENCODINGS.items():
        if type(encoding) is kind and encoding == make_encoding(name, model.input_dim, model.n_qubits):
            return name
    raise ModelFileError(
        f"a model whose inputs are encoded by {type(encoding).__name__} cannot be stored, because that is code of its "
        "own: keep model.parameters with numpy.save, build the same model anew where it is used, and assign them"
    )


def _stored(values: Any) -> StoredModel:
    circuit = QuantumCircuit.from_json(values["circuit"])
    parameters = np.asarray(values["parameters"], dtype=np.float64)
    trainable = np.asarray(values["trainable"], dtype=bool)
    if not parameters.shape == trainable.shape == (len(circuit.parameters),):
        raise ValueError(f"{parameters.shape} parameters for a circuit of {len(circuit.parameters)}")
    arguments = {name: values[name] for name in (*_SIZES, "seed", "encoding")}
    readout = [PauliSum(PauliString(map(tuple, word), weight) for word, weight in each) for each in values["readout"]]
    return StoredModel(
        arguments={**arguments, "ansatz": circuit, "readout": readout},
        parameters=parameters,
        trainable=trainable,
        scaler=None if values["scaler"] is None else FeatureScaler.from_arrays(values["scaler"]),
        regression=bool(values["regression"]),
    )
