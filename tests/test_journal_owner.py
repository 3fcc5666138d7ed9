"""A journal file has one owner at a time, and its cap holds for all of them together."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from faulty_provider import Faulty, Provider, as_simulated, batch, run

from qstore_core import Budget, BudgetExceededError, CircuitBatchManager, JobState, JournalError
from qstore_core.executor import Executor

BUSY = r"another executor, of this process or another, is at work on the journal .*journal\.sqlite; wait until"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


async def at_work(executor: Executor, provider: Provider) -> asyncio.Task[object]:
    """A task that waits for a job."""
    task: asyncio.Task[object] = asyncio.create_task(executor.run((batch(),)))
    while not provider.jobs:
        await asyncio.sleep(0.001)
    return task


def test_another_executor_is_refused_while_the_first_is_at_work(provider: Provider, path: Path) -> None:
    provider.ends = [JobState.QUEUED] * 30

    async def both() -> None:
        first = Executor.on(Faulty(provider), journal_path=path)
        second = Executor.on(Faulty(provider), journal_path=path.parent / "." / path.name)
        task = await at_work(first, provider)
        with pytest.raises(JournalError, match=BUSY):
            await second.run((batch(seed=1),))
        with pytest.raises(JournalError, match=BUSY):
            await CircuitBatchManager.of(second).cancel_all()
        await first.run((batch(seed=2),))  # its own work may overlap
        await task
        await second.run((batch(),))
        assert second.spent == first.spent
        assert second.spent.circuits == 8

    asyncio.run(both())
    assert provider.posts == 2
    assert provider.cancelled == []


def test_another_process_is_refused_until_the_work_ends(provider: Provider, path: Path) -> None:
    program = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from faulty_provider import Executor, Faulty, Provider, batch, run\n"
        "run(Executor.on(Faulty(Provider()), journal_path=sys.argv[1]), batch())\n"
    )

    def elsewhere() -> subprocess.CompletedProcess[str]:
        root = Path(__file__).parents[1]
        given = [sys.executable, "-c", program, str(path)]
        return subprocess.run(given, cwd=root, capture_output=True, text=True, check=False)

    provider.ends = [JobState.QUEUED] * 10**6

    async def meanwhile() -> None:
        task = await at_work(Executor.on(Faulty(provider), journal_path=path), provider)
        refused = await asyncio.to_thread(elsewhere)
        assert "JournalError: another executor, of this process or another, is at work" in refused.stderr
        provider.ends = []
        await task

    asyncio.run(meanwhile())
    assert elsewhere().returncode == 0


def test_executors_that_take_turns_keep_the_cap_together(provider: Provider, path: Path) -> None:
    executors = [Executor.on(Faulty(provider), journal_path=path, budget=Budget(circuits=12)) for _ in range(2)]
    for seed in range(3):
        run(executors[seed % 2], batch(seed=seed))
    for executor in executors:
        with pytest.raises(BudgetExceededError, match="12 spent or reserved"):
            run(executor, batch(seed=9))
    assert provider.circuits_paid == 12


def test_a_job_that_another_executor_brought_in_is_settled_once(provider: Provider, path: Path) -> None:
    provider.ends = [JobState.QUEUED] * 1000
    first, second = (Executor.on(Faulty(provider), journal_path=path) for _ in range(2))
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(first.run((batch(),)), 0.05))
    provider.ends = []
    run(second, batch(seed=1))
    (result,) = run(first, batch())
    assert as_simulated(result)
    assert first.spent == second.spent
    assert first.spent.circuits == provider.circuits_paid == 8


def test_a_journal_that_cannot_be_locked_is_an_error(provider: Provider, path: Path) -> None:
    executor = Executor.on(Faulty(provider), journal_path=path)
    Path(f"{path}.lock").mkdir()
    with pytest.raises(JournalError, match="cannot lock the journal"):
        run(executor, batch())
    assert provider.posts == 0
