"""Fresh virtual environments, as those of a user who has only this repository."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


class Environment:
    """A virtual environment with some requirements installed, copied and not linked to the repository."""

    def __init__(self, folder: Path, *requirements: str) -> None:
        self.folder = folder
        self.run(sys.executable, "-m", "venv", str(folder / "venv"))
        if requirements:
            self.install(*requirements)

    def install(self, *requirements: str) -> None:
        self.program("python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements)

    def program(self, name: str, *arguments: str, cwd: Path | None = None) -> str:
        """What a program of the environment writes to standard output; it must succeed."""
        return self.run(str(self.folder / "venv" / "bin" / name), *arguments, cwd=cwd)

    def packages(self) -> set[str]:
        """The names of what is installed, in lower case."""
        listed = self.program("python", "-m", "pip", "list", "--format", "freeze").split()
        return {line.partition("==")[0].lower() for line in listed}

    def run(self, *command: str, cwd: Path | None = None) -> str:
        hidden = ("PYTHONPATH", "QSTORE_PLUGINS", "VIRTUAL_ENV")
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
            cwd=cwd or self.folder,
            env={name: value for name, value in os.environ.items() if name not in hidden},
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout
