"""`qstore check-backend`."""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from qstore_core.backend import Backend, BackendCapabilities, RemoteBackend
from qstore_core.cli.making import make_backend
from qstore_core.cli.options import OptionType
from qstore_core.errors import ConfigurationError, PluginLoadError

if TYPE_CHECKING:
    from qstore_core.testing import Outcome

_FAILED_STATUS = 1


@click.command(short_help="Check that a backend is right, against an exact reference.")
@click.argument("name")
@click.option("--option", "options", type=OptionType(), multiple=True, help="For the backend, e.g. depolarizing=0.01.")
@click.option("--shots", type=click.IntRange(min=1), default=1000, show_default=True, help="Where values are sampled.")
@click.option(
    "--exact", type=click.FloatRange(min=0), default=1e-9, show_default=True, help="How near exact values are."
)
@click.option(
    "--noise",
    type=click.FloatRange(0, 2),
    default=0.25,
    show_default=True,
    help="How far a noisy backend's noise may move a value of a short circuit.",
)
@click.option(
    "--max-usd",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="The most that one check may spend, by the backend's own prices.",
)
@click.option("--patience", type=click.FloatRange(min=0), default=600.0, show_default=True, help="Seconds for a job.")
@click.option("--only", help="Only the checks whose names contain this.")
@click.pass_context
def check_backend(ctx: click.Context, /, *, name: str, options: tuple[tuple[str, Any], ...], **settings: Any) -> None:
    """Check a backend: gates, bit order, bases, shots, seeds, limits, errors, prices, jobs; exit status 1 if it fails.

    It is the suite of `qstore_core.testing`. What the backend's capabilities rule out is skipped, and so is what would
    cost more than --max-usd: 0, unless you say otherwise.

    \b
    Examples:
        qstore check-backend mock
        qstore check-backend mock --option depolarizing=0.01
        qstore check-backend ionq.simulator --shots 2000
    """
    make = partial(make_backend, name, options)
    click.echo(_described(_made(name, make)))
    counts = _run(make, only=settings.pop("only"), settings=settings)
    ctx.exit(_FAILED_STATUS if counts["failed"] or not counts["passed"] else 0)


def _made(name: str, make: Any) -> Backend:
    """The backend, if it has what each of its checks begins with."""
    backend: Backend = make()
    for member, kind in (("capabilities", BackendCapabilities), ("fingerprint", str)):
        if not isinstance(getattr(backend, member, None), kind):
            raise PluginLoadError(
                f"backend {name!r} has no {member}: set it on the class {type(backend).__name__}, or in __init__, to a "
                f"{kind.__name__}"
            )
    return backend


def _run(make: Any, *, only: str | None, settings: dict[str, Any]) -> Counter[str]:
    from qstore_core.testing import BackendSuite  # which other commands do not need
    from qstore_core.testing.runner import iterate_suite

    suite = type("Chosen", (BackendSuite,), settings)()
    begin, counts = time.perf_counter(), Counter[str]()
    for outcome in iterate_suite(suite, only=only, make_backend=make):
        counts[outcome.state] += 1
        click.echo(_reported(outcome))
    if not counts:
        raise ConfigurationError(f"no check has {only!r} in its name; without --only you see all of them")
    states = ", ".join(f"{counts[state]} {state}" for state in ("passed", "skipped", "failed"))
    click.echo(f"{states} in {time.perf_counter() - begin:.1f} s")
    return counts


def _reported(outcome: Outcome) -> str:
    if outcome.state == "failed":
        return f"FAILED  {outcome.title}\n        {outcome.reason}"
    return f"{outcome.state:8}{outcome.title}" + (f" ({outcome.reason})" if outcome.reason else "")


def _described(backend: Backend) -> str:
    able = backend.capabilities
    values = " and ".join(word for word, has in (("exact", able.exact), ("sampled", able.sampled)) if has)
    words = [
        "remote" if isinstance(backend, RemoteBackend) else "local",
        f"{able.max_qubits} qubits",
        f"{len(able.gates)} gates",
        f"{values} values",
        *(["noisy"] if able.noisy else []),
        *(["seeded by draw labels"] if able.seedable and able.sampled else []),
        *(["adjoint gradients"] if able.adjoint else []),
        "free" if able.prices is None else "priced",
    ]
    return f"{backend.fingerprint}: {', '.join(words)}"
