"""Requests to the provider over HTTP, and what became of each, said by the error that is raised."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

import httpx

from qstore_core.errors import (
    AmbiguousError,
    BackendError,
    ConfigurationError,
    JobFailedError,
    JobRejectedError,
    QStoreError,
    TransientError,
)
from qstore_core.retry_after import seconds_to_wait

_REJECTED = (400, 402, 413, 422)
_NOT_NOW = (409, 429, 503)
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class ProviderClient:
    """Requests to one provider. Each has a connection of its own, so that nothing belongs to an event loop.

    Args:
        url: The provider's.
        key: What it asks for; None: nothing.
        timeout: Seconds to wait for a connection, and for an answer.

    >>> ProviderClient("http://127.0.0.1:1", timeout=1.0).url
    'http://127.0.0.1:1'
    """

    def __init__(self, url: str, *, key: str | None = None, timeout: float) -> None:
        self.url = url.rstrip("/")
        self._options: dict[str, Any] = {
            "base_url": self.url,
            "headers": {} if key is None else {"Authorization": f"Bearer {key}"},
            "timeout": timeout,
            "verify": _certificates(url),
            "trust_env": False,  # a proxy from the environment does not reach this machine's own ports
        }

    def get_now(self, path: str) -> Any:
        """The JSON answer to a GET, waited for without an event loop."""
        try:
            with httpx.Client(**self._options) as client:
                response = client.get(path)
        except httpx.RequestError as error:
            raise self._no_answer(error, f"GET {path}") from error
        return self._read(response, f"GET {path}")

    async def get(self, path: str, **query: str) -> Any:
        """The JSON answer to a GET."""
        return await self._send("GET", path, params=query)

    async def post(self, path: str, document: Any = None) -> Any:
        """The JSON answer to a POST."""
        return await self._send("POST", path, json=document)

    async def _send(self, method: str, path: str, **content: Any) -> Any:
        what = f"{method} {path}"
        try:
            async with httpx.AsyncClient(**self._options) as client:
                response = await client.request(method, path, **content)
        except httpx.RequestError as error:
            raise self._no_answer(error, what) from error
        return self._read(response, what)

    def _no_answer(self, error: httpx.RequestError, what: str) -> BackendError:
        if isinstance(error, _NEVER_SENT):
            return TransientError(
                f"the provider at {self.url} cannot be reached ({_words(error)}); is it running? To start one: "
                "qstore-mock-provider --ledger ledger.sqlite"
            )
        return AmbiguousError(f"{what}: the provider at {self.url} gave no answer ({_words(error)})")

    def _read(self, response: httpx.Response, what: str) -> Any:
        if not response.is_success:
            raise refusal(response.status_code, _reason(response), response.headers, what=what)
        try:
            return response.json()
        except ValueError as error:
            raise AmbiguousError(f"{what}: {self.url} answered {response.status_code} without JSON") from error


def refusal(status: int, reason: str, headers: Mapping[str, str], *, what: str) -> QStoreError:
    """The error that says what a status other than success means for the request.

    >>> refusal(429, "slow down", {"Retry-After": "2"}, what="POST /jobs").retry_after
    2.0
    """
    message = f"{what}: the provider answered {status}{': ' + reason if reason else ''}"
    if status in _REJECTED:
        return JobRejectedError(message)
    if status in _NOT_NOW:
        return TransientError(message, retry_after=seconds_to_wait(headers.get("Retry-After")))
    if status == 408 or status >= 500:
        return AmbiguousError(message)
    if status in (401, 403):
        return ConfigurationError(f"{message}; pass key=... to the backend 'mock.remote', or set QSTORE_MOCK_KEY")
    if status == 410:
        return JobFailedError(message)
    return BackendError(f"{message}; is it the URL of a simulated provider?" if status != 404 else message)


def _reason(response: httpx.Response) -> str:
    try:
        return str(response.json()["reason"])
    except (ValueError, KeyError, TypeError):
        return response.text[:200].strip()


def _words(error: httpx.RequestError) -> str:
    return str(error) or type(error).__name__


def _certificates(url: str) -> ssl.SSLContext:
    """Read once, since it takes longer than a request; not at all where nothing is encrypted."""
    return httpx.create_ssl_context() if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
