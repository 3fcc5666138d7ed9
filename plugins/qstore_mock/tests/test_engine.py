"""The planned engine against gate after gate, Cirq, and itself in other chunks, threads, precisions and cuts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cirq
import numpy as np
import pytest
from qstore_mock import planning
from qstore_mock.adjoint import angle_gradients
from qstore_mock.backend import MockBackend
from qstore_mock.kernels import zero_state
from qstore_mock.parts import IndexMap, Rotations
from qstore_mock.program import Program, compile_program
from qstore_mock.statevector import run

from qstore_core.angles import Parameter
from qstore_core.arrays import FloatArray
from qstore_core.batch import BatchResult, CircuitBatch, Shifts
from qstore_core.circuit import QuantumCircuit
from qstore_core.errors import CircuitError, ConfigurationError
from qstore_core.gates import GATES
from qstore_core.observables import PauliString, PauliSum
from qstore_core.randomness import StepKey

Execute = Callable[[MockBackend, CircuitBatch], BatchResult]
Differentiate = Callable[[MockBackend, CircuitBatch, FloatArray], FloatArray]
RandomCircuit = Callable[..., QuantumCircuit]
RandomObservables = Callable[..., tuple[PauliSum, ...]]


def layered(n_qubits: int, depth: int, entangler: str = "cnot") -> QuantumCircuit:
    """RX, RY and RZ on every qubit and a chain, several times."""
    circuit, theta = QuantumCircuit(n_qubits), iter(Parameter.vector("t", 3 * n_qubits * depth))
    for _ in range(depth):
        for qubit in range(n_qubits):
            circuit = circuit.rx(qubit, next(theta)).ry(qubit, next(theta)).rz(qubit, next(theta))
        for qubit in range(n_qubits - 1):
            circuit = circuit.append(entangler, (qubit, qubit + 1))
    return circuit


def step_by_step(circuit: QuantumCircuit, angles: FloatArray) -> Any:
    """The states of rows, every gate by itself."""
    state = zero_state(len(angles), circuit.n_qubits)
    for step in Program(circuit.structure, ()).steps:
        step.apply(state, angles)
    return state


def whole(circuit: QuantumCircuit, monkeypatch: pytest.MonkeyPatch) -> Program:
    """The program of a circuit whose register is not cut."""
    monkeypatch.setattr(planning, "GAIN", 2**40)
    program = Program(circuit.structure, ())
    assert len(program.blocks) == 1
    monkeypatch.undo()
    return program


def in_parity_and_other_bases(n_qubits: int) -> tuple[PauliSum, ...]:
    """Observables on one side of a cut, on the other, and across it, in several bases."""
    last = n_qubits - 1
    strings = [{0: "Z"}, {last: "Z"}, {1: "Z", last - 1: "Z"}, {0: "X", last: "Y"}, {2: "Y"}]
    return tuple(PauliSum([PauliString(word, 0.5 + k), PauliString("I", 0.1)]) for k, word in enumerate(strings))


class TestPlanning:
    def test_layers_of_an_ansatz_are_a_part_each(self) -> None:
        (block,) = planning.plan(layered(8, 2).structure)
        assert [type(part) for part in block.parts] == [Rotations, IndexMap, Rotations, IndexMap]

    def test_a_shallow_wide_register_is_cut_and_a_deep_one_is_not(self) -> None:
        assert [block.n_branches for block in planning.plan(layered(16, 3).structure)] == [8, 8]
        assert len(planning.plan(layered(16, 9).structure)) == 1

    @pytest.mark.parametrize("name", [name for name, gate in GATES.items() if gate.n_qubits > 1])
    def test_no_other_gate_is_ever_cut(self, name: str) -> None:
        circuit = QuantumCircuit(14)
        for first in range(14 - GATES[name].n_qubits + 1):
            qubits = tuple(range(first, first + GATES[name].n_qubits))
            circuit = circuit.append(name, qubits, 0.1 if GATES[name].has_angle else None)
        assert (len(planning.plan(circuit.structure)) == 2) == (name in ("cnot", "cz"))


def test_programs_are_kept_unless_their_states_are_large() -> None:
    shallow, deep = layered(16, 2).structure, layered(15, 9).structure
    assert compile_program(shallow, ()) is compile_program(shallow, ())
    assert compile_program(deep, ()) is not compile_program(deep, ())


class TestStates:
    def test_random_circuits_are_those_of_gate_after_gate(
        self, random_circuit: RandomCircuit, rng: np.random.Generator
    ) -> None:
        for n_qubits in (1, 2, 3, 5, 7):
            for length in (1, 5, 60):
                circuit = random_circuit(rng, n_qubits, length)
                angles = rng.normal(scale=3.0, size=(3, circuit.structure.n_angles))
                angles[1:, ::2] = angles[0, ::2]  # some angles that all rows share
                found = run(Program(circuit.structure, ()), angles)
                np.testing.assert_allclose(found, step_by_step(circuit, angles), atol=1e-12)

    @pytest.mark.parametrize("options", [{}, {"depolarizing": 0.02, "readout_error": 0.1}])
    def test_idle_qubits_are_left_out_and_change_nothing(
        self, options: dict[str, float], random_circuit: RandomCircuit, rng: np.random.Generator
    ) -> None:
        busy = random_circuit(rng, 3, 40)
        place = (1, 4, 5)
        gates = tuple((name, tuple(place[qubit] for qubit in qubits)) for name, qubits in busy.structure.gates)
        structure = replace(busy.structure, n_qubits=7, gates=gates)
        observables = (PauliSum.of("X1 Y5"), PauliSum.of("Z4 Z6"), 0.5 * PauliString("Z1 Z5") + 2 * PauliString("Z0"))
        batch = CircuitBatch(structure, rng.normal(size=(4, structure.n_angles)), observables)
        backend = MockBackend(**options)
        narrow, wide = compile_program(structure, batch.groups), Program(structure, batch.groups)
        assert narrow.n_qubits == 5  # two that are read and never touched
        found, wanted = (asyncio.run(backend.execute(batch, program)) for program in (narrow, wide))
        np.testing.assert_allclose(found.expectations, wanted.expectations, atol=1e-12)
        sampled = replace(batch, shots=50, draws=np.arange(4, dtype=np.uint64))
        found, wanted = (asyncio.run(backend.execute(sampled, program)) for program in (narrow, wide))
        for one, other in zip(found.counts, wanted.counts, strict=True):
            assert one.to_dicts() == other.to_dicts()
        if not options:
            cotangents = rng.normal(size=(4, 3))
            ours, theirs = (asyncio.run(backend.gradient(batch, program, cotangents)) for program in (narrow, wide))
            np.testing.assert_allclose(ours, theirs, atol=1e-12)

    @pytest.mark.parametrize("entangler", ["cnot", "cz"])
    @pytest.mark.parametrize("n_qubits", [12, 13])
    def test_a_cut_changes_no_state(
        self, n_qubits: int, entangler: str, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
    ) -> None:
        circuit = layered(n_qubits, 2, entangler).x(0).h(n_qubits - 1).cnot(3, 2)
        angles = rng.normal(size=(2, circuit.structure.n_angles))
        program = compile_program(circuit.structure, ())
        assert len(program.blocks) == 2
        found = run(program, angles)
        np.testing.assert_allclose(found, run(whole(circuit, monkeypatch), angles), atol=1e-12)
        np.testing.assert_allclose(found, step_by_step(circuit, angles), atol=1e-12)

    def test_few_rows_run_on_a_whole_register_and_give_what_many_do(
        self, execute: Execute, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
    ) -> None:
        circuit, ran = layered(12, 2), []
        observables = PauliSum.of("Z11"), PauliSum.of("X0 Y1")
        batch = CircuitBatch(circuit.structure, rng.normal(size=(40, circuit.structure.n_angles)), observables)
        assert len(compile_program(batch.structure, batch.groups).blocks) == 2
        real = MockBackend._execute_chunk
        monkeypatch.setattr(
            MockBackend, "_execute_chunk", lambda *call: (ran.append(len(call[2].blocks)), real(*call))[1]
        )
        many, few = execute(MockBackend(), batch).expectations, execute(MockBackend(), batch.rows(3, 4)).expectations
        assert ran[0] == 2
        assert ran[-1] == 1
        assert many is not None
        np.testing.assert_allclose(few, many[3:4], atol=1e-13)


@pytest.mark.parametrize(("precision", "tolerance"), [("double", 1e-12), ("single", 1e-4)])
@pytest.mark.parametrize(("n_qubits", "depth"), [(8, 2), (9, 4), (12, 2)])
def test_outputs_and_probabilities_are_those_of_cirq(
    n_qubits: int, depth: int, precision: str, tolerance: float, execute: Execute, rng: np.random.Generator
) -> None:
    circuit = layered(n_qubits, depth)
    theta = rng.normal(size=len(circuit.parameters))
    line, values = cirq.LineQubit.range(n_qubits), iter(theta)
    reference = cirq.Circuit()
    for _ in range(depth):
        for qubit in line:
            reference += [rotation(next(values))(qubit) for rotation in (cirq.rx, cirq.ry, cirq.rz)]
        reference += [cirq.CNOT(*line[qubit : qubit + 2]) for qubit in range(n_qubits - 1)]
    state = cirq.Simulator(dtype=np.complex128).simulate(reference, qubit_order=line).final_state_vector
    wanted = [
        sum(
            term.coefficient
            * cirq.DensePauliString([dict(term.letters).get(q, "I") for q in range(n_qubits)])
            .on(*line)
            .expectation_from_state_vector(state, {qubit: index for index, qubit in enumerate(line)})
            .real
            for term in observable.terms
        )
        for observable in in_parity_and_other_bases(n_qubits)
    ]
    backend = MockBackend(precision=precision)
    batch = CircuitBatch(circuit.structure, circuit.angles(parameters=theta), in_parity_and_other_bases(n_qubits))
    found = execute(backend, batch).expectations
    assert found is not None
    np.testing.assert_allclose(found[0], wanted, atol=tolerance)
    (probabilities,) = execute(backend, replace(batch, observables=None)).probabilities or ()
    np.testing.assert_allclose(probabilities[0], np.abs(state) ** 2, atol=tolerance)


class TestGradients:
    @pytest.mark.parametrize(("precision", "tolerance"), [("double", 1e-11), ("single", 1e-4)])
    def test_of_a_cut_register_are_those_of_the_whole(
        self, precision: str, tolerance: float, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
    ) -> None:
        circuit, observables = layered(12, 2), in_parity_and_other_bases(12)
        angles = rng.normal(size=(3, circuit.structure.n_angles))
        angles[:, ::3] = angles[0, ::3]
        batch, cotangents = CircuitBatch(circuit.structure, angles, observables), rng.normal(size=(3, 5))
        plan = batch.plan
        assert plan is not None
        backend = MockBackend(precision=precision)
        cut = backend.compile(batch.structure, batch.groups)
        assert len(cut.blocks) == 2
        found = asyncio.run(backend.gradient(batch, cut, cotangents))
        monkeypatch.setattr(planning, "GAIN", 2**40)
        reference = angle_gradients(Program(circuit.structure, plan.groups), plan, angles, cotangents)
        np.testing.assert_allclose(found, reference, atol=tolerance)

    def test_do_not_depend_on_whether_states_are_kept_or_undone(
        self, random_circuit: RandomCircuit, random_observables: RandomObservables, rng: np.random.Generator
    ) -> None:
        circuit, observables = random_circuit(rng, 5, 60), random_observables(rng, 5)
        angles, cotangents = rng.normal(size=(4, circuit.structure.n_angles)), rng.normal(size=(4, len(observables)))
        plan = CircuitBatch(circuit.structure, angles, observables).plan
        assert plan is not None
        program = compile_program(circuit.structure, plan.groups)
        kept = angle_gradients(program, plan, angles, cotangents)
        undone = angle_gradients(program, plan, angles, cotangents, fits=0)
        np.testing.assert_allclose(undone, kept, atol=1e-12)

    @pytest.mark.parametrize("n_rows", [4, 3000])
    def test_with_the_outputs_are_those_without_them(
        self, n_rows: int, random_observables: RandomObservables, execute: Execute, rng: np.random.Generator
    ) -> None:
        circuit, observables = layered(5, 2), random_observables(rng, 5)
        batch = CircuitBatch(circuit.structure, rng.normal(size=(n_rows, circuit.structure.n_angles)), observables)
        backend = MockBackend()
        program = backend.compile(batch.structure, batch.groups)
        both = asyncio.run(backend.value_and_gradient(batch, program, np.sin))
        values = execute(backend, batch).expectations
        assert values is not None
        np.testing.assert_allclose(both.expectations, values, atol=1e-13)  # type: ignore[arg-type]
        alone = asyncio.run(backend.gradient(batch, program, np.sin(values)))
        np.testing.assert_allclose(both.angle_gradients, alone, atol=1e-12)  # type: ignore[arg-type]


class TestShifts:
    def shifted(self, circuit: QuantumCircuit, rng: np.random.Generator) -> tuple[FloatArray, Shifts]:
        """Three rows, and shifts of all their angles in a random order."""
        n_angles = circuit.structure.n_angles
        base = rng.normal(size=(3, n_angles))
        columns = np.concatenate([[-1] * 3, rng.permutation(np.repeat(np.arange(n_angles), 4))])
        bases = np.concatenate([np.arange(3), rng.integers(3, size=4 * n_angles)])
        amounts = np.where(columns >= 0, rng.normal(scale=2.0, size=len(columns)), 0.0)
        angles = base[bases]
        rows = np.flatnonzero(columns >= 0)
        angles[rows, columns[rows]] += amounts[rows]
        return angles, Shifts(bases, columns, amounts)

    def test_rows_that_are_known_to_be_shifts_have_the_same_results(
        self,
        random_circuit: RandomCircuit,
        random_observables: RandomObservables,
        execute: Execute,
        rng: np.random.Generator,
    ) -> None:
        for circuit in (*(random_circuit(rng, 4, 40).ry(0, 0.1) for _ in range(5)), layered(12, 2)):
            angles, shifts = self.shifted(circuit, rng)
            observables = random_observables(rng, circuit.n_qubits)
            known = CircuitBatch(circuit.structure, angles, observables, shifts=shifts)
            for backend in (MockBackend(), MockBackend(memory_bytes=2**20)):
                found, wanted = execute(backend, known), execute(backend, replace(known, shifts=None))
                np.testing.assert_allclose(found.expectations, wanted.expectations, atol=1e-12)

    def test_shots_are_drawn_by_the_rows_own_labels(
        self, random_circuit: RandomCircuit, execute: Execute, rng: np.random.Generator
    ) -> None:
        circuit = random_circuit(rng, 4, 30).ry(0, 0.1)
        angles, shifts = self.shifted(circuit, rng)
        labels = StepKey(3).draws(sample=np.arange(len(angles)))
        known = CircuitBatch(circuit.structure, angles, (PauliSum.of("Z0 X1"), PauliSum.of("Z2")), 50, labels, shifts)
        found, wanted = execute(MockBackend(), known), execute(MockBackend(), replace(known, shifts=None))
        assert found.counts is not None
        assert wanted.counts is not None
        for mine, theirs in zip(found.counts, wanted.counts, strict=True):
            assert mine.to_dicts() == theirs.to_dicts()

    def test_in_single_precision_they_move_hardly_a_shot(self, execute: Execute, rng: np.random.Generator) -> None:
        circuit, shots = layered(3, 2), 20_000
        angles, shifts = self.shifted(circuit, rng)
        labels = StepKey(3).draws(sample=np.arange(len(angles)))
        known = CircuitBatch(circuit.structure, angles, None, shots, labels, shifts)
        backend = MockBackend(precision="single")
        found, wanted = (
            (execute(backend, each).counts or ())[0].to_dicts() for each in (known, replace(known, shifts=None))
        )
        rows = zip(found, wanted, strict=True)
        moved = sum(abs(mine.get(key, 0) - row.get(key, 0)) for mine, row in rows for key in {*mine, *row}) / 2
        assert moved < 1e-5 * shots * len(angles)  # as often as values of an error of about 1e-6 let a shot move

    def test_angles_that_are_no_such_shifts_are_refused(self, rng: np.random.Generator) -> None:
        circuit = layered(2, 1)
        angles, shifts = self.shifted(circuit, rng)
        with pytest.raises(CircuitError, match="the shifts do not describe the angles"):
            CircuitBatch(circuit.structure, angles + np.arange(len(angles))[:, None], shifts=shifts)


class TestThreads:
    @pytest.mark.parametrize("shots", [None, 100])
    def test_they_change_no_bit(self, shots: int | None, execute: Execute, rng: np.random.Generator) -> None:
        circuit = layered(14, 8)
        angles = rng.normal(size=(18, circuit.structure.n_angles))
        labels = None if shots is None else StepKey(1).draws(sample=np.arange(18))
        batch = CircuitBatch(circuit.structure, angles, (PauliSum.of("Z13"), PauliSum.of("Z0")), shots, labels)
        one, three = (execute(MockBackend(threads=threads), batch) for threads in (1, 3))
        if shots is None:
            np.testing.assert_array_equal(one.expectations, three.expectations)
        else:
            assert one.counts is not None
            assert three.counts is not None
            assert one.counts[0].to_dicts() == three.counts[0].to_dicts()

    def test_gradients_too(self, differentiate: Differentiate, rng: np.random.Generator) -> None:
        circuit = layered(14, 8)
        batch = CircuitBatch(
            circuit.structure, rng.normal(size=(18, circuit.structure.n_angles)), (PauliSum.of("Z13"),)
        )
        one, three = (differentiate(MockBackend(threads=threads), batch, np.ones((18, 1))) for threads in (1, 3))
        np.testing.assert_array_equal(one, three)


class TestOptions:
    def test_single_precision_has_a_fingerprint_of_its_own_and_room_for_a_qubit_more(self) -> None:
        assert MockBackend(precision="single").fingerprint == "mock(precision='single')"
        assert MockBackend(precision="single").capabilities.max_qubits == 24
        assert MockBackend(threads=1).fingerprint == "mock"

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"precision": "half"}, "precision is 'double' or 'single', not 'half'"),
            ({"precision": "single", "depolarizing": 0.1}, "precision='single' is for statevectors"),
            ({"threads": 0}, "threads is a whole number of at least 1, or None for all cores, not 0"),
            ({"threads": True}, "threads is a whole number of at least 1, or None for all cores, not True"),
        ],
    )
    def test_others_are_refused(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigurationError, match=message):
            MockBackend(**options)
