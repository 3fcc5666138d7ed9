"""What a user gets who installs the core and the simulator into a fresh environment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a fresh virtual environment with the core and the simulator."""
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    run(sys.executable, "-m", "venv", str(folder))
    bin_folder = folder / "bin"
    run(str(bin_folder / "python"), "-m", "pip", "install", "--quiet", str(ROOT), str(ROOT / "plugins/qstore_mock"))
    return bin_folder


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False, cwd=Path(sys.prefix))
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_the_simulator_is_there_and_nothing_else_came_along(scripts: Path) -> None:
    assert "\nmock " in run(str(scripts / "qstore"), "backends")
    packages = run(str(scripts / "python"), "-m", "pip", "list", "--format", "freeze").split()
    names = {line.partition("==")[0].lower() for line in packages}
    assert {"qstore-core", "qstore-mock", "numpy", "pluggy"} <= names
    assert not names & {"cirq", "cirq-core", "qiskit", "scikit-learn", "scipy", "matplotlib", "pytest"}


@pytest.mark.slow
def test_the_package_is_typed_and_whole(scripts: Path) -> None:
    find = "import qstore_core, pathlib; print(pathlib.Path(qstore_core.__file__).parent)"
    installed = Path(run(str(scripts / "python"), "-c", find).strip())
    assert ROOT not in installed.parents
    shipped = {path.relative_to(ROOT / "qstore_core") for path in (ROOT / "qstore_core").rglob("*.py")}
    assert {path.relative_to(installed) for path in installed.rglob("*.py")} == shipped
    assert (installed / "py.typed").is_file()


@pytest.mark.slow
def test_a_backend_that_is_not_installed_says_how_to_get_it(scripts: Path) -> None:
    ask = "import qstore_core\ntry: qstore_core.get_backend('ionq.qpu')\nexcept qstore_core.QStoreError as e: print(e)"
    assert "pip install ./plugins/qstore_ionq" in run(str(scripts / "python"), "-c", ask)
