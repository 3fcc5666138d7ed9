"""Noise models: made from a few numbers, checked, identified, and what they do to the bits that are read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from qstore_aer.libraries import qiskit, qiskit_aer
from qstore_aer.translate import OUR_NAMES
from qstore_core.arrays import FloatArray
from qstore_core.errors import ConfigurationError
from qstore_core.gates import GATES

Pair = float | tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Misreading:
    """How bits are misread: `[i, j]` is the probability that i is read as j.

    Attributes:
        default: `(2, 2)`, for qubits without an entry of their own.
        local: `(2, 2)` for single qubits of the device.
    """

    default: FloatArray
    local: dict[int, FloatArray]

    @classmethod
    def of(cls, model: Any) -> Misreading:
        """What a Qiskit noise model says of single qubits."""
        default, local = np.eye(2), {}
        for error in model.to_dict()["errors"]:
            if error["type"] != "roerror":
                continue
            matrix = np.asarray(error["probabilities"], dtype=np.float64)
            if "gate_qubits" not in error:
                default = matrix
            elif len(error["gate_qubits"][0]) == 1:
                local[int(error["gate_qubits"][0][0])] = matrix
        return cls(default, local)

    def apply(self, probabilities: FloatArray, qubits: Sequence[int]) -> FloatArray:
        """What is read of `qubits` when `probabilities`, `(n_rows, 2**len(qubits))`, is what is there.

        >>> flip = Misreading(np.array([[0.9, 0.1], [0.0, 1.0]]), {})
        >>> flip.apply(np.array([[1.0, 0.0]]), [5])
        array([[0.9, 0.1]])
        """
        tensor = probabilities.reshape(len(probabilities), *(2,) * len(qubits))
        for axis, qubit in enumerate(qubits, start=1):
            confusion = self.local.get(qubit, self.default)
            tensor = np.moveaxis(np.tensordot(tensor, confusion, axes=(axis, 0)), -1, axis)
        return np.ascontiguousarray(tensor).reshape(probabilities.shape)


def uniform_noise(depolarizing: Pair, readout_error: Pair) -> tuple[Any, str]:
    """The same noise on every qubit, and what identifies it.

    After each gate its qubits are replaced by the maximally mixed state with probability `depolarizing`, one number or
    (one-qubit gates, all others). A bit is misread with probability `readout_error`, one number or (0 read as 1, 1 read
    as 0). The rotations into a measurement basis are free of noise.
    """
    one, many = _pair("depolarizing", depolarizing)
    low, high = _pair("readout_error", readout_error)
    noise = qiskit_aer.noise
    model = noise.NoiseModel(basis_gates=sorted(OUR_NAMES))
    for width in (1, 2, 3):
        strength = one if width == 1 else many
        if strength:
            names = [theirs for theirs, ours in OUR_NAMES.items() if GATES[ours].n_qubits == width]
            model.add_all_qubit_quantum_error(noise.depolarizing_error(strength, width), names)
    if low or high:
        model.add_all_qubit_readout_error(noise.ReadoutError([[1 - low, low], [high, 1 - high]]))
    return model, f"depolarizing=({one}, {many}), readout_error=({low}, {high})"


def checked(model: object, gates: Iterable[str] | None = None) -> Any:
    """A user's noise model, if it is one, and if each of its errors is on a gate that can occur.

    Args:
        model: What the user gave.
        gates: The gates of the device; None: any of Qiskit's.

    Raises:
        ConfigurationError: Something else, or errors on gates that no compiled circuit has.
    """
    if not isinstance(model, qiskit_aer.noise.NoiseModel):
        raise ConfigurationError(f"noise_model is a qiskit_aer.noise.NoiseModel, not {model!r:.60}")
    standard = qiskit.circuit.library.get_standard_gate_name_mapping()
    allowed = {*(standard if gates is None else gates), "measure", "reset", "delay"}
    unknown = sorted(set(model.noise_instructions) - allowed)
    if unknown:
        known = "gates of Qiskit, such as cx, sx" if gates is None else f"the device's: {', '.join(sorted(gates))}"
        raise ConfigurationError(
            f"the noise model has errors on {', '.join(map(repr, unknown))}, which circuits are never compiled to; "
            f"name {known}"
        )
    return model


def restricted(model: Any, circuits: Iterable[Any]) -> Any:
    """The errors of a noise model that these circuits meet: Aer reads all of a model anew for every job.

    Nothing public gives a model's errors as what `add_quantum_error` takes, so this reads four private attributes.
    """
    met = {_met(circuit, instruction) for circuit in circuits for instruction in circuit.data}
    names, places = {name for name, _ in met}, {qubit for _, qubits in met for qubit in qubits}
    part = qiskit_aer.noise.NoiseModel(basis_gates=list(model.basis_gates))
    for name, error in model._default_quantum_errors.items():
        if name in names:
            part.add_all_qubit_quantum_error(error, name, warnings=False)
    for name, local in model._local_quantum_errors.items():
        for qubits in local.keys() & {qubits for each, qubits in met if each == name}:
            part.add_quantum_error(local[qubits], name, qubits, warnings=False)
    if model._default_readout_error is not None:
        part.add_all_qubit_readout_error(model._default_readout_error, warnings=False)
    for qubits, error in model._local_readout_errors.items():
        if places.issuperset(qubits):
            part.add_readout_error(error, qubits, warnings=False)
    return part


def _met(circuit: Any, instruction: Any) -> tuple[str, tuple[int, ...]]:
    return instruction.operation.name, tuple(circuit.find_bit(qubit).index for qubit in instruction.qubits)


def digest(model: Any) -> str:
    """What identifies a noise model: the beginning of the SHA-256 of its JSON form."""
    errors = [
        {key: value for key, value in error.items() if key != "id"}
        for error in model.to_dict(serializable=True)["errors"]
    ]
    text = json.dumps([sorted(model.basis_gates), errors], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _pair(name: str, value: Pair) -> tuple[float, float]:
    pair = tuple(value) if isinstance(value, tuple | list) else (value, value)
    numbers = [isinstance(number, int | float) and isfinite(number) and 0 <= number <= 1 for number in pair]
    if len(pair) != 2 or not all(numbers):
        raise ConfigurationError(f"{name} is a probability from 0 to 1, or a pair of them, not {value!r}")
    return float(pair[0]), float(pair[1])
