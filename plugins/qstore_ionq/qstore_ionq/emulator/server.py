"""The emulator: what it answers over HTTP, and how it does not."""

from __future__ import annotations

import asyncio
import hmac
import json
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import Any, TypeAlias

from aiohttp import web

from qstore_ionq.emulator import documents
from qstore_ionq.emulator.faults import AFTER_ACCEPT, BEFORE_ACCEPT, Encounter, Fault, FaultPlan
from qstore_ionq.emulator.ledger import CANCELED, COMPLETED, FAILED, Ledger, LedgerEntry, NewJob
from qstore_ionq.emulator.options import EmulatorOptions
from qstore_ionq.emulator.quotes import price_of, quote
from qstore_ionq.emulator.refusal import RefusedError
from qstore_ionq.emulator.request import MULTI, JobRequest, read_job
from qstore_ionq.emulator.results import histograms
from qstore_ionq.targets import TargetTable

MAX_BODY_BYTES = 2**28
_LOST = frozenset({Fault.DROP, Fault.SILENCE, Fault.DROP_AFTER_ACCEPT, Fault.SILENCE_AFTER_ACCEPT})
_SILENT = frozenset({Fault.SILENCE, Fault.SILENCE_AFTER_ACCEPT})
_STATUS = {
    Fault.RATE_LIMIT: (429, "too many requests"),
    Fault.UNAVAILABLE: (503, "the service is busy"),
    Fault.SERVER_ERROR: (500, "something broke"),
    Fault.ERROR_AFTER_ACCEPT: (500, "something broke"),
    Fault.GATEWAY_TIMEOUT: (504, "the gateway got no answer in time"),
    Fault.TIMEOUT_AFTER_ACCEPT: (504, "the gateway got no answer in time"),
}
_FATES = {
    Fault.JOB_FAILS: (FAILED, "injected: calibration lost"),
    Fault.JOB_CANCELED: (CANCELED, "injected: canceled by the service"),
}

_Work: TypeAlias = Callable[[web.Request, Encounter], Awaitable[web.Response]]


class Emulator:
    """One emulator: its ledger, its faults and its answers.

    Args:
        options: How it behaves.
    """

    def __init__(self, options: EmulatorOptions) -> None:
        self.options = options
        self.table = TargetTable.load(options.prices)
        self.ledger = Ledger(options.ledger)
        self.faults = FaultPlan(options.faults)
        self._stopping = asyncio.Event()
        self._pausing = asyncio.Lock()

    def application(self) -> web.Application:
        """The HTTP application. The API lies below /v0.4; what tests read lies beside it, and meets no faults."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        serve, api = self._serve, "/v0.4"
        app.add_routes(
            [
                web.get("/ledger", self._ledger),
                web.get("/requests", self._requests),
                web.get(f"{api}/backends", partial(serve, None, self._backends)),
                web.get(f"{api}/jobs/estimate", partial(serve, "estimate", self._estimate)),
                web.post(f"{api}/jobs", partial(serve, "submit", self._submit)),
                web.get(f"{api}/jobs", partial(serve, "list", self._list)),
                web.get(f"{api}/jobs/{{id}}", partial(serve, "status", self._job)),
                web.delete(f"{api}/jobs/{{id}}", partial(serve, "cancel", self._delete)),
                web.put(f"{api}/jobs/{{id}}/status/cancel", partial(serve, "cancel", self._cancel)),
                web.get(f"{api}/jobs/{{id}}/cost", partial(serve, "cost", self._cost)),
                web.get(f"{api}/jobs/{{id}}/results/probabilities", partial(serve, "results", self._results)),
                web.get(
                    f"{api}/jobs/{{id}}/results/probabilities/aggregated", partial(serve, "results", self._aggregated)
                ),
            ]
        )
        return app

    def stop(self) -> None:
        """End every answer that is being held back."""
        self._stopping.set()

    async def _serve(self, kind: str | None, work: _Work, request: web.Request) -> web.StreamResponse:
        met = Encounter() if kind is None else self.faults.next(kind)
        await asyncio.sleep(self.options.timing.latency)
        if met.fault in BEFORE_ACCEPT:
            return await self._fail(met.fault, request)
        response = await self._answer(work, request, met)
        if met.fault in AFTER_ACCEPT and response.status < 300:
            return await self._fail(met.fault, request)
        return response

    async def _answer(self, work: _Work, request: web.Request, met: Encounter) -> web.Response:
        try:
            self._check_key(request)
            return await work(request, met)
        except RefusedError as refusal:
            return _error(refusal.status, str(refusal))

    async def _fail(self, fault: Fault, request: web.Request) -> web.Response:
        if fault in _SILENT:
            await self._wait(self.options.silence)
        if fault in _LOST:
            if request.transport is not None:
                request.transport.close()
            return web.Response()  # which cannot be sent any more
        status, reason = _STATUS[fault]
        headers = {"Retry-After": f"{self.options.retry_after:g}"} if status in (429, 503) else None
        return _error(status, f"injected: {reason}", headers=headers)

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def _check_key(self, request: web.Request) -> None:
        given, key = request.headers.get("Authorization", ""), self.options.key
        if not given.startswith("apiKey ") or (
            key is not None and not hmac.compare_digest(given.encode(), f"apiKey {key}".encode())
        ):
            raise RefusedError(401, "the API key is missing or wrong")

    async def _ledger(self, _: web.Request) -> web.Response:
        return web.json_response({"jobs": [asdict(entry) for entry in self.ledger.entries()]})

    async def _requests(self, _: web.Request) -> web.Response:
        return web.json_response({"requests": self.faults.requests, "faults": self.faults.faults})

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
        fate, reason = _FATES.get(met.fault, (COMPLETED, "")) if met.fault else (COMPLETED, "")
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
        await self._pause(str(document.get("name")), met.number)
        return web.json_response(
            {"id": job_id, "status": "submitted", "session_id": document.get("session_id")}, status=201
        )

    def _read(self, document: Any) -> JobRequest:
        options = self.options
        return read_job(document, self.table, widest=options.widest, ideal_machines=options.ideal_machines)

    async def _pause(self, name: str, number: int) -> None:
        pause = self.options.pause
        if pause is None or pause.at not in (None, number):
            return
        async with self._pausing:
            draft = pause.path.with_name(pause.path.name + ".part")
            draft.write_text(name, encoding="utf-8")
            draft.rename(pause.path)  # whoever sees the file sees the whole name
            for _ in range(int(pause.timeout / 0.01)):
                if not pause.path.exists() or self._stopping.is_set():
                    break
                await asyncio.sleep(0.01)
            pause.path.unlink(missing_ok=True)

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


def _error(status: int, reason: str, *, headers: Mapping[str, str] | None = None) -> web.Response:
    document = {"error": "Refused" if status < 500 else "Failed", "message": reason, "statusCode": status}
    return web.json_response(document, status=status, headers=headers)


async def serve(options: EmulatorOptions, *, ready: Callable[[str], None], stop: asyncio.Event) -> None:
    """Run an emulator until `stop` is set; `ready` is called with its URL once it listens."""
    emulator = Emulator(options)
    runner = web.AppRunner(emulator.application(), access_log=None, shutdown_timeout=1.0, handle_signals=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, options.host, options.port).start()
        host, port = runner.addresses[0][:2]
        ready(f"http://{host}:{port}")
        await stop.wait()
    finally:
        emulator.stop()
        await runner.cleanup()
        emulator.ledger.close()
