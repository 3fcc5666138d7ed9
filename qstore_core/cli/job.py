"""What the command line asks to be trained: the data, the model and the settings, for each split."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from qstore_core.archive import write_atomically
from qstore_core.cli.making import make_backend
from qstore_core.config import TrainingConfig
from qstore_core.cost import Budget
from qstore_core.data import Split, train_test_split
from qstore_core.datasets import BUNDLED, Dataset, load_bundled, load_csv
from qstore_core.errors import ConfigurationError, RunDirectoryError, UnknownNameError
from qstore_core.model import QuantumModel
from qstore_core.run_directory import RunDirectory, fresh_directory
from qstore_core.secret_names import holds_secrets

MANIFEST = "command.json"
# what may differ between a run and its resumption: how far to go and what to show
_FREE = frozenset(
    {"epochs", "budget", "baseline", "resume", "run_directory", "progress", "store", "store_path", "store_options"}
)


@dataclass(frozen=True, slots=True, eq=False)
class TrainingJob:
    """A command line's training: one run for each number of shots and each split.

    Attributes:
        arguments: What the command was given, by option.
        data: The data set.
        directory: Where the runs go.
        keyless: Whether it is only priced, which needs no credentials where a backend can do without.
    """

    arguments: dict[str, Any]
    data: Dataset
    directory: Path
    keyless: bool = False

    @classmethod
    def of(cls, arguments: dict[str, Any], *, keyless: bool = False) -> TrainingJob:
        """The job of a command's arguments, checked as far as possible before anything runs.

        Raises:
            QStoreError: Data, names or numbers that are not permitted.
        """
        data = _load(arguments)
        if len(data.classes) > arguments["qubits"]:
            some, none = "--classes to choose some", "--task regression"
            others = f"or {some}" if arguments["data"] is None else f"{some}, or {none}"
            raise ConfigurationError(
                f"{data.name} has {len(data.classes)} classes, and each needs a qubit: use --qubits "
                f"{len(data.classes)}, {others}"
            )
        place = arguments.get("run_directory")
        job = cls(arguments, data, Path("runs") / data.name if place is None else place, keyless)
        job.make_model()
        job.split(0)
        return job

    def claim_directory(self) -> TrainingJob:
        """The job in a directory that is its own: a new one, or with `resume` the one that holds the same command.

        Raises:
            RunDirectoryError: There is no such run to go on with, or it was started by another command.
        """
        wanted, manifest = self.arguments, self.directory / MANIFEST
        if wanted["resume"]:
            self._check_same(manifest)
            return self
        directory = self.directory if wanted["run_directory"] is not None else fresh_directory(self.directory)
        if (directory / MANIFEST).exists():
            raise RunDirectoryError(f"{directory} already holds a run: go on with it by --resume, or name another one")
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunDirectoryError(f"cannot make the run directory {directory}: {error.strerror or error}") from error
        write_atomically(directory / MANIFEST, json.dumps(_plain(wanted), indent=1).encode())
        return TrainingJob(wanted, self.data, directory)

    def runs(self, shots: int | None) -> Iterator[tuple[Split, QuantumModel, TrainingConfig]]:
        """The data, the model and the settings of each split."""
        several = len(self.arguments["shots"]) > 1
        place = self.directory / (f"shots-{shots or 'exact'}" if several else "")
        splits = self.arguments["splits"]
        for number in range(splits):
            directory = place / (f"split-{number + 1}" if splits > 1 else "")
            yield self.split(number), self.make_model(), self.config(shots, self.arguments["seed"] + number, directory)

    def split(self, number: int) -> Split:
        """Training and test data."""
        fraction, seed = self.arguments["test_fraction"], self.arguments["seed"] + number
        return train_test_split(self.data.x, self.data.y, test_fraction=fraction, seed=seed)

    def make_model(self) -> QuantumModel:
        """A model of the shape asked for, on a backend of its own."""
        wanted = self.arguments
        return QuantumModel(
            min(wanted["qubits"], self.data.x.shape[1]),
            wanted["qubits"],
            len(self.data.classes) or 1,
            make_backend(wanted["backend"], wanted["options"], keyless=self.keyless),
            depth=wanted["depth"],
            entanglement=wanted["entanglement"],
            encoding=wanted["encoding"],
            reuploading=wanted["reuploading"],
        )

    def config(self, shots: int | None, seed: int, directory: Path) -> TrainingConfig:
        """The settings of one run."""
        wanted = self.arguments
        return TrainingConfig(
            learning_rate=wanted["learning_rate"],
            learning_rate_decay=wanted["learning_rate_decay"],
            batch_size=wanted["batch_size"],
            epochs=wanted["epochs"],
            n_qubits=wanted["qubits"],
            circuit_depth=wanted["depth"],
            entanglement=wanted["entanglement"],
            optimizer=wanted["optimizer"],
            optimizer_options=dict(wanted["optimizer_options"]),
            parameter_averaging=wanted["parameter_averaging"],
            gradient_method=wanted["gradient_method"],
            gradient_options=dict(wanted["gradient_options"]),
            shots_per_circuit=shots,
            warm_start=wanted["warm_start"],
            **_store_settings(wanted),
            loss=wanted["loss"],
            seed=seed,
            checkpoint_interval=1,
            budget=_budget(wanted["budget"]),
            quantum_sdk=wanted["backend"],
            run_directory=directory,
        )

    def _check_same(self, manifest: Path) -> None:
        try:
            stored = json.loads(manifest.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunDirectoryError(
                f"{manifest.parent} holds no run of `qstore train` to go on with; check --run-directory"
            ) from error
        asked = _plain(self.arguments)
        differing = sorted(key for key in asked if key not in _FREE and asked[key] != stored.get(key))
        if differing:
            listing = ", ".join(f"{key}={stored.get(key)!r} (now {asked[key]!r})" for key in differing)
            raise RunDirectoryError(f"the run in {manifest.parent} was started with {listing}; give the same again")


def find_job(run: Path, **instead: Any) -> TrainingJob:
    """The job of a run that `qstore train` started: of the directory itself, or the one above that split it.

    Args:
        run: The directory.
        **instead: Arguments that take the place of the run's own.

    Raises:
        RunDirectoryError: There is no such run.
    """
    for directory in (run, *run.parents):
        manifest = directory / MANIFEST
        if manifest.exists():
            return TrainingJob.of({**_read_manifest(manifest), "run_directory": directory, **instead})
    if RunDirectory(run).holds_run:
        raise RunDirectoryError(f"the run in {run} was started from Python: go on with it there, with resume=True")
    raise RunDirectoryError(f"{run} is not a run of `qstore train`: it has no {MANIFEST}; `qstore runs` lists runs")


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunDirectoryError(f"cannot read {path}: {error}") from error
    if stored["data"] is not None:
        stored["data"] = Path(stored["data"])
    stored.setdefault("store_options", [])
    for name in ("options", "budget", "optimizer_options", "gradient_options", "store_options"):
        stored[name] = tuple((key, tuple(value) if isinstance(value, list) else value) for key, value in stored[name])
    return stored


def _load(arguments: dict[str, Any]) -> Dataset:
    name, path = arguments["dataset"], arguments["data"]
    if (name is None) == (path is None):
        raise ConfigurationError(f"name one data set ({', '.join(BUNDLED)}), or give --data FILE --target COLUMN")
    if path is not None and arguments["target"] is None:
        raise ConfigurationError("--data needs --target: the column to learn")
    if path is None:
        for option in ("target", "drop", "task"):
            if arguments[option]:
                raise ConfigurationError(f"--{option} belongs to --data; the columns of {name} are what they are")
        data = load_bundled(name)
    else:
        data = load_csv(path, arguments["target"], drop=arguments["drop"], task=arguments["task"])
    if arguments["classes"] is None:
        return data
    return data.only([part.strip() for part in arguments["classes"].split(",")])


def _store_settings(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the store; runs that older versions started know none."""
    name, path = wanted.get("store"), wanted.get("store_path")
    if name == "sqlite" and path is None:
        path = Path("runs") / "store.sqlite"
    return {"store": name, "store_path": path, "store_options": dict(wanted.get("store_options") or ())}


def _budget(limits: Sequence[tuple[str, Any]]) -> Budget | None:
    known = [field.name for field in fields(Budget)]
    for name, _ in limits:
        if name not in known:
            raise UnknownNameError.of("--budget", name, known)
    return Budget(**dict(limits)) if limits else None


def _plain(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments as JSON values; what looks like a secret is left out, and belongs in the environment anyway."""
    document = json.loads(json.dumps(arguments, default=str))
    for name in ("options", "store_options"):
        document[name] = [entry for entry in document.get(name) or () if not holds_secrets(dict([entry]))]
    return dict(document)
