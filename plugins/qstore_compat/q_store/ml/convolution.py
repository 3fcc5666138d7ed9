"""Q-Store's layers that slide a window over their inputs: one quantum, one classical."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

from q_store.ml.live_model import LiveModel, Trained
from qstore_core import Feature, Parameter, QuantumCircuit
from qstore_core.arrays import FloatArray
from qstore_core.errors import ConfigurationError, UnknownNameError


class QuantumConvolutionalLayer(Trained):
    """The same rotations on every window of the inputs: `3 * kernel_size * depth` parameters, a number for each window.

    An input x is RY(x pi) on its qubit, then come `depth` times RX, RY and RZ; the number is the mean of Z. The windows
    run as one batch.

    Args:
        n_qubits: How many inputs there are.
        depth: Layers of rotations.
        backend: Where it runs, of either kind.
        kernel_size: Inputs in a window.
        stride: From one window to the next.

    >>> QuantumConvolutionalLayer(n_qubits=6, depth=2, kernel_size=3).n_parameters
    18
    """

    def __init__(
        self, n_qubits: int, depth: int, backend: object = None, kernel_size: int = 2, stride: int = 1
    ) -> None:
        if not 1 <= kernel_size <= n_qubits or stride < 1:
            raise ConfigurationError(
                f"kernel_size is from 1 to n_qubits={n_qubits}, not {kernel_size}, and stride at least 1, not {stride}"
            )
        self.n_qubits, self.depth, self.backend = n_qubits, depth, backend
        self.kernel_size, self.stride = kernel_size, stride
        self.model = LiveModel(kernel_size, kernel_size, 1, backend, depth=depth, ansatz=_window(kernel_size, depth))
        self._trained = self.model

    async def forward(self, x: ArrayLike, shots: int | None = 1000) -> FloatArray:
        """A number in [-1, 1] for each window of `x` `(n_qubits,)`, in half turns."""
        values = np.asarray(x, dtype=np.float64)
        if values.shape != (self.n_qubits,):
            raise ConfigurationError(f"this layer takes {self.n_qubits} inputs, not an array of {values.shape}")
        windows = sliding_window_view(values, self.kernel_size)[:: self.stride]
        return (await self.model.forward(np.pi * windows, shots))[:, 0]


def _window(size: int, depth: int) -> QuantumCircuit:
    circuit, theta = QuantumCircuit(size), iter(Parameter.vector("theta", 3 * size * depth))
    for qubit, x in enumerate(Feature.vector("x", size)):
        circuit = circuit.ry(qubit, x)
    for _ in range(depth):
        for qubit in range(size):
            circuit = circuit.rx(qubit, next(theta)).ry(qubit, next(theta)).rz(qubit, next(theta))
    return circuit


class QuantumPoolingLayer:
    """The largest number, or the mean, of each run of inputs; classical, as it always was.

    Args:
        pool_size: Inputs in a run; the last one may be shorter.
        method: "max" or "average".

    >>> import asyncio
    >>> asyncio.run(QuantumPoolingLayer(2, "average").forward([1.0, 3.0, 5.0]))
    array([2., 5.])
    """

    def __init__(self, pool_size: int = 2, method: str = "max") -> None:
        if method not in ("max", "average"):
            raise UnknownNameError.of("pooling method", method, ("max", "average"))
        self.pool_size, self.method = pool_size, method

    async def forward(self, x: ArrayLike) -> FloatArray:
        """`(n_runs,)` from `(n_inputs,)`."""
        values = np.asarray(x, dtype=np.float64)
        fold = np.max if self.method == "max" else np.mean
        return np.array(
            [fold(values[first : first + self.pool_size]) for first in range(0, len(values), self.pool_size)]
        )
