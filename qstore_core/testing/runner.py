"""Running a suite without pytest, for the command line and for programs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal
from unittest import SkipTest

from qstore_core.errors import QStoreError
from qstore_core.loading import located, reason


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one check.

    Attributes:
        name: The method's name.
        about: What it checks, the first line of its docstring.
        state: "passed", "failed" or "skipped".
        reason: Why it failed or was skipped, in one line.

    >>> Outcome("test_it_answers", "An answer comes.", "failed", "no answer").title
    'it answers'
    """

    name: str
    about: str
    state: Literal["passed", "failed", "skipped"]
    reason: str = ""

    @property
    def title(self) -> str:
        """The name as words."""
        return self.name.removeprefix("test_").replace("_", " ")


def run_suite(suite: object, **fixtures: Any) -> list[Outcome]:
    """The outcome of every check of a suite, in its order.

    Args:
        suite: An instance of a suite.
        **fixtures: What its methods ask for, such as `make_backend=MyBackend`.

    >>> from qstore_core import MemoryCache
    >>> from qstore_core.testing import CacheSuite
    >>> {outcome.state for outcome in run_suite(CacheSuite(), make_cache=MemoryCache)}
    {'passed'}
    """
    return list(iterate_suite(suite, **fixtures))


def iterate_suite(suite: object, *, only: str | None = None, **fixtures: Any) -> Iterator[Outcome]:
    """`run_suite`, one outcome at a time as they come; `only` those whose names contain a text.

    >>> from qstore_core import MemoryCache
    >>> from qstore_core.testing import CacheSuite
    >>> [outcome.state for outcome in iterate_suite(CacheSuite(), only="threads", make_cache=MemoryCache)]
    ['passed']
    """
    wanted = None if only is None else only.replace(" ", "_")
    chosen = [(name, check) for name, check in checks_of(suite) if wanted is None or wanted in name]
    for name, check in chosen:
        asked = {each: fixtures[each] for each in inspect.signature(check).parameters}
        yield _outcome(name, check, asked)


def checks_of(suite: object) -> list[tuple[str, Callable[..., None]]]:
    """The checks of a suite by name, in the order in which their classes define them.

    >>> from qstore_core.testing import CacheSuite
    >>> checks_of(CacheSuite())[0][0]
    'test_what_was_put_is_there'
    """
    names = dict.fromkeys(name for kind in type(suite).__mro__ for name in vars(kind) if name.startswith("test_"))
    return [(name, getattr(suite, name)) for name in names]


def _outcome(name: str, check: Callable[..., None], fixtures: dict[str, Any]) -> Outcome:
    about = (inspect.getdoc(check) or "").partition("\n")[0]
    try:
        check(**fixtures)
    except SkipTest as skipped:
        return Outcome(name, about, "skipped", str(skipped))
    except AssertionError as failure:
        return Outcome(name, about, "failed", _line(failure))
    except Exception as error:
        return Outcome(name, about, "failed", reason(error) if isinstance(error, QStoreError) else located(error))
    return Outcome(name, about, "passed")


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
