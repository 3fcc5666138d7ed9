"""Distributions that exist only in memory, and the hooks of plugins that are made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

from qstore_core import hookimpl
from qstore_core.hookspecs import Register
from qstore_core.registry import PluginInfo, Registry


class Installed(Distribution):
    """A distribution in memory: the text of its files by name."""

    def __init__(self, **files: str | None) -> None:
        self.files_by_name = {name.replace("_txt", ".txt"): text for name, text in files.items()}

    def read_text(self, filename: str) -> str | None:
        return self.files_by_name.get(filename)

    def locate_file(self, path: Any) -> Path:
        return Path(path)


def installed(
    plugin: str, module: str | None = None, *, name: str = "", core: str = "", version: str = "1.0"
) -> Installed:
    requires = f"Requires-Dist: qstore-core{core}\n" if core else ""
    metadata = f"Metadata-Version: 2.1\nName: {name or 'dist-' + plugin}\nVersion: {version}\n{requires}"
    return Installed(METADATA=metadata, entry_points_txt=f"[qstore]\n{plugin} = {module or 'qstore_' + plugin}\n")


def backends(*names: str, path: str = "builtins:dict") -> Callable[[Register], None]:
    @hookimpl
    def register_backends(register: Register) -> None:
        for name in names:
            register(name, path, summary=f"the {name} backend")

    return register_backends


def registry_of(*distributions: Distribution) -> Registry:
    return Registry(lambda: distributions)


def info(found: Registry, name: str) -> PluginInfo:
    return next(plugin for plugin in found.plugins() if plugin.name == name)
