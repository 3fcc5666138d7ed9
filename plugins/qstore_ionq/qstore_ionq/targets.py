"""The table of targets: machines with their sizes and prices, and the noise models of the simulator."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, TypeVar

from qstore_core.errors import ConfigurationError, UnknownNameError
from qstore_ionq.prices import GatePrices

T = TypeVar("T")

Family = Literal["zz", "ms"]
"""Which two-qubit gate a machine has: Forte has ZZ, Aria has Mølmer-Sørensen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseModel:
    """A noise model of the simulator.

    Attributes:
        family: The gates of the machine that it stands for.
        one_qubit: The depolarising strength after a gate on one qubit; None: not published.
        two_qubit: The same after a gate on two.
        qubits: The widest circuit, where it is less than the simulator's.
    """

    family: Family
    one_qubit: float | None = None
    two_qubit: float | None = None
    qubits: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A machine.

    Attributes:
        name: What the service calls it.
        family: Its two-qubit gate.
        qubits: The widest circuit.
        max_shots: The most shots of a circuit.
        noise: The model that stands for it; None: none does.
        prices: What it costs.
    """

    name: str
    family: Family
    qubits: int
    max_shots: int
    prices: GatePrices
    noise: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetTable:
    """Every target and noise model that is known.

    >>> table = TargetTable.load()
    >>> table.target("qpu.forte-1").prices.minimum
    25.7899
    """

    targets: Mapping[str, Target]
    noise: Mapping[str, NoiseModel]
    simulator_qubits: int
    simulator_shots: int

    @classmethod
    def load(cls, path: Path | str | None = None) -> TargetTable:
        """The table that comes with this plugin, with what a file in the same form says in its place.

        Raises:
            ConfigurationError: The file cannot be read, or is not such a table.
        """
        own = _own()
        if path is None:
            return _table(own)
        try:
            theirs = tomllib.loads(Path(path).read_text(encoding="utf-8"))
            return _table(_merged(own, theirs))
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConfigurationError(
                f"prices={str(path)!r} is not a table of targets ({type(error).__name__}: {error}); it has the form of "
                "targets.toml in qstore_ionq"
            ) from error

    def target(self, name: object) -> Target:
        """The machine called `name`."""
        return _known("target", name, self.targets, "A newer one can be added in a file: prices=FILE")

    def noise_model(self, name: object) -> NoiseModel:
        """The noise model called `name`."""
        return _known("noise_model", name, self.noise, "Machines are targets of the backend 'ionq.qpu'")

    def of_target(self, target: Target) -> NoiseModel | None:
        """The noise model that stands for a machine, if any."""
        return None if target.noise is None else self.noise_model(target.noise)


def _known(kind: str, name: object, known: Mapping[str, T], advice: str) -> T:
    if not isinstance(name, str) or name not in known:
        raise UnknownNameError.of(kind, name, known, advice=advice)
    return known[name]


@cache
def _own() -> dict[str, Any]:
    return tomllib.loads(files("qstore_ionq").joinpath("targets.toml").read_text(encoding="utf-8"))


def _merged(own: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Tables with tables in them, `theirs` winning."""
    merged = dict(own)
    for name, value in theirs.items():
        both = isinstance(value, Mapping) and isinstance(own.get(name), Mapping)
        merged[name] = _merged(own[name], value) if both else value
    return merged


def _table(document: Mapping[str, Any]) -> TargetTable:
    noise = {name: NoiseModel(**_checked(entry)) for name, entry in document["noise"].items()}
    targets = {name: _target(name, entry) for name, entry in document["targets"].items()}
    for target in targets.values():
        if target.noise is not None and target.noise not in noise:
            raise ValueError(f"{target.name} has noise {target.noise!r}, and there is no such model")
    simulator = _checked(document["simulator"])
    return TargetTable(
        targets=targets,
        noise=noise,
        simulator_qubits=simulator["qubits"],
        simulator_shots=simulator["max_shots"],
    )


def _target(name: str, entry: Mapping[str, Any]) -> Target:
    prices = GatePrices(**_checked(entry["prices"]))
    return Target(name=name, **{**_checked(entry), "prices": prices})


def _checked(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The entry, when its family is one and its numbers are at least 0."""
    if entry.get("family", "zz") not in ("zz", "ms"):
        raise ValueError(f"family is 'zz' or 'ms', not {entry['family']!r}")
    for name, value in _numbers(entry.items()):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise ValueError(f"{name} is a number of at least 0, not {value!r}")
    return dict(entry)


def _numbers(items: Iterable[tuple[str, Any]]) -> Iterable[tuple[str, Any]]:
    texts = ("family", "noise", "prices", "source", "date")
    return ((name, value) for name, value in items if name not in texts)
