"""The backend `aer.noisy`: Qiskit Aer with the noise of a device, on the gates and connections of that device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qstore_aer.backend import AerBackend
from qstore_aer.hardware import Hardware
from qstore_aer.noise import Pair, checked, digest, uniform_noise
from qstore_aer.settings import Settings
from qstore_aer.targets import GateSetTarget, HardwareTarget, SimulatorTarget, Target
from qstore_core.backend import BackendCapabilities
from qstore_core.errors import ConfigurationError

_DENSE = 16  # no machine holds density matrices of more qubits, and deriving a device's noise takes 50 ms a qubit


class NoisyAerBackend(AerBackend):
    """Qiskit Aer with noise, exact as a density matrix or, for wide circuits, sampled from trajectories.

    Where the noise comes from a device, circuits run as they would there: compiled to its gates, with SWAPs where
    qubits are not connected, the rotations into measurement bases included. `capabilities.connectivity` is the
    device's, so that `entanglement="hardware_aware"` needs no SWAP.

    Args:
        depolarizing: Depolarising strength after each gate, one number or (one-qubit, many-qubit gates).
        readout_error: The probability that a bit is misread, one number or (0 read as 1, 1 read as 0).
        noise_model: A `qiskit_aer.noise.NoiseModel`, instead; circuits are compiled to its `basis_gates`.
        target: A Qiskit backend, a `Target`, or the name of a fake one: "line-8" or a class of
            `qiskit_ibm_runtime.fake_provider`. Circuits are compiled for it, and its noise is used unless `noise_model`
            says otherwise.
        qubits: The device's qubit for each of ours; None: a connected order, mostly a line.
        method: "automatic" (density_matrix, or statevector where only bits are misread), or for trajectories, which are
            sampled only, "statevector", "matrix_product_state" or, with Clifford gates, "stabilizer".
        device: "CPU" or "GPU"; the latter needs qiskit-aer-gpu.
        precision: "double" or "single".
        threads: The most threads; None: one for circuits of few qubits, else all.
        memory_bytes: As for `AerBackend`.

    Raises:
        ConfigurationError: No noise, two kinds of it, or a value that is not permitted.

    >>> backend = NoisyAerBackend(depolarizing=0.01, readout_error=0.02)
    >>> backend.capabilities.noisy, backend.capabilities.exact
    (True, True)
    """

    def __init__(
        self,
        *,
        depolarizing: Pair = 0.0,
        readout_error: Pair = 0.0,
        noise_model: object = None,
        target: object = None,
        qubits: Sequence[int] | None = None,
        method: str = "automatic",
        device: str = "CPU",
        precision: str = "double",
        threads: int | None = None,
        memory_bytes: int | None = None,
    ) -> None:
        settings = Settings.of(method, device, precision, threads, memory_bytes, noisy=True)
        if qubits is not None and target is None:
            raise ConfigurationError(f"qubits={qubits!r} are those of a device: give target= as well")
        hardware = None if target is None else Hardware.of(target, qubits)
        if hardware is not None and settings.method == "density_matrix":
            hardware = hardware.narrowed(_DENSE)
        noise = _Noise.of(depolarizing, readout_error, noise_model, hardware)
        if method == "automatic" and not noise.on_gates:
            settings = Settings.of("statevector", device, precision, threads, memory_bytes, noisy=True)
        if settings.method == "stabilizer" and not noise.uniform:
            raise ConfigurationError(
                "method='stabilizer' takes depolarizing= and readout_error= only: the gates of devices are no Clifford "
                "gates; use method='automatic'"
            )
        self.hardware = noise.hardware
        self._prepare(settings, noise.target(settings), noise.capabilities(settings), noise.fingerprint(settings))
        self._add_noise(noise.model)


@dataclass(frozen=True, slots=True, eq=False)
class _Noise:
    """Where noise comes from.

    Attributes:
        model: Qiskit's noise model.
        described: What identifies it.
        uniform: Whether it is the same for all qubits, on our own gates; else gates are compiled to those of a device.
        hardware: The device, if any.
    """

    model: Any
    described: str
    uniform: bool = False
    hardware: Hardware | None = None

    @classmethod
    def of(cls, depolarizing: Pair, readout_error: Pair, model: object, hardware: Hardware | None) -> _Noise:
        uniform = (depolarizing, readout_error) != (0.0, 0.0)
        if uniform == (model is not None or hardware is not None):
            raise ConfigurationError(
                "noise comes from depolarizing= and readout_error=, or from noise_model= or target=: give one of these"
            )
        noise = cls(*uniform_noise(depolarizing, readout_error), uniform=True) if uniform else cls._of(model, hardware)
        if noise.model.is_ideal():
            raise ConfigurationError(f"{noise.described}: there is no noise in this; use the backend 'aer'")
        return noise

    @classmethod
    def _of(cls, model: object, hardware: Hardware | None) -> _Noise:
        if hardware is None:
            return cls(checked(model), f"noise_model={digest(model)}")
        noise = hardware.noise_model() if model is None else checked(model, hardware.target.operation_names)
        return cls(noise, f"target={hardware.fingerprint}, noise={digest(noise)}", hardware=hardware)

    @property
    def on_gates(self) -> bool:
        """Whether gates are noisy, so that states are mixed."""
        return bool(set(self.model.noise_instructions) - {"measure"})

    def exact(self, settings: Settings) -> bool:
        """Whether one simulation gives exact values: else every shot is a trajectory of its own."""
        return settings.method == "density_matrix" or not self.on_gates

    def target(self, settings: Settings) -> Target:
        """What circuits are compiled for."""
        if self.hardware is not None:
            return HardwareTarget(self.hardware)
        return SimulatorTarget(settings.gates()) if self.uniform else GateSetTarget(tuple(self.model.basis_gates))

    def capabilities(self, settings: Settings) -> BackendCapabilities:
        """What the backend can do with this noise."""
        device = self.hardware
        narrow = device is not None and len(device.qubits) < settings.widest
        return BackendCapabilities(
            max_qubits=len(device.qubits) if device is not None and narrow else settings.widest,
            gates=settings.our_gates(),
            native_gates=() if device is None else tuple(device.target.operation_names),
            connectivity=None if device is None else device.edges,
            exact=self.exact(settings),
            noisy=True,
            width_limit=f"the connected qubits of {device.name}"
            if device is not None and narrow
            else settings.width_limit,
        )

    def fingerprint(self, settings: Settings) -> str:
        """The backend's name and everything that changes its results."""
        parts = [self.described, *([] if self.exact(settings) else [f"method={settings.method}"])]
        parts += [] if settings.precision == "double" else [f"precision={settings.precision}"]
        return f"aer.noisy({', '.join(parts)})"
