"""Devices: which of their qubits are used, in which order, and what they connect."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from qstore_aer.libraries import qiskit, qiskit_aer
from qstore_core.errors import ConfigurationError


@dataclass(frozen=True, slots=True, eq=False)
class Hardware:
    """A device, its qubits in the order in which we use them.

    Attributes:
        name: What fingerprints and messages call it.
        target: Qiskit's description: gates, connections, errors.
        qubits: The device's qubit for each of ours. Unless chosen by the user, each new one is next to the last where
            it can be, else next to an earlier one, so that the first n are connected, and mostly a line.
    """

    name: str
    target: Any
    qubits: tuple[int, ...]

    @classmethod
    def of(cls, device: object, qubits: Sequence[int] | None = None) -> Hardware:
        """From a Qiskit backend, a `Target`, or the name of a fake device.

        >>> Hardware.of("line-3").edges == frozenset({(0, 1), (1, 0), (1, 2), (2, 1)})
        True
        """
        if isinstance(device, str):
            device = _named(device)
        target = device if isinstance(device, qiskit.transpiler.Target) else getattr(device, "target", None)
        if not isinstance(target, qiskit.transpiler.Target):
            raise ConfigurationError(
                f"target is a Qiskit backend of version 2, a qiskit.transpiler.Target or the name of a fake device, "
                f"not {device!r:.60}"
            )
        name = str(getattr(device, "name", None) or target.description or "target")
        return cls(name, target, _chosen(target, qubits))

    @property
    def edges(self) -> frozenset[tuple[int, int]]:
        """The pairs of our qubits that the device connects."""
        index = {qubit: number for number, qubit in enumerate(self.qubits)}
        return frozenset((index[a], index[b]) for a, b in _edges(self.target) if a in index and b in index)

    @property
    def fingerprint(self) -> str:
        """What identifies the gates, the connections and the choice of qubits, whose errors the noise model holds."""
        operations = [(name, sorted(map(str, self.target[name] or ()))) for name in sorted(self.target.operation_names)]
        digest = hashlib.sha256(json.dumps([operations, self.qubits]).encode()).hexdigest()[:16]
        return f"{self.name}:{digest}"

    def narrowed(self, n_qubits: int) -> Hardware:
        """The same device, with no more than so many of its qubits used."""
        return replace(self, qubits=self.qubits[:n_qubits])

    def part(self, n_qubits: int) -> Any:
        """The device as if it had our first `n_qubits` qubits alone: nothing is routed over others."""
        part = qiskit.transpiler.Target(num_qubits=n_qubits)
        _add_operations(part, self.target, {qubit: number for number, qubit in enumerate(self.qubits[:n_qubits])})
        return part

    def place(self, circuit: Any, places: Sequence[int]) -> tuple[Any, tuple[int, ...]]:
        """A circuit on the device's own qubits, and where ours end on it."""
        wide = qiskit.QuantumCircuit(self.target.num_qubits)
        wide.compose(circuit, qubits=list(self.qubits[: circuit.num_qubits]), inplace=True)
        return wide, tuple(self.qubits[place] for place in places)

    def noise_model(self) -> Any:
        """The noise of our qubits that their reported errors and times make, as `NoiseModel.from_backend` has it."""
        noise, device = qiskit_aer.noise, qiskit_aer.noise.device
        used = qiskit.transpiler.Target(
            num_qubits=self.target.num_qubits, dt=self.target.dt, qubit_properties=self.target.qubit_properties
        )
        _add_operations(used, self.target, {qubit: qubit for qubit in self.qubits})
        model = noise.NoiseModel(basis_gates=list(self.target.operation_names))
        for qubits, error in device.basic_device_readout_errors(target=used):
            model.add_readout_error(error, qubits)
        for name, qubits, error in device.basic_device_gate_errors(target=used):
            model.add_quantum_error(error, name, qubits)
        return model


def _add_operations(part: Any, target: Any, index: dict[int, int]) -> None:
    """Add those operations of a device that are on the qubits of `index`, under their new numbers."""
    for name in target.operation_names:
        known = target[name]
        kept = None if known is None or None in known else _renumbered(known, index)
        if kept is None or kept:
            part.add_instruction(target.operation_from_name(name), kept, name=name)


def _renumbered(known: Any, index: dict[int, int]) -> dict[tuple[int, ...], Any]:
    inside = {qubits: each for qubits, each in known.items() if all(qubit in index for qubit in qubits)}
    return {tuple(index[qubit] for qubit in qubits): each for qubits, each in inside.items()}


def _edges(target: Any) -> set[tuple[int, int]]:
    coupling = target.build_coupling_map()
    if coupling is None:
        size = target.num_qubits
        return {(a, b) for a in range(size) for b in range(size) if a != b}
    return {(a, b) for a, b in coupling.get_edges()}


def _chosen(target: Any, qubits: Sequence[int] | None) -> tuple[int, ...]:
    if qubits is None:
        return _walk(target)
    chosen = tuple(qubits)
    if len(set(chosen)) != len(chosen) or not all(0 <= qubit < target.num_qubits for qubit in chosen):
        raise ConfigurationError(
            f"qubits are different numbers from 0 to {target.num_qubits - 1}, the device's, not {qubits!r}"
        )
    return chosen


def _walk(target: Any) -> tuple[int, ...]:
    """An order of the qubits of the largest connected part: a path as long as a greedy walk makes it, then the rest."""
    neighbours: dict[int, set[int]] = {qubit: set() for qubit in range(target.num_qubits)}
    for a, b in _edges(target):
        neighbours[a].add(b)
        neighbours[b].add(a)
    walks = (_walk_from(start, neighbours) for start in neighbours)
    return max(walks, key=lambda walk: (len(walk), _straight(walk, neighbours), [-qubit for qubit in walk]))


def _walk_from(start: int, neighbours: dict[int, set[int]]) -> tuple[int, ...]:
    walk, seen = [start], {start}
    while True:
        near = next((qubit for qubit in reversed(walk) if neighbours[qubit] - seen), None)
        if near is None:
            return tuple(walk)
        walk.append(min(neighbours[near] - seen, key=lambda qubit: (len(neighbours[qubit] - seen), qubit)))
        seen.add(walk[-1])


def _straight(walk: tuple[int, ...], neighbours: dict[int, set[int]]) -> int:
    """How many qubits from the start on form a line."""
    for index in range(1, len(walk)):
        if walk[index] not in neighbours[walk[index - 1]]:
            return index
    return len(walk)


def _named(name: str) -> Any:
    line = re.fullmatch(r"line-([1-9]\d*)", name)
    if line:
        size = int(line[1])
        coupling = qiskit.transpiler.CouplingMap.from_line(size) if size > 1 else None
        return qiskit.providers.fake_provider.GenericBackendV2(size, coupling_map=coupling, seed=0)
    try:
        from qiskit_ibm_runtime import fake_provider  # here, because optional and heavy
    except ImportError:
        raise ConfigurationError(
            f"target {name!r}: the fake devices of IBM need qiskit-ibm-runtime: pip install "
            "'./plugins/qstore_aer[devices]', or use target='line-8', a made-up device of 8 qubits in a line"
        ) from None
    found = getattr(fake_provider, name, None)
    if found is None or not name.startswith("Fake"):
        raise ConfigurationError(
            f"no fake device is called {name!r}; use line-N, or a class of qiskit_ibm_runtime.fake_provider such as "
            "FakeGuadalupeV2"
        )
    return found()
