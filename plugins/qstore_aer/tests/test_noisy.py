"""The backend `aer.noisy`: noise from numbers, models and devices, against the mock and against Aer run by hand."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import qiskit_aer
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.transpiler import CouplingMap
from qiskit_aer.noise import NoiseModel, ReadoutError, depolarizing_error
from qstore_aer.hardware import Hardware
from qstore_aer.noisy import NoisyAerBackend
from qstore_aer.program import Program
from scipy import stats

from qstore_core.backend import LocalBackend
from qstore_core.batch import BatchResult, CircuitBatch, estimates
from qstore_core.circuit import QuantumCircuit
from qstore_core.errors import CapabilityError, ConfigurationError
from qstore_core.model import QuantumModel
from qstore_core.observables import PauliSum
from qstore_core.randomness import StepKey
from qstore_core.registry import get_backend
from qstore_core.testing import reference

Execute = Callable[[LocalBackend, CircuitBatch], BatchResult]
RandomCircuit = Callable[..., QuantumCircuit]
RandomObservables = Callable[..., tuple[PauliSum, ...]]

OBSERVABLES = (PauliSum.of("Z0"), PauliSum.of("X1 Z2"), PauliSum.of("Y0 Z2"))
UNIFORM: dict[str, Any] = {"depolarizing": (0.02, 0.07), "readout_error": (0.03, 0.08)}


def device(n_qubits: int = 5, coupling: CouplingMap | None = None, seed: int = 7) -> GenericBackendV2:
    coupling = CouplingMap.from_line(n_qubits) if coupling is None else coupling
    return GenericBackendV2(n_qubits, coupling_map=coupling, seed=seed)


def hand_made() -> NoiseModel:
    model = NoiseModel(basis_gates=["rz", "sx", "x", "cx"])
    model.add_all_qubit_quantum_error(depolarizing_error(0.02, 1), ["sx", "x"])
    model.add_all_qubit_quantum_error(depolarizing_error(0.06, 2), ["cx"])
    model.add_all_qubit_readout_error(ReadoutError([[0.95, 0.05], [0.1, 0.9]]))
    return model


def by_hand(program: Program, angles: np.ndarray, model: NoiseModel, shots: int = 1) -> list[np.ndarray]:
    """Each group's probabilities for one row: Aer on the circuits that the program runs, measured by Aer itself.

    Aer's own density matrix, one circuit at a time, with numbers in place of parameters; misread with the matrices that
    the model holds for the qubits on which ours end.
    """
    simulator, tables = qiskit_aer.AerSimulator(method="density_matrix", noise_model=model), []
    errors = [error for error in model.to_dict()["errors"] if error["type"] == "roerror"]
    local = {error["gate_qubits"][0][0]: error["probabilities"] for error in errors if "gate_qubits" in error}
    common = next((error["probabilities"] for error in errors if "gate_qubits" not in error), np.eye(2))
    for body in program.bodies:
        (number,) = body.groups
        places = [body.places[qubit] for qubit in program.groups[number].qubits]
        values = {name: column[0] for name, column in body.slots.binds(angles).items()}
        circuit = body.circuit.assign_parameters(values)
        circuit.save_density_matrix(qubits=places[::-1])
        density = simulator.run(circuit).result().data(0)["density_matrix"]
        confusion = np.eye(1)
        for place in places:
            confusion = np.kron(confusion, np.asarray(local.get(place, common)))
        tables.append(np.real(np.diag(np.asarray(density))) @ confusion)
    return tables


class TestUniformNoise:
    @pytest.mark.parametrize(
        "noise", [{"depolarizing": (0.05, 0.1)}, {"readout_error": (0.1, 0.2)}, UNIFORM], ids=["gates", "bits", "both"]
    )
    def test_it_is_that_of_the_mock(
        self,
        noise: dict[str, Any],
        random_circuit: RandomCircuit,
        random_observables: RandomObservables,
        execute: Execute,
        rng: np.random.Generator,
    ) -> None:
        pytest.importorskip("qstore_mock", reason="the simulator that Aer is compared with is a plugin of its own")
        mock = get_backend("mock", **noise)
        assert isinstance(mock, LocalBackend)
        for n_qubits in (2, 3, 4):
            circuit = random_circuit(rng, n_qubits)
            kept = tuple(op for op in circuit.operations if op.name not in ("crx", "cry", "crz"))  # two CNOTs in Aer
            circuit = QuantumCircuit(n_qubits, kept)
            angles = rng.normal(size=(3, circuit.structure.n_angles))
            batch = CircuitBatch(circuit.structure, angles, random_observables(rng, n_qubits))
            found = execute(NoisyAerBackend(**noise), batch).expectations
            np.testing.assert_allclose(found, execute(mock, batch).expectations, atol=1e-10, rtol=0)

    def test_misread_bits_alone_need_no_density_matrix(self) -> None:
        backend = NoisyAerBackend(readout_error=0.1, memory_bytes=2**20)
        assert (backend.settings.method, backend.capabilities.exact) == ("statevector", True)
        assert backend.capabilities.max_qubits == 15

    def test_clifford_circuits_may_be_wide(self, execute: Execute) -> None:
        """One z-test of a parity over 30 qubits with a false-alarm rate of 6e-7, at a fixed seed."""
        n_qubits, shots, backend = 30, 2000, NoisyAerBackend(depolarizing=0.01, method="stabilizer")
        circuit = QuantumCircuit(n_qubits)
        for qubit in range(n_qubits):
            circuit = circuit.x(qubit)
        parity = (PauliSum.of(" ".join(f"Z{qubit}" for qubit in range(n_qubits))),)
        batch = CircuitBatch(circuit.structure, circuit.angles(), parity, shots, StepKey(1).draws(sample=[0]))
        found, expected = estimates(batch, execute(backend, batch)).values[0, 0], 0.99**n_qubits
        assert abs(found - expected) < 5 * np.sqrt((1 - expected**2) / shots)

    @pytest.mark.parametrize("method", ["statevector", "matrix_product_state"])
    def test_trajectories_are_sampled_from_it(
        self, method: str, random_circuit: RandomCircuit, execute: Execute
    ) -> None:
        """z-tests of 3 observables with a false-alarm rate of 6e-7 each, at a fixed seed."""
        circuit = random_circuit(np.random.default_rng(5), 3, 12)
        exact = execute(NoisyAerBackend(**UNIFORM), CircuitBatch(circuit.structure, circuit.angles(), OBSERVABLES))
        labels, shots = StepKey(3).draws(sample=[0]), 6000
        batch = CircuitBatch(circuit.structure, circuit.angles(), OBSERVABLES, shots, labels)
        backend = NoisyAerBackend(method=method, **UNIFORM)
        found = estimates(batch, execute(backend, batch)).values
        assert exact.expectations is not None
        spread = np.sqrt((1 - exact.expectations**2) / shots)
        assert (np.abs(found - exact.expectations) < 5 * spread).all()
        assert not backend.capabilities.exact

    def test_trajectories_follow_the_rows_label(self, random_circuit: RandomCircuit, execute: Execute) -> None:
        circuit = random_circuit(np.random.default_rng(5), 3, 12)
        labels, backend = StepKey(3).draws(sample=np.arange(4)), NoisyAerBackend(method="statevector", **UNIFORM)
        batch = CircuitBatch(circuit.structure, np.tile(circuit.angles(), (4, 1)), OBSERVABLES, 50, labels)
        whole, part = (execute(backend, each).counts or () for each in (batch, batch.rows(2, 3)))
        assert [group.to_dicts()[2:3] for group in whole] == [group.to_dicts() for group in part]


class TestAgainstAerByHand:
    @pytest.mark.parametrize(
        "options",
        [
            {"noise_model": hand_made()},
            {"target": device()},
            {"target": device(), "qubits": (3, 1, 2, 0)},
            {"target": device(coupling=CouplingMap.from_ring(5))},
            {"target": device(), "noise_model": hand_made()},
            {"target": device(4).target},
            {"target": "line-4"},
        ],
        ids=["model", "device", "chosen qubits", "ring", "device with model", "target", "name"],
    )
    def test_values_are_those_of_the_circuit_that_ran(
        self, options: dict[str, Any], random_circuit: RandomCircuit, execute: Execute, rng: np.random.Generator
    ) -> None:
        backend = NoisyAerBackend(**options)
        circuit = random_circuit(rng, 4, 14)
        batch = CircuitBatch(circuit.structure, rng.normal(size=(2, circuit.structure.n_angles)), OBSERVABLES)
        program = backend.compile(batch.structure, batch.groups)
        found = execute(backend, batch).expectations
        assert batch.plan is not None
        for row in range(2):
            tables = by_hand(program, batch.angles[row : row + 1], backend.noise_model)
            expected = batch.plan.from_probabilities([table[None] for table in tables])
            np.testing.assert_allclose(found[row], expected[0], atol=1e-8, rtol=0)

    def test_what_runs_is_our_circuit(self, random_circuit: RandomCircuit, rng: np.random.Generator) -> None:
        """Without its noise the compiled circuit has our unitary's probabilities: compilation loses nothing."""
        circuit = random_circuit(rng, 4, 20)
        angles = rng.normal(size=(1, circuit.structure.n_angles))
        batch = CircuitBatch(circuit.structure, angles, OBSERVABLES)
        backend = NoisyAerBackend(target=device(coupling=CouplingMap.from_ring(5)))
        program = backend.compile(batch.structure, batch.groups)
        tables = by_hand(program, angles, NoiseModel())
        assert batch.plan is not None
        found = batch.plan.from_probabilities([table[None] for table in tables])
        np.testing.assert_allclose(found, reference.expectations(batch), atol=1e-10, rtol=0)

    def test_the_noise_of_a_device_is_the_one_that_aer_derives(self) -> None:
        fake = device(8)
        assert Hardware.of(fake).noise_model() == NoiseModel.from_backend(fake)

    def test_shots_follow_the_noisy_probabilities(self, random_circuit: RandomCircuit, execute: Execute) -> None:
        """One chi-square test with a false-alarm rate of 1e-7, at a fixed seed."""
        circuit, backend, shots = (
            random_circuit(np.random.default_rng(9), 3, 12),
            NoisyAerBackend(target=device()),
            10**5,
        )
        exact = execute(backend, CircuitBatch(circuit.structure, circuit.angles())).probabilities or ()
        batch = CircuitBatch(circuit.structure, circuit.angles(), None, shots, StepKey(1).draws(sample=[0]))
        (counts,) = execute(backend, batch).counts or ()
        observed = [counts.to_dicts()[0].get(format(outcome, "03b"), 0) for outcome in range(8)]
        assert stats.chisquare(observed, exact[0][0] / exact[0][0].sum() * shots).pvalue > 1e-7


class TestCoupling:
    @pytest.mark.parametrize(
        "coupling",
        [
            CouplingMap.from_line(6),
            CouplingMap.from_ring(6),
            CouplingMap.from_heavy_hex(3),
            CouplingMap.from_grid(3, 3),
        ],
        ids=["line", "ring", "heavy hex", "grid"],
    )
    def test_hardware_aware_entanglement_needs_no_swaps(self, coupling: CouplingMap) -> None:
        backend = NoisyAerBackend(target=device(coupling.size(), coupling))
        model = QuantumModel(6, 6, 2, backend, depth=2, entanglement="hardware_aware", seed=1)
        structure = model.circuit.structure
        program = backend.compile(structure, CircuitBatch(structure, np.zeros((1, structure.n_angles))).groups)
        assert program.two_qubit_gates == structure.two_qubit_gates == 10

    def test_others_need_some(self) -> None:
        backend = NoisyAerBackend(target="line-5")
        structure = QuantumModel(5, 5, 2, backend, entanglement="full", seed=1).circuit.structure
        program = backend.compile(structure, CircuitBatch(structure, np.zeros((1, structure.n_angles))).groups)
        assert program.two_qubit_gates > structure.two_qubit_gates

    def test_a_circuit_takes_no_qubits_but_its_own(
        self, random_circuit: RandomCircuit, rng: np.random.Generator
    ) -> None:
        backend = NoisyAerBackend(target=device(19, CouplingMap.from_heavy_hex(3)))
        structure = random_circuit(rng, 4).structure
        program = backend.compile(structure, CircuitBatch(structure, np.zeros((1, structure.n_angles))).groups)
        assert program.active_qubits == 4

    def test_every_gate_is_one_of_the_device_between_qubits_it_connects(self, random_circuit: RandomCircuit) -> None:
        fake = device(19, CouplingMap.from_heavy_hex(3))
        structure = random_circuit(np.random.default_rng(4), 5).structure
        backend = NoisyAerBackend(target=fake)
        (body,) = backend.compile(structure, CircuitBatch(structure, np.zeros((1, structure.n_angles))).groups).bodies
        for instruction in body.circuit.data:
            qubits = tuple(body.circuit.find_bit(qubit).index for qubit in instruction.qubits)
            assert fake.target.instruction_supported(instruction.operation.name, qubits)

    def test_the_device_sets_connectivity_and_gates(self) -> None:
        capabilities = NoisyAerBackend(target="line-4").capabilities
        assert capabilities.connectivity == {(0, 1), (1, 0), (1, 2), (2, 1), (2, 3), (3, 2)}
        assert capabilities.max_qubits == 4
        assert {"cx", "rz", "sx"} < set(capabilities.native_gates)

    def test_qubits_can_be_chosen(self) -> None:
        backend = NoisyAerBackend(target=device(5), qubits=(2, 3, 1))
        assert backend.capabilities.connectivity == {(0, 1), (1, 0), (0, 2), (2, 0)}

    @pytest.mark.parametrize("coupling", [CouplingMap.from_line(9), CouplingMap.from_heavy_hex(5)])
    def test_the_first_qubits_are_a_line(self, coupling: CouplingMap) -> None:
        edges = Hardware.of(device(coupling.size(), coupling)).edges
        assert all((qubit, qubit + 1) in edges for qubit in range(8))


class TestErrors:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({}, "noise comes from depolarizing= and readout_error=, or from noise_model= or target="),
            ({"depolarizing": 0.1, "target": "line-2"}, "give one of these"),
            ({"depolarizing": 1.5}, "depolarizing is a probability from 0 to 1, or a pair of them, not 1.5"),
            ({"noise_model": 3}, "noise_model is a qiskit_aer.noise.NoiseModel, not 3"),
            ({"noise_model": NoiseModel()}, "there is no noise in this; use the backend 'aer'"),
            ({"target": 7}, "target is a Qiskit backend of version 2"),
            ({"depolarizing": 0.1, "qubits": (0, 1)}, r"qubits=\(0, 1\) are those of a device: give target= as well"),
            (
                {"target": "line-3", "method": "stabilizer"},
                "method='stabilizer' takes depolarizing= and readout_error=",
            ),
            ({"target": "line-3", "qubits": (0, 3)}, "qubits are different numbers from 0 to 2, the device's"),
        ],
    )
    def test_options_that_cannot_be(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigurationError, match=message) as caught:
            NoisyAerBackend(**options)
        assert "\n" not in str(caught.value)

    def test_a_fake_device_that_does_not_exist(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "qiskit_ibm_runtime", SimpleNamespace(fake_provider=SimpleNamespace()))
        with pytest.raises(ConfigurationError, match="no fake device is called 'FakeAtlantis'; use line-N, or a class"):
            NoisyAerBackend(target="FakeAtlantis")

    def test_fake_devices_by_name_need_a_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "qiskit_ibm_runtime", None)
        with pytest.raises(ConfigurationError, match=r"'FakeManilaV2': .* need qiskit-ibm-runtime: pip install"):
            NoisyAerBackend(target="FakeManilaV2")

    def test_errors_on_gates_that_never_run(self) -> None:
        model = NoiseModel()
        model.add_all_qubit_quantum_error(depolarizing_error(0.1, 1), ["fancy"])
        with pytest.raises(ConfigurationError, match="errors on 'fancy', which circuits are never compiled to"):
            NoisyAerBackend(noise_model=model)

    def test_errors_on_gates_that_the_device_lacks(self) -> None:
        model = NoiseModel()
        model.add_all_qubit_quantum_error(depolarizing_error(0.1, 1), ["h"])
        with pytest.raises(ConfigurationError, match=r"errors on 'h', which .* name the device's: cx, delay, id"):
            NoisyAerBackend(noise_model=model, target="line-2")

    def test_gates_that_cannot_express_the_circuit(self, execute: Execute) -> None:
        model = NoiseModel(basis_gates=["x", "z"])
        model.add_all_qubit_quantum_error(depolarizing_error(0.1, 1), ["x"])
        circuit = QuantumCircuit(2).ry(0, 0.3).cnot(0, 1)
        with pytest.raises(
            CapabilityError, match="Qiskit cannot compile this circuit of cnot, ry for the target"
        ) as caught:
            execute(NoisyAerBackend(noise_model=model), CircuitBatch(circuit.structure, circuit.angles()))
        assert "\n" not in str(caught.value)

    def test_too_many_qubits_for_the_memory(self, execute: Execute) -> None:
        backend = NoisyAerBackend(memory_bytes=2**20, depolarizing=0.1)
        circuit = QuantumCircuit(8)
        with pytest.raises(CapabilityError, match=r"has 8 qubits and backend 'aer.noisy' at most 7 \(memory_bytes="):
            execute(backend, CircuitBatch(circuit.structure, circuit.angles()))


class TestFingerprint:
    def test_it_changes_with_the_noise(self) -> None:
        other = hand_made()
        other.add_all_qubit_quantum_error(depolarizing_error(0.01, 1), ["rz"])
        options: list[dict[str, Any]] = [
            {"depolarizing": 0.1},
            {"depolarizing": 0.2},
            {"readout_error": 0.1},
            {"noise_model": hand_made()},
            {"noise_model": other},
            {"target": device(4)},
            {"target": device(4, seed=8)},
            {"target": device(4), "qubits": (1, 0)},
            {"target": device(4), "noise_model": hand_made()},
            {"target": device(4, CouplingMap.from_ring(4)), "noise_model": hand_made()},
            {"depolarizing": 0.1, "method": "statevector"},
        ]
        backends = [NoisyAerBackend(**each) for each in options]
        assert len({backend.fingerprint for backend in backends}) == len(options)
        assert {backend.name for backend in backends} == {"aer.noisy"}

    def test_the_same_noise_made_twice_has_one(self) -> None:
        assert (
            NoisyAerBackend(noise_model=hand_made()).fingerprint == NoisyAerBackend(noise_model=hand_made()).fingerprint
        )
        assert NoisyAerBackend(target=device(4)).fingerprint == NoisyAerBackend(target=device(4)).fingerprint
