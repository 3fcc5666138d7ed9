"""The registry, with distributions that exist only in memory and plugins that are made on the spot."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import Distribution
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from qstore_core import hookimpl, hookspecs, registry
from qstore_core.errors import (
    ConfigurationError,
    PluginCollisionError,
    PluginError,
    PluginLoadError,
    PluginVersionError,
    UnknownNameError,
)
from qstore_core.hookspecs import Register
from qstore_core.loading import HOOKS
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


@pytest.fixture(autouse=True)
def _no_selection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QSTORE_PLUGINS", raising=False)


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModuleType]:
    """Makes an importable module that holds the given functions."""

    def make(name: str, **members: object) -> ModuleType:
        made = ModuleType(name)
        vars(made).update(members)
        monkeypatch.setitem(sys.modules, name, made)
        return made

    return make


@pytest.fixture
def healthy(module: Callable[..., ModuleType]) -> Installed:
    module("qstore_healthy", register_backends=backends("healthy", "healthy.fast"))
    return installed("healthy")


def registry_of(*distributions: Distribution) -> Registry:
    return Registry(lambda: distributions)


def info(found: Registry, name: str) -> PluginInfo:
    return next(plugin for plugin in found.plugins() if plugin.name == name)


# What is there


def test_every_hook_is_documented_and_belongs_to_a_kind() -> None:
    hooks = {name for name, value in vars(hookspecs).items() if hasattr(value, f"{hookspecs.PROJECT}_spec")}
    assert hooks == set(HOOKS.values())
    assert all((vars(hookspecs)[hook].__doc__ or "").startswith("Register ") for hook in hooks)


def test_built_ins_are_there_without_any_distribution() -> None:
    found = registry_of()
    assert {"adjoint", "finite_difference", "parameter_shift", "spsa"} <= set(found.names("gradient_estimator"))
    assert {"hardware_efficient", "rotations"} <= set(found.names("ansatz"))
    assert [plugin.name for plugin in found.plugins()] == ["built-in"]


def test_every_built_in_can_be_imported() -> None:
    found = registry_of()
    for kind in HOOKS:
        for registration in found.registrations(kind):
            assert callable(found.resolve(kind, registration.name))


def test_nothing_is_searched_or_imported_before_the_first_question(healthy: Installed) -> None:
    searches: list[int] = []

    def search() -> Iterator[Distribution]:
        searches.append(1)
        yield healthy

    found = Registry(search)
    assert not searches
    assert found.names("backend") == ("healthy", "healthy.fast")
    assert found.names("backend")
    assert len(searches) == 1


def test_plugins_tell_where_they_come_from(module: Callable[..., ModuleType]) -> None:
    module("qstore_mine", register_backends=backends("mine"))
    plugin = info(registry_of(installed("mine", core=">=0.1,<0.2")), "mine")
    assert (plugin.distribution, plugin.version, plugin.core_range) == ("dist-mine", "1.0", "<0.2,>=0.1")
    assert [(each.name, each.path, each.summary) for each in plugin.registrations] == [
        ("mine", "builtins:dict", "the mine backend")
    ]
    assert plugin.error is None


def test_create_calls_what_the_name_stands_for(healthy: Installed) -> None:
    assert registry_of(healthy).create("backend", "healthy", size=3) == {"size": 3}


class Sized:
    def __init__(self, *, size: int = 1, label: str = "") -> None:
        self.size = size


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"siz": 2}, "backend 'sized' got an unexpected keyword argument 'siz'; it accepts: size, label"),
        ({"size": 2, "colour": 1}, "unexpected keyword argument 'colour'"),
    ],
)
def test_unknown_options_are_named_with_those_that_are_accepted(
    module: Callable[..., ModuleType], options: dict[str, int], message: str
) -> None:
    module("sizes", Sized=Sized)
    found = registry_of()
    found.register(module("qstore_sized", register_backends=backends("sized", path="sizes:Sized")))
    with pytest.raises(ConfigurationError, match=message):
        found.create("backend", "sized", **options)
    assert found.create("backend", "sized", size=2).size == 2


def test_a_type_error_inside_a_constructor_is_not_taken_for_a_wrong_option(module: Callable[..., ModuleType]) -> None:
    def broken() -> None:
        raise TypeError("inside")

    module("inner", broken=broken)
    found = registry_of()
    found.register(module("qstore_inner", register_backends=backends("inner", path="inner:broken")))
    with pytest.raises(TypeError, match=r"^inside$"):
        found.create("backend", "inner")


def test_a_name_that_stands_for_a_value_cannot_be_called(module: Callable[..., ModuleType]) -> None:
    found = registry_of()
    found.register(module("qstore_value", register_backends=backends("value", path="sys:maxsize")))
    with pytest.raises(PluginLoadError, match="backend 'value' is a int, which cannot be called"):
        found.create("backend", "value")


def test_get_backend_refuses_what_is_no_backend(
    monkeypatch: pytest.MonkeyPatch, module: Callable[..., ModuleType]
) -> None:
    found = registry_of()
    monkeypatch.setattr(registry, "_default", found)
    registry.register(module("qstore_dictionary", register_backends=backends("dictionary")))
    with pytest.raises(PluginLoadError, match="is a dict; it must be a subclass of Backend"):
        registry.get_backend("dictionary")


# Broken plugins


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
    module: Callable[..., ModuleType],
    healthy: Installed,
    members: dict[str, object],
    kind: type[PluginError],
    message: str,
) -> None:
    module("qstore_bad", **members)
    found = registry_of(installed("bad"), healthy)
    assert found.names("backend") == ("healthy", "healthy.fast")
    assert isinstance(info(found, "bad").error, kind)
    for name in ("bad", "bad.fast"):
        with pytest.raises(kind, match=message):
            found.create("backend", name)


@pytest.mark.parametrize("source", ["import not_installed_anywhere", "raise SystemExit(1)", "def broken(", "1 / 0"])
def test_a_plugin_that_fails_to_import_keeps_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, healthy: Installed, source: str
) -> None:
    (tmp_path / "qstore_unimportable.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    found = registry_of(installed("unimportable"), healthy)
    assert found.names("backend") == ("healthy", "healthy.fast")
    with pytest.raises(PluginLoadError, match="plugin 'unimportable' failed to import: ") as caught:
        found.resolve("cache", "unimportable")
    assert caught.value.__cause__ is not None


def test_ctrl_c_during_discovery_is_not_swallowed_and_the_next_call_begins_anew(
    module: Callable[..., ModuleType], healthy: Installed
) -> None:
    interruptions: list[BaseException] = [KeyboardInterrupt()]

    @hookimpl
    def register_backends(register: Register) -> None:
        if interruptions:
            raise interruptions.pop()
        register("slow", "builtins:dict")

    module("qstore_slow", register_backends=register_backends)
    found = registry_of(healthy, installed("slow"))
    with pytest.raises(KeyboardInterrupt):
        found.plugins()
    assert found.names("backend") == ("healthy", "healthy.fast", "slow")


def test_a_path_that_fails_to_import_tells_plugin_path_and_reason(module: Callable[..., ModuleType]) -> None:
    found = registry_of()
    found.register(module("qstore_late", register_backends=backends("late", path="qstore_late_backend:Late")))
    with pytest.raises(
        PluginLoadError,
        match="plugin 'late': backend 'late' cannot be imported from 'qstore_late_backend:Late': ModuleNotFoundError",
    ) as caught:
        found.resolve("backend", "late")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_an_error_that_is_raised_twice_does_not_grow(healthy: Installed) -> None:
    found = registry_of(installed("absent", "qstore_absent_module"))

    def depth() -> int:
        with pytest.raises(PluginLoadError) as caught:
            found.resolve("backend", "absent")
        return len(caught.traceback)

    assert depth() == depth()


# Names


def test_two_distributions_with_one_plugin_name_both_stay_out(
    module: Callable[..., ModuleType], healthy: Installed
) -> None:
    module("qstore_twin", register_backends=backends("twin"))
    rivals = installed("twin", name="first"), installed("twin", name="second", version="2.0")
    found = registry_of(*rivals, healthy)
    assert found.names("backend") == ("healthy", "healthy.fast")
    with pytest.raises(PluginCollisionError, match=r"'twin' is declared by first 1.0 and second 2.0"):
        found.resolve("backend", "twin.fast")


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_one_distribution_found_twice_on_the_path_is_no_collision(healthy: Installed, version: str) -> None:
    found = registry_of(healthy, installed("healthy", name="DIST_healthy", version=version))
    assert info(found, "healthy").error is None
    assert info(found, "healthy").version == "1.0"


def test_one_distribution_may_hold_several_plugins(module: Callable[..., ModuleType]) -> None:
    module("qstore_red", register_backends=backends("red"))
    module("qstore_blue", register_backends=backends("blue"))
    both = installed("red")
    both.files_by_name["entry_points.txt"] = "[qstore]\nred = qstore_red\nblue = qstore_blue\n"
    assert registry_of(both).names("backend") == ("blue", "red")


@pytest.mark.parametrize("name", ["spsa", "rotations", "built-in"])
def test_built_in_names_are_reserved(module: Callable[..., ModuleType], name: str) -> None:
    plugin = module("qstore_usurper", register_backends=backends(name))
    found = registry_of(installed(name, "qstore_usurper"))
    usurper = found.plugins()[-1]
    assert isinstance(usurper.error, PluginCollisionError)
    assert "reserved" in str(usurper.error)
    assert found.plugins()[0].registrations
    with pytest.raises(PluginCollisionError, match="reserved"):
        registry_of().register(plugin, name=name)


@pytest.mark.parametrize("name", ["healthy.other", "Healthy", "9lives", "__main__"])
def test_a_plugin_name_has_no_dots_capitals_or_leading_digits(module: Callable[..., ModuleType], name: str) -> None:
    plugin = module("qstore_oddity", register_backends=backends("healthy.other"))
    found = registry_of(installed(name, "qstore_oddity"))
    assert "cannot name a plugin" in str(info(found, name).error)
    with pytest.raises(PluginLoadError, match="cannot name a plugin"):
        registry_of().register(plugin, name=name)


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        (
            "backend",
            "healty",
            "unknown backend 'healty'; did you mean 'healthy'? Known: healthy, healthy.fast. A plugin is",
        ),
        ("backend", "ionq.qpu", "To install 'ionq': pip install ./plugins/qstore_ionq"),
        ("backend", "moc", "To install 'mock': pip install ./plugins/qstore_mock"),
        ("backend", "healthy.slow", "Plugin 'healthy' is installed, but registers no such backend"),
        (
            "cache",
            "redis",
            "unknown cache 'redis'; Known: memory, sqlite. A plugin is a distribution with an entry point",
        ),
        ("gradient_estimator", "spas", "unknown gradient estimator 'spas'; did you mean 'spsa'?"),
    ],
)
def test_an_unknown_name_tells_what_there_is_and_how_to_get_more(
    healthy: Installed, kind: Any, name: str, message: str
) -> None:
    with pytest.raises(UnknownNameError) as caught:
        registry_of(healthy).resolve(kind, name)
    assert message in str(caught.value)


# Which core


@pytest.mark.parametrize("core", [">=0.1,<0.2", "", "~=0.1.0", ">=0.1.0.dev0", '>=9; extra == "other"'])
def test_a_core_in_range_is_accepted(module: Callable[..., ModuleType], core: str) -> None:
    module("qstore_mine", register_backends=backends("mine"))
    assert registry_of(installed("mine", core=core)).names("backend") == ("mine",)


def test_a_pre_release_of_the_core_counts(module: Callable[..., ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qstore_core.discovery.__version__", "0.2.0rc1")
    module("qstore_mine", register_backends=backends("mine"))
    assert registry_of(installed("mine", core=">=0.1,<1")).names("backend") == ("mine",)


def test_a_core_out_of_range_keeps_the_plugin_from_being_imported(
    module: Callable[..., ModuleType], healthy: Installed
) -> None:
    found = registry_of(installed("future", "qstore_never_imported", core=">=0.9"), healthy)
    with pytest.raises(PluginVersionError, match=r"plugin 'future' needs qstore-core>=0.9, but qstore-core 0.1.0 is"):
        found.resolve("backend", "future")
    assert found.names("backend") == ("healthy", "healthy.fast")


# Damaged metadata


def test_damaged_distributions_without_plugins_are_passed_over(healthy: Installed) -> None:
    damaged = Installed(entry_points_txt="[console_scripts]\nnot an entry point\n"), Installed(), Installed(METADATA="")
    assert registry_of(*damaged, healthy).names("backend") == ("healthy", "healthy.fast")


def test_damaged_metadata_of_a_plugin_is_its_error(module: Callable[..., ModuleType], healthy: Installed) -> None:
    module("qstore_torn", register_backends=backends("torn"))
    torn = Installed(entry_points_txt="[qstore]\ntorn = qstore_torn\n")
    found = registry_of(torn, healthy)
    with pytest.raises(PluginLoadError, match="plugin 'torn': the file METADATA of its distribution cannot be read"):
        found.resolve("backend", "torn")
    assert found.names("backend") == ("healthy", "healthy.fast")


def test_a_requirement_that_is_none_is_the_plugins_error(module: Callable[..., ModuleType]) -> None:
    module("qstore_torn", register_backends=backends("torn"))
    assert "METADATA" in str(info(registry_of(installed("torn", core=" about 3")), "torn").error)


def test_damaged_entry_points_are_listed_under_the_distribution() -> None:
    damaged = Installed(METADATA="Name: dist-torn\nVersion: 1\n", entry_points_txt="[qstore]\nnot an entry point\n")
    assert "entry_points.txt" in str(info(registry_of(damaged), "dist-torn").error)


def test_entry_points_that_cannot_be_decoded_are_passed_over(healthy: Installed) -> None:
    class Undecodable(Installed):
        def read_text(self, filename: str) -> str | None:
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    assert registry_of(Undecodable(), healthy).names("backend") == ("healthy", "healthy.fast")


# QSTORE_PLUGINS


def test_qstore_plugins_narrows_and_says_what_it_left_out(
    module: Callable[..., ModuleType], healthy: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QSTORE_PLUGINS", " healthy ,")
    found = registry_of(healthy, installed("other", "qstore_never_imported"))
    assert [plugin.name for plugin in found.plugins()] == ["built-in", "healthy"]
    with pytest.raises(UnknownNameError, match="Plugin 'other' is installed, but QSTORE_PLUGINS leaves it out"):
        found.resolve("backend", "other")


@pytest.mark.parametrize("value", ["", " ", ","])
def test_an_empty_qstore_plugins_leaves_the_built_ins(
    healthy: Installed, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("QSTORE_PLUGINS", value)
    found = registry_of(healthy)
    assert [plugin.name for plugin in found.plugins()] == ["built-in"]
    assert "spsa" in found.names("gradient_estimator")
    with pytest.raises(UnknownNameError, match="QSTORE_PLUGINS is empty, which turns plugins off"):
        found.resolve("backend", "healthy")


def test_a_plugin_that_qstore_plugins_names_in_vain_is_reported(
    healthy: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QSTORE_PLUGINS", "healthy,helthy,ionq")
    found = registry_of(healthy)
    assert "did you mean 'healthy'? Known: healthy. QSTORE_PLUGINS asks for it" in str(info(found, "helthy").error)
    with pytest.raises(UnknownNameError, match=r"pip install \./plugins/qstore_ionq"):
        found.resolve("backend", "ionq.qpu")


# register()


def test_register_names_a_module_without_its_prefix(module: Callable[..., ModuleType]) -> None:
    found = registry_of()
    made = found.register(module("somewhere.qstore_mine", register_backends=backends("mine")))
    assert (made.name, made.distribution) == ("mine", "")
    assert found.names("backend") == ("mine",)


class Mine:
    @hookimpl
    def register_caches(self, register: Register) -> None:
        register("mine", "builtins:dict")


class Fixed:
    @staticmethod
    @hookimpl
    def register_caches(register: Register) -> None:
        register("fixed", "builtins:dict")


@pytest.mark.parametrize(("plugin", "name"), [(Mine(), "mine"), (Fixed, "fixed")])
def test_register_takes_instances_and_classes(plugin: object, name: str) -> None:
    found = registry_of()
    found.register(plugin)
    assert found.resolve("cache", name) is builtins.dict


def test_registering_the_same_object_again_changes_nothing() -> None:
    found, plugin = registry_of(), Mine()
    assert found.register(plugin) is found.register(plugin)


def test_register_refuses_a_name_that_is_taken(healthy: Installed) -> None:
    found = registry_of(healthy)
    with pytest.raises(PluginCollisionError, match="plugin name 'healthy' is taken by dist-healthy"):
        found.register(Mine(), name="healthy")
    found.register(Mine())
    with pytest.raises(PluginCollisionError, match=r"'mine' is taken by an earlier call of register\(\)"):
        found.register(Mine())


def test_register_refuses_one_object_under_two_names() -> None:
    found, plugin = registry_of(), Mine()
    found.register(plugin)
    with pytest.raises(PluginCollisionError, match="the same object as plugin 'mine'"):
        found.register(plugin, name="other")
    assert found.names("cache") == ("memory", "mine", "sqlite")


def test_register_raises_at_once_and_can_be_called_again(module: Callable[..., ModuleType]) -> None:
    found = registry_of()
    plugin = module("qstore_mine", register_backend=backends("mine"))
    with pytest.raises(PluginLoadError, match="did you mean 'register_backends'"):
        found.register(plugin)
    del plugin.register_backend
    plugin.register_backends = backends("mine")  # type: ignore[attr-defined]
    found.register(plugin)
    assert found.names("backend") == ("mine",)


def test_a_plugin_may_ask_the_registry_while_it_loads(module: Callable[..., ModuleType]) -> None:
    seen: list[tuple[str, ...]] = []

    @hookimpl
    def register_backends(register: Register) -> None:
        seen.append(found.names("ansatz"))
        register("asking", "builtins:dict")

    module("qstore_asking", register_backends=register_backends)
    found = registry_of(installed("asking"))
    assert found.names("backend") == ("asking",)
    assert "rotations" in seen[0]
