"""What the default configuration has to show, as lines that hold or fall short."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cost.methods import METHODS, OURS
from cost.report import Summary
from cost.tasks import TASKS

_KINDS = {task.name: task.kind for task in TASKS}
_FIXED = tuple(method.name for method in METHODS if method.old)


@dataclass(frozen=True, slots=True)
class Promise:
    """A line with its figure.

    Attributes:
        words: What is promised, of which task.
        found: What was found.
        holds: Whether that is enough.
    """

    words: str
    found: str
    holds: bool

    def __str__(self) -> str:
        return f"{'holds       ' if self.holds else 'FALLS SHORT '} {self.words}: {self.found}"


def promises(summaries: Sequence[Summary]) -> Iterator[Promise]:
    """The promises that these summaries can tell of."""
    by_task: dict[str, dict[str, Summary]] = {}
    for each in summaries:
        by_task.setdefault(each.task, {})[each.method.split(" at ")[0]] = each
    for task, found in by_task.items():
        if OURS in found:
            yield from {"easy": _easy, "hard": _hard, "wide": _wide}[_KINDS[task]](task, found)


def _easy(task: str, found: dict[str, Summary]) -> Iterator[Promise]:
    ours = found[OURS]
    yield Promise(f"{task}: every seed", f"{ours.hits}/{len(ours.outcomes)}", ours.hits == len(ours.outcomes))
    for name, measure, least in (
        ("Q-Store v3.3", "shots", 100.0),
        ("Q-Store v3.3", "circuits", 3.0),
        ("SPSA, 8 x 100", "shots", 2.0),
        ("SPSA, 8 x 100", "circuits", 1.0),
        ("parameter shift, 8 x 100", "USD, per circuit", 4.0),
    ):
        if name in found:
            ratio = found[name].median(measure) / ours.median(measure)
            words = f"{task}: {measure} of {name} over ours, at least {least:g}"
            yield Promise(words, f"{ratio:.1f}", ratio >= least)


def _hard(task: str, found: dict[str, Summary]) -> Iterator[Promise]:
    ours = found[OURS]
    share = ours.hits / len(ours.outcomes)
    yield Promise(f"{task}: 38 of 40 seeds", f"{ours.hits}/{len(ours.outcomes)}", share >= 38 / 40)


def _wide(task: str, found: dict[str, Summary]) -> Iterator[Promise]:
    fixed = [found[name].median("USD, per circuit") for name in _FIXED if name in found]
    if fixed:
        ratio = min(fixed) / found[OURS].median("USD, per circuit")
        yield Promise(f"{task}: price of Q-Store's best fixed method over ours, at least 2", f"{ratio:.1f}", ratio >= 2)
