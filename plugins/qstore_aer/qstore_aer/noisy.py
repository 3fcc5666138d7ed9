"""The backend `aer.noisy`: Qiskit Aer with the noise of a device, on the gates and connections of that device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qstore_aer.backend import AerBackend
from qstore_aer.hardware import Hardware
from qstore_aer.noise import Pair, checked, digest, uniform_noise
from qstore_aer.settings import Settings
from qstore_aer.targets import GateSetTarget, HardwareTarget, SimulatorTarget, Target
from qstore_core.backend import BackendCapabilities
from qstore_core.errors import ConfigurationError


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
        method: "automatic" (density_matrix), or "statevector" or "matrix_product_state" for trajectories, which are
            sampled only.
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
        uniform = (depolarizing, readout_error) != (0.0, 0.0)
        if uniform == (noise_model is not None or target is not None):
            raise ConfigurationError(
                "noise comes from depolarizing= and readout_error=, or from noise_model= or target=: give one of these"
            )
        hardware = None if target is None else Hardware.of(target, qubits)
        if uniform:
            model, described = uniform_noise(depolarizing, readout_error)
            compiled_for: Target = SimulatorTarget(settings.gates())
        else:
            model, described, compiled_for = _modelled(noise_model, hardware)
        if model.is_ideal():
            raise ConfigurationError(f"{described}: there is no noise in this; use the backend 'aer'")
        widest = settings.widest if hardware is None else min(settings.widest, len(hardware.qubits))
        capabilities = BackendCapabilities(
            max_qubits=widest,
            native_gates=() if hardware is None else tuple(hardware.target.operation_names),
            connectivity=None if hardware is None else hardware.edges,
            exact=settings.method == "density_matrix",
            noisy=True,
            width_limit=settings.width_limit if widest == settings.widest else described,
        )
        described += "" if settings.method == "density_matrix" else f", method={settings.method}"
        described += "" if precision == "double" else f", precision={precision}"
        self.hardware = hardware
        self._prepare(settings, compiled_for, capabilities, f"aer.noisy({described})", model)


def _modelled(noise_model: object, hardware: Hardware | None) -> tuple[Any, str, Target]:
    if hardware is None:
        model = checked(noise_model, ())
        return model, f"noise_model={digest(model)}", GateSetTarget(tuple(model.basis_gates))
    names = hardware.target.operation_names
    model = hardware.noise_model() if noise_model is None else checked(noise_model, names)
    described = f"target={hardware.name}, qubits={'-'.join(map(str, hardware.qubits))}, noise={digest(model)}"
    return model, described, HardwareTarget(hardware)
