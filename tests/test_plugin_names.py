"""Names of plugins: who may use which, what an unknown one is told, and which `QSTORE_PLUGINS` leaves."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from plugins_in_memory import Installed, backends, info, installed, registry_of

from qstore_core.errors import PluginCollisionError, PluginLoadError, UnknownNameError


def test_two_distributions_with_one_plugin_name_both_stay_out(
    make_module: Callable[..., ModuleType], healthy_plugin: Installed
) -> None:
    make_module("qstore_twin", register_backends=backends("twin"))
    rivals = installed("twin", name="first"), installed("twin", name="second", version="2.0")
    found = registry_of(*rivals, healthy_plugin)
    assert found.names("backend") == ("healthy", "healthy.fast")
    with pytest.raises(PluginCollisionError, match=r"'twin' is declared by first 1.0 and second 2.0"):
        found.resolve("backend", "twin.fast")


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_one_distribution_found_twice_on_the_path_is_no_collision(healthy_plugin: Installed, version: str) -> None:
    found = registry_of(healthy_plugin, installed("healthy", name="DIST_healthy", version=version))
    assert info(found, "healthy").error is None
    assert info(found, "healthy").version == "1.0"


def test_one_distribution_may_hold_several_plugins(make_module: Callable[..., ModuleType]) -> None:
    make_module("qstore_red", register_backends=backends("red"))
    make_module("qstore_blue", register_backends=backends("blue"))
    both = installed("red")
    both.files_by_name["entry_points.txt"] = "[qstore]\nred = qstore_red\nblue = qstore_blue\n"
    assert registry_of(both).names("backend") == ("blue", "red")


@pytest.mark.parametrize("name", ["spsa", "rotations", "built-in"])
def test_built_in_names_are_reserved(make_module: Callable[..., ModuleType], name: str) -> None:
    plugin = make_module("qstore_usurper", register_backends=backends(name))
    found = registry_of(installed(name, "qstore_usurper"))
    usurper = found.plugins()[-1]
    assert isinstance(usurper.error, PluginCollisionError)
    assert "reserved" in str(usurper.error)
    assert found.plugins()[0].registrations
    with pytest.raises(PluginCollisionError, match="reserved"):
        registry_of().register(plugin, name=name)


@pytest.mark.parametrize("name", ["healthy.other", "Healthy", "9lives", "__main__"])
def test_a_plugin_name_has_no_dots_capitals_or_leading_digits(
    make_module: Callable[..., ModuleType], name: str
) -> None:
    plugin = make_module("qstore_oddity", register_backends=backends("healthy.other"))
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
    healthy_plugin: Installed, kind: Any, name: str, message: str
) -> None:
    with pytest.raises(UnknownNameError) as caught:
        registry_of(healthy_plugin).resolve(kind, name)
    assert message in str(caught.value)


# QSTORE_PLUGINS
def test_qstore_plugins_narrows_and_says_what_it_left_out(
    make_module: Callable[..., ModuleType], healthy_plugin: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QSTORE_PLUGINS", " healthy ,")
    found = registry_of(healthy_plugin, installed("other", "qstore_never_imported"))
    assert [plugin.name for plugin in found.plugins()] == ["built-in", "healthy"]
    with pytest.raises(UnknownNameError, match="Plugin 'other' is installed, but QSTORE_PLUGINS leaves it out"):
        found.resolve("backend", "other")


@pytest.mark.parametrize("value", ["", " ", ","])
def test_an_empty_qstore_plugins_leaves_the_built_ins(
    healthy_plugin: Installed, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("QSTORE_PLUGINS", value)
    found = registry_of(healthy_plugin)
    assert [plugin.name for plugin in found.plugins()] == ["built-in"]
    assert "spsa" in found.names("gradient_estimator")
    with pytest.raises(UnknownNameError, match="QSTORE_PLUGINS is empty, which turns plugins off"):
        found.resolve("backend", "healthy")


def test_a_plugin_that_qstore_plugins_names_in_vain_is_reported(
    healthy_plugin: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QSTORE_PLUGINS", "healthy,helthy,ionq")
    found = registry_of(healthy_plugin)
    assert "did you mean 'healthy'? Known: healthy. QSTORE_PLUGINS asks for it" in str(info(found, "helthy").error)
    with pytest.raises(UnknownNameError, match=r"pip install \./plugins/qstore_ionq"):
        found.resolve("backend", "ionq.qpu")
