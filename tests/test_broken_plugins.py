"""Plugins that are broken, damaged or for another core cost only their own names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from plugins_in_memory import Installed, backends, info, installed, registry_of

from qstore_core import hookimpl
from qstore_core.errors import PluginCollisionError, PluginError, PluginLoadError, PluginVersionError
from qstore_core.hookspecs import Register


def raising(error: BaseException) -> Callable[[Register], None]:
    @hookimpl
    def register_backends(register: Register) -> None:
        raise error

    return register_backends


def unmarked(register: Register) -> None:
    """A hook without `@hookimpl`."""


@hookimpl
def misspelt(register: Register) -> None:
    """What a module holds as `register_backend`."""


@hookimpl(specname="register_ansatz")
def misnamed(register: Register) -> None:
    """A hook that gives a wrong name itself."""


@hookimpl
def misread(registry: Register) -> None:
    """A hook whose argument has another name."""


@pytest.mark.parametrize(
    ("members", "kind", "message"),
    [
        ({}, PluginLoadError, "plugin 'bad' implements no hook; mark a function with @hookimpl"),
        ({"register_backends": unmarked}, PluginLoadError, "implements no hook"),
        (
            {"register_backend": misspelt},
            PluginLoadError,
            "plugin 'bad' implements 'register_backend', which is no hook; did you mean 'register_backends'",
        ),
        (
            {"anything": misnamed},
            PluginLoadError,
            "did you mean 'register_ansatze'",
        ),
        ({"register_caches": misread}, PluginLoadError, "plugin 'bad' misuses a hook: .*registry"),
        ({"register_backends": raising(OSError("no disc"))}, PluginLoadError, "misuses a hook: OSError: no disc"),
        ({"register_backends": raising(SystemExit(3))}, PluginLoadError, "misuses a hook: SystemExit: 3"),
        (
            {"register_backends": backends("bad", "healthy.other")},
            PluginLoadError,
            r"plugin 'bad' registers backend 'healthy.other', which it does not own; it may register 'bad' and 'bad.<",
        ),
        ({"register_backends": backends("badly")}, PluginLoadError, "does not own"),
        ({"register_backends": backends("bad", "bad")}, PluginCollisionError, "backend 'bad' twice"),
        ({"register_backends": backends("bad.")}, PluginLoadError, "a name looks like 'bad' or"),
        ({"register_backends": backends("bad", path="bad.backend")}, PluginLoadError, "give an import path such as"),
    ],
)
def test_a_broken_plugin_costs_only_its_own_names(
    make_module: Callable[..., ModuleType],
    healthy_plugin: Installed,
    members: dict[str, object],
    kind: type[PluginError],
    message: str,
) -> None:
    make_module("qstore_bad", **members)
    found = registry_of(installed("bad"), healthy_plugin)
    assert found.names("backend") == ("healthy", "healthy.fast")
    assert isinstance(info(found, "bad").error, kind)
    for name in ("bad", "bad.fast"):
        with pytest.raises(kind, match=message):
            found.create("backend", name)


@pytest.mark.parametrize("source", ["import not_installed_anywhere", "raise SystemExit(1)", "def broken(", "1 / 0"])
def test_a_plugin_that_fails_to_import_keeps_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, healthy_plugin: Installed, source: str
) -> None:
    (tmp_path / "qstore_unimportable.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    found = registry_of(installed("unimportable"), healthy_plugin)
    assert found.names("backend") == ("healthy", "healthy.fast")
    with pytest.raises(PluginLoadError, match="plugin 'unimportable' failed to import: ") as caught:
        found.resolve("cache", "unimportable")
    assert caught.value.__cause__ is not None


def test_ctrl_c_during_discovery_is_not_swallowed_and_the_next_call_begins_anew(
    make_module: Callable[..., ModuleType], healthy_plugin: Installed
) -> None:
    interruptions: list[BaseException] = [KeyboardInterrupt()]

    @hookimpl
    def register_backends(register: Register) -> None:
        if interruptions:
            raise interruptions.pop()
        register("slow", "builtins:dict")

    make_module("qstore_slow", register_backends=register_backends)
    found = registry_of(healthy_plugin, installed("slow"))
    with pytest.raises(KeyboardInterrupt):
        found.plugins()
    assert found.names("backend") == ("healthy", "healthy.fast", "slow")


def test_a_path_that_fails_to_import_tells_plugin_path_and_reason(make_module: Callable[..., ModuleType]) -> None:
    found = registry_of()
    found.register(make_module("qstore_late", register_backends=backends("late", path="qstore_late_backend:Late")))
    with pytest.raises(
        PluginLoadError,
        match="plugin 'late': backend 'late' cannot be imported from 'qstore_late_backend:Late': ModuleNotFoundError",
    ) as caught:
        found.resolve("backend", "late")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_an_error_that_is_raised_twice_does_not_grow(healthy_plugin: Installed) -> None:
    found = registry_of(installed("absent", "qstore_absent_module"))

    def depth() -> int:
        with pytest.raises(PluginLoadError) as caught:
            found.resolve("backend", "absent")
        return len(caught.traceback)

    assert depth() == depth()


# Which core
@pytest.mark.parametrize("core", [">=0.1,<0.2", "", "~=0.1.0", ">=0.1.0.dev0", '>=9; extra == "other"'])
def test_a_core_in_range_is_accepted(make_module: Callable[..., ModuleType], core: str) -> None:
    make_module("qstore_mine", register_backends=backends("mine"))
    assert registry_of(installed("mine", core=core)).names("backend") == ("mine",)


def test_a_pre_release_of_the_core_counts(
    make_module: Callable[..., ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qstore_core.discovery.__version__", "0.2.0rc1")
    make_module("qstore_mine", register_backends=backends("mine"))
    assert registry_of(installed("mine", core=">=0.1,<1")).names("backend") == ("mine",)


def test_a_core_out_of_range_keeps_the_plugin_from_being_imported(
    make_module: Callable[..., ModuleType], healthy_plugin: Installed
) -> None:
    found = registry_of(installed("future", "qstore_never_imported", core=">=0.9"), healthy_plugin)
    with pytest.raises(PluginVersionError, match=r"plugin 'future' needs qstore-core>=0.9, but qstore-core 0.1.0 is"):
        found.resolve("backend", "future")
    assert found.names("backend") == ("healthy", "healthy.fast")


# Damaged metadata
def test_damaged_distributions_without_plugins_are_passed_over(healthy_plugin: Installed) -> None:
    damaged = Installed(entry_points_txt="[console_scripts]\nnot an entry point\n"), Installed(), Installed(METADATA="")
    assert registry_of(*damaged, healthy_plugin).names("backend") == ("healthy", "healthy.fast")


def test_damaged_metadata_of_a_plugin_is_its_error(
    make_module: Callable[..., ModuleType], healthy_plugin: Installed
) -> None:
    make_module("qstore_torn", register_backends=backends("torn"))
    torn = Installed(entry_points_txt="[qstore]\ntorn = qstore_torn\n")
    found = registry_of(torn, healthy_plugin)
    with pytest.raises(PluginLoadError, match="plugin 'torn': the file METADATA of its distribution cannot be read"):
        found.resolve("backend", "torn")
    assert found.names("backend") == ("healthy", "healthy.fast")


def test_a_requirement_that_is_none_is_the_plugins_error(make_module: Callable[..., ModuleType]) -> None:
    make_module("qstore_torn", register_backends=backends("torn"))
    assert "METADATA" in str(info(registry_of(installed("torn", core=" about 3")), "torn").error)


def test_damaged_entry_points_are_listed_under_the_distribution() -> None:
    damaged = Installed(METADATA="Name: dist-torn\nVersion: 1\n", entry_points_txt="[qstore]\nnot an entry point\n")
    assert "entry_points.txt" in str(info(registry_of(damaged), "dist-torn").error)


def test_entry_points_that_cannot_be_decoded_are_passed_over(healthy_plugin: Installed) -> None:
    class Undecodable(Installed):
        def read_text(self, filename: str) -> str | None:
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    assert registry_of(Undecodable(), healthy_plugin).names("backend") == ("healthy", "healthy.fast")
