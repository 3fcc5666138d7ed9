"""A program's circuit builder and loss, as qstore's estimators call them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from q_store.backends.circuits import as_core
from q_store.backends.interface import ExecutionResult
from qstore_core import ExecutionResult as CoreResult
from qstore_core import QuantumCircuit as CoreCircuit
from qstore_core.errors import CircuitError


class BuilderAndLoss:
    """Both of them, for circuits of either kind; the loss sees the qubits that the circuits measure.

    Args:
        circuit_builder: From parameters to a circuit.
        loss_function: From an `ExecutionResult` to a number.

    >>> from q_store.backends import CircuitBuilder
    >>> pair = BuilderAndLoss(lambda p: CircuitBuilder(2).ry(0, p[0]).measure(0).build(), lambda r: r.counts["1"])
    >>> pair.build([0.5]).n_qubits, pair.loss(CoreResult({"10": 7}, {"10": 1.0}, 7))
    (2, 7)
    """

    def __init__(self, circuit_builder: Callable[[Any], object], loss_function: Callable[[Any], float]) -> None:
        self._builder = circuit_builder
        self._loss = loss_function
        self._measured: tuple[int, ...] | None = None

    def build(self, parameters: Any) -> CoreCircuit:
        """The circuit at these parameters."""
        circuit, measured = as_core(self._builder(parameters))
        if self._measured not in (None, measured):
            raise CircuitError(
                f"the builder measures qubits {measured} here and {self._measured} elsewhere; measure the same ones"
            )
        self._measured = measured
        return circuit

    def loss(self, result: CoreResult) -> float:
        """The loss of a result over the whole register."""
        return self._loss(ExecutionResult.of(result, self._measured))
