"""The command `qstore-ionq-emulator`: options in, a URL out, until SIGTERM."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click

from qstore_core.errors import ConfigurationError
from qstore_core.testing.provider.cli import SECONDS, fault_options, faults_and_pause, place_options, run_until_told
from qstore_ionq.emulator.options import REQUESTS, EmulatorOptions, EmulatorTiming


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@place_options
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
@fault_options
def main(*, with_parent: bool, **given: Any) -> None:
    """Emulate IonQ's service on this machine: its API, its machines and their noise, its prices.

    It prints one JSON line with its URL when it is ready, and stops on SIGTERM or Ctrl-C. Accepted jobs are in the
    ledger before they are answered, and survive it. Nothing is sent anywhere, and nothing costs anything.

    \b
    Example:
        qstore-ionq-emulator --ledger ledger.sqlite --port 8123 --queue 5 --faults 0.1
        export IONQ_REMOTE_HOST=http://127.0.0.1:8123 IONQ_API_KEY=any
    """
    run_until_told(partial(_serve, given), with_parent=with_parent)


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
    timing = EmulatorTiming(**{name: rest.pop(option) for option, name in names.items()})
    return EmulatorOptions(timing=timing, **faults_and_pause(rest, REQUESTS), **rest)


async def _serve(given: Mapping[str, Any], *, ready: Callable[[str], None], stop: asyncio.Event) -> None:
    options = options_of(given)
    try:
        from qstore_ionq.emulator.server import Emulator  # needs aiohttp, which the base install leaves out
    except ImportError as error:
        raise ConfigurationError(
            f"the emulator needs {error.name}: pip install './plugins/qstore_ionq[emulator]'"
        ) from error
    await Emulator(options).run(ready=ready, stop=stop)
