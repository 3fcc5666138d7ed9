"""Calling a function in a process that knows nothing of this one."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from qstore_core.testing.expect import CheckFailedError

T = TypeVar("T")

_CHILD = """
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
function, arguments = pickle.load(sys.stdin.buffer)
answer = pickle.dumps(function(*arguments))
sys.stdout.buffer.write(b"\\n--answer--\\n" + answer)
"""


def call_in_fresh_process(function: Callable[..., T], *arguments: Any, timeout: float = 600.0) -> T:
    """What a function returns in a new process, which imports it by its name.

    Raises:
        CheckFailedError: The function or an argument cannot be sent there, or it raised there.

    >>> call_in_fresh_process(max, 1, 2)
    2
    """
    try:
        task = pickle.dumps((function, arguments))
    except Exception as error:
        raise CheckFailedError(
            f"a new process cannot make this backend ({type(error).__name__}: {error}); let make_backend return "
            "something that can be imported: the class, or functools.partial(MyBackend, url=...)"
        ) from error
    done = subprocess.run(
        [sys.executable, "-c", _CHILD],
        input=pickle.dumps(list(sys.path)) + task,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    _, found, answer = done.stdout.partition(b"\n--answer--\n")
    if not found:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise CheckFailedError(f"in a new process: {said[-1] if said else f'exit status {done.returncode}'}")
    result: T = pickle.loads(answer)
    return result
