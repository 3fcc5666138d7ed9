"""Circuits as JSON text."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from qstore_core.angles import Feature, Parameter
from qstore_core.circuit import QuantumCircuit
from qstore_core.errors import CircuitError

SYMBOLS = Parameter.vector("w", 5) + Feature.vector("x", 5) + (Parameter("x[0]"),)


def document(**changes: Any) -> str:
    """A circuit's JSON with some of its entries replaced."""
    gate = {"gate": "rx", "qubits": [0], "angle": {"terms": [["parameter", "a", 1.0]], "offset": 0.5}}
    whole = {"format": "qstore-circuit-1", "n_qubits": 2, "gates": [gate]}
    return json.dumps(whole | changes)


def gate_document(**changes: Any) -> str:
    gate = {"gate": "rx", "qubits": [0], "angle": {"terms": [], "offset": 0.5}}
    return document(gates=[gate | changes])


def test_the_text_is_readable_and_never_changes_between_releases() -> None:
    circuit = QuantumCircuit(2).ry(0, 2 * Parameter("a") - Feature("x") + 0.5).cnot(0, 1)
    assert circuit.to_json() == (
        '{"format":"qstore-circuit-1","n_qubits":2,"gates":[{"gate":"ry","qubits":[0],"angle":'
        '{"terms":[["parameter","a",2.0],["feature","x",-1.0]],"offset":0.5}},{"gate":"cnot","qubits":[0,1]}]}'
    )


def test_reading_the_text_gives_an_equal_circuit(
    random_circuit: Callable[..., QuantumCircuit], rng: np.random.Generator
) -> None:
    for n_qubits in (1, 2, 3, 12):
        circuit = random_circuit(rng, n_qubits, 40, SYMBOLS)
        copy = QuantumCircuit.from_json(circuit.to_json())
        assert copy == circuit
        assert copy.structure.digest == circuit.structure.digest
        assert copy.to_json() == circuit.to_json()


def test_an_unbroken_document_is_read() -> None:
    assert QuantumCircuit.from_json(document()) == QuantumCircuit(2).rx(0, Parameter("a") + 0.5)
    assert QuantumCircuit.from_json(gate_document()) == QuantumCircuit(2).rx(0, 0.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a circuit in qstore-circuit-1 JSON: JSONDecodeError: Expecting value: line 1 column 1"),
        (document()[:-5], "JSONDecodeError: .* line 1 column"),
        ("[" * 100_000, "RecursionError"),
        ("[]", "AttributeError"),
        ("{}", "its format is None, expected 'qstore-circuit-1'"),
        (document(format="qstore-circuit-9"), "its format is 'qstore-circuit-9', expected 'qstore-circuit-1'"),
        ('{"format":"qstore-circuit-1"}', "KeyError: 'n_qubits'"),
        (document(n_qubits="2"), "n_qubits is a whole number of at least 1, not '2'"),
        (document(n_qubits=None), "n_qubits is a whole number of at least 1, not None"),
        (document(n_qubits=1.5), "n_qubits is a whole number of at least 1, not 1.5"),
        (document(gates=None), "TypeError"),
        (document(gates=["rx"]), "TypeError"),
        (document(gates=[{}]), "KeyError: 'gate'"),
        (gate_document(gate="foo"), "UnknownNameError: unknown gate 'foo'"),
        (gate_document(gate=["x"]), "TypeError"),
        (gate_document(gate="x"), "gate 'x' takes no angle"),
        (gate_document(qubits=0), "TypeError"),
        (gate_document(qubits=[2]), "rx on qubit 2: this circuit has qubits 0 to 1"),
        (gate_document(qubits=["0"]), "gate 'rx': qubits are whole numbers, not "),
        (gate_document(qubits=[0.0]), "gate 'rx': qubits are whole numbers, not "),
        (gate_document(qubits=[False]), "gate 'rx': qubits are whole numbers, not "),
        (gate_document(qubits=[[0]]), "gate 'rx': qubits are whole numbers, not "),
        (gate_document(qubits=[0, 1]), "gate 'rx' acts on 1 different qubit"),
        (gate_document(angle=None), "TypeError"),
        (gate_document(angle={"terms": []}), "KeyError: 'offset'"),
        (gate_document(angle={"terms": [], "offset": "1"}), "finite real numbers and symbols, not '1'"),
        (gate_document(angle={"terms": [], "offset": float("nan")}), "finite real numbers and symbols, not nan"),
        (gate_document(angle={"terms": [], "offset": 10**400}), "finite real numbers and symbols, not 1000"),
        (gate_document(angle={"terms": [["a"]], "offset": 0}), "ValueError: not enough values to unpack"),
        (gate_document(angle={"terms": [["symbol", "a", 1]], "offset": 0}), "KeyError: 'symbol'"),
        (gate_document(angle={"terms": [["feature", 3, 1]], "offset": 0}), "a Feature needs a name"),
        (gate_document(angle={"terms": [["feature", "a", None]], "offset": 0}), "and symbols, not None"),
    ],
    ids=range(32),
)
def test_damaged_text_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        QuantumCircuit.from_json(text)
