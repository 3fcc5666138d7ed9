"""The commands that list what is installed, and how errors end."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner, Result

from qstore_core import cli, hookimpl, registry
from qstore_core.errors import ConfigurationError
from qstore_core.hookspecs import Register
from qstore_core.registry import Registry


class Fake:
    @hookimpl
    def register_backends(self, register: Register) -> None:
        register("fake", "json:JSONDecoder", summary="decodes")
        register("fake.slow", "json:JSONDecoder")


@pytest.fixture(autouse=True)
def found(monkeypatch: pytest.MonkeyPatch) -> Registry:
    alone = Registry(lambda: ())
    monkeypatch.setattr(registry, "_default", alone)
    return alone


def qstore(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, arguments)


def failing(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def version() -> None:
        raise error

    monkeypatch.setattr("qstore_core.cli.version.version", version)


def test_help_lists_every_command_with_its_purpose() -> None:
    shown = qstore("--help")
    assert shown.exit_code == 0
    for command in cli.COMMANDS:
        assert f"\n  {command} " in shown.output
        assert qstore(command, "--help").exit_code == 0
    assert "..." not in shown.output.split("Commands:")[1]


def test_version_tells_qstore_and_python() -> None:
    python = ".".join(map(str, sys.version_info[:3]))
    assert qstore("version").output == f"qstore 0.1.0 (Python {python})\n"
    assert qstore("--version").output == "qstore 0.1.0\n"


def test_backends_lists_names_plugins_and_summaries(found: Registry) -> None:
    found.register(Fake())
    shown = qstore("backends")
    assert shown.exit_code == 0
    assert shown.output == "BACKEND    PLUGIN  SUMMARY\nfake       fake    decodes\nfake.slow  fake\n"


def test_backends_tells_how_to_install_one_where_there_is_none() -> None:
    shown = qstore("backends")
    assert shown.exit_code == 0
    assert "pip install ./plugins/qstore_mock" in shown.output


def test_plugins_lists_what_was_registered_in_process(found: Registry) -> None:
    found.register(Fake())
    shown = qstore("plugins")
    assert shown.exit_code == 0
    assert shown.output.splitlines()[-1].split() == ["fake", "-", "-", "backend:", "fake,", "fake.slow"]


def test_plugins_reports_a_name_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QSTORE_PLUGINS", "ionq")
    shown = qstore("plugins")
    assert shown.exit_code == 1
    assert shown.output.splitlines()[-1].startswith("ionq: unknown plugin 'ionq'; None are installed. QSTORE_PLUGINS")


def test_an_error_of_ours_is_one_line_and_status_two(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(ConfigurationError("depth is 0;\nuse 1 or more"), monkeypatch)
    shown = qstore("version")
    assert shown.exit_code == 2
    assert (shown.stdout, shown.stderr) == ("", "qstore: error: depth is 0; use 1 or more\n")


def test_debug_adds_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(ConfigurationError("depth is 0"), monkeypatch)
    shown = qstore("--debug", "version")
    assert shown.exit_code == 2
    assert shown.stderr.startswith("Traceback (most recent call last)")
    assert shown.stderr.endswith("\nqstore: error: depth is 0\n")


def test_ctrl_c_ends_with_status_130(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(KeyboardInterrupt(), monkeypatch)
    shown = qstore("version")
    assert shown.exit_code == 130
    assert shown.stderr == "qstore: interrupted\n"


def test_an_error_that_is_not_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(ZeroDivisionError(), monkeypatch)
    assert isinstance(qstore("version").exception, ZeroDivisionError)


def test_an_unknown_command_is_a_usage_error() -> None:
    shown = qstore("trian")
    assert shown.exit_code == 2
    assert "No such command 'trian'. Did you mean 'train'?" in shown.stderr


def test_the_module_runs_as_the_command() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "qstore_core", "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    assert shown.stdout.startswith("Usage: qstore ")
