"""New plugins: complete packages from templates, which work and pass their suite as they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from types import MappingProxyType

from qstore_core.errors import ConfigurationError, PluginError, UnknownNameError
from qstore_core.loading import check_plugin_name
from qstore_core.registry import FIRST_PARTY, default_registry
from qstore_core.version import __version__


@dataclass(frozen=True, slots=True)
class PluginKind:
    """What one kind of plugin is called in its files.

    Attributes:
        module: The module of the implementation.
        suffix: What its class's name ends with.
        words: What it is, for its description.
    """

    module: str
    suffix: str
    words: str


KINDS: Mapping[str, PluginKind] = MappingProxyType(
    {
        "backend": PluginKind("backend", "Backend", "a backend"),
        "estimator": PluginKind("estimator", "Estimator", "a gradient estimator"),
        "cache": PluginKind("cache", "Cache", "a cache of results"),
        "store": PluginKind("store", "Store", "a store of vectors"),
        "ansatz": PluginKind("ansatz", "Ansatz", "an ansatz"),
    }
)
"""The kinds of plugins by the name that `qstore new-plugin --kind` takes."""

_NO_PLUGINS = ("compat", "core")  # of the distributions `qstore-...` that are qstore's own


def make_plugin(name: str, kind: str, parent: Path) -> Path:
    """Write a plugin's package into a new folder `qstore_<name>` of `parent`; returns the folder.

    Raises:
        ConfigurationError: A name that no plugin may have, or a folder that is there already.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = make_plugin("my-sim", "backend", Path(folder))
    ...     sorted(path.name for path in (made / "qstore_my_sim").iterdir())
    ['__init__.py', 'backend.py', 'py.typed']
    """
    if kind not in KINDS:
        raise UnknownNameError.of("kind of plugin", kind, KINDS)
    _check(name)
    values = _values(name, KINDS[kind])
    folder = parent / values["package"]
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise ConfigurationError(f"{folder} is there already; choose another name or --directory") from None
    except OSError as error:
        raise ConfigurationError(f"cannot make {folder}: {error.strerror or error}") from error
    for path, text in _contents(kind, values).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return folder


def _check(name: str) -> None:
    built_in = default_registry().plugins()[0]
    try:
        check_plugin_name(name, {registration.name for registration in built_in.registrations})
    except PluginError as error:
        raise ConfigurationError(str(error)) from error
    if name in FIRST_PARTY:
        raise ConfigurationError(f"plugin name {name!r} is that of qstore's own plugin; choose another")
    if name in _NO_PLUGINS:
        raise ConfigurationError(
            f"plugin name {name!r} would make a distribution qstore-{name}, which is qstore's own; choose another"
        )


def _values(name: str, kind: PluginKind) -> dict[str, str]:
    plain = name.replace("-", "_")
    camel = "".join(part.capitalize() for part in plain.split("_"))
    major, minor, *_ = __version__.split(".")
    return {
        "name": name,
        "distribution": f"qstore-{plain.replace('_', '-')}",
        "package": f"qstore_{plain}",
        "module": kind.module,
        "class_name": f"{camel}{kind.suffix}",
        "test_class": f"Test{camel}",
        "test_file": f"test_{plain}",
        "words": kind.words,
        "core_range": f">={major}.{minor},<{major}.{int(minor) + 1}",
    }


def _contents(kind: str, values: Mapping[str, str]) -> dict[str, str]:
    package = values["package"]
    return {
        "pyproject.toml": _filled("common/pyproject.toml", values),
        "README.md": _filled(f"{kind}/README.md", values),
        ".gitignore": _filled("common/gitignore", values),
        ".github/workflows/check.yml": _filled("common/check.yml", values),
        f"{package}/__init__.py": _filled(f"{kind}/manifest.py", values),
        f"{package}/{values['module']}.py": _filled(f"{kind}/implementation.py", values),
        f"{package}/py.typed": "",
        f"tests/{values['test_file']}.py": _filled(f"{kind}/test.py", values),
    }


def _filled(template: str, values: Mapping[str, str]) -> str:
    text = files("qstore_core.scaffold").joinpath(f"templates/{template}.tmpl").read_text(encoding="utf-8")
    return Template(text).substitute(values)
