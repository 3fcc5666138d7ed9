"""The model under Q-Store's layers and models: inputs in half turns, and parameters that are changed in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from q_store.backends.bridge import core_backend
from q_store.randomness import program_seed
from qstore_core import HardwareEfficientAnsatz, RotationAnsatz
from qstore_core import QuantumModel as CoreModel
from qstore_core.arrays import FloatArray
from qstore_core.encoding import AngleEncoding
from qstore_core.readout import Observable


@dataclass(frozen=True, slots=True)
class HalfTurnEncoding(AngleEncoding):
    """Angle encoding in half turns, as in Q-Store: an input x is a rotation by x pi.

    >>> HalfTurnEncoding(input_dim=2, n_qubits=2).encode(np.array([[0.0, 0.5]])).round(3)
    array([[0.   , 1.571]])
    """

    def encode(self, inputs: FloatArray) -> FloatArray:
        """The inputs times pi."""
        return np.pi * inputs


class LiveModel(CoreModel):
    """A model of qstore whose `parameters` are the array itself, so that `model.parameters[0] = 0.5` holds.

    Args:
        input_dim: Columns of the inputs, in half turns.
        n_qubits: The width.
        output_dim: How many outputs.
        backend: Where it runs, of either kind; None: the trainer's.
        depth: Layers.
        hardware_efficient: RY and RZ in each, else RX, RY and RZ.
        entanglement: Which qubits the CNOTs connect.
        ansatz: A circuit of qstore instead, whose features are its own.
        readout: One observable for each output; None: means of Z.
        seed: For the initial parameters; None: one that follows `numpy.random.seed`.

    >>> model = LiveModel(2, 2, 1)
    >>> model.parameters[0] = 0.5
    >>> float(model.parameters[0])
    0.5
    """

    def __init__(
        self,
        input_dim: int,
        n_qubits: int,
        output_dim: int,
        backend: object = None,
        *,
        depth: int = 4,
        hardware_efficient: bool = False,
        entanglement: str = "linear",
        ansatz: object = None,
        readout: Sequence[Observable] | None = None,
        seed: int | None = None,
    ) -> None:
        kind = HardwareEfficientAnsatz if hardware_efficient else RotationAnsatz
        layers = kind(entanglement=entanglement, encoding=HalfTurnEncoding(input_dim, n_qubits))
        super().__init__(
            input_dim,
            n_qubits,
            output_dim,
            None if backend is None else core_backend(backend),
            depth=depth,
            ansatz=layers if ansatz is None else ansatz,
            readout=readout,
            seed=program_seed() if seed is None else seed,
        )
        self.hardware_efficient = hardware_efficient
        self.entanglement = entanglement

    @property
    def parameters(self) -> FloatArray:
        """The parameters, `(n_parameters,)` float64, radians; a change in place is a change of the model."""
        return self._parameters

    @parameters.setter
    def parameters(self, values: ArrayLike) -> None:
        CoreModel.__dict__["parameters"].__set__(self, values)


class Trained:
    """Something whose parameters are those of a model, `_trained`."""

    _trained: LiveModel

    @property
    def n_parameters(self) -> int:
        """The number of trained parameters."""
        return self._trained.n_parameters

    @property
    def parameters(self) -> FloatArray:
        """The parameters, `(n_parameters,)`, radians; a change in place is a change of the layer."""
        return self._trained.parameters

    @parameters.setter
    def parameters(self, values: ArrayLike) -> None:
        self._trained.parameters = np.asarray(values, dtype=np.float64)

    def freeze_parameters(self, indices: Sequence[int]) -> None:
        """Keep these parameters as they are in training."""
        self._trained.freeze_parameters(indices)
