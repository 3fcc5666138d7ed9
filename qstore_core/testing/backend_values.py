"""Whether a backend's numbers are right: gates, bit order, bases, registers, derivatives."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import permutations
from unittest import SkipTest

import numpy as np

from qstore_core.arrays import FloatArray
from qstore_core.backend import LocalBackend
from qstore_core.batch import estimates
from qstore_core.circuit import QuantumCircuit
from qstore_core.errors import CapabilityError
from qstore_core.gates import GATES
from qstore_core.observables import PauliString, PauliSum
from qstore_core.testing import reference
from qstore_core.testing.bench import Bench, bound, frequencies
from qstore_core.testing.expect import must_refuse, require, require_close, skip
from qstore_core.testing.suite import BackendChecks, Factory

_ANGLES = (0.0, 0.7, -1.9, 7.3)  # 7.3: an angle is not taken modulo anything but what the gate itself repeats after

_MEANS = (-0.9, 0.1, 0.9, -0.5, 0.5, -0.1)
"""Of Z on the qubits of a product state: neighbours differ by more than the noise of most devices, and 1000 shots."""

_TURNS = (("ry",), ("rx",), ("h", "rz", "h"), ("h", "p", "h"), ("sx", "rz", "sx"), ("sx", "p", "sx"))


class ValueChecks(BackendChecks):
    """Expectation values and probabilities against an exact reference, to a tolerance that follows the shots."""

    def test_qubit_0_is_the_leftmost_bit(self, make_backend: Factory) -> None:
        """Flipping one qubit shows in its own bit: "100" for qubit 0 of three."""
        bench = self.bench(make_backend)
        n_qubits = bench.width(3)
        circuits = [bench.flip(QuantumCircuit(n_qubits), qubit) for qubit in range(n_qubits)]
        batches = [bench.batch(circuit, None, shots=bench.best_shots) for circuit in circuits]
        for qubit, (batch, result) in enumerate(zip(batches, bench.run(*batches), strict=True)):
            wanted = 1 << (n_qubits - 1 - qubit)
            found = int(np.argmax(frequencies(batch, result)[0]))
            bits = (format(outcome, f"0{n_qubits}b") for outcome in (found, wanted))
            require(found == wanted, "with qubit {} flipped the outcome is {!r}, expected {!r}".format(qubit, *bits))

    def test_the_bits_of_a_measured_part_are_in_order(self, make_backend: Factory) -> None:
        """Where some qubits are measured, the first of them is the most significant bit."""
        bench = self.bench(make_backend)
        n_qubits = bench.width(4)
        circuit = bench.flip(QuantumCircuit(n_qubits), n_qubits - 1)
        observables = [PauliSum.of(PauliString({qubit: "Z"})) for qubit in (0, n_qubits - 1)]
        batches = [bench.batch(circuit, (one,), shots=bench.best_shots) for one in observables]
        batches.append(bench.batch(circuit, observables, shots=bench.best_shots))
        for batch, result in zip(batches, bench.run(*batches), strict=True):
            bench.compare(batch, result, f"{batch.observables} with qubit {n_qubits - 1} flipped")

    def test_a_wider_register_keeps_its_qubits_apart(self, make_backend: Factory) -> None:
        """Six qubits, each 1 with a probability of its own: no two are exchanged, in the register and in its parts."""
        bench = self.bench(make_backend)
        n_qubits = bench.width(len(_MEANS))
        circuit = _product(bench, n_qubits)
        each = [PauliSum.of(PauliString({qubit: "Z"})) for qubit in range(n_qubits)]
        whole, parts = batches = [bench.batch(circuit, measured, shots=bench.best_shots) for measured in (None, each)]
        results = bench.run(*batches)
        for batch, result in zip(batches, results, strict=True):
            bench.compare(batch, result, f"a product state of {n_qubits} qubits")
        bits = np.arange(2**n_qubits)[:, None] >> np.arange(n_qubits)[::-1] & 1
        found, wanted = 1 - 2 * frequencies(whole, results[0]) @ bits, reference.expectations(parts)
        tolerance = bench.tolerance(parts) * (2**n_qubits if whole.shots is None else 1)
        require_close(found, wanted, tolerance, f"the mean of each of {n_qubits} qubits")

    def test_every_declared_gate_is_the_one_of_that_name(self, make_backend: Factory) -> None:
        """Each gate, on its qubits in every order, between random rotations, in X, Y and Z."""
        bench = self.bench(make_backend)
        trials = [trial for name in sorted(bench.able.gates) for trial in _trials(bench, name)]
        if not trials:
            skip("no qubits are connected for any of its gates")
        batches = [
            bench.batch(trial.circuit, _paulis(trial.circuit.n_qubits), shots=bench.best_shots, angles=trial.angles)
            for trial in trials
        ]
        for trial, batch, result in zip(trials, batches, bench.run(*batches), strict=True):
            bench.compare(batch, result, trial.label)

    def test_angles_have_their_sign_and_their_scale(self, make_backend: Factory) -> None:
        """One rotation from a known state: `exp(-i t P / 2)` for rx, ry and rz."""
        bench = self.bench(make_backend)
        turning = [name for name in ("rx", "ry", "rz", "p") if name in bench.able.gates]
        if not turning:
            skip("capabilities.gates has none of rx, ry, rz, p")
        batches = []
        for name in turning:
            start = QuantumCircuit(1)
            if name in ("rz", "p"):
                opening = next((gate for gate in ("h", "ry", "rx") if gate in bench.able.gates), None)
                start = start if opening is None else start.append(opening, 0, None if opening == "h" else np.pi / 2)
            circuit = start.append(name, 0, 0.0)
            angles = np.tile(bound(circuit), (4, 1))
            angles[:, -1] = (0.5, -0.5, np.pi / 2, 4.0)
            batches.append(bench.batch(circuit, ("X0", "Y0", "Z0"), shots=bench.best_shots, angles=angles))
        for name, batch, result in zip(turning, batches, bench.run(*batches), strict=True):
            bench.compare(batch, result, f"gate {name!r} at 0.5, -0.5, pi/2 and 4 radians, in X, Y and Z")

    def test_observables_are_read_in_their_own_bases(self, make_backend: Factory) -> None:
        """Products and sums of X, Y and Z with constants, several bases in one batch."""
        bench = self.bench(make_backend)
        rng, n_qubits = np.random.default_rng(11), bench.width(3)
        circuit = bench.random_circuit(rng, n_qubits)
        words = [{qubit: "XYZ"[(qubit + turn) % 3] for qubit in range(n_qubits)} for turn in range(3)]
        sums = [PauliString("I", 0.5) + PauliString({0: letter}) - 0.25 * PauliString(words[0]) for letter in "XYZ"]
        observables = [*(PauliSum.of(PauliString(word)) for word in words), *sums]
        batch = bench.batch(circuit, observables, shots=bench.best_shots)
        (result,) = bench.run(batch)
        values = estimates(batch, result).values[0]
        wanted, tolerance = reference.expectations(batch)[0], bench.tolerance(batch)
        for observable, found, expected, near in zip(observables, values, wanted, tolerance, strict=True):
            require_close(found, expected, near, f"the expectation value of {observable}")

    def test_the_whole_register_is_read_where_there_are_no_observables(self, make_backend: Factory) -> None:
        """A batch with `observables=None` gives every qubit in the computational basis."""
        bench = self.bench(make_backend)
        rng = np.random.default_rng(12)
        circuit = bench.random_circuit(rng, bench.width(3))
        batch = bench.batch(circuit, None, shots=bench.best_shots)
        (result,) = bench.run(batch)
        require(result.expectations is None, "a batch without observables has no expectation values")
        bench.compare(batch, result, "a random circuit")

    def test_random_circuits_agree_with_the_reference(self, make_backend: Factory) -> None:
        """Gates of every kind on up to four qubits, as they come."""
        bench = self.bench(make_backend)
        rng, batches = np.random.default_rng(13), []
        for n_qubits in sorted({bench.width(width) for width in (1, 2, 3, 4)}):
            circuit = bench.random_circuit(rng, n_qubits, length=20)
            angles = rng.normal(scale=2.0, size=(3, circuit.structure.n_angles))
            batches.append(bench.batch(circuit, _paulis(n_qubits), shots=bench.best_shots, angles=angles))
        for batch, result in zip(batches, bench.run(*batches), strict=True):
            bench.compare(batch, result, f"a random circuit of {batch.structure.n_qubits} qubits")

    def test_constants_need_no_circuit(self, make_backend: Factory) -> None:
        """An observable that is a multiple of the identity has that value in every row."""
        bench = self.bench(make_backend)
        if bench.is_remote:
            skip("a remote backend is sent no circuits that measure nothing")
        batch = bench.batch(bench.flip(QuantumCircuit(1), 0), (PauliSum.of(PauliString("I", 2.5)),), shots=None)
        if not bench.able.exact:
            batch = bench.batch(QuantumCircuit(1), batch.observables, shots=bench.sampled_shots)
        (result,) = bench.run(batch)
        require_close(estimates(batch, result).values, [[2.5]], 1e-12, "2.5 times the identity")
        if bench.able.adjoint and isinstance(bench.backend, LocalBackend):
            call = bench.backend.value_and_gradient(batch, bench.compile(batch), np.ones_like)
            gradients = asyncio.run(call).angle_gradients
            require(gradients is not None, "value_and_gradient of a constant has no angle_gradients")
            require_close(np.asarray(gradients), np.zeros_like(batch.angles), 1e-12, "the derivatives of a constant")

    def test_adjoint_gradients_are_the_derivatives(self, make_backend: Factory) -> None:
        """`gradient` against differences of the reference; an error where the capabilities say that there is none."""
        bench = self.bench(make_backend)
        if not isinstance(bench.backend, LocalBackend):
            skip("it is a remote backend: it has no gradients")
        rng = np.random.default_rng(14)
        circuit = bench.random_circuit(rng, bench.width(3))
        angles = rng.normal(size=(3, circuit.structure.n_angles))
        batch = bench.batch(circuit, _paulis(circuit.n_qubits), shots=None, angles=angles)
        cotangents = rng.normal(size=(3, len(batch.observables or ())))
        call = bench.backend.gradient(batch, bench.compile(batch), cotangents)
        if not bench.able.adjoint:
            with must_refuse(CapabilityError, "a gradient where capabilities.adjoint is False"):
                asyncio.run(call)
            return
        step, found = 1e-5, asyncio.run(call)
        for angle in range(angles.shape[1]):
            ends = []
            for sign in (1.0, -1.0):
                moved = angles.copy()
                moved[:, angle] += sign * step
                shifted = bench.batch(circuit, batch.observables, shots=None, angles=moved)
                ends.append(np.sum(reference.expectations(shifted) * cotangents, axis=1))
            require_close(found[:, angle], (ends[0] - ends[1]) / (2 * step), 1e-6, f"the derivative by angle {angle}")

    def test_values_come_with_the_gradients_made_of_them(self, make_backend: Factory) -> None:
        """`value_and_gradient` asks once for cotangents, with the values of all rows, and goes by them."""
        bench = self.bench(make_backend)
        if not isinstance(bench.backend, LocalBackend) or not bench.able.adjoint:
            skip("capabilities.adjoint is False")
        rng = np.random.default_rng(15)
        circuit = bench.random_circuit(rng, bench.width(3))
        angles = rng.normal(size=(3, circuit.structure.n_angles))
        batch = bench.batch(circuit, _paulis(circuit.n_qubits), shots=None, angles=angles)
        compiled, asked = bench.compile(batch), []

        def cotangents(values: FloatArray) -> FloatArray:
            asked.append(values)
            return values + np.arange(3.0)[:, None]

        found = asyncio.run(bench.backend.value_and_gradient(batch, compiled, cotangents))
        require(len(asked) == 1, f"cotangents were asked for {len(asked)} times, not once")
        exact = reference.expectations(batch)
        require(found.expectations is not None, "the result has no expectations")
        require(found.angle_gradients is not None, "the result has no angle_gradients")
        require_close(np.asarray(found.expectations), exact, 1e-6, "the expectation values")
        wanted = asyncio.run(bench.backend.gradient(batch, compiled, exact + np.arange(3.0)[:, None]))
        require_close(np.asarray(found.angle_gradients), wanted, 1e-5, "the gradients")


@dataclass(frozen=True, slots=True, eq=False)
class _Trial:
    """A gate between random rotations, at several angles where it has one."""

    label: str
    circuit: QuantumCircuit
    angles: FloatArray


def _trials(bench: Bench, name: str) -> list[_Trial]:
    """The gate on its qubits in every order; nothing where no qubits are connected for it."""
    gate, rng, trials = GATES[name], np.random.default_rng(list(name.encode())), []
    try:
        chosen = bench.qubits(gate.n_qubits)
    except SkipTest:
        return []
    for qubits in permutations(chosen):
        before = bench.scramble(QuantumCircuit(max(chosen) + 1), rng)
        circuit = bench.scramble(before.append(name, qubits, 0.0 if gate.has_angle else None), rng, length=2)
        angles = bound(circuit)
        if gate.has_angle:
            angles = np.tile(angles, (len(_ANGLES), 1))
            angles[:, before.structure.n_angles] = _ANGLES
        trials.append(_Trial(f"gate {name!r} on qubits {qubits}", circuit, angles))
    return trials


def _product(bench: Bench, n_qubits: int) -> QuantumCircuit:
    """A circuit on single qubits that turns each otherwise, by the gates that there are; else some are flipped."""
    circuit = QuantumCircuit(n_qubits)
    names = next((names for names in _TURNS if set(names) <= bench.able.gates), ())
    for qubit in range(n_qubits):
        for name in names:
            circuit = circuit.append(name, qubit, float(np.arccos(_MEANS[qubit])) if GATES[name].has_angle else None)
        if not names and qubit in (0, 1, 3):
            circuit = bench.flip(circuit, qubit)
    return circuit


def _paulis(n_qubits: int) -> tuple[PauliSum, ...]:
    """X, Y and Z of each qubit, and their products over neighbours, in three bases."""
    letters = [PauliSum.of(PauliString({qubit: letter})) for qubit in range(n_qubits) for letter in "XYZ"]
    pairs = [
        PauliSum.of(PauliString({qubit: letter, qubit + 1: letter}))
        for qubit in range(n_qubits - 1)
        for letter in "XYZ"
    ]
    return (*letters, *pairs)
