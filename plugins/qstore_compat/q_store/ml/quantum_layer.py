"""Q-Store's layers: a block of trained gates whose outputs are the expectation values of every qubit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from q_store.backends.circuits import GateType, QuantumCircuit, QuantumGate
from q_store.changes import changed
from q_store.ml.convolution import QuantumConvolutionalLayer, QuantumPoolingLayer
from q_store.ml.live_model import LiveModel, Trained
from qstore_core.array_input import parameter_indices
from qstore_core.arrays import FloatArray
from qstore_core.errors import ConfigurationError, UnknownNameError

__all__ = [
    "HardwareEfficientQuantumLayer",
    "LayerConfig",
    "QuantumConvolutionalLayer",
    "QuantumLayer",
    "QuantumPoolingLayer",
]

_BASES = {"computational": "Z", "hadamard": "X"}


@dataclass
class LayerConfig:
    """The shape of a layer.

    >>> QuantumLayer(n_qubits=2, depth=1).get_config().entanglement
    'linear'
    """

    n_qubits: int
    depth: int
    entanglement: str = "linear"
    measurement_basis: str = "computational"
    trainable: bool = True


class _Layer(Trained):
    """What both layers share."""

    hardware_efficient: ClassVar[bool]

    def __init__(
        self,
        n_qubits: int,
        depth: int,
        backend: object = None,
        *,
        entanglement: str = "linear",
        measurement_basis: str = "computational",
        input_dim: int | None = None,
    ) -> None:
        if measurement_basis not in _BASES:
            raise UnknownNameError.of("measurement_basis", measurement_basis, _BASES)
        letter = _BASES[measurement_basis]
        self.backend = backend
        self.measurement_basis = measurement_basis
        self.model = LiveModel(
            n_qubits if input_dim is None else input_dim,
            n_qubits,
            n_qubits,
            backend,
            depth=depth,
            hardware_efficient=self.hardware_efficient,
            entanglement=entanglement,
            readout=[f"{letter}{qubit}" for qubit in range(n_qubits)],
        )
        self._trained = self.model

    @classmethod
    def of(cls, model: LiveModel) -> Self:
        """The layer of a model: its parameters, and which of them are frozen, are the model's."""
        layer = cls(
            model.n_qubits, model.depth, model.backend, entanglement=model.entanglement, input_dim=model.input_dim
        )
        layer._trained = model
        return layer

    @property
    def n_qubits(self) -> int:
        """The width."""
        return self.model.n_qubits

    @property
    def depth(self) -> int:
        """The number of layers of gates."""
        return self.model.depth

    @property
    def entanglement(self) -> str:
        """Which qubits the CNOTs connect."""
        return self.model.entanglement

    def get_parameters(self) -> FloatArray:
        """A copy of the parameters."""
        return self.parameters.copy()

    def update_parameters(self, new_params: ArrayLike) -> None:
        """Replace the parameters that are not frozen by those of `new_params`, `(n_parameters,)`."""
        new = np.asarray(new_params, dtype=np.float64)
        if new.shape != (self.n_parameters,):
            raise ConfigurationError(f"this layer has {self.n_parameters} parameters, not an array of {new.shape}")
        self.parameters = np.where(self._trained.trainable, new, self.parameters)

    def unfreeze_parameters(self) -> None:
        """Let every parameter move again."""
        self._trained.unfreeze_all()

    def unfreeze_all(self) -> None:
        """Let every parameter move again."""
        self._trained.unfreeze_all()

    def get_parameter_count(self) -> int:
        """The number of parameters."""
        return self.n_parameters

    def get_trainable_parameter_count(self) -> int:
        """The number of parameters that are not frozen."""
        return int(self._trained.trainable.sum())

    async def forward(self, x: ArrayLike, shots: int | None = 1000) -> FloatArray:
        """The expectation value of every qubit.

        Args:
            x: `(n_inputs,)` or `(n_rows, n_inputs)`, in half turns: x is a rotation by x pi. Missing inputs are 0.
            shots: Shots of each circuit; None for exact, where the backend can.

        Returns:
            `(n_qubits,)` or `(n_rows, n_qubits)`, in [-1, 1].
        """
        self.model.parameters = self.parameters
        return await self.model.forward(self._filled(x), shots)

    def build_circuit(self, input_data: ArrayLike | None = None) -> QuantumCircuit:
        """The circuit of one input, or of none, with its measurements."""
        features = self.model.encode(self._filled(() if input_data is None else input_data))
        if len(features) != 1:
            raise ConfigurationError(f"build_circuit takes one input, not {len(features)}")
        whole = self.model.circuit
        values = (*features[0], *self.parameters)
        bound = whole.bind(dict(zip((*whole.features, *whole.parameters), map(float, values), strict=True)))
        made = QuantumCircuit.from_core(bound)
        if self.measurement_basis == "hadamard":
            made.gates += [QuantumGate(GateType.HADAMARD, [qubit]) for qubit in range(self.n_qubits)]
        made.gates += [QuantumGate(GateType.MEASURE, [qubit]) for qubit in range(self.n_qubits)]
        return made

    def _filled(self, x: ArrayLike) -> FloatArray:
        inputs = np.asarray(x, dtype=np.float64)
        missing = max(0, self.model.input_dim - inputs.shape[-1])
        return np.pad(inputs, [(0, 0)] * (inputs.ndim - 1) + [(0, missing)])

    def estimate_circuit_depth(self) -> int:
        """The number of layers of gates of the circuit as it is written, encoding included."""
        return self.model.circuit.structure.depth

    def get_config(self) -> LayerConfig:
        """The shape of the layer."""
        trainable = bool(self._trained.trainable.any())
        return LayerConfig(self.n_qubits, self.depth, self.entanglement, self.measurement_basis, trainable)

    def save_state(self) -> dict[str, Any]:
        """The parameters, which are frozen, and the shape, as JSON values."""
        shape = ("n_qubits", "depth", "entanglement", "measurement_basis")
        return {
            "parameters": self.parameters.tolist(),
            "frozen_params": np.flatnonzero(~self._trained.trainable).tolist(),
            "config": {name: getattr(self, name) for name in shape},
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take parameters and what is frozen from what `save_state` returned."""
        if not {"parameters", "frozen_params"} <= set(state):
            raise ConfigurationError(f"a layer's state has 'parameters' and 'frozen_params', not {sorted(state)}")
        frozen = parameter_indices(state["frozen_params"], self.n_parameters)
        self.parameters = state["parameters"]
        self._trained.unfreeze_all()
        self._trained.freeze_parameters(frozen)


class QuantumLayer(_Layer):
    """RX, RY and RZ on every qubit, then CNOTs: `3 * n_qubits * depth` parameters.

    Args:
        n_qubits: Inputs, outputs and qubits.
        depth: Layers.
        backend: Where `forward` runs, of either kind.
        entanglement: "linear", "circular", "full" or "hardware_aware".
        measurement_basis: "computational", or "hadamard" for the expectation values of X.

    >>> QuantumLayer(n_qubits=4, depth=2).n_parameters
    24
    """

    hardware_efficient = False


class HardwareEfficientQuantumLayer(_Layer):
    """RY and RZ on every qubit, then CNOTs: `2 * n_qubits * depth` parameters.

    Arguments as for `QuantumLayer`. Q-Store's outputs were the `2**n_qubits` probabilities; here they are the
    expectation values of the qubits, as `QuantumLayer` always gave them.

    >>> HardwareEfficientQuantumLayer(n_qubits=4, depth=2).n_parameters
    16
    """

    hardware_efficient = True

    def __init__(
        self,
        n_qubits: int,
        depth: int,
        backend: object = None,
        ansatz_type: str = "hardware_efficient",
        entanglement: str = "linear",
        measurement_basis: str = "computational",
        *,
        input_dim: int | None = None,
    ) -> None:
        if ansatz_type not in ("hardware_efficient", "standard"):
            raise UnknownNameError.of("ansatz_type", ansatz_type, ("hardware_efficient", "standard"))
        self.ansatz_type = ansatz_type
        super().__init__(
            n_qubits,
            depth,
            backend,
            entanglement=entanglement,
            measurement_basis=measurement_basis,
            input_dim=input_dim,
        )

    async def forward(self, x: ArrayLike, shots: int | None = 1000) -> FloatArray:
        """The expectation value of every qubit, as in `QuantumLayer.forward`."""
        changed(
            "HardwareEfficientQuantumLayer.forward(...)",
            "returns the expectation value of each qubit for inputs in half turns (x is RY(x pi)), as QuantumLayer "
            "does. Q-Store returned 2**n_qubits probabilities, and stretched every input to 0..pi by its own least and "
            "greatest number, so that it could not tell some inputs apart",
        )
        return await super().forward(x, shots)

    def to_dict(self) -> dict[str, Any]:
        """The layer as JSON values."""
        state = self.save_state()
        return {
            **state["config"],
            "ansatz_type": self.ansatz_type,
            "n_parameters": self.n_parameters,
            "parameters": state["parameters"],
            "frozen_params": state["frozen_params"],
        }

    @classmethod
    def from_dict(cls, config: dict[str, Any], backend: object = None) -> Self:
        """The layer that `to_dict` described."""
        shape = ("ansatz_type", "entanglement", "measurement_basis")
        chosen = {name: config[name] for name in shape if name in config}
        layer = cls(config["n_qubits"], config["depth"], backend, **chosen)
        layer.load_state({"frozen_params": [], **config})
        return layer
