"""What is known already costs nothing: results of the cache, but no damaged ones, and constants."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_backends import Remote
from priced_batches import Priced, batch

from qstore_core.account import Account
from qstore_core.backend import Backend
from qstore_core.batch import BatchResult, CircuitBatch, VectorJacobianProduct, estimates
from qstore_core.cache import Cache, MemoryCache
from qstore_core.circuit_cache import QuantumCircuitCache
from qstore_core.cost import Budget, Cost
from qstore_core.errors import BudgetExceededError, CacheError
from qstore_core.executor import Executor
from qstore_core.journal import Journal
from qstore_core.observables import PauliString
from qstore_core.result_codec import encode_rows, row_keys
from qstore_core.sqlite_cache import SqliteCache

WANTED = batch(4, shots=20)
Damage = Callable[[bytes], bytes]
DAMAGES: dict[str, Damage] = {
    "a bit": lambda row: row[:-1] + bytes([row[-1] ^ 1]),
    "cut": lambda row: row[:-3],
    "empty": lambda row: b"",
    "no row": lambda row: b"something else altogether",
}


def spoil(cache: Cache, backend: Backend, rows: list[int], damage: Damage) -> None:
    keys = np.array(row_keys(backend.fingerprint, WANTED))[rows].tolist()
    values = asyncio.run(cache.get_many(keys))
    asyncio.run(cache.put_many({key: damage(value or b"") for key, value in zip(keys, values, strict=True)}))


def counted(result: BatchResult) -> list[dict[str, int]]:
    assert result.counts is not None
    return result.counts[0].to_dicts()


class TestDamagedRows:
    @pytest.mark.parametrize("damage", DAMAGES)
    @pytest.mark.parametrize("make", [Priced, Remote])
    @pytest.mark.parametrize("stored", ["memory", "sqlite"])
    def test_one_of_the_cache_is_run_again_and_replaced(
        self, make: Callable[[], Any], damage: str, stored: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        results = SqliteCache(tmp_path / "cache.sqlite") if stored == "sqlite" else MemoryCache()
        cache = QuantumCircuitCache(results=results)
        (first,) = asyncio.run(Executor(make(), cache=cache).run((WANTED,)))
        spoil(results, make(), [1, 2], DAMAGES[damage])
        executor = Executor(make(), cache=cache)
        (second,) = asyncio.run(executor.run((WANTED,)))
        assert counted(second) == counted(first)
        assert executor.spent.circuits == 2
        assert "2 row(s) of the result cache are of no use and are run again: " in caplog.text
        caplog.clear()
        third = Executor(make(), cache=cache)
        assert counted(asyncio.run(third.run((WANTED,)))[0]) == counted(first)
        assert (third.spent, caplog.text) == (Cost(), "")

    def test_rows_that_do_not_fit_together_are_all_run_again(self) -> None:
        exact, cache = replace(WANTED, shots=None), QuantumCircuitCache()
        (first,) = asyncio.run(Executor(Priced(), cache=cache).run((exact,)))
        keys = row_keys(Priced().fingerprint, exact)
        (other,) = encode_rows(BatchResult(probabilities=(np.array([[1.0, 0.0]]),)))
        asyncio.run(cache.results.put_many({keys[2]: other}))
        executor = Executor(Priced(), cache=cache)
        (second,) = asyncio.run(executor.run((exact,)))
        np.testing.assert_array_equal(second.expectations, first.expectations)  # type: ignore[arg-type]
        assert executor.spent.circuits == 4

    def test_in_the_journal_they_stay_an_error(self) -> None:
        journal, backend = Journal(None), Remote()
        asyncio.run(Executor(backend, journal=journal).run((WANTED,)))
        key = row_keys(backend.fingerprint, WANTED)[1]
        token = journal.intend("damage", 1, "fake", Cost(), b"")
        journal.finished(token, {key: DAMAGES["a bit"](journal.results([key])[key])}, Cost())
        with pytest.raises(CacheError, match="a stored row is damaged: its checksum does not fit"):
            asyncio.run(Executor(backend, journal=journal, cache=QuantumCircuitCache()).run((WANTED,)))
        assert len(backend.jobs) == 1


class TestTheBudget:
    def test_what_the_cache_has_costs_nothing(self) -> None:
        executor = Executor(Priced(), cache=QuantumCircuitCache(), account=Account(Budget(circuits=9)))
        first, second = batch(4), batch(5)
        asyncio.run(executor.run((first, second)))
        assert [result.n_rows for result in asyncio.run(executor.run((first, second, first)))] == [4, 5, 4]
        assert executor.spent.circuits == 9

    def test_what_is_missing_runs_whole_or_not_at_all(self) -> None:
        backend = Priced()
        executor = Executor(backend, cache=QuantumCircuitCache(), account=Account(Budget(circuits=9)))
        asyncio.run(executor.run((batch(4),)))
        with pytest.raises(BudgetExceededError, match="4 spent or reserved, and the next batch needs 6"):
            asyncio.run(executor.run((batch(4), batch(3), batch(3, shots=10))))
        assert [job.n_rows for job in backend.jobs] == [4]
        asyncio.run(executor.run((batch(4), batch(3), batch(2, shots=10))))
        assert executor.spent.circuits == 9

    def test_equal_rows_of_several_requests_are_counted_once(self) -> None:
        executor = Executor(Priced(), cache=QuantumCircuitCache(), account=Account(Budget(circuits=4)))
        first, second = asyncio.run(executor.run((batch(4), batch(4).take(np.array([3, 0])))))
        np.testing.assert_array_equal(second.expectations, first.expectations[[3, 0]])  # type: ignore[index]
        assert (executor.spent.circuits, executor.tracker.circuits_reused) == (4, 2)

    def test_a_request_of_several_jobs_runs_whole_or_not_at_all(self) -> None:
        backend = Priced(max_circuits_per_job=2)
        with pytest.raises(BudgetExceededError, match="the next batch needs 5"):
            asyncio.run(Executor(backend, account=Account(Budget(circuits=4))).run((batch(5),)))
        assert not backend.jobs


class TestConstants:
    @pytest.mark.parametrize("make", [Priced, Remote])
    @pytest.mark.parametrize("shots", [None, 10])
    def test_they_run_nothing(self, make: Callable[[], Any], shots: int | None) -> None:
        backend = make()
        executor = Executor(backend, account=Account(Budget(circuits=0, jobs=0)))
        wanted = replace(
            batch(3, shots=shots),
            observables=(PauliString("", 0.5), PauliString("", -2.0) + PauliString("Z0") - PauliString("Z0")),
        )
        assert executor.price((wanted,)) == Cost()
        (result,) = asyncio.run(executor.run((wanted,)))
        assert estimates(wanted, result).values.tolist() == [[0.5, -2.0]] * 3
        assert (backend.jobs or [], executor.spent) == ([], Cost())

    @pytest.mark.parametrize("make", [Priced, Remote])
    def test_what_else_is_asked_for_runs_in_its_place(self, make: Callable[[], Any]) -> None:
        constant = batch(2, observables=("I",), shots=10)
        wanted = (constant, batch(3, shots=10), constant, batch(4, shots=10))
        executor = Executor(make())
        assert executor.price(wanted).circuits == 7
        results = asyncio.run(executor.run(wanted))
        assert [estimates(each, result).values.shape for each, result in zip(wanted, results, strict=True)] == [
            (2, 1),
            (3, 2),
            (2, 1),
            (4, 2),
        ]
        assert executor.spent.circuits == 7

    def test_their_derivatives_are_0(self) -> None:
        backend, constant, given = Priced(), batch(3, observables=("I",)), []

        def slopes(values: Any) -> Any:
            given.append(values)
            return values

        wanted: tuple[VectorJacobianProduct | CircuitBatch, ...] = (
            VectorJacobianProduct(constant, np.ones((3, 1))),
            VectorJacobianProduct(constant, slopes),
        )
        alone, both = asyncio.run(Executor(backend).run(wanted))
        assert both.expectations is not None
        assert both.expectations.tolist() == given[0].tolist() == [[1.0]] * 3
        for result in (alone, both):
            assert result.angle_gradients is not None
            np.testing.assert_array_equal(result.angle_gradients, np.zeros((3, 2)))
        assert not backend.jobs
