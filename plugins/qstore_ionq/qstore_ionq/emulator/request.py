"""A job as it is asked for, checked as the service would: everything about it that a simulator and a ledger need."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qstore_core.arrays import IntArray, LabelArray
from qstore_core.errors import UnknownNameError
from qstore_core.randomness import combine
from qstore_core.testing.provider.refusal import RefusedError
from qstore_ionq.emulator.gates import read_gate
from qstore_ionq.emulator.simulator import Circuit, Depolarizing
from qstore_ionq.targets import NoiseModel, Target, TargetTable

SINGLE, MULTI = "ionq.circuit.v1", "ionq.multi-circuit.v1"
MAX_CIRCUITS, MAX_GATES = 5_000, 150_000
MAX_METADATA_KEYS, MAX_METADATA_VALUE = 10, 40_000
LEAST_SHOTS_MITIGATED = 500
SIMULATOR = "simulator"
_NATIVE = {"zz": frozenset({"gpi", "gpi2", "zz"}), "ms": frozenset({"gpi", "gpi2", "ms"})}


@dataclass(frozen=True, slots=True, eq=False)
class JobRequest:
    """A job that was asked for.

    Attributes:
        document: The JSON body as it came.
        backend: Where it is to run.
        target: The machine; None on the simulator.
        model: The noise to run with; None: exact.
        is_sampled: Whether results are relative frequencies of shots.
        n_qubits: The width of the register.
        circuits: The circuits, in order.
        shots: Shots of each.
    """

    document: Mapping[str, Any]
    backend: str
    target: Target | None
    model: NoiseModel | None
    is_sampled: bool
    n_qubits: int
    circuits: tuple[Circuit, ...]
    shots: int

    @property
    def gates(self) -> IntArray:
        """Each circuit's gates on one and on two qubits, `(n_circuits, 2)`."""
        counts = [[sum(len(gate.qubits) == width for gate in circuit) for width in (1, 2)] for circuit in self.circuits]
        return np.array(counts, dtype=np.int64).reshape(-1, 2)

    @property
    def noise(self) -> Depolarizing | None:
        """The noise after each gate."""
        return None if self.model is None else Depolarizing(self.model.one_qubit or 0.0, self.model.two_qubit or 0.0)

    @property
    def is_mitigated(self) -> bool:
        """Whether debiasing is on: as asked for, and by default on a machine with enough shots."""
        asked = ((self.document.get("settings") or {}).get("error_mitigation") or {}).get("debiasing")
        return self.target is not None and bool(self.shots >= LEAST_SHOTS_MITIGATED if asked is None else asked)

    @property
    def draws(self) -> LabelArray:
        """What each circuit's shots are drawn from, `(n_circuits,)`.

        One label for each circuit where the metadata brings them (`draws0`, `draws1`, ...: base64 of little-endian
        uint64), else what follows from the circuits and the seed of the noise: the same job gives the same shots.
        """
        sent = self._sent_draws()
        if sent is not None and len(sent) == len(self.circuits):
            return sent
        text = json.dumps([self.document.get("input"), self.document.get("noise")], sort_keys=True)
        seed = np.frombuffer(hashlib.sha256(text.encode()).digest()[:8], dtype="<u8")[0]
        return combine(seed, np.arange(len(self.circuits)))

    @property
    def digests(self) -> list[str]:
        """What tells each circuit from every other: its gates, its shots and the label of its randomness."""
        labels = self._sent_draws()
        parts = zip(self.circuits, [None] * len(self.circuits) if labels is None else labels.tolist(), strict=True)
        texts = [json.dumps([[[g.name, g.qubits, g.values] for g in circuit], self.shots, d]) for circuit, d in parts]
        return [hashlib.sha256(text.encode()).hexdigest() for text in texts]

    def _sent_draws(self) -> LabelArray | None:
        metadata = self.document.get("metadata") or {}
        parts = [metadata[key] for key in (f"draws{n}" for n in range(MAX_METADATA_KEYS)) if key in metadata]
        try:
            data = base64.b64decode("".join(parts), validate=True)
            return np.frombuffer(data, dtype="<u8").astype(np.uint64) if parts else None
        except (binascii.Error, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a job is to run, and what fits there."""

    target: Target | None
    model: NoiseModel | None
    native: frozenset[str]
    qubits: int
    shots: int

    @property
    def is_noisy(self) -> bool:
        return self.model is not None and bool(self.model.one_qubit or self.model.two_qubit)


def read_job(document: Any, table: TargetTable, *, widest: int, ideal_machines: bool = False) -> JobRequest:
    """The job of a JSON body.

    Args:
        document: The body.
        table: The targets and noise models that there are.
        widest: The widest noiseless circuit that is simulated; half as wide with noise.
        ideal_machines: Whether machines have no noise, only shots.

    Raises:
        RefusedError: The service would not take it; the reason says why.
    """
    if not isinstance(document, Mapping):
        raise RefusedError(400, f"a job is an object, not {type(document).__name__}")
    backend = _text(document, "backend")
    place = _machine(backend, table, ideal=ideal_machines) if backend != SIMULATOR else _simulator(document, table)
    shots = _shots(document, place.shots)
    _check_metadata(document)
    n_qubits, circuits = _circuits(document, place)
    simulated = widest // 2 if place.is_noisy else widest
    if n_qubits > simulated:
        raise RefusedError(400, f"the emulator simulates {simulated} qubits here at most; the circuit has {n_qubits}")
    sampled = place.target is not None or place.is_noisy
    request = JobRequest(document, backend, place.target, place.model, sampled, n_qubits, circuits, shots)
    if request.is_mitigated and shots < LEAST_SHOTS_MITIGATED:
        raise RefusedError(400, f"debiasing needs at least {LEAST_SHOTS_MITIGATED} shots, and the job has {shots}")
    return request


def _machine(name: str, table: TargetTable, *, ideal: bool) -> _Place:
    try:
        target = table.target(name)
    except UnknownNameError as error:
        raise RefusedError(400, f"unknown backend: {error}") from error
    model = None if ideal else table.of_target(target)
    return _Place(target, model, _NATIVE[target.family], target.qubits, target.max_shots)


def _simulator(document: Mapping[str, Any], table: TargetTable) -> _Place:
    noise = document.get("noise") or {"model": "ideal"}
    try:
        model = table.noise_model(noise.get("model") if isinstance(noise, Mapping) else noise)
    except UnknownNameError as error:
        raise RefusedError(400, str(error)) from error
    if model.one_qubit is None:
        raise RefusedError(400, f"noise model {noise['model']!r} has no published parameters: it is not emulated")
    place = _Place(None, model, _NATIVE[model.family], model.qubits or table.simulator_qubits, table.simulator_shots)
    return place if place.is_noisy else replace(place, native=_NATIVE["zz"] | _NATIVE["ms"])


def _shots(document: Mapping[str, Any], most: int) -> int:
    given = document.get("shots", 100)
    text = str(given)
    if isinstance(given, bool) or not text.isdigit() or not 1 <= int(text) <= most:
        raise RefusedError(400, f"shots is a whole number of 1 to {most}, not {given!r}")
    return int(text)


def _check_metadata(document: Mapping[str, Any]) -> None:
    metadata = document.get("metadata") or {}
    if not isinstance(metadata, Mapping) or len(metadata) > MAX_METADATA_KEYS:
        raise RefusedError(400, f"metadata is an object of at most {MAX_METADATA_KEYS} keys")
    for key, value in metadata.items():
        if not isinstance(value, str) or len(value) > MAX_METADATA_VALUE:
            raise RefusedError(400, f"metadata {key!r} is text of at most {MAX_METADATA_VALUE} characters")


def _circuits(document: Mapping[str, Any], place: _Place) -> tuple[int, tuple[Circuit, ...]]:
    several, given = document.get("type") == MULTI, document.get("input")
    if document.get("type") not in (SINGLE, MULTI) or not isinstance(given, Mapping):
        raise RefusedError(400, f"type is {SINGLE!r} or {MULTI!r}, and input an object; got {document.get('type')!r}")
    gateset, n_qubits = given.get("gateset"), given.get("qubits")
    if gateset not in ("qis", "native"):
        raise RefusedError(400, f"input.gateset is 'qis' or 'native', not {gateset!r}")
    if type(n_qubits) is not int or not 1 <= n_qubits <= place.qubits:
        raise RefusedError(400, f"NotEnoughQubits: the circuit has {n_qubits!r} qubits, and this target {place.qubits}")
    lists = _lists(given, several=several)
    return n_qubits, tuple(
        tuple(read_gate(gate, gateset, n_qubits=n_qubits, native=place.native) for gate in gates) for gates in lists
    )


def _lists(given: Mapping[str, Any], *, several: bool) -> list[list[Any]]:
    """The gates of each circuit as JSON values."""
    entries = given.get("circuits") if several else [given]
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_CIRCUITS:
        raise RefusedError(400, f"input.circuits are 1 to {MAX_CIRCUITS} circuits")
    lists = [entry.get("circuit") if isinstance(entry, Mapping) else None for entry in entries]
    if not all(isinstance(gates, list) for gates in lists):
        raise RefusedError(400, "a circuit is an object with a list of gates under 'circuit'")
    total = sum(len(gates) for gates in lists if gates is not None)
    if several and total > MAX_GATES:
        raise RefusedError(400, f"TooManyGates: the job has {total} gates, and at most {MAX_GATES} are allowed")
    return [gates for gates in lists if gates is not None]


def _text(document: Mapping[str, Any], key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str) or not value:
        raise RefusedError(400, f"{key} is text, not {value!r}")
    return value
