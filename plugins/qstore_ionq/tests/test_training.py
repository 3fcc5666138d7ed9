"""Training on the emulated service, a process of its own: nothing lost, nothing paid twice, whatever happens."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from provider_runs import (
    QUICK,
    Here,
    assert_same_run,
    circuits_paid,
    interrupt_a_run,
    kill,
    qstore,
    start_program,
    wait_for_jobs,
)
from qstore_ionq.emulator.process import RunningEmulator, emulator

from qstore_core import Budget, BudgetExceededError, QuantumModel, QuantumTrainer, TrainingConfig, get_backend

PROGRAM = """
import asyncio, json, sys
from pathlib import Path
import numpy as np
from qstore_core import ArrayLoader, Pacing, QuantumModel, QuantumTrainer, TrainingConfig, get_backend

def train(url, directory, epochs, name, options):
    generator = np.random.default_rng(5)
    y = generator.integers(0, 2, 12)
    x = generator.normal(0.0, 0.5, (12, 2)) + 0.5 * (2 * y[:, None] - 1)
    pacing = Pacing(first_poll=0.02, longest_poll=0.1, find_grace=2.0, request_patience=60.0, first_retry=0.02)
    options = {"remote_host": url, "api_key": "emulator-key", "request_timeout": 2.0, **json.loads(options)}
    backend = get_backend(name, pacing=pacing, **options)
    config = TrainingConfig(epochs=int(epochs), gradient_method="spsa", shots_per_circuit=10, seed=3,
                            run_directory=Path(directory), checkpoint_interval=2, learning_rate=0.05)
    model = QuantumModel(2, 2, 2, backend)
    trainer = QuantumTrainer(config, progress=False)
    loader, held_out = ArrayLoader(x, y, batch_size=6), ArrayLoader(x, y, batch_size=12, shuffle=False)
    asyncio.run(trainer.train(model, loader, held_out, resume=True))

if __name__ == "__main__":
    train(*sys.argv[1:])
"""
HERE: dict[str, Any] = {"__name__": "here"}
exec(PROGRAM, HERE)
MACHINE = ("ionq.qpu", '{"target": "qpu.forte-1", "minimum": "per_job"}')


def start(url: str, directory: Path, epochs: int, target: tuple[str, str] = MACHINE) -> subprocess.Popen[bytes]:
    return start_program(PROGRAM, url, directory, epochs, *target)


def finish(url: str, directory: Path, epochs: int, target: tuple[str, str] = MACHINE) -> None:
    """Go on with a run in this process, to its end."""
    HERE["train"](url, directory, epochs, *target)


def circuits_run(running: RunningEmulator) -> Counter[str]:
    return Counter(
        digest for entry in running.ledger() if entry.state == "completed" for digest in entry.circuit_digests
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "kills"),
    [(MACHINE, 30), (("ionq.simulator", '{"noise_model": "aria-1"}'), 8), (("ionq.simulator", "{}"), 8)],
    ids=["qpu", "noisy", "ideal"],
)
def test_kills_lose_nothing_and_pay_nothing_twice(tmp_path: Path, target: tuple[str, str], kills: int) -> None:
    epochs, accepted = 2 + kills, tmp_path / "accepted"
    with emulator(queue=0.05) as running:
        finish(running.url, tmp_path / "whole", epochs, target)
        expected = circuits_run(running)
    assert set(expected.values()) == {1}

    generator = np.random.default_rng(20261123)
    directory, killed, forced = tmp_path / "killed", 0, 0
    with emulator(queue=0.05) as running:
        while killed < kills:
            if killed % 5 == 2:  # the instant between "the service accepted" and "the id is recorded"
                running.restart(pause_after_accept=accepted, pause_at=1, pause_timeout=30)
                process = start(running.url, directory, epochs, target)
                while not accepted.exists():
                    assert process.poll() is None, "the run ended before it sent another job"
                    time.sleep(0.005)
                assert kill(process)
                accepted.unlink()
                running.restart(pause_after_accept=None, pause_at=None, pause_timeout=None)
                forced, killed = forced + 1, killed + 1
                continue
            process = start(running.url, directory, epochs, target)
            # some instants while it starts or recovers, the others after at most two more jobs: however fast the
            # machine is, lives of at most four jobs cannot end a run of three jobs an epoch
            progress = int(generator.integers(0, 3))
            wait_for_jobs(running, process, len(running.ledger()) + progress)
            time.sleep(float(generator.uniform(0.0, 0.1) if progress else generator.uniform(0.3, 3.0)))
            assert kill(process), f"the run ended after {killed} kills"
            killed += 1
        finish(running.url, directory, epochs, target)
        ran = circuits_run(running)
    assert forced >= kills // 5
    assert ran == expected
    assert_same_run(tmp_path / "whole", directory)


def test_a_kill_right_after_a_job_was_accepted_pays_nothing_twice(tmp_path: Path, emulate: Any) -> None:
    accepted = tmp_path / "accepted"
    with emulate() as running:
        finish(running.url, tmp_path / "whole", 1)
        expected = circuits_paid(running)
    with emulator(pause_after_accept=accepted, pause_at=2, pause_timeout=30) as running:
        process = start(running.url, tmp_path / "killed", 1)
        while not accepted.exists():
            assert process.poll() is None, "the run ended before it sent another job"
            time.sleep(0.005)
        assert kill(process)
        accepted.unlink()
        finish(running.url, tmp_path / "killed", 1)
        assert circuits_paid(running) == expected
        assert set(expected.values()) == {1}
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [7, 8, 9])
def test_a_fifth_of_all_requests_failing_changes_nothing(tmp_path: Path, seed: int) -> None:
    with emulator() as running:
        finish(running.url, tmp_path / "whole", 8)
        expected = circuits_paid(running)
    options: dict[str, Any] = {"silence": 3, "late": 0.05, "retry_after": 0.05, "list_children": True}
    with emulator(faults=0.2, fault_seed=seed, **options) as running:
        finish(running.url, tmp_path / "faulty", 8)
        faults = running.requests()["faults"]
        paid = circuits_paid(running)
        charged = running.charged()
    assert sum(faults.values()) >= 10
    assert paid == expected
    assert charged == pytest.approx(24 * 25.7899)  # two steps and a validation an epoch
    assert_same_run(tmp_path / "whole", tmp_path / "faulty")


def test_some_requests_failing_changes_nothing(tmp_path: Path, emulate: Any) -> None:
    forced = ["error-after-accept:1", "job-fails:2", "gateway-timeout:3", "rate-limit:status:1", "drop:results:1"]
    with emulate() as running:
        finish(running.url, tmp_path / "whole", 1)
        expected = circuits_paid(running)
    with emulate(force=forced, retry_after=0.05) as running:
        finish(running.url, tmp_path / "faulty", 1)
        assert len(running.requests()["faults"]) == 5
        assert circuits_paid(running) == expected
    assert_same_run(tmp_path / "whole", tmp_path / "faulty")


def here(running: RunningEmulator, directory: Path, **settings: Any) -> Here:
    options = {"remote_host": running.url, "api_key": "emulator-key", "minimum": "per_job", "pacing": QUICK}
    return Here(get_backend("ionq.qpu", **options), directory, **settings)


def test_a_step_is_one_job_sent_once_and_fetched_once(tmp_path: Path, emulate: Any) -> None:
    with emulate() as running:
        here(running, tmp_path / "run").train()
        requests = running.requests()["requests"]
        assert requests["submit"] == requests["results"] == requests["cost"] == 1
        (entry,) = running.ledger()
    assert entry.circuits == 12


def test_a_budget_is_never_passed_by_a_cent_and_the_run_goes_on_when_it_is_raised(tmp_path: Path, emulate: Any) -> None:
    with emulate() as running:
        run = here(running, tmp_path / "run", budget=Budget(usd=100.0), epochs=40)
        with pytest.raises(BudgetExceededError, match=r"raise the budget and resume"):
            run.train()
        assert running.charged() == pytest.approx(3 * 25.7899)
        raised = here(running, tmp_path / "run", budget=Budget(usd=130.0), epochs=5)
        raised.train(resume=True)
        assert running.charged() == pytest.approx(5 * 25.7899)


@pytest.mark.slow
def test_ctrl_c_leaves_jobs_running_and_cancel_asks_the_service(tmp_path: Path) -> None:
    with emulator(queue=60) as running:
        environment = {**os.environ, "IONQ_REMOTE_HOST": running.url, "IONQ_API_KEY": "emulator-key"}
        interrupt_a_run(running, tmp_path / "run", environment, backend="ionq.qpu")
        assert [entry.state for entry in running.ledger()] == ["submitted"]
        assert running.ledger()[0].id in qstore("jobs", tmp_path / "run", environment=environment)
        qstore("cancel", tmp_path / "run", environment=environment)
        assert [entry.state for entry in running.ledger()] == ["canceled"]
        assert running.charged() == 0.0


def test_the_fixture_needs_no_settings(ionq_emulator: RunningEmulator, tmp_path: Path) -> None:
    backend = get_backend("ionq.qpu")
    model = QuantumModel(2, 2, 2, backend)
    config = TrainingConfig(epochs=1, gradient_method="spsa", shots_per_circuit=5, seed=1, run_directory=tmp_path / "r")
    QuantumTrainer(config, progress=False).fit(model, [[0.1, 0.2], [0.3, 0.4]], [0, 1])
    assert len(ionq_emulator.ledger()) == 1


@pytest.mark.parametrize("target", ["simulator", "qpu.aria-1"])
def test_configurations_of_q_store_find_it_by_name(
    target: str, ionq_emulator: RunningEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IONQ_API_KEY")
    config = TrainingConfig(
        quantum_sdk="ionq",
        quantum_target=target,
        quantum_api_key="emulator-key",
        gradient_method="spsa",
        epochs=1,
        shots_per_circuit=5,
        seed=1,
        run_directory=tmp_path / "run",
    )
    QuantumTrainer(config, progress=False).fit(QuantumModel(2, 2, 2), [[0.1, 0.2], [0.3, 0.4]], [0, 1])
    (entry,) = ionq_emulator.ledger()
    assert (entry.backend, entry.charged) == (target, {"simulator": 0.0, "qpu.aria-1": 12.4166}[target])


@pytest.mark.slow
def test_the_example_rehearses_a_run_and_says_what_it_cost(tmp_path: Path) -> None:
    example = Path(__file__).parents[3] / "examples" / "train_on_ionq.py"
    done = subprocess.run(
        [sys.executable, "-W", "error", str(example), "--epochs", "1", "--queue", "0"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "One step: 16 circuits, 1,600 shots, 1 jobs, 25.79 to 412.64 USD" in done.stdout
    assert "It cost:  48 circuits, 4,800 shots, 3 jobs, 77.37 USD" in done.stdout
    command = [sys.executable, str(example), "--service"]
    keyless = {name: value for name, value in os.environ.items() if name != "IONQ_API_KEY"}
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=keyless)
    assert refused.stderr.startswith("train_on_ionq: IonQ needs an API key")
