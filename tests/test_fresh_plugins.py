"""Plugins in fresh environments: each of ours alone, those of the guide, and those that `qstore new-plugin` makes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fresh_environment import ROOT, Environment

from qstore_core.scaffold import KINDS

pytestmark = pytest.mark.slow

OURS = ("qstore_aer", "qstore_ionq", "qstore_mock")
GUIDE = ("qstore_tiny", "qstore_postbox", "qstore_qulacs")


@pytest.mark.parametrize("plugin", OURS)
def test_each_of_ours_passes_its_own_tests_without_the_other_two(plugin: str, tmp_path: Path) -> None:
    alone = Environment(tmp_path, str(ROOT), f"{ROOT / 'plugins' / plugin}[test]")
    names = alone.packages()
    assert not names & {other.replace("_", "-") for other in OURS if other != plugin}
    foreign = {"qstore_aer": {"cirq-core"}, "qstore_ionq": {"qiskit"}, "qstore_mock": {"qiskit"}}[plugin]
    assert not names & foreign
    tests = ROOT / "plugins" / plugin / "tests"
    said = alone.program("pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", str(tests), cwd=ROOT)
    assert re.search(r"\d+ passed", said)


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The core and the plugins of the guide."""
    made = Environment(tmp_path_factory.mktemp("guide"), f"{ROOT}[data]")
    made.install(*(f"{ROOT / 'examples/plugins' / name}[test]" for name in GUIDE))
    return made


@pytest.mark.parametrize("plugin", GUIDE)
def test_a_plugin_of_the_guide_passes_its_suite(plugin: str, guide: Environment) -> None:
    folder = ROOT / "examples/plugins" / plugin
    said = guide.program("pytest", "-q", "-p", "no:cacheprovider", "-c", "pyproject.toml", "tests", cwd=folder)
    assert re.search(r"\d+ passed", said)


def test_the_guides_plugins_are_listed_and_checked(guide: Environment, tmp_path: Path) -> None:
    listed = guide.program("qstore", "plugins", "--check")
    assert all(re.search(rf"^{name.removeprefix('qstore_')} ", listed, flags=re.MULTILINE) for name in GUIDE)
    assert "0 failed" in guide.program("qstore", "check-backend", "qulacs").splitlines()[-1]
    arguments = ("--option", f"folder={tmp_path}", "--max-usd", "100")
    assert "0 failed" in guide.program("qstore", "check-backend", "postbox", *arguments).splitlines()[-1]


def test_a_simulator_that_is_not_ours_trains_the_demo(guide: Environment, tmp_path: Path) -> None:
    command = "train breast_cancer --qubits 8 --epochs 6 --lr 0.1 --gradient-method spsa --no-progress --backend qulacs"
    said = guide.program("qstore", *command.split(), cwd=tmp_path)
    (accuracy,) = re.findall(r"test accuracy (0\.\d+)", said)
    assert float(accuracy) > 0.85, said


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The core alone."""
    return Environment(tmp_path_factory.mktemp("bare"), str(ROOT))


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_installs_and_passes_as_it_is_made(kind: str, bare: Environment) -> None:
    name = f"made-{kind}"
    bare.program("qstore", "new-plugin", name, "--kind", kind)
    folder = bare.folder / f"qstore_made_{kind}"
    bare.install(f"{folder}[test]")
    assert re.search(rf"^{name} +qstore-made-{kind} ", bare.program("qstore", "plugins", "--check"), re.MULTILINE)
    assert re.search(r"\d+ passed", bare.program("pytest", "-q", cwd=folder))
    if kind == "backend":
        assert "0 failed" in bare.program("qstore", "check-backend", name).splitlines()[-1]
