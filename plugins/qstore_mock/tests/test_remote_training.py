"""Training on the simulated provider: nothing lost, nothing paid twice, whatever happens."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import time
from itertools import pairwise
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
from qstore_mock.remote.process import RunningProvider, provider
from run_files import steps_of

from qstore_core import (
    ArrayLoader,
    Budget,
    BudgetExceededError,
    JournalError,
    QuantumModel,
    QuantumTrainer,
    TrainingConfig,
    get_backend,
)
from qstore_core.checkpoint import load_checkpoint

PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from qstore_core import ArrayLoader, Pacing, QuantumModel, QuantumTrainer, TrainingConfig, get_backend

url, directory, epochs = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
generator = np.random.default_rng(5)
y = generator.integers(0, 2, 12)
x = generator.normal(0.0, 0.5, (12, 2)) + 0.5 * (2 * y[:, None] - 1)
pacing = Pacing(first_poll=0.02, longest_poll=0.1, find_grace=0.5, request_patience=30.0, first_retry=0.02)
backend = get_backend("mock.remote", url=url, request_timeout=2.0, pacing=pacing)
config = TrainingConfig(epochs=epochs, gradient_method="spsa", shots_per_circuit=10, seed=3, run_directory=directory,
                        checkpoint_interval=2, learning_rate=0.05)
model = QuantumModel(2, 2, 2, backend)
trainer = QuantumTrainer(config, progress=False)
import asyncio
loader, held_out = ArrayLoader(x, y, batch_size=6), ArrayLoader(x, y, batch_size=12, shuffle=False)
asyncio.run(trainer.train(model, loader, held_out, resume=True))
"""


def start(url: str, directory: Path, epochs: int) -> subprocess.Popen[bytes]:
    return start_program(PROGRAM, url, directory, epochs)


def finish(url: str, directory: Path, epochs: int) -> None:
    process = start(url, directory, epochs)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors.decode()


@pytest.mark.slow
def test_thirty_kills_lose_nothing_and_pay_nothing_twice(tmp_path: Path) -> None:
    epochs, accepted = 40, tmp_path / "accepted"
    options: dict[str, Any] = {"price_circuit": "0.01", "queue": 0.05}
    with provider(**options) as running:
        finish(running.url, tmp_path / "whole", epochs)
        expected = circuits_paid(running)
    assert set(expected.values()) == {1}

    generator = np.random.default_rng(20261123)
    directory, kills, forced = tmp_path / "killed", 0, 0
    with provider(**options) as running:
        while kills < 30:
            if forced < 6 and kills % 5 == 2:  # the instant between "the provider accepted" and "the id is recorded"
                running.restart(pause_after_accept=accepted, pause_at=1, pause_timeout=30)
                process = start(running.url, directory, epochs)
                while not accepted.exists():
                    assert process.poll() is None, "the run ended before it sent another job"
                    time.sleep(0.005)
                assert kill(process)
                accepted.unlink()
                running.restart(pause_after_accept=None, pause_at=None, pause_timeout=None)
                forced, kills = forced + 1, kills + 1
                continue
            process = start(running.url, directory, epochs)
            # some instants while it starts or recovers, the others after at most two more jobs: however fast the
            # machine is, thirty lives of at most four jobs cannot end a run of a hundred and twenty
            progress = int(generator.integers(0, 3))
            wait_for_jobs(running, process, len(running.ledger()) + progress)
            time.sleep(float(generator.uniform(0.0, 0.1) if progress else generator.uniform(0.05, 0.6)))
            assert kill(process), f"the run ended after {kills} kills"
            kills += 1
        finish(running.url, directory, epochs)
        paid = circuits_paid(running)
    assert forced >= 5
    assert paid == expected
    assert_same_run(tmp_path / "whole", directory)


def test_a_fifth_of_all_requests_failing_changes_nothing(tmp_path: Path) -> None:
    with provider(price_circuit="0.01") as running:
        finish(running.url, tmp_path / "whole", 4)
        expected = circuits_paid(running)
    with provider(price_circuit="0.01", faults=0.2, fault_seed=7, silence=3, late=0.05, retry_after=0.05) as running:
        finish(running.url, tmp_path / "faulty", 4)
        faults = running.requests()["faults"]
        paid = circuits_paid(running)
    assert sum(faults.values()) >= 10
    assert paid == expected
    assert_same_run(tmp_path / "whole", tmp_path / "faulty")


def here(running: RunningProvider, directory: Path, **settings: Any) -> Here:
    return Here(get_backend("mock.remote", url=running.url, pacing=QUICK), directory, **settings)


@pytest.mark.parametrize(("method", "circuits"), [("spsa", 12), ("parameter_shift", 6 * (1 + 2 * 6))])
def test_a_step_is_one_job_sent_once_and_fetched_once(tmp_path: Path, method: str, circuits: int) -> None:
    with provider() as running:
        run = here(running, tmp_path / "run", gradient_method=method)
        (metrics,) = run.train()
        requests = running.requests()["requests"]
        assert requests["submit"] == requests["results"] == requests["cost"] == 1
        assert requests["status"] >= 1
        (entry,) = running.ledger()
    assert entry.circuits == metrics.circuits == circuits
    assert metrics.jobs == 1


@pytest.mark.parametrize("method", ["spsa", "parameter_shift", "finite_difference"])
def test_a_budget_is_never_passed_by_a_cent_and_the_run_goes_on_when_it_is_raised(tmp_path: Path, method: str) -> None:
    step = {"spsa": 12, "parameter_shift": 78, "finite_difference": 78}[method]
    with provider(price_shot="0.0004") as running:
        price = step * 10 * 0.0004
        settings = {"gradient_method": method, "epochs": 40, "learning_rate": 0.05}
        run = here(running, tmp_path / "run", budget=Budget(usd=1.00), **settings)
        with pytest.raises(BudgetExceededError, match=r"raise the budget and resume"):
            run.train()
        paid = sum(entry.charged or 0.0 for entry in running.ledger())
        assert 1.00 - price < paid <= 1.00
        steps = load_checkpoint(tmp_path / "run" / "checkpoint.npz").step
        assert steps == round(paid / price)
        raised = here(running, tmp_path / "run", **{**settings, "epochs": steps + 2})
        raised.train(resume=True)
        assert sum(entry.charged or 0.0 for entry in running.ledger()) == pytest.approx((steps + 2) * price)


def test_a_budget_is_never_passed_by_a_cent_by_steps_of_changing_prices_either(tmp_path: Path) -> None:
    """The default method chooses samples, circuits and shots; what it cannot pay it does not send."""
    with provider(price_circuit="0.01", price_shot="0.0004") as running:
        settings = {"gradient_method": "adaptive", "epochs": 40, "learning_rate": 0.05, "shots_per_circuit": 100}
        run = here(running, tmp_path / "run", budget=Budget(usd=1.50), **settings)
        with pytest.raises(
            BudgetExceededError, match=r"the budget is 1.5 USD: .*: raise the budget and resume"
        ) as caught:
            run.train()
        needed = re.search(r"(\d+\.\d+) spent or reserved, and the next batch needs (\d+\.\d+)\.", str(caught.value))
        assert needed is not None
        paid = sum(entry.charged or 0.0 for entry in running.ledger())
        assert paid <= 1.50 < paid + float(needed[2])
        assert float(needed[1]) == pytest.approx(paid)
        steps = steps_of(tmp_path / "run")
        assert [step["usd"] for step in steps] == pytest.approx([entry.charged for entry in running.ledger()])
        assert [step["circuits"] for step in steps] == [entry.circuits for entry in running.ledger()]
        assert [step["usd"] for step in steps] == pytest.approx(
            [0.01 * step["circuits"] + 0.0004 * step["shots"] for step in steps]
        )
        assert load_checkpoint(tmp_path / "run" / "checkpoint.npz").step == len(steps) > 1
        raised = here(running, tmp_path / "run", **{**settings, "epochs": steps[-1]["epoch"] + 1})
        raised.train(resume=True)
        more = steps_of(tmp_path / "run")
        assert more[: len(steps)] == steps
        assert [step["circuits"] for step in more] == [entry.circuits for entry in running.ledger()]
        for epoch in range(1, more[-1]["epoch"] + 1):
            assert sum(step["samples"] for step in more if step["epoch"] == epoch) == len(run.x)
        assert set(circuits_paid(running).values()) == {1}


@pytest.mark.parametrize("batch_size", [4, 6])
def test_the_next_step_of_the_default_method_is_sent_with_the_validation_and_only_once(
    tmp_path: Path, batch_size: int
) -> None:
    """What is run ahead are the samples that the step takes, whatever the loader's batches are."""
    with provider(price_circuit="0.01", queue=0.2) as running:
        run = here(running, tmp_path / "run", epochs=3, gradient_method="adaptive", shots_per_circuit=20)
        loader = ArrayLoader(run.x, run.y, batch_size)
        held_out = ArrayLoader(run.x, run.y, 6, shuffle=False)
        trainer = QuantumTrainer(run.config, progress=False)
        history = asyncio.run(trainer.train(run.model, loader, held_out))
        jobs = sorted(running.ledger(), key=lambda entry: entry.accepted)
        overlaps = sum(later.accepted < earlier.due for earlier, later in pairwise(jobs))
        paid = circuits_paid(running)
    steps = steps_of(tmp_path / "run")
    assert set(paid.values()) == {1}
    assert overlaps == 2  # after each epoch but the last the next step waits together with the validation
    assert len(jobs) == len(steps) + 3
    assert sorted(entry.circuits for entry in jobs) == sorted([*(step["circuits"] for step in steps), *[6] * 3])
    for epoch in range(1, 4):
        assert sum(step["samples"] for step in steps if step["epoch"] == epoch) == 6
    assert {step["jobs"] for step in steps} == {1}
    total = trainer.spent
    charged, circuits = sum(entry.charged or 0.0 for entry in jobs), sum(entry.circuits for entry in jobs)
    shots = sum(entry.shots for entry in jobs)
    assert (total.circuits, total.shots, total.jobs) == (circuits, shots, len(jobs))
    assert total.usd_high == pytest.approx(charged)
    for name, whole in (("circuits", circuits), ("shots", shots), ("jobs", len(jobs)), ("usd", charged)):
        assert sum(getattr(metrics, name) for metrics in history) == pytest.approx(whole)
    assert sum(step["circuits"] for step in steps) == circuits - 3 * 6
    assert sum(step["shots"] for step in steps) == shots - 3 * 6 * 20
    assert sum(step["usd"] for step in steps) == pytest.approx(charged - 3 * 6 * 0.01)

    # without a validation nothing is run ahead, and every step is the same
    with provider(price_circuit="0.01") as running:
        alone = here(running, tmp_path / "alone", epochs=3, gradient_method="adaptive", shots_per_circuit=20)
        asyncio.run(QuantumTrainer(alone.config, progress=False).train(alone.model, loader))
    np.testing.assert_array_equal(alone.model.parameters, run.model.parameters)
    told = ("samples", "circuits", "shots", "loss")
    assert [[step[name] for name in told] for step in steps_of(tmp_path / "alone")] == [
        [step[name] for name in told] for step in steps
    ]


def test_a_step_that_was_run_ahead_is_found_by_the_run_that_goes_on(tmp_path: Path) -> None:
    """Interrupted while the validation and the next step wait: both are fetched, neither is sent again."""

    class StoppedError(Exception):
        pass

    def train(running: RunningProvider, name: str, *, stop_after: int | None = None) -> QuantumModel:
        run = here(running, tmp_path / name, epochs=3, gradient_method="adaptive", shots_per_circuit=20)
        fetch = run.backend.fetch

        async def failing(job_id: str, *arguments: Any) -> Any:
            if len(running.ledger()) == stop_after:
                raise StoppedError
            return await fetch(job_id, *arguments)

        run.backend.fetch = failing  # type: ignore[method-assign]
        held_out = ArrayLoader(run.x, run.y, 6, shuffle=False)
        trainer = QuantumTrainer(run.config, progress=False)
        asyncio.run(trainer.train(run.model, ArrayLoader(run.x, run.y, 4), held_out, resume=True))
        return run.model

    with provider(price_circuit="0.01", queue=0.1) as running:
        whole = train(running, "whole")
        expected = circuits_paid(running)
    steps = len([step for step in steps_of(tmp_path / "whole") if step["epoch"] == 1])
    with provider(price_circuit="0.01", queue=0.1) as running:
        with pytest.raises(StoppedError):
            train(running, "parts", stop_after=steps + 2)
        assert load_checkpoint(tmp_path / "parts" / "checkpoint.npz").step == steps
        parts = train(running, "parts")
        assert circuits_paid(running) == expected
    assert set(expected.values()) == {1}
    np.testing.assert_array_equal(parts.parameters, whole.parameters)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_the_next_step_is_sent_while_the_validation_is_waited_for(tmp_path: Path) -> None:
    with provider(price_circuit="0.01", queue=0.2) as running:
        run = here(running, tmp_path / "run", epochs=3)
        loader = ArrayLoader(run.x, run.y, 3)
        held_out = ArrayLoader(run.x, run.y, 6, shuffle=False)
        trainer = QuantumTrainer(run.config, progress=False)
        history = asyncio.run(trainer.train(run.model, loader, held_out))
        jobs = sorted(running.ledger(), key=lambda entry: entry.accepted)
        overlaps = sum(later.accepted < earlier.due for earlier, later in pairwise(jobs))
        paid = circuits_paid(running)
    assert set(paid.values()) == {1}
    # six steps and three validations; after the first and the second epoch a step and a validation wait together
    assert len(jobs) == 9
    assert overlaps == 2
    assert [(metrics.circuits, metrics.jobs) for metrics in history] == [(18, 3)] * 3
    steps = trainer.performance_tracker.steps
    assert [(record.circuits, record.jobs) for record in steps] == [(6, 1)] * 6
    assert sum(record.usd for record in steps) == pytest.approx(0.36)

    local = QuantumModel(2, 2, 2, get_backend("mock"))
    config = TrainingConfig(epochs=3, gradient_method="spsa", shots_per_circuit=10, seed=3)
    asyncio.run(QuantumTrainer(config, progress=False).train(local, loader, held_out))
    np.testing.assert_array_equal(run.model.parameters, local.parameters)


def test_a_paid_run_without_a_run_directory_gets_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with provider() as running:
        run = here(running, tmp_path / "unused")
        run.config = TrainingConfig(epochs=1, gradient_method="spsa", shots_per_circuit=10, seed=3)
        run.train()
    (made,) = (tmp_path / "runs").iterdir()
    assert {"journal.sqlite", "checkpoint.npz"} <= {path.name for path in made.iterdir()}


@pytest.mark.parametrize(("price", "budget", "told"), [("0.01", None, 1), ("0.01", Budget(usd=9), 0), ("0", None, 0)])
def test_a_paid_run_without_a_budget_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, price: str, budget: Budget | None, told: int
) -> None:
    with provider(price_circuit=price) as running:
        here(running, tmp_path / "run", epochs=2, budget=budget).train()
    assert caplog.text.count("no budget is set, and jobs on mock.remote cost money") == told


def test_ctrl_c_leaves_jobs_running_and_cancel_asks_the_provider(tmp_path: Path) -> None:
    with provider(queue=60) as running:
        environment = {**os.environ, "QSTORE_MOCK_URL": running.url}
        interrupt_a_run(running, tmp_path / "run", environment, backend="mock.remote")
        assert [entry.state for entry in running.ledger()] == ["queued"]
        shown = qstore("jobs", tmp_path / "run", environment=environment)
        assert "train step 1" in shown
        assert "submitted" in shown
        assert running.ledger()[0].id in shown
        qstore("cancel", tmp_path / "run", environment=environment)
        assert [entry.state for entry in running.ledger()] == ["cancelled"]


def test_a_run_whose_journal_is_gone_is_not_paid_again(tmp_path: Path) -> None:
    with provider() as running:
        here(running, tmp_path / "run").train()
        jobs = len(running.ledger())
        for path in (tmp_path / "run").glob("journal.sqlite*"):
            path.unlink()
        again = here(running, tmp_path / "run", epochs=2)
        with pytest.raises(JournalError, match=r"is missing, and the checkpoint knows of 1 job\(s\)"):
            again.train(resume=True)
        assert len(running.ledger()) == jobs


def test_resuming_at_another_provider_is_refused_while_a_job_is_open(tmp_path: Path) -> None:
    with provider(queue=60) as first, provider() as second:
        process = start(first.url, tmp_path / "run", 2)
        while not first.ledger():
            time.sleep(0.01)
        time.sleep(0.2)
        assert kill(process)
        process = start(second.url, tmp_path / "run", 2)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1
        assert b"a job of this run is open at another provider or account" in errors
        assert not second.ledger()
