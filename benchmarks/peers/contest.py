"""Who takes part, whether all compute the same, and how long each takes."""

from __future__ import annotations

import compileall
import importlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import qstore_mock

import qstore_core

from peers.training_run import LIBRARIES
from peers.work import COLUMNS, Contender, Way, Work

MODULES = ("ours", "lightning", "qulacs_ways", "tensorcircuit_ways", "qiskit_ways")
TOLERANCE = {"double": 1e-9, "single": 2e-4}
PATIENCE = 60.0  # seconds: a way that one call takes longer than that is left out
ROUNDS = 100
TURN = 0.01  # seconds


def compare(
    title: str, work: Work, cores: int, seconds: float, columns: Sequence[str] | None, only: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Print a table for each column; returns the median seconds of every way by column and contender."""
    print(f"\n{title}: {work}, {cores} core(s)", flush=True)
    everyone = list(_everyone(work, cores, only))
    found: dict[str, dict[str, float]] = {}
    for column in columns or COLUMNS:
        ready = [each for each in everyone if column in each.ways and _agrees(each, column, work, everyone[0])]
        found[column] = {_full(each): value for each, value in zip(ready, _timed(ready, column, seconds), strict=True)}
        _print(column, found[column])
    return found


def compare_runs(title: str, n_qubits: int, depth: int, rounds: int) -> dict[str, float]:
    """Print how long whole training runs take, each a process from its start to its end; median seconds by library."""
    print(f"\n{title}: training run, 100 samples, 50 SPSA steps, n={n_qubits} d={depth}, import included", flush=True)
    taken: dict[str, list[float]] = {}
    memory: dict[str, float] = {}
    # everybody's bytecode is on disk, as after an installation
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for path in (*qstore_core.__path__, *qstore_mock.__path__, Path(__file__).parent):
        compileall.compile_dir(path, quiet=2)
    for number in range(rounds):
        for place in range(len(LIBRARIES)):
            library = LIBRARIES[(number + place) % len(LIBRARIES)]
            if library in taken and min(taken[library]) > 20:
                continue
            command = [sys.executable, "-m", "peers.training_run", library, str(n_qubits), str(depth)]
            begin = time.perf_counter()
            done = subprocess.run(
                command,
                cwd=Path(__file__).parents[1],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            seconds = time.perf_counter() - begin
            if done.returncode:
                print(f"  without {library}: {done.stderr.strip().splitlines()[-1]}")
                continue
            taken.setdefault(library, []).append(seconds)
            memory[library] = float(done.stdout.split()[-1])
    seconds_of = {library: median(times) for library, times in taken.items()}
    for library, seconds in sorted(seconds_of.items(), key=lambda item: item[1]):
        ratio = seconds / seconds_of["qstore"]
        print(f"    {library:42}{seconds:10.3f} s {ratio:9.2f}x ours{memory[library]:8.0f} MB", flush=True)
    return seconds_of


def _everyone(work: Work, cores: int, only: Sequence[str]) -> Iterator[Contender]:
    for module in MODULES:
        if module != "ours" and only and module not in only:
            continue
        try:
            yield from importlib.import_module(f"peers.{module}").contenders(work, cores)
        except ImportError as error:
            print(f"  without {module}: {error}")


def _agrees(each: Contender, column: str, work: Work, reference: Contender) -> bool:
    """Run it once, which compiles it, and stop unless it computes what our double precision does."""
    each.prepare()
    value = each.ways[f"check {column}" if f"check {column}" in each.ways else column](0)
    begin = time.perf_counter()
    each.ways[column](1)
    again = time.perf_counter() - begin
    if not column.startswith("sampled"):
        wanted = reference.ways.get(f"check {column}", reference.ways[column])(0)
        if work.light_cone:  # others give parameters without influence a gradient by SPSA too
            value = np.where(wanted == 0, 0, value)
        np.testing.assert_allclose(value, wanted, atol=TOLERANCE[each.precision], err_msg=f"{each.name}, {column}")
    if again > PATIENCE:
        print(f"  {column}: {_full(each)} takes {again:.0f} s a call and is left out of the rounds")
    return again <= PATIENCE


def _timed(ready: Sequence[Contender], column: str, seconds: float) -> list[float]:
    """Median seconds of each, over interleaved rounds."""
    taken: list[list[float]] = [[] for _ in ready]
    begin = time.perf_counter()
    for number in range(1, ROUNDS + 1):
        for place in range(len(ready)):
            index = (number + place) % len(ready)
            spent = sum(taken[index])
            if len(taken[index]) >= 3 and spent > seconds / len(ready):
                continue
            ready[index].prepare()
            taken[index].append(_turn(ready[index].ways[column], number))
        if number >= 3 and time.perf_counter() - begin > seconds:
            break
    return [median(times) for times in taken]


def _turn(way: Way, number: int) -> float:
    """The median seconds of a turn: a short one is some calls in a row, as in a training loop."""
    times: list[float] = []
    while not times or (sum(times) < TURN and len(times) < 20):
        start = time.perf_counter()
        way(20 * number + len(times))
        times.append(time.perf_counter() - start)
    return median(times)


def _print(column: str, seconds: dict[str, float]) -> None:
    if not seconds:
        return
    ours = {name: value for name, value in seconds.items() if name.startswith("qstore")}
    print(f"  {column:17}{COLUMNS[column]}")
    for name, value in sorted(seconds.items(), key=lambda item: item[1]):
        precision = "single" if name.endswith("single") else "double"
        plain, faster = (ours.get(f"{mine}, {precision}") for mine in ("qstore mock", "qstore mock, numba"))
        ratios = "".join(f"{value / mine:9.2f}x {what}" for mine, what in ((plain, "ours"), (faster, "numba")) if mine)
        print(f"    {name:42}{1e3 * value:10.3f} ms{ratios}", flush=True)


def _full(each: Contender) -> str:
    return each.name if each.name.endswith(each.precision) else f"{each.name}, {each.precision}"
