"""The registry: what is there before and after plugins are found, and what `register` adds."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from importlib.metadata import Distribution
from types import ModuleType

import pytest
from plugins_in_memory import Installed, backends, info, installed, registry_of

from qstore_core import hookimpl, hookspecs, registry
from qstore_core.errors import ConfigurationError, PluginCollisionError, PluginLoadError
from qstore_core.hookspecs import Register
from qstore_core.loading import HOOKS
from qstore_core.registry import Registry


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


def test_nothing_is_searched_or_imported_before_the_first_question(healthy_plugin: Installed) -> None:
    searches: list[int] = []

    def search() -> Iterator[Distribution]:
        searches.append(1)
        yield healthy_plugin

    found = Registry(search)
    assert not searches
    assert found.names("backend") == ("healthy", "healthy.fast")
    assert found.names("backend")
    assert len(searches) == 1


def test_plugins_tell_where_they_come_from(make_module: Callable[..., ModuleType]) -> None:
    make_module("qstore_mine", register_backends=backends("mine"))
    plugin = info(registry_of(installed("mine", core=">=0.1,<0.2")), "mine")
    assert (plugin.distribution, plugin.version, plugin.core_range) == ("dist-mine", "1.0", "<0.2,>=0.1")
    assert [(each.name, each.path, each.summary) for each in plugin.registrations] == [
        ("mine", "builtins:dict", "the mine backend")
    ]
    assert plugin.error is None


def test_create_calls_what_the_name_stands_for(healthy_plugin: Installed) -> None:
    assert registry_of(healthy_plugin).create("backend", "healthy", size=3) == {"size": 3}


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
    make_module: Callable[..., ModuleType], options: dict[str, int], message: str
) -> None:
    make_module("sizes", Sized=Sized)
    found = registry_of()
    found.register(make_module("qstore_sized", register_backends=backends("sized", path="sizes:Sized")))
    with pytest.raises(ConfigurationError, match=message):
        found.create("backend", "sized", **options)
    assert found.create("backend", "sized", size=2).size == 2


def test_a_type_error_inside_a_constructor_is_not_taken_for_a_wrong_option(
    make_module: Callable[..., ModuleType],
) -> None:
    def broken() -> None:
        raise TypeError("inside")

    make_module("inner", broken=broken)
    found = registry_of()
    found.register(make_module("qstore_inner", register_backends=backends("inner", path="inner:broken")))
    with pytest.raises(TypeError, match=r"^inside$"):
        found.create("backend", "inner")


def test_a_name_that_stands_for_a_value_cannot_be_called(make_module: Callable[..., ModuleType]) -> None:
    found = registry_of()
    found.register(make_module("qstore_value", register_backends=backends("value", path="sys:maxsize")))
    with pytest.raises(PluginLoadError, match="backend 'value' is a int, which cannot be called"):
        found.create("backend", "value")


def test_get_backend_refuses_what_is_no_backend(
    monkeypatch: pytest.MonkeyPatch, make_module: Callable[..., ModuleType]
) -> None:
    found = registry_of()
    monkeypatch.setattr(registry, "_default", found)
    registry.register(make_module("qstore_dictionary", register_backends=backends("dictionary")))
    with pytest.raises(PluginLoadError, match="is a dict; it must be a subclass of Backend"):
        registry.get_backend("dictionary")


# register()
def test_register_names_a_module_without_its_prefix(make_module: Callable[..., ModuleType]) -> None:
    found = registry_of()
    made = found.register(make_module("somewhere.qstore_mine", register_backends=backends("mine")))
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


def test_register_refuses_a_name_that_is_taken(healthy_plugin: Installed) -> None:
    found = registry_of(healthy_plugin)
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


def test_register_raises_at_once_and_can_be_called_again(make_module: Callable[..., ModuleType]) -> None:
    found = registry_of()
    plugin = make_module("qstore_mine", register_backend=backends("mine"))
    with pytest.raises(PluginLoadError, match="did you mean 'register_backends'"):
        found.register(plugin)
    del plugin.register_backend
    plugin.register_backends = backends("mine")  # type: ignore[attr-defined]
    found.register(plugin)
    assert found.names("backend") == ("mine",)


def test_a_plugin_may_ask_the_registry_while_it_loads(make_module: Callable[..., ModuleType]) -> None:
    seen: list[tuple[str, ...]] = []

    @hookimpl
    def register_backends(register: Register) -> None:
        seen.append(found.names("ansatz"))
        register("asking", "builtins:dict")

    make_module("qstore_asking", register_backends=register_backends)
    found = registry_of(installed("asking"))
    assert found.names("backend") == ("asking",)
    assert "rotations" in seen[0]
