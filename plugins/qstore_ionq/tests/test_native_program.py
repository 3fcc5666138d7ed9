"""What a compiled program tells, what binding refuses, and what is written."""

from __future__ import annotations

import json
import pickle
from itertools import product

import numpy as np
import pytest
from qstore_ionq.native import Program, compile_native, compile_qis
from qstore_ionq.native.poles import Family, Pole, Step, Token, fewest_steps

from qstore_core.arrays import FloatArray
from qstore_core.errors import CircuitError, UnknownNameError
from qstore_core.measurement import register_group
from qstore_core.observables import MeasurementGroup
from qstore_core.operations import CircuitStructure

GROUPS = (register_group(3), MeasurementGroup(((0, "X"), (2, "Y"))))
STRUCTURE = CircuitStructure(
    3, (("ry", (0,)), ("ry", (1,)), ("rzz", (0, 1)), ("swap", (0, 2)), ("rxx", (0, 1)), ("crx", (2, 1)), ("rz", (0,)))
)


def all_programs(structure: CircuitStructure = STRUCTURE) -> list[Program]:
    return [compile_qis(structure, GROUPS), *(compile_native(structure, GROUPS, family=each) for each in ("zz", "ms"))]


@pytest.fixture
def angles() -> FloatArray:
    return np.random.default_rng(5).normal(scale=2, size=(40, STRUCTURE.n_angles))


def test_a_program_tells_what_the_provider_has_to_know() -> None:
    qis, forte, aria = all_programs()
    assert (qis.gateset, forte.gateset, aria.gateset) == ("qis", "native", "native")
    assert (qis.family, forte.family, aria.family) == (None, "zz", "ms")
    for program in (qis, forte, aria):
        assert (program.n_qubits, program.n_circuits_per_row) == (3, 2)
        assert program.readout(0) == (2, 1, 0)
        assert program.readout(1) == (2, 0)


@pytest.mark.parametrize("shape", [(6,), (2, 5), (0, 6)])
def test_rows_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    for program in all_programs():
        with pytest.raises(CircuitError, match=r"\(n_rows, 6\)"):
            program.bind(np.zeros(shape))


def test_angles_that_are_not_finite_are_refused() -> None:
    for program in all_programs():
        with pytest.raises(CircuitError, match="finite"):
            program.bind([[0.0, 1.0, float("nan"), 0.0, 0.0, 0.0]])


def test_a_device_without_such_a_gate_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="ms, zz"):
        compile_native(STRUCTURE, GROUPS, family="cz")  # type: ignore[arg-type]


def test_the_text_is_the_json_of_the_documents(angles: FloatArray) -> None:
    for program in all_programs():
        bound = program.bind(angles)
        circuits = list(bound.circuits())
        assert len(circuits) == 40 * 2
        for number, (row, group) in enumerate(product(range(40), range(2))):
            assert circuits[number] == bound.circuit(row, group) == json.loads(bound.json(row, group))
            assert bound.json(row, group) == json.dumps(circuits[number], separators=(",", ":"))


def test_a_row_alone_is_the_row_among_others_to_the_last_bit(angles: FloatArray) -> None:
    for program in all_programs():
        bound = program.bind(angles)
        for row in range(0, 40, 7):
            alone = program.bind(angles[row : row + 1])
            assert [alone.json(0, group) for group in range(2)] == [bound.json(row, group) for group in range(2)]


def test_programs_can_be_sent_to_another_process(angles: FloatArray) -> None:
    for program in all_programs():
        copy = pickle.loads(pickle.dumps(program))
        assert list(copy.bind(angles).circuits()) == list(program.bind(angles).circuits())


def test_phases_are_affine_where_the_pole_only_visits_axes() -> None:
    """Where no half turn is passed, each phase, and the angle of MS, is a line in each angle."""
    structure = CircuitStructure(2, (("ry", (0,)), ("rxx", (0, 1)), ("rx", (0,)), ("ry", (1,))))
    program = compile_native(structure, (register_group(2),), family="ms")
    steps = 0.1 + 0.01 * np.arange(5)
    for column in range(structure.n_angles):
        rows = np.full((5, structure.n_angles), 0.4)
        rows[:, column] = steps
        numbers = program.bind(rows).groups[0].numbers
        assert np.abs((np.diff(numbers, 2, axis=0) + 0.5) % 1 - 0.5).max() < 1e-12


@pytest.mark.parametrize("family", ["zz", "ms"])
def test_quarter_turns_give_phases_without_rounding(family: Family) -> None:
    """Also where a pole is on the axis that it should come beside, so that every phase would do."""
    layer = [(name, (qubit,)) for qubit in range(4) for name in ("ry", "rz", "rx")]
    structure = CircuitStructure(4, (*layer, *(("cnot", (qubit, qubit + 1)) for qubit in range(3))) * 3)
    quarters = np.random.default_rng(0).integers(-4, 5, size=(50, structure.n_angles))
    numbers = (
        compile_native(structure, (register_group(4),), family=family).bind(quarters * np.pi / 2).groups[0].numbers
    )
    assert np.abs(8 * numbers - np.round(8 * numbers)).max() < 1e-12


def enough(tokens: list[Token], steps: list[tuple[Step, ...]], end: str | None, family: Family) -> bool:
    """Whether a pole that takes these steps can pass the tokens."""
    pole = Pole("on", "Z")
    for token, before in zip([*tokens, None], steps, strict=True):
        for step in before:
            found = dict(pole.steps())
            if step not in found:
                return False
            pole = found[step]
        if token is None:
            return end is None or pole == Pole("on", end)
        if not token.shared:
            pole = pole.turned(token.letter)
        elif not pole.serves(token.letter, family):
            return False
    raise AssertionError


@pytest.mark.parametrize("family", ["zz", "ms"])
def test_no_fewer_steps_would_do(family: Family) -> None:
    rng = np.random.default_rng(3)
    kinds = [Step(letter, onto) for letter in "XYZ" for onto in (True, False)]
    some = [(), *((step,) for step in kinds)]
    for _ in range(25):
        tokens = [Token("XYZ"[rng.integers(3)], bool(rng.integers(2))) for _ in range(3)]
        end = [*"XYZ", None][rng.integers(4)]
        best = list(fewest_steps(tokens, end, family))
        assert enough(tokens, best, end, family)
        n_steps = sum(map(len, best))
        shorter = (plan for plan in product(some, repeat=4) if sum(map(len, plan)) < n_steps)
        assert not any(enough(tokens, list(plan), end, family) for plan in shorter)
        assert all(len(steps) <= 2 for steps in best)
