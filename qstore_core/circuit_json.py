"""Circuits as JSON text: readable, stable, and safe to load from anywhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from qstore_core.angles import Angle, Feature, Parameter, Symbol
from qstore_core.errors import CircuitError
from qstore_core.operations import Operation

FORMAT = "qstore-circuit-1"
_KINDS: dict[str, type[Symbol]] = {"parameter": Parameter, "feature": Feature}


def operations_to_json(n_qubits: int, operations: Sequence[Operation]) -> str:
    """One JSON object; `operations_from_json` reads it back to equal operations."""
    gates = [_encode(operation) for operation in operations]
    return json.dumps({"format": FORMAT, "n_qubits": n_qubits, "gates": gates}, separators=(",", ":"))


def operations_from_json(text: str) -> tuple[int, tuple[Operation, ...]]:
    """The register width and operations that `operations_to_json` wrote.

    Raises:
        CircuitError: The text is not such JSON; the message says where.
    """
    try:
        document = json.loads(text)
        if document.get("format") != FORMAT:
            raise CircuitError(f"not a circuit: its format is {document.get('format')!r}, expected {FORMAT!r}")
        return document["n_qubits"], tuple(_decode(entry) for entry in document["gates"])
    except CircuitError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise CircuitError(f"not a circuit in {FORMAT} JSON: {type(error).__name__}: {error}") from error


def _encode(operation: Operation) -> dict[str, Any]:
    entry: dict[str, Any] = {"gate": operation.name, "qubits": operation.qubits}
    if operation.angle is not None:
        entry["angle"] = {
            "terms": [[type(s).__name__.lower(), s.name, weight] for s, weight in operation.angle.terms],
            "offset": operation.angle.offset,
        }
    return entry


def _decode(entry: dict[str, Any]) -> Operation:
    angle = None
    if "angle" in entry:
        angle = Angle.of(entry["angle"]["offset"])
        for kind, name, weight in entry["angle"]["terms"]:
            angle = angle + _KINDS[kind](name) * weight
    return Operation(entry["gate"], tuple(entry["qubits"]), angle)
