"""Circuits as text."""

from __future__ import annotations

import pytest

from qstore_core.angles import Feature, Parameter
from qstore_core.circuit import QuantumCircuit

theta = Parameter("theta")

DRAWINGS = {
    "a circuit without gates is its wires": (
        QuantumCircuit(2),
        """
0: ─

1: ─
""",
    ),
    "gates on different qubits share a column": (
        QuantumCircuit(2).h(0).x(1).y(0),
        """
0: ─H─Y─

1: ─X───
""",
    ),
    "a line crosses the qubits between": (
        QuantumCircuit(3).h(0).cnot(0, 2).ry(1, 0.5),
        """
0: ─H─●─────────
      │
1: ───┼─RY(0.5)─
      │
2: ───X─────────
""",
    ),
    "a control may stand below its target": (
        QuantumCircuit(3).cnot(2, 0).cz(0, 1).swap(1, 2),
        """
0: ─X─●───
    │ │
1: ─┼─●─x─
    │   │
2: ─●───x─
""",
    ),
    "a line of another gate is not crossed": (
        QuantumCircuit(4).cnot(0, 1).cnot(2, 3).cnot(1, 2).cnot(0, 3),
        """
0: ─●───●─
    │   │
1: ─X─●─┼─
      │ │
2: ─●─X─┼─
    │   │
3: ─X───X─
""",
    ),
    "a toffoli has two controls": (
        QuantumCircuit(4).toffoli(3, 0, 1).toffoli(1, 2, 3),
        """
0: ─●───
    │
1: ─X─●─
    │ │
2: ─┼─●─
    │ │
3: ─●─X─
""",
    ),
    "angles are written on the target": (
        QuantumCircuit(3).crx(0, 2, 2 * theta + 0.5).cry(2, 1, Feature("x")).crz(1, 0, -theta),
        """
0: ─────────●───────────────RZ(-theta)─
            │                   │
1: ─────────┼─────────RY(x)─────●──────
            │           │
2: ─RX(2*theta + 0.5)───●──────────────
""",
    ),
    "two-qubit rotations and daggers have their own labels": (
        QuantumCircuit(2).rxx(0, 1, theta).ryy(1, 0, -0.25).sdg(0).tdg(1).sx(0).p(1, Feature("x")),
        """
0: ────RXX─────RYY(-0.25)─S†──√X──
        │          │
1: ─RXX(theta)────RYY─────T†─P(x)─
""",
    ),
    "two-digit qubit numbers are aligned": (
        QuantumCircuit(11).cnot(8, 10).h(9),
        "\n"
        + "\n\n".join(f" {qubit}: ─────" for qubit in range(8))
        + """

 8: ─●───
     │
 9: ─┼─H─
     │
10: ─X───
""",
    ),
}


@pytest.mark.parametrize("case", DRAWINGS)
def test_a_drawing_looks_as_it_should(case: str) -> None:
    circuit, drawing = DRAWINGS[case]
    assert f"\n{circuit}\n" == drawing
