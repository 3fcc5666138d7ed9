"""The backends' settings, and a key that nobody sees."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ionq_batches import KEY, Connect, Emulate, batch_of, compiled, simple, submit
from qstore_ionq.backend import IonQBackend
from qstore_ionq.client import IonQClient
from qstore_ionq.emulator.process import RunningEmulator
from qstore_ionq.qpu import IonQQPU
from qstore_ionq.transport import Transport

from qstore_core import get_backend
from qstore_core.backend import Pacing
from qstore_core.circuit import QuantumCircuit
from qstore_core.errors import ConfigurationError, QStoreError


class TestSettings:
    def test_the_names_are_there_and_light(self) -> None:
        script = "import qstore_ionq, sys; print(*sys.modules)"
        modules = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
        assert not {"cirq", "cirq_ionq", "requests", "qstore_ionq.backend", "aiohttp"} & set(modules.split())
        script = (
            'from qstore_core import get_backend; get_backend("ionq.qpu", api_key="k"); import sys; print(*sys.modules)'
        )
        modules = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
        assert not {"cirq", "cirq_ionq", "aiohttp"} & set(modules.split())

    def test_the_environment_says_where_and_who(
        self, running: RunningEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("IONQ_API_KEY", KEY)
        monkeypatch.setenv("IONQ_REMOTE_HOST", f"{running.url}/v0.4")
        backend = get_backend("ionq")
        assert isinstance(backend, IonQBackend)
        assert backend.name == "ionq.simulator"
        assert submit(backend, simple())

    def test_the_fingerprint_tells_what_changes_results(self) -> None:
        def fingerprint(name: str, **options: Any) -> str:
            return get_backend(f"ionq.{name}", api_key=KEY, **options).fingerprint

        made = [
            fingerprint("simulator"),
            fingerprint("simulator", noise_model="aria-1"),
            fingerprint("simulator", gateset="qis"),
            fingerprint("simulator", settings={"compilation": {"opt": 0}}),
            fingerprint("qpu"),
            fingerprint("qpu", target="qpu.aria-1"),
            fingerprint("qpu", criterion="fidelity"),
            fingerprint("qpu", debiasing=True),
            fingerprint("qpu", debiasing=True, sharpen=True),
        ]
        assert len(set(made)) == len(made)
        same = {"minimum": "per_job", "session": "s", "request_timeout": 3, "remote_host": "http://127.0.0.1:1"}
        assert fingerprint("qpu", **same) == made[4]

    def test_accounts_are_told_apart_without_their_keys(self, running: RunningEmulator, connect: Connect) -> None:
        accounts = {connect(running, api_key=key).account for key in (KEY, KEY, "another")}
        accounts.add(get_backend("ionq.qpu", api_key=KEY).account)  # type: ignore[attr-defined]
        assert len(accounts) == 3
        assert not any(KEY[:6] in account for account in accounts)
        named = {connect(running, api_key=key, account="ours").account for key in (KEY, "another")}
        assert named == {f"{running.url}#ours"}

    @pytest.mark.parametrize(
        ("name", "options", "message"),
        [
            ("qpu", {"gateset": "naive"}, "unknown gateset 'naive'; did you mean 'native'"),
            ("qpu", {"criterion": "cost"}, "unknown criterion 'cost'; Known: fidelity, price"),
            ("qpu", {"minimum": "per_shot"}, "minimum is 'per_job', 'per_circuit' or None"),
            ("qpu", {"debiasing": 1}, "debiasing is True or False"),
            ("qpu", {"sharpen": True}, "set debiasing=True too"),
            ("qpu", {"settings": {"error_mitigation": {}}}, "the backend's option for it is debiasing=True"),
            ("qpu", {"settings": {"x": {1, 2}}}, "settings are JSON values"),
            ("qpu", {"settings": [1]}, "settings is a mapping such as"),
            ("qpu", {"request_timeout": 0}, "request_timeout is a number of seconds above 0, not 0"),
            ("qpu", {"request_timeout": True}, "request_timeout is a number"),
            ("qpu", {"remote_host": "api.ionq.co"}, "remote_host='api.ionq.co' is not an address such as https"),
            ("qpu", {"remote_host": "http://here:99999"}, "is not an address"),
            ("qpu", {"remote_host": 5}, "remote_host=5 is not an address"),
            ("qpu", {"api_key": "line\nbreak"}, "the API key is printable ASCII text"),
            (
                "qpu",
                {"prices": "nowhere.toml"},
                r"prices='nowhere\.toml' is not a table of targets \(FileNotFoundError",
            ),
            ("qpu", {"nonsense": 1}, "it accepts: target, api_key"),
        ],
    )
    def test_what_is_not_permitted_is_named(self, name: str, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigurationError, match=message):
            get_backend(f"ionq.{name}", **{"api_key": KEY, **options})

    @pytest.mark.parametrize(
        "host",
        [
            "https://user:hunter2@api.ionq.co",
            "ftp://user:hunter2@api.ionq.co",
            "user:hunter2@api.ionq.co",
            "hunter2@api.ionq.co",
            "//user:hunter2@api.ionq.co",
            "http://user:hunter2@[api",
            "http://user:hunter2@here:99999",
            "http://user:hunter2%40api.ionq.co",
            "http://user:hunter2\uff20api.ionq.co",
        ],
    )
    def test_an_address_with_a_password_is_not_repeated(self, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("IONQ_REMOTE_HOST", host)
        for options in ({"remote_host": host}, {}):
            with pytest.raises(ConfigurationError, match="remote_host holds a user name or password") as caught:
                get_backend("ionq.qpu", api_key=KEY, **options)
            error: BaseException | None = caught.value
            while error is not None:
                assert "hunter2" not in f"{error!s} {error!r}"
                error = error.__cause__ or error.__context__

    def test_pacing_suits_the_service_and_an_emulator(self, running: RunningEmulator, connect: Connect) -> None:
        mine = Pacing(find_grace=3.0)
        assert connect(running, pacing=mine).pacing is mine
        here, there = connect(running).pacing, get_backend("ionq", api_key=KEY).pacing  # type: ignore[attr-defined]
        assert here.longest_poll < there.longest_poll
        assert there.find_grace >= 60.0

    def test_the_compiler_says_which_gate_set_and_why(
        self, connect: Connect, running: RunningEmulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        batch = batch_of(QuantumCircuit(3).rzz(0, 1, 0.0).rx(0, 0.0).h(2).cnot(1, 2), shots=50)
        reasons = {}
        with caplog.at_level(logging.INFO, logger="qstore"):
            for name, options in (
                ("asked", {"gateset": "qis"}),
                ("price", {"criterion": "price"}),
                ("fidelity", {"criterion": "fidelity"}),
            ):
                (made,) = compiled(connect(running, "qpu", **options), batch)
                reasons[name] = made.reason
                assert made.reason.startswith(made.program.gateset)
        assert reasons["asked"] == "qis, as asked for"
        assert "USD a shot against" in reasons["price"]
        assert "by fidelity: 0.9" in reasons["fidelity"]
        assert f"ionq.qpu: {reasons['price']}" in caplog.text


class TestTheKey:
    """It is in no text that anybody may see."""

    def test_it_is_in_no_representation(self) -> None:
        backend = get_backend("ionq.qpu", api_key=KEY)
        assert isinstance(backend, IonQQPU)
        seen = [repr(backend), str(backend), backend.fingerprint, backend.account, repr(backend._client)]
        seen += [repr(backend.chooser), repr(backend.capabilities), repr(Transport(timeout=1.0, secret=KEY))]
        assert not any(KEY in text for text in seen)

    def test_it_is_in_no_error_even_when_the_service_repeats_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import requests

        def echo(self: Any, method: str, url: str, **content: Any) -> requests.Response:
            answer = requests.Response()
            answer.status_code, answer._content = 400, json.dumps({"message": str(content["headers"])}).encode()
            assert KEY in content["headers"]["Authorization"]
            return answer

        def fail(self: Any, method: str, url: str, **content: Any) -> requests.Response:
            raise requests.ConnectionError(str(content["headers"]))

        for behaviour in (echo, fail):
            monkeypatch.setattr(requests.Session, "request", behaviour)
            with pytest.raises(QStoreError) as caught:
                IonQClient(key=KEY, host="https://nowhere.invalid").job("j")
            error: BaseException | None = caught.value
            while error is not None:
                assert KEY not in f"{error!s} {error!r}"
                error = error.__cause__

    def test_it_is_in_no_log_journal_or_run_directory(
        self, emulate: Emulate, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        from qstore_core import ArrayLoader, QuantumModel, QuantumTrainer, TrainingConfig

        with emulate(key=KEY, force=["drop-after-accept:1"]) as locked, caplog.at_level(logging.DEBUG):
            backend = get_backend("ionq.qpu", api_key=KEY, remote_host=locked.url)
            config = TrainingConfig(
                epochs=1, gradient_method="spsa", shots_per_circuit=10, seed=1, run_directory=tmp_path / "run"
            )
            loader = ArrayLoader(np.zeros((2, 2)), np.array([0, 1]), 2)
            asyncio.run(QuantumTrainer(config, progress=False).train(QuantumModel(2, 2, 2, backend), loader))
            assert len(locked.ledger()) == 1
        assert "looking for the job" in caplog.text
        assert KEY not in caplog.text
        files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
        assert any(path.name == "journal.sqlite" for path in files)
        assert not any(KEY.encode() in path.read_bytes() for path in files)

    def test_an_entry_in_netrc_does_not_take_its_place(
        self, emulate: Emulate, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password other\n")
        monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
        with emulate(key=KEY) as locked:
            assert submit(connect(locked, api_key=KEY), simple())
