"""HTTP requests that are sent once, end in time, and say by their error what became of them.

It stands where cirq-ionq's client expects the library `requests`. That client repeats a POST that may have been
accepted, waits for ever for a silent server, does not hear what 429 asks for, and puts the whole job into the text of
an error; none of that is reached from here, because what goes wrong is raised at once, as an error of qstore's.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3 import exceptions as urllib3_errors

from qstore_core.errors import (
    AmbiguousError,
    BackendError,
    ConfigurationError,
    JobRejectedError,
    QStoreError,
    TransientError,
)
from qstore_core.retry_after import seconds_to_wait

_LONGEST_REASON = 300
_UNCLEAR = (408, 409)  # 409 is what a gateway answers that does not find the service
_NOT_CONNECTED = (
    urllib3_errors.NewConnectionError,
    urllib3_errors.ConnectTimeoutError,
    urllib3_errors.ProxyError,
    urllib3_errors.SSLError,
)
_KEY_ADVICE = "pass the right api_key=..., or set IONQ_API_KEY"


class NotThereError(BackendError):
    """The service knows nothing under this address."""


class ForbiddenError(ConfigurationError):
    """The service knows the key, and does not let it see this."""


class Transport:
    """What cirq-ionq's client uses of the library `requests`, with a deadline and errors of qstore's.

    Args:
        timeout: Seconds to wait for a connection, and for an answer.
        secret: What no error text may hold.
    """

    codes = requests.codes
    RequestException = requests.RequestException
    Response = requests.Response

    def __init__(self, *, timeout: float, secret: str) -> None:
        self._timeout = timeout
        self._secret = secret

    def get(self, url: str, **content: Any) -> requests.Response:
        """A successful answer to GET."""
        return self._send("GET", url, **content)

    def post(self, url: str, **content: Any) -> requests.Response:
        """A successful answer to POST."""
        return self._send("POST", url, **content)

    def put(self, url: str, **content: Any) -> requests.Response:
        """A successful answer to PUT."""
        return self._send("PUT", url, **content)

    def delete(self, url: str, **content: Any) -> requests.Response:
        """A successful answer to DELETE."""
        return self._send("DELETE", url, **content)

    def _send(self, method: str, url: str, **content: Any) -> requests.Response:
        what = f"{method} {urlsplit(url).path}"
        try:
            with requests.Session() as session:  # one for each request: threads share nothing
                session.auth = _as_it_is
                session.trust_env = not is_local(url)
                response = session.request(method, url, timeout=self._timeout, allow_redirects=False, **content)
        except requests.RequestException as error:
            raise self._no_answer(error, what, url) from None
        if response.status_code >= 300:
            raise refusal(response.status_code, self._reason(response), response.headers, what=what)
        try:
            response.json()
        except ValueError:
            raise AmbiguousError(f"{what}: {_host(url)} answered {response.status_code} without JSON") from None
        return response

    def _no_answer(self, error: requests.RequestException, what: str, url: str) -> QStoreError:
        words = self._without_secret(_words(error))
        if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
            return ConfigurationError(f"remote_host={_host(url)!r} is not the address of a service: {words}")
        if _never_connected(error):
            return TransientError(f"{_host(url)} cannot be reached ({words}); check the network and remote_host")
        return AmbiguousError(f"{what}: {_host(url)} gave no answer ({words})")

    def _reason(self, response: requests.Response) -> str:
        try:
            document = response.json()
            text = str(document.get("message") or document.get("error") or "")
        except (ValueError, AttributeError):
            text = response.reason or ""
        return self._without_secret(" ".join(text.split()))[:_LONGEST_REASON]

    def _without_secret(self, text: str) -> str:
        return text.replace(self._secret, "...") if self._secret else text


def refusal(status: int, reason: str, headers: Mapping[str, str], *, what: str) -> QStoreError:
    """The error that says what a status other than success means for a request.

    A POST makes a job. Only 429 says surely that it was not carried out and may be sent again; after a 5xx, 408 or 409
    the job may be there.

    >>> refusal(429, "slow down", {"Retry-After": "2"}, what="POST /v0.4/jobs").retry_after
    2.0
    """
    message = f"{what}: IonQ answered {status}{': ' + reason if reason else ''}"
    makes_a_job = what.startswith("POST")
    if status == 429 or (status == 503 and not makes_a_job):
        return TransientError(message, retry_after=seconds_to_wait(headers.get("Retry-After")))
    if status >= 500 or status in _UNCLEAR:
        return AmbiguousError(message)
    message += f"; {_KEY_ADVICE}" if status in (401, 403) else ""
    if makes_a_job:
        return JobRejectedError(message)
    if status in (401, 403):
        return ForbiddenError(message) if status == 403 else ConfigurationError(message)
    return NotThereError(message) if status == 404 else BackendError(message)


def is_local(url: str) -> bool:
    """Whether a URL is of this machine: an emulator, not the service, and behind no proxy.

    >>> is_local("http://127.0.0.1:8000"), is_local("https://api.ionq.co")
    (True, False)
    """
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leave the headers alone: without this, an entry in ~/.netrc would take the place of the API key."""
    return request


def _never_connected(error: requests.RequestException) -> bool:
    """Whether nothing was sent, because there was no connection to send it over."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", cause), _NOT_CONNECTED)


def _words(error: requests.RequestException) -> str:
    cause = error.args[0] if error.args else error
    cause = getattr(cause, "reason", None) or cause
    return " ".join(str(cause).split())[:_LONGEST_REASON] or type(error).__name__


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
