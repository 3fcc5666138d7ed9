"""The model: a circuit with parameters, and the observables that are its outputs."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from qstore_core.affine import AffineMap
from qstore_core.ansatz import Ansatz
from qstore_core.ansatz_choice import choose_ansatz, circuit_of
from qstore_core.array_input import data_array, float_array, parameter_indices
from qstore_core.arrays import BoolArray, FloatArray, all_finite
from qstore_core.backend import Backend, BackendCapabilities
from qstore_core.batch import CircuitBatch, estimated_values
from qstore_core.circuit import QuantumCircuit
from qstore_core.config import TrainingConfig
from qstore_core.encoding import Encoding, make_encoding
from qstore_core.errors import CapabilityError, ConfigurationError, DataError
from qstore_core.executor import Executor
from qstore_core.initialization import initial_parameters
from qstore_core.keywords import known_keywords
from qstore_core.lightcone import CircuitCost, Reduction, reduce_circuit, reduced_affine
from qstore_core.model_file import load_model, save_model
from qstore_core.preprocessing import FeatureScaler
from qstore_core.randomness import StepKey, fresh_seed
from qstore_core.readout import Observable, choose_readout

_ANY = BackendCapabilities(max_qubits=2**31)


class QuantumModel:
    """A variational circuit whose expectation values are the outputs.

    Args:
        input_dim: Columns of the inputs.
        n_qubits: Width of the circuit.
        output_dim: Number of outputs; for C classes C, or 1 for two classes.
        backend: Where `forward` runs; None: the trainer's.
        depth: Layers of trained gates.
        hardware_efficient: RY+RZ layers (2 parameters a qubit and layer), else RX+RY+RZ (3).
        entanglement: "linear", "circular", "full" or "hardware_aware".
        encoding: "angle" (input i, in radians, on qubit i mod n) or "zz".
        reuploading: Whether the encoding is repeated before every layer.
        ansatz: Instead of all that: a `QuantumCircuit` with `Feature`s and `Parameter`s, the name of a registered
            ansatz, an object with its `circuit` method, or another library's circuit that a plugin takes (a
            `qiskit.QuantumCircuit`, with the plugin `aer`). A circuit without features gets the encoding put before it;
            the features of one that has them are the columns of the inputs by name, numbers in it read as numbers, not
            in the order of the gates: with `Feature("width")` and `Feature("age")` column 0 is the age.
        readout: One observable for each output; None is `mean_z`.
        seed: For the initial parameters; None: the trainer's seed, or fresh.

    Raises:
        ConfigurationError: Sizes or names that are not permitted.
        CapabilityError: More qubits than the backend has.

    >>> model = QuantumModel(input_dim=4, n_qubits=4, output_dim=2, seed=1)
    >>> model.n_parameters, model.observables[0]
    (16, 0.5*Z0 + 0.5*Z2)
    """

    @known_keywords
    def __init__(
        self,
        input_dim: int,
        n_qubits: int,
        output_dim: int,
        backend: Backend | None = None,
        depth: int = 2,
        hardware_efficient: bool = True,
        entanglement: str = "linear",
        encoding: str = "angle",
        reuploading: bool = False,
        ansatz: object = None,
        readout: Sequence[Observable] | None = None,
        seed: int | None = None,
    ) -> None:
        sizes = {"input_dim": input_dim, "n_qubits": n_qubits, "output_dim": output_dim, "depth": depth}
        for name, value in sizes.items():
            if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
                raise ConfigurationError(f"QuantumModel({name}={value!r}): must be a whole number of at least 1")
        input_dim, n_qubits, output_dim, depth = (int(value) for value in sizes.values())
        if backend is not None and not isinstance(backend, Backend):
            raise ConfigurationError(
                f"backend is a Backend such as get_backend('mock'), not {type(backend).__name__} {backend!r:.40}"
            )
        capabilities = _ANY if backend is None else backend.capabilities
        if n_qubits > capabilities.max_qubits and backend is not None:
            raise CapabilityError(
                f"n_qubits={n_qubits}, and backend {backend.name!r} has at most {capabilities.widest}; use fewer "
                "qubits or another backend"
            )
        self.input_dim = input_dim
        self.n_qubits = n_qubits
        self.output_dim = output_dim
        self.backend = backend
        self.depth = depth
        self.seed = seed
        self.scaler: FeatureScaler | None = None
        self.regression = False  # what the labels were that it was trained on
        self._encoding = make_encoding(encoding, input_dim, n_qubits)
        chosen = choose_ansatz(
            ansatz,
            self._encoding,
            hardware_efficient=hardware_efficient,
            entanglement=entanglement,
            reuploading=reuploading,
        )
        own = getattr(chosen, "encoding", None)
        self._encoding = own if isinstance(own, Encoding) else self._encoding
        self.circuit = self._build(chosen, capabilities)
        self.observables = choose_readout(readout, n_qubits, output_dim)
        self._trainable = np.ones(self.n_parameters, dtype=bool)
        self._assigned = False
        self._parameters = np.empty(0)
        self.initialize(fresh_seed() if seed is None else seed)
        self._warn_of_lost_features()

    def __repr__(self) -> str:
        return (
            f"QuantumModel(input_dim={self.input_dim}, n_qubits={self.n_qubits}, output_dim={self.output_dim}, "
            f"{self.n_parameters} parameters, readout={list(self.observables)})"
        )

    @classmethod
    @known_keywords
    def from_config(
        cls, config: TrainingConfig, input_dim: int, output_dim: int, backend: Backend | None = None
    ) -> Self:
        """A model of the shape that a configuration describes.

        >>> QuantumModel.from_config(TrainingConfig(n_qubits=3, circuit_depth=1), 3, 1).n_parameters
        6
        """
        return cls(
            input_dim,
            config.n_qubits,
            output_dim,
            backend,
            depth=config.circuit_depth,
            hardware_efficient=config.hardware_efficient_ansatz,
            entanglement=config.entanglement,
            seed=config.seed,
        )

    def save(self, path: str | Path) -> None:
        """Write circuit, readout, parameters, scaler and kind of outputs to a file, whole or not at all; no backend.

        Raises:
            ModelFileError: The place cannot be written, or an ansatz brought an encoding of its own, which is code.
        """
        save_model(Path(path), self, self._encoding)

    @classmethod
    def load(cls, path: str | Path, backend: Backend | None = None) -> Self:
        """The model that `save` wrote to a file, on any backend.

        Raises:
            ModelFileError: There is none, it is of another version, or it is damaged.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     QuantumModel(2, 2, 1).save(f"{place}/model.npz")
        ...     QuantumModel.load(f"{place}/model.npz").n_parameters
        8
        """
        stored = load_model(Path(path))
        model = cls(backend=backend, **stored.arguments)
        model.parameters, model._trainable = stored.parameters, stored.trainable
        model.scaler, model.regression = stored.scaler, stored.regression
        return model

    @property
    def n_parameters(self) -> int:
        """The number of trained parameters."""
        return len(self.circuit.parameters)

    @property
    def parameters(self) -> FloatArray:
        """The parameters, `(n_parameters,)` float64, radians, in the order of `circuit.parameters`; assignable."""
        return self._parameters.copy()

    @parameters.setter
    def parameters(self, values: ArrayLike) -> None:
        array = np.array(values, dtype=np.float64)
        if array.shape != (self.n_parameters,) or not np.isfinite(array).all():
            raise ConfigurationError(
                f"parameters are {self.n_parameters} finite numbers, not an array of shape {array.shape}"
                + ("" if np.isfinite(array).all() else " with nan or inf in it")
            )
        self._parameters = array
        self._assigned = True

    @property
    def trainable(self) -> BoolArray:
        """Which parameters training moves, `(n_parameters,)`."""
        return self._trainable.copy()

    @property
    def active_parameters(self) -> BoolArray:
        """Which parameters can influence the outputs at all, `(n_parameters,)`; the others have gradient 0.

        RZ commutes with Z, and a chain of CNOTs makes Z words of Z words: the last layer of RZ never matters.

        >>> QuantumModel(input_dim=2, n_qubits=2, output_dim=1, depth=1).active_parameters
        array([ True, False,  True, False])
        """
        _, affine = self.reduced()
        return affine.parameters.used.copy()

    @property
    def n_features(self) -> int:
        """The features that the circuit takes."""
        return len(self.circuit.features)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the circuit and its readout: two models with one fingerprint can share parameters."""
        text = self.circuit.to_json() + repr(self.observables)
        return hashlib.sha256(text.encode()).hexdigest()

    def freeze_parameters(self, indices: Sequence[int]) -> None:
        """Keep these parameters as they are during training.

        >>> model = QuantumModel(2, 2, 1)
        >>> model.freeze_parameters([0, 1])
        >>> int(model.trainable.sum())
        6
        """
        self._trainable[parameter_indices(indices, self.n_parameters)] = False

    def unfreeze_all(self) -> None:
        """Let training move every parameter again."""
        self._trainable[:] = True

    def initialize(self, seed: int) -> None:
        """Draw the initial parameters anew from `seed`, near the identity so that the gradient survives depth."""
        self._parameters = initial_parameters(self.n_parameters, StepKey(seed, "initialize").generator("parameters"))
        self._assigned = False

    def initialize_unless_chosen(self, seed: int) -> None:
        """`initialize`, unless the model was given a seed or parameters of its own."""
        if self.seed is None and not self._assigned:
            self.initialize(seed)

    def check_inputs(self, x: ArrayLike) -> FloatArray:
        """`x` as `(n_rows, input_dim)` float64.

        Raises:
            DataError: Another number of columns, no rows, or values that are not finite numbers.
        """
        inputs = float_array("inputs", x)
        if inputs.ndim not in (1, 2) or inputs.shape[-1] != self.input_dim:
            raise DataError(
                f"inputs need shape (n_samples, {self.input_dim}), the model's input_dim, not {inputs.shape}"
            )
        if not inputs.size:
            raise DataError("there are no samples in the inputs")
        if not all_finite(inputs):
            row = int(np.argwhere(~np.isfinite(np.atleast_2d(inputs)))[0, 0])
            raise DataError(f"inputs must be finite; row {row} holds nan or inf: drop or fill it first")
        return np.atleast_2d(inputs)

    def encode(self, x: ArrayLike) -> FloatArray:
        """The features of inputs `(n_rows, input_dim)`: `(n_rows, n_features)`."""
        return self._encoding.encode(self.check_inputs(x))

    async def forward(self, x: ArrayLike, shots: int | None = None) -> FloatArray:
        """The outputs, in [-1, 1] with the default readout.

        Args:
            x: `(input_dim,)` or `(n_rows, input_dim)`, angles in radians as they come.
            shots: Shots of each circuit; None for exact.

        Returns:
            `(output_dim,)` or `(n_rows, output_dim)`.

        >>> import asyncio
        >>> from qstore_core import get_backend
        >>> model = QuantumModel(2, 2, 1, backend=get_backend("mock"))
        >>> asyncio.run(model.forward([[0.1, 0.2], [0.3, 0.4]])).shape
        (2, 1)
        """
        outputs = await self.run(Executor(self._own_backend()), x, shots=shots, key=StepKey(fresh_seed(), "forward"))
        return outputs[0] if np.ndim(x) == 1 else outputs

    async def predict(self, x: ArrayLike, shots: int | None = None) -> Any:
        """`meaning_of` the outputs for inputs as they were given to `fit`: scaled first when the model has a scaler."""
        inputs = x if self.scaler is None else self.scaler.transform(np.atleast_2d(data_array("inputs", x)))
        return self.meaning_of(np.atleast_2d(await self.forward(inputs, shots)))

    def meaning_of(self, outputs: FloatArray) -> Any:
        """What rows of outputs say: class labels, or after training on target values those values.

        Returns:
            `(n_rows,)`, or `(n_rows, output_dim)` for several target values.
        """
        if not self.regression:
            return self.classes_of(outputs)
        return outputs[:, 0] if self.output_dim == 1 else outputs

    def classes_of(self, outputs: FloatArray) -> Any:
        """The class that each row of outputs means: the largest, or with one output 1 where it is above 0."""
        return (outputs[:, 0] > 0).astype(np.int64) if self.output_dim == 1 else outputs.argmax(axis=1)

    async def run(
        self, executor: Executor, x: ArrayLike, *, shots: int | None, key: StepKey, reduce: str = "auto"
    ) -> FloatArray:
        """The outputs `(n_rows, output_dim)` with a given executor and randomness, and `reduce` as in `reduced`."""
        features = self.encode(x)
        reduction, affine = self.reduced(reduce)
        angles = affine.angles(features, self._parameters, len(features))
        draws = None if shots is None else key.draws(sample=np.arange(len(features)))
        batch = CircuitBatch(reduction.structure, angles, reduction.observables, shots, draws)
        (result,) = await executor.run((batch,), label=f"{key.stage}, after step {key.step}")
        return estimated_values(batch, result)

    def reduced(self, reduce: str = "auto") -> tuple[Reduction, AffineMap]:
        """The circuit and the observables that run in place of the model's own, and how the angles come about.

        Args:
            reduce: "auto": without gates that cannot influence the outputs, and with tails of Clifford gates moved into
                the observables. "light_cone": the first alone. "none": every gate as it is.

        >>> reduction, affine = QuantumModel(input_dim=2, n_qubits=2, output_dim=1, depth=1).reduced()
        >>> len(reduction.original.gates), len(reduction.structure.gates), reduction.observables
        (7, 4, (0.5*Z0 + 0.5*Z0 Z1,))
        """
        reduction = reduce_circuit(self.circuit.structure, self.observables, reduce)
        return reduction, reduced_affine(self.circuit.affine, reduction)

    def circuit_cost(self, reduce: str = "auto") -> CircuitCost:
        """What one evaluation takes, as the circuit is written and as it runs; `reduce` as in `reduced`.

        >>> cost = QuantumModel(input_dim=4, n_qubits=4, output_dim=1).circuit_cost()
        >>> cost.before.two_qubit_gates, cost.after.two_qubit_gates
        (6, 3)
        """
        return CircuitCost.of(self.reduced(reduce)[0], self.circuit.affine)

    def _own_backend(self) -> Backend:
        if self.backend is None:
            raise ConfigurationError(
                "this model has no backend yet: train it, or set model.backend = get_backend('mock')"
            )
        return self.backend

    def _build(self, ansatz: QuantumCircuit | Ansatz, capabilities: BackendCapabilities) -> QuantumCircuit:
        n_features = self._encoding.n_features
        if self._encoding.input_dim != self.input_dim:
            raise ConfigurationError(
                f"the ansatz takes {self._encoding.input_dim} inputs and the model input_dim={self.input_dim}"
            )
        if isinstance(ansatz, QuantumCircuit):
            circuit = ansatz
        else:
            circuit = circuit_of(ansatz, self.n_qubits, self.depth, n_features, capabilities)
        if circuit.n_qubits != self.n_qubits:
            raise ConfigurationError(f"the ansatz has {circuit.n_qubits} qubits and the model n_qubits={self.n_qubits}")
        if not circuit.features:
            circuit = self._encoding.circuit().compose(circuit)
        if len(circuit.features) != n_features:
            raise ConfigurationError(
                f"the ansatz takes {len(circuit.features)} features and the encoding makes {n_features} of "
                f"input_dim={self.input_dim}"
            )
        return circuit

    def _warn_of_lost_features(self) -> None:
        _, affine = self.reduced()
        inputs = np.linspace(0.1, 1.1, self.input_dim)  # each is changed in a row of its own, by some amount
        encoded = self._encoding.encode(inputs + np.vstack([np.zeros(self.input_dim), 0.7 * np.eye(self.input_dim)]))
        seen = (encoded[1:] != encoded[0])[:, affine.features.used].any(axis=1)
        if not seen.all():
            warnings.warn(
                f"input feature(s) {np.flatnonzero(~seen).tolist()} cannot influence the output: no gate that the "
                "readout sees depends on them; use more layers or another readout",
                stacklevel=3,
            )
