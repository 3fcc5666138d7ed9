"""The options that say what is to be trained, shared by the commands that train and that estimate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from qstore_core.ansatz import ENTANGLEMENTS
from qstore_core.datasets import BUNDLED
from qstore_core.encoding import ENCODINGS
from qstore_core.optimizers import OPTIMIZERS

Command = TypeVar("Command", bound=Callable[..., Any])


class ShotsType(click.ParamType[int | None]):
    """A whole number, or `exact`."""

    name = "exact|N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        """`exact` as None."""
        if value in (None, "exact"):
            return None
        if not str(value).isdigit() or int(value) < 1:
            self.fail(f"{value!r} is neither 'exact' nor a whole number of at least 1")
        return int(value)


class OptionType(click.ParamType[tuple[str, Any]]):
    """`name=value`, the value read as a number, true, false, text, or several of them with commas between."""

    name = "NAME=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        """The name and the value."""
        name, equals, text = str(value).partition("=")
        if not equals or not name:
            self.fail(f"{value!r} is not of the form NAME=VALUE")
        parts = [_literal(part) for part in text.split(",")]
        return name, parts[0] if len(parts) == 1 else tuple(parts)


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.argument("dataset", required=False, metavar=f"[{'|'.join(BUNDLED)}]"),
    click.option("--data", type=click.Path(path_type=Path), help="A CSV file with a header line, instead of DATASET."),
    click.option("--target", help="With --data: the column to learn."),
    click.option("--drop", multiple=True, help="With --data: a column to leave out (may be repeated)."),
    click.option(
        "--task",
        type=click.Choice(["classification", "regression"]),
        help="With --data: default by the target column: fractional numbers are values, all else is classes.",
    ),
    click.option("--classes", help="Only these classes, such as 3,8."),
    click.option("--qubits", default=8, show_default=True, help="Width of the circuit."),
    click.option("--depth", default=2, show_default=True, help="Layers of trained gates."),
    click.option("--entanglement", type=click.Choice(list(ENTANGLEMENTS)), default="linear", show_default=True),
    click.option("--encoding", type=click.Choice(list(ENCODINGS)), default="angle", show_default=True),
    click.option("--reuploading", is_flag=True, help="Repeat the encoding before every layer."),
    click.option("--backend", default="mock", show_default=True, help="A name that `qstore backends` lists."),
    click.option(
        "--option", "options", type=OptionType(), multiple=True, help="For the backend, e.g. depolarizing=0.01."
    ),
    click.option(
        "--shots",
        type=ShotsType(),
        metavar="exact|N",
        multiple=True,
        default=("exact",),
        show_default=True,
        help="Shots of each circuit, or exact; repeat it to compare.",
    ),
    click.option(
        "--gradient-method", default="adaptive", show_default=True, help="Or spsa, parameter_shift, schedule, ..."
    ),
    click.option(
        "--gradient-option",
        "gradient_options",
        type=OptionType(),
        multiple=True,
        help="For the gradient method, e.g. directions=4 for spsa.",
    ),
    click.option("--optimizer", type=click.Choice(list(OPTIMIZERS)), default="adam", show_default=True),
    click.option(
        "--optimizer-option",
        "optimizer_options",
        type=OptionType(),
        multiple=True,
        help="For the optimizer, e.g. amsgrad=true for adam.",
    ),
    click.option("--learning-rate", "--lr", default=0.05, show_default=True),
    click.option(
        "--learning-rate-decay", default=0.0, show_default=True, help="Step k has the rate LR / (1 + DECAY * k)."
    ),
    click.option(
        "--parameter-averaging",
        default=0.0,
        show_default=True,
        help="The weight of the past in an average of the parameters, e.g. 0.9.",
    ),
    click.option(
        "--warm-start",
        type=click.Choice(["simulator", "store"]),
        help="Train on an exact simulator on this machine first, or start from the nearest run in the store.",
    ),
    click.option("--store", help="Record runs in it: sqlite, pinecone, ...; its keys come from the environment."),
    click.option(
        "--store-path", type=click.Path(path_type=Path), help="The file of --store sqlite; default: runs/store.sqlite."
    ),
    click.option(
        "--store-option",
        "store_options",
        type=OptionType(),
        multiple=True,
        help="For the store, e.g. index_name=my-runs for pinecone.",
    ),
    click.option("--epochs", default=20, show_default=True),
    click.option("--batch-size", default=32, show_default=True),
    click.option("--loss", type=click.Choice(["cross_entropy", "mse"]), help="Default: by the labels."),
    click.option(
        "--budget",
        type=OptionType(),
        multiple=True,
        help="A cap on usd, circuits, shots, jobs or seconds, e.g. usd=5 (may be repeated; for each run).",
    ),
    click.option(
        "--splits",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Train and test on this many fixed random splits.",
    ),
    click.option(
        "--test-fraction",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        default=0.2,
        show_default=True,
        help="The share of samples held out for testing.",
    ),
    click.option(
        "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="All randomness derives from it."
    ),
)


def training_options(command: Command) -> Command:
    """Give a command every option that describes a training job."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _literal(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
