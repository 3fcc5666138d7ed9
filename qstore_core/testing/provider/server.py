"""How a provider answers over HTTP, and how it does not; needs aiohttp."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import Any, ClassVar, TypeAlias

from aiohttp import web

from qstore_core.testing.provider.faults import (
    AFTER_ACCEPT,
    ANSWERS,
    BEFORE_ACCEPT,
    LOST,
    SILENT,
    Encounter,
    Fault,
    FaultPlan,
)
from qstore_core.testing.provider.ledger import JobLedger
from qstore_core.testing.provider.options import ServiceOptions
from qstore_core.testing.provider.refusal import RefusedError

MAX_BODY_BYTES = 2**28
_SPARED = Encounter()

Work: TypeAlias = Callable[[web.Request, Encounter], Awaitable[web.Response]]
"""What answers one kind of request; it is told which number the request has and the fault that it meets."""


class JobService(ABC):
    """One provider: its ledger, its faults and its answers.

    Args:
        options: How it behaves.
        ledger: Its books.
        latency: Seconds that each request takes.

    Attributes:
        open_books: Whether /ledger and /requests are answered without a key.
    """

    open_books: ClassVar[bool] = True

    def __init__(self, options: ServiceOptions, ledger: JobLedger[Any], latency: float) -> None:
        self.faults = FaultPlan(options.faults)
        self._service, self._books, self._latency = options, ledger, latency
        self._stopping = asyncio.Event()
        self._pausing = asyncio.Lock()

    @abstractmethod
    def routes(self) -> Iterable[web.RouteDef]:
        """The routes of its own, made with `faulty` and `plain`."""

    @abstractmethod
    def check_key(self, request: web.Request) -> None:
        """Raise `RefusedError` where a request does not carry what it must."""

    def error_body(self, status: int, reason: str) -> Mapping[str, Any]:
        """The JSON body of an answer that is an error."""
        return {"reason": reason}

    def application(self) -> web.Application:
        """The HTTP application; /ledger and /requests are what tests read, and meet no faults."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        for path, work in (("/ledger", self._ledger), ("/requests", self._requests)):
            app.router.add_get(path, work if self.open_books else self.plain(work))
        app.add_routes(self.routes())
        return app

    def faulty(self, kind: str, work: Work) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """A handler whose requests are counted under `kind` and may meet a fault."""
        return partial(self._serve, kind, work)

    def plain(self, work: Work) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """A handler that is spared."""
        return partial(self._answer, work, _SPARED)

    def stop(self) -> None:
        """End every answer that is being held back."""
        self._stopping.set()

    async def pause(self, name: str, number: int) -> None:
        """Stop after the `number`-th submit, a job called `name`, where the options say so."""
        pause = self._service.pause
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

    async def _serve(self, kind: str, work: Work, request: web.Request) -> web.StreamResponse:
        met = self.faults.next(kind)
        await asyncio.sleep(self._latency)
        if met.fault in BEFORE_ACCEPT:
            return await self._fail(met.fault, request)
        response = await self._answer(work, met, request)
        if met.fault in AFTER_ACCEPT and response.status < 300:
            return await self._fail(met.fault, request)
        return response

    async def _answer(self, work: Work, met: Encounter, request: web.Request) -> web.Response:
        try:
            self.check_key(request)
            return await work(request, met)
        except RefusedError as refusal:
            return web.json_response(self.error_body(refusal.status, str(refusal)), status=refusal.status)

    async def _fail(self, fault: Fault, request: web.Request) -> web.Response:
        if fault in SILENT:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._service.silence)
        if fault in LOST:
            if request.transport is not None:
                request.transport.close()
            return web.Response()  # which cannot be sent any more
        status, reason = ANSWERS[fault]
        headers = {"Retry-After": f"{self._service.retry_after:g}"} if status in (429, 503) else None
        return web.json_response(self.error_body(status, f"injected: {reason}"), status=status, headers=headers)

    async def _ledger(self, request: web.Request, met: Encounter = _SPARED) -> web.Response:
        return web.json_response({"jobs": [asdict(entry) for entry in self._books.entries()]})

    async def _requests(self, request: web.Request, met: Encounter = _SPARED) -> web.Response:
        return web.json_response({"requests": self.faults.requests, "faults": self.faults.faults})

    async def run(self, *, ready: Callable[[str], None], stop: asyncio.Event) -> None:
        """Listen until `stop` is set; `ready` is called with the URL."""
        runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=1.0, handle_signals=False)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._service.host, self._service.port).start()
            host, port = runner.addresses[0][:2]
            ready(f"http://{host}:{port}")
            await stop.wait()
        finally:
            self.stop()
            await runner.cleanup()
            self._books.close()
