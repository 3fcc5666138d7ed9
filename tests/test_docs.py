"""The documentation: whole, true to the code, and built without a warning."""

from __future__ import annotations

import dataclasses
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import qstore_core
from qstore_core import (
    Backend,
    BackendCapabilities,
    LocalBackend,
    Pacing,
    Prices,
    RemoteBackend,
    SimulatorBackend,
    testing,
)
from qstore_core.loading import HOOKS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
GUIDE = (DOCS / "writing-a-backend.md").read_text(encoding="utf-8")
PAGES = sorted(path for path in DOCS.rglob("*.md") if "generated" not in path.parts)
PROGRAMS = [
    pytest.param(program, id=f"{path.stem}-{number}")
    for path in sorted((DOCS / "guides").glob("*.md"))
    for number, program in enumerate(re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL))
]


def run(*arguments: str, cwd: Path, warnings: str = "error") -> str:
    command = [sys.executable, "-W", warnings, *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def code(text: str) -> set[str]:
    """The names in the code spans of a page, each with what stands before its arguments."""
    return set(re.findall(r"`(?:\w+\.)*(\w+)", text))


def members(kind: type[Any]) -> set[str]:
    """What an author may set, write or call."""
    names = {name for base in kind.__mro__ if base.__module__.startswith("qstore_core") for name in vars(base)}
    names |= {name for base in kind.__mro__ for name in inspect.get_annotations(base)}
    return {name for name in names if not name.startswith("_")}


@pytest.mark.parametrize("hook", HOOKS.values())
def test_every_hook_has_a_page_of_its_own(hook: str) -> None:
    page = (DOCS / "plugins" / f"{hook}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {hook}\n")
    assert f"qstore_core.hookspecs.{hook}" in page
    assert "qstore new-plugin" in page
    assert f"plugins/{hook}" in (DOCS / "index.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "kind", [Backend, LocalBackend, SimulatorBackend, RemoteBackend], ids=lambda kind: kind.__name__
)
def test_every_member_of_a_backend_is_in_the_guide(kind: type[Any]) -> None:
    assert members(kind) <= code(GUIDE), members(kind) - code(GUIDE)


@pytest.mark.parametrize("kind", [BackendCapabilities, Pacing, Prices], ids=lambda kind: kind.__name__)
def test_every_field_of_what_a_backend_says_is_in_the_guide(kind: type[Any]) -> None:
    assert all(re.search(rf"\b{field.name}\b", GUIDE) for field in dataclasses.fields(kind))


@pytest.mark.parametrize(
    ("suite", "page"),
    [
        (testing.BackendSuite, "writing-a-backend"),
        (testing.GradientEstimatorSuite, "plugins/register_gradient_estimators"),
        (testing.CacheSuite, "plugins/register_caches"),
        (testing.StoreSuite, "plugins/register_stores"),
        (testing.AnsatzSuite, "plugins/register_ansatze"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_setting_of_a_suite_is_documented(suite: type[Any], page: str) -> None:
    settings = {name for base in suite.__mro__ for name in inspect.get_annotations(base)}
    assert settings <= code((DOCS / f"{page}.md").read_text(encoding="utf-8"))


def test_the_reference_has_every_public_name() -> None:
    listed = set(re.findall(r"^ {3}(\w+)$", (DOCS / "api.md").read_text(encoding="utf-8"), re.MULTILINE))
    public = {name for name in (*qstore_core.__all__, *testing.__all__) if not name.startswith("__")}
    assert listed == public


def test_the_guide_shows_files_that_are_installed_and_checked() -> None:
    shown = re.findall(r"\{literalinclude\} \.\./(\S+)", GUIDE)
    assert {path.split("/")[2] for path in shown} == {"qstore_tiny", "qstore_qulacs", "qstore_postbox"}
    assert all((ROOT / path).is_file() for path in shown)
    assert "```python" not in GUIDE


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_a_guide_runs(program: str, tmp_path: Path) -> None:
    assert run("-c", program, cwd=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["spsa_too_noisy", "slow_convergence", "cache_not_helping"])
def test_what_troubleshooting_shows_is_what_its_program_prints(name: str, tmp_path: Path) -> None:
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    printed = run(str(ROOT / "examples/troubleshooting" / f"{name}.py"), cwd=tmp_path)
    shown = [line.strip() for line in page.splitlines() if line.startswith("    ")]
    assert all(line.strip() in shown for line in printed.splitlines() if line.strip())


def test_pages_say_no_place_on_the_authors_machine() -> None:
    for path in (*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        assert not re.search(r"/work/|/tmp/|/home/|\.\./shared", path.read_text(encoding="utf-8")), path


@pytest.mark.slow
def test_it_builds_without_a_warning(tmp_path: Path) -> None:
    options = ("--quiet", "--fail-on-warning", "--keep-going")
    # what Sphinx deprecates in itself is not about our pages
    run("-m", "sphinx", *options, str(DOCS), str(tmp_path / "html"), cwd=ROOT, warnings="default")
    assert (tmp_path / "html" / "generated" / "qstore_core.RemoteBackend.html").is_file()
