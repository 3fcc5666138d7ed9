"""Names to things: what is installed, who registered it, and the class or function that a name stands for."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from qstore_core.backend import Backend
from qstore_core.discovery import (
    CORE,
    SELECTION_VARIABLE,
    Candidate,
    collision,
    find_candidates,
    installed_distributions,
    selected_plugins,
)
from qstore_core.errors import (
    ConfigurationError,
    PluginCollisionError,
    PluginError,
    PluginLoadError,
    QStoreError,
    UnknownNameError,
)
from qstore_core.hookspecs import PROJECT
from qstore_core.loading import BUILT_IN, Kind, PluginLoader, Registration, check_plugin_name, reason
from qstore_core.version import __version__

if TYPE_CHECKING:
    from importlib.metadata import Distribution

FIRST_PARTY = ("aer", "ionq", "mock", "pinecone")


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """A plugin, what it registers, and the error that keeps it from being used, if any.

    `distribution` is empty for a plugin that was registered in this process; `core_range` is what the plugin's
    metadata asks of qstore-core, such as ">=0.1,<0.2".
    """

    name: str
    distribution: str = ""
    version: str = ""
    core_range: str = ""
    registrations: tuple[Registration, ...] = ()
    error: QStoreError | None = None


class Registry:
    """Every registered name of every kind, found when it is first asked for one.

    Args:
        distributions: gives the distributions to search for plugins; by default all that are installed.
    """

    def __init__(self, distributions: Callable[[], Iterable[Distribution]] | None = None) -> None:
        self._distributions = distributions or installed_distributions
        self._lock = threading.RLock()
        self._clear()

    def plugins(self) -> tuple[PluginInfo, ...]:
        """The built-ins, then every plugin by name, broken ones included."""
        with self._lock:
            self._discover()
            return (self._built_ins, *(self._plugins[name] for name in sorted(self._plugins)))

    def registrations(self, kind: Kind) -> tuple[Registration, ...]:
        """What is registered of one kind, by name."""
        found = (each for plugin in self.plugins() for each in plugin.registrations if each.kind == kind)
        return tuple(sorted(found, key=lambda registration: registration.name))

    def names(self, kind: Kind) -> tuple[str, ...]:
        """The registered names of one kind, sorted."""
        return tuple(registration.name for registration in self.registrations(kind))

    def resolve(self, kind: Kind, name: str) -> Any:
        """The class or function that a name stands for, imported now.

        Raises:
            UnknownNameError: nothing of this kind has the name; the message says how to install it.
            PluginError: the plugin that owns the name is broken, or what it registered cannot be imported.
        """
        return self.find(kind, name).load()

    def find(self, kind: Kind, name: str) -> Registration:
        """What is registered under a name, not imported; where there is nothing it raises what `resolve` raises."""
        for registration in self.registrations(kind):
            if registration.name == name:
                return registration
        raise self._missing(kind, name)

    def create(self, kind: Kind, name: str, **options: Any) -> Any:
        """What a name stands for, called with `options`, which are checked against its signature first.

        Raises:
            UnknownNameError: nothing of this kind has the name.
            ConfigurationError: options that it does not take.
            PluginError: it cannot be imported.
        """
        factory = self.resolve(kind, name)
        if not callable(factory):
            raise PluginLoadError(f"{_words(kind)} {name!r} is a {type(factory).__name__}, which cannot be called")
        _check_options(kind, name, factory, options)
        try:
            return factory(**options)
        except QStoreError:
            raise
        except ValueError as error:
            raise ConfigurationError(f"{_words(kind)} {name!r}: {reason(error)}") from error

    def register(self, plugin: object, *, name: str | None = None) -> PluginInfo:
        """Add a plugin, a module or any object with hook implementations, for the life of this process.

        Args:
            plugin: what holds the functions marked with `@hookimpl`.
            name: the plugin's name, which every name it registers begins with; by default that of the module
                without "qstore_", or of the class in lower case.
        """
        chosen = name or _default_name(plugin)
        with self._lock:
            self._discover()
            if self._loader.holds(chosen, plugin):  # a notebook cell that ran twice
                return self._plugins[chosen]
            self._check_free(chosen)
            info = PluginInfo(chosen, registrations=self._loader.load(chosen, lambda: plugin))
            self._plugins[chosen] = info
            return info

    def _clear(self) -> None:
        self._discovered = False
        self._loader = PluginLoader()
        self._built_ins = PluginInfo(BUILT_IN, CORE, __version__)
        self._plugins: dict[str, PluginInfo] = {}
        self._wanted: frozenset[str] | None = None
        self._hidden: frozenset[str] = frozenset()

    def _discover(self) -> None:
        if self._discovered:
            return
        # Set before anything is imported: a plugin that asks the registry while it loads sees what there is so far.
        self._discovered = True
        try:
            self._load_built_ins()
            self._load_installed()
        except BaseException:  # Ctrl-C while a plugin was imported: the next call begins anew
            self._clear()
            raise

    def _load_built_ins(self) -> None:
        from qstore_core import defaults

        registrations = self._loader.load(BUILT_IN, lambda: defaults)
        self._built_ins = replace(self._built_ins, registrations=registrations)

    def _load_installed(self) -> None:
        wanted = self._wanted = selected_plugins()
        if wanted is not None and not wanted:
            return
        candidates = find_candidates(self._distributions())
        for name, group in groupby(candidates, key=lambda candidate: candidate.name):
            if wanted is None or name in wanted:
                self._plugins[name] = self._load_rivals(name, list(group))
        installed = {candidate.name for candidate in candidates}
        self._hidden = frozenset(installed - wanted if wanted is not None else ())
        for name in sorted((wanted or frozenset()) - installed):
            self._plugins[name] = PluginInfo(name, error=self._not_installed(name, installed))

    def _load_rivals(self, name: str, rivals: list[Candidate]) -> PluginInfo:
        if len(rivals) > 1:
            owners = ", ".join(rival.distribution for rival in rivals)
            return PluginInfo(name, owners, error=collision(rivals))
        return self._load(rivals[0])

    def _load(self, found: Candidate) -> PluginInfo:
        registrations: tuple[Registration, ...] = ()
        error = found.error
        if found.entry_point is not None and error is None:
            try:
                self._check_name(found.name)
                registrations = self._loader.load(found.name, found.entry_point.load)
            except PluginError as problem:
                error = problem
        return PluginInfo(found.name, found.distribution, found.version, found.core_range, registrations, error)

    def _check_name(self, name: str) -> None:
        check_plugin_name(name, {registration.name for registration in self._built_ins.registrations})

    def _check_free(self, name: str) -> None:
        self._check_name(name)
        if name in self._plugins:
            owner = self._plugins[name].distribution or "an earlier call of register()"
            raise PluginCollisionError(f"plugin name {name!r} is taken by {owner}; pass another with name=")

    def _missing(self, kind: Kind, name: str) -> QStoreError:
        owner = str(name).partition(".")[0]
        for plugin in (self._plugins.get(str(name)), self._plugins.get(owner)):
            if plugin is not None and plugin.error is not None:
                # One stored error may be raised many times; each time with the traceback of that time only.
                return plugin.error.with_traceback(None)
        return UnknownNameError.of(_words(kind), name, self.names(kind), advice=self._advice(kind, owner))

    def _advice(self, kind: Kind, owner: str) -> str:
        if owner in self._plugins:
            return f"Plugin {owner!r} is installed, but registers no such {_words(kind)}"
        if self._wanted == frozenset():
            return f"{SELECTION_VARIABLE} is empty, which turns plugins off"
        if owner in self._hidden:
            return f"Plugin {owner!r} is installed, but {SELECTION_VARIABLE} leaves it out"
        return self._install_advice(owner)

    def _not_installed(self, name: str, installed: Iterable[str]) -> UnknownNameError:
        advice = f"{SELECTION_VARIABLE} asks for it. {self._install_advice(name)}"
        return UnknownNameError.of("plugin", name, installed, advice=advice)

    def _install_advice(self, plugin: str) -> str:
        absent = [name for name in FIRST_PARTY if name not in self._plugins]
        import difflib  # here, because few programs meet this error

        for name in difflib.get_close_matches(plugin, absent, n=1):
            return f"To install {name!r}: pip install ./plugins/qstore_{name}"
        return f"A plugin is a distribution with an entry point in group {PROJECT!r}: install the one that provides it"


_default = Registry()


def default_registry() -> Registry:
    """The registry that the library and the command line share."""
    return _default


def get_backend(name: str, **options: Any) -> Backend:
    """A new backend by name, such as "mock" or "ionq.simulator", with the options that its class takes.

    Raises:
        UnknownNameError: no plugin brings it; the message says what to install.
        PluginError: the plugin that owns the name is broken.
        ConfigurationError: an option that the backend does not have.

    >>> get_backend("mock", memory_bytes=2**20).capabilities.exact
    True
    """
    backend = _default.create("backend", name, **options)
    if not isinstance(backend, Backend):
        raise PluginLoadError(f"backend {name!r} is a {type(backend).__name__}; it must be a subclass of Backend")
    return backend


def plugins() -> tuple[PluginInfo, ...]:
    """The built-ins, then every installed plugin by name, broken ones included with their error.

    >>> plugins()[0].name
    'built-in'
    """
    return _default.plugins()


def register(plugin: object, *, name: str | None = None) -> PluginInfo:
    """Add a plugin, a module or any object with hook implementations, for the life of this process.

    >>> from qstore_core import hookimpl
    >>> class Toy:
    ...     @hookimpl
    ...     def register_backends(self, register):
    ...         register("toy", "qstore_mock.backend:MockBackend", summary="a simulator under another name")
    >>> register(Toy()).name
    'toy'
    >>> get_backend("toy").name
    'mock'
    """
    return _default.register(plugin, name=name)


def _check_options(kind: Kind, name: str, factory: Callable[..., object], options: dict[str, Any]) -> None:
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):  # some classes written in C tell nothing
        return
    try:
        signature.bind(**options)
    except TypeError as error:
        accepted = [str(each.name) for each in signature.parameters.values() if each.kind is not each.VAR_POSITIONAL]
        raise ConfigurationError(
            f"{_words(kind)} {name!r} {error}; it accepts: {', '.join(accepted) or 'no options'}"
        ) from None


def _default_name(plugin: object) -> str:
    if inspect.ismodule(plugin):
        return plugin.__name__.rpartition(".")[2].removeprefix("qstore_")
    return (plugin if isinstance(plugin, type) else type(plugin)).__name__.lower()


def _words(kind: Kind) -> str:
    return kind.replace("_", " ")
