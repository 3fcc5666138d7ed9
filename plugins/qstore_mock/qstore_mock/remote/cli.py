"""The command `qstore-mock-provider`: options in, a URL out, until SIGTERM."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any, Literal

import click

from qstore_core.errors import ConfigurationError, QStoreError
from qstore_mock.remote.faults import SUBMIT, Fault, FaultOptions
from qstore_mock.remote.options import Limits, Pause, ProviderOptions, Timing
from qstore_mock.remote.prices import PriceTable

SECONDS = click.FloatRange(min=0)
FAULT_NAMES = ", ".join(fault.value for fault in Fault)


def pair(text: str) -> tuple[float, float]:
    """One number for both, or two.

    >>> pair("0.1"), pair("0.1:0.2")
    ((0.1, 0.1), (0.1, 0.2))
    """
    first, _, second = text.partition(":")
    try:
        return float(first), float(second or first)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a number, nor two like 0.1:0.2") from None


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
@click.option("--ledger", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Its SQLite file.")
@click.option("--host", default="127.0.0.1", help="Where it listens.")
@click.option("--port", default=0, help="The port; 0 picks a free one.")
@click.option("--key", envvar="QSTORE_MOCK_KEY", help="What requests must carry; else $QSTORE_MOCK_KEY, else nothing.")
@click.option("--latency", default=0.0, type=SECONDS, help="Seconds a request.")
@click.option("--queue", default=0.0, type=SECONDS, help="Seconds a job waits.")
@click.option("--circuit-seconds", default=0.0, type=SECONDS, help="Seconds a circuit.")
@click.option("--find-lag", default=0.0, type=SECONDS, help="Seconds until a search finds an accepted job.")
@click.option("--late", default=1.0, type=SECONDS, help="Seconds by which late results are late.")
@click.option("--time-scale", default=1.0, type=SECONDS, help="Multiplies all of these seconds.")
@click.option("--max-qubits", default=20, type=click.IntRange(min=1), help="The widest circuit.")
@click.option("--max-circuits", type=click.IntRange(min=1), help="The most circuits of a job.")
@click.option("--max-shots", type=click.IntRange(min=1), help="The most shots of a circuit.")
@click.option("--price-job", default="0", type=pair, metavar="N[:N]", help="USD a job, low:high.")
@click.option("--price-circuit", default="0", type=pair, metavar="N[:N]", help="USD a circuit, low:high.")
@click.option("--price-shot", default="0", type=pair, metavar="N[:N]", help="USD a shot, low:high.")
@click.option("--minimum", default="0", type=pair, metavar="N[:N]", help="The least USD of a job, low:high.")
@click.option("--charge", default="low", type=click.Choice(["low", "high"]), help="The reading that is charged.")
@click.option(
    "--depolarizing", default="0", type=pair, metavar="N[:N]", help="Noise after gates, one-qubit:many-qubit."
)
@click.option("--readout-error", default="0", type=pair, metavar="N[:N]", help="Misread bits, 0 as 1:1 as 0.")
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
    type=click.Path(dir_okay=False, path_type=Path),
    help="Make this file, with the token, once a job is accepted, and answer when it is gone.",
)
@click.option("--pause-at", type=click.IntRange(min=1), help="Pause at the n-th submit only.")
@click.option("--pause-timeout", default=60.0, type=SECONDS, help="The most seconds of a pause.")
@click.option("--with-parent", is_flag=True, help="Stop when the process that started it is gone.")
def main(*, with_parent: bool, **given: Any) -> None:
    """Run a simulated provider of quantum hardware on this machine.

    It prints one JSON line with its URL when it is ready, and stops on SIGTERM or Ctrl-C. Accepted jobs are in the
    ledger before they are answered, and survive it.

    \b
    Example:
        qstore-mock-provider --ledger ledger.sqlite --queue 5 --price-circuit 0.30 --faults 0.1
    """
    try:
        asyncio.run(_serve(_options(**given), with_parent=with_parent))
    except QStoreError as error:
        raise click.ClickException(str(error)) from error


def _options(
    *,
    latency: float,
    queue: float,
    circuit_seconds: float,
    find_lag: float,
    late: float,
    time_scale: float,
    max_qubits: int,
    max_circuits: int | None,
    max_shots: int | None,
    price_job: tuple[float, float],
    price_circuit: tuple[float, float],
    price_shot: tuple[float, float],
    minimum: tuple[float, float],
    charge: Literal["low", "high"],
    faults: float,
    fault: tuple[tuple[Fault, float], ...],
    fault_seed: int,
    force: tuple[tuple[tuple[str, int], Fault], ...],
    pause_after_accept: Path | None,
    pause_at: int | None,
    pause_timeout: float,
    **others: Any,
) -> ProviderOptions:
    timing = Timing(latency=latency, queue=queue, per_circuit=circuit_seconds, find_lag=find_lag, late=late)
    prices = {"per_job": price_job, "per_circuit": price_circuit, "per_shot": price_shot, "minimum": minimum}
    pause = None
    if pause_after_accept is not None:
        pause = Pause(path=pause_after_accept, at=pause_at, timeout=pause_timeout)
    return ProviderOptions(
        timing=timing.scaled(time_scale),
        time_scale=time_scale,
        limits=Limits(max_qubits=max_qubits, max_circuits=max_circuits, max_shots=max_shots),
        prices=PriceTable.of(prices),
        charge=charge,
        faults=FaultOptions(overall=faults, rates=dict(fault), seed=fault_seed, forced=dict(force)),
        pause=pause,
        **others,
    )


async def _serve(options: ProviderOptions, *, with_parent: bool) -> None:
    try:
        from qstore_mock.remote.server import serve  # needs aiohttp, which the base install leaves out
    except ImportError as error:
        raise ConfigurationError(
            f"the simulated provider needs {error.name}: pip install './plugins/qstore_mock[remote]'"
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
