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
        ratios = _ratios(seconds, "qstore mock")
        lightning = [ratio for name, ratio in ratios.items() if name.startswith("lightning")]
        if lightning and column in AT_LEAST[title]:
            _print(f"{title} {column}, lightning.qubit's faster way", min(lightning), AT_LEAST[title][column])
        for mine in ("qstore mock", "qstore mock, numba"):
            ratios = _ratios(seconds, mine)
            if ratios:
                name = min(ratios, key=lambda each: ratios[each])
                _print(f"{title} {column}, {mine}, the fastest peer ({name})", ratios[name], FASTEST[title])


def print_run_promises(seconds: Mapping[str, float]) -> None:
    """The same for training runs at S."""
    for library, least in RUN.items():
        if library in seconds and "qstore" in seconds:
            _print(f"S training run, {library}", seconds[library] / seconds["qstore"], least)


def _ratios(seconds: Mapping[str, float], mine: str) -> dict[str, float]:
    """How many times as long as ours each peer takes, in its precision; none where ours was not timed."""
    ours = {precision: seconds.get(f"{mine}, {precision}") for precision in ("double", "single")}
    found = {}
    for name, value in seconds.items():
        own = ours["single" if name.endswith("single") else "double"]
        if own is not None and not name.startswith("qstore"):
            found[name] = value / own
    return found


def _print(what: str, ratio: float, least: float) -> None:
    verdict = "holds" if ratio >= least else "DOES NOT HOLD"
    print(f"  {what}: {ratio:.2f} times ours, at least {least:g}: {verdict}", flush=True)
