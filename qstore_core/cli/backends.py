"""`qstore backends`."""

from __future__ import annotations

import click

from qstore_core import registry
from qstore_core.cli.tables import table


@click.command()
def backends() -> None:
    """List the backends that can be asked for by name.

    \b
    Examples:
        qstore backends
        QSTORE_PLUGINS=mock qstore backends
    """
    found = registry.default_registry().registrations("backend")
    if found:
        click.echo(table(["BACKEND", "PLUGIN", "SUMMARY"], [[each.name, each.plugin, each.summary] for each in found]))
    else:
        click.echo("No backend is installed. To install the simulator: pip install ./plugins/qstore_mock")
    broken = sum(plugin.error is not None for plugin in registry.plugins())
    if broken:
        click.echo(f"{broken} plugin{'s' if broken > 1 else ''} cannot be used: see `qstore plugins`", err=True)
