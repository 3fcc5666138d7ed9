"""Coroutines for callers without `await`: their results, their errors, and Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from qstore_core.checkpoint import load_checkpoint
from qstore_core.synchronous import run_sync

TRAINING = """
import asyncio, signal, sys, threading
import numpy as np
from qstore_core import QuantumModel, QuantumTrainer, TrainingConfig

async def main():
    before = signal.getsignal(signal.SIGINT)
    x, y = np.random.default_rng(1).normal(size=(20, 2)), np.array([0, 1] * 10)
    config = TrainingConfig(epochs=10**6, run_directory=sys.argv[2], seed=1)
    try:
        QuantumTrainer(config, progress=False).fit(QuantumModel(2, 2, 2), x, y)
    except KeyboardInterrupt:
        print("interrupted", signal.getsignal(signal.SIGINT) is before, threading.active_count(), flush=True)
        raise

if sys.argv[1] == "script":
    asyncio.run(main())
else:
    asyncio.new_event_loop().run_until_complete(main())  # as a notebook does: SIGINT raises KeyboardInterrupt
"""


async def answer() -> int:
    await asyncio.sleep(0)
    return 42


async def failure() -> None:
    raise LookupError("nothing there")


async def waiting(work: Any) -> Any:
    return run_sync(work)


def inside_a_loop(work: Any) -> Any:
    return asyncio.run(waiting(work))


@pytest.mark.parametrize("run", [run_sync, inside_a_loop])
def test_it_gives_what_the_coroutine_gives(run: Any) -> None:
    assert run(answer()) == 42
    with pytest.raises(LookupError, match="nothing there"):
        run(failure())


@pytest.mark.parametrize("kind", ["script", "notebook"])
def test_the_first_interrupt_in_a_running_loop_stops_the_run_with_a_checkpoint(kind: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", TRAINING, kind, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            while not (tmp_path / "metrics.jsonl").exists() and process.poll() is None:
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert output == "interrupted True 1\n"
    assert errors.splitlines()[-1] == "KeyboardInterrupt"
    last = (tmp_path / "metrics.jsonl").read_text().splitlines()[-1]
    assert f'"step": {load_checkpoint(tmp_path / "checkpoint.npz").step},' in last


def test_a_second_interrupt_is_raised_at_once() -> None:
    pressed = iter(range(2))  # no more than two, so that none is left over for pytest

    async def stubborn() -> None:
        for _ in pressed:
            with suppress(asyncio.CancelledError):
                signal.pthread_kill(main_thread.ident, signal.SIGINT)
                await asyncio.sleep(0.5)
        await asyncio.sleep(0.5)

    main_thread, before = threading.main_thread(), signal.getsignal(signal.SIGINT)
    with closing(asyncio.new_event_loop()) as loop, pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(waiting(stubborn()))
    assert "qstore-fit" in [thread.name for thread in threading.enumerate()]
    assert signal.getsignal(signal.SIGINT) is before


def test_in_another_thread_signals_are_left_alone() -> None:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(inside_a_loop(answer())))
    thread.start()
    thread.join()
    assert found == [42]


def test_an_ignored_interrupt_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)

    async def watched() -> Any:
        return signal.getsignal(signal.SIGINT)

    try:
        with closing(asyncio.new_event_loop()) as loop:
            assert loop.run_until_complete(waiting(watched())) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
