"""What is asked of IonQ's service, through cirq-ionq's client and around its traps."""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import util
from typing import Any
from unicodedata import normalize
from urllib.parse import quote, unquote, urlsplit

from qstore_core.errors import AmbiguousError, ConfigurationError
from qstore_ionq.transport import Transport, is_local

SERVICE = "https://api.ionq.co"
KEY_VARIABLE, HOST_VARIABLE = "IONQ_API_KEY", "IONQ_REMOTE_HOST"
_NO_KEY = (
    f"IonQ needs an API key: pass api_key=... or set {KEY_VARIABLE}; to rehearse without one, start "
    "qstore-ionq-emulator, which takes any"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobBody:
    """What a job is made of, as the service takes it.

    Attributes:
        backend: The simulator or a machine.
        name: A unique name, by which the job is found again.
        input: Gate set, width and circuits.
        shots: Shots of each circuit.
        metadata: Texts that come back with the job.
        settings: What the service is told beside the circuits.
        error_mitigation: Whether to debias, said explicitly; None on the simulator.
        noise: The simulator's noise model and seed.
        session: The session that the job belongs to.
    """

    backend: str
    name: str
    input: Mapping[str, Any]
    shots: int
    metadata: Mapping[str, str]
    settings: Mapping[str, Any]
    error_mitigation: Mapping[str, Any] | None = None
    noise: Mapping[str, Any] | None = None
    session: str | None = None


class IonQClient:
    """Requests to the service. Each has a client and a connection of its own, so threads can share this object.

    Args:
        key: The API key; else the environment variable IONQ_API_KEY.
        host: The service's address; else IONQ_REMOTE_HOST, else IonQ's.
        timeout: Seconds to wait for a connection, and for an answer.
        account: A name for the account; None: a hash of the key.
        keyless: Whether to do without a key, and refuse every request.

    Attributes:
        host: The service's address.
        account: What tells this address and account from others, without secrets.

    Raises:
        ConfigurationError: No key, an address that is none, or a timeout that is none.

    >>> IonQClient(key="secret", host="http://127.0.0.1:8000")
    IonQClient(http://127.0.0.1:8000)
    """

    def __init__(
        self,
        *,
        key: str | None = None,
        host: str | None = None,
        timeout: float = 60.0,
        account: str | None = None,
        keyless: bool = False,
    ) -> None:
        self._key = "" if keyless else _checked_key(key)
        self.host = _checked_host(host or os.environ.get(HOST_VARIABLE) or SERVICE)
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < float("inf"):
            raise ConfigurationError(f"request_timeout is a number of seconds above 0, not {timeout!r}")
        self._timeout = float(timeout)
        # four bytes tell keys apart, and give none away
        self.account = f"{self.host}#{account or _account_of(self._key)}"

    def __repr__(self) -> str:
        return f"IonQClient({self.host})"

    @property
    def is_local(self) -> bool:
        """Whether the service is an emulator on this machine."""
        return is_local(self.host)

    def create(self, body: JobBody) -> str:
        """Send a job, once; returns its id. It is not asked for afterwards, so nothing can hide the id."""
        from cirq_ionq.serializer import SerializedProgram  # imports Cirq, which takes seconds

        # the client writes into what it is given: copies, or it would leak from job to job
        program = SerializedProgram(
            input=dict(body.input),
            settings=copy.deepcopy(dict(body.settings)),
            metadata=dict(body.metadata),
            compilation={},
            error_mitigation=dict(body.error_mitigation or {}),
            noise=dict(body.noise or {}),
            dry_run=False,
        )
        answer = self._client().create_job(
            program,
            repetitions=body.shots,
            target=body.backend,
            name=body.name,
            extra_query_params={"session_id": body.session} if body.session else None,
            batch_mode=True,
        )
        if not isinstance(answer, Mapping) or not answer.get("id"):
            raise AmbiguousError(f"POST /jobs: IonQ answered {str(answer)[:200]!r}, which names no job")
        return str(answer["id"])

    def job(self, job_id: str) -> Mapping[str, Any]:
        """A job as the service shows it."""
        return _object(self._client().get_job(quote(job_id, safe="")), f"job {job_id}")

    def results(self, job_id: str, *, sharpen: bool | None = None) -> Mapping[str, Any]:
        """The histogram of each circuit of a job, by the circuit's own id."""
        client = self._client()
        client.batch_mode = True  # which the client remembers of the last job that it made itself, and of no other
        return _object(client.get_results(quote(job_id, safe=""), sharpen=sharpen), f"job {job_id}")

    def jobs(self, **query: str) -> Iterator[Mapping[str, Any]]:
        """The jobs of the account, newest first, page after page as they are asked for."""
        seen: set[str] = set()
        while True:
            page = self._get("/jobs", **query)
            try:
                yield from page["jobs"]
                following = page.get("next")
            except (KeyError, TypeError) as error:
                raise AmbiguousError(f"GET /jobs: IonQ answered {str(page)[:200]!r}, no list of jobs") from error
            if not following or following in seen:
                return
            seen.add(following)
            query["next"] = following

    def cancel(self, job_id: str) -> None:
        """Ask for a job to be stopped."""
        self._client().cancel_job(quote(job_id, safe=""))

    def cost(self, job_id: str) -> Mapping[str, Any]:
        """What a job cost, as the service says it."""
        return self._get(f"/jobs/{quote(job_id, safe='')}/cost")

    def estimate(self, **query: Any) -> Mapping[str, Any]:
        """What a job of one circuit would cost, and the rates of this account."""
        return self._get("/jobs/estimate", **query)

    def _get(self, path: str, **query: Any) -> Mapping[str, Any]:
        """A GET that cirq-ionq's client has no method for, or one that does not end."""
        client = self._client()
        response = self._module.requests.get(f"{client.url}{path}", headers=client.headers, params=query)
        return _object(response.json(), f"GET {path}")

    def _client(self) -> Any:
        """A client of cirq-ionq's for one request: it keeps a mode from call to call, which must not be shared."""
        if not self._key:
            raise ConfigurationError(_NO_KEY)
        return self._module._IonQClient(remote_host=self.host, api_key=self._key, max_retry_seconds=0)

    @cached_property
    def _module(self) -> Any:
        """The module of cirq-ionq's client, loaded once more, with a `requests` in it that ends in time.

        The module that `import cirq_ionq` gives stays as it is, for whoever else uses it.
        """
        spec = util.find_spec("cirq_ionq.ionq_client")  # imports Cirq, which takes seconds: at the first request
        if spec is None or spec.loader is None:
            raise ConfigurationError("cirq-ionq cannot be imported; pip install ./plugins/qstore_ionq")
        module = util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.__dict__["requests"] = Transport(timeout=self._timeout, secret=self._key)
        return module


def _account_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:8] if key else "keyless"


def _checked_key(key: str | None) -> str:
    found = key or os.environ.get(KEY_VARIABLE)
    if not found:
        raise ConfigurationError(_NO_KEY)
    if not isinstance(found, str) or not found.isascii() or not found.isprintable():
        raise ConfigurationError("the API key is printable ASCII text; this one is not: it was copied wrongly")
    return found.strip()


def _checked_host(host: str) -> str:
    # before anything else, since other messages repeat the address: a user name and password end in @, however written
    if "@" in normalize("NFKC", unquote(str(host))):
        raise ConfigurationError("remote_host holds a user name or password; the key goes into api_key")
    try:
        parts = urlsplit(host)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except (ValueError, AttributeError):  # a port that is none, or no text
        valid = False
    if not valid:
        raise ConfigurationError(f"remote_host={host!r} is not an address such as {SERVICE}")
    return f"{parts.scheme}://{parts.netloc}"


def _object(answer: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(answer, Mapping):
        raise AmbiguousError(f"{what}: IonQ answered {str(answer)[:200]!r}, which is no object")
    return answer
