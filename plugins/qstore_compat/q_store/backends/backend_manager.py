"""The backends of a program by name, and Q-Store's simulator."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from q_store.backends.bridge import CoreBackend
from q_store.backends.circuits import QuantumCircuit, as_core
from q_store.backends.interface import BackendType, QuantumBackend
from q_store.changes import changed
from qstore_core import Backend, UnknownNameError, get_backend
from qstore_core.errors import ConfigurationError

_PREFERENCE = (BackendType.SIMULATOR, BackendType.NOISY_SIMULATOR, BackendType.QPU, BackendType.MOCK)
_READOUT_SHARE = 0.1  # Q-Store's own factor from noise_level to the probability of a flipped bit


class MockQuantumBackend(CoreBackend):
    """The simulator of `qstore-mock`, as wide and as noisy as is asked.

    Args:
        name: What it is called.
        max_qubits: The widest circuit it takes.
        noise_level: From 0 to 1; each bit is misread with a tenth of that probability.

    >>> MockQuantumBackend(max_qubits=4).get_capabilities().max_qubits
    4
    """

    def __init__(self, name: str = "mock", max_qubits: int = 10, noise_level: float = 0.0) -> None:
        if not 0 <= noise_level <= 1:
            raise ConfigurationError(f"noise_level is from 0 to 1, not {noise_level!r}")
        if noise_level:
            changed(
                "MockQuantumBackend(noise_level=...)",
                "each bit that is read is flipped with probability noise_level / 10, and gates are exact. Q-Store drew "
                "outcomes at random instead of simulating; for noise on gates use "
                "qstore_core.get_backend('mock', depolarizing=...)",
            )
        options = {"readout_error": _READOUT_SHARE * noise_level} if noise_level else {}
        core = get_backend("mock", **options)
        limit = f"MockQuantumBackend(max_qubits={max_qubits})"
        if max_qubits < core.capabilities.max_qubits:
            core.capabilities = replace(core.capabilities, max_qubits=max_qubits, width_limit=limit)
        super().__init__(core, name)
        self.max_qubits = core.capabilities.max_qubits
        self.noise_level = noise_level

    def get_backend_info(self) -> dict[str, Any]:
        """What it is, with its noise level."""
        return {**super().get_backend_info(), "noise_level": self.noise_level}


class BackendManager:
    """Opens and keeps backends under names, one of them the default.

    >>> import asyncio
    >>> async def main():
    ...     manager = BackendManager()
    ...     await manager.initialize(sdk="mock")
    ...     return manager.get_backend().get_backend_info()["provider"]
    >>> asyncio.run(main())
    'mock'
    """

    def __init__(self) -> None:
        self._backends: dict[str, QuantumBackend] = {}
        self._metadata: dict[str, dict[str, Any]] = {}
        self._default: str | None = None

    async def initialize(
        self, sdk: str = "mock", *, api_key: str | None = None, target: str = "simulator", **options: Any
    ) -> QuantumBackend:
        """Make and open a backend, and make it the default.

        Args:
            sdk: "mock", "ionq", or any other backend of qstore; Q-Store's "cirq" and "qiskit" are IonQ.
            api_key: The provider's key; the simulator needs none.
            target: For IonQ: "simulator", or a machine such as "qpu.forte-1".
            options: What else the backend takes.
        """
        backend = CoreBackend(open_core(sdk, api_key=api_key, target=target, **options))
        await backend.initialize()
        if sdk in self._backends:
            await self._backends[sdk].close()
        self.register_backend(sdk, backend, set_as_default=True)
        return backend

    def register_backend(
        self,
        name: str,
        backend: QuantumBackend | Backend,
        set_as_default: bool = False,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Keep a backend under a name; the first one is the default until another is."""
        made = CoreBackend(backend, name) if isinstance(backend, Backend) else backend
        if not isinstance(made, QuantumBackend):
            raise ConfigurationError(f"a backend is a QuantumBackend, not {type(made).__name__}")
        self._backends[name] = made
        self._metadata[name] = dict(metadata or {})
        if set_as_default or self._default is None:
            self._default = name

    def unregister_backend(self, name: str) -> None:
        """Forget a backend; where it was the default, the oldest of the others is."""
        if self._backends.pop(name, None) is not None:
            del self._metadata[name]
        if self._default == name:
            self._default = next(iter(self._backends), None)

    def get_backend(self, name: str | None = None) -> QuantumBackend:
        """The backend called `name`, or the default.

        Raises:
            ConfigurationError: There is none yet.
            UnknownNameError: None has that name.
        """
        wanted = name or self._default
        if wanted is None:
            raise ConfigurationError("no backend yet: first `await manager.initialize(sdk='mock')`")
        return self._backends[self._known(wanted)]

    def list_backends(self) -> list[dict[str, Any]]:
        """What each backend is, and whether it is the default."""
        listed = []
        for name, backend in self._backends.items():
            can = backend.get_capabilities()
            listed.append(
                {
                    **backend.get_backend_info(),
                    "name": name,
                    "is_default": name == self._default,
                    "metadata": self._metadata[name],
                    "available": backend.is_available(),
                    "max_qubits": can.max_qubits,
                    "backend_type": can.backend_type.value,
                }
            )
        return listed

    def set_default_backend(self, name: str) -> None:
        """Make another one the default."""
        self._default = self._known(name)

    def get_default_backend_name(self) -> str | None:
        """The name of the default, None where there is none."""
        return self._default

    async def initialize_all(self) -> None:
        """Initialise every backend; the first that cannot be raises."""
        for backend in self._backends.values():
            await backend.initialize()

    async def close_all(self) -> None:
        """Close every backend."""
        for backend in self._backends.values():
            await backend.close()

    def find_best_backend(
        self, circuit: QuantumCircuit, prefer_qpu: bool = False, max_cost: float | None = None
    ) -> str | None:
        """The name of the backend to run a circuit on, None where none can.

        Args:
            circuit: What is to run; backends that are too narrow or lack a gate are left out.
            prefer_qpu: Whether hardware comes first; else simulators do. Among equals the widest wins.
            max_cost: The most that 1000 shots may cost, in US dollars.
        """
        order = sorted(_PREFERENCE, key=lambda kind: not (prefer_qpu and kind is BackendType.QPU))
        fitting = [
            (order.index(backend.get_capabilities().backend_type), -backend.get_capabilities().max_qubits, name)
            for name, backend in self._backends.items()
            if _can_run(backend, circuit) and (max_cost is None or backend.estimate_cost(circuit, 1000) <= max_cost)
        ]
        return min(fitting)[2] if fitting else None

    def _known(self, name: str) -> str:
        if name not in self._backends:
            raise UnknownNameError.of("backend of this manager", name, self._backends)
        return name


def _can_run(backend: QuantumBackend, circuit: QuantumCircuit) -> bool:
    core, _ = as_core(circuit)
    names = {kind.value for kind in backend.get_capabilities().supported_gates}
    gates = {name for name, _ in core.structure.gates}
    return backend.is_available() and core.n_qubits <= backend.get_capabilities().max_qubits and gates <= names


def open_core(sdk: str, *, api_key: str | None = None, target: str = "simulator", **options: Any) -> Backend:
    """The backend of qstore that Q-Store's settings mean, not yet opened.

    >>> open_core("mock", api_key="mock-key").name
    'mock'
    """
    if sdk == "qiskit":
        changed(
            "quantum_sdk='qiskit'",
            "is IonQ through the plugin qstore-ionq, which sends circuits in IonQ's own form; Qiskit is not used",
        )
    if sdk in ("cirq", "qiskit", "ionq"):
        named = {} if target == "simulator" else {"target": target}
        return get_backend("ionq.qpu" if named else "ionq.simulator", api_key=api_key, **named, **options)
    if sdk != "mock" and api_key is not None:
        options = {"api_key": api_key, **options}
    return get_backend(sdk, **options)


def create_default_backend_manager() -> BackendManager:
    """A manager with a noiseless simulator of up to 20 qubits, called "mock_ideal".

    >>> create_default_backend_manager().get_default_backend_name()
    'mock_ideal'
    """
    manager = BackendManager()
    backend = MockQuantumBackend("mock_ideal", max_qubits=20)
    manager.register_backend("mock_ideal", backend, metadata={"description": "noiseless simulator"})
    return manager


async def setup_ionq_backends(
    manager: BackendManager, api_key: str, use_cirq: bool = True, use_qiskit: bool = False
) -> BackendManager:
    """Add IonQ's simulator and Aria to a manager, under Q-Store's names; without qstore-ionq none, and a warning.

    Args:
        manager: What they are added to.
        api_key: The key of an account at IonQ.
        use_cirq: Whether to add "ionq_sim_cirq" and "ionq_aria_cirq".
        use_qiskit: Whether to add "ionq_sim_qiskit", which is the same simulator.
    """
    wanted = [("ionq_sim_cirq", "cirq", "simulator"), ("ionq_aria_cirq", "cirq", "qpu.aria-1")] * use_cirq
    wanted += [("ionq_sim_qiskit", "qiskit", "simulator")] * use_qiskit
    try:
        for name, sdk, target in wanted:
            backend = CoreBackend(open_core(sdk, api_key=api_key, target=target), name)
            manager.register_backend(name, backend, metadata={"description": f"IonQ {target}"})
    except UnknownNameError as error:
        changed("setup_ionq_backends(...)", f"IonQ's backends were left out: {error}")
    return manager
