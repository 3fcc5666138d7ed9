"""What a user reads when real distributions on the path are broken, beside one that is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

MANIFEST = """
from qstore_core import hookimpl

@hookimpl
def {hook}(register):
    register("{name}", "json:JSONDecoder", summary="{name} in one line")
"""


class Site:
    """A folder on PYTHONPATH, filled as pip fills site-packages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(
        self, plugin: str, source: str | None = None, *, distribution: str = "", core: str = ">=0.1,<0.2"
    ) -> None:
        name = distribution or f"dist-{plugin}"
        module = f"made_{name.replace('-', '_')}"
        info = self.folder / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (self.folder / f"{module}.py").write_text(source or MANIFEST.format(hook="register_caches", name=plugin))
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: qstore-core{core}\n"
        )
        (info / "entry_points.txt").write_text(f"[qstore]\n{plugin} = {module}\n")
        (info / "RECORD").write_text(f"{module}.py,,\n{info.name}/METADATA,,\n{info.name}/entry_points.txt,,\n")

    def qstore(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        inherited = {name: value for name, value in os.environ.items() if name != "QSTORE_PLUGINS"}
        return subprocess.run(
            [sys.executable, "-m", "qstore_core", *arguments],
            env={**inherited, "PYTHONPATH": os.pathsep.join([str(self.folder), str(ROOT)]), **environment},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path)
    made.install("healthy")
    return made


def row(output: str, plugin: str) -> str:
    return " ".join(next(line for line in output.splitlines() if line.startswith(f"{plugin} ")).split())


def test_broken_plugins_are_listed_beside_the_healthy_one(site: Site) -> None:
    site.install("absent", "import a_package_nobody_has")
    site.install("quitting", "raise SystemExit('no licence')")
    site.install("misspelt", MANIFEST.format(hook="register_cache", name="misspelt"))
    site.install("greedy", MANIFEST.format(hook="register_caches", name="healthy.fast"))
    site.install("twin", distribution="first-twin")
    site.install("twin", distribution="second-twin")
    site.install("future", core=">=7")

    listed = site.qstore("plugins")

    assert listed.returncode == 1
    assert listed.stderr == ""
    assert row(listed.stdout, "healthy") == "healthy dist-healthy 1.0 cache: healthy"
    assert row(listed.stdout, "built-in").startswith("built-in qstore-core 0.1.0 gradient estimator: spsa")
    for plugin in ("absent", "quitting", "misspelt", "greedy", "twin", "future"):
        assert row(listed.stdout, plugin).endswith("nothing: broken, see below")
    for line in (
        "absent: plugin 'absent' failed to import: ModuleNotFoundError: No module named 'a_package_nobody_has'",
        "quitting: plugin 'quitting' failed to import: SystemExit: no licence",
        "misspelt: plugin 'misspelt' implements 'register_cache', which is no hook; did you mean 'register_caches'?",
        "greedy: plugin 'greedy' registers cache 'healthy.fast', which it does not own; "
        "it may register 'greedy' and 'greedy.<variant>'",
        "future: plugin 'future' needs qstore-core>=7, but qstore-core 0.1.0 is installed; "
        "install versions that go together",
    ):
        assert line in listed.stdout.splitlines()
    collision = next(line for line in listed.stdout.splitlines() if line.startswith("twin: "))
    assert "first-twin 1.0" in collision
    assert "second-twin 1.0" in collision


def test_narrowed_to_the_healthy_plugin_all_is_well(site: Site) -> None:
    site.install("absent", "import a_package_nobody_has")
    listed = site.qstore("plugins", QSTORE_PLUGINS="healthy")
    assert listed.returncode == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["PLUGIN", "built-in", "healthy"]


def test_a_distribution_found_twice_on_the_path_is_listed_once(site: Site) -> None:
    listed = site.qstore(
        "plugins",
        QSTORE_PLUGINS="healthy",
        PYTHONPATH=os.pathsep.join([f"{site.folder}", f"{site.folder}/.", f"{ROOT}"]),
    )
    assert listed.returncode == 0
    assert listed.stdout.count("dist-healthy") == 1


def test_backends_points_at_the_broken_plugins(site: Site) -> None:
    site.install("stage", MANIFEST.format(hook="register_backends", name="stage"))
    site.install("absent", "import a_package_nobody_has")
    listed = site.qstore("backends", QSTORE_PLUGINS="stage,absent")
    assert listed.returncode == 0
    assert row(listed.stdout, "stage") == "stage stage stage in one line"
    assert listed.stderr == "1 plugin cannot be used: see `qstore plugins`\n"


def test_files_that_make_importlib_metadata_raise_cost_nothing(site: Site) -> None:
    for name, text in (("torn", b"[console_scripts]\nnot an entry point\n"), ("binary", b"[qstore]\n\xff\xfe = x\n")):
        folder = site.folder / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "entry_points.txt").write_bytes(text)
    (site.folder / "empty-1.0.dist-info").mkdir()
    listed = site.qstore("plugins", QSTORE_PLUGINS="healthy")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert row(listed.stdout, "healthy")


def test_with_broken_plugins_everything_else_works(site: Site) -> None:
    site.install("absent", "import a_package_nobody_has")
    site.install("quitting", "raise SystemExit('no licence')")
    site.install("hollow", MANIFEST.format(hook="register_backends", name="hollow").replace("json:", "nowhere:"))
    listed = site.qstore("plugins")
    assert listed.returncode == 1
    assert "absent: plugin 'absent' failed to import: ModuleNotFoundError: No module named 'a_package_nobody_has'" in (
        listed.stdout.splitlines()
    )
    checked = site.qstore("plugins", "--check")
    assert "plugin 'hollow': backend 'hollow' cannot be imported from 'nowhere:JSONDecoder'" in checked.stdout
    command = "train iris --classes setosa,versicolor --qubits 2 --depth 1 --epochs 1 --no-progress --run-directory run"
    trained = site.qstore(*command.split())
    assert trained.returncode == 0, trained.stderr
    assert site.qstore("check-backend", "mock", "--only", "leftmost").returncode == 0
    asked = site.qstore("train", "iris", "--backend", "absent")
    assert asked.returncode == 2
    assert "plugin 'absent' failed to import" in asked.stderr
