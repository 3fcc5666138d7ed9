"""The command `qstore`: a group whose commands are imported when they run."""

from __future__ import annotations

import pkgutil
import traceback
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import click

from qstore_core.errors import QStoreError
from qstore_core.version import __version__

# In the order of `qstore --help`.
COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "train": "qstore_core.cli.train:train",
        "estimate": "qstore_core.cli.estimate:estimate",
        "predict": "qstore_core.cli.predict:predict",
        "resume": "qstore_core.cli.resume:resume",
        "runs": "qstore_core.cli.runs:runs",
        "costs": "qstore_core.cli.costs:costs",
        "jobs": "qstore_core.cli.runs:jobs",
        "cancel": "qstore_core.cli.runs:cancel",
        "store": "qstore_core.cli.store:store",
        "backends": "qstore_core.cli.backends:backends",
        "plugins": "qstore_core.cli.plugins:plugins",
        "check-backend": "qstore_core.cli.check_backend:check_backend",
        "new-plugin": "qstore_core.cli.new_plugin:new_plugin",
        "version": "qstore_core.cli.version:version",
    }
)

_ERROR_STATUS = 2
_INTERRUPTED_STATUS = 130


class CommandGroup(click.Group):
    """Commands by import path, and every error of ours as one line on standard error."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, imported now."""
        path = COMMANDS.get(cmd_name)
        command: click.Command | None = None if path is None else pkgutil.resolve_name(path)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command; for a misspelt one the error suggests the nearest."""
        name = args[0]
        if name not in COMMANDS:
            import difflib  # here, because few programs meet this error

            for nearest in difflib.get_close_matches(name, COMMANDS, n=1):
                ctx.fail(f"No such command {name!r}. Did you mean {nearest!r}?")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error of ours ends with status 2, Ctrl-C with 130."""
        try:
            return super().invoke(ctx)
        except QStoreError as error:
            if ctx.params["debug"]:
                click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
            click.echo(f"qstore: error: {' '.join(str(error).split())}", err=True)
            ctx.exit(_ERROR_STATUS)
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else "qstore"
            click.echo(f"qstore: error: {error.format_message()} (see `{command} --help`)", err=True)
            ctx.exit(_ERROR_STATUS)
        except KeyboardInterrupt:
            click.echo("qstore: interrupted", err=True)
            ctx.exit(_INTERRUPTED_STATUS)


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error; goes before the command.")
@click.version_option(__version__, prog_name="qstore", message="%(prog)s %(version)s")
def main(debug: bool) -> None:
    """Train variational quantum circuits with as few circuits, shots, jobs and dollars as possible.

    Train on a data set of scikit-learn's, or on a CSV file of yours:

    \b
        qstore train breast_cancer --splits 5 --baseline
        qstore train --data measurements.csv --target label --qubits 6

    Backends come from plugins; see what is installed, and add the simulator:

    \b
        qstore backends
        pip install ./plugins/qstore_mock
        qstore plugins

    Each command has its own help, such as `qstore plugins --help`. An error is one line and exit status 2; with
    `qstore --debug COMMAND` its traceback too.
    """
