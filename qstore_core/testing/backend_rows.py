"""Whether rows, batches and calls keep apart: order, splitting, compiling once, concurrency, event loops."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import numpy as np

from qstore_core.backend import LocalBackend
from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.circuit import QuantumCircuit
from qstore_core.result_codec import encode_rows
from qstore_core.testing.bench import Bench
from qstore_core.testing.expect import require, require_close, skip
from qstore_core.testing.suite import BackendChecks, Factory

_SPLITTING = 1e-12
"""How far the values of a row may move with what is run beside it."""

_MANY = 300


class RowChecks(BackendChecks):
    """A row's result is that of its own angles and its own label, whatever is run before, beside or after it."""

    def test_rows_come_back_whole_and_in_their_order(self, make_backend: Factory) -> None:
        """Many rows of different angles, each compared with its own reference."""
        bench = self.bench(make_backend)
        circuit = _turning(bench)
        angles = np.linspace(-3.0, 3.0, 23 * circuit.structure.n_angles).reshape(23, -1)
        batch = bench.batch(circuit, _observables(circuit), shots=bench.best_shots, angles=angles)
        (result,) = bench.run(batch)
        require(result.n_rows == 23, f"a batch of 23 rows came back with {result.n_rows}")
        bench.compare(batch, result, "23 rows of different angles")

    def test_hundreds_of_rows_come_back_in_their_order(self, make_backend: Factory) -> None:
        """As many as one call may have, up to 300: engines divide a batch that is too large for their memory."""
        bench = self.bench(make_backend)
        if bench.is_remote:
            skip("it is a remote backend, where hundreds of circuits cost time and money")
        circuit = _turning(bench)
        rows = min(_MANY, bench.able.max_circuits_per_job or _MANY)
        angles = np.random.default_rng(29).normal(scale=2.0, size=(rows, circuit.structure.n_angles))
        batch = bench.batch(circuit, _observables(circuit, "Z"), shots=bench.best_shots, angles=angles)
        bench.compare(batch, bench.run(batch)[0], f"{rows} rows of different angles")

    def test_a_row_does_not_depend_on_those_beside_it(self, make_backend: Factory) -> None:
        """Rows alone, together and in another order give the same."""
        bench = self.bench(make_backend)
        batch = _rows(bench, seed=21)
        order = np.array([3, 0, 4, 1, 2])
        whole, moved, *alone = bench.run(batch, batch.take(order), *(batch.rows(row, row + 1) for row in range(5)))
        _same(bench, batch, BatchResult.concatenate(alone), whole, "rows alone and together")
        inverse = batch.take(order).take(np.argsort(order))
        _same(bench, inverse, _taken(moved, np.argsort(order).tolist()), whole, "rows in another order")

    def test_a_batch_leaves_nothing_behind(self, make_backend: Factory) -> None:
        """The same backend runs one batch, another, and the first again."""
        bench = self.bench(make_backend)
        first, second = _rows(bench, seed=22), _rows(bench, seed=23)
        for batch, label in ((first, "a first batch"), (second, "a second batch"), (first, "the first batch again")):
            (result,) = bench.run(batch)
            bench.compare(batch, result, label)

    def test_batches_of_several_structures_keep_apart(self, make_backend: Factory) -> None:
        """Different circuits, numbers of rows and bases one after another, or in one job."""
        bench = self.bench(make_backend)
        rng, batches = np.random.default_rng(24), []
        for number in range(4):
            circuit = bench.random_circuit(rng, bench.width(1 + number % 3))
            angles = rng.normal(size=(1 + number, circuit.structure.n_angles))
            observables = ("Z0",) if number % 2 else ("X0", "Y0")
            batches.append(bench.batch(circuit, observables, shots=bench.best_shots, angles=angles, seed=number))
        for number, (batch, result) in enumerate(zip(batches, bench.run(*batches), strict=True)):
            bench.compare(batch, result, f"batch {number} of 4")

    def test_what_was_compiled_once_serves_every_batch(self, make_backend: Factory) -> None:
        """One compilation for other angles, other shots and exact values; the executor keeps it."""
        bench = self.bench(make_backend)
        backend = bench.backend
        if not isinstance(backend, LocalBackend):
            skip("for a remote backend, test_results_are_fetched_in_a_fresh_process compiles anew and sees the same")
        batch = _rows(bench, seed=25)
        compiled = bench.compile(batch)
        variants = [batch, batch.rows(1, 3), _rows(bench, seed=26)]
        if bench.able.sampled and bench.able.exact:
            variants.append(_rows(bench, seed=25, shots=bench.sampled_shots))
        for number, each in enumerate(variants):
            bench.charge(backend.price(compiled, each))
            bench.compare(each, asyncio.run(backend.execute(each, compiled)), f"use {number} of what was compiled")

    def test_compiling_something_else_in_between_changes_nothing(self, make_backend: Factory) -> None:
        """`compile` is pure: it may be called long before `execute`, for many structures."""
        bench = self.bench(make_backend)
        backend = bench.backend
        if not isinstance(backend, LocalBackend):
            skip("it is a remote backend; test_batches_of_several_structures_keep_apart compiles several in advance")
        batches = [_rows(bench, seed=27), _rows(bench, seed=28, letters="Y")]
        compiled = [bench.compile(batch) for batch in batches]
        for number, batch in enumerate(batches):
            bench.charge(backend.price(compiled[number], batch))
            result = asyncio.run(backend.execute(batch, compiled[number]))
            bench.compare(batch, result, f"structure {number} of two that were compiled in advance")

    def test_calls_at_once_do_not_mix(self, make_backend: Factory) -> None:
        """Several batches at once in one event loop."""
        bench = self.bench(make_backend)
        batches = [_rows(bench, seed=seed) for seed in (31, 32, 33, 34)]

        async def at_once() -> list[list[BatchResult]]:
            return await asyncio.gather(*(bench.results([batch]) for batch in batches))

        for number, (batch, results) in enumerate(zip(batches, asyncio.run(at_once()), strict=True)):
            bench.compare(batch, results[0], f"batch {number} of 4 at once")

    def test_it_lives_through_several_event_loops(self, make_backend: Factory) -> None:
        """Nothing is bound to a loop: one backend in a second `asyncio.run`, and in threads with loops of their own."""
        bench = self.bench(make_backend)
        batch = _rows(bench, seed=35)
        for _ in range(2):
            bench.compare(batch, bench.run(batch)[0], "one backend in several event loops")
        outcomes: list[object] = []

        def work() -> None:
            try:
                outcomes.append(bench.run(batch)[0])
            except BaseException as error:
                outcomes.append(error)

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
            assert isinstance(outcome, BatchResult)
            bench.compare(batch, outcome, "one backend in two threads at once")


def _turning(bench: Bench, n_qubits: int = 2) -> QuantumCircuit:
    """A circuit whose angles matter, by the gates that there are."""
    rng = np.random.default_rng(20)
    circuit = bench.scramble(QuantumCircuit(bench.width(n_qubits)), rng, length=2)
    if not circuit.structure.n_angles:
        skip("capabilities.gates has no gate on one qubit with an angle")
    return circuit


def _observables(circuit: QuantumCircuit, letters: str = "ZX") -> tuple[str, ...]:
    return tuple(f"{letter}{qubit}" for qubit in range(circuit.n_qubits) for letter in letters)


def _rows(bench: Bench, *, seed: int, shots: int | None = None, letters: str = "ZX") -> CircuitBatch:
    """Five rows of random angles."""
    circuit = _turning(bench)
    angles = np.random.default_rng(seed).normal(scale=2.0, size=(5, circuit.structure.n_angles))
    return bench.batch(
        circuit, _observables(circuit, letters), shots=shots or bench.best_shots, angles=angles, seed=seed
    )


def _taken(result: BatchResult, rows: Sequence[int]) -> BatchResult:
    """The given rows of a result, in that order."""
    if result.counts is not None:
        parts = [BatchResult(counts=tuple(counts.rows(row, row + 1) for counts in result.counts)) for row in rows]
    elif result.probabilities is not None:
        parts = [BatchResult(probabilities=tuple(each[row : row + 1] for each in result.probabilities)) for row in rows]
    else:
        assert result.expectations is not None
        parts = [BatchResult(expectations=result.expectations[row : row + 1]) for row in rows]
    return BatchResult.concatenate(parts)


def _same(bench: Bench, batch: CircuitBatch, found: BatchResult, wanted: BatchResult, what: str) -> None:
    """Fail unless two results of the same rows are the same, as far as the backend promises that."""
    if batch.shots is not None:
        if not bench.able.seedable:
            skip("capabilities.seedable is False: the same circuits are sampled anew")
        require(encode_rows(found) == encode_rows(wanted), f"{what} give different counts under the same labels")
        return
    tolerance = _SPLITTING if bench.exact <= 1e-9 else bench.exact
    for values, others in zip(_arrays(found), _arrays(wanted), strict=True):
        require_close(values, others, tolerance, what)


def _arrays(result: BatchResult) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    return [result.expectations] if result.expectations is not None else list(result.probabilities or ())
