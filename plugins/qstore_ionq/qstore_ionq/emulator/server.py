"""The emulator: what it answers over HTTP, and how it does not."""

from __future__ import annotations

import asyncio
import hmac
import json
import random
import time
from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import web

from qstore_core.testing.provider.faults import Encounter, Fault
from qstore_core.testing.provider.refusal import RefusedError
from qstore_core.testing.provider.server import JobService
from qstore_ionq.emulator import documents
from qstore_ionq.emulator.ledger import CANCELED, COMPLETED, FAILED, Ledger, LedgerEntry, NewJob
from qstore_ionq.emulator.options import EmulatorOptions
from qstore_ionq.emulator.quotes import price_of, quote
from qstore_ionq.emulator.request import MULTI, JobRequest, read_job
from qstore_ionq.emulator.results import histograms
from qstore_ionq.targets import TargetTable

_FATES: dict[Fault | None, tuple[str, str]] = {
    Fault.JOB_FAILS: (FAILED, "injected: calibration lost"),
    Fault.JOB_CANCELLED: (CANCELED, "injected: canceled by the service"),
}


class Emulator(JobService):
    """One emulator: its ledger, its faults and its answers.

    Args:
        options: How it behaves.
    """

    def __init__(self, options: EmulatorOptions) -> None:
        self.options = options
        self.table = TargetTable.load(options.prices)
        self.ledger = Ledger(options.ledger)
        super().__init__(options, self.ledger, options.timing.latency)

    def routes(self) -> Iterable[web.RouteDef]:
        """IonQ's API, which lies below /v0.4."""
        faulty, jobs = self.faulty, "/v0.4/jobs"
        results = f"{jobs}/{{id}}/results/probabilities"
        return (
            web.get("/v0.4/backends", self.plain(self._backends)),
            web.get(f"{jobs}/estimate", faulty("estimate", self._estimate)),
            web.post(jobs, faulty("submit", self._submit)),
            web.get(jobs, faulty("list", self._list)),
            web.get(f"{jobs}/{{id}}", faulty("status", self._job)),
            web.delete(f"{jobs}/{{id}}", faulty("cancel", self._delete)),
            web.put(f"{jobs}/{{id}}/status/cancel", faulty("cancel", self._cancel)),
            web.get(f"{jobs}/{{id}}/cost", faulty("cost", self._cost)),
            web.get(results, faulty("results", self._results)),
            web.get(f"{results}/aggregated", faulty("results", self._aggregated)),
        )

    def check_key(self, request: web.Request) -> None:
        """An API key, as the service takes it: any, unless the emulator was given one."""
        given, key = request.headers.get("Authorization", ""), self.options.key
        if not given.startswith("apiKey ") or (
            key is not None and not hmac.compare_digest(given.encode(), f"apiKey {key}".encode())
        ):
            raise RefusedError(401, "the API key is missing or wrong")

    def error_body(self, status: int, reason: str) -> Mapping[str, Any]:
        """As the service words it."""
        return {"error": "Refused" if status < 500 else "Failed", "message": reason, "statusCode": status}

    async def _backends(self, _: web.Request, __: Encounter) -> web.Response:
        return web.json_response(documents.backend_documents(self.table))

    async def _estimate(self, request: web.Request, _: Encounter) -> web.Response:
        asked, usd, prices = quote(request.query, self.table, self.options.minimum)
        queue = self.options.timing.queue
        return web.json_response(documents.estimate_document(asked, usd, prices, queue=queue))

    async def _submit(self, request: web.Request, met: Encounter) -> web.Response:
        document = await _json_of(request)
        job = self._read(document)
        options, count = self.options, len(job.circuits)
        fate, reason = _FATES.get(met.fault, (COMPLETED, ""))
        one, two = job.gates.sum(axis=0).tolist()
        timing = options.timing
        job_id = self.ledger.accept(
            NewJob(
                document=document,
                digests=job.digests,
                shots=job.shots,
                gates=(one, two),
                usd=price_of(job, options.minimum),
                seconds=count * (timing.per_circuit + job.shots * timing.per_shot),
                queue=timing.queue,
                late=timing.late if met.fault is Fault.LATE_RESULTS else 0.0,
                fate=fate,
                reason=reason,
            )
        )
        await self.pause(str(document.get("name")), met.number)
        return web.json_response(
            {"id": job_id, "status": "submitted", "session_id": document.get("session_id")}, status=201
        )

    def _read(self, document: Any) -> JobRequest:
        options = self.options
        return read_job(document, self.table, widest=options.widest, ideal_machines=options.ideal_machines)

    async def _list(self, request: web.Request, _: Encounter) -> web.Response:
        asked = request.query
        found: list[dict[str, Any]] = []
        for entry in self.ledger.listed(lag=self.options.timing.list_lag):
            if entry.state == "deleted":
                continue
            sent = self.ledger.document(entry.id)
            if self.options.list_children:
                found += documents.child_documents(entry, sent)
            found.append(documents.job_document(entry, sent))
        wanted = {"status": "status", "target": "backend", "session_id": "session_id", "parent_job_id": "parent_job_id"}
        found = [job for job in found if all(job[key] == asked[name] for name, key in wanted.items() if name in asked)]
        size = min(self.options.page, int(asked.get("limit", self.options.page)))
        return web.json_response(documents.page_of(found, after=asked.get("next"), size=size))

    async def _job(self, request: web.Request, _: Encounter) -> web.Response:
        entry = self._entry(request)
        return web.json_response(documents.job_document(entry, self.ledger.document(entry.id)))

    async def _results(self, request: web.Request, _: Encounter) -> web.Response:
        entry = self._entry(request)
        if self.ledger.document(entry.id).get("type") == MULTI:
            raise RefusedError(404, "a job with several circuits has its results under /aggregated")
        results = await self._computed(entry)
        return web.json_response(next(iter(results.values())))

    async def _aggregated(self, request: web.Request, _: Encounter) -> web.Response:
        entry = self._entry(request)
        if self.ledger.document(entry.id).get("type") != MULTI:
            raise RefusedError(404, "a job with one circuit has no aggregated results")
        results = await self._computed(entry)
        order = list(results)
        if self.options.shuffle:
            random.Random(entry.id).shuffle(order)
        return web.json_response({child: results[child] for child in order})

    async def _computed(self, entry: LedgerEntry) -> dict[str, Any]:
        """The histogram of each circuit by its id, in the order of the circuits."""
        if entry.state != COMPLETED or time.time() < entry.results_at:
            raise RefusedError(404, f"there are no results; the job is {entry.state}")
        stored = self.ledger.results(entry.id)
        if stored is None:
            job = self._read(self.ledger.document(entry.id))
            # in a thread, so that others are answered meanwhile; computing the same twice gives the same
            stored = json.dumps(await asyncio.to_thread(histograms, job)).encode()
            self.ledger.keep_results(entry.id, stored)
        return dict(zip(entry.children, json.loads(stored), strict=True))

    async def _cost(self, request: web.Request, _: Encounter) -> web.Response:
        entry = self._entry(request)
        dry_run = bool(self.ledger.document(entry.id).get("dry_run"))
        return web.json_response(documents.cost_document(entry, dry_run=dry_run))

    async def _cancel(self, request: web.Request, _: Encounter) -> web.Response:
        entry = self._entry(request)
        self.ledger.cancel(entry.id)
        return web.json_response({"id": entry.id, "status": self._entry(request).state})

    async def _delete(self, request: web.Request, _: Encounter) -> web.Response:
        entry = self._entry(request)
        self.ledger.delete(entry.id)
        return web.json_response({"id": entry.id, "status": "deleted"})

    def _entry(self, request: web.Request) -> LedgerEntry:
        entry = self.ledger.entry(request.match_info["id"])
        if entry is None or entry.state == "deleted":
            raise RefusedError(404, f"no job {request.match_info['id']!r}")
        return entry


async def _json_of(request: web.Request) -> Any:
    try:
        return await request.json()
    except ValueError as error:
        raise RefusedError(400, f"this is not JSON: {error}") from error
