"""What the projects in this repository promise each other and their users."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import qstore_core

ROOT = Path(__file__).parents[1]
FOLDERS = sorted((ROOT / "plugins").glob("qstore_*"))  # and no __pycache__ beside them


def project(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


CORE = project(ROOT)
PLUGINS = {folder.name: project(folder) for folder in FOLDERS}
# A plugin's package is called like its folder, except for the old names of Q-Store: those are for people's programs,
# not for qstore to find by an entry point.
COMPAT, COMPAT_PACKAGE = "qstore_compat", "q_store"
PACKAGES = {name: COMPAT_PACKAGE if name == COMPAT else name for name in PLUGINS}

every_plugin = pytest.mark.parametrize("plugin", PLUGINS)
every_registered_plugin = pytest.mark.parametrize("plugin", [name for name in PLUGINS if name != COMPAT])


def test_all_versions_are_equal() -> None:
    versions = {made["project"]["version"] for made in (CORE, *PLUGINS.values())}
    assert versions == {qstore_core.__version__}


@every_plugin
def test_a_plugin_is_named_after_its_folder_and_shipped_whole(plugin: str) -> None:
    made = PLUGINS[plugin]
    assert made["project"]["name"] == plugin.replace("_", "-")
    assert made["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == [PACKAGES[plugin]]
    assert (ROOT / "plugins" / plugin / made["project"]["readme"]).is_file()
    assert (ROOT / "plugins" / plugin / PACKAGES[plugin] / "py.typed").is_file()


def test_the_old_names_are_no_plugin_that_qstore_loads() -> None:
    assert "entry-points" not in PLUGINS[COMPAT]["project"]
    names = {Requirement(text).name for text in PLUGINS[COMPAT]["project"]["dependencies"]}
    assert names == {"qstore-core", "qstore-mock", "numpy"}


@every_registered_plugin
def test_a_plugins_entry_point_is_its_manifest(plugin: str) -> None:
    name = plugin.removeprefix("qstore_")
    assert PLUGINS[plugin]["project"]["entry-points"] == {"qstore": {name: plugin}}
    manifest = (ROOT / "plugins" / plugin / plugin / "__init__.py").read_text(encoding="utf-8")
    paths = re.findall(rf'"{plugin}\.(\w+):\w+"', manifest)
    assert paths
    assert all((ROOT / "plugins" / plugin / plugin / f"{module}.py").is_file() for module in paths)


@every_plugin
def test_a_plugin_accepts_this_core_and_not_the_next(plugin: str) -> None:
    requirements = map(Requirement, PLUGINS[plugin]["project"]["dependencies"])
    core = next(requirement for requirement in requirements if requirement.name == "qstore-core")
    ours = Version(qstore_core.__version__)
    assert core.specifier.contains(ours)
    assert not core.specifier.contains(f"{ours.major}.{ours.minor + 1}.0")


def test_the_command_is_there() -> None:
    module, _, attribute = CORE["project"]["scripts"]["qstore"].partition(":")
    assert callable(getattr(importlib.import_module(module), attribute))


def test_the_extras_hold_what_they_say() -> None:
    extras = {
        extra: {Requirement(text).name for text in texts}
        for extra, texts in CORE["project"]["optional-dependencies"].items()
    }
    assert extras["data"] == {"scikit-learn"}
    assert extras["testing"] == {"aiohttp", "pytest"}
    assert extras["data"] | extras["testing"] < extras["dev"]
    assert {"sphinx", "myst-parser", "pytest", "ruff", "mypy", "import-linter"} < extras["dev"]


def test_the_core_depends_on_little() -> None:
    names = {Requirement(text).name for text in CORE["project"]["dependencies"]}
    assert names == {"click", "filelock", "numpy", "packaging", "pluggy", "tenacity", "tqdm"}


def test_requirements_dev_installs_the_core_and_every_plugin() -> None:
    lines = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()
    editable = [line.removeprefix("-e ") for line in lines if line.startswith("-e ")]
    assert editable[0] == ".[dev]"
    assert sorted(line.partition("[")[0] for line in editable[1:]) == [f"plugins/{name}" for name in PLUGINS]


def test_the_workspace_and_the_layers_know_every_plugin() -> None:
    tools = CORE["tool"]
    assert set(tools["uv"]["sources"]) == {"qstore-core", *(name.replace("_", "-") for name in PLUGINS)}
    assert set(tools["importlinter"]["root_packages"]) == {"qstore_core", *PACKAGES.values()}
    _, core_knows_none, none_knows_another = tools["importlinter"]["contracts"]
    assert set(core_knows_none["forbidden_modules"]) == set(none_knows_another["modules"]) == set(PACKAGES.values())


def test_only_the_root_configures_the_tools() -> None:
    assert all(set(made["tool"]) == {"hatch"} for made in PLUGINS.values())
    stray = ("pytest.ini", "tox.ini", "setup.cfg", "ruff.toml", "mypy.ini", ".importlinter")
    assert not [path for folder in (ROOT, *FOLDERS) for name in stray if (path := folder / name).exists()]


def test_exports_are_sorted_and_there() -> None:
    assert qstore_core.__all__ == sorted(qstore_core.__all__)
    assert all(hasattr(qstore_core, name) for name in qstore_core.__all__)


def imported_by(statement: str) -> set[str]:
    script = f"{statement}; import sys; print('\\n'.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return set(run.stdout.split())


HEAVY = {"cirq", "qiskit", "qiskit_aer", "pinecone", "sklearn", "scipy", "pandas", "matplotlib", "tqdm", "click"}


def test_importing_the_core_imports_nothing_heavy_and_no_plugin() -> None:
    imported = imported_by("import qstore_core")
    assert not imported & (HEAVY | set(PACKAGES.values()) | {"pytest", "aiohttp", "qstore_core.testing"})
    assert not imported & {"importlib.metadata", "packaging"}


def test_suites_need_no_pytest_and_no_server() -> None:
    imported = imported_by("from qstore_core.testing import AnsatzSuite, BackendSuite, CacheSuite, run_suite")
    assert not imported & (HEAVY - {"tqdm", "click"} | set(PLUGINS) | {"pytest", "aiohttp"})


def test_listing_backends_imports_manifests_and_no_backend() -> None:
    imported = imported_by("import qstore_core; qstore_core.plugins()")
    assert not imported & HEAVY
    assert not imported & {f"{plugin}.backend" for plugin in PLUGINS}
