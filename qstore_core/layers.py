"""The layers of Q-Store v3.2 and v3.3: a block of trained gates whose outputs are Z on every qubit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from qstore_core.ansatz import ANSATZ_KINDS
from qstore_core.array_input import parameter_indices
from qstore_core.arrays import BoolArray, FloatArray
from qstore_core.backend import Backend
from qstore_core.circuit import QuantumCircuit
from qstore_core.errors import ConfigurationError, UnknownNameError
from qstore_core.keywords import known_keywords
from qstore_core.model import QuantumModel


class _Layer:
    """What both layers share: a model with one input and one output a qubit."""

    default_ansatz: ClassVar[str]

    @known_keywords
    def __init__(
        self,
        n_qubits: int,
        depth: int,
        backend: Backend | None = None,
        ansatz_type: str | None = None,
        entanglement: str = "linear",
        seed: int | None = None,
    ) -> None:
        kind = ansatz_type or self.default_ansatz
        if kind not in ANSATZ_KINDS:
            raise UnknownNameError.of("ansatz_type", kind, ANSATZ_KINDS)
        self.model = QuantumModel(
            n_qubits,
            n_qubits,
            n_qubits,
            backend,
            depth=depth,
            ansatz=ANSATZ_KINDS[kind](entanglement=entanglement),
            readout=[f"Z{qubit}" for qubit in range(n_qubits)],
            seed=seed,
        )

    @property
    def n_parameters(self) -> int:
        """The number of trained parameters."""
        return self.model.n_parameters

    @property
    def parameters(self) -> FloatArray:
        """The parameters, `(n_parameters,)`, radians; assignable."""
        return self.model.parameters

    @parameters.setter
    def parameters(self, values: ArrayLike) -> None:
        self.model.parameters = np.asarray(values, dtype=np.float64)

    @property
    def trainable(self) -> BoolArray:
        """Which parameters `update_parameters` moves, `(n_parameters,)`."""
        return self.model.trainable

    async def forward(self, x: ArrayLike, shots: int | None = None) -> FloatArray:
        """The expectation value of Z on every qubit.

        Args:
            x: `(n_qubits,)` or `(n_rows, n_qubits)`, an RY angle for each qubit, radians.
            shots: Shots of each circuit; None for exact.

        Returns:
            An array of the shape of `x`.
        """
        return await self.model.forward(x, shots)

    def build_circuit(self, x: ArrayLike) -> QuantumCircuit:
        """The circuit of one input `(n_qubits,)`, with every number filled in."""
        features = self.model.encode(x)
        if len(features) != 1:
            raise ConfigurationError(f"build_circuit takes one input, not {len(features)}")
        circuit = self.model.circuit
        symbols = (*circuit.features, *circuit.parameters)
        return circuit.bind(dict(zip(symbols, (*features[0], *self.parameters), strict=True)))

    def update_parameters(self, values: ArrayLike) -> None:
        """Replace the parameters that are not frozen by those of `values`, `(n_parameters,)`."""
        new = np.asarray(values, dtype=np.float64)
        if new.shape != (self.n_parameters,):
            raise ConfigurationError(f"this layer has {self.n_parameters} parameters, not an array of {new.shape}")
        self.parameters = np.where(self.trainable, new, self.parameters)

    def freeze_parameters(self, indices: Sequence[int]) -> None:
        """Keep these parameters as they are."""
        self.model.freeze_parameters(indices)

    def unfreeze_all(self) -> None:
        """Let every parameter move again."""
        self.model.unfreeze_all()

    def save_state(self) -> dict[str, Any]:
        """The parameters and which are frozen, as JSON values."""
        return {"parameters": self.parameters.tolist(), "frozen": np.flatnonzero(~self.trainable).tolist()}

    def load_state(self, state: dict[str, Any]) -> None:
        """What `save_state` returned."""
        if not {"parameters", "frozen"} <= set(state):
            raise ConfigurationError(f"a layer's state has 'parameters' and 'frozen', not {sorted(state)}")
        frozen = parameter_indices(state["frozen"], self.n_parameters)
        self.parameters = np.asarray(state["parameters"], dtype=np.float64)
        self.unfreeze_all()
        self.freeze_parameters(frozen)


class HardwareEfficientQuantumLayer(_Layer):
    """RY and RZ on every qubit, then entanglers: `2 * n_qubits * depth` parameters.

    Args:
        n_qubits: Inputs, outputs and qubits.
        depth: Layers.
        backend: Where `forward` runs.
        ansatz_type: "hardware_efficient", or "rotations" for RX, RY, RZ.
        entanglement: "linear", "circular", "full" or "hardware_aware".
        seed: For the initial parameters.

    >>> layer = HardwareEfficientQuantumLayer(n_qubits=4, depth=2)
    >>> layer.n_parameters
    16
    """

    default_ansatz = "hardware_efficient"


class QuantumLayer(_Layer):
    """RX, RY and RZ on every qubit, then entanglers: `3 * n_qubits * depth` parameters.

    Arguments as for `HardwareEfficientQuantumLayer`.

    >>> QuantumLayer(n_qubits=4, depth=2).n_parameters
    24
    """

    default_ansatz = "rotations"
