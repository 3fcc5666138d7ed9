"""What the caches save, measured: results that come again, and structures that are compiled once.

Each pair of lines is the same work without and with a cache, done in turn in one process. The training circuits of a
run never come again within it: every step has parameters of its own. What repeats is the same run started again with
another setting, and the same evaluation.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from qstore_mock.backend import MockBackend
from qstore_mock.remote.process import provider

from qstore_core import (
    ArrayLoader,
    Backend,
    CircuitStructure,
    Cost,
    MeasurementGroup,
    QuantumCircuitCache,
    QuantumModel,
    QuantumTrainer,
    SqliteCache,
    TrainingConfig,
    __version__,
    get_backend,
)

QUBITS = 8


@dataclass(frozen=True, slots=True)
class Took:
    """What some work took."""

    cost: Cost
    seconds: float


def clouds(samples: int, seed: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Two overlapping clouds of inputs in radians, and their labels."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, samples)
    return generator.normal(0.0, 0.5, (samples, QUBITS)) + 0.4 * (2 * labels[:, None] - 1), labels


def make_trainer(cache: QuantumCircuitCache | None, **settings: Any) -> QuantumTrainer:
    """A trainer with this cache and no other."""
    config = TrainingConfig(**{"seed": 7, "learning_rate": 0.05, "enable_circuit_cache": False, **settings})
    trainer = QuantumTrainer(config, progress=False)
    trainer.circuit_cache = cache
    return trainer


def sweep(backend: Backend, place: Path, cache: Path | None, epochs: tuple[int, ...]) -> Took:
    """Runs that differ in their epochs only, each with a journal of its own; with `cache` they share that file."""
    x, y = clouds(40, 1)
    held_out = clouds(20, 2)
    total, begin = Cost(), time.perf_counter()
    for each in epochs:
        kept = None if cache is None else SqliteCache(cache)
        directory = place / f"{'bare' if cache is None else 'cached'}-{each}"
        trainer = make_trainer(
            None if kept is None else QuantumCircuitCache(results=kept),
            gradient_method="spsa",
            shots_per_circuit=100,
            epochs=each,
            run_directory=directory,
        )
        model = QuantumModel(QUBITS, QUBITS, 2, backend)
        loader, validation = ArrayLoader(x, y, 10), ArrayLoader(*held_out, 20, shuffle=False)
        asyncio.run(trainer.train(model, loader, validation))
        total += trainer.performance_tracker.total
        if kept is not None:
            kept.close()
    return Took(total, time.perf_counter() - begin)


def print_sweep(epochs: tuple[int, ...]) -> None:
    waits = {"latency": 0.5, "queue": 2.0, "time_scale": 0.02}
    print(
        f"(a) {len(epochs)} runs with {', '.join(map(str, epochs))} epochs, same seed, model and data: 40 samples, 20"
    )
    print("    for validation, SPSA, 100 shots; with the cache they share one SqliteCache")
    with tempfile.TemporaryDirectory() as place, provider(price_circuit=0.30, price_shot=0.00145, **waits) as running:
        print_pair("mock.remote, 10 ms a request, 40 ms queue", *both_sweeps(running.url, Path(place), epochs))
    with tempfile.TemporaryDirectory() as place:
        print_pair("mock: here only validation is kept", *both_sweeps(None, Path(place), epochs))


def both_sweeps(url: str | None, place: Path, epochs: tuple[int, ...]) -> tuple[Took, Took]:
    """The sweep without the cache and with it, on the provider at `url` or in this process."""
    backend = get_backend("mock") if url is None else get_backend("mock.remote", url=url)
    return sweep(backend, place, None, epochs), sweep(backend, place, place / "results.sqlite", epochs)


def validations(n_qubits: int, cache: QuantumCircuitCache | None, times: int) -> Took:
    """The same model validated on 100 samples again and again; the first time, which fills the cache, is left out."""
    inputs = np.random.default_rng(3).normal(0.0, 0.5, (100, n_qubits))
    loader = ArrayLoader(inputs, np.arange(100) % 2, 100, shuffle=False)
    model = QuantumModel(n_qubits, n_qubits, 2, get_backend("mock"), seed=7)
    trainer = make_trainer(cache, shots_per_circuit=100)
    asyncio.run(trainer.validate(model, loader))
    before, begin = trainer.performance_tracker.total, time.perf_counter()
    for _ in range(times):
        asyncio.run(trainer.validate(model, loader))
    return Took(trainer.performance_tracker.total - before, time.perf_counter() - begin)


class SlowCompiler(MockBackend):
    """The simulator with a compiler that works for as long as a transpiler would."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.compiles = 0

    def compile(self, structure: CircuitStructure, groups: tuple[MeasurementGroup, ...]) -> Any:
        self.compiles += 1
        end = time.perf_counter() + self.seconds
        while time.perf_counter() < end:
            pass
        return super().compile(structure, groups)


def steps(backend: Backend, cache: QuantumCircuitCache | None, number: int) -> Took:
    """Steps of SPSA on 10 samples."""
    trainer = make_trainer(cache, gradient_method="spsa", shots_per_circuit=100, epochs=number)
    model = QuantumModel(QUBITS, QUBITS, 2, backend)
    begin = time.perf_counter()
    asyncio.run(trainer.train(model, ArrayLoader(*clouds(10, 1), 10)))
    return Took(trainer.performance_tracker.total, time.perf_counter() - begin)


def in_turn(without: Callable[[], Took], with_cache: Callable[[], Took], repeats: int) -> tuple[Took, Took]:
    """Both sides in turn; their median times."""
    pairs = [(without(), with_cache()) for _ in range(repeats)]
    sides = list(zip(*pairs, strict=True))
    first, second = (Took(side[0].cost, median(each.seconds for each in side)) for side in sides)
    return first, second


def print_pair(name: str, without: Took, with_cache: Took, extra: tuple[str, str] = ("", "")) -> None:
    """Two lines and their ratio."""
    for label, took, more in zip((name, "  with the cache"), (without, with_cache), extra, strict=True):
        usd = f"{took.cost.usd_high:9.2f} USD" if without.cost.usd_high else " " * 13
        print(f"    {label:46}{took.cost.circuits:8,} circuits{usd}{took.seconds:9.3f} s  {more}")
    print(f"    {'':46}{'':30}{without.seconds / with_cache.seconds:9.2f} times faster", flush=True)


def print_validations(times: int, repeats: int) -> None:
    print(f"\n(b) the same model validated on the same 100 samples {times} times more, 100 shots, on mock")
    for n_qubits in (4, 8, 12):
        without = partial(validations, n_qubits, None, times)
        sides = in_turn(without, lambda n=n_qubits: validations(n, QuantumCircuitCache(), times), repeats)
        print_pair(f"{n_qubits} qubits", *sides)


def print_compiles(number: int, seconds: float) -> None:
    print(f"\n(c) {number} steps of SPSA, {QUBITS} qubits, depth 2, where a compile takes {1000 * seconds:g} ms")
    bare, cached = SlowCompiler(seconds), SlowCompiler(seconds)
    sides = in_turn(lambda: steps(bare, None, number), lambda: steps(cached, QuantumCircuitCache(), number), 1)
    print_pair("compiled for every batch", *sides, (f"compiles: {bare.compiles}", f"compiles: {cached.compiles}"))
    fast = MockBackend()
    sides = in_turn(lambda: steps(fast, None, number), lambda: steps(fast, QuantumCircuitCache(), number), 3)
    print_pair("the same on mock, whose compile is its own", *sides)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer runs, repeats and steps")
    quick = parser.parse_args().quick
    print(f"qstore {__version__}, Python {sys.version.split()[0]}, numpy {np.__version__}\n")
    print_sweep((1, 2) if quick else (1, 2, 3, 4, 5))
    print_validations(times=20, repeats=1 if quick else 3)
    print_compiles(10 if quick else 100, seconds=0.02)


if __name__ == "__main__":
    main()
