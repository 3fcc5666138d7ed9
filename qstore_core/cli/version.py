"""`qstore version`."""

from __future__ import annotations

import platform

import click

from qstore_core.version import __version__


@click.command()
def version() -> None:
    """Show the versions of qstore and Python."""
    click.echo(f"qstore {__version__} (Python {platform.python_version()})")
