"""What the service answers is looked at before it is believed: histograms, ids, readouts and states."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ionq_batches import Connect, Emulate, compiled, simple
from qstore_ionq.answers import amount
from qstore_ionq.backend import IonQBackend
from qstore_ionq.emulator.process import RunningEmulator

from qstore_core import get_backend
from qstore_core.backend import JobState, Pacing
from qstore_core.batch import BatchResult
from qstore_core.errors import AmbiguousError, BackendError
from qstore_core.executor import Executor

HALF = {"0": 0.5, "3": 0.5}
KINDS = [("simulator", None), ("simulator", 100), ("qpu", 100)]
IMPATIENT = Pacing(first_poll=0.01, longest_poll=0.02, find_grace=0.1, request_patience=0.3, first_retry=0.01)


def fetched(histogram: Any, kind: str = "simulator", shots: int | None = None, **document: Any) -> BatchResult:
    """The result of two circuits on two qubits, both with this histogram, of a job with this in its document."""
    backend = get_backend(f"ionq.{kind}", api_key="k")
    assert isinstance(backend, IonQBackend)
    shown = {"status": "completed", "child_job_ids": ["a", "b"], "metadata": {"readout": "[[[0,1]]]"}} | document
    batch = simple(2, shots=shots)
    client: Any = backend._client
    client.job = lambda job_id: shown
    client.results = lambda job_id, sharpen=None: {"a": histogram, "b": histogram}
    (result,) = asyncio.run(backend.fetch("job-7", [batch], compiled(backend, batch)))
    return result


class TestHistograms:
    @pytest.mark.parametrize(("kind", "shots"), KINDS)
    @pytest.mark.parametrize(
        ("histogram", "said"),
        [
            ({"0": 0.15, "3": 0.15}, r"its probabilities sum to 0\.3, not to 1"),
            ({"0": 0.5, "3": 0.502}, r"its probabilities sum to 1\.002, not to 1"),
            ({"0": 60, "3": 40}, "'60' is no probability of the outcome 0"),
            ({"8": 1.0}, "'8' is no outcome of 2 qubits, a decimal number below 4"),
            ({"4": 1.0}, "'4' is no outcome of 2 qubits"),
            ({"9" * 99: 1.0}, "'99.*' is no outcome of 2 qubits"),
            ({"abc": 1.0}, "'abc' is no outcome"),
            ({"-1": 1.0}, "'-1' is no outcome"),
            ({"01": 1.0}, "'01' is no outcome"),  # a text of bits, as the service's newer formats have
            ({"²": 1.0}, "'²' is no outcome"),
            ({"": 1.0}, "'' is no outcome"),
            ([0.5, 0.0, 0.0, 0.5], r"'\[0\.5, 0\.0, 0\.0, 0\.5\]' is no mapping from outcomes to probabilities"),
            ({"0": None, "1": 1.0}, "'None' is no probability of the outcome 0"),
            ({"0": float("nan"), "1": 1.0}, "'nan' is no probability of the outcome 0"),
            ({"0": float("inf")}, "'inf' is no probability"),
            ({"0": -1.0, "1": 2.0}, r"'-1\.0' is no probability"),
            ({"0": "0.5", "3": "0.5"}, r"'0\.5' is no probability"),
            ({"0": True}, "'True' is no probability"),
            ({"0": [1.0]}, r"'\[1\.0\]' is no probability"),
            ({"0": 10**320}, "'1000.* is no probability"),
        ],
    )
    def test_a_malformed_one_names_its_job_and_circuit(
        self, histogram: Any, said: str, kind: str, shots: int | None
    ) -> None:
        with pytest.raises(BackendError, match=f"^job job-7, circuit a: {said}.*; nothing of it was used") as caught:
            fetched(histogram, kind, shots)
        assert len(str(caught.value)) < 400

    @pytest.mark.parametrize("off", [0.0, -1e-9, 1e-5, -9e-4, 9e-4])
    def test_rounded_probabilities_are_taken(self, off: float) -> None:
        rounded = {"0": 0.5, "3": 0.5 + off}
        for kind, shots in KINDS[1:]:
            result = fetched(rounded, kind, shots)
            assert result.counts is not None
            assert result.counts[0].totals.tolist() == [100, 100]
        np.testing.assert_allclose(fetched(rounded).expectations, np.zeros((2, 2)), atol=1e-3)

    def test_exact_ones_are_scaled_to_a_sum_of_one(self) -> None:
        """A sum of 1.0005 would be an expectation value of 1.0005, which cannot be."""
        np.testing.assert_allclose(fetched({"0": 1.0005}).expectations, np.ones((2, 2)), atol=1e-12)

    def test_whole_numbers_and_dust_below_nothing_are_probabilities(self) -> None:
        np.testing.assert_allclose(fetched({"0": 1, "1": 0}).expectations, np.ones((2, 2)))
        result = fetched({"0": 1.0 + 1e-15, "1": -1e-17}, shots=50)
        assert result.counts is not None
        assert result.counts[0].to_dicts() == [{"00": 50}] * 2


class TestCircuits:
    @pytest.mark.parametrize(
        ("children", "said"),
        [
            (["a", "a"], "its child_job_ids hold 'a' more than once"),
            ({"a": 1, "b": 2}, "its child_job_ids are .* no list of ids"),
            ([["a"], ["b"]], "its child_job_ids are .* no list of ids"),
            (7, "its child_job_ids are '7', no list of ids"),
            (None, "has results of 0 circuits, and 2 were sent"),
            (["a", "c"], "has results of 1 circuits, and 2 were sent"),
        ],
    )
    def test_each_has_an_id_of_its_own(self, children: Any, said: str) -> None:
        with pytest.raises(BackendError, match=f"^job job-7:? {said}"):
            fetched(HALF, child_job_ids=children)

    @pytest.mark.parametrize("qubits", [[70, 71], [0, 2], [-1, 0], [1, 1]])
    def test_bits_are_at_qubits_that_there_are(self, qubits: list[int]) -> None:
        for kind, shots in KINDS:
            with pytest.raises(BackendError, match=r"^job job-7: its metadata says .* from 0 to 1; nothing"):
                fetched(HALF, kind, shots, metadata={"readout": json.dumps([[qubits]])})

    @pytest.mark.parametrize("readout", ["[[[0.5,1.5]]]", '[[["0","1"]]]', "[[7]]", "{", "null", 5])
    def test_bits_are_at_whole_numbers(self, readout: Any) -> None:
        with pytest.raises(BackendError, match=r"^job job-7 was not sent by qstore"):
            fetched(HALF, metadata={"readout": readout})


class TestStatus:
    @pytest.mark.parametrize("document", [{}, {"status": None}, {"status": ""}, {"status": {"a": 1}}, {"status": 3}])
    def test_a_document_without_one_is_asked_for_again_and_then_an_error(
        self, document: Mapping[str, Any], running: RunningEmulator, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        backend = connect(running, pacing=IMPATIENT)
        asked: list[str] = []

        def job(job_id: str) -> Mapping[str, Any]:
            asked.append(job_id)
            return document

        monkeypatch.setattr(backend._client, "job", job)
        with pytest.raises(AmbiguousError, match=r"^job j: IonQ answered a document whose status is .*, which is none"):
            asyncio.run(backend.status("j"))
        asked.clear()
        with pytest.raises(BackendError, match="resuming asks for it again"):
            asyncio.run(asyncio.wait_for(Executor(backend).run((simple(),)), 20))
        assert len(asked) > 2

    def test_one_that_lags_does_no_harm(
        self, emulate: Emulate, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with emulate() as process:
            backend = connect(process, pacing=replace(IMPATIENT, request_patience=20.0))
            real, lag = backend._client.job, [{}, {}, {}]
            monkeypatch.setattr(backend._client, "job", lambda job_id: lag.pop() if lag else real(job_id))
            (result,) = asyncio.run(Executor(backend).run((simple(),)))
            assert result.n_rows == 3
            assert asyncio.run(backend.status(process.ledger()[0].id)).state is JobState.DONE


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.01, "n/a", [1], {}, None, True, 10**320])
def test_an_amount_is_finite_and_not_negative(value: object) -> None:
    with pytest.raises(ValueError, match="is not a number of at least 0"):
        amount(value)
    assert (amount(0), amount("25.79")) == (0.0, 25.79)
