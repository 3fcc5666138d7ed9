"""`qstore store`: the runs that a store holds."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from qstore_core.cli.options import OptionType
from qstore_core.cli.tables import table
from qstore_core.errors import StoreError
from qstore_core.registry import default_registry
from qstore_core.run_record import NAMESPACE, RunRecord, fitted
from qstore_core.store import Store
from qstore_core.synchronous import run_sync

DEFAULT_PATH = Path("runs") / "store.sqlite"
"""Where the command line keeps the store "sqlite" unless it is told otherwise."""

Command = TypeVar("Command", bound=Callable[..., Any])
T = TypeVar("T")

_FETCHED_AT_ONCE = 100


def _store_options(command: Command) -> Command:
    """Give a command the options that say which store."""
    for option in (
        click.option("--store-option", "options", type=OptionType(), multiple=True, help="E.g. index_name=my-runs."),
        click.option(
            "--store-path",
            "path",
            type=click.Path(path_type=Path),
            help=f"The file of sqlite; default: {DEFAULT_PATH}.",
        ),
        click.option("--store", "name", default="sqlite", show_default=True, help="sqlite, pinecone, ..."),
    ):
        command = option(command)
    return command


@click.group(short_help="List, show, compare, export and delete the runs in a store.")
def store() -> None:
    """List, show, compare, export and delete the runs in a store.

    `qstore train --store sqlite` records runs, and `--warm-start store` starts from the nearest of them. Keys come from
    the environment, such as PINECONE_API_KEY.

    \b
    Examples:
        qstore store list
        qstore store similar run-1f2e3d4c --top 5
        qstore store list --store pinecone --store-option index_name=my-runs
    """


@store.command("list", short_help="List the runs.")
@_store_options
def list_runs(**where: Any) -> None:
    """List the runs, the latest first.

    \b
    Example:
        qstore store list --store-path team/runs.sqlite
    """
    found = sorted(_with(where, _all), key=lambda record: -record.created)
    if not found:
        click.echo("No runs in the store. Record one with `qstore train --store sqlite`.")
        return
    click.echo(table(_HEADER, [_row(record) for record in found]))


@store.command(short_help="Show a run: settings, cost, parameters.")
@click.argument("run")
@_store_options
def show(run: str, **where: Any) -> None:
    """Show all that the store has of RUN, whose name may be cut short.

    \b
    Example:
        qstore store show run-1f2e
    """
    record = _with(where, lambda chosen: _one(chosen, run))
    for name, value in _document(record).items():
        if not isinstance(value, dict | list):
            click.echo(f"{name:16}{value}")
    for name in ("metrics", "cost", "keys"):
        click.echo(f"{name:16}{json.dumps(_document(record)[name])}")
    click.echo(f"{'parameters':16}{' '.join(f'{value:.4f}' for value in record.parameters)}")
    click.echo(f"{'loss_parameters':16}{' '.join(f'{value:.4f}' for value in record.loss_parameters)}")
    click.echo(f"{'config':16}{json.dumps(dict(record.config))}")


@store.command(short_help="List the runs whose task is most like a run's.")
@click.argument("run")
@click.option("--top", default=10, show_default=True, type=click.IntRange(1, 1000), help="How many.")
@click.option("--compatible", is_flag=True, help="Only those whose parameters RUN could start from.")
@_store_options
def similar(run: str, top: int, compatible: bool, **where: Any) -> None:
    """List the runs whose data and labels are most like those of RUN, with the cosine between them.

    \b
    Example:
        qstore store similar run-1f2e --compatible
    """

    async def search(chosen: Store) -> list[tuple[RunRecord, float]]:
        record = await _one(chosen, run)
        alike = {**record.keys, "features": record.features} if compatible else None
        dimension = (await chosen.describe()).dimension
        found = await chosen.query(fitted(record.task, dimension), top_k=top + 1, where=alike, namespace=NAMESPACE)
        others = await _fetched(chosen, [match.id for match in found if match.id != record.id])
        return [(other, other.similarity(record.task)) for other in others[:top]]

    rows = [[f"{cosine:.3f}", *_row(record)] for record, cosine in _with(where, search)]
    click.echo(table(["COSINE", *_HEADER], rows) if rows else "No other run in the store.")


@store.command(short_help="Write runs as JSON, one a line.")
@click.argument("runs", nargs=-1)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="The file; default: standard output.")
@_store_options
def export(runs: Sequence[str], output: Path | None, **where: Any) -> None:
    """Write RUNS, or all of them, as JSON objects, one a line, with parameters, settings, metrics and cost.

    \b
    Example:
        qstore store export --output runs.jsonl
    """

    async def chosen(from_store: Store) -> list[RunRecord]:
        return [await _one(from_store, run) for run in runs] if runs else await _all(from_store)

    text = "".join(json.dumps(_document(record)) + "\n" for record in _with(where, chosen))
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {output}: {error.strerror or error}") from error
    click.echo(f"{len(text.splitlines())} run(s) written to {output}")


@store.command(short_help="Delete runs from the store.")
@click.argument("runs", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask first.")
@_store_options
def delete(runs: Sequence[str], yes: bool, **where: Any) -> None:
    """Delete RUNS, whose names may be cut short, from the store, damaged ones too; their run directories stay.

    \b
    Example:
        qstore store delete run-1f2e --yes
    """

    async def found(chosen: Store) -> list[str]:
        return list(dict.fromkeys([await _id(chosen, run) for run in runs]))

    ids = _with(where, found)
    if not yes:
        click.confirm(f"Delete {', '.join(ids)} from the store?", abort=True)
    _with(where, lambda chosen: chosen.delete(ids, namespace=NAMESPACE))
    click.echo(f"{len(ids)} run(s) deleted")


def _with(where: dict[str, Any], work: Callable[[Store], Awaitable[T]]) -> T:
    """Do something with the store that a command's options name."""
    name, options = where["name"], dict(where["options"])
    if name == "sqlite":
        path = where["path"] or DEFAULT_PATH
        if not path.exists():
            raise StoreError(f"there is no store at {path}; record a run with `qstore train --store sqlite`")
        options["path"] = path
    elif name == "pinecone":
        options.setdefault("create", False)

    async def done() -> T:
        chosen: Store = default_registry().create("store", name, **options)
        try:
            return await work(chosen)
        finally:
            await chosen.close()

    return run_sync(done())


async def _all(chosen: Store) -> list[RunRecord]:
    return await _fetched(chosen, await chosen.list_ids(namespace=NAMESPACE))


async def _id(chosen: Store, name: str) -> str:
    """The id of the run of this name, or of the only one that begins so."""
    ids = await chosen.list_ids(prefix=name, namespace=NAMESPACE)
    if name in ids:
        ids = [name]
    if len(ids) != 1:
        told = f"{len(ids)} runs begin with {name!r}; give more of it" if ids else f"there is no run {name!r}"
        raise StoreError(f"{told}; `qstore store list` lists them")
    return ids[0]


async def _one(chosen: Store, name: str) -> RunRecord:
    """The run of this name, or the only one that begins so."""
    found = await _fetched(chosen, [await _id(chosen, name)])
    if not found:
        raise StoreError(f"run {name!r} is damaged; `qstore store delete {name}` takes it out of the store")
    return found[0]


async def _fetched(chosen: Store, ids: Sequence[str]) -> list[RunRecord]:
    """The runs with these ids in their order; what is no run, or damaged, is told and left out."""
    records = []
    for first in range(0, len(ids), _FETCHED_AT_ONCE):
        entries = await chosen.fetch(ids[first : first + _FETCHED_AT_ONCE], namespace=NAMESPACE)
        records += list(_records(entries.values()))
    return records


def _records(entries: Iterable[Any]) -> Iterable[RunRecord]:
    for entry in entries:
        try:
            yield RunRecord.from_entry(entry)
        except StoreError as error:
            click.echo(f"{error}", err=True)


_HEADER = [
    "RUN",
    "STATE",
    "QUBITS",
    "DEPTH",
    "LOSS",
    "EPOCHS",
    "STEPS",
    "REACHED",
    "SHOTS",
    "USD",
    "RECORDED",
    "RUN DIRECTORY",
]


def _row(record: RunRecord) -> list[str]:
    reached = record.metrics.get("val_loss", record.metrics.get("final_loss"))
    return [
        record.id,
        record.state,
        str(record.keys["n_qubits"]),
        str(record.keys["depth"]),
        str(record.keys["loss"]),
        str(record.epochs),
        str(record.steps),
        "" if reached is None else f"{reached:.4f}",
        f"{record.cost.shots:,}",
        f"{record.cost.usd_high:.2f}",
        time.strftime("%Y-%m-%d %H:%M", time.localtime(record.created)),
        str(record.config.get("run_directory") or ""),
    ]


def _document(record: RunRecord) -> dict[str, Any]:
    """A run as JSON values."""
    return {
        "id": record.id,
        "state": record.state,
        "epochs": record.epochs,
        "steps": record.steps,
        "seed": record.seed,
        "backend": record.backend,
        "created": record.created,
        "features": record.features,
        "keys": dict(record.keys),
        "metrics": dict(record.metrics),
        "cost": {
            "usd_low": record.cost.usd_low,
            "usd_high": record.cost.usd_high,
            "circuits": record.cost.circuits,
            "shots": record.cost.shots,
            "jobs": record.cost.jobs,
            "seconds": record.cost.seconds,
        },
        "parameters": record.parameters.tolist(),
        "loss_parameters": record.loss_parameters.tolist(),
        "task": record.task.tolist(),
        "config": dict(record.config),
    }
