"""What a user gets who installs the core and the simulator into a fresh environment."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fresh_environment import ROOT, Environment

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A fresh virtual environment with the core and the simulator."""
    return Environment(tmp_path_factory.mktemp("fresh"), str(ROOT), str(ROOT / "plugins/qstore_mock"))


def test_the_simulator_is_there_and_nothing_else_came_along(fresh: Environment) -> None:
    assert "\nmock " in fresh.program("qstore", "backends")
    names = fresh.packages()
    assert {"qstore-core", "qstore-mock", "numpy", "pluggy"} <= names
    unwanted = {"cirq", "cirq-core", "cirq-ionq", "qiskit", "qiskit-aer", "scikit-learn", "scipy", "matplotlib"}
    assert not names & (unwanted | {"pytest", "aiohttp"})


def test_the_suite_runs_without_pytest(fresh: Environment) -> None:
    last = fresh.program("qstore", "check-backend", "mock").splitlines()[-1]
    found = re.match(r"(\d+) passed", last)
    assert found, last
    assert int(found[1]) > 30
    assert ", 0 failed" in last


def test_the_package_is_typed_and_whole(fresh: Environment) -> None:
    find = "import qstore_core, pathlib; print(pathlib.Path(qstore_core.__file__).parent)"
    installed = Path(fresh.program("python", "-c", find).strip())
    assert ROOT not in installed.parents
    for pattern in ("*.py", "*.tmpl"):
        shipped = {path.relative_to(ROOT / "qstore_core") for path in (ROOT / "qstore_core").rglob(pattern)}
        assert {path.relative_to(installed) for path in installed.rglob(pattern)} == shipped
    assert (installed / "py.typed").is_file()


def test_a_backend_that_is_not_installed_says_how_to_get_it(fresh: Environment) -> None:
    ask = "import qstore_core\ntry: qstore_core.get_backend('ionq.qpu')\nexcept qstore_core.QStoreError as e: print(e)"
    assert "pip install ./plugins/qstore_ionq" in fresh.program("python", "-c", ask)
