"""The emulator's HTTP: the control plane, the data plane of each index below /hosts, and faults on request."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias

from aiohttp import web

from qstore_core.errors import ConfigurationError
from qstore_core.store import check_metric
from qstore_pinecone.emulator.content import MOST_IDS, PAGE, EmulatedIndex, Namespace, RefusedError

MOST_BYTES = 2 * 2**20
_CODES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND", 409: "ALREADY_EXISTS"}

_Work: TypeAlias = Callable[[web.Request], Awaitable[Any]]


class Emulator:
    """One server: its indexes, its key and the faults that it was asked for.

    Args:
        key: What requests must carry as `Api-Key`.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._indexes: dict[str, EmulatedIndex] = {}
        self._faults: list[dict[str, Any]] = []
        self._requests: Counter[str] = Counter()
        self._met: Counter[str] = Counter()

    def application(self) -> web.Application:
        """The HTTP application; /faults and /requests are for tests and meet no faults."""
        app = web.Application(client_max_size=MOST_BYTES)
        serve, host = self._serve, "/hosts/{name}"
        app.add_routes(
            [
                web.post("/faults", self._add_fault),
                web.get("/requests", self._count),
                web.get("/indexes", partial(serve, "list_indexes", self._list_indexes)),
                web.post("/indexes", partial(serve, "create", self._create)),
                web.get("/indexes/{name}", partial(serve, "describe", self._describe)),
                web.delete("/indexes/{name}", partial(serve, "delete_index", self._delete_index)),
                web.post(f"{host}/vectors/upsert", partial(serve, "upsert", self._upsert)),
                web.post(f"{host}/query", partial(serve, "query", self._query)),
                web.get(f"{host}/vectors/fetch", partial(serve, "fetch", self._fetch)),
                web.post(f"{host}/vectors/delete", partial(serve, "delete", self._delete)),
                web.get(f"{host}/vectors/list", partial(serve, "list", self._list)),
                web.post(f"{host}/describe_index_stats", partial(serve, "stats", self._stats)),
            ]
        )
        return app

    async def _serve(self, kind: str, work: _Work, request: web.Request) -> web.Response:
        self._requests[kind] += 1
        fault = self._fault_of(kind)
        try:
            given = request.headers.get("Api-Key", "")
            if not hmac.compare_digest(given.encode(), self._key.encode()):
                raise RefusedError(401, "Invalid API Key")
            if fault is not None and fault["what"] != "drop_after":
                return self._fail(fault["what"], request)
            answer = web.json_response(await work(request), status=201 if kind == "create" else 200)
        except RefusedError as refusal:
            return _refusal(refusal.status, str(refusal))
        except web.HTTPRequestEntityTooLarge:
            return _refusal(413, f"a request has at most {MOST_BYTES} bytes")
        return answer if fault is None else self._fail("drop", request)

    def _fault_of(self, kind: str) -> dict[str, Any] | None:
        for fault in self._faults:
            if fault["request"] == kind:
                fault["after"] -= 1
                if fault["after"] < 0:
                    fault["times"] -= 1
                    if fault["times"] <= 0:
                        self._faults.remove(fault)
                    self._met[str(fault["what"])] += 1
                    return fault
        return None

    def _fail(self, what: Any, request: web.Request) -> web.Response:
        if what == "drop":
            if request.transport is not None:
                request.transport.close()
            return web.Response()  # which cannot be sent any more
        return _refusal(int(what), "injected")

    async def _add_fault(self, request: web.Request) -> web.Response:
        """`{"request": "upsert", "what": "drop", "drop_after" or a status, "after": 0, "times": 1}`."""
        self._faults.append({"after": 0, "times": 1, **await request.json()})
        return web.json_response({})

    async def _count(self, _: web.Request) -> web.Response:
        return web.json_response({"requests": self._requests, "faults": self._met})

    async def _list_indexes(self, _: web.Request) -> Any:
        return {"indexes": [index.document for index in self._indexes.values()]}

    async def _create(self, request: web.Request) -> Any:
        wanted = await _json(request)
        name = wanted.get("name") or f"index-{len(self._indexes)}"
        if name in self._indexes:
            raise RefusedError(409, "Resource already exists")
        vectors = wanted.get("schema", {}).get("fields", {}).get("_values", {})
        try:
            dimension, metric = int(vectors["dimension"]), check_metric(vectors["metric"])
        except (KeyError, TypeError, ValueError, ConfigurationError) as error:
            raise RefusedError(400, f"this is no index of dense vectors: {error}") from error
        document = {
            "name": name,
            "host": f"{request.url.origin()}/hosts/{name}",
            "status": {"ready": True, "state": "Ready"},
            "schema": wanted["schema"],
            "deployment": wanted.get("deployment"),
            "deletion_protection": "disabled",
        }
        self._indexes[name] = EmulatedIndex(document, dimension, metric)
        return document

    async def _describe(self, request: web.Request) -> Any:
        return self._index(request).document

    async def _delete_index(self, request: web.Request) -> Any:
        del self._indexes[self._index(request).document["name"]]
        return {}

    async def _upsert(self, request: web.Request) -> Any:
        wanted = await _json(request)
        return {"upsertedCount": self._index(request).upsert(wanted.get("vectors"), wanted.get("namespace", ""))}

    async def _query(self, request: web.Request) -> Any:
        wanted = await _json(request)
        return {"matches": self._index(request).query(wanted), "namespace": wanted.get("namespace", "")}

    async def _fetch(self, request: web.Request) -> Any:
        keys = request.query.getall("ids", [])
        if not 0 < len(keys) <= MOST_IDS:
            raise RefusedError(400, f"between 1 and {MOST_IDS} ids can be fetched at once")
        name, space = self._space(request)
        return {"vectors": {key: space.document(key) for key in keys if key in space.vectors}, "namespace": name}

    async def _delete(self, request: web.Request) -> Any:
        self._index(request).delete(await _json(request))
        return {}

    async def _list(self, request: web.Request) -> Any:
        name, space = self._space(request)
        prefix, after = request.query.get("prefix", ""), request.query.get("paginationToken", "")
        left = sorted(key for key in space.vectors if key.startswith(prefix) and key > after)
        size = int(request.query.get("limit", PAGE))
        answer: dict[str, Any] = {"vectors": [{"id": key} for key in left[:size]], "namespace": name}
        if len(left) > size:
            answer["pagination"] = {"next": left[size - 1]}
        return answer

    async def _stats(self, request: web.Request) -> Any:
        index = self._index(request)
        counts = {name: {"vectorCount": len(space.vectors)} for name, space in index.namespaces.items()}
        total = sum(count["vectorCount"] for count in counts.values())
        return {"namespaces": counts, "dimension": index.dimension, "totalVectorCount": total, "metric": index.metric}

    def _index(self, request: web.Request) -> EmulatedIndex:
        name = request.match_info["name"]
        if name not in self._indexes:
            raise RefusedError(404, f"Resource {name} not found")
        return self._indexes[name]

    def _space(self, request: web.Request) -> tuple[str, Namespace]:
        name = request.query.get("namespace", "")
        return name, self._index(request).namespaces.get(name, Namespace())


async def serve(port: int, key: str, *, ready: Callable[[str], None], stop: asyncio.Event) -> None:
    """Run an emulator on 127.0.0.1 until `stop` is set; `ready` is called with its URL once it listens."""
    runner = web.AppRunner(Emulator(key).application(), access_log=None, shutdown_timeout=1.0, handle_signals=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        host, chosen = runner.addresses[0][:2]
        ready(f"http://{host}:{chosen}")
        await stop.wait()
    finally:
        await runner.cleanup()


async def _json(request: web.Request) -> dict[str, Any]:
    try:
        document = await request.json()
    except json.JSONDecodeError as error:
        raise RefusedError(400, f"this is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise RefusedError(400, "a request is an object")
    return document


def _refusal(status: int, reason: str) -> web.Response:
    body = {"error": {"code": _CODES.get(status, "UNKNOWN"), "message": reason}, "status": status}
    return web.json_response(body, status=status)
