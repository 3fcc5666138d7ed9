"""Q-Store's model: a layer, and the outputs that are read from it."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from q_store.changes import changed
from q_store.ml.live_model import LiveModel
from q_store.ml.quantum_layer import HardwareEfficientQuantumLayer, QuantumLayer
from qstore_core.arrays import FloatArray
from qstore_core.errors import ConfigurationError


class QuantumModel(LiveModel):
    """A variational circuit and its outputs.

    Args:
        input_dim: Columns of the inputs, in half turns: an input x is a rotation by x pi. With more columns than qubits
            the rest go into further rotations, with fewer they repeat.
        n_qubits: The width.
        output_dim: Number of outputs, at most one for each qubit.
        backend: Where it runs, of either kind; None: the trainer's.
        depth: Layers.
        hardware_efficient: RY and RZ in each layer, else RX, RY and RZ.
        entanglement: "linear", "circular", "full" or "hardware_aware".
        seed: For the initial parameters; None: one that follows `numpy.random.seed`.

    Attributes:
        quantum_layer: The same gates and parameters, with an output for each qubit.

    >>> from q_store.backends import MockQuantumBackend
    >>> model = QuantumModel(input_dim=4, n_qubits=4, output_dim=2, backend=MockQuantumBackend())
    >>> model.n_parameters, type(model.quantum_layer).__name__
    (48, 'QuantumLayer')
    """

    def __init__(
        self,
        input_dim: int,
        n_qubits: int,
        output_dim: int,
        backend: object = None,
        depth: int = 4,
        hardware_efficient: bool = False,
        *,
        entanglement: str = "linear",
        seed: int | None = None,
    ) -> None:
        changed(
            "QuantumModel(...)",
            "output k is the mean of Z over the qubits q with q mod output_dim = k, and an input x is RY(x pi) in both "
            "kinds of layer. Q-Store read the first output_dim numbers of its layer, which most inputs and parameters "
            "could not influence, and with hardware_efficient=True stretched every sample to 0..pi by itself",
        )
        super().__init__(
            input_dim,
            n_qubits,
            output_dim,
            backend,
            depth=depth,
            hardware_efficient=hardware_efficient,
            entanglement=entanglement,
            seed=seed,
        )
        kind = HardwareEfficientQuantumLayer if hardware_efficient else QuantumLayer
        self.quantum_layer = kind.of(self)

    async def forward(self, x: ArrayLike, shots: int | None = 1000) -> FloatArray:
        """The outputs, in [-1, 1].

        Args:
            x: `(input_dim,)` or `(n_rows, input_dim)`, in half turns.
            shots: Shots of each circuit; None for exact, where the backend can.

        Returns:
            `(output_dim,)` or `(n_rows, output_dim)`.
        """
        return await super().forward(x, shots)

    def save_state(self) -> dict[str, Any]:
        """The shape, the parameters and which are frozen, as JSON values."""
        shape = ("input_dim", "n_qubits", "output_dim", "depth")
        config = {name: getattr(self, name) for name in shape}
        return {"config": config, "quantum_layer": self.quantum_layer.save_state()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take the parameters from what `save_state` returned."""
        if "quantum_layer" not in state:
            raise ConfigurationError(f"a model's state has 'quantum_layer', not {sorted(state)}")
        self.quantum_layer.load_state(state["quantum_layer"])
