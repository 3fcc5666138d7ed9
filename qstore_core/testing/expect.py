"""How a check says what it found: nothing, a failure, or that it does not apply."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn
from unittest import SkipTest

import numpy as np
from numpy.typing import ArrayLike

from qstore_core.errors import QStoreError


class CheckFailedError(AssertionError):
    """A plugin is not right: what was expected, what was found, and where."""


def require(condition: object, message: str) -> None:
    """Fail with `message` unless the condition holds.

    >>> require(1 + 1 == 2, "arithmetic is broken")
    """
    if not condition:
        raise CheckFailedError(message)


def skip(reason: str) -> NoReturn:
    """End a check that does not apply; pytest and `run_suite` report the reason."""
    raise SkipTest(reason)


def require_close(found: ArrayLike, wanted: ArrayLike, tolerance: ArrayLike, what: str) -> None:
    """Fail unless each entry is within its tolerance; the message names the worst one.

    >>> require_close([0.1, 0.5], [0.1, 0.3], 0.1, "the outputs")
    Traceback (most recent call last):
        ...
    qstore_core.testing.expect.CheckFailedError: the outputs: 0.5 at [1], expected 0.3 to within 0.1
    """
    found, wanted = np.asarray(found), np.asarray(wanted)
    require(found.shape == wanted.shape, f"{what}: shape {found.shape}, expected {wanted.shape}")
    if not found.size:
        return
    excess = np.abs(found - wanted) - tolerance
    excess = np.where(np.isnan(excess), np.inf, excess)
    place = np.unravel_index(int(np.argmax(excess)), excess.shape)
    limit = np.broadcast_to(np.asarray(tolerance), excess.shape)[place]
    where = f" at {[int(index) for index in place]}" if place else ""
    require(
        excess[place] <= 0, f"{what}: {found[place]:.6g}{where}, expected {wanted[place]:.6g} to within {limit:.3g}"
    )


@contextmanager
def must_refuse(kind: type[QStoreError], what: str) -> Iterator[None]:
    """Fail unless the block raises an error of this kind.

    >>> with must_refuse(QStoreError, "a circuit of 99 qubits"):
    ...     raise QStoreError("too wide")
    """
    try:
        yield
    except kind as error:
        require(str(error).strip(), f"{what}: refused with a {type(error).__name__} that says nothing")
        require("\n" not in str(error), f"{what}: the error has several lines; say it in one: {str(error)!r}")
        return
    except SkipTest:
        raise
    except Exception as error:
        raise CheckFailedError(
            f"{what}: refused with {type(error).__name__}: {error}; raise {kind.__name__} or one of its kinds, which "
            "callers can catch"
        ) from error
    raise CheckFailedError(f"{what}: a result came back where {kind.__name__} is due")
