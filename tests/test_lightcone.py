"""Smaller circuits: the same expectation values, and gone is what must go."""

from __future__ import annotations

import asyncio
import pickle
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from reductions import FULL, MODES

from qstore_core.angles import Parameter
from qstore_core.backend import Backend, LocalBackend
from qstore_core.batch import BatchResult, CircuitBatch, VectorJacobianProduct, estimates
from qstore_core.circuit import QuantumCircuit
from qstore_core.errors import UnknownNameError
from qstore_core.executor import Executor
from qstore_core.gates import GATES
from qstore_core.lightcone import Reduction, reduce_circuit
from qstore_core.model import QuantumModel
from qstore_core.observables import PauliString, PauliSum, group_commuting
from qstore_core.randomness import StepKey
from qstore_core.readout import mean_z
from qstore_core.registry import get_backend

CLIFFORD = {"x", "y", "z", "h", "s", "sdg", "sx", "cnot", "cz", "swap"}
Execute = Callable[..., BatchResult]


def of(circuit: QuantumCircuit, observables: Sequence[Any], mode: str = "auto") -> Reduction:
    return reduce_circuit(circuit.structure, tuple(map(PauliSum.of, observables)), mode)


def names(reduction: Reduction) -> Counter[str]:
    return Counter(name for name, _ in reduction.structure.gates)


def n_groups(observables: tuple[PauliSum, ...]) -> int:
    return len(group_commuting(term for observable in observables for term in observable.terms))


class TestExpectations:
    @pytest.mark.parametrize("mode", MODES)
    def test_they_stay_the_same_in_300_random_circuits(
        self,
        reducible: list[tuple[QuantumCircuit, tuple[PauliSum, ...]]],
        mock: LocalBackend,
        execute: Execute,
        mode: str,
    ) -> None:
        for circuit, observables in reducible:
            batch = CircuitBatch(circuit.structure, circuit.angles(), observables)
            reduction = reduce_circuit(circuit.structure, observables, mode)
            smaller = reduction.batch(batch)
            whole, part = estimates(batch, execute(mock, batch)), estimates(smaller, execute(mock, smaller))
            np.testing.assert_allclose(part.values, whole.values, rtol=0, atol=1e-12)

    def test_every_gate_was_left_out_somewhere_in_them(
        self, reducible: list[tuple[QuantumCircuit, tuple[PauliSum, ...]]]
    ) -> None:
        dropped: Counter[str] = Counter()
        moved: Counter[str] = Counter()
        for circuit, observables in reducible:
            coned = names(reduce_circuit(circuit.structure, observables, "light_cone"))
            dropped += Counter(circuit.count_gates()) - coned
            moved += coned - names(reduce_circuit(circuit.structure, observables, "auto"))
        assert set(dropped) == set(GATES)
        assert set(moved) >= CLIFFORD

    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("encoding", ["angle", "zz"])
    @pytest.mark.parametrize("hardware_efficient", [True, False])
    @pytest.mark.parametrize("readout", [None, ["Z0", "X1 Y2"]], ids=["means", "other"])
    def test_they_stay_the_same_in_models(
        self, mock: LocalBackend, mode: str, encoding: str, hardware_efficient: bool, readout: list[str] | None
    ) -> None:
        rng = np.random.default_rng(7)
        for entanglement in ("linear", "circular", "full"):
            model = QuantumModel(
                3, 4, 2, depth=2, encoding=encoding, entanglement=entanglement, hardware_efficient=hardware_efficient,
                readout=readout, reuploading=True,
            )  # fmt: skip
            model.parameters = rng.normal(size=model.n_parameters)
            x, key, executor = rng.normal(size=(5, 3)), StepKey(1, "test"), Executor(mock, options=FULL)
            whole = asyncio.run(model.run(executor, x, shots=None, key=key, reduce="none"))
            part = asyncio.run(model.run(executor, x, shots=None, key=key, reduce=mode))
            np.testing.assert_allclose(part, whole, rtol=0, atol=1e-12)


class TestLightCone:
    @pytest.mark.parametrize("depth", [1, 2, 3, 4])
    def test_z_on_the_first_qubit_of_a_chain_sees_one_more_qubit_a_layer(self, depth: int) -> None:
        circuit = _layers(8, depth)
        # the last chain commutes with Z0; the layer before it reaches one qubit, the layer before that two, ...
        expected = Counter(ry=depth * (depth + 1) // 2, cnot=depth * (depth - 1) // 2)
        assert names(of(circuit, ["Z0"], "light_cone")) == expected
        expected = Counter(ry=depth * (depth + 3) // 2, cnot=depth * (depth + 1) // 2)
        assert names(of(circuit, ["X0"], "light_cone")) == expected

    @pytest.mark.parametrize("depth", [1, 2, 3])
    def test_the_last_layer_of_rz_is_dead_under_means_of_z(self, depth: int) -> None:
        reduction = of(_layers(5, depth, ("ry", "rz")), mean_z(5, 2), "light_cone")
        assert names(reduction) == Counter(ry=5 * depth, rz=5 * (depth - 1), cnot=4 * depth)
        assert reduction.angles.tolist() == [*range(10 * (depth - 1)), *range(10 * (depth - 1), 10 * depth, 2)]

    def test_what_only_turns_the_phase_of_the_initial_state_goes_too(self) -> None:
        circuit = QuantumCircuit(3).rz(0, 0.3).cnot(0, 1).swap(1, 2).x(0).cnot(0, 1).crx(2, 1, 0.7).cz(0, 2).ry(1, 0.2)
        reduction = of(circuit, ["Z0", "X1", "Z2"], "light_cone")
        assert [name for name, _ in reduction.structure.gates] == ["x", "cnot", "ry"]

    def test_a_gate_stays_when_one_observable_of_several_needs_it(self) -> None:
        circuit = QuantumCircuit(1).ry(0, 0.1).rz(0, 0.2)
        assert names(of(circuit, ["Z0"], "light_cone")) == {"ry": 1}
        assert names(of(circuit, [PauliString("Z0") + PauliString("X0")], "light_cone")) == {"ry": 1, "rz": 1}
        assert names(of(circuit, ["Z0", "X0"], "light_cone")) == {"ry": 1, "rz": 1}

    def test_observables_and_qubits_stay(self) -> None:
        reduction = of(_layers(4, 2), ["Z3"], "light_cone")
        assert (reduction.structure.n_qubits, reduction.observables) == (4, (PauliSum.of("Z3"),))


class TestTails:
    @pytest.mark.parametrize("n_qubits", range(2, 9))
    @pytest.mark.parametrize("n_outputs", [1, 2])
    def test_a_chain_of_cnots_before_means_of_z_goes_away(self, n_qubits: int, n_outputs: int) -> None:
        reduction = of(_layers(n_qubits, 1), mean_z(n_qubits, n_outputs))
        assert names(reduction) == {"ry": n_qubits}
        assert reduction.tails == n_qubits - 1
        words = {term.letters for observable in reduction.observables for term in observable.terms}
        assert words == {tuple((qubit, "Z") for qubit in range(last + 1)) for last in range(n_qubits)}

    def test_gates_are_followed_by_their_own_qubits_only(self) -> None:
        circuit = QuantumCircuit(4).ry(0, 0.1).h(0).h(3).ry(1, 0.2).cnot(1, 2).ry(2, 0.3).rx(3, 0.4)
        reduction = of(circuit, ["Z0", "Z2"])
        assert [name for name, _ in reduction.structure.gates] == ["ry", "ry", "cnot", "ry"]
        assert reduction.observables == (PauliSum.of("X0"), PauliSum.of("Z2"))

    def test_signs_are_kept(self) -> None:
        reduction = of(QuantumCircuit(1).ry(0, 0.1).y(0), [0.5 * PauliString("Z0") + PauliString("I", 2.0)])
        assert reduction.observables == (-0.5 * PauliString("Z0") + PauliString("I", 2.0),)

    def test_a_gate_that_would_need_another_circuit_stays(self) -> None:
        circuit = QuantumCircuit(2).ry(0, 0.1).ry(1, 0.2).cnot(0, 1)
        assert names(of(circuit, ["X0", "Z1"])) == {"ry": 2, "cnot": 1}  # X0 X1 and Z0 Z1 share no basis
        assert names(of(circuit, ["X0"])) == names(of(circuit, ["Z1"])) == {"ry": 2}

    def test_a_gate_that_makes_sums_of_a_word_stays(self) -> None:
        circuit = QuantumCircuit(1).h(0).t(0)
        assert names(of(circuit, ["X0"])) == {"h": 1, "t": 1}

    def test_neither_groups_nor_terms_grow(self, reducible: list[tuple[QuantumCircuit, tuple[PauliSum, ...]]]) -> None:
        for circuit, observables in reducible:
            reduction = reduce_circuit(circuit.structure, observables)
            assert n_groups(reduction.observables) <= n_groups(observables)
            for before, after in zip(observables, reduction.observables, strict=True):
                weights = [sorted(abs(term.coefficient) for term in each.terms) for each in (before, after)]
                assert weights[0] == weights[1]

    def test_light_cone_and_tails_alternate_until_nothing_changes(self) -> None:
        # the swap hides that the rotation acts on a qubit that nobody reads; the cnot hides the swap
        circuit = QuantumCircuit(3).ry(0, 0.1).ry(1, 0.2).rz(0, 0.3).swap(0, 1).cnot(1, 2)
        reduction = of(circuit, ["Z2 Z1"])
        assert reduction.structure.gates == ()
        assert of(circuit, ["Z2"]).structure.gates == (("ry", (0,)),)

    def test_sampled_outputs_agree_with_exact_ones(self, mock: LocalBackend) -> None:
        model = QuantumModel(4, 4, 2, mock, seed=3, readout=[PauliString("Z0") + PauliString("Z3"), "Z1 Z2"])
        x = np.random.default_rng(4).normal(size=(40, 4))
        exact = asyncio.run(model.run(Executor(mock, options=FULL), x, shots=None, key=StepKey(1, "a"), reduce="none"))
        reduction, affine = model.reduced()
        assert reduction.tails > 0
        angles = affine.angles(x, model.parameters, 40)
        draws = StepKey(2, "sampled").draws(sample=np.arange(40))
        batch = CircuitBatch(reduction.structure, angles, reduction.observables, 4000, draws)
        (result,) = asyncio.run(Executor(mock).run((batch,)))
        found = estimates(batch, result)
        assert found.covariance is not None
        deviations = (found.values - exact) / np.sqrt(np.einsum("roo->ro", found.covariance))
        # 80 standard normal numbers: one beyond 5 in 2 of 10^5 seeds
        assert np.abs(deviations).max() < 5
        # their mean square, with 40 degrees of freedom or more, leaves this in 2 of 10^5 seeds
        assert 0.25 < np.mean(deviations**2) < 2.2


class TestNoise:
    def outputs(self, backend: Backend, mode: str, shots: int | None = None) -> NDArray[np.float64]:
        model = QuantumModel(5, 5, 1, seed=3)
        x = np.random.default_rng(4).normal(size=(6, 5))
        return asyncio.run(model.run(Executor(backend), x, shots=shots, key=StepKey(1, "noise"), reduce=mode))

    def test_fewer_noisy_gates_are_nearer_to_the_exact_outputs(self, mock: LocalBackend) -> None:
        noisy = get_backend("mock", depolarizing=(0.002, 0.02))
        errors = [
            np.abs(self.outputs(noisy, mode) - self.outputs(mock, mode)).mean() for mode in ("light_cone", "auto")
        ]
        assert errors[1] < 0.8 * errors[0]

    def test_misread_bits_weigh_more_in_a_longer_parity(self, mock: LocalBackend) -> None:
        noisy = get_backend("mock", readout_error=0.02)
        errors = [
            np.abs(self.outputs(noisy, mode) - self.outputs(mock, mode)).mean() for mode in ("light_cone", "auto")
        ]
        assert errors[1] > 1.2 * errors[0]

    def test_a_sampled_noisy_backend_runs_them(self) -> None:
        noisy = get_backend("mock", depolarizing=0.01, readout_error=0.02)
        assert np.abs(self.outputs(noisy, "auto", shots=50)).max() <= 1


class TestReduction:
    @pytest.mark.parametrize("mode", MODES)
    def test_reducing_again_changes_nothing(
        self, reducible: list[tuple[QuantumCircuit, tuple[PauliSum, ...]]], mode: str
    ) -> None:
        for circuit, observables in reducible:
            once = reduce_circuit(circuit.structure, observables, mode)
            for other in {mode, "light_cone"}:
                again = reduce_circuit(once.structure, once.observables, other)
                assert again.structure is once.structure
                assert again.observables == once.observables
                assert again.angles.tolist() == list(range(once.structure.n_angles))

    def test_every_gate_is_left_or_counted(self, reducible: list[tuple[QuantumCircuit, tuple[PauliSum, ...]]]) -> None:
        for circuit, observables in reducible:
            reduction = reduce_circuit(circuit.structure, observables)
            assert len(reduction.structure.gates) + reduction.light_cone + reduction.tails == len(circuit.operations)
            assert len(reduction.angles) == reduction.structure.n_angles

    def test_none_leaves_everything(self) -> None:
        circuit = _layers(3, 2)
        reduction = of(circuit, ["Z0"], "none")
        assert reduction.structure is circuit.structure
        assert (reduction.light_cone, reduction.tails, reduction.angles.tolist()) == (0, 0, list(range(6)))

    def test_asking_again_gives_the_same_object(self) -> None:
        one, other = _layers(3, 2).structure, _layers(3, 2).structure
        assert one is not other
        assert reduce_circuit(one, mean_z(3, 1)) is reduce_circuit(other, mean_z(3, 1))

    @pytest.mark.parametrize("mode", ["Auto", "", None, True, ["auto"]], ids=repr)
    def test_an_unknown_mode_lists_the_known_ones(self, mode: Any) -> None:
        with pytest.raises(UnknownNameError, match=r"unknown reduce .*Known: auto, light_cone, none"):
            of(_layers(2, 1), ["Z0"], mode)

    def test_nothing_may_be_left(self, mock: LocalBackend) -> None:
        circuit = QuantumCircuit(2).rz(0, Parameter("a")).h(1)
        batch = CircuitBatch(circuit.structure, circuit.angles(parameters=[[0.1], [0.2]]), (PauliSum.of("X1"),))
        reduction = of(circuit, ["X1"])
        assert (reduction.structure.gates, reduction.structure.depth) == ((), 0)
        for shots in (None, 7):
            smaller = reduction.batch(replace(batch, shots=shots, draws=np.arange(2)))
            assert smaller.angles.shape == (2, 0)
            (result,) = asyncio.run(Executor(mock).run((smaller,)))
            assert estimates(smaller, result).values.tolist() == [[1.0], [1.0]]
        (gradient,) = asyncio.run(Executor(mock).run((VectorJacobianProduct(batch, np.ones((2, 1))),)))
        assert gradient.angle_gradients is not None
        assert gradient.angle_gradients.tolist() == [[0.0], [0.0]]


class TestStructure:
    def test_its_depth_is_that_of_the_circuit(self, reducible: list[tuple[QuantumCircuit, Any]]) -> None:
        assert all(circuit.structure.depth == circuit.depth() for circuit, _ in reducible)

    def test_equal_structures_hash_alike_and_their_hash_does_not_travel(self) -> None:
        one, other = _layers(3, 2).structure, _layers(3, 2).structure
        before = pickle.dumps(one)
        assert hash(one) == hash(other)
        assert pickle.dumps(one) == before  # text hashes differently in another process
        assert pickle.loads(before) == one
        assert hash(pickle.loads(before)) == hash(one)


def _layers(n_qubits: int, depth: int, rotations: Sequence[str] = ("ry",)) -> QuantumCircuit:
    """Rotations on every qubit, then a chain of CNOTs, `depth` times."""
    circuit = QuantumCircuit(n_qubits)
    for layer in range(depth):
        for qubit in range(n_qubits):
            for name in rotations:
                circuit = circuit.append(name, qubit, 0.1 + layer)
        for qubit in range(n_qubits - 1):
            circuit = circuit.cnot(qubit, qubit + 1)
    return circuit
