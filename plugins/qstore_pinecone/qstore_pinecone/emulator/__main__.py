"""`python -m qstore_pinecone.emulator`: a server on this machine; it prints its URL as a line of JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys

from qstore_core.errors import ConfigurationError


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m qstore_pinecone.emulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="the port; 0 picks a free one")
    parser.add_argument("--key", default="emulator", help="what requests must carry")
    parser.add_argument("--with-parent", action="store_true", help="stop when the process that started it is gone")
    asyncio.run(_serve(parser.parse_args()))


async def _serve(options: argparse.Namespace) -> None:
    try:
        from qstore_pinecone.emulator.server import serve  # needs aiohttp, which the base install leaves out
    except ImportError as error:
        raise ConfigurationError(
            f"the emulator needs {error.name}: pip install './plugins/qstore_pinecone[emulator]'"
        ) from error
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    watch = asyncio.create_task(_stop_with(os.getppid(), stop)) if options.with_parent else None
    await serve(options.port, options.key, ready=_announce, stop=stop)
    if watch is not None:
        watch.cancel()


def _announce(url: str) -> None:
    sys.stdout.write(json.dumps({"url": url, "pid": os.getpid()}) + "\n")
    sys.stdout.flush()


async def _stop_with(parent: int, stop: asyncio.Event) -> None:
    while os.getppid() == parent:
        await asyncio.sleep(0.5)
    stop.set()


if __name__ == "__main__":
    main()
