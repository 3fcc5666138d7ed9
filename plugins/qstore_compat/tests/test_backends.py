"""Q-Store's backends and their manager over qstore's."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from q_store import QStoreCompatWarning
from q_store.backends import (
    BackendCapabilities,
    BackendManager,
    BackendType,
    CircuitBuilder,
    CoreBackend,
    ExecutionResult,
    GateType,
    MockQuantumBackend,
    QuantumBackend,
    QuantumCircuit,
    backend_manager,
    core_backend,
    create_bell_state_circuit,
    create_default_backend_manager,
    create_ghz_state_circuit,
    setup_ionq_backends,
)

from qstore_core import CapabilityError, ConfigurationError, PauliString, QStoreError, UnknownNameError, get_backend
from qstore_core import QuantumModel as CoreModel

BELL = create_bell_state_circuit()


def run(backend: QuantumBackend, circuit: QuantumCircuit, shots: int | None = 1000) -> ExecutionResult:
    return asyncio.run(backend.execute_circuit(circuit, shots=shots))


def test_the_same_seed_gives_the_same_counts() -> None:
    counts = []
    for _ in range(2):
        np.random.seed(1)  # noqa: NPY002
        counts.append(run(MockQuantumBackend(), BELL).counts)
    assert counts[0] == counts[1]


def test_two_runs_of_one_circuit_are_independent() -> None:
    backend = MockQuantumBackend()
    assert run(backend, BELL).counts != run(backend, BELL).counts  # equal once in 56 runs, but for the seed
    assert backend.get_backend_info()["executions"] == 2


def test_a_simulator_is_as_wide_as_asked() -> None:
    backend = MockQuantumBackend(max_qubits=3)
    assert backend.get_capabilities().max_qubits == backend.get_backend_info()["max_qubits"] == 3
    with pytest.raises(CapabilityError, match=r"MockQuantumBackend\(max_qubits=3\)"):
        run(backend, create_ghz_state_circuit(4))


def test_a_noise_level_flips_bits() -> None:
    with pytest.warns(QStoreCompatWarning, match="noise_level / 10"):
        noisy = MockQuantumBackend(noise_level=0.5)
    one = CircuitBuilder(1).x(0).build()
    assert run(noisy, one, shots=None).probabilities == pytest.approx({"0": 0.05, "1": 0.95})
    assert noisy.get_backend_info()["noise_level"] == 0.5
    with pytest.raises(ConfigurationError, match="from 0 to 1"):
        MockQuantumBackend(noise_level=2.0)


def test_options_of_a_call_are_said_not_to_be_used() -> None:
    with pytest.warns(QStoreCompatWarning, match="noise_model is not used"):
        asyncio.run(MockQuantumBackend().execute_circuit(BELL, 10, noise_model="aria"))


def test_a_circuit_is_validated_before_it_runs() -> None:
    backend = MockQuantumBackend(max_qubits=2)
    assert asyncio.run(backend.validate_circuit(BELL))
    assert not asyncio.run(backend.validate_circuit(create_ghz_state_circuit(3)))
    assert backend.estimate_cost(BELL, 1000) == 0.0
    assert backend.optimize_circuit(BELL) is BELL


def test_the_manager_keeps_its_backends_in_order() -> None:
    manager = BackendManager()
    with pytest.raises(ConfigurationError, match="initialize"):
        manager.get_backend()
    manager.register_backend("a", MockQuantumBackend("a"))
    manager.register_backend("b", get_backend("mock"), set_as_default=True, metadata={"of": "qstore"})
    assert manager.get_default_backend_name() == "b"
    assert [(entry["name"], entry["is_default"]) for entry in manager.list_backends()] == [("a", False), ("b", True)]
    assert manager.list_backends()[1]["metadata"] == {"of": "qstore"}
    manager.unregister_backend("b")
    assert manager.get_backend().get_backend_info()["name"] == "a"
    with pytest.raises(UnknownNameError, match="'b'"):
        manager.set_default_backend("b")
    with pytest.raises(ConfigurationError, match="QuantumBackend, not int"):
        manager.register_backend("c", 3)  # type: ignore[arg-type]
    asyncio.run(manager.initialize_all())
    asyncio.run(manager.close_all())


def test_the_default_manager_has_an_ideal_simulator_of_20_qubits() -> None:
    manager = create_default_backend_manager()
    (entry,) = manager.list_backends()
    assert (entry["name"], entry["max_qubits"], entry["backend_type"]) == ("mock_ideal", 20, "mock")


def test_the_best_backend_fits_and_is_preferred() -> None:
    manager = BackendManager()
    manager.register_backend("narrow", MockQuantumBackend(max_qubits=2))
    manager.register_backend("wide", MockQuantumBackend(max_qubits=8))
    manager.register_backend("machine", OneByOne(BackendType.QPU))
    assert manager.find_best_backend(create_ghz_state_circuit(4)) == "machine"
    manager.register_backend("simulator", OneByOne(BackendType.SIMULATOR))
    assert manager.find_best_backend(create_ghz_state_circuit(4)) == "simulator"
    assert manager.find_best_backend(create_ghz_state_circuit(4), prefer_qpu=True) == "machine"
    assert manager.find_best_backend(create_ghz_state_circuit(8)) == "wide"
    assert manager.find_best_backend(create_ghz_state_circuit(9)) is None


def test_settings_of_q_store_find_the_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    def noted(name: str, **options: Any) -> Any:
        asked.append((name, options))
        return get_backend("mock")

    monkeypatch.setattr(backend_manager, "get_backend", noted)
    manager = BackendManager()
    for sdk, target in (("mock", "simulator"), ("cirq", "simulator"), ("ionq", "qpu.aria-1"), ("aer", "simulator")):
        asyncio.run(manager.initialize(sdk=sdk, api_key="key", target=target))
    with pytest.warns(QStoreCompatWarning, match="Qiskit is not used"):
        asyncio.run(manager.initialize(sdk="qiskit", api_key="key"))
    assert asked == [
        ("mock", {}),
        ("ionq.simulator", {"api_key": "key"}),
        ("ionq.qpu", {"api_key": "key", "target": "qpu.aria-1"}),
        ("aer", {"api_key": "key"}),
        ("ionq.simulator", {"api_key": "key"}),
    ]


def test_ionq_backends_get_their_old_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend_manager, "get_backend", lambda name, **options: get_backend("mock"))
    manager = asyncio.run(setup_ionq_backends(BackendManager(), "key", use_qiskit=True))
    assert [entry["name"] for entry in manager.list_backends()] == [
        "ionq_sim_cirq",
        "ionq_aria_cirq",
        "ionq_sim_qiskit",
    ]


def test_without_the_plugin_ionq_is_left_out_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str, **options: Any) -> Any:
        raise UnknownNameError(f"unknown backend {name!r}; pip install ./plugins/qstore_ionq")

    monkeypatch.setattr(backend_manager, "get_backend", missing)
    with pytest.warns(QStoreCompatWarning, match="pip install"):
        manager = asyncio.run(setup_ionq_backends(BackendManager(), "key"))
    assert manager.list_backends() == []


class OneByOne(QuantumBackend):
    """A backend as a program for Q-Store would write one."""

    def __init__(self, kind: BackendType = BackendType.SIMULATOR) -> None:
        self.kind = kind
        self.inner = MockQuantumBackend(max_qubits=5)
        self.circuits: list[QuantumCircuit] = []

    async def initialize(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do."""

    def is_available(self) -> bool:
        return True

    def get_backend_info(self) -> dict[str, Any]:
        return {"name": "mine"}

    def get_capabilities(self) -> BackendCapabilities:
        return BackendCapabilities(5, list(GateType), self.kind)

    async def execute_circuit(self, circuit: QuantumCircuit, shots: int = 1000, **kwargs: Any) -> ExecutionResult:
        self.circuits.append(circuit)
        return await self.inner.execute_circuit(circuit, shots)


def test_a_backend_of_yours_runs_models_of_qstore_in_every_basis() -> None:
    mine = OneByOne()
    readout = [PauliString("X0"), PauliString("Y1"), PauliString("Z0 Z1")]
    model = CoreModel(2, 2, 3, backend=core_backend(mine), depth=1, readout=readout, seed=3)
    exact = CoreModel(2, 2, 3, backend=get_backend("mock"), depth=1, readout=readout, seed=3)
    found = asyncio.run(model.forward([0.4, 0.9], shots=10_000))
    # standard deviations of at most 0.01, and three outputs: outside 5 of them once in 580,000 runs
    assert np.abs(found - asyncio.run(exact.forward([0.4, 0.9]))).max() < 0.05
    assert len(mine.circuits) == 2  # X0 and Y1 share a circuit


def test_what_is_no_backend_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="not str"):
        core_backend("mock")


def test_a_backend_of_qstore_is_itself() -> None:
    core = get_backend("mock")
    assert core_backend(core) is core_backend(CoreBackend(core)) is core
    assert CoreBackend(core).get_capabilities().supports_gate(GateType.MEASURE)


def test_errors_are_those_of_qstore() -> None:
    with pytest.raises(QStoreError, match="a circuit is a QuantumCircuit, not a str"):
        asyncio.run(MockQuantumBackend().execute_circuit("circuit"))  # type: ignore[arg-type]
