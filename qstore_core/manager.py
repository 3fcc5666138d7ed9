"""The backends of a program: opened by name, one of them the default, closed together."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from qstore_core.backend import Backend
from qstore_core.errors import ConfigurationError, UnknownNameError
from qstore_core.registry import get_backend


class BackendManager:
    """Opens, keeps and closes backends.

    >>> import asyncio
    >>> async def main():
    ...     manager = BackendManager()
    ...     await manager.initialize(sdk="mock")
    ...     return manager.get_backend().name
    >>> asyncio.run(main())
    'mock'
    """

    def __init__(self) -> None:
        self._backends: dict[str, Backend] = {}
        self._default: str | None = None

    async def initialize(self, sdk: str = "mock", **options: Any) -> Backend:
        """Make and open the backend called `sdk`, and make it the default.

        Args:
            sdk: The name of an installed backend.
            options: What the backend's class takes.

        Raises:
            UnknownNameError: No plugin brings it; the message says what to install.
            ConfigurationError: An option that the backend does not have.
        """
        backend = get_backend(sdk, **options)
        await backend.open()
        replaced = self._backends.get(sdk)
        if replaced is not None:
            await replaced.close()
        self.register_backend(sdk, backend)
        self._default = sdk
        return backend

    def register_backend(self, name: str, backend: Backend) -> None:
        """Keep a backend made elsewhere under a name; the first one is the default."""
        if not isinstance(backend, Backend):
            raise ConfigurationError(f"a backend is a LocalBackend or RemoteBackend, not {type(backend).__name__}")
        self._backends[name] = backend
        self._default = self._default or name

    def list_backends(self) -> list[str]:
        """The names of the backends that are open here, sorted."""
        return sorted(self._backends)

    def set_default_backend(self, name: str) -> None:
        """Make another of them the default."""
        self._default = self._known(name)

    @property
    def has_backend(self) -> bool:
        """Whether there is a default."""
        return self._default is not None

    def get_backend(self, name: str | None = None) -> Backend:
        """The backend called `name`, or the default."""
        if name is None and self._default is None:
            raise ConfigurationError("no backend yet: first `await manager.initialize(sdk='mock')`")
        return self._backends[self._known(name or self._default or "")]

    async def close_all(self) -> None:
        """Close every backend and forget it."""
        backends, self._backends, self._default = list(self._backends.values()), {}, None
        for backend in backends:
            await backend.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close_all()

    def _known(self, name: str) -> str:
        if name not in self._backends:
            advice = f"first `await manager.initialize(sdk={name!r})`"
            raise UnknownNameError.of("backend of this manager", name, self._backends, advice=advice)
        return name
