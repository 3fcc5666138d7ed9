"""A provider made of `qstore_core.testing.provider` alone: its ledger, faults, key and process."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from little_provider import LittleProcess

from qstore_core.errors import ConfigurationError
from qstore_core.testing.provider.process import running

pytestmark = pytest.mark.slow

FORCED = ["rate-limit:1", "drop-after-accept:2"]


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[LittleProcess]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    with running(LittleProcess, ledger=None, options={"force": FORCED, "retry_after": 3}) as process:
        yield process


def ask(provider: LittleProcess, path: str, document: Any = None, *, key: str = "open sesame") -> Any:
    data = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(provider.url + path, data, {"Key": key, "Content-Type": "application/json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as response:
        return json.load(response)


def test_faults_strike_where_they_are_ordered_and_the_books_say_what_was_accepted(provider: LittleProcess) -> None:
    with pytest.raises(urllib.error.HTTPError) as limited:
        ask(provider, "/jobs", {"token": "a"})
    assert (limited.value.code, limited.value.headers["Retry-After"]) == (429, "3")
    limited.value.close()
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        ask(provider, "/jobs", {"token": "b"})
    assert ask(provider, "/jobs", {"token": "c"}) == {"id": "job-c"}
    booked = provider.read("/ledger")["jobs"]
    assert [(job["token"], job["state"], job["charged"]) for job in booked] == [("b", "done", 0.5), ("c", "done", 0.5)]
    assert provider.requests() == {
        "requests": {"submit": 3},
        "faults": {"rate-limit": 1, "drop-after-accept": 1},
    }


def test_jobs_survive_a_kill_and_the_port_stays(provider: LittleProcess) -> None:
    provider.restart(force=[])
    url = provider.url
    ask(provider, "/jobs", {"token": "kept"})
    provider.kill()
    provider.restart()
    assert provider.url == url
    assert ask(provider, "/jobs/job-kept") == {"state": "done"}


@pytest.mark.parametrize(("path", "key", "status"), [("/jobs/none", "open sesame", 404), ("/jobs/none", "wrong", 401)])
def test_refusals_have_a_reason(provider: LittleProcess, path: str, key: str, status: int) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(provider, path, key=key)
    assert refused.value.code == status
    assert json.load(refused.value)["reason"]


def test_a_provider_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    with (
        pytest.raises(ConfigurationError, match=r"the little provider did not start: (.|\n)*drop cannot strike submit"),
        running(LittleProcess, ledger=None, options={"force": ["drop:0"]}),
    ):
        pass
