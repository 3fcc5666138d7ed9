"""What a store of runs is worth, and how fast the embedded one is.

(a) Digits 3-8 to the target loss of benchmarks/cost_to_target.py with the default method: from initial parameters, and
    from a store that holds one run of digits 3-9, beside runs that are not compatible: of digits 3-8 itself, but with
    another circuit, another loss or labels exchanged. As there, a judge looks at the exact loss and charges nothing.
    A start from the store takes the earlier run's features too; "same features" is a cold start in those.
(b) The nearest of 100,000 vectors of 64 dimensions: the embedded store, and a loop in plain Python.

    python benchmarks/store.py                a few minutes on two cores
    python benchmarks/store.py --only search  (b) alone, in seconds
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import math
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from qstore_core import (
    ArrayLoader,
    PerformanceTracker,
    QuantumModel,
    QuantumTrainer,
    SqliteStore,
    StoreEntry,
    TrainingConfig,
    __version__,
)
from qstore_core.datasets import Dataset, load_bundled
from qstore_core.epochs import train_epoch
from qstore_core.run import Run, begin_run
from qstore_core.run_record import RunRecord
from qstore_core.store_start import start_from_store, task_of
from qstore_core.surroundings import Surroundings
from qstore_core.training import make_recipe

from cost.methods import METHODS
from cost.runs import Counting, exact_loss_on, race, target_of
from cost.tasks import TASKS

TASK = next(task for task in TASKS if task.name == "digits 3-8")
SAMPLES, EPOCHS = 160, 20
OF_SOURCE = 100
"""A source's seed beside that of the run which starts from it."""


def digits(*classes: str) -> Dataset:
    table = load_bundled("digits").only(classes)
    return Dataset(f"digits {'-'.join(classes)}", table.x[:SAMPLES], table.y[:SAMPLES], table.classes)


def record(path: Path, table: Dataset, seed: int, *, epochs: int = EPOCHS, depth: int = 2, **settings: Any) -> None:
    """Train on a table with the default method, and keep the run in a store."""
    config = TrainingConfig(store="sqlite", store_path=path, seed=seed, epochs=epochs, **settings)
    model = QuantumModel(TASK.n_features, TASK.n_qubits, 2, depth=depth, reuploading=True)
    QuantumTrainer(config, progress=False).fit(model, table.x, table.y)


def fill(path: Path, seed: int) -> None:
    """A run of digits 3-9, and some that are nearer to digits 3-8 and must not be taken."""
    record(path, digits("3", "9"), OF_SOURCE + seed)
    record(path, digits("3", "8"), OF_SOURCE + seed, epochs=1, depth=3)
    record(path, digits("3", "8"), OF_SOURCE + seed, epochs=1, loss="mse")
    record(path, digits("8", "3"), OF_SOURCE + seed, epochs=1)


@dataclass(frozen=True, slots=True)
class Race:
    """One seed: shots from initial parameters and from the store, infinite where the target was missed; its source."""

    seed: int
    cold: float
    same_features: float
    warm: float
    began: float
    ended: float
    source: int


class _EnoughError(Exception):
    """The judge has seen enough."""


class _Judge:
    """Looks at the exact loss after steps, in place of a progress bar, and charges nothing."""

    def __init__(self, run: Run, x: Any, y: Any, target: float) -> None:
        self._run, self._x, self._y, self._target = run, x, y, target
        self._looked, self.reached = 0, False

    def step(self, loss: float, spent: Any) -> None:
        """End the run when it is enough."""
        circuits = self._run.spent.circuits
        if circuits - self._looked < TASK.look_every:
            return
        self._looked = circuits
        self.reached = exact_loss_on(self._run, self._x, self._y) <= self._target
        if self.reached or circuits >= TASK.most_circuits:
            raise _EnoughError


def from_store(
    path: Path, seed: int, target: float, *, features_only: bool = False
) -> tuple[float, float, RunRecord | None]:
    """Shots to the target, the loss at the beginning, and the run that was taken, or only its features."""
    table, backend = digits("3", "8"), Counting(None)
    config = TrainingConfig(store="sqlite", store_path=path, warm_start="store", seed=seed)
    model, trainer = TASK.model(), QuantumTrainer(config, progress=False)
    model.scaler = trainer.scaler_for(model, table.x, table.y)
    loader = ArrayLoader(model.scaler.transform(table.x), table.y, config.batch_size)
    recipe = make_recipe(model, config, labels_are_classes=True)
    run = begin_run(recipe, Surroundings(config, backend, PerformanceTracker(), None), None, None, resume=False)
    judge = _Judge(run, loader.x, loader.y, target)

    async def train() -> tuple[float, RunRecord | None]:
        assert trainer.store is not None
        task = await task_of(recipe, loader, seed)
        taken = None if features_only else await start_from_store(run, task, trainer.store)
        began = exact_loss_on(run, loader.x, loader.y)
        with suppress(_EnoughError):
            while True:
                await train_epoch(run, loader, None, judge, more=True)
        return began, taken

    began, taken = asyncio.run(train())
    return (backend.seen.shots if judge.reached else math.inf), began, taken


def one_race(seed: int, target: float) -> Race:
    cold = race(TASK, METHODS[0], seed, target)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "store.sqlite"
        fill(path, seed)
        warm, began, taken = from_store(path, seed, target)
        same_features, _, _ = from_store(path, seed, target, features_only=True)
    assert taken is not None, "the run of digits 3-9 was not taken"
    assert taken.seed == str(OF_SOURCE + seed), "a run was taken that is not of digits 3-9"
    assert (taken.epochs, taken.keys["depth"], taken.keys["loss"]) == (EPOCHS, TASK.depth, "cross_entropy")
    ended = taken.metrics["final_loss"]
    shots = cold.cost.shots if cold.reached else math.inf
    return Race(seed, shots, same_features, warm, began, ended, taken.cost.shots)


def print_races(seeds: int, processes: int) -> None:
    target = target_of(TASK)
    print(f"(a) digits 3-8 to a loss of {target:.3f}, default method, from a run of digits 3-9 in the store")
    print("    seed   cold shots   same features   warm shots   first loss   source's loss   source's shots")
    with ProcessPoolExecutor(processes) as pool:
        races = []
        for each in pool.map(partial(one_race, target=target), range(1, seeds + 1)):
            races.append(each)
            print(
                f"    {each.seed:4}{each.cold:13,}{each.same_features:16,}{each.warm:13,}{each.began:13.3f}"
                f"{each.ended:16.3f}{each.source:17,}",
                flush=True,
            )
    cold, same, warm = (
        statistics.median(getattr(each, name) for each in races) for name in ("cold", "same_features", "warm")
    )
    print(f"    median{cold:11,.0f}{same:16,.0f}{warm:13,.0f}   {cold / warm:.1f} times fewer shots from the store")


def vectors(count: int, dimension: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(1).normal(size=(count, dimension)).astype(np.float32)


def loop(rows: list[list[float]], query: list[float], top_k: int) -> list[int]:
    """The nearest by cosine in plain Python."""
    scored = []
    norm = math.sqrt(sum(b * b for b in query))
    for place, row in enumerate(rows):
        product = squares = 0.0
        for a, b in zip(row, query, strict=True):
            product += a * b
            squares += a * a
        scored.append((product / (math.sqrt(squares) * norm), place))
    return [place for _, place in heapq.nlargest(top_k, scored)]


def print_search(count: int, dimension: int) -> None:
    print(f"\n(b) the nearest 10 of {count:,} vectors of {dimension} dimensions by cosine")
    content = vectors(count, dimension)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "store.sqlite"
        took = timed(lambda: fill_search(path, content), 1)
        print_line("upserted in batches of 10,000", took, f"{path.stat().st_size / 2**20:.0f} MiB on disk")
        in_child(print_queries, path, content[0].copy(), count)
        in_child(print_bounded, path, content[0].copy())
        store = SqliteStore(path)
        found = [match.id for match in asyncio.run(store.query(content[0]))]
        query = timed(lambda: asyncio.run(store.query(content[0])), 50)
        asyncio.run(store.close())
    rows, wanted = content.tolist(), content[0].tolist()  # millions of objects, which would slow the queries down
    assert found == list(map(str, loop(rows, wanted, 10)))
    plain = timed(lambda: loop(rows, wanted, 10), 5)
    print_line("a loop in plain Python", plain, f"{plain / query:.0f} times the query's {1000 * query:.1f} ms")


def in_child(work: Callable[..., None], *arguments: Any) -> None:
    """Work in a process of its own, so that its memory is its own."""
    child = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    child.start()
    child.join()


def print_queries(path: Path, query: np.ndarray[Any, Any], count: int) -> None:
    store = SqliteStore(path)
    asyncio.run(store.list_ids(prefix="none"))
    before = resident()
    first = timed(lambda: asyncio.run(store.query(query)), 1)
    print_line("first query, which reads the file", first, f"{resident() - before:+.0f} MiB of memory at most")
    print_line("query", timed(lambda: asyncio.run(store.query(query)), 50), f"{resident() - before:+.0f} MiB")
    where = {"group": {"$in": ["a", "b"]}, "number": {"$lt": count // 2}}
    some = timed(lambda: asyncio.run(store.query(query, where=where)), 10)
    print_line("query with a filter on two names", some, f"{resident() - before:+.0f} MiB")
    asyncio.run(store.close())


def print_bounded(path: Path, query: np.ndarray[Any, Any]) -> None:
    store = SqliteStore(path, max_memory=4 * 2**20)
    asyncio.run(store.list_ids(prefix="none"))
    before = resident()
    took = timed(lambda: asyncio.run(store.query(query)), 10)
    print_line("query with max_memory of 4 MiB", took, f"{resident() - before:+.0f} MiB")
    asyncio.run(store.close())


def print_line(name: str, seconds: float, more: str) -> None:
    print(f"    {name:36}{1000 * seconds:10.1f} ms   {more}", flush=True)


def fill_search(path: Path, content: np.ndarray[Any, Any]) -> None:
    store = SqliteStore(path)
    for first in range(0, len(content), 10_000):
        part = range(first, min(first + 10_000, len(content)))
        entries = [StoreEntry(str(n), content[n], {"group": "abc"[n % 3], "number": n}) for n in part]
        asyncio.run(store.upsert(entries))
    asyncio.run(store.close())


def timed(work: Callable[[], Any], repeats: int) -> float:
    """The median seconds of some work."""
    took = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        took.append(time.perf_counter() - begin)
    return statistics.median(took)


def resident() -> float:
    """The memory of this process at its largest so far, MiB, as Linux tells it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["races", "search"], help="one of the two")
    parser.add_argument("--seeds", type=int, default=10, help="races (default 10)")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="processes (default: the cores)")
    options = parser.parse_args()
    print(f"qstore {__version__}, Python {sys.version.split()[0]}, numpy {np.__version__}\n")
    if options.only != "search":
        print_races(options.seeds, options.processes)
    if options.only != "races":
        print_search(100_000, 64)


if __name__ == "__main__":
    main()
