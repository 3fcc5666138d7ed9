"""The only place that runs circuits: compiled once, split by the backend's limits, counted as the backend saw them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from priced_batches import CIRCUIT, Priced, batch, run

from qstore_core.account import Account
from qstore_core.angles import Parameter
from qstore_core.arrays import FloatArray
from qstore_core.batch import BatchResult, CircuitBatch, VectorJacobianProduct, estimates
from qstore_core.circuit import QuantumCircuit
from qstore_core.circuit_cache import QuantumCircuitCache
from qstore_core.cost import Budget, Cost
from qstore_core.errors import BackendError, BudgetExceededError, CapabilityError, CircuitError, ConfigurationError
from qstore_core.executor import Executor
from qstore_core.problem import GradientResult, Rounds
from qstore_core.tracker import PerformanceTracker

OTHER = QuantumCircuit(2).rx(0, Parameter("a")).rx(1, Parameter("b"))


class TestCompiling:
    def test_a_structure_is_compiled_once_however_often_it_runs(self) -> None:
        backend = Priced()
        executor = Executor(backend, cache=QuantumCircuitCache())
        asyncio.run(executor.run((batch(), batch(3), batch(7, shots=10))))
        asyncio.run(executor.run((batch(2),)))
        assert [structure for structure, _ in backend.compiled] == [CIRCUIT.structure]

    def test_executors_that_share_a_cache_share_what_was_compiled(self) -> None:
        backend, cache = Priced(), QuantumCircuitCache()
        run(backend, batch(), cache=cache)
        run(backend, batch(4), cache=cache)
        assert len(backend.compiled) == 1
        assert cache.get_stats()["compiled_circuits"] == 1

    def test_equal_structures_of_different_circuits_are_one(self) -> None:
        backend = Priced()
        again = QuantumCircuit(2).ry(0, 2 * Parameter("c") + 1).ry(1, Parameter("d")).cnot(0, 1)
        run(backend, batch(), batch(circuit=again), cache=QuantumCircuitCache())
        assert len(backend.compiled) == 1

    def test_another_structure_or_basis_is_compiled_anew(self) -> None:
        backend = Priced()
        requests = batch(), batch(circuit=OTHER), batch(observables=("X0",)), batch(4)
        run(backend, *requests, cache=QuantumCircuitCache())
        assert len(backend.compiled) == 3

    def test_observables_that_are_read_in_one_basis_share_it(self) -> None:
        backend = Priced()
        requests = batch(), batch(observables=("Z1", "Z0")), batch(observables=None)
        run(backend, *requests, cache=QuantumCircuitCache())
        assert len(backend.compiled) == 1

    def test_the_least_recently_used_is_forgotten(self) -> None:
        backend = Priced()
        first, second, third = batch(shots=10), batch(circuit=OTHER, shots=10), batch(observables=("X0",), shots=10)
        executor = Executor(backend, cache=QuantumCircuitCache(max_compiled_circuits=2, max_results=0))
        for each in (first, second, first, third, first):
            asyncio.run(executor.run((each,)))
        assert len(backend.compiled) == 3
        asyncio.run(executor.run((second,)))
        assert len(backend.compiled) == 4

    def test_without_a_cache_each_run_compiles(self) -> None:
        backend = Priced()
        run(backend, batch(), batch())
        assert len(backend.compiled) == 2

    def test_a_backend_that_changed_compiles_anew(self) -> None:
        backend = Priced()
        executor = Executor(backend, cache=QuantumCircuitCache())
        asyncio.run(executor.run((batch(),)))
        backend.fingerprint = "watched(calibrated again)"
        asyncio.run(executor.run((batch(),)))
        assert len(backend.compiled) == 2


class TestReusing:
    def test_circuits_that_ran_before_are_looked_up_and_only_the_others_run(self) -> None:
        backend = Priced()
        executor = Executor(backend, cache=QuantumCircuitCache())
        (first,) = asyncio.run(executor.run((batch(5),)))
        known = batch(5)
        more = replace(known, angles=np.concatenate([known.angles[3:], known.angles[:2] + 1, known.angles[:1]]))
        (second,) = asyncio.run(executor.run((more,)))
        assert [job.n_rows for job in backend.jobs] == [5, 2]
        assert first.expectations is not None
        assert second.expectations is not None
        np.testing.assert_array_equal(second.expectations[[0, 1, 4]], first.expectations[[3, 4, 0]])
        assert (executor.spent.circuits, executor.tracker.circuits_reused) == (7, 3)

    def test_equal_rows_of_a_batch_run_once_and_come_back_in_their_places(self) -> None:
        backend = Priced()
        angles = np.array([[0.1, 0.2], [0.3, 0.4], [0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
        repeated = replace(batch(5), angles=angles)
        (merged,) = run(backend, repeated, cache=QuantumCircuitCache())
        (plain,) = run(Priced(), repeated)
        assert [job.n_rows for job in backend.jobs] == [3]
        np.testing.assert_allclose(merged.expectations, plain.expectations, rtol=0, atol=1e-12)  # type: ignore[arg-type]

    def test_sampled_rows_are_the_same_only_with_the_same_draw_label(self) -> None:
        backend, cache = Priced(), QuantumCircuitCache()
        sampled = batch(4, shots=20)
        (first,) = run(backend, sampled, cache=cache)
        (again,) = run(backend, sampled, cache=cache)
        run(backend, replace(sampled, draws=np.arange(10, 14, dtype=np.uint64)), cache=cache)
        assert len(backend.jobs) == 2
        assert first.counts is not None
        assert again.counts is not None
        assert again.counts[0].to_dicts() == first.counts[0].to_dicts()

    def test_nothing_is_shared_between_shots_observables_structures_or_backends(self) -> None:
        backend, cache = Priced(), QuantumCircuitCache()
        run(backend, batch(4), cache=cache)
        for other in (batch(4, shots=20), batch(4, observables=("X0", "Z0")), batch(4, circuit=OTHER)):
            run(backend, other, cache=cache)
        backend.fingerprint = "watched(calibrated again)"
        run(backend, batch(4), cache=cache)
        assert len(backend.jobs) == 5


class TestSplitting:
    @pytest.mark.parametrize(("limit", "sizes"), [(None, [5]), (1, [1] * 5), (2, [2, 2, 1]), (5, [5]), (9, [5])])
    def test_a_job_holds_as_many_circuits_as_the_backend_takes(self, limit: int | None, sizes: list[int]) -> None:
        backend = Priced(max_circuits_per_job=limit)
        run(backend, batch())
        assert [job.n_circuits for job in backend.jobs] == sizes

    def test_every_basis_counts_as_a_circuit(self) -> None:
        backend = Priced(max_circuits_per_job=4)
        run(backend, batch(observables=("Z0", "X0"), shots=10))
        assert [(job.n_rows, job.n_circuits) for job in backend.jobs] == [(2, 4), (2, 4), (1, 2)]

    @pytest.mark.parametrize("limit", [2, 3, 4])
    @pytest.mark.parametrize("observables", [("Z0", "Y1 X0"), None], ids=repr)
    def test_sampled_rows_are_the_same_however_they_are_split(
        self, limit: int, observables: Sequence[str] | None
    ) -> None:
        wanted = batch(7, observables=observables, shots=40)
        (whole,), (split,) = run(Priced(), wanted), run(Priced(max_circuits_per_job=limit), wanted)
        assert whole.counts is not None
        assert split.counts is not None
        for one, other in zip(whole.counts, split.counts, strict=True):
            assert one.to_dicts() == other.to_dicts()

    @pytest.mark.parametrize("limit", [1, 2, 3])
    def test_exact_rows_are_the_same_however_they_are_split(self, limit: int) -> None:
        wanted, register = batch(7, observables=("Z0", "Y1 X0")), batch(7, observables=None)
        whole, split = run(Priced(), wanted, register), run(Priced(max_circuits_per_job=limit), wanted, register)
        np.testing.assert_allclose(split[0].expectations, whole[0].expectations, rtol=0, atol=1e-12)  # type: ignore[arg-type]
        np.testing.assert_allclose(split[1].probabilities, whole[1].probabilities, rtol=0, atol=1e-12)  # type: ignore[arg-type]

    def test_derivatives_are_the_same_however_they_are_split(self) -> None:
        wanted = VectorJacobianProduct(batch(7), np.random.default_rng(3).normal(size=(7, 2)))
        (whole,), (split,) = run(Priced(), wanted), run(Priced(max_circuits_per_job=2), wanted)
        np.testing.assert_allclose(split.angle_gradients, whole.angle_gradients, rtol=0, atol=1e-12)  # type: ignore[arg-type]

    @pytest.mark.parametrize("limit", [None, 2])
    def test_values_come_with_the_derivatives_that_are_made_of_them(self, limit: int | None) -> None:
        wanted, given = batch(7, observables=("Z0", "Y1 X0")), []

        def slopes(values: FloatArray) -> FloatArray:
            given.append(values)
            return 2 * values

        (values,) = run(Priced(), wanted)
        assert values.expectations is not None
        (gradients,) = run(Priced(), VectorJacobianProduct(wanted, 2 * values.expectations))
        (both,) = run(Priced(max_circuits_per_job=limit), VectorJacobianProduct(wanted, slopes))
        np.testing.assert_allclose(both.expectations, values.expectations, rtol=0, atol=1e-12)  # type: ignore[arg-type]
        np.testing.assert_allclose(both.angle_gradients, gradients.angle_gradients, rtol=0, atol=1e-12)  # type: ignore[arg-type]
        assert len(given) == 1
        np.testing.assert_array_equal(given[0], both.expectations)  # type: ignore[arg-type]

    def test_cotangents_are_real_numbers_one_for_each_value(self) -> None:
        (result,) = run(Priced(), VectorJacobianProduct(batch(2), [[1, 0], [0, 1]]))  # type: ignore[arg-type]
        assert result.angle_gradients is not None
        for wrong in (np.ones((2, 3)), np.ones(2), np.full((2, 2), 1j), [["a", "b"]] * 2):
            with pytest.raises(CircuitError, match=r"cotangents are real numbers of shape \(2, 2\), one for each row"):
                VectorJacobianProduct(batch(2), wrong)  # type: ignore[arg-type]

    def test_for_comparison_every_row_can_have_a_job_of_its_own(self) -> None:
        backend = Priced()
        (split,) = run(backend, batch(), one_circuit_per_job=True)
        assert [job.n_rows for job in backend.jobs] == [1] * 5
        np.testing.assert_allclose(split.expectations, run(Priced(), batch())[0].expectations, rtol=0, atol=1e-12)  # type: ignore[arg-type]

    def test_results_come_in_the_order_of_the_requests(self) -> None:
        requests = batch(3), VectorJacobianProduct(batch(4), np.ones((4, 2))), batch(5, circuit=OTHER, shots=20)
        assert [result.n_rows for result in run(Priced(max_circuits_per_job=2), *requests)] == [3, 4, 5]

    def test_multiples_of_the_identity_need_no_circuit(self) -> None:
        executor = Executor(Priced())
        wanted = batch(3, observables=("I",), shots=10)
        (result,) = asyncio.run(executor.run((wanted,)))
        assert estimates(wanted, result).values.tolist() == [[1.0]] * 3
        assert (executor.spent.circuits, executor.spent.shots) == (0, 0)


class TestCounting:
    def test_counts_and_cost_are_what_the_backend_saw(self) -> None:
        backend, tracker = Priced(max_circuits_per_job=3), PerformanceTracker()
        executor = Executor(backend, tracker=tracker)
        asyncio.run(executor.run((batch(5), batch(4, observables=("Z0", "X0"), shots=10))))
        asyncio.run(executor.run((VectorJacobianProduct(batch(2), np.ones((2, 2))),)))
        seen = sum((backend.price(None, job) for job in backend.jobs), Cost())
        assert tracker.total == executor.spent == seen
        statistics = tracker.get_statistics()
        assert statistics["total_circuits"] == sum(job.n_circuits for job in backend.jobs) == 5 + 8 + 2
        assert statistics["total_shots"] == sum(job.n_shots for job in backend.jobs) == 80
        assert statistics["total_jobs"] == len(backend.jobs)
        assert statistics["total_cost_usd"] == pytest.approx(0.3 * 15 + 0.001 * 80)

    def test_what_ran_is_counted_even_when_a_later_job_fails(self) -> None:
        class Failing(Priced):
            async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
                if len(self.jobs) == 2:
                    raise BackendError("lost the connection")
                return await super().execute(batch, compiled)

        executor = Executor(Failing(max_circuits_per_job=1))
        with pytest.raises(BackendError, match="lost the connection"):
            asyncio.run(executor.run((batch(5),)))
        assert executor.tracker.total.circuits == 2

    def test_a_price_is_what_running_then_costs(self) -> None:
        requests = (
            batch(5),
            batch(4, observables=("Z0", "X0"), shots=10),
            VectorJacobianProduct(batch(2), np.ones((2, 2))),
            VectorJacobianProduct(batch(2), np.ones_like),
            VectorJacobianProduct(batch(5), np.ones_like),
        )
        backend = Priced(max_circuits_per_job=3)
        executor = Executor(backend)
        price = executor.price(requests)
        assert executor.spent == Cost()
        asyncio.run(executor.run(requests))
        seen = sum((backend.price(None, job) for job in backend.jobs), Cost())
        for one, other in ((executor.spent, price), (price, seen)):
            assert (one.circuits, one.shots, one.jobs) == (other.circuits, other.shots, other.jobs)
            assert one.usd_high == pytest.approx(other.usd_high)

    def test_what_could_pass_the_cap_is_not_run(self) -> None:
        backend, account = Priced(), Account(Budget(circuits=8))
        executor = Executor(backend, account=account)
        asyncio.run(executor.run((batch(5),)))
        with pytest.raises(
            BudgetExceededError, match=r"the budget is 8 circuits: 5 spent .*, and the next batch needs 4"
        ):
            asyncio.run(executor.run((batch(4),)))
        asyncio.run(executor.run((batch(3),)))
        assert [job.n_rows for job in backend.jobs] == [5, 3]
        assert executor.spent.circuits == executor.tracker.total.circuits == 8

    def test_times_go_to_compiling_and_executing(self) -> None:
        executor = Executor(Priced())
        asyncio.run(executor.run((batch(),)))
        assert {phase["phase"] for phase in executor.tracker.identify_bottlenecks()} == {"compile", "execute"}

    def test_each_executor_counts_for_itself_unless_given_a_tracker(self) -> None:
        one, other = Executor(Priced()), Executor(Priced())
        asyncio.run(one.run((batch(),)))
        assert (one.spent.circuits, other.spent.circuits) == (5, 0)


class TestRefusals:
    @pytest.mark.parametrize(
        ("limits", "message"),
        [({"max_qubits": 1}, "has 2 qubits and backend 'watched' at most 1"), ({"exact": False}, "only samples")],
        ids=["qubits", "shots"],
    )
    def test_nothing_runs_when_one_request_cannot(self, limits: dict[str, Any], message: str) -> None:
        backend = Priced(**limits)
        good = batch(shots=10, circuit=QuantumCircuit(1).ry(0, Parameter("a")).rx(0, Parameter("b")), observables=None)
        with pytest.raises(CapabilityError, match=message):
            run(backend, good, batch())
        assert backend.jobs == []


class TestDriving:
    def test_rounds_are_run_in_turn_and_counted(self) -> None:
        def estimator() -> Rounds:
            (first,) = yield (batch(2),)
            assert first.expectations is not None
            second, third = yield batch(3), batch(4, shots=10)
            assert (second.n_rows, third.n_rows) == (3, 4)
            return GradientResult(first.expectations[0], 0.5, method="mine", metadata={"a": 1}), "next"

        executor = Executor(Priced())
        asyncio.run(executor.run((batch(50),)))  # counted before the step
        result, state = asyncio.run(executor.drive(estimator()))
        assert (result.n_circuit_executions, result.n_shots, result.n_jobs) == (9, 40, 3)
        assert (result.function_value, result.method, result.metadata, state) == (0.5, "mine", {"a": 1}, "next")

    def test_a_step_that_yields_a_batch_alone_is_told_how_to(self) -> None:
        def estimator() -> Rounds:
            yield batch(2)  # type: ignore[misc]
            return GradientResult(np.zeros(2), 0.0), None

        with pytest.raises(ConfigurationError, match="yields tuples of what to run, not a CircuitBatch: write"):
            asyncio.run(Executor(Priced()).drive(estimator()))

    def test_an_estimator_need_not_run_anything(self) -> None:
        def estimator() -> Rounds:
            yield from ()
            return GradientResult(np.zeros(2), 0.0), None

        result, _ = asyncio.run(Executor(Priced()).drive(estimator()))
        assert result.n_circuit_executions == 0

    def test_an_executor_survives_several_event_loops(self) -> None:
        executor = Executor(Priced())
        for _ in range(3):
            asyncio.run(executor.run((batch(),)))
        assert executor.spent.circuits == 15
