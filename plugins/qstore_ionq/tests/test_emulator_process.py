"""The emulator as a process: its options, its ledger, its restarts and its end."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from emulator_jobs import BELL, Http, body, results, submitted
from provider_runs import assert_it_announces_itself_and_ends_cleanly, assert_it_ends_with_the_process_that_started_it
from qstore_ionq.emulator.cli import main
from qstore_ionq.emulator.process import emulator

from qstore_core.errors import ConfigurationError


class TestProcess:
    def test_jobs_and_results_survive_a_kill(self, http: Http, tmp_path: Path) -> None:
        path = tmp_path / "kept.sqlite"
        with emulator(ledger=path) as process:
            url, jobs = process.url, [submitted(http, process, body(backend="qpu.aria-1")) for _ in range(2)]
            before = results(http, process, jobs[0])
            other = sqlite3.connect(path)
            assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            other.close()
            process.kill()
            process.restart()
            assert process.url == url
            assert [results(http, process, job) for job in jobs] == [before, before]
            assert [entry.charged for entry in process.ledger()] == [12.4166, 12.4166]

    def test_the_ledger_tells_circuits_apart(self, http: Http) -> None:
        with emulator() as process:
            for document in (body(BELL, BELL[:1]), body(BELL), body(BELL, shots=7)):
                submitted(http, process, document)
            first, second, third = (entry.circuit_digests for entry in process.ledger())
        assert len(set(first)) == 2
        assert second == first[:1] != third

    def test_it_announces_itself_in_one_line_and_ends_cleanly(self, tmp_path: Path) -> None:
        assert_it_announces_itself_and_ends_cleanly("qstore_ionq.emulator", "--ledger", tmp_path / "l.sqlite")

    def test_it_ends_with_the_process_that_started_it(self) -> None:
        assert_it_ends_with_the_process_that_started_it("qstore_ionq.emulator.process", "emulator")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--nonsense"], "No such option"),
            (["--fault", "nonsense=0.1"], "'nonsense=0.1' is not FAULT=RATE; the faults are drop, silence"),
            (["--force", "drop"], "'drop' is not FAULT:N"),
            (["--minimum", "never"], "'never' is not one of"),
            (["--faults", "0.5", "--fault", "drop=0.9"], "at most 1 together"),
        ],
    )
    def test_options_that_cannot_be_are_told(self, arguments: list[str], message: str, tmp_path: Path) -> None:
        ended = CliRunner().invoke(main, ["--ledger", str(tmp_path / "ledger.sqlite"), *arguments])
        assert ended.exit_code != 0
        assert message in ended.output

    def test_without_its_extra_it_says_what_to_install(self) -> None:
        script = """
import sys
sys.modules["aiohttp"] = None
from click.testing import CliRunner
from qstore_ionq.emulator.cli import main
print(CliRunner().invoke(main, ["--ledger", "never-made"]).output)
"""
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
        assert "needs aiohttp: pip install './plugins/qstore_ionq[emulator]'" in done.stdout

    def test_a_process_that_does_not_start_says_why(self) -> None:
        with pytest.raises(ConfigurationError, match=r"(?s)did not start: .*No such option '--nonsense'"):
            with_nonsense()

    def test_a_client_can_be_killed_right_after_its_job_was_accepted(self, tmp_path: Path) -> None:
        flag = tmp_path / "accepted"
        script = """
import json, sys, requests
headers = {"Authorization": "apiKey k"}
requests.post(sys.argv[1] + "/v0.4/jobs", headers=headers, json=json.loads(sys.argv[2]))
"""
        with emulator(pause_after_accept=flag, pause_at=1) as process:
            with subprocess.Popen([sys.executable, "-c", script, process.url, json.dumps(body())]) as victim:
                end = time.monotonic() + 30
                while not flag.exists():
                    assert time.monotonic() < end
                    time.sleep(0.01)
                assert flag.read_text() == "t"
                victim.send_signal(signal.SIGKILL)
            flag.unlink()
            assert [entry.name for entry in process.ledger()] == ["t"]


def with_nonsense() -> None:
    with emulator(nonsense=1):
        pass
