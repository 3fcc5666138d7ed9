"""Money that the service names: what is no amount of it neither opens a budget nor ends a run."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import numpy as np
import pytest
from ionq_batches import Connect, Emulate, simple
from qstore_ionq.emulator.process import RunningEmulator
from qstore_ionq.qpu import IonQQPU
from qstore_ionq.targets import TargetTable
from qstore_ionq.transport import refusal

from qstore_core import Budget, BudgetExceededError, get_backend
from qstore_core.circuit import QuantumCircuit
from qstore_core.cost import Cost
from qstore_core.errors import AmbiguousError, ConfigurationError, TransientError
from qstore_core.executor import Executor
from qstore_core.observables import PauliString

FORTE = TargetTable.load().target("qpu.forte-1").prices
NO_AMOUNTS = [float("nan"), float("inf"), -float("inf"), -1000, "n/a", "Infinity", [1], {"usd": 1}, True, 10**320]


def backend_saying(cost: Any, *, job: Any = None) -> IonQQPU:
    """A backend whose service gives these answers, or raises these errors."""
    backend = get_backend("ionq.qpu", api_key="k")
    assert isinstance(backend, IonQQPU)
    client: Any = backend._client
    client.cost, client.job = (lambda job_id, said=said: _given(said) for said in (cost, job or {}))
    return backend


def _given(said: Any) -> Any:
    if isinstance(said, Exception):
        raise said
    return said


class TestCosts:
    @pytest.mark.parametrize(
        "said",
        [
            *({"cost": {"value": value, "unit": "usd"}} for value in NO_AMOUNTS),
            {"cost": [1]},
            {"cost": 25.79},
            refusal(403, "no billing", {}, what="GET /cost"),
            refusal(404, "none", {}, what="GET /cost"),
            refusal(400, "why", {}, what="GET /cost"),
        ],
    )
    def test_what_is_none_is_logged_and_not_known(self, said: Any, caplog: pytest.LogCaptureFixture) -> None:
        assert asyncio.run(backend_saying(said).cost("j")) is None
        assert "job j: IonQ does not say what it cost (" in caplog.text
        assert caplog.text.rstrip().endswith("); the price counts")

    @pytest.mark.parametrize("said", [{}, {"cost": None}, {"cost": {"value": None}}])
    def test_what_is_not_there_yet_needs_no_warning(self, said: Any, caplog: pytest.LogCaptureFixture) -> None:
        assert asyncio.run(backend_saying(said).cost("j")) is None
        assert caplog.text == ""

    @pytest.mark.parametrize(
        ("status", "kind"), [(401, ConfigurationError), (429, TransientError), (500, AmbiguousError)]
    )
    def test_a_wrong_key_and_what_passes_stay_errors(self, status: int, kind: type[Exception]) -> None:
        with pytest.raises(kind, match=str(status)):
            asyncio.run(backend_saying(refusal(status, "why", {}, what="GET /cost")).cost("j"))

    @pytest.mark.parametrize("took", [float("nan"), -1, "long", [2]])
    def test_a_time_that_is_none_leaves_the_cost(self, took: Any, caplog: pytest.LogCaptureFixture) -> None:
        backend = backend_saying({"cost": {"value": 2.5}}, job={"execution_duration_ms": took})
        assert asyncio.run(backend.cost("j")) == Cost(usd_low=2.5, usd_high=2.5, jobs=1)
        assert "job j: IonQ does not say how long it took" in caplog.text

    @pytest.mark.parametrize("value", [float("nan"), -1000.0])
    def test_a_budget_holds_after_one_that_is_none(
        self, value: float, emulate: Emulate, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with emulate() as process:
            backend = connect(process, "qpu", minimum="per_job")
            monkeypatch.setattr(backend._client, "cost", lambda job_id: {"cost": {"value": value, "unit": "usd"}})
            executor = Executor.on(backend, budget=Budget(usd=60))
            for n_rows in (1, 2):
                asyncio.run(executor.run((simple(n_rows, shots=100),)))
            with pytest.raises(BudgetExceededError):
                asyncio.run(executor.run((simple(3, shots=100),)))
            assert executor.spent.usd_high == pytest.approx(2 * FORTE.minimum) == process.charged()


class TestRates:
    @pytest.mark.parametrize("name", ["cost_1q_gate", "cost_2q_gate", "job_cost_minimum"])
    @pytest.mark.parametrize("value", NO_AMOUNTS)
    def test_the_table_stays_where_one_is_none(
        self, value: Any, name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        backend = backend_saying({})
        rates = {"unit": "gates", "cost_1q_gate": 0.1, "cost_2q_gate": 0.2, "job_cost_minimum": 1.0, name: value}
        answer = {"rate_card": {"rates": [rates]}, "estimated_unit": "usd"}
        monkeypatch.setattr(backend._client, "estimate", lambda **asked: answer)
        with caplog.at_level(logging.WARNING):
            asyncio.run(backend.open())
        assert backend.prices == FORTE
        assert "prices are those of Azure Quantum" in caplog.text
        assert "is not a number of at least 0" in caplog.text


class TestConstants:
    @pytest.mark.parametrize("minimum", [None, "per_job", "per_circuit"])
    @pytest.mark.parametrize("debiasing", [False, True])
    def test_no_circuits_cost_nothing(
        self, minimum: Any, debiasing: bool, running: RunningEmulator, connect: Connect
    ) -> None:
        circuit = QuantumCircuit(2).ry(0, 0.7)
        batch = simple(2, shots=100)
        constants = type(batch)(
            circuit.structure, np.zeros((2, 1)), (PauliString("", 2.5),), shots=100, draws=batch.draws
        )
        backend = connect(running, "qpu", minimum=minimum, debiasing=debiasing)
        compiled = backend.compile(constants.structure, constants.groups)
        assert backend.price_job((compiled,), (constants,)) == Cost()

    def test_the_lower_reading_is_never_above_the_dearer_one(self, running: RunningEmulator, connect: Connect) -> None:
        for minimum in (None, "per_job", "per_circuit"):
            backend = connect(running, "qpu", minimum=minimum)
            for n_rows in range(1, 30):
                for shots in (7, 4321):
                    price = Executor(backend).price((simple(n_rows, shots=shots),))
                    assert price.usd_low <= price.usd_high
