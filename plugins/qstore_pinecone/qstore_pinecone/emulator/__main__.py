"""`python -m qstore_pinecone.emulator`: a server on this machine; it prints its URL as a line of JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import click

from qstore_core.errors import ConfigurationError
from qstore_core.testing.provider.cli import parent_option, run_until_told


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--port", default=0, help="The port; 0 picks a free one.")
@click.option("--key", default="emulator", help="What requests must carry.")
@parent_option
def main(*, port: int, key: str, with_parent: bool) -> None:
    """Serve the part of Pinecone's API that qstore uses, in memory, until SIGTERM or Ctrl-C."""
    run_until_told(partial(_serve, port, key), with_parent=with_parent)


async def _serve(port: int, key: str, *, ready: Callable[[str], None], stop: asyncio.Event) -> None:
    try:
        from qstore_pinecone.emulator.server import serve  # needs aiohttp, which the base install leaves out
    except ImportError as error:
        raise ConfigurationError(
            f"the emulator needs {error.name}: pip install './plugins/qstore_pinecone[emulator]'"
        ) from error
    await serve(port, key, ready=ready, stop=stop)


if __name__ == "__main__":
    main(prog_name="python -m qstore_pinecone.emulator")
