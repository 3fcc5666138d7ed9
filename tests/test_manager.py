"""The backends of a program: opened by name, one the default, closed together."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from qstore_core import registry
from qstore_core.backend import BackendCapabilities, LocalBackend
from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.errors import ConfigurationError, UnknownNameError
from qstore_core.hookspecs import Register, hookimpl
from qstore_core.manager import BackendManager
from qstore_core.registry import Registry


class Logged(LocalBackend):
    """Notes when it is opened and closed."""

    capabilities = BackendCapabilities(max_qubits=2)
    fingerprint = "logged"

    def __init__(self, label: str = "first") -> None:
        self.label = label
        self.events: list[str] = []

    async def open(self) -> None:
        self.events.append("open")

    async def execute(self, batch: CircuitBatch, compiled: Any) -> BatchResult:
        raise NotImplementedError

    async def close(self) -> None:
        self.events.append("close")


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the backend `logged` is installed."""
    alone = Registry(lambda: ())
    monkeypatch.setattr(registry, "_default", alone)

    class Plugin:
        @hookimpl
        def register_backends(self, register: Register) -> None:
            register("logged", f"{__name__}:Logged")

    alone.register(Plugin(), name="logged")


@pytest.fixture
def manager() -> BackendManager:
    return BackendManager()


def test_initialize_opens_a_backend_by_name_and_makes_it_the_default(manager: BackendManager) -> None:
    backend = asyncio.run(manager.initialize(sdk="mock"))
    assert manager.get_backend() is backend is manager.get_backend("mock")
    assert (backend.name, manager.has_backend, manager.list_backends()) == ("mock", True, ["mock"])


def test_without_a_name_it_is_the_simulator(manager: BackendManager) -> None:
    assert asyncio.run(manager.initialize()).name == "mock"


def test_options_are_the_backends(manager: BackendManager) -> None:
    assert asyncio.run(manager.initialize("mock", depolarizing=0.01)).capabilities.noisy


@pytest.mark.usefixtures("logged")
class TestLifeOfABackend:
    def test_it_is_opened_once_and_closed_with_the_manager(self) -> None:
        async def use() -> Logged:
            async with BackendManager() as manager:
                backend = await manager.initialize("logged", label="mine")
            assert isinstance(backend, Logged)
            assert not manager.has_backend
            assert manager.list_backends() == []
            return backend

        backend = asyncio.run(use())
        assert (backend.label, backend.events) == ("mine", ["open", "close"])

    def test_one_that_is_replaced_is_closed(self, manager: BackendManager) -> None:
        first = asyncio.run(manager.initialize("logged"))
        second = asyncio.run(manager.initialize("logged"))
        assert isinstance(first, Logged)
        assert isinstance(second, Logged)
        assert (first.events, second.events) == (["open", "close"], ["open"])
        assert manager.get_backend() is second

    def test_a_failed_initialize_leaves_what_was_there(self, manager: BackendManager) -> None:
        backend = asyncio.run(manager.initialize("logged"))
        with pytest.raises(UnknownNameError, match="unknown backend 'logger'; did you mean 'logged'"):
            asyncio.run(manager.initialize("logger"))
        with pytest.raises(ConfigurationError, match=r"backend 'logged' .*unexpected keyword argument 'speed'"):
            asyncio.run(manager.initialize("logged", speed=3))
        assert manager.get_backend() is backend

    def test_after_closing_it_can_be_used_again(self, manager: BackendManager) -> None:
        asyncio.run(manager.initialize("logged"))
        asyncio.run(manager.close_all())
        assert asyncio.run(manager.initialize("logged")) is manager.get_backend()


class TestDefault:
    def test_the_first_registered_backend_is_the_default(self, manager: BackendManager) -> None:
        first, second = Logged(), Logged()
        manager.register_backend("one", first)
        manager.register_backend("two", second)
        assert manager.get_backend() is first
        assert manager.get_backend("two") is second
        assert manager.list_backends() == ["one", "two"]

    def test_another_can_be_chosen(self, manager: BackendManager) -> None:
        second = Logged()
        manager.register_backend("one", Logged())
        manager.register_backend("two", second)
        manager.set_default_backend("two")
        assert manager.get_backend() is second

    def test_an_initialized_backend_becomes_the_default(self, manager: BackendManager) -> None:
        manager.register_backend("one", Logged())
        assert manager.get_backend() is not asyncio.run(manager.initialize("mock"))
        assert manager.get_backend().name == "mock"


class TestRefusals:
    def test_without_a_backend_it_says_what_to_do(self, manager: BackendManager) -> None:
        assert not manager.has_backend
        with pytest.raises(ConfigurationError, match=r"no backend yet: first `await manager.initialize\(sdk='mock'\)`"):
            manager.get_backend()

    @pytest.mark.parametrize("method", ["get_backend", "set_default_backend"])
    def test_an_unknown_name_lists_what_is_open(self, manager: BackendManager, method: str) -> None:
        manager.register_backend("lab", Logged())
        with pytest.raises(
            UnknownNameError,
            match=r"unknown backend of this manager 'aer'; Known: lab. first `await manager.initialize\(sdk='aer'\)`",
        ):
            getattr(manager, method)("aer")

    @pytest.mark.parametrize("backend", ["mock", Logged, None], ids=repr)
    def test_only_backends_are_registered(self, manager: BackendManager, backend: Any) -> None:
        with pytest.raises(ConfigurationError, match="a backend is a LocalBackend or RemoteBackend, not"):
            manager.register_backend("lab", backend)
        assert not manager.has_backend
