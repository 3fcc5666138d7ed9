"""What the executor adds to a bare simulation, against what PennyLane's lightning.qubit takes for the same circuits.

Twenty circuits of 8 qubits, depth 2, RY and RZ on every qubit and a CNOT chain, two observables, exact. The executor
has its cache and its tracker on; what it adds is the difference to `backend.execute` on the same rows, in the same
repeat. Then what keeping the journal costs for each job.

PennyLane is not needed: without it only our own part is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from qstore_core import (
    BatchResult,
    CircuitBatch,
    CircuitStructure,
    Cost,
    Executor,
    JobState,
    JobStatus,
    LocalBackend,
    MeasurementGroup,
    Parameter,
    PauliString,
    PerformanceTracker,
    QuantumCircuit,
    QuantumCircuitCache,
    RemoteBackend,
    __version__,
    get_backend,
)
from qstore_core.account import Account
from qstore_core.jobs import Job, JobRunner
from qstore_core.journal import Journal

QUBITS, DEPTH, CIRCUITS = 8, 2, 20
BOUND = 0.03
BARE = "bare backend.execute"
INSTALL = "PennyLane is not here, so there is nothing to compare with: pip install pennylane pennylane-lightning"

Timed = Callable[[int], Awaitable[float]]


def ansatz() -> QuantumCircuit:
    """RY and RZ on every qubit and a CNOT chain, twice."""
    circuit, angles = QuantumCircuit(QUBITS), iter(Parameter.vector("theta", 2 * QUBITS * DEPTH))
    for _ in range(DEPTH):
        for qubit in range(QUBITS):
            circuit = circuit.ry(qubit, next(angles)).rz(qubit, next(angles))
        for qubit in range(QUBITS - 1):
            circuit = circuit.cnot(qubit, qubit + 1)
    return circuit


def rows(circuit: QuantumCircuit, number: int) -> CircuitBatch:
    """Twenty circuits with angles that no other number has."""
    angles = np.random.default_rng(number).normal(0.0, 1.0, (CIRCUITS, 2 * QUBITS * DEPTH))
    observables = (PauliString("Z0"), PauliString(f"Z{QUBITS - 1}"))
    return CircuitBatch(circuit.structure, circuit.angles(parameters=angles), observables)


async def seconds(work: Awaitable[Any]) -> float:
    """How long something takes."""
    begin = time.perf_counter()
    await work
    return time.perf_counter() - begin


def ways(backend: LocalBackend) -> dict[str, Timed]:
    """The bare backend, and the executor's paths; each takes the number of a repeat and gives seconds."""
    circuit = ansatz()
    first = rows(circuit, 0)
    compiled = backend.compile(first.structure, first.groups)

    def executor() -> Executor:
        made = Executor(backend, tracker=PerformanceTracker(), cache=QuantumCircuitCache())
        asyncio.run(made.run((first,)))  # compiled, and its results kept
        return made

    used_once, missing, known = executor(), executor(), executor()

    async def bare(repeat: int) -> float:
        return await seconds(backend.execute(rows(circuit, repeat), compiled))

    async def training(repeat: int) -> float:
        return await seconds(used_once.run((rows(circuit, repeat),), reusable=False))

    async def every_row_missing(repeat: int) -> float:
        return await seconds(missing.run((rows(circuit, repeat),), reusable=True))

    async def every_row_known(repeat: int) -> float:
        return await seconds(known.run((first,), reusable=True))

    return {
        BARE: bare,
        "reusable=False (training)": training,
        "reusable=True, every row missing": every_row_missing,
        "reusable=True, every row known": every_row_known,
    }


def peers() -> dict[str, Timed]:
    """The same circuits on lightning.qubit, if PennyLane is installed: tapes and one `qml.execute`."""
    try:
        import pennylane as qml  # the project does not depend on it
    except ImportError:
        return {}
    device = qml.device("lightning.qubit", wires=QUBITS)

    def tape(angles: np.ndarray[Any, Any]) -> Any:
        values = iter(angles.tolist())
        gates: list[Any] = []
        for _ in range(DEPTH):
            for qubit in range(QUBITS):
                gates += [qml.RY(next(values), qubit), qml.RZ(next(values), qubit)]
            gates += [qml.CNOT([qubit, qubit + 1]) for qubit in range(QUBITS - 1)]
        return qml.tape.QuantumScript(gates, [qml.expval(qml.Z(0)), qml.expval(qml.Z(QUBITS - 1))])

    circuit = ansatz()
    tapes = {"ready": [tape(row) for row in rows(circuit, 0).angles]}
    _agree(qml.execute(tapes["ready"], device), rows(circuit, 0))

    async def built(repeat: int) -> float:
        angles = rows(circuit, repeat).angles
        begin = time.perf_counter()
        qml.execute([tape(row) for row in angles], device)
        return time.perf_counter() - begin

    async def ready(repeat: int) -> float:
        angles = rows(circuit, repeat).angles
        prepared = [tape(row) for row in angles]
        begin = time.perf_counter()
        qml.execute(prepared, device)
        return time.perf_counter() - begin

    return {f"lightning.qubit {qml.__version__}, tapes and run": built, "lightning.qubit, run alone": ready}


def _agree(found: Any, batch: CircuitBatch) -> None:
    """Stop unless both sides compute the same."""
    (ours,) = asyncio.run(Executor(get_backend("mock")).run((batch,)))
    np.testing.assert_allclose(np.array(found, dtype=float), ours.expectations, atol=1e-10)


async def measure(timed: dict[str, Timed], repeats: int) -> dict[str, list[float]]:
    """Seconds of every repeat; in a repeat the ways come in turn, each time another one first."""
    names = list(timed)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for repeat in range(1, repeats + 1):
        for place in range(len(names)):
            name = names[(repeat + place) % len(names)]
            taken[name].append(await timed[name](repeat))
    return taken


def print_overhead(repeats: int) -> None:
    backend = get_backend("mock")
    assert isinstance(backend, LocalBackend)
    own, alone, others = ways(backend), ways(Ready(backend)), peers()
    timed = {**own, **{f"{name}, alone": way for name, way in alone.items()}, **others}
    asyncio.run(measure(timed, 5))
    taken = asyncio.run(measure(timed, repeats))
    bare = taken[BARE]
    peer = min((median(taken[name]) for name in others), default=None)
    print(f"{CIRCUITS} circuits, {QUBITS} qubits, depth {DEPTH}, two observables")
    print(f"medians of {repeats} interleaved repeats")
    print(f"{'':40}{'µs':>9}{'minus bare':>12}{'alone µs':>10}{'of lightning':>14}")
    failed = []
    for name in own | others:
        print(f"{name:40}{1e6 * median(taken[name]):9.0f}", end="")
        if name in own and name != BARE:
            minus = median(one - other for one, other in zip(taken[name], bare, strict=True))
            worse = max(minus, median(taken[f"{name}, alone"]))
            print(f"{1e6 * minus:12.0f}{1e6 * median(taken[f'{name}, alone']):10.0f}", end="")
            if peer is not None:
                print(f"{100 * worse / peer:13.2f}%", end="")
                failed += [name] if worse > BOUND * peer else []
        print()
    print(
        "minus bare: the median difference to backend.execute in the same repeat. alone: the executor's whole time on a"
    )
    print("backend whose results are ready, which is the steadier reading. The ratio is of the larger one.")
    if peer is None:
        print(f"{INSTALL}\n")
        return
    print(f"the executor adds at most {BOUND:.0%} of what lightning.qubit takes, its smaller time: ", end="")
    print(f"DOES NOT HOLD for {', '.join(failed)}" if failed else "holds on every path")
    print(f"lightning.qubit's smaller time is {peer / median(bare):.1f} times that of bare backend.execute\n")


class Ready(LocalBackend):
    """A simulator whose results are ready, so that what is left is the executor."""

    def __init__(self, inner: LocalBackend) -> None:
        self._inner = inner
        self.capabilities = inner.capabilities
        self.fingerprint = "ready"
        self._results: dict[int, BatchResult] = {}

    def compile(self, structure: CircuitStructure, groups: tuple[MeasurementGroup, ...]) -> Any:
        return self._inner.compile(structure, groups)

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        if batch.n_rows not in self._results:
            self._results[batch.n_rows] = await self._inner.execute(batch, compiled)
        return self._results[batch.n_rows]


class Immediate(RemoteBackend):
    """A provider in this process: every job is done at once, and its answers are ready."""

    def __init__(self) -> None:
        inner = get_backend("mock")
        assert isinstance(inner, LocalBackend)
        self._inner = inner
        self.capabilities = inner.capabilities
        self.fingerprint = "immediate(mock)"
        self._answers: dict[str, tuple[BatchResult, ...]] = {}

    def prepare(self, batch: CircuitBatch) -> None:
        """Have the answer to every job ready, so that only what happens around it is timed."""
        compiled = self._inner.compile(batch.structure, batch.groups)
        self._ready = (asyncio.run(self._inner.execute(batch, compiled)),)

    async def submit(self, batches: Sequence[CircuitBatch], compiled: Sequence[Any], token: str) -> str:
        self._answers[token] = self._ready
        return token

    async def status(self, job_id: str) -> JobStatus:
        return JobStatus(JobState.DONE)

    async def fetch(
        self, job_id: str, batches: Sequence[CircuitBatch], compiled: Sequence[Any]
    ) -> tuple[BatchResult, ...]:
        return self._answers[job_id]

    async def find(self, token: str) -> str | None:
        return token

    async def cancel(self, job_id: str) -> None:
        return None

    async def cost(self, job_id: str) -> Cost | None:
        return Cost(circuits=CIRCUITS, jobs=1)


def print_journal(repeats: int) -> None:
    batch = rows(ansatz(), 0)
    backend = Immediate()
    backend.prepare(batch)
    taken: dict[str, list[float]] = {"journal in a file": [], "journal in memory": []}
    with tempfile.TemporaryDirectory() as place:
        journals = {"journal in a file": Journal(Path(place) / "journal.sqlite"), "journal in memory": Journal(None)}
        runners = {
            name: JobRunner(backend, journal, Account(), PerformanceTracker()) for name, journal in journals.items()
        }

        async def all_repeats() -> None:
            for repeat in range(1, repeats + 1):
                job = Job("benchmark", (rows(ansatz(), repeat),), (batch.structure,))
                for name, runner in runners.items():
                    taken[name].append(await seconds(runner.run([job])))

        asyncio.run(all_repeats())
        for journal in journals.values():
            journal.close()
    print(f"a job of {CIRCUITS} circuits on a provider that answers at once, {repeats} jobs, all that the client does")
    for name, times in taken.items():
        tenth = sorted(times)[9 * len(times) // 10]
        print(f"{name:40}{1e3 * median(times):9.2f} ms a job, 9 in 10 under {1e3 * tenth:.2f} ms")
    added = median(one - other for one, other in zip(*taken.values(), strict=True))
    print(f"{'durability: file minus memory':40}{1e3 * added:9.2f} ms a job (three transactions, synchronised)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    quick = parser.parse_args().quick
    print(f"qstore {__version__}, Python {sys.version.split()[0]}, numpy {np.__version__}")
    print_overhead(20 if quick else 200)
    print_journal(50 if quick else 300)


if __name__ == "__main__":
    main()
