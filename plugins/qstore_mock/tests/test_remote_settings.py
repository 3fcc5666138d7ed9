"""The settings of `mock.remote`, and what is said where its extra is missing."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest
from qstore_mock.remote.backend import RemoteMockBackend
from qstore_mock.remote.process import RunningProvider, provider
from remote_batches import batch_of

from qstore_core import get_backend
from qstore_core.backend import Pacing
from qstore_core.errors import BackendError, ConfigurationError, TransientError


class TestSettings:
    def test_it_is_there_by_name_and_reads_its_url_from_the_environment(
        self, running: RunningProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("QSTORE_MOCK_URL", running.url)
        backend = get_backend("mock.remote")
        assert isinstance(backend, RemoteMockBackend)
        assert backend.name == "mock.remote"

    def test_the_fingerprint_holds_no_port_and_no_key(self, running: RunningProvider) -> None:
        backend = RemoteMockBackend(url=running.url, key="secret")
        assert backend.fingerprint == "mock.remote(mock)"

    def test_a_missing_url_says_how_to_start_a_provider(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("QSTORE_MOCK_URL", raising=False)
        with pytest.raises(
            ConfigurationError, match=r"set QSTORE_MOCK_URL\. To start one: qstore-mock-provider --ledger"
        ):
            RemoteMockBackend()

    @pytest.mark.parametrize("url", ["localhost:80", "ftp://here", "http://", "http://here:99999", "http://[::1"])
    def test_what_is_no_url_is_refused(self, url: str) -> None:
        with pytest.raises(ConfigurationError, match="is not a URL such as"):
            RemoteMockBackend(url=url)

    @pytest.mark.parametrize("timeout", [0, -1.0, True, "3", None])
    def test_a_timeout_that_is_none_is_refused(self, timeout: Any) -> None:
        with pytest.raises(ConfigurationError, match="request_timeout is a number of seconds"):
            RemoteMockBackend(url="http://127.0.0.1:1", request_timeout=timeout)

    def test_a_provider_that_is_away_is_said_so(self) -> None:
        with pytest.raises(TransientError, match=r"cannot be reached .* is it running"):
            RemoteMockBackend(url="http://127.0.0.1:1")

    def test_a_server_of_another_kind_is_said_so(self, running: RunningProvider) -> None:
        with pytest.raises(BackendError, match="the provider answered 404"):
            RemoteMockBackend(url=running.url + "/elsewhere")

    def test_pacing_follows_the_providers_time_and_can_be_given(self, running: RunningProvider) -> None:
        mine = Pacing(find_grace=3.0)
        assert RemoteMockBackend(url=running.url, pacing=mine).pacing is mine
        with provider(time_scale=0.01, find_lag=100, queue=7, latency=0.1) as fast:
            pacing = RemoteMockBackend(url=fast.url).pacing
        assert pacing.first_poll < Pacing().first_poll
        assert 1.0 < pacing.find_grace < 10.0

    def test_a_key_is_asked_for_where_there_is_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("QSTORE_MOCK_KEY", raising=False)
        with provider(key="secret") as locked:
            for wrong in (None, "other"):
                with pytest.raises(ConfigurationError, match=r"401.*pass key=.*or set QSTORE_MOCK_KEY") as caught:
                    RemoteMockBackend(url=locked.url, key=wrong)
                assert "secret" not in str(caught.value)
            backend = RemoteMockBackend(url=locked.url, key="secret")
            asyncio.run(backend.submit([batch_of()], [None], "opened"))
            monkeypatch.setenv("QSTORE_MOCK_KEY", "secret")
            assert asyncio.run(RemoteMockBackend(url=locked.url).find("opened"))
            assert [entry.token for entry in locked.ledger()] == ["opened"]


class TestWithoutTheExtra:
    def output_of(self, script: str) -> str:
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
        return done.stdout

    def test_the_manifest_imports_neither_the_simulator_nor_http(self) -> None:
        modules = self.output_of("import qstore_mock, sys; print(*sys.modules)").split()
        assert not {"qstore_mock.backend", "qstore_mock.remote", "httpx", "aiohttp"} & set(modules)

    def test_the_backend_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "httpx", None)
        monkeypatch.delitem(sys.modules, "qstore_mock.remote.client", raising=False)
        with pytest.raises(ConfigurationError, match=r"needs httpx: pip install './plugins/qstore_mock\[remote\]'"):
            RemoteMockBackend(url="http://127.0.0.1:1")

    def test_the_provider_says_what_to_install(self) -> None:
        script = """
import sys
sys.modules["aiohttp"] = None
from click.testing import CliRunner
from qstore_mock.remote.cli import main
print(CliRunner().invoke(main, ["--ledger", "never-made"]).output)
"""
        assert "needs aiohttp: pip install './plugins/qstore_mock[remote]'" in self.output_of(script)
