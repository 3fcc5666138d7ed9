"""The options that both backends share: how Aer simulates, on what, and within how much memory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qstore_aer.libraries import qiskit_aer
from qstore_aer.translate import OUR_NAMES
from qstore_core.errors import CapabilityError, ConfigurationError, UnknownNameError
from qstore_core.gates import GATES

METHODS: Mapping[str, str] = {
    "automatic": "statevector, or with noise density_matrix",
    "statevector": "2**n amplitudes; with noise one trajectory a shot",
    "density_matrix": "4**n entries, noise exactly",
    "matrix_product_state": "wide circuits of little entanglement",
    "stabilizer": "wide circuits of Clifford gates",
}
"""The simulation methods by name, with what they are for."""

# Aer 0.18 runs these, but with a wrong angle when it is bound at run time; `test_aer_itself` notes when that is mended.
_MISBOUND = frozenset({"crx", "cry", "crz"})
_BASES = {"statevector": 2, "density_matrix": 4}
_CLIFFORD = frozenset({"x", "y", "z", "h", "s", "sdg", "sx", "cnot", "cz", "swap"})
_SAMPLED_BITS = {"statevector": 20, "density_matrix": 20}
_EXACT_BITS = 12
_PARALLEL_FROM = 14  # below, a state is so small that threads only wait for each other


@dataclass(frozen=True, slots=True)
class Settings:
    """How Aer simulates.

    Attributes:
        method: A name of `METHODS`, "automatic" already decided.
        device: "CPU" or "GPU".
        precision: "double" or "single".
        threads: The most threads; None: one for circuits of few qubits, else all.
        memory_bytes: The bound on a state and on the results that are waiting with it.
    """

    method: str
    device: str
    precision: str
    threads: int | None
    memory_bytes: int

    @classmethod
    def of(
        cls, method: str, device: str, precision: str, threads: int | None, memory_bytes: int | None, *, noisy: bool
    ) -> Settings:
        """The settings, checked.

        Raises:
            ConfigurationError: A value that is not permitted.
            CapabilityError: A GPU was asked for and Aer finds none.
        """
        if method not in METHODS:
            raise UnknownNameError.of("method", method, METHODS)
        if precision not in ("double", "single"):
            raise UnknownNameError.of("precision", precision, ("double", "single"))
        if threads is not None and (not isinstance(threads, int) or threads < 1):
            raise ConfigurationError(f"threads={threads!r}: a whole number of at least 1, or None")
        if memory_bytes is None:
            memory_bytes = _physical_memory() // 2
        if not isinstance(memory_bytes, int) or memory_bytes < 4096:
            raise ConfigurationError(f"memory_bytes={memory_bytes!r}: a whole number of at least 4096, or None")
        if method == "automatic":
            method = "density_matrix" if noisy else "statevector"
        _check_device(device)
        return cls(method, device, precision, threads, memory_bytes)

    @property
    def widest(self) -> int:
        """The most qubits whose state stays within the memory, or that Aer takes."""
        if self.method not in _BASES:
            return int(qiskit_aer.AerSimulator(method=self.method).configuration().n_qubits)
        width = 0
        while self.state_bytes(width + 1) <= self.memory_bytes:
            width += 1
        return width

    @property
    def width_limit(self) -> str:
        """What sets `widest`, for messages."""
        if self.method not in _BASES:
            return f"method {self.method!r} of Aer"
        return f"memory_bytes={self.memory_bytes} and method {self.method!r}"

    def state_bytes(self, n_qubits: int) -> int:
        """The memory of a state, and a copy of it, which fusion and saving make."""
        return int(2 * self._amplitude_bytes * _BASES.get(self.method, 1) ** n_qubits)

    def reads_table(self, n_bits: int, *, exact: bool) -> bool:
        """Whether to let Aer give every outcome's probability, rather than average observables or draw shots."""
        return n_bits <= (_EXACT_BITS if exact else _SAMPLED_BITS.get(self.method, 12))

    def threads_for(self, n_qubits: int) -> int:
        """The threads for states of so many qubits; 0: all."""
        if self.threads is not None:
            return self.threads
        doubled = n_qubits * (2 if self.method == "density_matrix" else 1)
        return 1 if doubled < _PARALLEL_FROM else 0

    def gates(self) -> frozenset[str]:
        """Those gates of ours, by Qiskit's names, that Aer runs as they are."""
        return frozenset(self.simulator().configuration().basis_gates) & OUR_NAMES.keys() - _MISBOUND

    def our_gates(self) -> frozenset[str]:
        """The gates that circuits may have, by our names."""
        return _CLIFFORD if self.method == "stabilizer" else frozenset(GATES)

    def simulator(self) -> Any:
        """A simulator of Aer with these settings."""
        return qiskit_aer.AerSimulator(
            method=self.method,
            device=self.device,
            precision=self.precision,
            zero_threshold=0.0,  # else small probabilities are cut to 0
        )

    @property
    def _amplitude_bytes(self) -> int:
        return 16 if self.precision == "double" else 8


def _check_device(device: str) -> None:
    if device not in ("CPU", "GPU"):
        raise UnknownNameError.of("device", device, ("CPU", "GPU"))
    if device == "GPU" and "GPU" not in qiskit_aer.AerSimulator().available_devices():
        raise CapabilityError(
            "device='GPU', and this qiskit-aer finds no GPU: install qiskit-aer-gpu on a machine with an NVIDIA GPU, "
            "or use device='CPU'"
        )


def _physical_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
