"""`qstore plugins`."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

import click

from qstore_core import registry
from qstore_core.cli.tables import table
from qstore_core.loading import Registration
from qstore_core.registry import PluginInfo

_BROKEN_STATUS = 1


@click.command(short_help="List the installed plugins and what each provides.")
@click.pass_context
def plugins(ctx: click.Context) -> None:
    """List the installed plugins and what each provides; exit status 1 when one is broken.

    QSTORE_PLUGINS names the plugins to load, separated by commas; empty, it leaves only the built-ins.

    \b
    Examples:
        qstore plugins
        QSTORE_PLUGINS=mock,aer qstore plugins
    """
    found = registry.plugins()
    click.echo(table(["PLUGIN", "DISTRIBUTION", "VERSION", "PROVIDES"], [_row(plugin) for plugin in found]))
    broken = [plugin for plugin in found if plugin.error is not None]
    for plugin in broken:
        click.echo(f"\n{plugin.name}: {' '.join(str(plugin.error).split())}")
    ctx.exit(_BROKEN_STATUS if broken else 0)


def _row(plugin: PluginInfo) -> list[str]:
    provides = _provides(plugin.registrations) if plugin.error is None else "nothing: broken, see below"
    return [plugin.name, plugin.distribution or "-", plugin.version or "-", provides]


def _provides(registrations: Iterable[Registration]) -> str:
    kinds = groupby(registrations, key=lambda registration: registration.kind.replace("_", " "))
    return "; ".join(f"{kind}: {', '.join(each.name for each in group)}" for kind, group in kinds) or "nothing"
