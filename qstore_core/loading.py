"""Loading one plugin at a time through pluggy, so that a broken one costs only its own names.

Left to itself pluggy lets one plugin's failing import end the loading of all, stops calling a hook at the first
implementation that raises, and keeps silent about a misspelt hook.
"""

from __future__ import annotations

import pkgutil
import re
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import pluggy

from qstore_core import hookspecs
from qstore_core.errors import PluginCollisionError, PluginError, PluginLoadError

Kind = Literal["backend", "gradient_estimator", "cache", "store", "ansatz"]

HOOKS: Mapping[Kind, str] = MappingProxyType(
    {
        "backend": "register_backends",
        "gradient_estimator": "register_gradient_estimators",
        "cache": "register_caches",
        "store": "register_stores",
        "ansatz": "register_ansatze",
    }
)

BUILT_IN = "built-in"

_PLUGIN_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_NAME = re.compile(r"[a-z][\w-]*(\.[\w-]+)*")
_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True, slots=True)
class Registration:
    """A name of one kind and the import path that stands for it."""

    kind: Kind
    name: str
    path: str
    plugin: str
    summary: str = ""

    def load(self) -> Any:
        """Import what the path points at, or raise `PluginLoadError` with the reason."""
        try:
            return pkgutil.resolve_name(self.path)
        except (Exception, SystemExit) as error:
            raise PluginLoadError(
                f"plugin {self.plugin!r}: {self.kind.replace('_', ' ')} {self.name!r} cannot be imported "
                f"from {self.path!r}: {reason(error)}"
            ) from error


class PluginLoader:
    """A pluggy manager that takes in plugins one by one."""

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)

    def load(self, name: str, find: Callable[[], object]) -> tuple[Registration, ...]:
        """What the plugin that `find` imports registers; on any failure a `PluginError`, and nothing of it stays."""
        try:
            plugin = find()
        except (Exception, SystemExit) as error:
            raise PluginLoadError(f"plugin {name!r} failed to import: {reason(error)}") from error
        return self._take_in(name, plugin)

    def holds(self, name: str, plugin: object) -> bool:
        """Whether this very object is loaded under this name."""
        return self._manager.has_plugin(name) and self._manager.get_plugin(name) is plugin

    def _take_in(self, name: str, plugin: Any) -> tuple[Registration, ...]:
        if self._manager.is_registered(plugin):
            other = self._manager.get_name(plugin)
            raise PluginCollisionError(f"plugin {name!r} is the same object as plugin {other!r}; keep one name for it")
        try:
            self._manager.register(plugin, name)
            self._check_hooks(name, plugin)
            return self._collect(name, plugin)
        except (Exception, SystemExit) as error:
            if self._manager.is_registered(plugin):
                self._manager.unregister(plugin)
            if isinstance(error, PluginError):
                raise
            raise PluginLoadError(f"plugin {name!r} misuses a hook: {reason(error)}") from error

    def _check_hooks(self, name: str, plugin: Any) -> None:
        callers = self._manager.get_hookcallers(plugin)
        if not callers:
            raise PluginLoadError(
                f"plugin {name!r} implements no hook; mark a function with @hookimpl and call it one of "
                f"{', '.join(HOOKS.values())}"
            )
        try:
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            import difflib  # here, because few programs meet this error

            unknown = next(caller.name for caller in callers if not caller.has_spec())
            nearest = difflib.get_close_matches(unknown, HOOKS.values(), n=1, cutoff=0.0)[0]
            raise PluginLoadError(
                f"plugin {name!r} implements {unknown!r}, which is no hook; did you mean {nearest!r}?"
            ) from error

    def _collect(self, name: str, plugin: Any) -> tuple[Registration, ...]:
        others = [other for other in self._manager.get_plugins() if other is not plugin]
        collected: dict[tuple[Kind, str], Registration] = {}
        for kind, hook in HOOKS.items():
            register = _Collector(kind, name, collected)
            self._manager.subset_hook_caller(hook, remove_plugins=others)(register=register)
        return tuple(collected.values())


@dataclass(frozen=True, slots=True)
class _Collector:
    """The `register` that one plugin's hook of one kind is called with."""

    kind: Kind
    plugin: str
    collected: dict[tuple[Kind, str], Registration]

    def __call__(self, name: str, path: str, *, summary: str = "") -> None:
        self._check(name, path)
        registration = Registration(self.kind, name, path, self.plugin, summary)
        if (self.kind, name) in self.collected:
            raise PluginCollisionError(f"plugin {self.plugin!r} registers {self.kind} {name!r} twice; drop one")
        self.collected[self.kind, name] = registration

    def _check(self, name: str, path: str) -> None:
        plugin = self.plugin
        if not (isinstance(name, str) and _NAME.fullmatch(name)):
            raise PluginLoadError(
                f"plugin {plugin!r} registers {name!r}; a name looks like {plugin!r} or '{plugin}.<variant>'"
            )
        if plugin != BUILT_IN and name.partition(".")[0] != plugin:
            raise PluginLoadError(
                f"plugin {plugin!r} registers {self.kind} {name!r}, which it does not own; "
                f"it may register {plugin!r} and '{plugin}.<variant>'"
            )
        if not (isinstance(path, str) and _PATH.fullmatch(path)):
            raise PluginLoadError(
                f"plugin {plugin!r} registers {name!r} as {path!r}; "
                "give an import path such as 'package.module:attribute'"
            )


def check_plugin_name(name: str, reserved: Iterable[str]) -> None:
    """Raise `PluginError` unless a plugin may be called `name`."""
    if name == BUILT_IN or name in reserved:
        raise PluginCollisionError(f"plugin name {name!r} is reserved for what ships with qstore-core; choose another")
    if not _PLUGIN_NAME.fullmatch(name):
        raise PluginLoadError(
            f"{name!r} cannot name a plugin; use lower-case letters, digits, '_' and '-', starting with a letter"
        )


def reason(error: BaseException) -> str:
    """An error in one line, as its kind and its message.

    >>> reason(ModuleNotFoundError("No module named 'qiskit_aer'"))
    "ModuleNotFoundError: No module named 'qiskit_aer'"
    """
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")


def located(error: BaseException) -> str:
    """`reason`, with the file and line where the error was raised.

    >>> try:
    ...     {}["angle"]
    ... except KeyError as error:
    ...     located(error).startswith("KeyError: 'angle' (")
    True
    """
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return reason(error) + place
