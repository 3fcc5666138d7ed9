"""The whole plugin interface: five hooks, each handed `register` to call once for every name it adds.

A plugin's `__init__.py` is a manifest that imports nothing heavy; what a path points at is imported when its name is
first used:

    from qstore_core import hookimpl

    @hookimpl
    def register_backends(register):
        register("mine", "qstore_mine.backend:MyBackend", summary="one line for `qstore backends`")

and its `pyproject.toml` says where the manifest is:

    [project.entry-points.qstore]
    mine = "qstore_mine"

A plugin `mine` owns the names `mine` and `mine.<variant>` of every kind, and no others.
"""

from __future__ import annotations

from typing import Protocol

import pluggy

PROJECT = "qstore"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Register(Protocol):
    """Adds one name; `path` is "module:attribute", something to call with the user's options."""

    def __call__(self, name: str, path: str, *, summary: str = "") -> None: ...


@hookspec
def register_backends(register: Register) -> None:
    """Register backends: subclasses of `LocalBackend` or `RemoteBackend`."""


@hookspec
def register_gradient_estimators(register: Register) -> None:
    """Register gradient estimators: classes with the methods of `GradientEstimator`."""


@hookspec
def register_caches(register: Register) -> None:
    """Register caches: classes with the methods of `Cache`."""


@hookspec
def register_stores(register: Register) -> None:
    """Register stores of vectors: classes with the methods of `Store`."""


@hookspec
def register_ansatze(register: Register) -> None:
    """Register ansatze: classes with the methods of `Ansatz`.

    One called `<plugin>.<package>` is also what makes an ansatz of other libraries' circuits: `QuantumModel(ansatz=c)`
    calls it with `circuit=c` when the class of `c` comes from that package.
    """
