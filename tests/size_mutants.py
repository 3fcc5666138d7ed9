"""More wrong simulators, right while what is asked of them is small, cheap or not constant."""

from __future__ import annotations

from typing import Any

import numpy as np
from mutants import AsksForCotangentsRowByRow, Mutant

from qstore_core.arrays import FloatArray
from qstore_core.backend import BackendCapabilities, Prices
from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.cost import Cost
from qstore_core.operations import CircuitStructure


class ReversesMoreThan64Rows(Mutant):
    caught_by = "test_hundreds_of_rows_come_back_in_their_order"

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        result = await super().execute(batch, compiled)
        return result.take(np.arange(batch.n_rows)[::-1]) if batch.n_rows > 64 else result


class ReversesBitsFromFiveQubitsOn(Mutant):
    caught_by = "test_a_wider_register_keeps_its_qubits_apart"

    def probabilities(self, structure: CircuitStructure, angles: FloatArray) -> FloatArray:
        table = super().probabilities(structure, angles)
        return table.reshape((2,) * structure.n_qubits).T.reshape(-1) if structure.n_qubits >= 5 else table


class SwapsQubitsOfAWideRegister(Mutant):
    """And only samples."""

    caught_by = "test_a_wider_register_keeps_its_qubits_apart"
    capabilities = BackendCapabilities(max_qubits=8, exact=False)

    def probabilities(self, structure: CircuitStructure, angles: FloatArray) -> FloatArray:
        table = super().probabilities(structure, angles).reshape((2,) * structure.n_qubits)
        return (table.swapaxes(2, 3) if structure.n_qubits >= 6 else table).reshape(-1)


class SaysItIsFree(Mutant):
    """Its shots are declared to cost something."""

    caught_by = "test_prices_count_what_is_run"
    capabilities = BackendCapabilities(max_qubits=12, prices=Prices(per_shot=0.01))

    def price(self, compiled: Any, batch: CircuitBatch) -> Cost:
        return Cost(circuits=batch.n_circuits, shots=batch.n_shots, jobs=1)


class DerivesNoConstants(AsksForCotangentsRowByRow):
    caught_by = "test_constants_need_no_circuit"

    async def gradient(self, batch: CircuitBatch, compiled: Any, cotangents: FloatArray) -> FloatArray:
        assert batch.groups
        return await super().gradient(batch, compiled, cotangents)
