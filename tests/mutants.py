"""Plugins that are wrong on purpose, each in one way; `caught_by` names the check of the suite that must say so."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from qstore_postbox.backend import PostboxBackend

from qstore_core.arrays import FloatArray
from qstore_core.backend import BackendCapabilities, JobState, JobStatus
from qstore_core.batch import BatchResult, CircuitBatch, Cotangents
from qstore_core.cost import Cost
from qstore_core.counts import Counts
from qstore_core.errors import CapabilityError
from qstore_core.observables import MeasurementGroup
from qstore_core.operations import CircuitStructure
from qstore_core.sampling import sample
from qstore_core.testing import ReferenceBackend, reference

LOCAL: dict[str, type[ReferenceBackend]] = {}
REMOTE: dict[str, type[PostboxBackend]] = {}


class Mutant(ReferenceBackend):
    """A simulator with a fault."""

    caught_by: ClassVar[str]
    fingerprint = "mutant"

    def __init_subclass__(cls) -> None:
        LOCAL[cls.__name__] = cls


class WrongBitOrder(Mutant):
    caught_by = "test_qubit_0_is_the_leftmost_bit"

    def probabilities(self, structure: CircuitStructure, angles: FloatArray) -> FloatArray:
        table = super().probabilities(structure, angles)
        return table.reshape((2,) * structure.n_qubits).T.reshape(-1)


class TransposedGate(Mutant):
    caught_by = "test_every_declared_gate_is_the_one_of_that_name"

    def probabilities(self, structure: CircuitStructure, angles: FloatArray) -> FloatArray:
        gates = tuple((name, qubits[::-1] if name == "crx" else qubits) for name, qubits in structure.gates)
        return super().probabilities(replace(structure, gates=gates), angles)


class WrongAngleSign(Mutant):
    caught_by = "test_angles_have_their_sign_and_their_scale"

    def probabilities(self, structure: CircuitStructure, angles: FloatArray) -> FloatArray:
        return super().probabilities(structure, -angles)


class HalvedAngles(Mutant):
    caught_by = "test_angles_have_their_sign_and_their_scale"

    def probabilities(self, structure: CircuitStructure, angles: FloatArray) -> FloatArray:
        return super().probabilities(structure, angles / 2)


class LostRows(Mutant):
    caught_by = "test_rows_come_back_whole_and_in_their_order"

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        return await super().execute(batch.rows(0, min(batch.n_rows, 20)), compiled)


class ReorderedRows(Mutant):
    caught_by = "test_rows_come_back_whole_and_in_their_order"

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        return await super().execute(batch.take(np.argsort(-batch.angles[:, -1])), compiled)


class ReusedNoise(Mutant):
    caught_by = "test_shots_are_spread_like_independent_ones"

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        draws = None if batch.draws is None else np.full_like(batch.draws, batch.draws[0])
        return await super().execute(replace(batch, draws=draws), compiled)


class OneNoiseForAllBases(Mutant):
    caught_by = "test_bases_of_one_row_have_noise_of_their_own"

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        if batch.shots is None or batch.draws is None or not batch.groups:
            return await super().execute(batch, compiled)
        tables = zip(self.tables(batch, compiled), batch.groups, strict=True)
        return BatchResult(
            counts=tuple(sample(table, batch.shots, batch.draws, len(group.basis)) for table, group in tables)
        )


class NoNoiseAtAll(Mutant):
    """Rounds the expected counts: a sampled result without sampling."""

    caught_by = "test_shots_are_spread_like_independent_ones"

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        if batch.shots is None or not batch.groups:
            return await super().execute(batch, compiled)
        return BatchResult(counts=tuple(rounded(table, batch.shots) for table in self.tables(batch, compiled)))


def rounded(table: FloatArray, shots: int) -> Counts:
    expected = np.floor(table * shots + 1e-9).astype(np.int64)
    expected[np.arange(len(table)), table.argmax(axis=1)] += shots - expected.sum(axis=1)
    return Counts.from_table(expected)


class OffByOneShots(Mutant):
    caught_by = "test_every_row_has_exactly_the_shots_asked_for"

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        shots = None if batch.shots is None else max(1, batch.shots - 1)
        return await super().execute(replace(batch, shots=shots), compiled)


class IgnoredSeed(Mutant):
    caught_by = "test_equal_labels_give_equal_outcomes"
    _count = itertools.count()

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        draws = None if batch.draws is None else batch.draws + np.uint64(next(self._count))
        return await super().execute(replace(batch, draws=draws), compiled)


class SeededByPlace(Mutant):
    caught_by = "test_the_label_decides_and_not_the_place"

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        draws = None if batch.draws is None else np.arange(batch.n_rows, dtype=np.uint64)
        return await super().execute(replace(batch, draws=draws), compiled)


class SwallowedError(Mutant):
    caught_by = "test_what_it_cannot_do_is_refused"

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        try:
            return await super().execute(batch, compiled)
        except Exception:
            return BatchResult(expectations=np.zeros((batch.n_rows, len(batch.observables or ()))))


class StateLeaksBetweenBatches(Mutant):
    caught_by = "test_a_batch_leaves_nothing_behind"

    def __init__(self) -> None:
        self._seen: dict[Any, BatchResult] = {}

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        key = (batch.structure, batch.groups, batch.n_rows, batch.shots)
        if key not in self._seen:
            self._seen[key] = await super().execute(batch, compiled)
        return self._seen[key]


class WrongBasis(Mutant):
    caught_by = "test_observables_are_read_in_their_own_bases"

    def compile(self, structure: CircuitStructure, groups: tuple[MeasurementGroup, ...]) -> Any:
        swapped = {"Y": "X", "X": "Y", "Z": "Z"}
        turned = (
            MeasurementGroup(tuple((qubit, swapped[letter]) for qubit, letter in group.basis)) for group in groups
        )
        return super().compile(structure, tuple(turned))


class ForgottenConstants(Mutant):
    caught_by = "test_observables_are_read_in_their_own_bases"

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        result = await super().execute(batch, compiled)
        if result.expectations is None or batch.plan is None:
            return result
        return BatchResult(expectations=result.expectations - batch.plan.constants)


class KeepsTheLastProgram(Mutant):
    caught_by = "test_compiling_something_else_in_between_changes_nothing"

    def compile(self, structure: CircuitStructure, groups: tuple[MeasurementGroup, ...]) -> Any:
        self._last = super().compile(structure, groups)
        return self._last

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        return await super().execute(batch, self._last)


class MixesCalls(Mutant):
    caught_by = "test_calls_at_once_do_not_mix"

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        self._batch = batch
        await asyncio.sleep(0)
        return await super().execute(self._batch, compiled)


class BoundToALoop(Mutant):
    caught_by = "test_it_lives_through_several_event_loops"
    _loop: Any = None

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        self._loop = self._loop or asyncio.get_running_loop()
        if self._loop is not asyncio.get_running_loop():
            raise RuntimeError("got Future attached to a different loop")
        return await super().execute(batch, compiled)


class CountsRowsAsJobs(Mutant):
    caught_by = "test_prices_count_what_is_run"

    def price(self, compiled: Any, batch: CircuitBatch) -> Cost:
        return Cost(circuits=batch.n_circuits, shots=batch.n_shots, jobs=batch.n_rows)


class CheaperByTheDozen(Mutant):
    caught_by = "test_prices_grow_with_the_work"

    def price(self, compiled: Any, batch: CircuitBatch) -> Cost:
        return replace(super().price(compiled, batch), usd_high=1.0 / batch.n_rows)


class AnotherFingerprintEachTime(Mutant):
    caught_by = "test_it_says_what_it_is"
    _count = itertools.count()

    def __init__(self) -> None:
        self.fingerprint = f"mutant({next(self._count)})"


class PretendsToDifferentiate(Mutant):
    caught_by = "test_adjoint_gradients_are_the_derivatives"
    capabilities = BackendCapabilities(max_qubits=12, adjoint=True)

    async def gradient(self, batch: CircuitBatch, compiled: Any, cotangents: FloatArray) -> FloatArray:
        return np.zeros_like(batch.angles)


class AsksForCotangentsRowByRow(Mutant):
    caught_by = "test_values_come_with_the_gradients_made_of_them"
    capabilities = BackendCapabilities(max_qubits=12, adjoint=True)

    async def gradient(self, batch: CircuitBatch, compiled: Any, cotangents: FloatArray) -> FloatArray:
        found, step = np.empty_like(batch.angles), 1e-5
        for column in range(batch.angles.shape[1]):
            move = step * np.eye(batch.angles.shape[1])[column]
            above, below = (reference.expectations(replace(batch, angles=batch.angles + m)) for m in (move, -move))
            found[:, column] = np.sum(cotangents * (above - below), axis=1) / (2 * step)
        return found

    async def value_and_gradient(self, batch: CircuitBatch, compiled: Any, cotangents: Cotangents) -> BatchResult:
        whole = super().value_and_gradient
        rows = [batch.rows(row, row + 1) for row in range(batch.n_rows)]
        return BatchResult.concatenate([await whole(row, compiled, cotangents) for row in rows])


class RefusesInItsOwnWords(Mutant):
    caught_by = "test_what_it_cannot_do_is_refused"

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        try:
            return await super().execute(batch, compiled)
        except CapabilityError as error:
            raise KeyError("n_qubits") from error


class WrongOnlyInTheWholeRegister(Mutant):
    caught_by = "test_the_whole_register_is_read_where_there_are_no_observables"

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        result = await super().execute(batch, compiled)
        if batch.observables is not None or result.probabilities is None:
            return result
        return BatchResult(probabilities=(np.sort(result.probabilities[0], axis=1),))


class CountsMoreBits(Mutant):
    caught_by = "test_every_row_has_exactly_the_shots_asked_for"

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        result = await super().execute(batch, compiled)
        if result.counts is None:
            return result
        return BatchResult(counts=tuple(replace(counts, n_bits=counts.n_bits + 1) for counts in result.counts))


class ProbabilitiesAreNoNumbers(Mutant):
    caught_by = "test_the_whole_register_is_read_where_there_are_no_observables"

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        result = await super().execute(batch, compiled)
        if result.probabilities is None:
            return result
        return BatchResult(probabilities=tuple(np.full_like(table, np.nan) for table in result.probabilities))


class RemoteMutant(PostboxBackend):
    """Jobs with a fault."""

    caught_by: ClassVar[str]

    def __init_subclass__(cls) -> None:
        REMOTE[cls.__name__] = cls


class FetchNeedsTheSubmit(RemoteMutant):
    caught_by = "test_results_are_fetched_in_a_fresh_process"
    _sent: ClassVar[dict[str, int]] = {}

    async def submit(self, batches: Sequence[CircuitBatch], compiled: Sequence[Any], token: str) -> str:
        job_id: str = await super().submit(batches, compiled, token)
        self._sent[job_id] = len(batches)
        return job_id

    async def fetch(self, job_id: str, batches: Sequence[CircuitBatch], compiled: Sequence[Any]) -> Any:
        return (await super().fetch(job_id, batches, compiled))[: self._sent[job_id]]


class FindsTheLastJob(RemoteMutant):
    caught_by = "test_an_unknown_token_is_no_job"

    async def find(self, token: str) -> str | None:
        paths = sorted(self._provider.folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
        return paths[-1].stem if paths else "none-yet"


class FindsNothing(RemoteMutant):
    caught_by = "test_a_job_is_found_by_its_token"

    async def find(self, token: str) -> str | None:
        return None


class SwapsBatches(RemoteMutant):
    caught_by = "test_batches_of_several_structures_keep_apart"

    async def submit(self, batches: Sequence[CircuitBatch], compiled: Sequence[Any], token: str) -> str:
        job_id: str = await super().submit(tuple(reversed(batches)), compiled, token)
        return job_id


class ChargesMoreThanItSaid(RemoteMutant):
    caught_by = "test_a_job_costs_no_more_than_was_said"

    async def cost(self, job_id: str) -> Cost | None:
        said = await super().cost(job_id)
        return None if said is None else replace(said, usd_high=2 * said.usd_high)


class SubmitsOnce(RemoteMutant):
    caught_by = "test_each_submit_is_a_job_of_its_own"
    _known: ClassVar[dict[Any, str]] = {}

    async def submit(self, batches: Sequence[CircuitBatch], compiled: Sequence[Any], token: str) -> str:
        key = tuple(batch.angles.tobytes() for batch in batches)
        if key not in self._known:
            self._known[key] = await super().submit(batches, compiled, token)
        return self._known[key]


class CancelledCountsAsFailed(RemoteMutant):
    caught_by = "test_a_job_can_be_cancelled"

    async def status(self, job_id: str) -> JobStatus:
        status = await super().status(job_id)
        return JobStatus(JobState.FAILED, "gone") if status.state is JobState.CANCELLED else status


class AnswersForUnknownJobs(RemoteMutant):
    caught_by = "test_an_unknown_job_is_an_error"

    async def status(self, job_id: str) -> JobStatus:
        try:
            return await super().status(job_id)
        except Exception:
            return JobStatus(JobState.QUEUED)


class LostRowsOfAJob(RemoteMutant):
    caught_by = "test_rows_come_back_whole_and_in_their_order"

    async def fetch(self, job_id: str, batches: Sequence[CircuitBatch], compiled: Sequence[Any]) -> Any:
        short = [batch.rows(0, max(1, batch.n_rows - 1)) for batch in batches]
        return await super().fetch(job_id, short, compiled)
