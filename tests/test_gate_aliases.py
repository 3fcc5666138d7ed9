"""Names of gates that other libraries use."""

from __future__ import annotations

import pytest

from qstore_core import QuantumCircuit, UnknownNameError
from qstore_core.gates import ALIASES, GATES, get_gate


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_a_circuit_built_with_an_alias_is_the_one_built_with_the_name(alias: str, name: str) -> None:
    qubits = tuple(range(get_gate(alias).n_qubits))
    built = QuantumCircuit(3).append(alias, qubits)

    assert built == QuantumCircuit(3).append(name, qubits) == getattr(QuantumCircuit(3), alias)(*qubits)
    assert built.structure.digest == QuantumCircuit(3).append(name, qubits).structure.digest
    assert built.operations[0].name == name
    assert QuantumCircuit.from_json(built.to_json()) == built


def test_an_alias_is_no_gate_of_its_own() -> None:
    assert not ALIASES.keys() & GATES.keys()
    assert set(ALIASES.values()) <= GATES.keys()


@pytest.mark.parametrize(("wrong", "near"), [("cnott", "cnot"), ("CNOT", "cnot"), ("RX", "rx"), ("tofoli", "toffoli")])
def test_an_unknown_gate_is_told_the_nearest(wrong: str, near: str) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown gate '{wrong}'; did you mean '{near}'") as caught:
        QuantumCircuit(3).append(wrong, (0, 1))

    assert all(name in str(caught.value) for name in GATES)
