"""Native gates on IonQ's devices: how many, and how long compiling takes, beside the target gatesets of cirq-ionq.

The circuits are `d` layers of RY and RZ on every qubit and a CNOT chain, all qubits measured, with generic angles; with
free tails, those that are left when the last chain has moved into the observables, the mean of Z of each qubit. Then
640 rows of angles are bound to one compiled structure, and the same 640 circuits compiled by cirq-ionq one by one, in
turn, in this process. `--rows` takes fewer.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import cirq
import cirq_ionq
import numpy as np
from qstore_ionq.native import compile_native, compile_qis
from qstore_ionq.native.poles import Family

from qstore_core import CircuitStructure, PauliSum
from qstore_core.arrays import FloatArray
from qstore_core.lightcone import reduce_circuit
from qstore_core.measurement import measurement_plan, register_group

SIZES = ((8, 2), (16, 3))
BOUND = 0.01


@dataclass(frozen=True)
class Device:
    """A device, as both compilers know it."""

    name: str
    family: Family
    gateset: cirq.TwoQubitCompilationTargetGateset


DEVICES = (
    Device("Forte", "zz", cirq_ionq.ForteNativeGateset()),
    Device("Aria", "ms", cirq_ionq.AriaNativeGateset()),
)


def layers(n_qubits: int, depth: int) -> CircuitStructure:
    layer = [(name, (qubit,)) for qubit in range(n_qubits) for name in ("ry", "rz")]
    chain = [("cnot", (qubit, qubit + 1)) for qubit in range(n_qubits - 1)]
    return CircuitStructure(n_qubits, (*layer, *chain) * depth)


def angles(structure: CircuitStructure, n_rows: int) -> FloatArray:
    return np.random.default_rng(7).normal(size=(n_rows, structure.n_angles))


def in_cirq(structure: CircuitStructure, row: FloatArray) -> cirq.Circuit:
    qubits, values = cirq.LineQubit.range(structure.n_qubits), iter(row)
    circuit = cirq.Circuit()
    for name, places in structure.gates:
        gate = cirq.CNOT if name == "cnot" else getattr(cirq, name)(next(values))
        circuit.append(gate(*(qubits[place] for place in places)))
    return circuit


def counts_of_cirq(structure: CircuitStructure, gateset: cirq.TwoQubitCompilationTargetGateset) -> str:
    made = cirq.optimize_for_target_gateset(in_cirq(structure, angles(structure, 1)[0]), gateset=gateset)
    sizes = [len(operation.qubits) for operation in made.all_operations()]
    return written(sizes.count(1), sizes.count(2))


def counts_of_ours(structure: CircuitStructure, family: Family) -> str:
    return written(*compile_native(structure, (register_group(structure.n_qubits),), family=family).gate_counts(0))


def counts_with_free_tails(structure: CircuitStructure, family: Family) -> str:
    means = tuple(PauliSum.of(f"Z{qubit}") for qubit in range(structure.n_qubits))
    reduced = reduce_circuit(structure, means, "auto")
    (group,) = measurement_plan(reduced.observables).groups
    return written(*compile_native(reduced.structure, (group,), family=family).gate_counts(0))


def written(one_qubit: int, two_qubit: int) -> str:
    return f"{one_qubit:3} / {two_qubit:2}"


def print_counts() -> None:
    print("gates on one and on two qubits".ljust(38), *(f"n={n} d={d}".rjust(12) for n, d in SIZES))
    structures = [layers(*size) for size in SIZES]

    def line(label: str, count: Callable[[CircuitStructure], str]) -> None:
        print(label.ljust(38), *(count(structure).rjust(12) for structure in structures))

    line("as written", lambda s: written(len(s.gates) - s.two_qubit_gates, s.two_qubit_gates))
    line("qis, light cone", lambda s: written(*compile_qis(s, (register_group(s.n_qubits),)).gate_counts(0)))
    for device in DEVICES:
        line(f"{device.name}, cirq-ionq {cirq_ionq.__version__}", lambda s, d=device: counts_of_cirq(s, d.gateset))
        line(f"{device.name}, qstore", lambda s, d=device: counts_of_ours(s, d.family))
        line(f"{device.name}, qstore, free tails", lambda s, d=device: counts_with_free_tails(s, d.family))


def seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def print_times(n_rows: int) -> None:
    structure = layers(*SIZES[0])
    rows = angles(structure, n_rows)
    groups = (register_group(structure.n_qubits),)
    circuits = [in_cirq(structure, row) for row in rows]
    print(f"\n{n_rows} circuits of n=8 d=2, seconds")
    for device in DEVICES:
        program = compile_native(structure, groups, family=device.family)
        once = seconds(lambda d=device: compile_native(structure, groups, family=d.family))
        bind = min(seconds(lambda p=program: p.bind(rows)) for _ in range(5))
        bound = program.bind(rows)
        text = seconds(lambda b=bound: [b.json(row, 0) for row in range(n_rows)])
        theirs = seconds(
            lambda d=device: [cirq.optimize_for_target_gateset(each, gateset=d.gateset) for each in circuits]
        )
        print(f"{device.name}: compiling once {once:.4f}, binding {bind:.4f}, writing JSON {text:.4f}")
        print(f"{device.name}: cirq-ionq one by one {theirs:.2f}; binding takes {bind / theirs:.6f} of it", end="")
        print(f", with compiling and writing {(once + bind + text) / theirs:.6f} (bound: {BOUND})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=640, help="how many circuits are timed")
    print_counts()
    print_times(parser.parse_args().rows)
