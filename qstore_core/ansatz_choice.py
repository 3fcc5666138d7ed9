"""Which ansatz a model gets: built in, by name, an object, or another library's circuit through the plugin for it."""

from __future__ import annotations

import inspect
from typing import cast

from qstore_core.ansatz import Ansatz, HardwareEfficientAnsatz, RotationAnsatz
from qstore_core.backend import BackendCapabilities
from qstore_core.circuit import QuantumCircuit
from qstore_core.encoding import AngleEncoding, Encoding
from qstore_core.errors import ConfigurationError
from qstore_core.registry import default_registry

_SIGNATURE = "circuit(self, n_qubits, depth, n_features, capabilities)"


def choose_ansatz(
    chosen: object, encoding: Encoding, *, hardware_efficient: bool, entanglement: str, reuploading: bool
) -> QuantumCircuit | Ansatz:
    """What `QuantumModel(ansatz=chosen, ...)` builds its circuit with.

    Raises:
        ConfigurationError: Something that is neither a circuit nor an ansatz, and that no plugin takes.
    """
    if isinstance(chosen, type):
        raise ConfigurationError(
            f"ansatz is an object, and {chosen.__name__} is its class: give {chosen.__name__}(...)"
        )
    if chosen is None:
        kind = HardwareEfficientAnsatz if hardware_efficient else RotationAnsatz
        return kind(entanglement=entanglement, encoding=encoding, reuploading=reuploading)
    if isinstance(chosen, str):
        special = None if type(encoding) is AngleEncoding else encoding
        return _registered(chosen, entanglement=entanglement, reuploading=reuploading, encoding=special)
    if isinstance(chosen, QuantumCircuit) or callable(getattr(chosen, "circuit", None)):
        return cast("QuantumCircuit | Ansatz", chosen)
    return _adapted(chosen)


def circuit_of(
    ansatz: Ansatz, n_qubits: int, depth: int, n_features: int, capabilities: BackendCapabilities
) -> QuantumCircuit:
    """The circuit that an ansatz makes.

    Raises:
        ConfigurationError: It cannot be called as an ansatz is, or makes something else than a circuit.

    >>> len(circuit_of(RotationAnsatz(), 2, 1, 2, BackendCapabilities(max_qubits=2)).parameters)
    6
    """
    kind = type(ansatz).__name__
    try:
        inspect.signature(ansatz.circuit).bind(n_qubits, depth, n_features, capabilities)
    except TypeError as error:
        raise ConfigurationError(
            f"the ansatz {kind} cannot be asked for its circuit ({error}): define `def {_SIGNATURE}`"
        ) from None
    circuit = ansatz.circuit(n_qubits, depth, n_features, capabilities)
    if not isinstance(circuit, QuantumCircuit):
        raise ConfigurationError(
            f"{kind}.circuit(...) returned {type(circuit).__name__}: it must return a qstore_core.QuantumCircuit; "
            "gates do not change one but return another: `circuit = circuit.ry(...)`"
        )
    return circuit


def _registered(name: str, **chosen: object) -> Ansatz:
    """The ansatz called `name`; it is given the arguments that differ from their defaults, and so need not take any."""
    defaults = {"entanglement": "linear", "reuploading": False, "encoding": None}
    options = {key: value for key, value in chosen.items() if value != defaults[key]}
    made: Ansatz = default_registry().create("ansatz", name, **options)
    return made


def _adapted(foreign: object) -> Ansatz:
    """Another library's circuit as an ansatz, by the plugin that takes it: an ansatz called `<plugin>.<library>`."""
    registry, package = default_registry(), type(foreign).__module__.partition(".")[0]
    for name in registry.names("ansatz"):
        if name.partition(".")[2] == package:
            made: Ansatz = registry.create("ansatz", name, circuit=foreign)
            return made
    hint = "pip install ./plugins/qstore_aer" if package == "qiskit" else "convert it, for instance through OpenQASM 3"
    raise ConfigurationError(
        "ansatz is a QuantumCircuit of qstore, the name of a registered ansatz or an object with a method "
        f"{_SIGNATURE}, and no plugin takes a {type(foreign).__name__} of {package!r}: {hint}"
    )
