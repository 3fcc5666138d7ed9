"""`qstore check-backend`: the suite as a report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mutants
import pytest
from click.testing import CliRunner, Result

from qstore_core import BackendCapabilities, SimulatorBackend, cli, hookimpl, registry
from qstore_core.hookspecs import Register
from qstore_core.registry import Registry


class Plugin:
    @hookimpl
    def register_backends(self, register: Register) -> None:
        register("trial", "qstore_core.testing.reference:ReferenceBackend")
        register("trial.wrong", "mutants:WrongAngleSign")
        register("trial.paid", "qstore_postbox.backend:PostboxBackend")
        register("trial.gone", "no_such_module:Backend")
        register("trial.nameless", "test_check_backend:Nameless")
        register("trial.bare", "test_check_backend:Bare")
        register("trial.abstract", "qstore_core:SimulatorBackend")
        register("trial.misspelt", "test_check_backend:Misspelt")
        register("trial.choosy", "test_check_backend:Choosy")
        register("trial.breaking", "test_check_backend:Breaking")


class Bare(SimulatorBackend):
    def probabilities(self, structure: Any, angles: Any) -> Any: ...


class Nameless(Bare):
    capabilities = BackendCapabilities(max_qubits=2)


class Misspelt(Bare):
    def __init__(self) -> None:
        self.capabilities = SimulatorBackend.capabilites  # type: ignore[attr-defined]


class Choosy(Bare):
    def __init__(self, *, gamma: float = 0.0) -> None:
        raise ValueError(f"gamma is a share, not {gamma}")


class Breaking(Nameless):
    fingerprint = "breaking"

    def probabilities(self, structure: Any, angles: Any) -> Any:
        return 1 / 0


@pytest.fixture(autouse=True)
def found(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = Registry(lambda: ())
    monkeypatch.setattr(registry, "_default", alone)
    alone.register(Plugin(), name="trial")


def check(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, ["check-backend", *arguments])


def test_a_right_backend_passes_and_is_described() -> None:
    shown = check("trial")
    assert shown.exit_code == 0, shown.output
    lines = shown.output.splitlines()
    assert lines[0] == ("reference: local, 12 qubits, 23 gates, exact and sampled values, seeded by draw labels, free")
    assert "passed  qubit 0 is the leftmost bit" in lines
    assert "skipped a job can be cancelled (it is a local backend: it has no jobs)" in lines
    assert lines[-1].startswith("33 passed, 11 skipped, 0 failed in ")


def test_a_wrong_one_fails_and_the_check_says_what_is_wrong() -> None:
    shown = check("trial.wrong")
    assert shown.exit_code == 1
    lines = shown.output.splitlines()
    place = lines.index("FAILED  angles have their sign and their scale")
    assert "gate 'rx' at 0.5, -0.5, pi/2 and 4 radians" in lines[place + 1]
    assert "passed  qubit 0 is the leftmost bit" in lines
    assert mutants.WrongAngleSign.caught_by == "test_angles_have_their_sign_and_their_scale"


def test_a_priced_one_spends_nothing_unless_told(tmp_path: Path) -> None:
    folder = ("--option", f"folder={tmp_path}")
    shown = check("trial.paid", *folder)
    assert shown.exit_code == 0
    assert "max_usd=0 is all that a check may spend" in shown.output
    assert not list(tmp_path.glob("*.json"))
    shown = check("trial.paid", *folder, "--max-usd", "5", "--shots", "100", "--only", "rows come back whole")
    assert shown.exit_code == 0
    assert shown.output.splitlines()[1:-1] == ["passed  rows come back whole and in their order"]
    assert list(tmp_path.glob("*.json"))


def test_more_shots_are_asked_for_where_values_are_sampled(tmp_path: Path) -> None:
    arguments = ("trial.paid", "--option", f"folder={tmp_path}", "--max-usd", "50", "--only", "exactly the shots")
    assert check(*arguments, "--shots", "77").exit_code == 0
    assert any('"shots": 77' in path.read_text() for path in tmp_path.glob("*.json"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "unknown backend 'nothing'"),
        (["trial.gone"], "ModuleNotFoundError: No module named 'no_such_module'"),
        (["trial", "--option", "speed=3"], "it accepts: no options"),
        (["trial", "--shots", "0"], "0 is not in the range"),
        (["trial.nameless"], "has no fingerprint: set it on the class Nameless, or in __init__, to a str"),
        (["trial.bare"], "has no capabilities: set it on the class Bare, or in __init__, to a BackendCapabilities"),
        (["trial.abstract"], "backend 'trial.abstract' cannot be made: TypeError: Can't instantiate abstract class"),
        (["trial.misspelt"], "cannot be made: AttributeError: type object 'SimulatorBackend' has no attribute"),
        (["trial.choosy", "--option", "gamma=7"], "backend 'trial.choosy': ValueError: gamma is a share, not 7"),
    ],
)
def test_what_cannot_be_checked_is_one_line(arguments: list[str], message: str) -> None:
    shown = check(*arguments)
    assert shown.exit_code == 2
    assert message in shown.stderr
    assert len(shown.stderr.splitlines()) == 1


def test_an_error_in_the_backend_is_told_with_its_place() -> None:
    shown = check("trial.breaking", "--only", "leftmost bit")
    assert shown.exit_code == 1
    assert "ZeroDivisionError: division by zero (" in shown.output
    assert "test_check_backend.py:" in shown.output


def test_no_check_of_that_name_is_an_error() -> None:
    shown = check("trial", "--only", "no such check")
    assert shown.exit_code == 2
    assert "no check has 'no such check' in its name" in shown.stderr
