"""Qiskit and Qiskit Aer, imported in one place, so that their absence is one error that says what to do."""

from __future__ import annotations

from qstore_core.errors import PluginLoadError

try:
    import qiskit
    import qiskit.circuit
    import qiskit.circuit.library
    import qiskit.exceptions
    import qiskit.providers.fake_provider
    import qiskit.quantum_info
    import qiskit.transpiler
    import qiskit_aer
    import qiskit_aer.noise
    import qiskit_aer.noise.device
except ImportError as error:
    raise PluginLoadError(
        f"the plugin 'aer' needs qiskit and qiskit-aer, and cannot import them ({error}): "
        "pip install ./plugins/qstore_aer"
    ) from error

__all__ = ["qiskit", "qiskit_aer"]
