"""What a backend is: its capabilities as data, and what it gets without writing it."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from qstore_core.backend import BackendCapabilities, JobState, JobStatus, LocalBackend, Prices
from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.circuit import QuantumCircuit
from qstore_core.cost import Cost
from qstore_core.errors import CapabilityError, ConfigurationError
from qstore_core.gates import GATES

CIRCUIT = QuantumCircuit(3).h(0).cnot(0, 1).ry(2, 0.5)


class Minimal(LocalBackend):
    """Only what an author must write."""

    capabilities = BackendCapabilities(max_qubits=4)
    fingerprint = "minimal(level=3)"

    def __init__(self) -> None:
        self.events: list[str] = []

    async def open(self) -> None:
        self.events.append("open")

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        self.events.append("execute")
        return BatchResult(expectations=np.zeros((batch.n_rows, 1)))

    async def close(self) -> None:
        self.events.append("close")


def batch(shots: int | None = None) -> CircuitBatch:
    draws = None if shots is None else np.zeros(1, dtype=np.uint64)
    return CircuitBatch(CIRCUIT.structure, CIRCUIT.angles(), ("Z0",), shots, draws)  # type: ignore[arg-type]


class TestCapabilities:
    def test_they_permit_everything_that_is_not_limited(self) -> None:
        capabilities = BackendCapabilities(max_qubits=3)
        assert capabilities.gates == frozenset(GATES)
        capabilities.check(batch(), backend="b")
        capabilities.check(batch(shots=10**9), backend="b")

    @pytest.mark.parametrize(
        ("limits", "shots", "message"),
        [
            (
                {"max_qubits": 2},
                None,
                "the circuit has 3 qubits and backend 'b' at most 2; use a smaller n_qubits or another backend",
            ),
            ({"gates": frozenset({"ry"})}, None, "backend 'b' has no gate cnot, h; it takes ry$"),
            (
                {"exact": False},
                None,
                "backend 'b' only samples: set shots_per_circuit to a number instead of None",
            ),
            ({"max_shots": 100}, 101, "101 shots a circuit; backend 'b' allows at most 100"),
        ],
    )
    def test_what_is_lacking_is_named(self, limits: dict[str, Any], shots: int | None, message: str) -> None:
        capabilities = BackendCapabilities(**({"max_qubits": 3} | limits))
        with pytest.raises(CapabilityError, match=message):
            capabilities.check(batch(shots), backend="b")

    def test_gates_may_have_the_names_of_other_libraries(self) -> None:
        capabilities = BackendCapabilities(max_qubits=3, gates=["ry", "cx", "ccx"])  # type: ignore[arg-type]
        assert capabilities.gates == {"ry", "cnot", "toffoli"}
        with pytest.raises(ConfigurationError, match="gates is a set of gate names, not the text 'cx'"):
            BackendCapabilities(max_qubits=3, gates="cx")  # type: ignore[arg-type]

    def test_limits_themselves_are_permitted(self) -> None:
        BackendCapabilities(max_qubits=3, max_shots=100, exact=False).check(batch(shots=100), backend="b")

    def test_all_pairs_of_qubits_are_connected_unless_listed(self) -> None:
        assert BackendCapabilities(max_qubits=3).connects(0, 2)
        line = BackendCapabilities(max_qubits=3, connectivity=frozenset({(0, 1), (2, 1)}))
        assert line.connects(0, 1)
        assert line.connects(1, 0)
        assert line.connects(1, 2)
        assert not line.connects(0, 2)


class TestDefaults:
    def test_a_name_is_the_fingerprint_up_to_its_options(self) -> None:
        assert Minimal().name == "minimal"

    def test_the_compiled_form_is_the_structure(self) -> None:
        assert Minimal().compile(CIRCUIT.structure, batch().groups) is CIRCUIT.structure

    def test_running_is_free_but_counted(self) -> None:
        assert Minimal().price(None, batch(shots=50)) == Cost(circuits=1, shots=50, jobs=1)

    def test_without_a_gradient_the_error_says_what_to_use(self) -> None:
        with pytest.raises(
            CapabilityError, match="'minimal' has no adjoint gradient; use gradient_method='parameter_shift'"
        ):
            asyncio.run(Minimal().gradient(batch(), None, np.ones((1, 1))))

    def test_execute_must_be_written(self) -> None:
        class Empty(LocalBackend):
            pass

        with pytest.raises(TypeError, match=r"abstract method '?execute'?"):
            Empty()  # type: ignore[abstract]

    def test_prices_are_free_unless_declared(self) -> None:
        assert Prices() == Prices(per_job=0, per_circuit=0, per_shot=0)
        assert BackendCapabilities(max_qubits=1).prices is None

    def test_a_job_may_have_a_reason(self) -> None:
        assert JobStatus(JobState.RUNNING).reason == ""


class TestOpening:
    def test_async_with_opens_before_and_closes_after(self) -> None:
        async def use(backend: Minimal) -> None:
            async with backend as opened:
                assert opened is backend
                await opened.execute(batch(), None)

        backend = Minimal()
        asyncio.run(use(backend))
        assert backend.events == ["open", "execute", "close"]

    def test_async_with_closes_after_an_error_and_lets_it_through(self) -> None:
        async def use(backend: Minimal) -> None:
            async with backend:
                raise RuntimeError("lost")

        backend = Minimal()
        with pytest.raises(RuntimeError, match="lost"):
            asyncio.run(use(backend))
        assert backend.events == ["open", "close"]
