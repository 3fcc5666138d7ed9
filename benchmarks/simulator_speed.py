"""qstore's own simulator alone: import time, a training step against its simulation, peak memory, and scaling.

    python benchmarks/simulator_speed.py           # two minutes
    python benchmarks/simulator_speed.py --quick

`peers_speed.py` has the comparison with other simulators.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before NumPy is imported: the simulator has threads of its own

import numpy as np  # noqa: E402

from qstore_core import (  # noqa: E402
    ArrayLoader,
    CircuitBatch,
    LocalBackend,
    QuantumModel,
    QuantumTrainer,
    TrainingConfig,
    get_backend,
)

S, M = (8, 2), (16, 3)
STEP_BOUND = 4.0
MEGABYTES = {S: 100, M: 300}
WIDTHS, ROWS = (4, 6, 8, 10, 12, 14, 16, 18, 20), (1, 10, 100, 1000)
AMPLITUDES = 2**24  # larger corners of the table are left out


def process(code: str, *, repeats: int) -> tuple[float, float]:
    """The median seconds of a process from its start to its end, and its peak memory in MB."""
    code += "\nfrom peers.memory import peak_memory; print(peak_memory())"
    times, memory = [], 0.0
    for _ in range(repeats):
        begin = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
        times.append(time.perf_counter() - begin)
        memory = max(memory, float(done.stdout.split()[-1]))
    return median(times), memory


def print_import(repeats: int) -> None:
    """What a program that trains imports: `import qstore_core` alone takes next to nothing."""
    python, _ = process("", repeats=repeats)
    numpy, _ = process("import numpy", repeats=repeats)
    names = "ArrayLoader, QuantumModel, QuantumTrainer, TrainingConfig, get_backend"
    ours, memory = process(f"from qstore_core import {names}", repeats=repeats)
    print(f"from qstore_core import {names}:")
    print(f"    {1e3 * (ours - python):.0f} ms and {memory:.0f} MB, of which NumPy ", end="")
    print(f"{1e3 * (numpy - python):.0f} ms: {(ours - python) / (numpy - python):.1f} times NumPy alone")


def print_runs(repeats: int) -> None:
    for n_qubits, depth in (S, M):
        work = f"Work({n_qubits}, {depth}, 'last', SAMPLES)"
        code = f"from peers.training_run import SAMPLES, by_qstore; from peers.work import Work; by_qstore({work})"
        seconds, memory = process(code, repeats=repeats)
        bound = MEGABYTES[n_qubits, depth]
        verdict = "holds" if memory < bound else "DOES NOT HOLD"
        print(
            f"training run, n={n_qubits} d={depth}: {seconds:.2f} s in all; {memory:.0f} MB, under {bound}: {verdict}"
        )


async def step_against_engine(repeats: int) -> float:
    """How long a step of the trainer takes, over the simulator alone on as many rows of the circuit that it runs."""
    backend = get_backend("mock", threads=1)
    assert isinstance(backend, LocalBackend)
    rng = np.random.default_rng(3)
    x, y = rng.normal(0.0, 0.5, (100, 8)), rng.choice([-1.0, 1.0], (100, 2))
    model = QuantumModel(8, 8, 2, backend, depth=2, readout=["Z6", "Z7"], seed=1)
    config = TrainingConfig(
        batch_size=10, epochs=2, shots_per_circuit=None, gradient_method="spsa", loss="mse", seed=7, learning_rate=0.05
    )
    trainer, loader = QuantumTrainer(config, progress=False), ArrayLoader(x, y, 10)
    reduction, _ = model.reduced()
    batch = CircuitBatch(reduction.structure, rng.normal(size=(20, len(reduction.angles))), reduction.observables)
    compiled = backend.compile(batch.structure, batch.groups)
    steps, alone = [], []
    for _ in range(repeats):
        begin = time.perf_counter()
        await trainer.train(model, loader)
        steps.append((time.perf_counter() - begin) / 20)
        begin = time.perf_counter()
        for _ in range(20):
            await backend.execute(batch, compiled)
        alone.append((time.perf_counter() - begin) / 20)
    return median(steps[3:]) / median(alone[3:])


def fastest(work: Callable[[], Any], repeats: int) -> float:
    """The median seconds of some calls."""
    work()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return median(times)


def print_scaling(depth: int, repeats: int) -> None:
    """The time of a row, relative to that of a row among ten of eight qubits."""
    backend = get_backend("mock")
    assert isinstance(backend, LocalBackend)
    print(f"\ndepth {depth}, Z on the last two qubits, no light cone: time of a row, that of 8 qubits and 10 rows = 1")
    print(f"{'qubits':>8}" + "".join(f"{rows:>9} rows" for rows in ROWS))
    found: dict[tuple[int, int], float] = {}
    for n_qubits in WIDTHS:
        model = QuantumModel(
            n_qubits, n_qubits, 2, backend, depth=depth, readout=[f"Z{n_qubits - 2}", f"Z{n_qubits - 1}"]
        )
        for rows in ROWS:
            program = backend.compile(
                model.circuit.structure,
                CircuitBatch(
                    model.circuit.structure, np.zeros((1, model.circuit.structure.n_angles)), model.observables
                ).groups,
            )
            if rows * program.row_amplitudes > AMPLITUDES:
                continue
            angles = np.random.default_rng(rows).normal(size=(rows, model.circuit.structure.n_angles))
            batch = CircuitBatch(model.circuit.structure, angles, model.observables)
            seconds = fastest(lambda b=batch, p=program: asyncio.run(backend.execute(b, p)), repeats)
            found[n_qubits, rows] = seconds / rows
    unit = found[8, 10]
    for n_qubits in WIDTHS:
        cells = (found.get((n_qubits, rows)) for rows in ROWS)
        print(
            f"{n_qubits:>8}" + "".join(f"{'':>14}" if cell is None else f"{cell / unit:>14.2f}" for cell in cells),
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    quick = parser.parse_args().quick
    print_import(3 if quick else 11)
    print_runs(3 if quick else 11)
    ratio = asyncio.run(step_against_engine(10 if quick else 60))
    verdict = "holds" if ratio <= STEP_BOUND else "DOES NOT HOLD"
    print(f"a step of the trainer takes {ratio:.1f} times its simulation alone, at most {STEP_BOUND:g}: {verdict}")
    for depth in (2, 8):
        print_scaling(depth, 3 if quick else 7)


if __name__ == "__main__":
    main()
