"""What it costs to bring a loss down to a target: ours, Q-Store's, and methods with their steps tuned.

For each task the target is fixed first, from exact gradients on seeds of their own. Learning rates of the methods that
have one to tune are chosen on other seeds, with equal trials for each and free of charge; the default configuration is
not tuned. Then every method starts from the same parameters and data orders, on fresh seeds. A judge looks at the exact
loss after the first step that brings the circuits since its last look to 20 (100 on the dearer tasks), and charges
nothing; everything else, the calibration of adaptive steps included, is charged as the backend saw it. A run that used
up its circuits counts as infinite. Everything is sampled.

    python benchmarks/cost_to_target.py --quick      two easy tasks, in under two minutes
    python benchmarks/cost_to_target.py              every task; about an hour on two cores

Outcomes are appended to outcomes.jsonl as they come, and a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path

from qstore_core import Cost

from cost.methods import METHODS, OURS, Method
from cost.promises import promises
from cost.report import Summary, plot, table
from cost.runs import Outcome, race, target_of, tuned
from cost.tasks import TASKS, Task

QUICK_TASKS = ("moons", "digits 3-8")
QUICK_METHODS = (OURS, "Q-Store v3.3", "SPSA, 8 x 100", "parameter shift, 8 x 100")


def main() -> None:
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    tasks = [task for task in TASKS if task.name in options.task]
    methods = [method for method in METHODS if method.name in options.method]
    with ProcessPoolExecutor(options.processes) as pool:
        targets = dict(zip(tasks, pool.map(target_of, tasks), strict=True))
        for task, target in targets.items():
            print(f"{task.name}: target loss {target:.3f}", flush=True)
        pairs = list(product(tasks, methods))
        chosen = pool.map(tuned, *zip(*((task, method, targets[task]) for task, method in pairs), strict=True))
        races = [
            (task, method, seed, targets[task])
            for (task, _), method in zip(pairs, chosen, strict=True)
            for seed in seeds(task, options.seeds, options.hard_seeds)
        ]
        summaries = list(summarised(pool, races, options.out / "outcomes.jsonl"))
    report(summaries, options.out)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two easy tasks and the four methods of the promises")
    parser.add_argument("--task", action="append", choices=[task.name for task in TASKS], help="only this one")
    parser.add_argument("--method", action="append", choices=[method.name for method in METHODS], help="only this one")
    parser.add_argument("--seeds", type=int, help="seeds (default 20; on wide tasks 10; quick 12)")
    parser.add_argument("--hard-seeds", type=int, default=40, help="seeds on the hard task (default 40)")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="processes (default: the cores)")
    parser.add_argument("--out", type=Path, default=Path("runs/cost_to_target"), help="where outcomes and plot go")
    options = parser.parse_args()
    options.seeds = options.seeds or (12 if options.quick else None)
    options.task = options.task or (QUICK_TASKS if options.quick else [task.name for task in TASKS])
    options.method = options.method or (QUICK_METHODS if options.quick else [method.name for method in METHODS])
    return options


def seeds(task: Task, given: int | None, many: int) -> range:
    usual = {"easy": 20, "hard": many, "wide": 10}[task.kind]
    return range(1, 1 + (usual if given is None or task.kind == "hard" else given))


def summarised(
    pool: ProcessPoolExecutor, races: Iterable[tuple[Task, Method, int, float]], place: Path
) -> Iterator[Summary]:
    """Every race run, those that are in the file already left out; one summary for each task and method."""
    known = {(each.task, each.method, each.seed): each for each in kept(place)}
    groups: dict[tuple[str, str], list[int]] = {}
    running = {}
    for task, method, seed, target in races:
        label = f"{method.name} at {method.config.learning_rate:g}" if method.rates else method.name
        groups.setdefault((task.name, label), []).append(seed)
        if (task.name, label, seed) not in known:
            running[task.name, label, seed] = pool.submit(race, task, method, seed, target)
    with place.open("a", encoding="utf-8") as stream:
        for (task_name, label), group in groups.items():
            for seed in group:
                key = (task_name, label, seed)
                if key in running:
                    known[key] = relabelled(running[key].result(), label)
                    stream.write(json.dumps(known[key].to_dict()) + "\n")
                    stream.flush()
            summary = Summary(task_name, label, tuple(known[task_name, label, seed] for seed in group))
            print(f"{task_name}: {label}: {summary.hits}/{len(group)}, {summary.median('circuits'):,.0f} circuits")
            yield summary


def relabelled(outcome: Outcome, label: str) -> Outcome:
    return Outcome(outcome.task, label, outcome.seed, outcome.reached, outcome.cost)


def kept(place: Path) -> Iterator[Outcome]:
    if place.exists():
        for line in place.read_text(encoding="utf-8").splitlines():
            values = json.loads(line)
            yield Outcome(**{**values, "cost": Cost(**values["cost"])})


def report(summaries: list[Summary], out: Path) -> None:
    for task in dict.fromkeys(each.task for each in summaries):
        print(f"\n## {task}\n\n{table([each for each in summaries if each.task == task])}")
    print("\n## Promises\n")
    for promise in promises(summaries):
        print(promise)
    plot(summaries, out / "cost_to_target.png")
    print(f"\noutcomes and plot: {out}")


if __name__ == "__main__":
    main()
