"""From outcomes to tables, promises and a plot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qstore_core import Cost

from cost.methods import OURS, PRICES, seconds, usd
from cost.runs import Outcome

MEASURES: dict[str, Callable[[Cost], float]] = {
    "shots": lambda cost: cost.shots,
    "circuits": lambda cost: cost.circuits,
    "jobs": lambda cost: cost.jobs,
    **{f"USD, {table}": (lambda cost, table=table: usd(cost, table)) for table in PRICES},
    "hours": lambda cost: seconds(cost) / 3600,
}
"""What is compared: counts, prices under each table, and the simulated wall time."""

_RESAMPLES = 2000


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """All runs of a method on a task.

    Attributes:
        task: The task.
        method: The method, with the learning rate that was chosen for it.
        outcomes: One for each seed.
    """

    task: str
    method: str
    outcomes: tuple[Outcome, ...]

    @property
    def hits(self) -> int:
        """Runs that reached the target."""
        return sum(outcome.reached for outcome in self.outcomes)

    def values(self, measure: str) -> NDArray[np.float64]:
        """The measure of each run; a run that missed the target counts as infinite."""
        return np.array([MEASURES[measure](each.cost) if each.reached else np.inf for each in self.outcomes])

    def median(self, measure: str) -> float:
        """The median over runs."""
        return float(np.quantile(self.values(measure), 0.5, method="higher"))

    def interval(self, measure: str) -> tuple[float, float]:
        """A 95% bootstrap interval of the median."""
        values = self.values(measure)
        drawn = np.random.default_rng(0).choice(values, (_RESAMPLES, len(values)))
        medians = np.quantile(drawn, 0.5, axis=1, method="higher")
        low, high = np.quantile(medians, [0.025, 0.975], method="nearest")
        return float(low), float(high)


def table(summaries: Sequence[Summary]) -> str:
    """A Markdown table of one task: medians, with intervals for shots and circuits."""
    lines = [f"| method | reached | {' | '.join(MEASURES)} |", "|---" * (2 + len(MEASURES)) + "|"]
    for each in summaries:
        cells = [_cell(each, measure) for measure in MEASURES]
        lines.append(f"| {each.method} | {each.hits}/{len(each.outcomes)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(summaries: Sequence[Summary], place: Path) -> None:
    """Median price per circuit table against simulated hours, a panel for each task."""
    import matplotlib as mpl  # here, because only the plot needs it

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    tasks = list(dict.fromkeys(each.task for each in summaries))
    figure, axes = plt.subplots(1, len(tasks), figsize=(4.2 * len(tasks), 4.2), squeeze=False)
    for axis, task in zip(axes[0], tasks, strict=True):
        for each in (each for each in summaries if each.task == task and np.isfinite(each.median("shots"))):
            x, y = each.median("hours"), each.median("USD, per circuit")
            low, high = each.interval("USD, per circuit")
            error = [[y - low], [min(high, 1e9) - y]]
            axis.errorbar(x, y, yerr=error, fmt="*" if each.method == OURS else "o", label=each.method)
        axis.set(xscale="log", yscale="log", title=task, xlabel="simulated hours", ylabel="USD, per circuit table")
        axis.legend(fontsize=6)
    figure.tight_layout()
    figure.savefig(place)
    plt.close(figure)


def _cell(summary: Summary, measure: str) -> str:
    text = _number(summary.median(measure))
    if measure not in ("shots", "circuits"):
        return text
    low, high = summary.interval(measure)
    return f"{text} ({_number(low)} to {_number(high)})"


def _number(value: float) -> str:
    if not np.isfinite(value):
        return "missed"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
