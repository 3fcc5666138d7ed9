"""The command `qstore-mock-provider`: options in, a URL out, until SIGTERM."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import click

from qstore_core.errors import ConfigurationError
from qstore_core.testing.provider.cli import SECONDS, fault_options, faults_and_pause, place_options, run_until_told
from qstore_core.testing.provider.faults import REQUESTS
from qstore_mock.remote.options import Limits, ProviderOptions, ProviderTiming
from qstore_mock.remote.prices import PriceTable


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


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@place_options
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
@fault_options
def main(*, with_parent: bool, **given: Any) -> None:
    """Run a simulated provider of quantum hardware on this machine.

    It prints one JSON line with its URL when it is ready, and stops on SIGTERM or Ctrl-C. Accepted jobs are in the
    ledger before they are answered, and survive it.

    \b
    Example:
        qstore-mock-provider --ledger ledger.sqlite --queue 5 --price-circuit 0.30 --faults 0.1
    """
    run_until_told(partial(_serve, given), with_parent=with_parent)


def options_of(given: Mapping[str, Any]) -> ProviderOptions:
    """The options of a provider from those of the command line, by their names there."""
    rest = dict(given)
    rest.pop("with_parent", None)
    times = {"latency": "latency", "queue": "queue", "circuit_seconds": "per_circuit", "find_lag": "find_lag"}
    timing = ProviderTiming(late=rest.pop("late"), **{name: rest.pop(option) for option, name in times.items()})
    limits = Limits(**{name: rest.pop(name) for name in ("max_qubits", "max_circuits", "max_shots")})
    prices = {f"per_{unit}": rest.pop(f"price_{unit}") for unit in ("job", "circuit", "shot")}
    return ProviderOptions(
        timing=timing.scaled(rest["time_scale"]),
        limits=limits,
        prices=PriceTable.of({**prices, "minimum": rest.pop("minimum")}),
        **faults_and_pause(rest, REQUESTS),
        **rest,
    )


async def _serve(given: Mapping[str, Any], *, ready: Callable[[str], None], stop: asyncio.Event) -> None:
    options = options_of(given)
    try:
        from qstore_mock.remote.server import Provider  # needs aiohttp, which the base install leaves out
    except ImportError as error:
        raise ConfigurationError(
            f"the simulated provider needs {error.name}: pip install './plugins/qstore_mock[remote]'"
        ) from error
    await Provider(options).run(ready=ready, stop=stop)
