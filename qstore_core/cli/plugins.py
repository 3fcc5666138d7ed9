"""`qstore plugins`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

import click

from qstore_core import registry
from qstore_core.cli.tables import table
from qstore_core.errors import PluginError
from qstore_core.loading import Registration
from qstore_core.registry import PluginInfo

_BROKEN_STATUS = 1


@click.command(short_help="List the installed plugins and what each provides.")
@click.option("--check", is_flag=True, help="Also import everything that they register, which may be slow.")
@click.pass_context
def plugins(ctx: click.Context, *, check: bool) -> None:
    """List the installed plugins and what each provides; exit status 1 when one is broken.

    QSTORE_PLUGINS names the plugins to load, separated by commas; empty, it leaves only the built-ins.

    \b
    Examples:
        qstore plugins
        qstore plugins --check
        QSTORE_PLUGINS=mock,aer qstore plugins
    """
    found = registry.plugins()
    click.echo(table(["PLUGIN", "DISTRIBUTION", "VERSION", "PROVIDES"], [_row(plugin) for plugin in found]))
    broken = [plugin for plugin in found if plugin.error is not None]
    for plugin in broken:
        click.echo(f"\n{plugin.name}: {' '.join(str(plugin.error).split())}")
    failed = [error for plugin in found for error in _import_errors(plugin)] if check else []
    for error in failed:
        click.echo(f"\n{' '.join(str(error).split())}")
    ctx.exit(_BROKEN_STATUS if broken or failed else 0)


def _import_errors(plugin: PluginInfo) -> Iterator[PluginError]:
    for registration in plugin.registrations:
        try:
            registration.load()
        except PluginError as error:
            yield error


def _row(plugin: PluginInfo) -> list[str]:
    provides = _provides(plugin.registrations) if plugin.error is None else "nothing: broken, see below"
    return [plugin.name, plugin.distribution or "-", plugin.version or "-", provides]


def _provides(registrations: Iterable[Registration]) -> str:
    kinds = groupby(registrations, key=lambda registration: registration.kind.replace("_", " "))
    return "; ".join(f"{kind}: {', '.join(each.name for each in group)}" for kind, group in kinds) or "nothing"
