"""What the emulator answers over plain HTTP, as the service would."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from emulator_jobs import BELL, Http, body, native, results, submitted
from ionq_batches import Emulate
from qstore_ionq.emulator.process import RunningEmulator


class TestJobs:
    def test_one_shows_itself_as_the_service_does(self, http: Http, running: RunningEmulator) -> None:
        job = submitted(http, running, body(BELL, [], BELL[:1]))
        document = http(running, "GET", f"/jobs/{job}").json()
        assert document["status"] == "completed"
        assert document["failure"] is None
        assert document["metadata"] == {"token": "t"}
        assert len(document["child_job_ids"]) == 3
        assert document["stats"] == {"qubits": 2, "circuits": 3, "gate_counts": {"1q": 2, "2q": 1}}

    def test_ideal_results_are_exact_and_little_endian(self, http: Http, running: RunningEmulator) -> None:
        flipped = [{"gate": "x", "target": 1}]
        first, second = results(http, running, submitted(http, running, body(BELL, flipped)))
        assert first == pytest.approx({"0": 0.5, "3": 0.5})
        assert second == {"2": 1.0}

    def test_a_single_circuit_has_an_address_of_its_own(self, http: Http, running: RunningEmulator) -> None:
        given = {"gateset": "qis", "qubits": 2, "circuit": BELL}
        job = submitted(http, running, body(type="ionq.circuit.v1", input=given))
        assert http(running, "GET", f"/jobs/{job}").json()["child_job_ids"] is None
        assert http(running, "GET", f"/jobs/{job}/results/probabilities").json() == pytest.approx({"0": 0.5, "3": 0.5})
        assert http(running, "GET", f"/jobs/{job}/results/probabilities/aggregated").status_code == 404
        several = submitted(http, running, body())
        assert http(running, "GET", f"/jobs/{several}/results/probabilities").status_code == 404

    def test_machines_sample_with_their_noise(self, http: Http, running: RunningEmulator) -> None:
        """Odd outcomes of a Bell pair within 4.5 standard deviations: a false alarm in 10^5 seeds; ours is fixed."""
        document = body(backend="qpu.forte-1", shots=10_000, settings={"error_mitigation": {"debiasing": False}})
        (found,) = results(http, running, submitted(http, running, document))
        counts = {outcome: value * 10_000 for outcome, value in found.items()}
        assert all(count == pytest.approx(round(count), abs=1e-9) for count in counts.values())
        assert sum(counts.values()) == pytest.approx(10_000)
        wrong = 0.004949 / 2  # a maximally mixed pair is odd half the time; noise after h on |+> does nothing
        assert abs(counts.get("1", 0) + counts.get("2", 0) - 10_000 * wrong) < 4.5 * (10_000 * wrong) ** 0.5

    def test_the_same_job_gives_the_same_shots_and_its_labels_choose_them(
        self, http: Http, running: RunningEmulator
    ) -> None:
        import base64

        def drawn(document: dict[str, Any]) -> list[dict[str, float]]:
            return results(http, running, submitted(http, running, document))

        machine = {"backend": "qpu.aria-1", "shots": 50}
        assert drawn(body(BELL, BELL, **machine)) == drawn(body(BELL, BELL, **machine))
        labels = [base64.b64encode(np.array(pair, dtype="<u8").tobytes()).decode() for pair in ([7, 8], [8, 7])]
        forward, back = (drawn(body(BELL, BELL, metadata={"draws0": label}, **machine)) for label in labels)
        assert forward == back[::-1]
        assert forward[0] != forward[1]
        seeded = [drawn(body(noise={"model": "aria-1", "seed": seed})) for seed in (1, 1, 2)]
        assert seeded[0] == seeded[1] != seeded[2]

    def test_each_machine_has_its_own_native_gates(self, http: Http, running: RunningEmulator) -> None:
        assert http(running, "POST", "/jobs", json=native(backend="qpu.forte-1")).status_code == 201
        assert http(running, "POST", "/jobs", json=native(noise={"model": "forte-1"})).status_code == 201
        assert http(running, "POST", "/jobs", json=native()).status_code == 201
        refused = http(running, "POST", "/jobs", json=native(backend="qpu.aria-1"))
        assert refused.status_code == 400
        assert "native gate set: gpi, gpi2, ms" in refused.json()["message"]

    def test_the_state_follows_from_the_clock(self, http: Http, emulate: Emulate) -> None:
        with emulate(queue=0.6, circuit_seconds=0.3) as slow:
            job = submitted(http, slow, body())
            seen: list[str] = []
            end = time.monotonic() + 30
            while not seen or seen[-1] != "completed":
                assert time.monotonic() < end
                state = http(slow, "GET", f"/jobs/{job}").json()["status"]
                seen += [] if seen and seen[-1] == state else [state]
                time.sleep(0.02)
        assert seen == ["submitted", "ready", "started", "completed"]

    def test_cancelling_and_deleting(self, http: Http, emulate: Emulate) -> None:
        with emulate(queue=600) as slow:
            waiting, deleted = (submitted(http, slow, body(backend="qpu.forte-1")) for _ in range(2))
            assert http(slow, "PUT", f"/jobs/{waiting}/status/cancel").json()["status"] == "canceled"
            assert http(slow, "DELETE", f"/jobs/{deleted}").json()["status"] == "deleted"
            assert http(slow, "GET", f"/jobs/{deleted}").status_code == 404
            assert [entry.charged for entry in slow.ledger()] == [0.0, 0.0]
        with emulate() as quick:
            done = submitted(http, quick, body(backend="qpu.forte-1"))
            http(quick, "GET", f"/jobs/{done}")
            # as the service does: a completed job can be cancelled, and costs what it costs
            assert http(quick, "PUT", f"/jobs/{done}/status/cancel").json()["status"] == "canceled"
            assert http(quick, "GET", f"/jobs/{done}/results/probabilities/aggregated").status_code == 404
            assert quick.ledger()[0].charged == 25.7899


class TestRefusals:
    @pytest.mark.parametrize(
        ("document", "message"),
        [
            ([], "a job is an object, not list"),
            (body(backend="qpu.nope"), "unknown backend: unknown target 'qpu.nope'"),
            (body(noise={"model": "nope"}), "unknown noise_model 'nope'"),
            (body(noise={"model": "harmony"}), "has no published parameters"),
            (body(shots=0), "shots is a whole number of 1 to 10000, not 0"),
            (body(backend="qpu.forte-1", shots=10_001), "shots is a whole number of 1 to 10000"),
            (body(type="nope"), "type is 'ionq.circuit.v1' or"),
            (body(input={"gateset": "nope", "qubits": 1}), "input.gateset is 'qis' or 'native'"),
            (body(input={"gateset": "qis", "qubits": 30, "circuits": []}), "NotEnoughQubits: the circuit has 30"),
            (body(input={"gateset": "qis", "qubits": 29, "circuits": [{"circuit": []}]}), "emulator simulates 20"),
            (body(input={"gateset": "qis", "qubits": 1, "circuits": []}), "are 1 to 5000 circuits"),
            (body(*[[]] * 5001), "are 1 to 5000 circuits"),
            (body(*[[BELL[0]] * 1501] * 100), "TooManyGates: the job has 150100 gates"),
            (body("h"), "a circuit is an object with a list of gates"),
            (body(metadata={str(n): "" for n in range(11)}), "metadata is an object of at most 10 keys"),
            (body(metadata={"long": "x" * 40_001}), "metadata 'long' is text of at most 40000 characters"),
            (
                body(backend="qpu.forte-1", settings={"error_mitigation": {"debiasing": True}}),
                "debiasing needs at least 500 shots",
            ),
        ],
    )
    def test_a_job_that_cannot_be_is_refused_with_the_reason(
        self, document: Any, message: str, http: Http, running: RunningEmulator
    ) -> None:
        before = len(running.ledger())
        answer = http(running, "POST", "/jobs", json=document)
        assert answer.status_code == 400
        assert message in answer.json()["message"]
        assert len(running.ledger()) == before

    def test_a_key_is_always_needed_and_can_be_a_certain_one(
        self, http: Http, running: RunningEmulator, emulate: Emulate
    ) -> None:
        assert requests.get(f"{running.url}/v0.4/jobs", timeout=10).status_code == 401
        with emulate(key="right") as locked:
            assert http(locked, "GET", "/jobs", key="wrong").status_code == 401
            assert http(locked, "GET", "/jobs", key="right").status_code == 200

    def test_what_is_not_there_is_404(self, http: Http, running: RunningEmulator) -> None:
        for path in ("/jobs/nope", "/jobs/nope/cost", "/jobs/nope/results/probabilities", "/nope"):
            assert http(running, "GET", path).status_code == 404
        assert http(running, "POST", "/jobs", data="{").status_code == 400


class TestLists:
    def test_pages_end_with_null(self, http: Http, emulate: Emulate) -> None:
        with emulate(page=2) as process:
            assert http(process, "GET", "/jobs").json() == {"jobs": [], "next": None}
            jobs = [submitted(http, process, body(name=str(number))) for number in range(5)]
            found: list[str] = []
            query: dict[str, Any] = {}
            while query.get("next", "") is not None:
                page = http(process, "GET", "/jobs", params=query).json()
                found += [job["id"] for job in page["jobs"]]
                query = {"next": page["next"]}
            assert found == jobs[::-1]
            assert len(http(process, "GET", "/jobs", params={"limit": 1}).json()["jobs"]) == 1

    def test_they_can_be_narrowed_and_hold_children_when_told_so(self, http: Http, emulate: Emulate) -> None:
        with emulate(list_children=True) as process:
            parent = submitted(http, process, body(BELL, BELL))
            submitted(http, process, body(backend="qpu.forte-1", session_id="s"))
            simulated = http(process, "GET", "/jobs", params={"target": "simulator", "status": "completed"}).json()
            assert [job["parent_job_id"] for job in simulated["jobs"]] == [parent, parent, None]
            assert len(http(process, "GET", "/jobs", params={"session_id": "s"}).json()["jobs"]) == 2

    def test_they_lag(self, http: Http, emulate: Emulate) -> None:
        with emulate(list_lag=600) as process:
            submitted(http, process, body())
            assert http(process, "GET", "/jobs").json()["jobs"] == []
            assert len(process.ledger()) == 1


class TestPrices:
    GATES = np.array([[1, 1]])

    @pytest.mark.parametrize(("minimum", "usd"), [("per_job", 25.7899), ("per_circuit", 2 * 25.7899)])
    def test_the_minimum_is_charged_as_it_is_read(self, minimum: str, usd: float, http: Http, emulate: Emulate) -> None:
        with emulate(minimum=minimum) as process:
            job = submitted(http, process, body(BELL, BELL, backend="qpu.forte-1"))
            cost = http(process, "GET", f"/jobs/{job}/cost").json()
            assert cost["cost"] == {"value": pytest.approx(usd), "unit": "usd"}
            assert process.charged() == pytest.approx(usd)

    def test_above_it_gates_times_shots_are(self, http: Http, running: RunningEmulator) -> None:
        document = body(
            BELL * 20, backend="qpu.forte-1", shots=10_000, settings={"error_mitigation": {"debiasing": False}}
        )
        job = submitted(http, running, document)
        cost = http(running, "GET", f"/jobs/{job}/cost").json()
        assert cost["cost"]["value"] == pytest.approx(20 * 10_000 * (0.0001645 + 0.001121))

    def test_debiasing_raises_it_and_is_on_by_default_from_500_shots(
        self, http: Http, running: RunningEmulator
    ) -> None:
        def cost(**changes: Any) -> float:
            job = submitted(http, running, body(backend="qpu.aria-1", **changes))
            return float(http(running, "GET", f"/jobs/{job}/cost").json()["cost"]["value"])

        off = {"error_mitigation": {"debiasing": False}}
        assert cost(shots=499) == 12.4166
        assert cost(shots=500) == 97.5
        assert cost(shots=500, settings=off) == 12.4166

    def test_the_simulator_is_free_and_says_nothing_of_money(self, http: Http, running: RunningEmulator) -> None:
        job = submitted(http, running, body())
        assert http(running, "GET", f"/jobs/{job}/cost").json() == {"dry_run": False}

    def test_an_estimate_has_the_rates(self, http: Http, running: RunningEmulator) -> None:
        asked = {"backend": "qpu.forte-1", "shots": 1000, "qubits": 4, "1q_gates": 10, "2q_gates": 40}
        answer = http(running, "GET", "/jobs/estimate", params=asked).json()
        assert answer["estimated_total_cost"] == pytest.approx(1000 * (10 * 0.0001645 + 40 * 0.001121))
        (rates,) = answer["rate_card"]["rates"]
        assert (rates["cost_1q_gate"], rates["job_cost_minimum"]) == (0.0001645, 25.7899)
        mitigated = http(running, "GET", "/jobs/estimate", params={**asked, "error_mitigation": "true"}).json()
        assert mitigated["estimated_total_cost"] == 168.195
        for wrong in ({"backend": "nope"}, {**asked, "shots": "many"}):
            assert http(running, "GET", "/jobs/estimate", params=wrong).status_code == 400

    def test_a_table_of_prices_can_be_given(self, http: Http, tmp_path: Path, emulate: Emulate) -> None:
        mine = tmp_path / "mine.toml"
        mine.write_text('[targets."qpu.forte-1".prices]\nminimum = 1.5\n')
        with emulate(prices=mine) as process:
            submitted(http, process, body(backend="qpu.forte-1"))
            assert process.charged() == 1.5


class TestFaults:
    ANSWERS = (
        ("rate-limit", 429, False),
        ("unavailable", 503, False),
        ("server-error", 500, False),
        ("gateway-timeout", 504, False),
        ("error-after-accept", 500, True),
        ("timeout-after-accept", 504, True),
    )

    def test_each_answers_so_and_is_accepted_or_not(self, http: Http, emulate: Emulate) -> None:
        forced = [f"{name}:{number}" for number, (name, _, _) in enumerate(self.ANSWERS, 1)]
        with emulate(force=forced, retry_after=2.5) as process:
            for name, status, _ in self.ANSWERS:
                answer = http(process, "POST", "/jobs", json=body(name=name))
                assert answer.status_code == status
                assert answer.headers.get("Retry-After") == ("2.5" if status in (429, 503) else None)
            assert [entry.name for entry in process.ledger()] == [name for name, _, kept in self.ANSWERS if kept]
            assert process.requests()["faults"] == dict.fromkeys((name for name, _, _ in self.ANSWERS), 1)

    @pytest.mark.parametrize(("name", "accepted"), [("drop", False), ("drop-after-accept", True)])
    def test_a_connection_is_closed(self, name: str, accepted: bool, http: Http, emulate: Emulate) -> None:
        with emulate(force=[f"{name}:1"]) as process:
            with pytest.raises(requests.ConnectionError):
                http(process, "POST", "/jobs", json=body())
            assert bool(process.ledger()) == accepted

    def test_silence_ends_when_the_emulator_stops(self, emulate: Emulate) -> None:
        with emulate(force=["silence:1"], silence=600) as process:
            with pytest.raises(requests.ReadTimeout):
                requests.post(f"{process.url}/v0.4/jobs", json=body(), timeout=0.5)
            begin = time.monotonic()
            process.stop()
            assert time.monotonic() - begin < 9  # after 10 seconds it would have been killed

    def test_jobs_end_badly_and_for_nothing(self, http: Http, emulate: Emulate) -> None:
        with emulate(force=["job-fails:1", "job-cancelled:2", "late-results:3"], late=600) as process:
            failed, canceled, late = (submitted(http, process, body(backend="qpu.forte-1")) for _ in range(3))
            document = http(process, "GET", f"/jobs/{failed}").json()
            assert document["status"] == "failed"
            assert document["failure"] == {"code": "QuantumComputerError", "message": "injected: calibration lost"}
            assert http(process, "GET", f"/jobs/{canceled}").json()["status"] == "canceled"
            assert http(process, "GET", f"/jobs/{late}").json()["status"] == "completed"
            assert http(process, "GET", f"/jobs/{late}/results/probabilities/aggregated").status_code == 404
            assert [entry.charged for entry in process.ledger()] == [0.0, 0.0, 25.7899]
