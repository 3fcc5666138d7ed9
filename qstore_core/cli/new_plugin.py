"""`qstore new-plugin`."""

from __future__ import annotations

from pathlib import Path

import click

from qstore_core.scaffold import KINDS, make_plugin


@click.command(short_help="Make the package of a new plugin, which works and passes its suite.")
@click.argument("name")
@click.option("--kind", type=click.Choice(list(KINDS)), required=True, help="What it is to register.")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    show_default=True,
    help="Where its folder is made.",
)
def new_plugin(*, name: str, kind: str, directory: Path) -> None:
    """Make the package of a new plugin: pyproject, manifest, a small implementation, its test, README and CI file.

    It installs and passes its suite as it is; replace the implementation by yours.

    \b
    Examples:
        qstore new-plugin mysim --kind backend
        qstore new-plugin mycache --kind cache --directory ~/plugins
    """
    folder = make_plugin(name, kind, directory).resolve()
    click.echo(f"{folder} is a plugin {name!r} with {KINDS[kind].words}. To try it:\n")
    click.echo(f'    pip install -e "{folder}[test]"')
    click.echo("    qstore plugins --check")
    if kind == "backend":
        click.echo(f"    qstore check-backend {name}")
    click.echo(f"    pytest {folder}")
