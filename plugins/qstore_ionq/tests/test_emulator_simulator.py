"""The emulator's simulation against Cirq's, with the gate matrices of Cirq and cirq-ionq."""

from __future__ import annotations

from typing import Any

import cirq
import cirq_ionq
import numpy as np
import pytest
from qstore_ionq.emulator.gates import Gate, read_gate
from qstore_ionq.emulator.simulator import Depolarizing, probabilities
from qstore_ionq.targets import TargetTable

from qstore_core.testing.provider.refusal import RefusedError

NATIVE = frozenset({"gpi", "gpi2", "ms", "zz"})
FIXED: dict[str, cirq.Gate] = {
    "x": cirq.X,
    "not": cirq.X,
    "y": cirq.Y,
    "z": cirq.Z,
    "h": cirq.H,
    "s": cirq.S,
    "si": cirq.S**-1,
    "t": cirq.T,
    "ti": cirq.T**-1,
    "v": cirq.X**0.5,
    "vi": cirq.X**-0.5,
    "swap": cirq.SWAP,
}
ROTATIONS: dict[str, Any] = {
    "rx": cirq.rx,
    "ry": cirq.ry,
    "rz": cirq.rz,
    "xx": lambda angle: cirq.XXPowGate(exponent=angle / np.pi),
    "yy": lambda angle: cirq.YYPowGate(exponent=angle / np.pi),
    "zz": lambda angle: cirq.ZZPowGate(exponent=angle / np.pi),
}


def random_circuit(
    rng: np.random.Generator, n_qubits: int, gateset: str, length: int = 30
) -> tuple[list[dict[str, Any]], cirq.Circuit]:
    """The same circuit as JSON and in Cirq."""
    line = cirq.LineQubit.range(n_qubits)
    gates: list[dict[str, Any]] = []
    circuit = cirq.Circuit(cirq.I.on_each(*line))
    names = [*FIXED, *ROTATIONS, "cnot"] if gateset == "qis" else sorted(NATIVE)
    for name in rng.choice(names, size=length):
        a, b = map(int, rng.permutation(n_qubits)[:2])
        entry, gate = one_gate(rng, gateset, str(name))
        if name == "cnot":
            entry |= {"control": a, "target": b}
        elif cirq.num_qubits(gate) == 2:
            entry |= {"targets": [a, b]}
        else:
            entry |= {"target": a} if rng.integers(2) else {"targets": [a]}
        gates.append(entry)
        circuit.append(gate.on(*(line[qubit] for qubit in [a, b][: cirq.num_qubits(gate)])))
    return gates, circuit


def one_gate(rng: np.random.Generator, gateset: str, name: str) -> tuple[dict[str, Any], cirq.Gate]:
    phase, other, angle = rng.uniform(-2, 2), rng.uniform(-2, 2), rng.uniform(0, 0.25)
    if gateset == "native":
        key = "angle" if rng.integers(2) else "phase"  # what the documents say, and what cirq-ionq sends
        made: dict[str, tuple[dict[str, Any], cirq.Gate]] = {
            "gpi": ({"phase": phase}, cirq_ionq.GPIGate(phi=phase)),
            "gpi2": ({"phase": phase}, cirq_ionq.GPI2Gate(phi=phase)),
            "ms": ({"phases": [phase, other], "angle": angle}, cirq_ionq.MSGate(phi0=phase, phi1=other, theta=angle)),
            "zz": ({key: angle}, cirq_ionq.ZZGate(theta=angle)),
        }
        entry, gate = made[name]
        return {"gate": name, **entry}, gate
    if name in ROTATIONS:
        return {"gate": name, "rotation": phase}, ROTATIONS[name](phase)
    return {"gate": name}, FIXED.get(name, cirq.CNOT)


def read(gates: list[dict[str, Any]], gateset: str, n_qubits: int) -> tuple[Gate, ...]:
    return tuple(read_gate(gate, gateset, n_qubits=n_qubits, native=NATIVE) for gate in gates)


def lowest_first(values: Any, n_qubits: int) -> Any:
    """Cirq's probabilities, qubit 0 highest, as the service orders them, qubit 0 lowest."""
    return np.asarray(values).reshape([2] * n_qubits).transpose(*reversed(range(n_qubits))).ravel()


@pytest.mark.parametrize("gateset", ["qis", "native"])
@pytest.mark.parametrize("n_qubits", [2, 3, 5])
def test_states_are_those_of_cirq(gateset: str, n_qubits: int, rng: np.random.Generator) -> None:
    for _ in range(4):
        gates, circuit = random_circuit(rng, n_qubits, gateset)
        (found,) = probabilities([read(gates, gateset, n_qubits)], n_qubits)
        state = circuit.final_state_vector(dtype=np.complex128)
        np.testing.assert_allclose(found, lowest_first(np.abs(state) ** 2, n_qubits), atol=1e-12)


@pytest.mark.parametrize("gateset", ["qis", "native"])
def test_noise_is_the_published_depolarising_channel(gateset: str, rng: np.random.Generator) -> None:
    """Cirq's own channels: on one qubit with probability 3 r / 4 a Pauli, on two with 15 r / 16 one of fifteen."""
    model = TargetTable.load().noise_model("aria-1")
    assert (model.one_qubit, model.two_qubit) == (0.0005, 0.0133)
    for strengths in ((0.0005, 0.0133), (0.2, 0.5)):
        gates, circuit = random_circuit(rng, 3, gateset, length=15)
        noise = {1: cirq.depolarize(3 * strengths[0] / 4), 2: cirq.depolarize(15 * strengths[1] / 16, n_qubits=2)}
        noisy = cirq.Circuit()
        for operation in circuit.all_operations():
            noisy.append(operation)
            if operation.gate != cirq.I:
                noisy.append(noise[len(operation.qubits)].on(*operation.qubits))
        simulator = cirq.DensityMatrixSimulator(dtype=np.complex128)
        expected = np.diag(simulator.simulate(noisy).final_density_matrix).real
        (found,) = probabilities([read(gates, gateset, 3)], 3, Depolarizing(*strengths))
        np.testing.assert_allclose(found, lowest_first(expected, 3), atol=1e-12)


def test_circuits_that_differ_only_in_values_run_together_and_stay_in_order(rng: np.random.Generator) -> None:
    circuits = []
    for value in rng.normal(size=7):
        circuits.append(read([{"gate": "rx", "target": 0, "rotation": value}], "qis", 2))
        circuits.append(read([{"gate": "ry", "target": 1, "rotation": value}], "qis", 2))
    for found, circuit in zip(probabilities(circuits, 2), circuits, strict=True):
        (alone,) = probabilities([circuit], 2)
        np.testing.assert_array_equal(found, alone)


def test_wide_registers_fit_in_memory() -> None:
    (found,) = probabilities([read([{"gate": "h", "target": 17}], "qis", 18)], 18)
    assert found[[0, 2**17]] == pytest.approx(0.5)
    (found,) = probabilities([read([{"gate": "h", "target": 8}], "qis", 9)], 9, Depolarizing(0.1, 0.1))
    assert found.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("h", "a gate is an object with a name under 'gate'"),
        ({"gate": "cz", "targets": [0, 1]}, "gate 'cz' is not in this target's qis gate set: cnot, h, not"),
        ({"gate": "h", "target": 2}, r"acts on \[2\], and the qubits are 0 to 1"),
        ({"gate": "h", "target": True}, "the qubits are 0 to 1"),
        ({"gate": "h", "targets": [0, 1]}, r"acts on 1 different qubit\(s\), not on \[0, 1\]"),
        ({"gate": "cnot", "control": 1, "target": 1}, r"acts on 2 different qubit\(s\)"),
        ({"gate": "rx", "target": 0}, "needs a finite number as 'rotation', not None"),
        ({"gate": "rx", "target": 0, "rotation": float("nan")}, "needs a finite number as 'rotation', not nan"),
        ({"gate": "h", "target": 0, "phase": 0.1}, "gate qis.h has no 'phase'"),
    ],
)
def test_a_gate_that_is_none_is_refused(entry: Any, message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        read_gate(entry, "qis", n_qubits=2, native=frozenset())


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"gate": "ms", "targets": [0, 1], "phases": [0, 0], "angle": 0.1}, "native gate set: gpi, zz"),
        ({"gate": "zz", "targets": [0, 1]}, "needs an 'angle'"),
        ({"gate": "zz", "targets": [0, 1], "angle": 0.1, "phase": 0.1}, "and not both"),
        ({"gate": "zz", "targets": [0, 1], "angle": 0.3}, r"an angle of 0 to 0\.25 turns, not 0\.3"),
        ({"gate": "zz", "targets": [0, 1], "angle": -0.1}, r"an angle of 0 to 0\.25 turns, not -0\.1"),
    ],
)
def test_a_native_gate_outside_the_machines_range_is_refused(entry: Any, message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        read_gate(entry, "native", n_qubits=2, native=frozenset({"gpi", "zz"}))


def test_an_ms_gate_without_an_angle_entangles_fully() -> None:
    entry = {"gate": "ms", "targets": [0, 1], "phases": [0, 0]}
    assert read_gate(entry, "native", n_qubits=2, native=NATIVE).values == (0, 0, 0.25)
