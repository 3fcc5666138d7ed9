"""The options that every provider's command has, and running it until SIGTERM."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click

from qstore_core.errors import QStoreError
from qstore_core.testing.provider.faults import SUBMIT, Fault, FaultOptions
from qstore_core.testing.provider.options import Pause

SECONDS = click.FloatRange(min=0)
FILE = click.Path(dir_okay=False, path_type=Path)
FAULT_NAMES = ", ".join(fault.value for fault in Fault)

Command = TypeVar("Command", bound=Callable[..., Any])


def rate(text: str) -> tuple[Fault, float]:
    """A fault and its probability.

    >>> rate("drop-after-accept=0.05")
    (<Fault.DROP_AFTER_ACCEPT: 'drop-after-accept'>, 0.05)
    """
    name, _, number = text.partition("=")
    try:
        return Fault(name), float(number)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not FAULT=RATE; the faults are {FAULT_NAMES}") from None


def moment(text: str) -> tuple[tuple[str, int], Fault]:
    """A fault and the request that it strikes: the n-th submit, or the n-th of another kind.

    >>> moment("drop-after-accept:3")[0], moment("rate-limit:status:1")[0]
    (('submit', 3), ('status', 1))
    """
    try:
        name, *kind, number = text.split(":")
        return ((kind or [SUBMIT])[0], int(number)), Fault(name)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not FAULT:N or FAULT:REQUEST:N; the faults: {FAULT_NAMES}") from None


parent_option = click.option("--with-parent", is_flag=True, help="Stop when the process that started it is gone.")
"""Gives a command the option that `run_until_told` is told."""

_PLACE = (
    click.option("--ledger", type=FILE, required=True, help="Its SQLite file."),
    click.option("--host", default="127.0.0.1", help="Where it listens."),
    click.option("--port", default=0, help="The port; 0 picks a free one."),
)
_FAULTS = (
    click.option(
        "--faults", default=0.0, type=click.FloatRange(0, 1), help="The probability of any fault at a request."
    ),
    click.option(
        "--fault",
        multiple=True,
        type=rate,
        metavar="FAULT=RATE",
        help=f"One fault's probability. Repeatable: {FAULT_NAMES}.",
    ),
    click.option("--fault-seed", default=0, type=click.IntRange(min=0), help="What faults are drawn from."),
    click.option(
        "--force",
        multiple=True,
        type=moment,
        metavar="FAULT[:REQUEST]:N",
        help="The fault of the n-th submit, or request of a kind.",
    ),
    click.option("--silence", default=60.0, type=SECONDS, help="Seconds until an unanswered connection is closed."),
    click.option("--retry-after", default=1.0, type=SECONDS, help="Seconds that 429 and 503 ask to wait."),
    click.option(
        "--pause-after-accept",
        type=FILE,
        help="Make this file, with the job's name, once a job is accepted, and answer when it is gone.",
    ),
    click.option("--pause-at", type=click.IntRange(min=1), help="Pause at the n-th submit only."),
    click.option("--pause-timeout", default=60.0, type=SECONDS, help="The most seconds of a pause."),
    parent_option,
)


def place_options(command: Command) -> Command:
    """Give a command the options that say where its ledger is and where it listens."""
    return _with(command, _PLACE)


def fault_options(command: Command) -> Command:
    """Give a command the options for faults and pauses; `faults_and_pause` reads them."""
    return _with(command, _FAULTS)


def faults_and_pause(given: dict[str, Any], requests: tuple[str, ...]) -> dict[str, Any]:
    """`faults` and `pause` of `ServiceOptions`, taken out of what a command was given."""
    rates, forced = dict(given.pop("fault")), dict(given.pop("force"))
    faults = FaultOptions(given.pop("faults"), rates, given.pop("fault_seed"), forced, requests)
    path, at, timeout = (given.pop(f"pause_{part}") for part in ("after_accept", "at", "timeout"))
    return {"faults": faults, "pause": None if path is None else Pause(path=path, at=at, timeout=timeout)}


class Serve(Protocol):
    """Runs a provider until `stop` is set; `ready` is called with its URL once it listens."""

    def __call__(self, *, ready: Callable[[str], None], stop: asyncio.Event) -> Awaitable[None]: ...


def run_until_told(serve: Serve, *, with_parent: bool) -> None:
    """Run a provider until SIGTERM, Ctrl-C, or the end of the process that started it.

    Raises:
        click.ClickException: An error of ours, in its words.
    """
    try:
        asyncio.run(_run(serve, with_parent=with_parent))
    except QStoreError as error:
        raise click.ClickException(str(error)) from error


async def _run(serve: Serve, *, with_parent: bool) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    watch = asyncio.create_task(_stop_with(os.getppid(), stop)) if with_parent else None
    await serve(ready=_announce, stop=stop)
    if watch is not None:
        watch.cancel()


def _with(command: Command, options: tuple[Callable[[Any], Any], ...]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def _announce(url: str) -> None:
    click.echo(json.dumps({"url": url, "pid": os.getpid()}))


async def _stop_with(parent: int, stop: asyncio.Event) -> None:
    while os.getppid() == parent:
        await asyncio.sleep(0.5)
    stop.set()
