"""The provider: what it answers over HTTP, and how it does not."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any, ClassVar

from aiohttp import web

from qstore_core.backend import JobState
from qstore_core.batch import CircuitBatch
from qstore_core.errors import CircuitError
from qstore_core.testing.provider.faults import Encounter, Fault
from qstore_core.testing.provider.refusal import RefusedError
from qstore_core.testing.provider.server import JobService
from qstore_mock.backend import MockBackend
from qstore_mock.remote.ledger import Ledger, LedgerEntry, NewJob
from qstore_mock.remote.options import ProviderOptions
from qstore_mock.remote.wire import batches_from_json, circuit_digests, results_to_json

_FATES: dict[Fault | None, tuple[JobState, str]] = {
    Fault.JOB_FAILS: (JobState.FAILED, "injected: calibration lost"),
    Fault.JOB_CANCELLED: (JobState.CANCELLED, "injected: cancelled by the provider"),
}


class Provider(JobService):
    """One provider: its ledger, its simulator and its faults.

    Args:
        options: How it behaves.
    """

    open_books: ClassVar[bool] = False

    def __init__(self, options: ProviderOptions) -> None:
        self.options = options
        self.ledger = Ledger(options.ledger)
        super().__init__(options, self.ledger, options.timing.latency)
        self.backend = MockBackend(depolarizing=options.depolarizing, readout_error=options.readout_error)
        widest = min(options.limits.max_qubits, self.backend.capabilities.max_qubits)
        self.limits = replace(options.limits, max_qubits=widest)

    def routes(self) -> Iterable[web.RouteDef]:
        """What clients ask for."""
        return (
            web.get("/capabilities", self.plain(self._capabilities)),
            web.post("/jobs", self.faulty("submit", self._submit)),
            web.get("/jobs", self.faulty("find", self._find)),
            web.get("/jobs/{id}", self.faulty("status", self._status)),
            web.get("/jobs/{id}/results", self.faulty("results", self._results)),
            web.get("/jobs/{id}/cost", self.faulty("cost", self._cost)),
            web.post("/jobs/{id}/cancel", self.faulty("cancel", self._cancel)),
        )

    def check_key(self, request: web.Request) -> None:
        """The provider's own key, as a bearer token, where it has one."""
        key = self.options.key
        given = request.headers.get("Authorization", "")
        if key is not None and not hmac.compare_digest(given.encode(), f"Bearer {key}".encode()):
            raise RefusedError(401, "this provider needs its key" if not given else "this is not the provider's key")

    async def _capabilities(self, _: web.Request, __: Encounter) -> web.Response:
        options = self.options
        return web.json_response(
            {
                "identity": self.backend.fingerprint,
                "account": self.ledger.account,
                "noisy": self.backend.capabilities.noisy,
                "limits": asdict(self.limits),
                "prices": asdict(options.prices),
                "timing": asdict(options.timing),
                "time_scale": options.time_scale,
            }
        )

    async def _submit(self, request: web.Request, met: Encounter) -> web.Response:
        token, document, batches = await _job_of(request)
        self._check_limits(batches)
        circuits, shots = sum(batch.n_circuits for batch in batches), sum(batch.n_shots for batch in batches)
        options, prices = self.options, self.options.prices
        charged = prices.low if options.charge == "low" else prices.high
        fate, reason = _FATES.get(met.fault, (JobState.DONE, ""))
        job_id = self.ledger.accept(
            NewJob(
                token=token,
                batches=document,
                circuits=circuits,
                shots=shots,
                usd=charged.usd(circuits, shots),
                seconds=circuits * options.timing.per_circuit,
                queue=options.timing.queue,
                late=options.timing.late if met.fault is Fault.LATE_RESULTS else 0.0,
                fate=fate,
                reason=reason,
                digests=[digest for batch in batches for digest in circuit_digests(batch)],
            )
        )
        await self.pause(token, met.number)
        return web.json_response({"id": job_id}, status=201)

    def _check_limits(self, batches: Sequence[CircuitBatch]) -> None:
        limits = self.limits
        widest = max(batch.structure.n_qubits for batch in batches)
        if widest > limits.max_qubits:
            raise RefusedError(422, f"a circuit has {widest} qubits; at most {limits.max_qubits} are allowed")
        circuits = sum(batch.n_circuits for batch in batches)
        if limits.max_circuits is not None and circuits > limits.max_circuits:
            raise RefusedError(422, f"the job has {circuits} circuits; at most {limits.max_circuits} are allowed")
        shots = max(batch.shots or 0 for batch in batches)
        if limits.max_shots is not None and shots > limits.max_shots:
            raise RefusedError(422, f"a circuit has {shots} shots; at most {limits.max_shots} are allowed")

    async def _find(self, request: web.Request, _: Encounter) -> web.Response:
        token = request.query.get("token")
        if not token:
            raise RefusedError(400, "say which jobs: /jobs?token=...")
        ids = self.ledger.find(token, lag=self.options.timing.find_lag)
        return web.json_response({"jobs": [{"id": job_id} for job_id in ids]})

    async def _status(self, request: web.Request, _: Encounter) -> web.Response:
        entry = self._entry(request)
        return web.json_response({"id": entry.id, "state": entry.state, "reason": entry.reason})

    async def _results(self, request: web.Request, _: Encounter) -> web.Response:
        entry = self._entry(request)
        if entry.state in ("failed", "cancelled"):
            raise RefusedError(410, f"the job {entry.state}: {entry.reason}")
        if entry.state != "done" or time.time() < entry.results_at:
            raise RefusedError(409, f"the results are not there yet; the job is {entry.state}")
        stored = self.ledger.results(entry.id)
        if stored is None:
            batches = batches_from_json(self.ledger.batches(entry.id))
            # in a thread, so that others are answered meanwhile; computing the same twice gives the same
            stored = await asyncio.to_thread(self._compute, batches)
            self.ledger.keep_results(entry.id, stored)
        return web.Response(body=stored, content_type="application/json")

    async def _cost(self, request: web.Request, _: Encounter) -> web.Response:
        entry = self._entry(request)
        ran = entry.state == "done" or (
            entry.state == "cancelled" and entry.ended is not None and entry.ended > entry.starts
        )
        work = (entry.circuits, entry.shots, entry.seconds) if ran else (0, 0, 0.0)
        circuits, shots, seconds = work
        return web.json_response({"usd": entry.charged, "circuits": circuits, "shots": shots, "seconds": seconds})

    async def _cancel(self, request: web.Request, met: Encounter) -> web.Response:
        self.ledger.cancel(self._entry(request).id)
        return await self._status(request, met)

    def _entry(self, request: web.Request) -> LedgerEntry:
        entry = self.ledger.entry(request.match_info["id"])
        if entry is None:
            raise RefusedError(404, f"no job {request.match_info['id']!r}")
        return entry

    def _compute(self, batches: Sequence[CircuitBatch]) -> bytes:
        results = [asyncio.run(self._execute(batch)) for batch in batches]
        return json.dumps({"results": results_to_json(results)}).encode()

    async def _execute(self, batch: CircuitBatch) -> Any:
        return await self.backend.execute(batch, self.backend.compile(batch.structure, batch.groups))


async def _job_of(request: web.Request) -> tuple[str, Any, tuple[CircuitBatch, ...]]:
    """The token, the batches as they came, and the batches of a submit."""
    try:
        document = await request.json()
    except ValueError as error:
        raise RefusedError(400, f"this is not JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("token"), str) or not document["token"]:
        raise RefusedError(400, "a job is an object with a token")
    try:
        batches = batches_from_json(document.get("batches"))
    except CircuitError as error:
        raise RefusedError(400, str(error)) from error
    if not batches:
        raise RefusedError(400, "a job needs at least one batch")
    return document["token"], document["batches"], batches
