"""The command `qstore-ionq-emulator`: options in, a URL out, until SIGTERM."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from qstore_core.errors import ConfigurationError, QStoreError
from qstore_ionq.emulator.faults import SUBMIT, Fault, FaultOptions
from qstore_ionq.emulator.options import EmulatorOptions, Pause, Timing

SECONDS = click.FloatRange(min=0)
FILE = click.Path(dir_okay=False, path_type=Path)
FAULT_NAMES = ", ".join(fault.value for fault in Fault)


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


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--ledger", type=FILE, required=True, help="Its SQLite file.")
@click.option("--host", default="127.0.0.1", help="Where it listens.")
@click.option("--port", default=0, help="The port; 0 picks a free one.")
@click.option("--key", envvar="QSTORE_IONQ_EMULATOR_KEY", help="The only API key that it takes; without, any.")
@click.option("--latency", default=0.0, type=SECONDS, help="Seconds a request.")
@click.option("--queue", default=0.0, type=SECONDS, help="Seconds a job waits.")
@click.option("--circuit-seconds", default=0.0, type=SECONDS, help="Seconds a circuit.")
@click.option("--shot-seconds", default=0.0, type=SECONDS, help="Seconds a shot.")
@click.option("--list-lag", default=0.0, type=SECONDS, help="Seconds until the list of jobs shows a job.")
@click.option("--late", default=1.0, type=SECONDS, help="Seconds by which late results are late.")
@click.option(
    "--minimum",
    default="per_job",
    type=click.Choice(["per_job", "per_circuit"]),
    help="What the least price is charged for.",
)
@click.option("--prices", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A table of targets.")
@click.option("--max-qubits", "widest", default=20, type=click.IntRange(min=2), help="The widest circuit; half, noisy.")
@click.option("--ideal-machines", is_flag=True, help="Machines sample, and have no noise.")
@click.option("--page", default=25, type=click.IntRange(min=1), help="Jobs on a page of the list of jobs.")
@click.option("--list-children", is_flag=True, help="List the circuits of a job as jobs of their own.")
@click.option("--shuffle/--in-order", default=True, help="Whether results come in another order than the circuits.")
@click.option("--faults", default=0.0, type=click.FloatRange(0, 1), help="The probability of any fault at a request.")
@click.option(
    "--fault",
    multiple=True,
    type=rate,
    metavar="FAULT=RATE",
    help=f"One fault's probability. Repeatable: {FAULT_NAMES}.",
)
@click.option("--fault-seed", default=0, type=click.IntRange(min=0), help="What faults are drawn from.")
@click.option(
    "--force",
    multiple=True,
    type=moment,
    metavar="FAULT[:REQUEST]:N",
    help="The fault of the n-th submit, or request of a kind.",
)
@click.option("--silence", default=60.0, type=SECONDS, help="Seconds until an unanswered connection is closed.")
@click.option("--retry-after", default=1.0, type=SECONDS, help="Seconds that 429 and 503 ask to wait.")
@click.option(
    "--pause-after-accept",
    type=FILE,
    help="Make this file, with the job's name, once a job is accepted, and answer when it is gone.",
)
@click.option("--pause-at", type=click.IntRange(min=1), help="Pause at the n-th submit only.")
@click.option("--pause-timeout", default=60.0, type=SECONDS, help="The most seconds of a pause.")
@click.option("--with-parent", is_flag=True, help="Stop when the process that started it is gone.")
def main(*, with_parent: bool, **given: Any) -> None:
    """Emulate IonQ's service on this machine: its API, its machines and their noise, its prices.

    It prints one JSON line with its URL when it is ready, and stops on SIGTERM or Ctrl-C. Accepted jobs are in the
    ledger before they are answered, and survive it. Nothing is sent anywhere, and nothing costs anything.

    \b
    Example:
        qstore-ionq-emulator --ledger ledger.sqlite --port 8123 --queue 5 --faults 0.1
        export IONQ_REMOTE_HOST=http://127.0.0.1:8123 IONQ_API_KEY=any
    """
    try:
        asyncio.run(_serve(options_of(given), with_parent=with_parent))
    except QStoreError as error:
        raise click.ClickException(str(error)) from error


def options_of(given: Mapping[str, Any]) -> EmulatorOptions:
    """The options of an emulator from those of the command line, by their names there."""
    rest = dict(given)
    rest.pop("with_parent", None)
    names = {
        "latency": "latency",
        "queue": "queue",
        "circuit_seconds": "per_circuit",
        "shot_seconds": "per_shot",
        "list_lag": "list_lag",
        "late": "late",
    }
    timing = Timing(**{name: rest.pop(option) for option, name in names.items()})
    rates, forced = dict(rest.pop("fault")), dict(rest.pop("force"))
    faults = FaultOptions(rest.pop("faults"), rates, rest.pop("fault_seed"), forced)
    path, at, timeout = (rest.pop(f"pause_{part}") for part in ("after_accept", "at", "timeout"))
    pause = None if path is None else Pause(path=path, at=at, timeout=timeout)
    return EmulatorOptions(timing=timing, faults=faults, pause=pause, **rest)


async def _serve(options: EmulatorOptions, *, with_parent: bool) -> None:
    try:
        from qstore_ionq.emulator.server import serve  # needs aiohttp, which the base install leaves out
    except ImportError as error:
        raise ConfigurationError(
            f"the emulator needs {error.name}: pip install './plugins/qstore_ionq[emulator]'"
        ) from error
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    watch = asyncio.create_task(_stop_with(os.getppid(), stop)) if with_parent else None
    await serve(options, ready=_announce, stop=stop)
    if watch is not None:
        watch.cancel()


def _announce(url: str) -> None:
    click.echo(json.dumps({"url": url, "pid": os.getpid()}))


async def _stop_with(parent: int, stop: asyncio.Event) -> None:
    while os.getppid() == parent:
        await asyncio.sleep(0.5)
    stop.set()
