"""What the simulator is meant to show beside the others, and whether it does in the measurements at hand."""

from __future__ import annotations

from collections.abc import Mapping

Table = Mapping[str, Mapping[str, float]]
"""Median seconds by column and contender."""

AT_LEAST = {
    "S": {"forward": 30.0, "spsa": 30.0, "exact": 30.0, "shift": 25.0},
    "M": {"forward": 1.5, "spsa": 1.5, "exact": 3.0},
}
"""How many times faster than lightning.qubit."""

FASTEST = {"S": 1.0, "M": 0.5}
"""How many times faster than the fastest peer of each column."""

RUN = {"lightning": 5.0, "qulacs": 0.8}
"""How many times faster a training run at S is, as a process from start to end."""


def print_promises(title: str, table: Table) -> None:
    """Print a line for each column of a table whose readout needs the whole circuit."""
    for column, seconds in table.items():
        ratios = {name: value / _ours(seconds, name) for name, value in seconds.items() if not _is_ours(name)}
        lightning = [ratio for name, ratio in ratios.items() if name.startswith("lightning")]
        if lightning and column in AT_LEAST[title]:
            _print(f"{title} {column}, lightning.qubit's faster way", min(lightning), AT_LEAST[title][column])
        if ratios:
            name = min(ratios, key=lambda each: ratios[each])
            _print(f"{title} {column}, the fastest peer ({name})", ratios[name], FASTEST[title])


def print_run_promises(seconds: Mapping[str, float]) -> None:
    """The same for training runs at S."""
    for library, least in RUN.items():
        if library in seconds and "qstore" in seconds:
            _print(f"S training run, {library}", seconds[library] / seconds["qstore"], least)


def _is_ours(name: str) -> bool:
    return name.startswith("qstore")


def _ours(seconds: Mapping[str, float], name: str) -> float:
    """Our time in the precision of a peer."""
    return seconds["qstore mock, single" if name.endswith("single") else "qstore mock, double"]


def _print(what: str, ratio: float, least: float) -> None:
    verdict = "holds" if ratio >= least else "DOES NOT HOLD"
    print(f"  {what}: {ratio:.2f} times ours, at least {least:g}: {verdict}", flush=True)
