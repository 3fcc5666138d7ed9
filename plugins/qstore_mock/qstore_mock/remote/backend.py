"""The backend `mock.remote`: jobs on a simulated provider, as on paid hardware."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from qstore_core.backend import BackendCapabilities, JobState, JobStatus, Pacing, Prices, RemoteBackend
from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.cost import Cost
from qstore_core.errors import AmbiguousError, BackendError, ConfigurationError
from qstore_mock.remote.prices import PriceList, PriceTable
from qstore_mock.remote.wire import batches_to_json, results_from_json

if TYPE_CHECKING:
    from qstore_mock.remote.client import ProviderClient

URL_VARIABLE = "QSTORE_MOCK_URL"
KEY_VARIABLE = "QSTORE_MOCK_KEY"


class RemoteMockBackend(RemoteBackend):
    """Jobs on a simulated provider; it is asked what it can do when this is made.

    Args:
        url: Where the provider listens; else the environment variable QSTORE_MOCK_URL.
        key: What it asks for, if anything; else QSTORE_MOCK_KEY.
        request_timeout: Seconds to wait for a connection, and for an answer.
        pacing: How often to ask; by default what suits the provider's own times.

    Raises:
        ConfigurationError: No URL, a wrong key, or httpx is not installed.
        TransientError, AmbiguousError: The provider does not answer.

    >>> from qstore_mock.remote.process import provider
    >>> with provider(price_circuit=0.30) as running:
    ...     backend = RemoteMockBackend(url=running.url)
    >>> backend.fingerprint, backend.capabilities.prices.per_circuit
    ('mock.remote(mock)', 0.3)
    """

    def __init__(
        self,
        *,
        url: str | None = None,
        key: str | None = None,
        request_timeout: float = 10.0,
        pacing: Pacing | None = None,
    ) -> None:
        self._client = _client(url, key, request_timeout)
        said = self._client.get_now("/capabilities")
        try:
            limits, timing, scale = said["limits"], said["timing"], said["time_scale"]
            self._prices = PriceTable(PriceList(**said["prices"]["low"]), PriceList(**said["prices"]["high"]))
            self._circuit_seconds = float(timing["per_circuit"])
            self.capabilities = _capabilities(limits, noisy=said["noisy"], prices=self._prices.high)
            self.fingerprint = f"mock.remote({said['identity']})"
            self.account = str(said["account"])
            self.pacing = pacing or _pacing(timing, scale)
        except (KeyError, TypeError) as error:
            raise ConfigurationError(f"{self._client.url} is not a simulated provider: it answered {said!r}") from error

    def price(self, compiled: Any, batch: CircuitBatch) -> Cost:
        """The price of a job with this batch alone, on both readings of the provider's list."""
        circuits, shots = batch.n_circuits, batch.n_shots
        return Cost(
            usd_low=self._prices.low.usd(circuits, shots),
            usd_high=self._prices.high.usd(circuits, shots),
            circuits=circuits,
            shots=shots,
            jobs=1,
            seconds=circuits * self._circuit_seconds,
        )

    async def submit(self, batches: Sequence[CircuitBatch], compiled: Sequence[Any], token: str) -> str:
        answer = await self._client.post("/jobs", {"token": token, "batches": batches_to_json(batches)})
        try:
            return str(answer["id"])
        except (KeyError, TypeError) as error:
            raise AmbiguousError(f"POST /jobs: the provider answered {answer!r}, which names no job") from error

    async def status(self, job_id: str) -> JobStatus:
        answer = await self._client.get(_path(job_id))
        try:
            return JobStatus(JobState(answer["state"]), answer["reason"])
        except (KeyError, TypeError, ValueError) as error:
            raise AmbiguousError(f"job {job_id}: the provider answered {answer!r}, which is no status") from error

    async def fetch(
        self, job_id: str, batches: Sequence[CircuitBatch], compiled: Sequence[Any]
    ) -> tuple[BatchResult, ...]:
        answer = await self._client.get(_path(job_id, "results"))
        try:
            results = results_from_json(answer["results"])
        except (KeyError, TypeError, ValueError) as error:
            raise AmbiguousError(f"job {job_id}: the provider's answer holds no results ({error})") from error
        rows, wanted = [result.n_rows for result in results], [batch.n_rows for batch in batches]
        if rows != wanted:
            raise BackendError(f"job {job_id} has results of {rows} rows for batches of {wanted}: it is another's job")
        return results

    async def find(self, token: str) -> str | None:
        answer = await self._client.get("/jobs", token=token)
        try:
            ids = [str(job["id"]) for job in answer["jobs"]]
        except (KeyError, TypeError) as error:
            raise AmbiguousError(f"GET /jobs: the provider answered {answer!r}, which is no list of jobs") from error
        return ids[0] if ids else None

    async def cancel(self, job_id: str) -> None:
        await self._client.post(_path(job_id, "cancel"))

    async def cost(self, job_id: str) -> Cost | None:
        """What the provider charged; None while the job has not ended."""
        answer = await self._client.get(_path(job_id, "cost"))
        try:
            if answer["usd"] is None:
                return None
            usd, work = float(answer["usd"]), {name: answer[name] for name in ("circuits", "shots", "seconds")}
        except (KeyError, TypeError, ValueError) as error:
            raise AmbiguousError(f"job {job_id}: the provider answered {answer!r}, which is no cost") from error
        return Cost(usd_low=usd, usd_high=usd, jobs=1, **work)


def _client(url: str | None, key: str | None, timeout: float) -> ProviderClient:
    url = url or os.environ.get(URL_VARIABLE)
    if not url:
        raise ConfigurationError(
            f"backend 'mock.remote' needs the URL of a provider: pass url=... or set {URL_VARIABLE}. To start one: "
            "qstore-mock-provider --ledger ledger.sqlite"
        )
    if not _is_url(url):
        raise ConfigurationError(f"url={url!r} is not a URL such as http://127.0.0.1:8000")
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
        raise ConfigurationError(f"request_timeout is a number of seconds above 0, not {timeout!r}")
    try:
        from qstore_mock.remote.client import ProviderClient  # needs httpx, which the base install leaves out
    except ImportError as error:
        raise ConfigurationError(
            f"backend 'mock.remote' needs {error.name}: pip install './plugins/qstore_mock[remote]'"
        ) from error
    return ProviderClient(url, key=key or os.environ.get(KEY_VARIABLE), timeout=timeout)


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none
        return False


def _capabilities(limits: dict[str, Any], *, noisy: bool, prices: PriceList) -> BackendCapabilities:
    free = not any(getattr(prices, field.name) for field in fields(prices))
    return BackendCapabilities(
        max_qubits=limits["max_qubits"],
        max_shots=limits["max_shots"],
        max_circuits_per_job=limits["max_circuits"],
        noisy=noisy,
        prices=None if free else Prices(prices.per_job, prices.per_circuit, prices.per_shot),
    )


def _pacing(timing: dict[str, Any], scale: float) -> Pacing:
    """The usual waits in the provider's time; long enough a grace that what it accepted is found."""
    return Pacing(
        first_poll=max(0.01, 0.5 * min(1.0, scale)),
        longest_poll=max(0.05, 15.0 * min(1.0, scale)),
        find_grace=1.0 + timing["latency"] + 2.0 * timing["find_lag"],
        first_retry=max(0.01, 0.5 * min(1.0, scale)),
    )


def _path(job_id: str, part: str = "") -> str:
    path = f"/jobs/{quote(job_id, safe='')}"
    return f"{path}/{part}" if part else path
