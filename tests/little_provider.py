"""A provider made of the shared parts and nothing else: jobs of no circuits, to see that the parts suffice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import click
from aiohttp import web

from qstore_core.testing.provider.cli import fault_options, faults_and_pause, place_options, run_until_told
from qstore_core.testing.provider.faults import Encounter
from qstore_core.testing.provider.ledger import BookedJob, JobLedger
from qstore_core.testing.provider.options import ServiceOptions
from qstore_core.testing.provider.process import ServiceProcess
from qstore_core.testing.provider.refusal import RefusedError
from qstore_core.testing.provider.server import JobService


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(BookedJob):
    token: str


class LittleLedger(JobLedger[Entry]):
    entry_type = Entry
    columns: ClassVar[str] = "token TEXT NOT NULL"

    def opened(self, row: Mapping[str, Any]) -> str:
        return "queued" if time.time() < row["starts"] else "running"

    def accept(self, token: str) -> str:
        row = {"id": f"job-{token}", "token": token, "reason": "", "circuits": 1, "shots": 10, "usd": 0.5}
        return self._book({**row, "seconds": 0.0, "fate": "done"}, queue=0.0, late=0.0, digests=["d"])


class LittleService(JobService):
    def __init__(self, options: ServiceOptions) -> None:
        self.ledger = LittleLedger(options.ledger)
        super().__init__(options, self.ledger, latency=0.0)

    def routes(self) -> Iterable[web.RouteDef]:
        return (
            web.post("/jobs", self.faulty("submit", self._submit)),
            web.get("/jobs/{id}", self.faulty("status", self._status)),
        )

    def check_key(self, request: web.Request) -> None:
        if request.headers.get("Key") != "open sesame":
            raise RefusedError(401, "no key")

    async def _submit(self, request: web.Request, met: Encounter) -> web.Response:
        job_id = self.ledger.accept((await request.json())["token"])
        await self.pause(job_id, met.number)
        return web.json_response({"id": job_id}, status=201)

    async def _status(self, request: web.Request, met: Encounter) -> web.Response:
        entry = self.ledger.entry(request.match_info["id"])
        if entry is None:
            raise RefusedError(404, "no such job")
        return web.json_response({"state": entry.state})


class LittleProcess(ServiceProcess):
    module: ClassVar[str] = "little_provider"
    words: ClassVar[str] = "the little provider"


@click.command()
@place_options
@fault_options
def main(*, with_parent: bool, **given: Any) -> None:
    """A provider of nothing."""
    run_until_told(partial(serve, given), with_parent=with_parent)


async def serve(given: dict[str, Any], *, ready: Callable[[str], None], stop: asyncio.Event) -> None:
    options = ServiceOptions(**faults_and_pause(given, ("submit", "status")), **given)
    await LittleService(options).run(ready=ready, stop=stop)


if __name__ == "__main__":
    main()
