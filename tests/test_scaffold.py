"""`qstore new-plugin`: what it makes is whole, and works as it is."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from packaging.requirements import Requirement

import qstore_core
from qstore_core import cli
from qstore_core.errors import ConfigurationError
from qstore_core.scaffold import KINDS, make_plugin

ROOT = Path(__file__).parents[1]

every_kind = pytest.mark.parametrize("kind", KINDS)


def new(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, ["new-plugin", *arguments])


@every_kind
def test_a_package_is_whole(kind: str, tmp_path: Path) -> None:
    shown = new(f"my-{kind}", "--kind", kind, "--directory", str(tmp_path))
    assert shown.exit_code == 0
    folder = tmp_path / f"qstore_my_{kind}"
    assert str(folder) in shown.output
    made = tomllib.loads((folder / "pyproject.toml").read_text())
    assert made["project"]["name"] == f"qstore-my-{kind}"
    assert made["project"]["entry-points"] == {"qstore": {f"my-{kind}": f"qstore_my_{kind}"}}
    core = Requirement(made["project"]["dependencies"][0])
    assert core.name == "qstore-core"
    assert core.specifier.contains(qstore_core.__version__)
    for path in ("README.md", ".gitignore", ".github/workflows/check.yml", f"qstore_my_{kind}/py.typed"):
        assert (folder / path).is_file()
    assert not [path for path in folder.rglob("*") if path.is_file() and "$" in path.read_text().replace("${{", "")]


@every_kind
def test_its_suite_passes_as_it_is(kind: str, tmp_path: Path) -> None:
    folder = make_plugin("test-fresh", kind, tmp_path)  # pytest looks into every class whose name begins with Test
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


@every_kind
def test_its_code_keeps_to_our_own_style(kind: str, tmp_path: Path) -> None:
    folder = make_plugin("fresh", kind, tmp_path)
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--line-length", "120", "--select", "E,F,W,UP,B,I"]
    for last in (command, [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", "120", "--check"]):
        done = subprocess.run([*last, "."], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mock", "that of qstore's own plugin"),
        ("compat", "would make a distribution qstore-compat, which is qstore's own"),
        ("core", "would make a distribution qstore-core"),
        ("spsa", "reserved for what ships with qstore-core"),
        ("built-in", "reserved"),
        ("My Plugin", "cannot name a plugin; use lower-case letters"),
        ("1st", "cannot name a plugin"),
    ],
)
def test_a_name_that_no_plugin_may_have_is_refused(name: str, message: str, tmp_path: Path) -> None:
    shown = new(name, "--kind", "backend", "--directory", str(tmp_path))
    assert shown.exit_code == 2
    assert message in shown.stderr
    assert not list(tmp_path.iterdir())


def test_every_distribution_of_the_repository_has_a_name_that_is_taken(tmp_path: Path) -> None:
    for folder in (ROOT / "plugins").iterdir():
        with pytest.raises(ConfigurationError, match="qstore's own"):
            make_plugin(folder.name.removeprefix("qstore_"), "cache", tmp_path)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    make_plugin("twice", "cache", tmp_path)
    shown = new("twice", "--kind", "cache", "--directory", str(tmp_path))
    assert shown.exit_code == 2
    assert "is there already; choose another name or --directory" in shown.stderr


def test_an_unknown_kind_lists_the_kinds(tmp_path: Path) -> None:
    shown = new("mine", "--kind", "backends", "--directory", str(tmp_path))
    assert shown.exit_code == 2
    assert all(kind in shown.stderr for kind in KINDS)
